//! One value as JSON, through its `Serialize`.

use std::fmt::{self, Display};

use serde::{Serialize, ser};

use super::{
    SHOWN,
    compound::{Compound, Taken},
    write_display, write_integer, write_str,
};
use crate::entry::{
    buffer::Buffer,
    denied::{REDACTED, is_member_denied},
};

/// Why a value could not be serialized.
#[derive(Debug)]
pub(super) struct Failed(String);

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

/// The names under which `serde_json` passes a number of arbitrary precision, and raw JSON, through
/// `Serialize`.
pub(super) const JSON_NUMBER: &str = "$serde_json::private::Number";
const JSON_RAW: &str = "$serde_json::private::RawValue";

/// How deep lists and objects nest in one value. Readers parse JSON that is 128 deep at most, with
/// the entry and what a request puts around it.
const DEEPEST: u8 = 100;

/// The text in place of a list or an object that is too deep inside others.
const TOO_DEEP: &str = "(nested too deeply)";

/// How many entries long a value may become. A list ends when it is longer than one entry; but one
/// long field of an object must not hide those that come after it, so an object goes on.
const MOST_RECORDS: usize = 16;

/// How much is taken of a value.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How many lists and objects may still be opened inside each other.
    levels: u8,
    /// Where in the buffer no further element or field begins.
    pub(super) end: usize,
    /// Where in the buffer the value begins that the nearest key stands before.
    named: usize,
}

impl Bounds {
    #[inline]
    pub(super) fn from_here(out: &Buffer) -> Self {
        Self {
            levels: DEEPEST,
            end: out
                .len()
                .saturating_add(out.longest().saturating_mul(MOST_RECORDS)),
            named: out.len(),
        }
    }

    /// Of a value whose key is written.
    #[inline]
    pub(super) fn behind_key(self, out: &Buffer) -> Self {
        Self {
            named: out.len(),
            ..self
        }
    }

    /// Whether a member of a value inside of these bounds is hidden: for the sake of its name, or
    /// of that name together with the nearest key around it.
    #[inline]
    pub(super) fn deny(&self, member: &[u8], out: &Buffer) -> bool {
        is_member_denied(member, out.names(), || key_before(out, self.named))
    }
}

/// The key that stands before a value, if one does; of a key with a quote in it what is behind
/// that.
fn key_before(out: &[u8], value: usize) -> &[u8] {
    let before = out.get(..value).unwrap_or_default();
    let Some(key) = before.strip_suffix(b"\":") else {
        return b"";
    };
    let quote = key.iter().rposition(|byte| *byte == b'"');
    key.get(quote.map_or(0, |quote| quote + 1)..)
        .unwrap_or_default()
}

/// Writes one value.
pub(super) struct Value<'a> {
    pub(super) out: &'a mut Buffer,
    pub(super) bounds: Bounds,
    /// Set when the value is `None`, if that means something here.
    pub(super) absent: Option<&'a mut bool>,
}

impl<'a> Value<'a> {
    pub(super) fn inner(out: &'a mut Buffer, bounds: Bounds) -> Self {
        Self {
            out,
            bounds,
            absent: None,
        }
    }

    fn open(self, open: &[u8], close: &'static [u8]) -> Compound<'a> {
        let Some(levels) = self.bounds.levels.checked_sub(1) else {
            return self.instead(TOO_DEEP, b"");
        };
        self.out.append(open);
        let bounds = Bounds {
            levels,
            ..self.bounds
        };
        Compound::new(self.out, bounds, close, Taken::All)
    }

    fn open_variant(mut self, variant: &str, open: u8, close: &'static [u8]) -> Compound<'a> {
        let Some(levels) = self.bounds.levels.checked_sub(1) else {
            return self.instead(TOO_DEEP, b"");
        };
        self.bounds.levels = levels;
        self.out.push(b'{');
        write_str(self.out, variant);
        self.out.push(b':');
        let is_denied = self.bounds.deny(variant.as_bytes(), self.out);
        self.bounds = self.bounds.behind_key(self.out);
        match levels {
            _ if is_denied => self.instead(REDACTED, b"}"),
            0 => self.instead(TOO_DEEP, b"}"),
            _ => self.open(&[open], close),
        }
    }

    /// A text in the place of a list or an object, nothing of which is written.
    fn instead(self, text: &str, close: &'static [u8]) -> Compound<'a> {
        write_str(self.out, text);
        Compound::new(self.out, self.bounds, close, Taken::Nothing)
    }

    fn float(
        self,
        finite: bool,
        write: impl FnOnce(&mut Buffer) -> serde_json::Result<()>,
    ) -> Result<(), Failed> {
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
        #[inline]
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
        self.out
            .extend_from_slice(if v { b"true" } else { b"false" });
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

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Failed> {
        write_str(self.out, v);
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Failed> {
        v.serialize(self)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Failed> {
        match self.absent {
            Some(absent) => *absent = true,
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    #[inline]
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

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Failed> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        if name == SHOWN && self.absent.is_some() {
            self.out.note_shown();
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        let mut object = self.open(b"{", b"}");
        object.field(variant, value)?;
        object.finish(true)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, Failed> {
        let end = self
            .out
            .len()
            .saturating_add(self.out.longest())
            .min(self.bounds.end);
        let mut list = self.open(b"[", b"]");
        list.end = end;
        Ok(list)
    }

    // The elements of a tuple are what the fields of a struct are: none hides the next.
    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>, Failed> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<Compound<'a>, Failed> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Failed> {
        Ok(self.open_variant(variant, b'[', b"]}"))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, Failed> {
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'a>, Failed> {
        if name == JSON_NUMBER || name == JSON_RAW {
            let mut embedded = Compound::new(self.out, self.bounds, b"", Taken::All);
            embedded.verbatim = true;
            return Ok(embedded);
        }
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Failed> {
        Ok(self.open_variant(variant, b'{', b"}}"))
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Failed> {
        write_display(self.out, value);
        Ok(())
    }
}
