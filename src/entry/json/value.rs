//! One value as JSON, through its `Serialize`.

use std::fmt::{self, Display};

use serde::{Serialize, ser};

use super::{
    AND_SO_ON, Json, Key, SHOWN, keys, replace, stringify, write_display, write_integer, write_str,
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

/// What stands in the place of a list or an object that is too deep inside others.
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
    end: usize,
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
    fn behind_key(self, out: &Buffer) -> Self {
        Self {
            named: out.len(),
            ..self
        }
    }

    /// Whether a member of a value inside of these bounds is hidden: for the sake of its name, or of
    /// that name together with the nearest key around it.
    #[inline]
    fn deny(&self, member: &[u8], out: &Buffer) -> bool {
        is_member_denied(member, out.names(), || key_before(out, self.named))
    }
}

/// The key that stands before a value, if one does; of a key with a quote in it what is behind that.
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
    fn inner(out: &'a mut Buffer, bounds: Bounds) -> Self {
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
        Ok(Compound {
            end,
            ..self.open(b"[", b"]")
        })
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
            return Ok(Compound {
                verbatim: true,
                ..Compound::new(self.out, self.bounds, b"", Taken::All)
            });
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

/// Which of the elements or fields are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// Those before the value was too long.
    Some,
    /// A text stands in their place.
    Nothing,
}

/// Writes the elements or fields of one value.
pub(super) struct Compound<'a> {
    out: &'a mut Buffer,
    /// Those of each element or field.
    bounds: Bounds,
    /// Where in the buffer no further one begins.
    end: usize,
    /// Where the notes of its keys begin.
    keys: usize,
    first: bool,
    close: &'static [u8],
    /// The one field is JSON text of `serde_json`, to be taken over as the value it stands for.
    verbatim: bool,
    /// The value that comes next in a map is not shown.
    denied: bool,
    taken: Taken,
}

impl<'a> Compound<'a> {
    #[inline]
    fn new(out: &'a mut Buffer, bounds: Bounds, close: &'static [u8], taken: Taken) -> Self {
        Self {
            keys: out.keys.len(),
            out,
            bounds,
            end: bounds.end,
            first: true,
            close,
            verbatim: false,
            denied: false,
            taken,
        }
    }

    /// Begins an element or a field; `false` if no more are taken.
    #[inline]
    fn begins(&mut self) -> bool {
        if self.out.len() > self.end && self.taken == Taken::All {
            self.taken = Taken::Some;
        }
        if self.taken != Taken::All {
            return false;
        }
        self.separate();
        true
    }

    fn separate(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        if self.begins() {
            self.value(value, self.bounds)
        } else {
            Ok(())
        }
    }

    /// A value inside. One that fails leaves whole JSON behind, as its error may be ignored.
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T, bounds: Bounds) -> Result<(), Failed> {
        let start = self.out.len();
        let result = value.serialize(Value::inner(self.out, bounds));
        if let Err(error) = &result {
            replace(self.out, start, error);
        }
        result
    }

    #[inline]
    fn key(&mut self, key: &str) {
        let start = self.out.len();
        write_str(self.out, key);
        self.out.keys.push(Key::new(start, key.as_bytes()));
        self.out.push(b':');
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Failed> {
        if self.verbatim {
            return self.embedded(value);
        }
        if !self.begins() {
            return Ok(());
        }
        self.key(key);
        if self.bounds.deny(key.as_bytes(), self.out) {
            write_str(self.out, REDACTED);
            return Ok(());
        }
        self.value(value, self.bounds.behind_key(self.out))
    }

    /// Takes JSON text over, as a value.
    fn embedded<T: Serialize + ?Sized>(&mut self, text: &T) -> Result<(), Failed> {
        let quoted = serde_json::to_vec(text).map_err(ser::Error::custom)?;
        let text: String = serde_json::from_slice(&quoted).map_err(ser::Error::custom)?;
        let value: Json = match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => {
                write_display(self.out, format_args!("(not serializable: {error})"));
                return Ok(());
            }
        };
        match &value {
            // Not through `Serialize`: with arbitrary precision that would lead here again.
            Json::Number(number) => {
                let text = number.to_string();
                let integer = !text.contains(['.', 'e', 'E']);
                if integer && !text.parse::<i64>().is_ok_and(|v| v != i64::MIN) {
                    write_str(self.out, &text);
                } else {
                    self.out.append(text.as_bytes());
                }
                Ok(())
            }
            value => value.serialize(Value::inner(self.out, self.bounds)),
        }
    }

    fn finish(mut self, named: bool) -> Result<(), Failed> {
        if self.taken == Taken::Some {
            self.separate();
            if named {
                self.key(AND_SO_ON);
            }
            write_str(self.out, AND_SO_ON);
        }
        if named {
            keys::end(self.out, self.keys);
        }
        self.out.append(self.close);
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
                self.finish(false)
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
                self.finish(true)
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        if !self.begins() {
            return Ok(());
        }
        let start = self.out.len();
        key.serialize(Value::inner(self.out, self.bounds))?;
        // JSON has no other keys than strings.
        stringify(self.out, start);
        let name = self.out.get(start + 1..self.out.len() - 1);
        let name = name.unwrap_or_default();
        self.denied = self.bounds.deny(name, self.out);
        let key = Key::new(start, name);
        self.out.keys.push(key);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        if self.taken != Taken::All {
            return Ok(());
        }
        self.out.push(b':');
        if std::mem::take(&mut self.denied) {
            write_str(self.out, REDACTED);
            return Ok(());
        }
        self.value(value, self.bounds.behind_key(self.out))
    }

    fn end(self) -> Result<(), Failed> {
        self.finish(true)
    }
}
