//! What an endpoint is still to get: how far the log was read for it, and the parcels that were made and are not delivered.
//!
//! A parcel's bounds are fixed, and durable, before its first attempt: so an attempt after a crash has the same `webhook-id` and the same
//! entries. A parcel holds no copy of its entries but where they stand in the log.
//!
//! The order: read the log → make parcels → *save* → attempt → *save*. A death before the first save reads the log again from where it was;
//! one before the second sends a parcel again, under the same id.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    query::{Entry, Place, Placed, Places},
    store::{document::Document, layout::Layout},
};

/// So many parcels are made ahead at most; the rest waits in the log.
pub(super) const MOST_PARCELS: usize = 1000;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outbox {
    pub(super) places: Places,
    #[serde(default)]
    pub(super) parcels: Vec<Parcel>,
    #[serde(default)]
    pub(super) status: Status,
}

/// How an endpoint is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// Entries delivered.
    pub delivered: u64,
    /// Entries given up.
    pub dead_lettered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// The last answer, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    /// When the last attempt ended, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<i64>,
    /// Since when every attempt has failed, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<i64>,
    /// Whether it is only probed once an hour, for it has failed for days.
    pub parked: bool,
    /// Whether it said that it wants no more (410).
    pub gone: bool,
}

/// Entries that go in one request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// The `webhook-id`.
    pub(super) id: String,
    pub(super) entries: Vec<Place>,
    pub(super) attempts: u32,
    /// When the next attempt is due, in microseconds since 1970.
    pub(super) due: i64,
    /// What it held when it was made: for the first attempt only.
    #[serde(skip)]
    pub(super) fresh: Option<Vec<Entry>>,
    #[serde(skip)]
    pub(super) on_its_way: bool,
}

impl Parcel {
    /// Its id says what is in it: the endpoint and the first and last entry.
    pub(super) fn new(endpoint: &str, entries: Vec<Placed>, due: i64) -> Self {
        let (entries, places): (Vec<_>, Vec<_>) = entries.into_iter().map(|placed| (placed.entry, placed.place)).unzip();
        let id = parcel_id(endpoint, &entries);
        Self { id, entries: places, attempts: 0, due, fresh: Some(entries), on_its_way: false }
    }

    /// Its halves, each with an id of its own.
    pub(super) fn split(endpoint: &str, mut places: Vec<Place>, mut entries: Vec<Entry>, due: i64) -> [Self; 2] {
        let (later_places, later) = (places.split_off(places.len() / 2), entries.split_off(entries.len() / 2));
        [(places, entries), (later_places, later)].map(|(places, entries)| {
            let id = parcel_id(endpoint, &entries);
            Self { id, entries: places, attempts: 0, due, fresh: Some(entries), on_its_way: false }
        })
    }
}

fn parcel_id(endpoint: &str, entries: &[Entry]) -> String {
    let mut hash = Sha256::new();
    for part in [Some(endpoint), entries.first().map(Entry::id), entries.last().map(Entry::id)].into_iter().flatten() {
        hash.update(part);
        hash.update([0]);
    }
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{digits}")
}

fn document(layout: &Layout, name: &str) -> Document {
    Document::new(layout, &format!("webhook-{name}"), "forward")
}

impl Outbox {
    /// `None` if there is none yet.
    pub(super) fn read(layout: &Layout, name: &str) -> Result<Option<Self>> {
        let document = document(layout, name);
        if document.version()?.is_none() {
            return Ok(None);
        }
        document.read().map(Some)
    }

    /// Durable on return. Only who forwards may do it.
    pub(super) fn save(&self, layout: &Layout, name: &str) -> Result<()> {
        document(layout, name).write(self)
    }
}
