//! The writer of an entry: the source, one stream of it, and the entry's number in that stream.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tracing_audit_schema::fields;

use super::{
    Buffer, json,
    text::{compare_with_text, serde_as_text},
};
use crate::error::Error;

/// The name of the program that writes, as in an entry's `source`: letters, digits, `.`, `_` and
/// `-`, beginning with a letter or digit, at most 64 bytes. The name is part of file names, so
/// nothing else is let in.
///
/// ```
/// use tracing_audit::Source;
///
/// let source: Source = "billing".parse()?;
/// assert_eq!(source, "billing");
/// assert!("../billing".parse::<Source>().is_err());
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(String);

impl Source {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The field of an entry: `,"source":"billing"`.
    pub(crate) fn to_field(&self) -> Box<[u8]> {
        let mut field = Buffer::default();
        field.append(fields::SOURCE.key.as_bytes());
        json::write_str(&mut field, &self.0);
        field.into_vec().into()
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fits = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(
                "source",
                format!(
                    "{text:?} must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or \
                     digit, like \"billing\""
                ),
            ))
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one writer, as in an entry's `stream`: the source and twelve random hexadecimal
/// digits, such as `billing-7f3a9c01b2d4`. A process has a new one each time it opens the log.
///
/// ```
/// use tracing_audit::StreamId;
///
/// let stream: StreamId = "billing-7f3a9c01b2d4".parse()?;
/// assert_eq!(stream.source(), "billing");
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(String);

impl StreamId {
    /// The stream of `source` with this suffix, of which 48 bits are used.
    pub(crate) fn new(source: &Source, suffix: u64) -> Self {
        Self(format!("{source}-{:012x}", suffix & 0xffff_ffff_ffff))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The source, such as `billing`.
    pub fn source(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(source, _)| source)
    }
}

impl FromStr for StreamId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid(
                "stream",
                format!("{text:?} is not a stream like billing-7f3a9c01b2d4"),
            )
        };
        let (source, suffix) = text.rsplit_once('-').ok_or_else(wrong)?;
        source.parse::<Source>().map_err(|_| wrong())?;
        // Six where an older version wrote it.
        let hex = matches!(suffix.len(), 6 | 12)
            && suffix
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an entry in its stream: 1, 2, 3 … without a gap, so a missing entry shows. In JSON
/// a number.
///
/// ```
/// use tracing_audit::Seq;
///
/// assert_eq!("7".parse::<Seq>()?.next(), Seq(8));
/// assert_eq!(Seq::FIRST, Seq(1));
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The first number of a stream: 1.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seq {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| {
            Error::invalid("seq", format!("{text:?} is not a whole number from 1 on"))
        })
    }
}

serde_as_text! {
    Source: "the name of a source like billing",
    StreamId: "a stream like billing-7f3a9c01b2d4",
}

compare_with_text! {
    Source,
    StreamId,
}
