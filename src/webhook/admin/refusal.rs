//! The reasons why something that an administrator asked for is refused.

use crate::{error::Error, webhook::settings::stored::MOST_WEBHOOKS};

/// The reason why something is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no webhook of this name.
    NoSuch(String),
    /// There is one already.
    Exists(String),
    /// There are as many as there may be.
    Full,
    /// It is declared at this place.
    Declared(String, String),
    /// There is no such delivery or replay, as the text says; the first value is its field in the
    /// API.
    Nothing(
        #[cfg_attr(
            not(feature = "server"),
            expect(dead_code, reason = "only the HTTP API names the field")
        )]
        &'static str,
        String,
    ),
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Refusal {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::NoSuch(name) => format!("there is no webhook {name:?}"),
            Self::Exists(name) => format!(
                "there is a webhook {name:?} already; remove it first or choose another name"
            ),
            Self::Full => {
                format!(
                    "there are {MOST_WEBHOOKS} webhooks already, which is the limit: \
                     first remove one that is not needed"
                )
            }
            Self::Declared(name, place) => {
                format!(
                    "the webhook {name:?} is declared in {place}: change it there; if it is no \
                     longer declared there, take it over first, with tracing-audit webhook \
                     take-over or Webhooks::take_over"
                )
            }
            Self::Nothing(_, text) => text.clone(),
            Self::Error(error) => error.to_string(),
        }
    }

    pub(in crate::webhook) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::NoSuch(_) => Error::invalid("name", self.text()),
            other => Error::Conflict(other.text()),
        }
    }
}
