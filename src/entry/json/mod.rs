//! Writing JSON: straight into a byte buffer, without allocating, and so that nothing written can
//! break a line.
//!
//! The differences from `serde_json`, and why it is not used here:
//!
//! - A top-level `None` differs from `null`, because it leaves the field out.
//! - An integer beyond ±(2^63-1) becomes a string: most readers of the files have no wider integer.
//! - What nests deeper than readers parse is left out, and so are the elements of a list after more
//!   than an entry can hold and the members of an object after many times that. `…` stands in their
//!   place, and at the end of a text that long.
//! - Raw JSON from [`serde_json::value::RawValue`] is normalised, because it may hold line breaks.
//!   What `serde_json` does not parse, as it does not beyond 127 levels, is replaced as a whole by
//!   a text that says so.
//! - A key that an object has already replaces its value; both would be written there.
//! - Strings are copied and scanned in one go, sixteen bytes at a time; they are most of an entry.

mod compound;
mod keys;
mod tree;
mod value;

use std::fmt::{self, Display, Write as _};

pub(super) use keys::Key;
pub(crate) use keys::leave_last;
use serde::Serialize;
#[cfg(any(feature = "export", feature = "webhook"))]
pub(crate) use tree::check;
pub(crate) use tree::{Json, Members, members};
use value::{Bounds, Value};

use super::buffer::{Buffer, SHORT, SLACK, copy_plain, copy_short_plain, special_in};

/// The sign for the rest of a value that is too long: at the end of a text, as the last element of
/// a list, as the last member of an object.
pub(crate) const AND_SO_ON: &str = "…";

/// The name of the newtypes whose values are recorded whatever the names of their fields.
pub(crate) const SHOWN: &str = "$tracing_audit::private::Shown";

/// Whether a value was written, or was a `None` that leaves its field out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    Absent,
}

/// Appends `value` as JSON, or nothing if it is `None`. A value whose `Serialize` fails is written
/// as a string that says so.
#[inline]
pub(crate) fn write_value<T: Serialize + ?Sized>(out: &mut Buffer, value: &T) -> Presence {
    let start = out.len();
    let mut absent = false;
    let bounds = Bounds::from_here(out);
    match value.serialize(Value {
        out,
        bounds,
        absent: Some(&mut absent),
    }) {
        Ok(()) if absent => Presence::Absent,
        Ok(()) => Presence::Present,
        Err(error) => {
            replace(out, start, &error);
            Presence::Present
        }
    }
}

/// Writes why it failed in the place of a value that was begun at `start`.
#[cold]
fn replace(out: &mut Buffer, start: usize, error: &impl Display) {
    out.truncate(start);
    out.keys.retain(|key| key.is_before(start));
    write_display(out, format_args!("(not serializable: {error})"));
}

/// Appends what `value` displays as a JSON string. If its `Display` fails, what it wrote until then
/// stays.
pub(crate) fn write_display(out: &mut Buffer, value: impl Display) {
    out.push(b'"');
    // The writer below never fails; an error is the value's own, and what it had to say is already
    // written.
    let left = Some(out.longest());
    let _ = write!(Escaped { out, left }, "{value}");
    out.push(b'"');
}

/// Appends `text` as a JSON string.
pub(crate) fn write_str(out: &mut Buffer, text: &str) {
    let len = text.len();
    if len <= SHORT
        && let Some([open, room @ ..]) = out.chunk::<{ 1 + SHORT + SLACK }>()
        && copy_short_plain(room, text.as_bytes())
    {
        *open = b'"';
        room[len] = b'"';
        out.advance(len + 2);
    } else {
        write_any_str(out, text);
    }
}

/// As [`write_str`], of a text that is long or has something to escape.
#[inline(never)]
fn write_any_str(out: &mut Buffer, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

/// Makes the JSON value that begins at `start` a string, if it is not one: `7` becomes `"7"`, an
/// object its text.
#[inline]
pub(crate) fn stringify(out: &mut Buffer, start: usize) {
    if out.at(start).map(|first| *first) != Some(b'"') {
        stringify_other(out, start);
    }
}

#[cold]
fn stringify_other(out: &mut Buffer, start: usize) {
    match out.get(start) {
        None => {}
        Some(b'{' | b'[') => {
            let value = String::from_utf8_lossy(&out[start..]).into_owned();
            out.truncate(start);
            write_str(out, &value);
        }
        Some(_) => {
            out.insert(start, b"\"");
            out.push(b'"');
        }
    }
}

struct Escaped<'a> {
    out: &'a mut Buffer,
    /// How many more bytes are taken, `None` once they were not enough.
    left: Option<usize>,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Some(left) = self.left else { return Ok(()) };
        self.left = left.checked_sub(text.len());
        if self.left.is_some() {
            escape_into(self.out, text);
        } else {
            escape_beginning(self.out, text, left);
        }
        Ok(())
    }
}

/// Appends the JSON-escaped form of `text`, or of as much of it as is taken, without quotes.
pub(crate) fn escape_into(out: &mut Buffer, text: &str) {
    let len = text.len();
    if len > out.longest() {
        return escape_beginning(out, text, out.longest());
    }
    let room = out.room(len.max(SHORT) + SLACK);
    if if len <= SHORT {
        copy_short_plain(room, text.as_bytes())
    } else {
        copy_plain(room, text.as_bytes())
    } {
        out.advance(len);
    } else {
        escape_specials(out, text);
    }
}

/// As [`escape_into`], of a text that is longer than what is `left` for it.
#[cold]
fn escape_beginning(out: &mut Buffer, text: &str, left: usize) {
    let left = left.saturating_sub(AND_SO_ON.len());
    let end = (0..=left)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    escape_into(out, &text[..end]);
    out.append(AND_SO_ON.as_bytes());
}

/// As [`escape_into`], of a text that has something to escape.
fn escape_specials(out: &mut Buffer, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.append(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        match byte {
            b'"' => out.append(b"\\\""),
            b'\\' => out.append(b"\\\\"),
            b'\n' => out.append(b"\\n"),
            b'\r' => out.append(b"\\r"),
            b'\t' => out.append(b"\\t"),
            0x08 => out.append(b"\\b"),
            0x0c => out.append(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let [high, low] = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.append(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// How many bytes from the start need no escape.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = special_in(u64::from_le_bytes(*word));
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8
        + tail
            .iter()
            .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
            .unwrap_or(tail.len())
}

fn write_integer(out: &mut Buffer, value: impl itoa::Integer, fits: bool) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    if fits {
        out.extend_from_slice(digits);
    } else {
        out.push(b'"');
        out.extend_from_slice(digits);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests;
