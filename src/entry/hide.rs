//! Hides the values whose names only the log denies, in an entry that has been rendered.
//!
//! Names come from several places: some are known while compiling, maybe with their values, some
//! are inside serialized values, and some are in parts that were rendered earlier. All of them meet
//! in the rendered entry. A masked, hashed or unredacted value stays: the buffer has noted where
//! such values begin.

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
            match key {
                b"details" if of_entry => self.inside(value)?,
                b"actor" | b"resource" if of_entry => self.members(value, false)?,
                b"attributes" | b"prior_attributes" if !of_entry => self.inside(value)?,
                _ => {}
            }
            at = scan::value_end(self.out, value)?;
        }
        Some(())
    }

    /// Goes through all that is in a value.
    fn inside(&mut self, start: usize) -> Option<()> {
        let mut end = scan::value_end(self.out, start)?;
        let mut at = start;
        while at < end {
            if self.out.get(at) != Some(&b'"') {
                at += 1;
                continue;
            }
            let text = scan::string(self.out, at)?;
            let behind = at + text.len() + 2;
            if self.out.get(behind) != Some(&b':') {
                at = behind;
                continue;
            }
            at = behind + 1;
            if self.names.denies_also(text) {
                let value = at..scan::value_end(self.out, at)?;
                at = value.end;
                if !self
                    .out
                    .is_shown(value.start.wrapping_add_signed(-self.moved))
                {
                    let len = self.out.len();
                    self.out.replace(value, REDACTED_JSON);
                    let moved = self.out.len().wrapping_sub(len);
                    (at, end) = (at.wrapping_add(moved), end.wrapping_add(moved));
                    self.moved += moved as isize;
                }
            }
        }
        Some(())
    }
}
