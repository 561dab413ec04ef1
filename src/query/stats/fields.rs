//! The fields whose most frequent values can be asked for.

use std::str::FromStr;

use super::StatsQuery;
use crate::{
    error::{Error, Result},
    store::tally::FIELDS,
};

/// A field whose most frequent values are counted. Its name in texts is that of the field in
/// [`TopValues`](super::TopValues).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatsField {
    /// The event type.
    EventType,
    /// The severity.
    Severity,
    /// The outcome.
    Outcome,
    /// The actor.
    Actor,
    /// The address.
    IpAddress,
}

impl StatsField {
    /// All of them.
    pub const ALL: [Self; FIELDS] = [
        Self::EventType,
        Self::Severity,
        Self::Outcome,
        Self::Actor,
        Self::IpAddress,
    ];

    /// The name, as in `event_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::Severity => "severity",
            Self::Outcome => "outcome",
            Self::Actor => "actor",
            Self::IpAddress => "ip_address",
        }
    }

    /// Reads names that commas separate.
    pub(super) fn list(text: &str) -> Result<Vec<Self>> {
        text.split(',').map(str::parse).collect()
    }
}

impl FromStr for StatsField {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|field| field.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let problem = format!("{text:?} must be one of {names}");
            Error::invalid("fields", problem)
        })
    }
}

/// How much is read for the values of fields. The counts over time are the same in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// No file is read only for values. A field that a file's tally doesn't have is left out.
    #[cfg(any(feature = "console", test))]
    Quick,
    /// All values that the question asks for.
    Whole,
    /// The values of more fields as well, which no tally has: each file is read. That is for a
    /// filter that wants few entries.
    #[cfg(any(feature = "console", test))]
    WithMore,
}

impl Depth {
    fn reads_files(self) -> bool {
        #[cfg(any(feature = "console", test))]
        if self == Self::Quick {
            return false;
        }
        true
    }

    fn with_more(self) -> bool {
        self != Self::Whole && self.reads_files()
    }
}

/// The fields whose values are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    is_chosen: [bool; FIELDS],
    /// Whether a file is read if its tally doesn't have the values of a field. If not, no values of
    /// that field are given.
    pub(super) reads_files: bool,
    /// Whether the values of more fields are counted.
    pub(super) with_more: bool,
}

impl Chosen {
    pub(super) fn of(query: &StatsQuery, depth: Depth) -> Self {
        let is_chosen = |field| query.top > 0 && query.fields.contains(&field);
        Self {
            is_chosen: StatsField::ALL.map(is_chosen),
            reads_files: depth.reads_files(),
            with_more: depth.with_more(),
        }
    }

    /// Keeps what belongs to the fields that are counted.
    pub(super) fn of_each<T>(self, of: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        let pairs = self.is_chosen.into_iter().zip(of);
        pairs.filter_map(|(is_chosen, of)| is_chosen.then_some(of))
    }
}
