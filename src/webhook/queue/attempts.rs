//! The last attempts to deliver to a webhook, which show an administrator why nothing arrives:
//! `state/attempts-<name>.<id>.json`.
//!
//! The dispatcher writes it at most once a second, and that of a failing webhook at a pace. It is
//! never synced: it isn't a promise, and a death may take the last of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    entry::Timestamp,
    error::Result,
    store::{document::Document, layout::Layout},
    webhook::{
        queue::{allowance::Allowance, contents::Contents},
        settings::stored,
    },
};

/// So many of those that failed, and of those that did not, are kept.
const KEPT: usize = 50;
/// They are saved so often at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The bytes that are saved of a failing webhook's attempts: a second on average, and at once. That
/// is 3.5 MB a day.
const FAILING_PACE: u64 = 40;
const FAILING_AT_ONCE: u64 = 512 * 1024;
/// The entries that the newest attempts sent are kept with them, so many at most.
const MOST_ENTRIES: usize = 10_000;

/// One HTTP request of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The delivery's id, the same in each attempt.
    #[serde(alias = "webhook_id")]
    pub delivery_id: String,
    /// The time at which the attempt ended.
    pub ended: Timestamp,
    /// The time that the attempt took, in milliseconds.
    pub took_ms: u64,
    /// The number of the attempt among those of the delivery, from 1.
    pub attempt: u32,
    /// The number of entries in the request.
    pub entries: usize,
    /// The id of the first of them.
    pub first_entry_id: String,
    /// Whether the receiver took the delivery.
    pub delivered: bool,
    /// The answer's status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The result, in a sentence.
    pub result: String,
    /// The first 2 KiB of the answer, the webhook's secrets replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// An attempt, and which entries it sent.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    #[serde(flatten)]
    attempt: Attempt,
    #[serde(default, skip_serializing_if = "Contents::is_empty")]
    contents: Contents,
}

/// The last attempts, the newest first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct History {
    delivered: VecDeque<Made>,
    failed: VecDeque<Made>,
}

/// When the last attempts are saved.
#[derive(Debug)]
pub(in crate::webhook) struct HistorySaves {
    unsaved: bool,
    /// One of them has delivered. An administrator may look for it now, because the queue no longer
    /// has it; while attempts fail, none does, so that costs a dead webhook nothing.
    delivered: bool,
    last: Instant,
    allowance: Allowance,
}

impl HistorySaves {
    pub(in crate::webhook) fn new() -> Self {
        let now = Instant::now();
        Self {
            unsaved: false,
            delivered: false,
            last: now,
            allowance: Allowance::new(FAILING_PACE, FAILING_AT_ONCE, now),
        }
    }

    /// Notes that an attempt was made, and whether it delivered.
    pub(in crate::webhook) fn changed(&mut self, delivered: bool) {
        self.unsaved = true;
        self.delivered |= delivered;
    }

    /// When they are to be saved, if something changed.
    pub(in crate::webhook) fn due(&self, failing: bool) -> Option<Instant> {
        let soonest = self.last + SAVE_EVERY;
        let due = match failing && !self.delivered {
            true => soonest.max(self.allowance.next()),
            false => soonest,
        };
        self.unsaved.then_some(due)
    }

    /// Notes that they are saved in so many bytes.
    pub(in crate::webhook) fn saved(&mut self, len: usize, failing: bool, now: Instant) {
        if failing {
            self.allowance.spend(len, now);
        }
        self.unsaved = false;
        self.delivered = false;
        self.last = now;
    }
}

impl History {
    pub(in crate::webhook) fn push(&mut self, attempt: Attempt, contents: Contents) {
        let list = if attempt.delivered {
            &mut self.delivered
        } else {
            &mut self.failed
        };
        let mut entries = contents.len();
        for made in list.iter_mut() {
            entries += made.contents.len();
            if made.attempt.delivery_id == attempt.delivery_id || entries > MOST_ENTRIES {
                made.contents = Contents::default();
            }
        }
        list.push_front(Made { attempt, contents });
        list.truncate(KEPT);
    }

    /// Whether the delivery with this id was delivered, and its entries, if they are known.
    pub(in crate::webhook) fn find(&self, id: &str) -> Option<(bool, Contents)> {
        let all = self.delivered.iter().chain(&self.failed);
        let of_delivery = all.filter(|made| made.attempt.delivery_id == id);
        let (mut delivered, mut contents) = (None, Contents::default());
        for made in of_delivery {
            *delivered.get_or_insert(false) |= made.attempt.delivered;
            if contents.is_empty() {
                contents = made.contents.clone();
            }
        }
        Some((delivered?, contents))
    }

    pub(in crate::webhook) fn load(layout: &Layout, key: &str) -> Self {
        // A history that can't be read must not stop deliveries.
        document(layout, key).read().unwrap_or_default()
    }

    pub(in crate::webhook) fn text(&self) -> Vec<u8> {
        Document::text(self)
    }
}

pub(in crate::webhook) fn document(layout: &Layout, key: &str) -> Document {
    Document::new(layout, &format!("attempts-{key}"), "forward")
}

/// The last attempts of the webhook with this key.
pub(in crate::webhook) fn history(layout: &Layout, key: &str) -> Result<History> {
    document(layout, key).read()
}

/// The last attempts of a webhook, the newest first; empty if there is no webhook of this name.
pub(crate) fn read(layout: &Layout, name: &str) -> Result<Vec<Attempt>> {
    let Some(webhook) = stored::find(layout, name)? else {
        return Ok(Vec::new());
    };
    let history = history(layout, &webhook.key())?;
    let made = history.delivered.into_iter().chain(history.failed);
    let mut all: Vec<_> = made.map(|made| made.attempt).collect();
    all.sort_by_key(|attempt| std::cmp::Reverse(attempt.ended));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_delivered_is_saved_within_a_second_while_others_fail() {
        let mut saves = HistorySaves::new();
        let now = Instant::now();
        let within_a_second = |saves: &HistorySaves| {
            let due = saves.due(true).unwrap();
            due <= now + SAVE_EVERY
        };
        saves.changed(false);
        assert!(within_a_second(&saves));
        saves.saved(10 << 20, true, now);
        assert_eq!(saves.due(true), None, "nothing was made since");
        saves.changed(false);
        assert!(
            !within_a_second(&saves),
            "what a dead webhook writes is bounded"
        );
        saves.changed(true);
        assert!(within_a_second(&saves));
        saves.saved(1000, true, now);
        saves.changed(false);
        assert!(!within_a_second(&saves));
    }
}
