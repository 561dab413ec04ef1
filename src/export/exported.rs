//! A summary of an export that was written.

use crate::{entry::Timestamp, query::Problem};

/// A summary of an export that was written; see [`Export::write_to`](super::Export::write_to).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The number of entries.
    pub entries: u64,
    /// The times of the first and the last entry; `None` without entries.
    pub times: Option<Times>,
    /// The problems of the log that hide no entry, such as lines that are not entries: a copy of
    /// whole blocks has these lines too.
    pub problems: Vec<Problem>,
}

/// The times of the first and the last entry of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// The earliest time of an entry.
    pub first: Timestamp,
    /// The latest time of an entry.
    pub last: Timestamp,
}

impl Times {
    /// These times, and those that there were before.
    pub(super) fn and(self, before: Option<Self>) -> Self {
        before.map_or(self, |before| Self {
            first: self.first.min(before.first),
            last: self.last.max(before.last),
        })
    }
}
