//! The runtime of `#[audited]`: values that outlive their arguments, the end of a body however it
//! ends, and the error it ended with.
//!
//! Always true: a body that was begun has one end. Its result is recorded, or the [`Ending`]
//! is dropped without a result, which means a panic or a future that was dropped.

use std::{
    error::Error,
    fmt::{Debug, Display, Write as _},
    ops::Deref,
    time::Instant,
};

use super::mirror;
use crate::entry::{
    Buffer,
    denied::names_of_log,
    json::Presence,
    render::{Argument, Written},
};

/// An argument that was rendered before the body ran, which may have moved it since.
#[derive(Debug)]
pub struct Captured {
    /// `None` if the argument was.
    json: Option<Vec<u8>>,
    /// Whether the argument is recorded whatever its name.
    shown: bool,
}

/// Renders an argument, to be written later, and more than once.
pub fn capture(argument: &impl Argument) -> Captured {
    let mut json = Buffer::default();
    json.set_names(names_of_log());
    let present = argument.write(&mut json).is_present();
    Captured {
        shown: json.is_shown(0),
        json: present.then(|| json.into_vec()),
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Again<'a>(&'a Captured);

/// A captured argument as an argument.
pub fn captured(argument: &Captured) -> Again<'_> {
    Again(argument)
}

impl Argument for Again<'_> {
    fn write(&self, out: &mut Buffer) -> Written {
        Written(match &self.0.json {
            Some(json) => {
                if self.0.shown {
                    out.note_shown();
                }
                out.append(json);
                Presence::Present
            }
            None => Presence::Absent,
        })
    }
}

/// Runs a body, so that `return` and `?` end it and not the function around it.
#[inline]
pub fn call_once<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Tells an `async` block its type, in code that never runs.
///
/// # Panics
///
/// Always.
#[inline]
pub fn never<R>() -> R {
    unreachable!("it stands behind `if false`")
}

/// A body that has begun. `failed` gets the reason and the milliseconds if it does not return, or
/// if a value of its end panics.
#[derive(Debug)]
pub struct Ending<F: Fn(&'static str, u64)> {
    began: Instant,
    failed: F,
    returned: bool,
    recorded: bool,
}

impl<F: Fn(&'static str, u64)> Ending<F> {
    /// Begins now.
    pub fn begin(failed: F) -> Self {
        Self {
            began: Instant::now(),
            failed,
            returned: false,
            recorded: false,
        }
    }

    /// The body has returned: says how many milliseconds it took.
    pub fn returned(&mut self) -> u64 {
        self.returned = true;
        mirror::take_unwound();
        self.milliseconds()
    }

    /// The end of the body that has returned is recorded.
    pub fn recorded(mut self) {
        self.recorded = true;
    }

    fn milliseconds(&self) -> u64 {
        self.began
            .elapsed()
            .as_millis()
            .try_into()
            .unwrap_or(u64::MAX)
    }
}

impl<F: Fn(&'static str, u64)> Drop for Ending<F> {
    fn drop(&mut self) {
        // If another layer panics on the end's event, the end is in the log by then.
        let is_recorded = self.recorded || self.returned && mirror::take_unwound();
        if !is_recorded {
            let reason = if std::thread::panicking() {
                "panic"
            } else {
                "cancelled"
            };
            (self.failed)(reason, self.milliseconds());
        }
    }
}

/// The value that a body returned. For a `Result`, under whatever name, the method of this type is
/// found; for all else, that of [`Whole`].
#[derive(Debug)]
pub struct Returned<'a, R: ?Sized>(pub &'a R);

impl<'a, T, E> Returned<'a, Result<T, E>> {
    /// Success or failure.
    pub fn split(&self) -> Result<&'a T, &'a E> {
        self.0.as_ref()
    }
}

/// A value that is no `Result`.
pub trait Whole<'a, R: ?Sized> {
    /// Always success.
    fn split(&self) -> Result<&'a R, &'a NoError>;
}

impl<'a, R: ?Sized> Whole<'a, R> for Returned<'a, R> {
    fn split(&self) -> Result<&'a R, &'a NoError> {
        Ok(self.0)
    }
}

/// The error of a function that does not return a `Result`: there is none.
#[derive(Debug)]
pub enum NoError {}

/// An error whose text is wanted. `(&&&&&ErrorText(error)).text()` finds the first of these traits
/// that the error's type has.
#[derive(Debug)]
pub struct ErrorText<'a, E: ?Sized>(pub &'a E);

/// The type is an error: with its sources.
pub trait TextOfError {
    #[doc(hidden)]
    fn text(&self) -> Option<String>;
}

impl<E: Error + ?Sized> TextOfError for &&&&ErrorText<'_, E> {
    fn text(&self) -> Option<String> {
        Some(chain(self.0))
    }
}

/// The type holds an error, as `Box<dyn Error>` does: with its sources.
pub trait TextOfHeldError {
    #[doc(hidden)]
    fn text(&self) -> Option<String>;
}

impl<E: Deref<Target: Error> + ?Sized> TextOfHeldError for &&&ErrorText<'_, E> {
    fn text(&self) -> Option<String> {
        Some(chain(&**self.0))
    }
}

/// The type has a `Display`; the alternate one, in which types that hold a chain of errors show all
/// of it.
pub trait TextOfDisplay {
    #[doc(hidden)]
    fn text(&self) -> Option<String>;
}

impl<E: Display + ?Sized> TextOfDisplay for &&ErrorText<'_, E> {
    fn text(&self) -> Option<String> {
        Some(format!("{:#}", self.0))
    }
}

/// The type has a `Debug`.
pub trait TextOfDebug {
    #[doc(hidden)]
    fn text(&self) -> Option<String>;
}

impl<E: Debug + ?Sized> TextOfDebug for &ErrorText<'_, E> {
    fn text(&self) -> Option<String> {
        Some(format!("{:?}", self.0))
    }
}

/// The type cannot be shown.
pub trait NoText {
    #[doc(hidden)]
    fn text(&self) -> Option<String>;
}

impl<E: ?Sized> NoText for ErrorText<'_, E> {
    fn text(&self) -> Option<String> {
        None
    }
}

/// An error and its sources, joined with `: `. A source is left out if the text before it already
/// ends with it.
fn chain<E: Error + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            // Writing into a string cannot fail.
            let _ = write!(text, ": {next}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("not rotated")]
    struct NotRotated(#[source] Refused);

    #[derive(Debug, thiserror::Error)]
    #[error("refused: {0}")]
    struct Refused(#[source] std::fmt::Error);

    struct Shown;
    impl Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(if f.alternate() {
                "outer: inner"
            } else {
                "outer"
            })
        }
    }

    #[test]
    fn no_more_is_captured_than_a_record_can_hold() {
        fn captured(value: &impl serde::Serialize) -> Vec<u8> {
            capture(&crate::entry::render::json(value)).json.unwrap()
        }
        let text = captured(&"t".repeat(10_000_000));
        assert_eq!(text.len(), Buffer::LONGEST + 2);
        assert!(text.ends_with("t…\"".as_bytes()));
        let pieces = capture(&crate::entry::render::display(&format_args!(
            "{text:?}{text:?}",
            text = "ä".repeat(700_000)
        )))
        .json
        .unwrap();
        assert!(
            pieces.len().abs_diff(Buffer::LONGEST) < 10 && pieces.ends_with("ä…\"".as_bytes()),
            "{} bytes",
            pieces.len()
        );
        let list = captured(&vec![7_u8; 10_000_000]);
        assert!(
            list.len() < Buffer::LONGEST + 10 && list.ends_with(",\"…\"]".as_bytes()),
            "{} bytes",
            list.len()
        );
        assert!(captured(&vec!["t".repeat(1000); 100_000]).len() < Buffer::LONGEST + 2000);
    }

    #[derive(Debug)]
    struct Debugged;

    struct Mute;

    macro_rules! text {
        ($error:expr) => {
            (&&&&&ErrorText(&$error)).text()
        };
    }

    #[test]
    fn the_text_of_an_error_is_the_most_that_its_type_tells() {
        let text = "not rotated: refused: an error occurred when formatting an argument";
        let error = || NotRotated(Refused(std::fmt::Error));
        assert_eq!(text!(error()).as_deref(), Some(text));
        assert_eq!(
            text!(Box::<dyn Error + Send + Sync>::from(error())).as_deref(),
            Some(text)
        );
        assert_eq!(text!(std::sync::Arc::new(error())).as_deref(), Some(text));
        assert_eq!(text!(Shown).as_deref(), Some("outer: inner"));
        assert_eq!(text!("plain").as_deref(), Some("plain"));
        assert_eq!(text!(Debugged).as_deref(), Some("Debugged"));
        assert_eq!(text!(Mute), None);
    }

    #[test]
    fn a_result_is_known_by_its_type() {
        type Outcome = Result<u8, Mute>;
        let (fine, wrong): (Outcome, Outcome) = (Ok(1), Err(Mute));
        assert!(matches!(Returned(&fine).split(), Ok(1)));
        assert!(Returned(&wrong).split().is_err());
        assert!(matches!(
            Returned(&Some(wrong)).split(),
            Ok(Some(Err(Mute)))
        ));
    }
}
