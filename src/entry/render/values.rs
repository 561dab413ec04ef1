//! The values of an entry: what a [`Writer`] can write at any place of it.
//!
//! A key is written before its value, and taken back if the value turns out to be absent.

use tracing_audit_schema::Field;

use super::{argument::Argument, writer::Writer};
use crate::entry::{
    Buffer, PartJson,
    denied::{REDACTED_JSON, is_denied},
    json,
};

/// Of the parts that the mirrored event shows, those that the entry has; every entry has an
/// actor.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

#[doc(hidden)]
impl Parts {
    pub const RESOURCE: Self = Self(1);
    pub const OUTCOME: Self = Self(2);
    pub const DETAILS: Self = Self(4);

    pub(super) fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }
}

/// An object that may turn out to be empty; see [`Writer::open`].
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "it has to be closed"]
pub struct Object {
    /// Where its key begins.
    key: usize,
    start: usize,
}

impl Writer<'_> {
    /// Writes what is known while compiling: `,"mode":"full"`, and what opens or closes an object
    /// that is not empty.
    #[inline]
    pub fn known(&mut self, json: &'static str) {
        self.out.append(json.as_bytes());
    }

    /// Writes what is known while compiling, and a field. `json` ends in the field's key, of `key`
    /// bytes with its comma and colon; without a value the key is taken back.
    pub fn field(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        write_field(self.out, json.as_bytes(), key, value);
    }

    /// As [`field`](Self::field), of an object whose members stand in the field's place. Another
    /// value stays under the key, and so does `[redacted]` if the key is denied.
    pub fn flatten(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        let name = json.get(json.len() - key + 2..json.len() - 2);
        let name = name.unwrap_or_default().as_bytes();
        let names = self.out.names();
        if is_denied(name, names) || names.is_some_and(|names| names.denies_also(name)) {
            self.out.append(json.as_bytes());
            self.out.append(REDACTED_JSON);
            return;
        }
        let Some(start) = write_field(self.out, json.as_bytes(), key, value) else {
            return;
        };
        let end = self.out.len() - 1;
        match self.out.get(start..end) {
            Some(b"{") => self.out.truncate(start - key),
            Some([b'{', ..]) => {
                self.out.truncate(end);
                // The comma of the key is that of the first member.
                self.out.replace(start - key + 1..start + 1, b"");
            }
            _ => {}
        }
    }

    /// Of members that have one name, keeps the last, in the place of the first. To be called
    /// before the object is closed.
    pub fn leave_last(&mut self, object: &Object) {
        json::leave_last(self.out, object.start);
    }

    /// As [`field`](Self::field), of a value that must be a string.
    pub fn text(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        write_text(self.out, json.as_bytes(), key, value);
    }

    /// Sets a text of the entry's own that no span fills.
    pub(crate) fn own_text(&mut self, field: &'static Field, value: &dyn Argument) {
        write_text(self.out, field.key.as_bytes(), field.key.len(), value);
    }

    /// Sets the texts of a part that no span fills, such as the resource.
    pub(crate) fn own_part(
        &mut self,
        field: &'static Field,
        part: Parts,
        write: impl FnOnce(&mut Self),
    ) {
        let object = self.open_field(field);
        write(self);
        self.close_part(object, part);
    }

    /// As [`field`](Self::field), of a value that must be a list: another one becomes the only
    /// element.
    pub fn list(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        let Some(start) = write_field(self.out, json.as_bytes(), key, value) else {
            return;
        };
        if self.out.at(start).map(|first| *first) != Some(b'[') {
            self.out.insert(start, b"[");
            self.out.push(b']');
        }
    }

    /// As [`field`](Self::field), of an object that may turn out to be empty, and then leaves
    /// nothing. Each field in it has a comma before it; that of the first becomes the opening
    /// brace.
    pub fn open(&mut self, json: &'static str, key: usize) -> Object {
        self.out.extend_from_slice(json.as_bytes());
        let start = self.out.len();
        Object {
            key: start - key,
            start,
        }
    }

    /// Opens an object of the entry's own.
    #[inline]
    pub(super) fn open_field(&mut self, field: &Field) -> Object {
        self.out.extend_from_slice(field.key.as_bytes());
        let start = self.out.len();
        Object {
            key: start - field.key.len(),
            start,
        }
    }

    /// Ends an object; says whether there is anything in it.
    pub fn close(&mut self, object: Object) -> bool {
        match self.out.at(object.start) {
            None => {
                self.out.truncate(object.key);
                false
            }
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
                true
            }
        }
    }

    /// As [`close`](Self::close), of a part of the entry.
    pub fn close_part(&mut self, object: Object, part: Parts) {
        if self.close(object) {
            self.has(part);
        }
    }

    /// Says that the entry has this part.
    #[inline]
    pub fn has(&mut self, part: Parts) {
        self.parts.0 |= part.0;
    }

    pub(super) fn part<const N: usize>(&mut self, part: &PartJson<N>, fields: &[Field; N]) {
        for (index, field) in fields.iter().enumerate() {
            if let Some(value) = part.field(index) {
                self.out.append(field.key.as_bytes());
                self.out.append(value);
            }
        }
    }
}

/// Writes JSON that ends in a key of `key` bytes, and the value; if that is absent, takes the key
/// back. Says where the value begins.
///
/// Inlined, as is [`write_text`]: of a key that is a constant only a store or two is left.
#[inline(always)]
pub(super) fn write_field(
    out: &mut Buffer,
    json: &[u8],
    key: usize,
    value: &dyn Argument,
) -> Option<usize> {
    out.extend_from_slice(json);
    let start = out.len();
    if value.write(out).is_present() {
        Some(start)
    } else {
        out.truncate(start - key);
        None
    }
}

/// As [`write_field`], of a key that nothing stands before.
#[inline(always)]
pub(super) fn write_key(
    out: &mut Buffer,
    key: &'static str,
    value: &dyn Argument,
) -> Option<usize> {
    write_field(out, key.as_bytes(), key.len(), value)
}

/// As [`write_field`], of a value that must be a string. Says whether it is there.
#[inline(always)]
pub(super) fn write_text(out: &mut Buffer, json: &[u8], key: usize, value: &dyn Argument) -> bool {
    match write_field(out, json, key, value) {
        Some(start) => {
            json::stringify(out, start);
            true
        }
        None => false,
    }
}
