//! Which entries a delivery has: their ids, and where they stand in the log.
//!
//! The ids are what counts. A place is where to look first: a live file that someone removed is
//! written again under another name, and after a failed write an entry gets another number.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    entry::json::check,
    error::{Error, Result},
    query::{AuditReader, Place, Placed, RawEntry, read_places, write_places},
};

/// Entries of the log, by their places and ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Contents {
    /// Where they stand, if that is known.
    #[serde(
        alias = "entries",
        serialize_with = "write_places",
        deserialize_with = "read_places",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) places: Vec<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ids: Vec<Uuid>,
    /// Their lines, where an older version kept a copy and the log no longer has them all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) copies: Vec<String>,
}

impl Contents {
    /// Entries whose places are known; with the entries themselves.
    pub(super) fn placed(placed: Vec<Placed>) -> (Self, Vec<RawEntry>) {
        let (entries, places): (Vec<_>, Vec<_>) = placed
            .into_iter()
            .map(|placed| (placed.entry, placed.place))
            .unzip();
        let contents = Self {
            places,
            ..Self::by_id(&entries)
        };
        (contents, entries)
    }

    /// Entries that are found by their ids.
    pub(in crate::webhook) fn by_id(entries: &[RawEntry]) -> Self {
        let id = |entry: &RawEntry| Uuid::try_parse(entry.id()).ok();
        Self {
            ids: entries.iter().filter_map(id).collect(),
            ..Self::default()
        }
    }

    /// The lines that an older version copied from the log.
    pub(in crate::webhook) fn copied(copies: Vec<String>) -> Self {
        let entries = entries_of(&copies);
        Self {
            copies,
            ..Self::by_id(&entries)
        }
    }

    /// When the first of them happened, in microseconds since 1970, as its id says.
    pub(super) fn since(&self) -> Option<i64> {
        self.ids.first().and_then(time_of)
    }

    /// When its entries happened, as their ids say.
    pub(in crate::webhook) fn times(&self) -> impl Iterator<Item = i64> {
        self.ids.iter().filter_map(time_of)
    }

    pub(in crate::webhook) fn len(&self) -> usize {
        self.copies.len().max(self.places.len()).max(self.ids.len())
    }

    /// How many bytes the lines of its entries have; roughly, where it isn't known.
    pub(in crate::webhook) fn bytes(&self) -> usize {
        const UNKNOWN: usize = 1024;
        if !self.copies.is_empty() {
            return self.copies.iter().map(String::len).sum();
        }
        if self.places.is_empty() {
            return self.ids.len() * UNKNOWN;
        }
        self.places.iter().map(Place::len).sum()
    }

    pub(in crate::webhook) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The contents of the two halves of these entries, which are all of it.
    pub(super) fn halved(mut self, first: &[RawEntry], second: &[RawEntry]) -> [Self; 2] {
        let mut halves = [first, second].map(Self::by_id);
        if self.places.len() == first.len() + second.len() {
            halves[1].places = self.places.split_off(first.len());
            halves[0].places = self.places;
        }
        if self.copies.len() == first.len() + second.len() {
            halves[1].copies = self.copies.split_off(first.len());
            halves[0].copies = self.copies;
        }
        halves
    }

    /// The entries that are there, and how many are not.
    pub(in crate::webhook) fn read(&self, reader: &AuditReader) -> Result<(Vec<RawEntry>, usize)> {
        if !self.copies.is_empty() {
            return Ok((entries_of(&self.copies), 0));
        }
        let mut found = self.look_where_they_stood(reader)?;
        // Without an id for each, the places are all there is.
        if self.places.is_empty() || self.has_ids() {
            found.resize(self.ids.len(), None);
            for (entry, id) in found.iter_mut().zip(&self.ids) {
                let is_it = |entry: &RawEntry| Uuid::try_parse(entry.id()) == Ok(*id);
                if !entry.as_ref().is_some_and(is_it) {
                    *entry = reader.get(*id)?;
                }
            }
        }
        let missing = found.iter().filter(|entry| entry.is_none()).count();
        Ok((found.into_iter().flatten().collect(), missing))
    }

    /// Whether each place has its id.
    fn has_ids(&self) -> bool {
        self.places.len() == self.ids.len()
    }

    fn look_where_they_stood(&self, reader: &AuditReader) -> Result<Vec<Option<RawEntry>>> {
        let mut found = Vec::new();
        for entry in reader.all_at(&self.places) {
            found.push(match entry {
                Err(Error::Damaged { .. }) if self.has_ids() => None,
                entry => entry?,
            });
        }
        Ok(found)
    }
}

/// The time in an id, in microseconds since 1970.
fn time_of(id: &Uuid) -> Option<i64> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    i64::try_from(seconds)
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(i64::from(nanos / 1000))
}

/// The entries in copied lines.
fn entries_of(copies: &[String]) -> Vec<RawEntry> {
    copies
        .iter()
        .filter_map(|copy| RawEntry::from_line(copy.as_bytes()))
        .filter(|entry| check(entry.line()).is_ok())
        .collect()
}
