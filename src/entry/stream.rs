//! Who writes: the source, one stream of it, and the place in that stream.

use std::{fmt, str::FromStr};

use tracing_audit_schema::fields;

use super::{Buffer, json};
use crate::error::Error;

/// The name of what writes: an application or service. `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64
/// bytes.
///
/// It becomes part of file names, so nothing else is let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(String);

impl Source {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The field of an entry: `,"source":"billing"`.
    pub(crate) fn to_field(&self) -> Box<[u8]> {
        let mut field = Buffer::default();
        field.append(fields::SOURCE.key.as_bytes());
        json::write_str(&mut field, &self.0);
        field.into_vec().into()
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fits = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(
                "source",
                format!(
                    "{text:?} must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit, like \"billing\""
                ),
            ))
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One writer: its source and twelve random hexadecimal digits, new for each process start, as in
/// `billing-7f3a9c01b2d4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(String);

impl StreamId {
    /// The stream of `source` with this suffix, of which 48 bits are used.
    pub(crate) fn new(source: &Source, suffix: u64) -> Self {
        Self(format!("{source}-{:012x}", suffix & 0xffff_ffff_ffff))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The source it writes for.
    pub fn source(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(source, _)| source)
    }
}

impl FromStr for StreamId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid(
                "stream",
                format!("{text:?} is not a stream like billing-7f3a9c01b2d4"),
            )
        };
        let (source, suffix) = text.rsplit_once('-').ok_or_else(wrong)?;
        source.parse::<Source>().map_err(|_| wrong())?;
        // Six where an older version wrote it.
        let hex = matches!(suffix.len(), 6 | 12)
            && suffix
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry's place in its stream: 1, 2, 3 … without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The first of a stream.
    pub const FIRST: Self = Self(1);

    /// The one after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
