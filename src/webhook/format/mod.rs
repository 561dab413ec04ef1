//! Formats: the bodies of requests.
//!
//! In comes a [`Batch`], out comes an [`Encoded`] request body with its headers. Invariants:
//!
//! - A format that embeds an entry embeds its line, byte for byte as stored, after a check that the
//!   line is JSON. An error names the damaged entry, so that only that entry is given up.
//! - An encoding depends only on the batch and the format's settings.
//! - Header values are visible ASCII, whatever an entry contains.

mod cloud_events;
mod name;
mod native;
mod otlp;
mod own;
mod splunk_hec;

use std::{borrow::Cow, fmt};

pub use self::{
    cloud_events::{CloudEvents, CloudEventsMode},
    name::{FormatName, FormatOptions},
    native::Native,
    otlp::Otlp,
    own::register_format,
    splunk_hec::SplunkHec,
};
use crate::{
    entry::{
        json,
        scan::{Fields, details_path, unescape},
    },
    query::RawEntry,
};

pub(super) use own::own_format;

const JSON: &str = "application/json";

/// Turns entries into the body of a request. The crate has the formats of [`FormatName`]; implement
/// this trait for a format of your own, and [register](register_format) it.
///
/// Encoding must be repeatable: the same batch makes the same bytes, today and after a restart,
/// because a retry has the same `webhook-id` and receivers may compare. So use no clock and no
/// randomness: take unique values from the batch's id and its entries.
///
/// ```
/// use tracing_audit::webhook::{Batch, Encoded, Format, Unencodable};
///
/// /// One line of text for a chat room.
/// #[derive(Debug)]
/// struct ChatRoom;
///
/// impl Format for ChatRoom {
///     fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
///         let [entry] = batch.entries else {
///             return Err(Unencodable::batch("a message has one event"));
///         };
///         let text = format!("{} by {}", entry.event_type(), entry.actor_id());
///         Ok(Encoded {
///             content_type: "text/plain; charset=utf-8".into(),
///             headers: vec![],
///             body: text.into_bytes(),
///         })
///     }
///
///     fn takes_several(&self) -> bool {
///         false
///     }
/// }
/// ```
pub trait Format: Send + Sync + fmt::Debug {
    /// Encodes a batch, which has at least one entry, and only one unless the format [takes
    /// several](Self::takes_several).
    ///
    /// # Errors
    ///
    /// [`Unencodable`] if the batch can't be sent in this format, now or later. Encoding must not
    /// fail for a passing reason.
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable>;

    /// Whether one request can carry several entries. Default: yes.
    fn takes_several(&self) -> bool {
        true
    }

    /// Reads the body of a successful (2xx) answer, which can qualify the success. Default: the
    /// request was accepted.
    fn read_answer(&self, body: &[u8]) -> Verdict {
        let _ = body;
        Verdict::Accepted
    }

    /// The request, to be sent by `POST` with the same authorization, that asks the receiver at
    /// `url` whether it has finished the requests that it called [pending](Verdict::Pending).
    /// `None` for formats without acknowledgements.
    fn ask(&self, url: &str, acks: &[u64]) -> Option<Question> {
        let _ = (url, acks);
        None
    }

    /// The numbers that are acknowledged by the body of an answer to [`ask`](Self::ask).
    fn read_acks(&self, body: &[u8]) -> Vec<u64> {
        let _ = body;
        Vec::new()
    }
}

/// Entries to be sent in one request.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The `webhook-id`, the same in each attempt.
    pub id: &'a str,
    /// The source of the log that they come from, for entries that don't name their own.
    pub source: &'a str,
    /// The entries, in their order.
    pub entries: &'a [RawEntry],
    /// Whether the receiver wants batches: then even one entry is sent as a batch of one, so that
    /// all requests have one form.
    pub batched: bool,
}

impl<'a> Batch<'a> {
    /// Its only entry.
    fn single(&self) -> Result<&'a RawEntry, Unencodable> {
        match self.entries {
            [entry] => Ok(entry),
            entries => Err(Unencodable::batch(format!(
                "{} entries, where the format takes one",
                entries.len()
            ))),
        }
    }

    /// Its entries, of which there is at least one.
    fn several(&self) -> Result<&'a [RawEntry], Unencodable> {
        if self.entries.is_empty() {
            Err(Unencodable::batch("no entries"))
        } else {
            Ok(self.entries)
        }
    }
}

/// A request to be sent by `POST`, but for its signature and authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The `content-type` header.
    pub content_type: Cow<'static, str>,
    /// Further headers: lower-case names, values of visible ASCII. None is named twice, and none is
    /// one that the delivery sets itself (`host`, `content-*`, `webhook-*` and those that concern
    /// the connection) or that a setting of the webhook sets: such a request is not sent.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Encoded {
    fn json(body: Vec<u8>) -> Self {
        Self {
            content_type: JSON.into(),
            headers: Vec::new(),
            body,
        }
    }
}

/// A request that asks whether the receiver has finished earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The URL of the question.
    pub url: String,
    /// The request's body and headers.
    pub request: Encoded,
}

/// Entries that can't be sent in a format, however often that is tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unencodable {
    /// One entry can't be sent. Give it up and encode the others without it.
    #[error("entry {id}: {problem}")]
    Entry {
        /// The entry's id.
        id: String,
        /// The problem with it.
        problem: String,
    },
    /// The batch can't be sent as a whole. Encode its entries one by one.
    #[error("batch: {problem}")]
    Batch {
        /// The problem with it.
        problem: String,
    },
}

impl Unencodable {
    /// This entry can't be encoded.
    pub fn entry(entry: &RawEntry, problem: impl Into<String>) -> Self {
        Self::Entry {
            id: entry.id().to_owned(),
            problem: problem.into(),
        }
    }

    /// The batch as a whole can't be encoded.
    pub fn batch(problem: impl Into<String>) -> Self {
        Self::Batch {
            problem: problem.into(),
        }
    }
}

/// The verdict of a receiver that answered 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It has the entries.
    Accepted,
    /// It took the entries, and will acknowledge them under this number: ask until then.
    Pending {
        /// The number to ask for.
        ack: u64,
    },
    /// It refused some of the entries for good: they must not be sent again.
    Rejected {
        /// The number of refused entries; zero for a mere warning.
        count: u64,
        /// The reason in the receiver's words, cut to 2 KiB.
        message: String,
    },
}

/// The fields and the line of an entry, after a check that the line is JSON and so can be embedded
/// in JSON.
fn checked(entry: &RawEntry) -> Result<(Fields<'_>, &[u8]), Unencodable> {
    match json::check(entry.line()) {
        Ok(()) => Ok((entry.fields(), entry.line())),
        Err(e) => Err(Unencodable::entry(
            entry,
            format!("its line is not JSON: {e}"),
        )),
    }
}

/// The name of the application that an entry is from.
fn source<'a>(fields: &Fields<'a>, batch: &Batch<'a>) -> Cow<'a, str> {
    if fields.source.is_empty() {
        batch.source.into()
    } else {
        unescape(fields.source)
    }
}

/// The trace id of an entry, if it is one of W3C Trace Context.
fn trace_id<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    hex(fields.context, "trace_id", 32)
}

/// The span id of an entry, if it is one of W3C Trace Context.
fn span_id<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    hex(fields.context, "span_id", 16)
}

/// The value of this name, if it is so many lower-case hexadecimal digits, not all zero.
fn hex<'a>(context: &'a [u8], name: &str, digits: usize) -> Option<&'a str> {
    let text = details_path(context, name)?
        .strip_prefix(b"\"")?
        .strip_suffix(b"\"")?;
    let hex = text.len() == digits && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    str::from_utf8(text)
        .ok()
        .filter(|_| hex && text.iter().any(|b| *b != b'0'))
}

/// `[one,two]`, each written by `item`.
fn array<T>(
    items: &[T],
    mut item: impl FnMut(&T, &mut Vec<u8>) -> Result<(), Unencodable>,
) -> Result<Vec<u8>, Unencodable> {
    let mut body = b"[".to_vec();
    for one in items {
        if body.len() > 1 {
            body.push(b',');
        }
        item(one, &mut body)?;
    }
    body.push(b']');
    Ok(body)
}

/// Adds these parts to a body.
fn add<const N: usize>(body: &mut Vec<u8>, parts: [&[u8]; N]) {
    for part in parts {
        body.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
