//! Hides the values whose names only the log denies, in an entry that has been rendered.
//!
//! Names come from several places: some are known while compiling, maybe with their values, some
//! are inside serialized values, and some are in parts that were rendered earlier. All of them meet
//! in the rendered entry. A masked, hashed or unredacted value stays: the buffer has noted where
//! such values begin.

use tracing_audit_schema::{
    Field, Kind,
    fields::{ACTOR, DETAILS, RESOURCE, RESOURCE_ATTRIBUTES, RESOURCE_PRIOR_ATTRIBUTES},
};

use std::ops::Range;

use smallvec::SmallVec;

use super::{
    buffer::Buffer,
    denied::{FieldNames, REDACTED_JSON},
    scan,
};

/// Hides values in the members from `start` on, each with a comma before it.
#[inline]
pub(crate) fn hide(out: &mut Buffer, start: usize) {
    if let Some(names) = out.names().filter(|names| names.denies_more()) {
        Hiding {
            out,
            names,
            moved: 0,
        }
        .members(start, true);
    }
}

/// The fields that hold what is the application's own, or parts that do.
const HIDING: [Field; 5] = [
    ACTOR,
    RESOURCE,
    DETAILS,
    RESOURCE_ATTRIBUTES,
    RESOURCE_PRIOR_ATTRIBUTES,
];

/// Whether a key of the entry, or of a part of it, is that of a field. (The attributes of an actor
/// are called as those of a resource.)
fn is_called(field: &Field, key: &[u8], of_entry: bool) -> bool {
    let is_of_entry = field.path.len() == field.name.len();
    is_of_entry == of_entry && field.name.as_bytes() == key
}

struct Hiding<'a> {
    out: &'a mut Buffer,
    names: &'static FieldNames,
    /// How far the text from here on has moved, because values before it were hidden.
    moved: isize,
}

impl Hiding<'_> {
    /// Goes through the members of the entry, or of a part that has attributes.
    fn members(&mut self, start: usize, of_entry: bool) -> Option<()> {
        let mut at = start;
        while matches!(self.out.get(at), Some(b',' | b'{')) {
            let key = scan::string(self.out, at + 1)?;
            let value = at + key.len() + 4;
            match HIDING.iter().find(|field| is_called(field, key, of_entry)) {
                Some(field) if field.kind == Kind::Object => self.members(value, false)?,
                Some(_) => self.inside(value)?,
                None => {}
            }
            at = scan::value_end(self.out, value)?;
        }
        Some(())
    }

    /// Goes through all that is in a value.
    fn inside(&mut self, start: usize) -> Option<()> {
        let mut end = scan::value_end(self.out, start)?;
        let mut at = start;
        // The keys of the objects around, each before the object that it holds, and the last key
        // of this one. A hidden value holds none.
        let mut around: SmallVec<[Range<usize>; 16]> = SmallVec::new();
        let mut key = 0..0;
        while at < end {
            match self.out.get(at) {
                Some(b'"') => {}
                Some(b'{') => {
                    around.push(key.clone());
                    at += 1;
                    continue;
                }
                Some(b'}') => {
                    key = around.pop().unwrap_or_default();
                    at += 1;
                    continue;
                }
                _ => {
                    at += 1;
                    continue;
                }
            }
            let text = scan::string(self.out, at)?;
            let behind = at + text.len() + 2;
            if self.out.get(behind) != Some(&b':') {
                at = behind;
                continue;
            }
            key = at + 1..behind - 1;
            at = behind + 1;
            if self.is_denied(around.last(), text) {
                let value = at..scan::value_end(self.out, at)?;
                at = value.end;
                if !self
                    .out
                    .is_shown(value.start.wrapping_add_signed(-self.moved))
                {
                    let len = self.out.len();
                    self.out.replace(value, REDACTED_JSON);
                    let moved = self.out.len().wrapping_sub(len);
                    at = at.wrapping_add(moved);
                    end = end.wrapping_add(moved);
                    self.moved += moved as isize;
                }
            }
        }
        Some(())
    }

    fn is_denied(&self, object: Option<&Range<usize>>, member: &[u8]) -> bool {
        let object = object.and_then(|object| self.out.get(object.clone()));
        self.names.denies_also(member)
            || object.is_some_and(|object| self.names.denies_also_in(object, member))
    }
}
