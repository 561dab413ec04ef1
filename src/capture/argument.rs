//! How an argument of `audit!` becomes JSON: as its `Serialize`, its `Display` (`%`) or its `Debug` (`?`) has it.

use std::fmt::{Debug, Display};

use serde::Serialize;

use crate::record::json::{self, Presence};

/// One argument of `audit!`, with the way it is rendered.
pub trait Argument {
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>) -> Written;
}

/// Whether an argument left something behind.
#[doc(hidden)]
#[derive(Debug)]
pub struct Written(pub(super) Presence);

#[doc(hidden)]
#[derive(Debug)]
pub struct Json<'a, T: ?Sized>(&'a T);

#[doc(hidden)]
pub fn json<T: Serialize + ?Sized>(value: &T) -> Json<'_, T> {
    Json(value)
}

impl<T: Serialize + ?Sized> Argument for Json<'_, T> {
    fn write(&self, out: &mut Vec<u8>) -> Written {
        Written(json::write_value(out, self.0))
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Displayed<'a, T: ?Sized>(&'a T);

#[doc(hidden)]
pub fn display<T: Display + ?Sized>(value: &T) -> Displayed<'_, T> {
    Displayed(value)
}

impl<T: Display + ?Sized> Argument for Displayed<'_, T> {
    fn write(&self, out: &mut Vec<u8>) -> Written {
        json::write_display(out, self.0);
        Written(Presence::Present)
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Debugged<'a, T: ?Sized>(&'a T);

#[doc(hidden)]
pub fn debug<T: Debug + ?Sized>(value: &T) -> Debugged<'_, T> {
    Debugged(value)
}

impl<T: Debug + ?Sized> Argument for Debugged<'_, T> {
    fn write(&self, out: &mut Vec<u8>) -> Written {
        json::write_display(out, format_args!("{:?}", self.0));
        Written(Presence::Present)
    }
}
