//! The order of entries, and a place in it.
//!
//! By time, entries are ordered by the millisecond of their `timestamp`, then by `id`. An id is a
//! UUIDv7 made from the same clock reading, so for this crate's own entries that is the order of
//! the ids alone; for a line that came from elsewhere it still agrees with the times by which
//! blocks are found.

use std::{fmt, str::FromStr};

use crate::{
    entry::{Timestamp, scan::Fields},
    error::{Error, Result},
};

/// In which order entries come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Desc,
    /// The oldest first.
    Asc,
    /// In the order in which they come into the log: the entries of each stream by their numbers,
    /// and late entries when they come. A page's cursor says how far each stream was read. So a
    /// program that goes on from cursor to cursor gets each entry once, also those that are
    /// recovered after a process died. Only entries on stable storage are given.
    Arrival,
}

/// An order by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByTime {
    Desc,
    Asc,
}

impl Order {
    /// `None` if it is not by time.
    pub(super) fn by_time(self) -> Option<ByTime> {
        match self {
            Self::Desc => Some(ByTime::Desc),
            Self::Asc => Some(ByTime::Asc),
            Self::Arrival => None,
        }
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "desc" => Ok(Self::Desc),
            "asc" => Ok(Self::Asc),
            "arrival" => Ok(Self::Arrival),
            _ => Err(Error::invalid(
                "order",
                format!("{text:?} must be \"desc\" (newest first), \"asc\" or \"arrival\""),
            )),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Desc => "desc",
            Self::Asc => "asc",
            Self::Arrival => "arrival",
        })
    }
}

/// Where an entry stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) millis: i64,
    pub(crate) id: [u8; 36],
}

/// The millisecond a time lies in.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1000)
}

impl Key {
    /// Before all entries in the order of time.
    pub(super) const FIRST: Self = Self {
        millis: -62_167_219_200_000,
        id: [b'0'; 36],
    };

    pub(crate) fn of(fields: &Fields<'_>) -> Self {
        // `scan` gives ids of one length. Ids of any other length would share the first place of
        // their millisecond.
        Self {
            millis: millis(fields.timestamp),
            id: fields.id.try_into().unwrap_or([0; 36]),
        }
    }
}

/// As a cursor: `v1.<milliseconds>.<id>`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v1.{}.{}",
            self.millis,
            String::from_utf8_lossy(&self.id)
        )
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (millis, id) = text.strip_prefix("v1.")?.split_once('.')?;
            let millis: i64 = millis.parse().ok()?;
            let in_range =
                (self::millis(Timestamp::MIN)..=self::millis(Timestamp::MAX)).contains(&millis);
            Some(Self {
                millis,
                id: id
                    .as_bytes()
                    .try_into()
                    .ok()
                    .filter(|id: &[u8; 36]| in_range && id.is_ascii())?,
            })
        };
        parse().ok_or_else(|| {
            Error::invalid(
                "cursor",
                "it isn't the next_cursor of a page; leave it out to begin with the first page",
            )
        })
    }
}
