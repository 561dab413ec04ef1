//! Values that are written as plain literals: their JSON is known while compiling, and is what the
//! runtime would write.
//!
//! A literal whose type would have to be known (a float, an integer beyond the type it would have)
//! is left to the runtime, or to the compiler's own error.

use syn::{Expr, Lit, LitInt, UnOp};

use crate::{
    call::Message,
    denied::is_denied,
    field::{Field, Sigil},
    slot::type_of,
};

/// The JSON of a field's value, if it is a literal without a sigil.
///
/// An actor, a resource and an outcome as a whole have no literals; their types say so.
pub(crate) fn json_of(field: &Field) -> Option<String> {
    // Whether a denied name is allowed depends on the log.
    if is_denied(field) {
        None
    } else {
        literal(field)
    }
}

fn literal(field: &Field) -> Option<String> {
    if field.sigil != Sigil::Json || type_of(&field.path.to_string()).is_some() {
        return None;
    }
    match &field.value {
        Expr::Lit(literal) if literal.attrs.is_empty() => match &literal.lit {
            Lit::Str(text) if text.suffix().is_empty() => Some(json_string(&text.value())),
            Lit::Char(character) if character.suffix().is_empty() => {
                Some(json_string(&character.value().to_string()))
            }
            Lit::Bool(truth) => Some(truth.value.to_string()),
            Lit::Int(number) => integer(number, ""),
            _ => None,
        },
        Expr::Unary(unary) if unary.attrs.is_empty() && matches!(unary.op, UnOp::Neg(_)) => {
            match &*unary.expr {
                Expr::Lit(literal) if literal.attrs.is_empty() => match &literal.lit {
                    Lit::Int(number) => integer(number, "-"),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// The JSON of an integer, if its type holds it and the log has it as a number.
fn integer(number: &LitInt, sign: &str) -> Option<String> {
    let value: i64 = format!("{sign}{}", number.base10_digits()).parse().ok()?;
    let fits = match number.suffix() {
        "i8" => i8::try_from(value).is_ok(),
        "i16" => i16::try_from(value).is_ok(),
        "" | "i32" => i32::try_from(value).is_ok(),
        "i64" => value != i64::MIN,
        "u8" => sign.is_empty() && u8::try_from(value).is_ok(),
        "u16" => sign.is_empty() && u16::try_from(value).is_ok(),
        "u32" => sign.is_empty() && u32::try_from(value).is_ok(),
        "u64" => sign.is_empty(),
        _ => false,
    };
    fits.then(|| value.to_string())
}

/// The JSON of a message that has nothing to fill in.
pub(crate) fn message_of(message: &Message) -> Option<String> {
    let text = message.format.value();
    let plain = message.arguments.is_empty()
        && message.format.suffix().is_empty()
        && !text.contains(['{', '}']);
    plain.then(|| json_string(&text))
}

/// A JSON string, quotes included.
pub(crate) fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// `"key":`
pub(crate) fn key_of(key: &str) -> String {
    json_string(key) + ":"
}
