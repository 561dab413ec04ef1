//! How an argument of `audit!` becomes JSON: as its `Serialize`, its `Display` (`%`) or its `Debug`
//! (`?`) has it.

use std::fmt::{Debug, Display};

use serde::{Serialize, Serializer};

use crate::entry::{
    Buffer,
    json::{self, Presence},
};

/// One argument of `audit!`, with the way it is rendered.
pub trait Argument {
    #[doc(hidden)]
    fn write(&self, out: &mut Buffer) -> Written;
}

/// Whether an argument left something behind.
#[doc(hidden)]
#[derive(Debug)]
pub struct Written(pub(crate) Presence);

impl Written {
    pub(crate) fn is_present(&self) -> bool {
        self.0 == Presence::Present
    }
}

/// A value that is JSON already.
#[doc(hidden)]
#[derive(Debug)]
pub struct Literal(&'static str);

#[doc(hidden)]
pub fn literal(json: &'static str) -> Literal {
    Literal(json)
}

impl Argument for Literal {
    fn write(&self, out: &mut Buffer) -> Written {
        out.append(self.0.as_bytes());
        Written(Presence::Present)
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Json<'a, T: ?Sized>(pub(crate) &'a T);

/// The values that a field of `audit!` takes without a sigil: those whose type implements
/// [`serde::Serialize`].
///
/// There is nothing to implement: derive `Serialize`. The trait has a name of its own so that the
/// compiler can say what else to write (`name = %value` for the `Display` text, `name = ?value` for
/// the `Debug` text). Generic code that records a value asks for it:
///
/// ```
/// use tracing_audit::{Recordable, audit};
///
/// fn changed<T: Recordable>(setting: &str, value: &T) {
///     audit!("setting.changed", setting, value);
/// }
///
/// changed("retention_days", &90);
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{Self}` can't be recorded as it is",
    label = "this value has no `serde::Serialize`",
    note = "derive `serde::Serialize` for its type, or record its text: `name = %value` \
            (`Display`) or `name = ?value` (`Debug`)",
    note = "a `Secret` can be recorded by its beginning, `name = mask(&secret, 5)`, or by its \
            keyed hash, `name = hashed(&secret)`"
)]
pub trait Recordable: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Recordable for T {}

/// Asks nothing of the value: of one that can't be recorded, the bound of [`Argument`] is the only
/// complaint then.
#[doc(hidden)]
pub fn json<T: ?Sized>(value: &T) -> Json<'_, T> {
    Json(value)
}

impl<T: Recordable + ?Sized> Argument for Json<'_, T> {
    fn write(&self, out: &mut Buffer) -> Written {
        Written(json::write_value(out, self.0))
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Displayed<'a, T: ?Sized>(pub(crate) &'a T);

#[doc(hidden)]
pub fn display<T: ?Sized>(value: &T) -> Displayed<'_, T> {
    Displayed(value)
}

impl<T: Display + ?Sized> Argument for Displayed<'_, T> {
    fn write(&self, out: &mut Buffer) -> Written {
        json::write_display(out, self.0);
        Written(Presence::Present)
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Debugged<'a, T: ?Sized>(pub(crate) &'a T);

#[doc(hidden)]
pub fn debug<T: ?Sized>(value: &T) -> Debugged<'_, T> {
    Debugged(value)
}

impl<T: Debug + ?Sized> Argument for Debugged<'_, T> {
    fn write(&self, out: &mut Buffer) -> Written {
        json::write_display(out, format_args!("{:?}", self.0));
        Written(Presence::Present)
    }
}

/// A value that is recorded as its `Display` has it, where its `Serialize` is asked for.
#[doc(hidden)]
#[derive(Debug)]
pub struct AsDisplay<'a, T: ?Sized>(pub &'a T);

impl<T: Display + ?Sized> Serialize for AsDisplay<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// The same for its `Debug`.
#[doc(hidden)]
#[derive(Debug)]
pub struct AsDebug<'a, T: ?Sized>(pub &'a T);

impl<T: Debug + ?Sized> Serialize for AsDebug<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}
