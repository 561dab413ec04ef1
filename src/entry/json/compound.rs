//! A list or an object as JSON, through its `Serialize`: element by element.

use serde::{Serialize, ser};

use super::{
    AND_SO_ON, Json, Key, keys, replace, stringify,
    value::{Bounds, Failed, Value},
    write_display, write_str,
};
use crate::entry::{buffer::Buffer, denied::REDACTED};

/// Which of the elements or fields are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    All,
    /// The members before the value was too long.
    Some,
    /// A text stands in their place.
    Nothing,
}

/// Writes the elements or fields of one value.
pub(super) struct Compound<'a> {
    out: &'a mut Buffer,
    /// The bounds of each element or field.
    bounds: Bounds,
    /// No element begins behind this place in the buffer.
    pub(super) end: usize,
    /// Where the notes of its keys begin.
    keys: usize,
    first: bool,
    close: &'static [u8],
    /// The one field is JSON text of `serde_json`, to be taken over as the value it stands for.
    pub(super) verbatim: bool,
    /// The value that comes next in a map is not shown.
    denied: bool,
    taken: Taken,
}

impl<'a> Compound<'a> {
    #[inline]
    pub(super) fn new(
        out: &'a mut Buffer,
        bounds: Bounds,
        close: &'static [u8],
        taken: Taken,
    ) -> Self {
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

    pub(super) fn field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
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

    pub(super) fn finish(mut self, named: bool) -> Result<(), Failed> {
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
