//! Keeps secrets out of the log: by the type of a value, and by the name of a field.
//!
//! | | in the log |
//! |---|---|
//! | [`mask`]`(&token, 5)` | `abcde…` |
//! | [`hashed`]`(&email)` | `hmac-sha256:<key>:<32 hexadecimal digits>` |
//! | a [`Secret`] | nothing: it does not compile |
//! | a field whose name is [denied](crate::redact::DENIED_FIELDS) | `[redacted]` |

use std::fmt::{self, Debug, Display, Write};

use serde::{Serialize, Serializer};

use super::current_log;
use crate::entry::{
    Buffer,
    denied::{REDACTED, is_path_denied},
    json::{Presence, SHOWN, write_str},
    render::{Argument, Debugged, Displayed, Json, Written},
};

/// A value that [`mask`] and [`hashed`] take: whatever has a `Display`, and a [`Secret`] of that.
pub trait Redactable {
    #[doc(hidden)]
    fn text(&self, f: &mut dyn Write) -> fmt::Result;
}

impl<T: Display + ?Sized> Redactable for T {
    fn text(&self, f: &mut dyn Write) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The first `shown` characters of the value and `…`; never more than a third of the value, so that
/// a short secret is not shown as a whole.
///
/// ```
/// use tracing_audit::{mask, redact::Secret};
///
/// assert_eq!(mask("abcdefghijklmnopqrst", 5).to_string(), "abcde…");
/// assert_eq!(mask(&123_456, 5).to_string(), "12…");
/// assert_eq!(mask(&Secret::new("hunter2"), 5).to_string(), "hu…");
/// ```
pub fn mask<T: Redactable + ?Sized>(value: &T, shown: usize) -> Masked<'_, T> {
    Masked { value, shown }
}

/// A value of which only the beginning is shown. Made by [`mask`].
#[derive(Clone, Copy)]
pub struct Masked<'a, T: ?Sized> {
    value: &'a T,
    shown: usize,
}

impl<T: Redactable + ?Sized> Display for Masked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut count = Count(0);
        self.value.text(&mut count)?;
        let mut first = First {
            out: f,
            left: self.shown.min(count.0 / 3),
        };
        self.value.text(&mut first)?;
        f.write_char('…')
    }
}

impl<T: Redactable + ?Sized> fmt::Debug for Masked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<T: Redactable + ?Sized> Serialize for Masked<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SHOWN, &format_args!("{self}"))
    }
}

/// Counts characters.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.chars().count();
        Ok(())
    }
}

/// Lets the first characters through.
struct First<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl Write for First<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text
            .char_indices()
            .nth(self.left)
            .map_or(text.len(), |(at, _)| at);
        self.left -= text[..end].chars().count();
        self.out.write_str(&text[..end])
    }
}

/// A keyed hash of the value: equal values have equal hashes, so that entries can be found by a
/// value which the log does not have.
///
/// The hash is an HMAC-SHA256 (RFC 2104) with the log's current [`HashKey`](crate::HashKey), cut to
/// 128 bits, and names the key. Somebody who has the key computes the hash of a value with
/// [`AuditLog::hashes_of`](crate::AuditLog::hashes_of) or `tracing-audit hash`, and searches for
/// the hash. Where no log takes the event, there is no key, and `[not hashed]` is shown. A hash
/// costs about a microsecond.
///
/// ```
/// use tracing_audit::{audit, hashed};
///
/// # let email = "ann@example.com";
/// audit!("user.invited", email = hashed(email));
/// ```
pub fn hashed<T: Redactable + ?Sized>(value: &T) -> Hashed<'_, T> {
    Hashed(value)
}

/// A value of which only a keyed hash is shown. Made by [`hashed`].
#[derive(Clone, Copy)]
pub struct Hashed<'a, T: ?Sized>(&'a T);

impl<T: Redactable + ?Sized> Display for Hashed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(key) = current_log::hash_key() else {
            return f.write_str("[not hashed]");
        };
        let mut hashing = key.start();
        self.0.text(&mut hashing)?;
        hashing.finish(f)
    }
}

impl<T: Redactable + ?Sized> fmt::Debug for Hashed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<T: Redactable + ?Sized> Serialize for Hashed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SHOWN, &format_args!("{self}"))
    }
}

/// A value that can't be recorded: it has no `Serialize` and no `Display`, and its `Debug` shows
/// nothing.
///
/// ```compile_fail
/// # use tracing_audit::{audit, redact::Secret};
/// let password = Secret::new("hunter2".to_owned());
/// audit!("user.created", given = password);
/// ```
///
/// [`mask`] and [`hashed`] take a `Secret`. Its memory isn't cleared when it is dropped; for that,
/// wrap a type that clears itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps the value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the code that needs it: not for the log.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Display> Redactable for Secret<T> {
    fn text(&self, f: &mut dyn Write) -> fmt::Result {
        self.0.text(f)
    }
}

/// Shows a value although its field has a [denied](crate::redact::DENIED_FIELDS) name.
///
/// ```
/// use tracing_audit::{audit, unredacted};
///
/// audit!("policy.changed", password = unredacted("at least 12 characters"));
/// ```
pub fn unredacted<T: Serialize + ?Sized>(value: &T) -> Unredacted<'_, T> {
    Unredacted(value)
}

/// A value that is shown whatever its field's name. Made by [`unredacted`].
#[derive(Clone, Copy, Debug)]
pub struct Unredacted<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Unredacted<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SHOWN, self.0)
    }
}

/// The value of a field whose name is denied, with the field's path. `audit!` calls `denied` on it,
/// as `(&&&Denied(path, value)).denied()`: the method is found on [`Shown`] for what may be shown;
/// else on one of [`ClearJson`], [`ClearDisplay`] and [`ClearDebug`], whichever the sigil asks for,
/// if the value can be written so; and else on [`Hidden`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Denied<'a, T: ?Sized>(pub &'static str, pub &'a T);

#[doc(hidden)]
pub trait Shown<'d> {
    type Value: Serialize + ?Sized + 'd;
    fn denied(&self) -> Json<'d, Self::Value>;
}

macro_rules! shown {
    ($($bound:ident: $value:ty;)*) => {$(
        impl<'d, 'a, T: $bound + ?Sized> Shown<'d> for &&Denied<'d, $value> {
            type Value = $value;
            fn denied(&self) -> Json<'d, $value> {
                Json(self.1)
            }
        }
    )*};
}

shown! {
    Redactable: Masked<'a, T>;
    Redactable: Hashed<'a, T>;
    Redactable: Option<Masked<'a, T>>;
    Redactable: Option<Hashed<'a, T>>;
    Serialize: Unredacted<'a, T>;
    Serialize: Option<Unredacted<'a, T>>;
}

macro_rules! clear {
    ($($name:ident: $bound:ident, $argument:ident;)*) => {$(
        #[doc(hidden)]
        pub trait $name<'d> {
            type Value: ?Sized + 'd;
            fn denied(&self) -> Unless<$argument<'d, Self::Value>>;
        }

        impl<'d, T: $bound + ?Sized> $name<'d> for &Denied<'d, T> {
            type Value = T;
            fn denied(&self) -> Unless<$argument<'d, T>> {
                Unless { path: self.0, argument: $argument(self.1) }
            }
        }
    )*};
}

clear! {
    ClearJson: Serialize, Json;
    ClearDisplay: Display, Displayed;
    ClearDebug: Debug, Debugged;
}

/// An argument that is hidden unless the log allows its names.
#[doc(hidden)]
#[derive(Debug)]
pub struct Unless<A> {
    path: &'static str,
    argument: A,
}

impl<A: Argument> Argument for Unless<A> {
    fn write(&self, out: &mut Buffer) -> Written {
        if !is_path_denied(self.path, out.names()) {
            return self.argument.write(out);
        }
        // Of a value that is absent nothing is recorded, and nothing hidden.
        let start = out.len();
        let written = self.argument.write(out);
        if !written.is_present() {
            return written;
        }
        out.truncate(start);
        Redacted.write(out)
    }
}

#[doc(hidden)]
pub trait Hidden {
    fn denied(&self) -> Redacted;
}

impl<T: ?Sized> Hidden for Denied<'_, T> {
    fn denied(&self) -> Redacted {
        Redacted
    }
}

/// A value that is not shown.
#[doc(hidden)]
#[derive(Debug)]
pub struct Redacted;

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// The value in place of a field of a derived event that is not shown.
#[doc(hidden)]
pub fn redact<T: ?Sized>(_: &T) -> Redacted {
    Redacted
}

impl Argument for Redacted {
    fn write(&self, out: &mut Buffer) -> Written {
        write_str(out, REDACTED);
        Written(Presence::Present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mask_shows_more_than_a_third() {
        for len in 0..40 {
            let secret: String = "äbcdefghijklmnopqrstuvwxyzäbcdefghijklmnopqrst"
                .chars()
                .take(len)
                .collect();
            for shown in [0, 1, 5, 100] {
                let masked = mask(&secret, shown).to_string();
                let told = masked.strip_suffix('…').unwrap();
                assert!(
                    secret.starts_with(told) && told.chars().count() == shown.min(len / 3),
                    "{secret} as {masked}"
                );
            }
        }
        // However many pieces the text comes in.
        assert_eq!(
            mask(&format_args!("{}{}{}", "ab", "cd", "efghi"), 5).to_string(),
            "abc…"
        );
    }

    #[test]
    fn a_secret_tells_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", mask(&secret, 9)),
            "Secret(…) hu…"
        );
        assert_eq!(
            (*secret.expose(), secret.clone().into_inner()),
            ("hunter2", "hunter2")
        );
    }
}
