//! An entry that has just been rendered, for layers that show some of it.

use std::fmt::{self, Display};

use tracing_audit_schema::{Field, fields};

use super::Parts;
use crate::entry::{STAMP_ID, scan};

/// A rendered entry. A field is looked for only when it is displayed: usually no layer does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rendered<'a> {
    /// Without its opening brace.
    entry: &'a [u8],
    parts: Parts,
}

impl<'a> Rendered<'a> {
    #[inline]
    pub(crate) fn new(entry: &'a [u8], parts: Parts) -> Self {
        Self { entry, parts }
    }

    /// The entry's id.
    #[inline]
    pub(crate) fn id(&self) -> &'a str {
        let id = self.entry.get(STAMP_ID);
        id.and_then(|id| std::str::from_utf8(id).ok())
            .unwrap_or_default()
    }

    #[inline]
    pub(crate) fn has(&self, part: Parts) -> bool {
        self.parts.has(part)
    }

    /// Shows the JSON of a field; nothing if the entry doesn't have it.
    #[inline]
    pub(crate) fn json(&self, field: &'static Field) -> FieldJson<'a> {
        FieldJson {
            entry: self.entry,
            name: field.name,
        }
    }

    /// Shows the text of the description, or this text if there is none.
    #[inline]
    pub(crate) fn description_or(&self, otherwise: &'a str) -> Description<'a> {
        Description {
            entry: self.entry,
            otherwise,
        }
    }
}

#[derive(Debug)]
pub(crate) struct FieldJson<'a> {
    entry: &'a [u8],
    name: &'static str,
}

impl Display for FieldJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = scan::member(self.entry, self.name).unwrap_or_default();
        f.write_str(std::str::from_utf8(value).unwrap_or_default())
    }
}

#[derive(Debug)]
pub(crate) struct Description<'a> {
    entry: &'a [u8],
    otherwise: &'a str,
}

impl Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match scan::member(self.entry, fields::DESCRIPTION.name) {
            Some([b'"', text @ .., b'"']) => f.write_str(&scan::unescape(text)),
            _ => f.write_str(self.otherwise),
        }
    }
}
