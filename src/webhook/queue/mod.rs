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
mod lines;
pub(in crate::webhook) mod memory;
pub(in crate::webhook) mod next;
pub(in crate::webhook) mod replay;
pub(in crate::webhook) mod request;
pub(in crate::webhook) mod save;
pub(in crate::webhook) mod schedule;
pub(in crate::webhook) mod summary;

use std::{collections::VecDeque, fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest, Sha256};

use crate::{
    entry::{Timestamp, timestamp_micros},
    error::{Error, Result},
    query::{Placed, Places, RawEntry},
    store::{clock::Clock, document::Document, layout::Layout},
    webhook::{
        http::answer::cut,
        queue::{
            attempts::Attempt,
            body::Body,
            circuit::Circuit,
            clock::{Moment, QueueClock},
            contents::Contents,
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

/// The results of a webhook so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// The number of entries delivered.
    pub delivered: u64,
    /// The number of entries given up.
    pub dead_lettered: u64,
    /// The number of attempts that failed.
    pub failed_attempts: u64,
    /// The result of the last attempt, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    /// The time at which the last attempt ended.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Timestamp>,
    /// The time since which every attempt has failed; `None` while attempts succeed.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// The time at which a delivery last succeeded.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<Timestamp>,
    /// The last attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// The number of attempts that failed since one last succeeded.
    pub failures_in_a_row: u64,
    /// When it was last recorded that it fails, by the queue's clock, if it was not since recorded
    /// that it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(alias = "said_failing")]
    pub(in crate::webhook) reported_failing: Option<i64>,
    /// Whether the webhook is only probed once an hour, because it has failed for days.
    pub parked: bool,
    /// Whether the receiver answered that it is gone (410). The log asks again when the webhook is
    /// changed or resumed.
    pub gone: bool,
}

impl Status {
    /// Counts a failed attempt, and keeps what was answered if anything was sent.
    pub(in crate::webhook) fn failed(&mut self, failure: Option<LastFailure>) {
        self.failed_attempts += 1;
        self.failures_in_a_row += 1;
        if failure.is_some() {
            self.last_failure = failure;
        }
    }
}

/// So many bytes of the answer to a failed attempt are kept with it.
const FIRST_WORDS: usize = 200;

/// The last attempt of a webhook that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastFailure {
    /// The time at which it ended.
    pub ended: Timestamp,
    /// The answer's status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The first words of the answer, on one line; if there was none, the reason why.
    pub answer: String,
}

impl LastFailure {
    pub(in crate::webhook) fn new(ended: Timestamp, attempt: &Attempt) -> Self {
        let text = match attempt.answer.trim() {
            "" => &attempt.result,
            answer => answer,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut answer = words.join(" ");
        cut(&mut answer, FIRST_WORDS);
        Self {
            ended,
            status: attempt.status,
            answer,
        }
    }
}

/// The entries of one request, and the state of their delivery.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Delivery {
    /// The `webhook-id`.
    pub(in crate::webhook) id: String,
    #[serde(flatten)]
    pub(in crate::webhook) contents: Contents,
    /// It is a dead letter that is replayed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) dead: bool,
    /// The number of the replay that made it; zero if none did.
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::webhook) replay: u64,
    /// An administrator gave it up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) skipped: bool,
    /// An administrator asked that it be sent again while it was being given up, or was under way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) resend: bool,
    /// An older version noted here where the dead letter stands that has the entries.
    #[serde(skip_serializing)]
    pub(in crate::webhook) letter: Option<IgnoredAny>,
    /// How many they are.
    pub(in crate::webhook) count: usize,
    /// When the first of them happened, in microseconds since 1970.
    pub(in crate::webhook) since: i64,
    pub(in crate::webhook) attempts: u32,
    /// When the next attempt is due, by the queue's clock.
    pub(in crate::webhook) due: i64,
    /// The line that is kept of it when it is saved, for replays.
    #[serde(skip)]
    pub(in crate::webhook) line: Option<Vec<u8>>,
    /// Its body, made with it, if there was memory for that: for the first attempt only.
    #[serde(skip)]
    pub(in crate::webhook) body: Option<Body>,
    /// Distinguishes it from other deliveries while this process runs.
    #[serde(skip)]
    pub(in crate::webhook) key: u64,
    /// The save that makes its bounds durable.
    #[serde(skip)]
    pub(in crate::webhook) save: u64,
    #[serde(skip)]
    pub(in crate::webhook) in_flight: bool,
    /// It was taken, and is not acknowledged.
    #[serde(skip)]
    pub(in crate::webhook) taken: bool,
    /// When it may be tried though it is not due: the webhook is back.
    #[serde(skip)]
    pub(in crate::webhook) early: Option<i64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Delivery {
    /// Of entries that stand in the log; with these.
    pub(in crate::webhook) fn placed(webhook: &str, placed: Vec<Placed>) -> (Self, Vec<RawEntry>) {
        let (contents, entries) = Contents::placed(placed);
        (Self::of(webhook, contents, &entries), entries)
    }

    /// Of entries that are looked up by their ids; with these.
    pub(in crate::webhook) fn looked_up(
        webhook: &str,
        entries: Vec<RawEntry>,
    ) -> (Self, Vec<RawEntry>) {
        let contents = Contents::by_id(&entries);
        (Self::of(webhook, contents, &entries), entries)
    }

    /// Of what was sent before, under the id that it had.
    pub(in crate::webhook) fn again(id: String, contents: Contents, dead: bool) -> Self {
        Self {
            id,
            count: contents.len(),
            since: contents
                .since()
                .unwrap_or_else(|| Timestamp::now().as_micros()),
            contents,
            dead,
            ..Self::default()
        }
    }

    /// Its id says what is in it: the webhook and its entries.
    fn of(webhook: &str, contents: Contents, entries: &[RawEntry]) -> Self {
        Self {
            id: delivery_id(webhook, entries),
            contents,
            count: entries.len(),
            since: entries
                .first()
                .map_or(0, |entry| entry.timestamp().as_micros()),
            ..Self::default()
        }
    }

    /// Its halves, each with an id of its own and its entries, which are those of the delivery.
    pub(in crate::webhook) fn split(
        self,
        webhook: &str,
        mut entries: Vec<RawEntry>,
    ) -> [(Self, Vec<RawEntry>); 2] {
        let later = entries.split_off(entries.len() / 2);
        let [first, second] = self.contents.halved(&entries, &later);
        [
            (Self::of(webhook, first, &entries), entries),
            (Self::of(webhook, second, &later), later),
        ]
    }
}

pub(in crate::webhook) fn delivery_id(webhook: &str, entries: &[RawEntry]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(webhook).chain(entries.iter().map(RawEntry::id)) {
        hash.update(part);
        hash.update([0]);
    }
    format!("msg_{}", HEXLOWER.encode(&hash.finalize()[..16]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::entry;

    fn entries(numbers: &[u8]) -> Vec<RawEntry> {
        numbers.iter().copied().map(entry).collect()
    }

    #[test]
    fn an_id_says_what_is_in_the_delivery() {
        let id = |webhook, numbers: &[u8]| delivery_id(webhook, &entries(numbers));
        assert_eq!(id("siem", &[1, 2, 3]), id("siem", &[1, 2, 3]));
        for other in [
            id("siem", &[1, 3]),
            id("siem", &[1, 2, 4]),
            id("siem", &[1]),
            id("chat", &[1, 2, 3]),
        ] {
            assert_ne!(other, id("siem", &[1, 2, 3]));
        }
    }

    #[test]
    fn halves_have_all_entries_and_come_back_as_they_were_kept() {
        let (delivery, _) = Delivery::looked_up("siem", entries(&[1, 2, 3, 4, 5]));
        let ids = delivery.contents.ids.clone();
        let all = entries(&[1, 2, 3, 4, 5]);
        let [(mut first, of_first), (second, of_second)] = delivery.split("siem", all);
        assert_eq!((of_first.len(), of_second.len()), (2, 3));
        assert_eq!(
            [first.contents.ids.clone(), second.contents.ids.clone()].concat(),
            ids
        );
        assert_eq!((first.count, second.count), (2, 3));
        first.attempts = 3;
        let queue = Queue {
            deliveries: [first, second].into(),
            ..Queue::default()
        };
        let read: Queue = serde_json::from_slice(&serde_json::to_vec(&queue).unwrap()).unwrap();
        assert_eq!(
            (
                read.deliveries[0].attempts,
                &read.deliveries[0].contents.ids[..]
            ),
            (3, &ids[..2])
        );
        assert!(
            read.deliveries
                .iter()
                .all(|delivery| delivery.body.is_none() && !delivery.in_flight)
        );
    }
}
