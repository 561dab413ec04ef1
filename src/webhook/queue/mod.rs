//! The queue of a webhook: how far the log was read for it, and the deliveries that were made and
//! are not delivered.
//!
//! A delivery is sent as one request. It has no copy of its entries, only where they are in the
//! log. Its bounds are fixed before its first attempt, so an attempt after a crash has the same
//! `webhook-id` and the same entries: those of a batch because they are durable by then; those of a
//! single entry because it has no other bounds, so that needs no waiting for a disk.
//!
//! The order: read the log → make deliveries → *save* (batches) → attempt → *save*. A death before
//! the first save reads the log again from where it was; one before the second sends a delivery
//! again, under the same id. Which batches were made is kept for replays, see `batches`.

mod allowance;
pub(in crate::webhook) mod attempts;
pub(in crate::webhook) mod batches;
pub(in crate::webhook) mod body;
pub(in crate::webhook) mod circuit;
pub(in crate::webhook) mod clock;
pub(in crate::webhook) mod contents;
pub(in crate::webhook) mod dead_letter;
mod delivery;
mod lines;
pub(in crate::webhook) mod memory;
pub(in crate::webhook) mod next;
pub(in crate::webhook) mod replay;
pub(in crate::webhook) mod request;
pub(in crate::webhook) mod save;
pub(in crate::webhook) mod schedule;
mod status;
pub(in crate::webhook) mod summary;

use std::{collections::VecDeque, fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

pub(in crate::webhook) use self::delivery::{Delivery, delivery_id};
pub use self::status::{LastFailure, Status};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::Places,
    store::{clock::Clock, document::Document, layout::Layout},
    webhook::{
        queue::{
            circuit::Circuit,
            clock::{Moment, QueueClock},
            replay::ReplayReport,
            schedule::LONGEST_DELAY,
        },
        settings::stored::Stored,
    },
};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Queue {
    /// How far the log was read.
    #[serde(alias = "places")]
    pub(in crate::webhook) cursor: Places,
    /// The deliveries that did not arrive yet. An older version said `parcels`.
    #[serde(alias = "parcels")]
    pub(in crate::webhook) deliveries: VecDeque<Delivery>,
    pub(in crate::webhook) status: Status,
    pub(in crate::webhook) circuit: Circuit,
    /// When the first of the failures in a row was, by the queue's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) first_failure: Option<i64>,
    /// The last moment of the queue's clock, by which all times here are to be read. An earlier
    /// version went by the wall clock, and kept none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) clock: Option<Moment>,
    /// Which state of the webhook's settings this follows.
    pub(in crate::webhook) revision: u64,
    /// The number of the last replay that was begun.
    pub(in crate::webhook) replay: u64,
    /// How far it is, if it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) replaying: Option<Replaying>,
    /// The progress of the last replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) progress: Option<ReplayReport>,
    /// The number of the last replay that was cancelled.
    pub(in crate::webhook) cancelled: u64,
    /// The number of the last request that was done.
    pub(in crate::webhook) request: u64,
}

/// How far a replay is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::webhook) enum Replaying {
    /// Up to where the dead letters were replayed, and where they are to end, in the file of this
    /// generation.
    DeadLetters {
        #[serde(default)]
        generation: u64,
        from: u64,
        to: u64,
    },
    /// The parameters of a filter, and the cursor of the next page.
    Entries {
        parameters: Vec<(String, String)>,
        cursor: Option<String>,
    },
}

/// `state/webhook-<name>.<id>.json`: a webhook that is removed and added again has another, so
/// that what still runs for the old one overwrites nothing.
pub(in crate::webhook) fn document(layout: &Layout, key: &str) -> Document {
    Document::new(layout, &format!("webhook-{key}"), "forward")
}

/// The files that are kept of none of these webhooks, but for dead letters.
pub(in crate::webhook) fn others(layout: &Layout, webhooks: &[Stored]) -> Result<Vec<PathBuf>> {
    let dir = layout.root().join("state");
    let files = |one: &Stored| {
        let key = one.key();
        let documents = [
            document(layout, &key),
            attempts::document(layout, &key),
            summary::document(layout, &key),
        ];
        let [queue, attempts, summary] = documents.map(|document| document.path().to_owned());
        [queue, attempts, summary, batches::path(layout, &key)]
    };
    let known: Vec<_> = webhooks.iter().flat_map(files).collect();
    let mut others = Vec::new();
    for found in fs::read_dir(&dir).map_err(Error::io("list", &dir))? {
        let path = found.map_err(Error::io("list", &dir))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        // An older version counted in the last of these what it had removed.
        let prefixed = ["webhook-", "attempts-", "summary-", "letters-"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        let is_ours = prefixed && name.ends_with(".json")
            || name.starts_with("batches-") && name.ends_with(".jsonl");
        if is_ours && !known.contains(&path) {
            others.push(path);
        }
    }
    Ok(others)
}

/// When a queue was saved last.
pub(in crate::webhook) fn noted(layout: &Layout, key: &str) -> Result<Timestamp> {
    let path = document(layout, key).path().to_owned();
    let found = fs::metadata(&path).map_err(Error::io("look at", &path))?;
    Ok(Timestamp::from_micros(
        found.mtime().saturating_mul(1_000_000),
    ))
}

impl Queue {
    /// `None` if there is none yet.
    pub(in crate::webhook) fn read(layout: &Layout, key: &str) -> Result<Option<Self>> {
        let document = document(layout, key);
        if document.version()?.is_none() {
            return Ok(None);
        }
        document.read().map(Some)
    }

    /// Takes over what an older version noted otherwise: where the dead letters stand that are
    /// replayed.
    pub(in crate::webhook) fn migrate(&mut self, layout: &Layout, key: &str) -> Result<()> {
        for delivery in &mut self.deliveries {
            if delivery.letter.take().is_some() {
                delivery.dead = true;
                delivery.contents = dead_letter::contents_of(layout, key, &delivery.id)?;
            }
        }
        Ok(())
    }

    /// Goes on with the queue's clock. No wait is then longer than the longest delay, also where an
    /// earlier version noted it by a wall clock that was set back since.
    pub(in crate::webhook) fn resume_clock(&mut self, clock: Arc<dyn Clock>) -> QueueClock {
        let clock = QueueClock::resume(self.clock.as_ref(), clock);
        let now = clock.now();
        let latest = now.saturating_add(LONGEST_DELAY.as_micros() as i64);
        for delivery in &mut self.deliveries {
            delivery.due = delivery.due.min(latest);
        }
        self.circuit.bound(now);
        let reported = &mut self.status.reported_failing;
        *reported = reported.map(|reported| reported.min(now));
        if self.clock.is_none() {
            let since = self.status.failing_since;
            self.first_failure = since.map(|since| since.as_micros().min(now));
        }
        clock
    }

    /// Durable on return. Only the dispatcher may do it, or who makes it.
    pub(in crate::webhook) fn save(&self, layout: &Layout, key: &str) -> Result<()> {
        document(layout, key).write(&self.text(), true)
    }

    /// As it is kept.
    pub(in crate::webhook) fn text(&self) -> Vec<u8> {
        Document::text(self)
    }

    /// When the oldest entry that waits happened.
    pub(in crate::webhook) fn oldest(&self) -> Option<i64> {
        self.deliveries.iter().map(|delivery| delivery.since).min()
    }
}
