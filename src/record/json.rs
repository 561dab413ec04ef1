//! Writing JSON: straight into a byte buffer, without allocating, and so that nothing written can break a line.
//!
//! What differs from `serde_json`, and why it is not used here:
//!
//! - A top-level `None` is told apart from `null`, because it leaves the field out.
//! - An integer beyond ±(2^63-1) becomes a string: most readers of the files have no wider integer.
//! - Raw JSON from [`serde_json::value::RawValue`] is normalised, because it may hold line breaks.
//! - Strings are scanned eight bytes at a time; they are most of a record.

use std::fmt::{self, Display, Write as _};

use serde::{Serialize, ser};

/// Whether a value was written, or was a `None` that leaves its field out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    Absent,
}

/// Appends `value` as JSON, or nothing if it is `None`. A value whose `Serialize` fails is written as a string that says so.
#[inline]
pub(crate) fn write_value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Presence {
    let start = out.len();
    let mut absent = false;
    match value.serialize(Value { out, absent: Some(&mut absent) }) {
        Ok(()) if absent => Presence::Absent,
        Ok(()) => Presence::Present,
        Err(error) => {
            out.truncate(start);
            write_display(out, format_args!("(not serializable: {error})"));
            Presence::Present
        }
    }
}

/// Appends what `value` displays as a JSON string. If its `Display` fails, what it wrote until then stays.
pub(crate) fn write_display(out: &mut Vec<u8>, value: impl Display) {
    out.push(b'"');
    // The writer below never fails; an error is the value's own, and what it had to say is already written.
    let _ = write!(Escaped(out), "{value}");
    out.push(b'"');
}

/// Appends `text` as a JSON string.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

/// Makes the JSON value that begins at `start` a string, if it is not one: `7` becomes `"7"`, an object its text.
#[inline]
pub(crate) fn stringify(out: &mut Vec<u8>, start: usize) {
    if out.get(start) != Some(&b'"') {
        stringify_other(out, start);
    }
}

#[cold]
fn stringify_other(out: &mut Vec<u8>, start: usize) {
    match out.get(start) {
        None => {}
        Some(b'{' | b'[') => {
            let value = String::from_utf8_lossy(&out[start..]).into_owned();
            out.truncate(start);
            write_str(out, &value);
        }
        Some(_) => {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }
}

struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(self.0, text);
        Ok(())
    }
}

/// Appends the JSON-escaped form of `text`, without quotes.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let [high, low] = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// How many bytes from the start need no escape.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The bytes of `word` that are zero have their high bit set in the result; others may, but only above a zero.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = words.remainder();
    at + tail.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(tail.len())
}

fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer, fits: bool) {
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

/// Why a value could not be serialized.
#[derive(Debug)]
struct Failed(String);

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The names under which `serde_json` passes a number of arbitrary precision, and raw JSON, through `Serialize`.
const JSON_NUMBER: &str = "$serde_json::private::Number";
const JSON_RAW: &str = "$serde_json::private::RawValue";

/// Writes one value.
struct Value<'a> {
    out: &'a mut Vec<u8>,
    /// Set when the value is `None`, if that means something here.
    absent: Option<&'a mut bool>,
}

impl<'a> Value<'a> {
    fn inner(out: &'a mut Vec<u8>) -> Self {
        Self { out, absent: None }
    }

    fn open(self, open: &[u8], close: &'static [u8]) -> Compound<'a> {
        self.out.extend_from_slice(open);
        Compound { out: self.out, first: true, close, verbatim: false }
    }

    fn open_variant(self, variant: &str, open: u8, close: &'static [u8]) -> Compound<'a> {
        self.out.push(b'{');
        write_str(self.out, variant);
        self.out.push(b':');
        self.open(&[open], close)
    }

    fn float(self, finite: bool, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Result<(), Failed> {
        if finite {
            write(self.out).map_err(ser::Error::custom)
        } else {
            self.out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty, $value:ident => $fits:expr;)*) => {$(
        fn $method(self, $value: $type) -> Result<(), Failed> {
            write_integer(self.out, $value, $fits);
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for Value<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    integers! {
        serialize_i8: i8, v => true;
        serialize_i16: i16, v => true;
        serialize_i32: i32, v => true;
        serialize_i64: i64, v => v != i64::MIN;
        serialize_i128: i128, v => v.unsigned_abs() <= i64::MAX as u128;
        serialize_u8: u8, v => true;
        serialize_u16: u16, v => true;
        serialize_u32: u32, v => true;
        serialize_u64: u64, v => v <= i64::MAX as u64;
        serialize_u128: u128, v => v <= i64::MAX as u128;
    }

    fn serialize_bool(self, v: bool) -> Result<(), Failed> {
        self.out.extend_from_slice(if v { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, v: f32) -> Result<(), Failed> {
        self.float(v.is_finite(), |out| serde_json::to_writer(out, &v))
    }

    fn serialize_f64(self, v: f64) -> Result<(), Failed> {
        self.float(v.is_finite(), |out| serde_json::to_writer(out, &v))
    }

    fn serialize_char(self, v: char) -> Result<(), Failed> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), Failed> {
        write_str(self.out, v);
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Failed> {
        v.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Failed> {
        match self.absent {
            Some(absent) => *absent = true,
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<(), Failed> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.out.push(b'{');
        write_str(self.out, variant);
        self.out.push(b':');
        value.serialize(Value::inner(self.out))?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, Failed> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>, Failed> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Compound<'a>, Failed> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Compound<'a>, Failed> {
        Ok(self.open_variant(variant, b'[', b"]}"))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, Failed> {
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'a>, Failed> {
        if name == JSON_NUMBER || name == JSON_RAW {
            return Ok(Compound { out: self.out, first: true, close: b"", verbatim: true });
        }
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Compound<'a>, Failed> {
        Ok(self.open_variant(variant, b'{', b"}}"))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Failed> {
        write_display(self.out, value);
        Ok(())
    }
}

/// Writes the elements or fields of one value.
struct Compound<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
    close: &'static [u8],
    /// The one field is JSON text of `serde_json`, to be taken over as the value it stands for.
    verbatim: bool,
}

impl Compound<'_> {
    fn separate(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.separate();
        value.serialize(Value::inner(self.out))
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Failed> {
        if self.verbatim {
            return self.embedded(value);
        }
        self.separate();
        write_str(self.out, key);
        self.out.push(b':');
        value.serialize(Value::inner(self.out))
    }

    /// Takes JSON text over, as a value.
    fn embedded<T: Serialize + ?Sized>(&mut self, text: &T) -> Result<(), Failed> {
        let quoted = serde_json::to_vec(text).map_err(ser::Error::custom)?;
        let text: String = serde_json::from_slice(&quoted).map_err(ser::Error::custom)?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(ser::Error::custom)?;
        match &value {
            // Not through `Serialize`: with arbitrary precision that would lead here again.
            serde_json::Value::Number(number) => {
                let text = number.to_string();
                let integer = !text.contains(['.', 'e', 'E']);
                if integer && !text.parse::<i64>().is_ok_and(|v| v != i64::MIN) {
                    write_str(self.out, &text);
                } else {
                    self.out.extend_from_slice(text.as_bytes());
                }
                Ok(())
            }
            value => value.serialize(Value::inner(self.out)),
        }
    }

    fn finish(self) -> Result<(), Failed> {
        self.out.extend_from_slice(self.close);
        Ok(())
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Failed;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
                self.element(value)
            }

            fn end(self) -> Result<(), Failed> {
                self.finish()
            }
        }
    )*};
}

elements!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Failed;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Failed> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Failed> {
                self.finish()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.separate();
        let start = self.out.len();
        key.serialize(Value::inner(self.out))?;
        // JSON has no other keys than strings.
        stringify(self.out, start);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.out.push(b':');
        value.serialize(Value::inner(self.out))
    }

    fn end(self) -> Result<(), Failed> {
        self.finish()
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
