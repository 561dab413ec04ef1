//! The values in `details` that a filter names.

use super::{needle::Needle, number::Number};
use crate::entry::scan::escape;

/// A value that is looked for in `details`: a text, or what else JSON writes in the same way.
#[derive(Clone, Debug)]
pub(super) struct DetailValue {
    text: Vec<u8>,
    number: Option<Number>,
}

impl DetailValue {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: escape(text),
            number: Number::parse(text.as_bytes()),
        }
    }

    /// Whether a value of a line, as JSON, is this one.
    pub(super) fn is(&self, found: &[u8]) -> bool {
        match found {
            [b'"', text @ .., b'"'] => text == self.text,
            [b'{' | b'[', ..] => false,
            scalar if scalar == self.text => true,
            scalar => self.number.is_some() && self.number == Number::parse(scalar),
        }
    }

    /// Bytes of every line that has one of the values under this key.
    pub(super) fn needle(key: &[u8], values: &[Self]) -> Option<Needle> {
        let member = |value: &[u8]| [key, b"\":", value].concat();
        let text = |value: &Self| member(&[b"\"", &value.text[..], b"\""].concat());
        if values.iter().all(|value| value.number.is_none()) {
            let words = values.iter().filter(|value| is_word(&value.text));
            let words = words.map(|value| member(&value.text));
            return Needle::any(values.iter().map(text).chain(words).collect());
        }
        let escaped = |bytes: &[u8]| regex::escape(&String::from_utf8_lossy(bytes));
        let patterns = values.iter().map(|value| match &value.number {
            Some(number) => format!("\"{}\"|{}", escaped(&value.text), number.pattern()),
            None if is_word(&value.text) => format!("\"?{}", escaped(&value.text)),
            None => format!("\"{}\"", escaped(&value.text)),
        });
        let patterns = patterns.collect::<Vec<_>>().join("|");
        Needle::pattern(&format!("{}\":(?:{patterns})", escaped(key)))
    }
}

/// Whether JSON writes something else than a text with these letters.
fn is_word(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false" | b"null")
}
