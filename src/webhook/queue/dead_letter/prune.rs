//! How long dead letters stay: 30 days, and no more than 64 MiB of a webhook. Also those of
//! webhooks that are no more.
//!
//! What goes is recorded durably first (`audit.delivery.dead_letters_pruned`), then counted, then
//! removed: a death in between tells it twice, never not at all. What this process told of and
//! could not remove is not told again. What is being sent again stays while it is, unless there is
//! too much. As long as the log has the entries themselves, they can be replayed from there.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    age::Ages,
    files::{self, LetterFile},
    index, read,
};
use crate::{
    entry::{OwnEntry, Severity, Timestamp},
    error::{Error, Result},
    log::AuditLog,
    store::{document::Document, layout::Layout},
    webhook::queue::{self, Queue},
};

/// So long after the last letter came into a file it goes.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// So many bytes of a webhook stay, whatever their age.
const MOST_BYTES: u64 = 64 << 20;
/// How often it is looked for what has to go, and for a webhook for which that failed.
const EVERY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(3600);

/// Prunes from time to time, on a thread for that; for the dispatcher.
#[derive(Debug, Default)]
pub(in crate::webhook) struct Pruning {
    begun: Option<Instant>,
    under_way: Option<JoinHandle<()>>,
    known: Arc<Mutex<Known>>,
}

/// What is known from one look to the next.
#[derive(Debug, Default)]
struct Known {
    ages: Ages,
    /// By the webhook's key.
    told: HashMap<String, Told>,
}

/// What was done of a removal.
#[derive(Debug, Default)]
struct Told {
    /// Up to here what goes was recorded.
    end: u64,
    /// Entries that were recorded and are not in the count yet.
    uncounted: u64,
    /// It failed, and is not tried before.
    not_before: Option<Instant>,
}

impl Pruning {
    pub(in crate::webhook) fn go_on(&mut self, log: &AuditLog) {
        let is_done = self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if !is_done || self.begun.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let (log, known) = (log.clone(), Arc::clone(&self.known));
        self.begun = Some(Instant::now());
        self.under_way = Some(spawn_blocking(move || {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let pruned = known.prune(
                log.layout(),
                (Timestamp::now(), Instant::now()),
                MOST_BYTES,
                &|record| log.store()?.record(&record),
            );
            if let Err(error) = pruned {
                tracing::warn!(target: "tracing_audit", "dead letters stay longer than they should: {error}");
            }
        }));
    }
}

/// Entries in dead letters of a webhook that were removed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Pruned {
    entries: u64,
}

/// `state/letters-<name>.<id>.json`
pub(in crate::webhook) fn document(layout: &Layout, key: &str) -> Document {
    Document::new(layout, &format!("letters-{key}"), "forward")
}

/// How many entries in dead letters of a webhook were removed so far.
pub(in crate::webhook) fn pruned(layout: &Layout, key: &str) -> u64 {
    // The log has each removal; a count that can't be read is worth no report.
    document(layout, key)
        .read::<Pruned>()
        .map_or(0, |pruned| pruned.entries)
}

impl Known {
    /// Removes what has to go. What is wrong with one webhook's keeps no others. `now` is what the
    /// clock says, and the steady one.
    fn prune(
        &mut self,
        layout: &Layout,
        now: (Timestamp, Instant),
        most_bytes: u64,
        record: &dyn Fn(OwnEntry) -> Result<()>,
    ) -> Result<()> {
        let (all, steady) = (files::all(layout)?, now.1);
        let mut result = self
            .ages
            .look(layout, all.values().flatten(), now.0, steady);
        for (key, files) in all {
            let told = self.told.entry(key.clone()).or_default();
            if told.not_before.is_some_and(|time| time > steady) {
                continue;
            }
            let removed = remove(layout, &key, &files, most_bytes, &self.ages, told, record);
            told.not_before = removed.is_err().then(|| steady + AGAIN);
            result = result.and(removed);
        }
        result
    }
}

/// How many of the files have to go, the oldest ones, and reason the last of them does.
fn doomed(
    layout: &Layout,
    key: &str,
    files: &[LetterFile],
    most_bytes: u64,
    ages: &Ages,
) -> (usize, &'static str) {
    let mut bytes: u64 = files.iter().map(|file| file.len).sum();
    let (mut reason, mut replayed) = ("", None);
    for (at, file) in files.iter().enumerate() {
        let mut first_replayed = || *replayed.get_or_insert_with(|| first_replayed(layout, key));
        if bytes > most_bytes && at + 1 < files.len() {
            reason = "total_bytes";
        } else if ages.of(file) > KEPT && file.start() + file.len <= first_replayed() {
            reason = "age";
        } else {
            return (at, reason);
        }
        bytes -= file.len;
    }
    (files.len(), reason)
}

/// Where the first letter stands that is being sent again.
fn first_replayed(layout: &Layout, key: &str) -> u64 {
    let Ok(Some(queue)) = Queue::read(layout, key) else {
        return u64::MAX;
    };
    let replaying = match queue.replaying {
        Some(queue::Replaying::DeadLetters { from, .. }) => Some(from),
        _ => None,
    };
    queue
        .deliveries
        .iter()
        .filter_map(|delivery| Some(delivery.letter?.offset))
        .chain(replaying)
        .min()
        .unwrap_or(u64::MAX)
}

fn remove(
    layout: &Layout,
    key: &str,
    files: &[LetterFile],
    most_bytes: u64,
    ages: &Ages,
    told: &mut Told,
    record: &dyn Fn(OwnEntry) -> Result<()>,
) -> Result<()> {
    let is_there = queue::document(layout, key).version()?.is_some();
    // What holds the place of those that are gone stays as long as its webhook.
    let files = match files.split_last() {
        Some((last, before)) if is_there && last.len == 0 => before,
        _ => files,
    };
    let (count, reason) = doomed(layout, key, files, most_bytes, ages);
    let (going, staying) = files.split_at(count);
    let Some(last) = going.last() else {
        return Ok(());
    };
    let end = last.start() + last.len;
    if told.end < end {
        let going = Going::read(layout, key, told.end..end)?;
        let entries = going.entries;
        if let Some(told) = going.told(key, reason) {
            record(told)?;
        }
        (told.end, told.uncounted) = (end, told.uncounted + entries);
    }
    if told.uncounted > 0 && is_there {
        let document = document(layout, key);
        let before = match document.read::<Pruned>() {
            Err(Error::Damaged { .. }) => Pruned::default(),
            before => before?,
        };
        document.write(
            &Document::text(&Pruned {
                entries: before.entries + told.uncounted,
            }),
            true,
        )?;
    }
    told.uncounted = 0;
    if is_there && staying.is_empty() {
        last.begin_next(layout, key)?;
    }
    let removed = going
        .iter()
        .map(LetterFile::remove)
        .fold(Ok(()), Result::and);
    let dir = files::dir(layout);
    removed.and(files::sync(&dir).map_err(Error::io("sync", &dir)))
}

/// What is told of letters that go.
#[derive(Default)]
struct Going {
    requests: u64,
    entries: u64,
    /// Lines that are no letters.
    unreadable: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Going {
    fn read(layout: &Layout, key: &str, places: std::ops::Range<u64>) -> Result<Self> {
        let mut going = Self::default();
        for at in index(layout, key)?
            .into_iter()
            .filter(|at| places.contains(&at.offset))
        {
            match read(layout, key, at) {
                Ok(Some(letter)) => {
                    going.requests += 1;
                    going.entries += letter.entries.len() as u64;
                    going.first.get_or_insert_with(|| letter.given_up.clone());
                    going.last = Some(letter.given_up);
                }
                Ok(None) => {}
                Err(Error::Damaged { .. }) => going.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(going)
    }

    /// `None` if there is nothing to tell.
    fn told(self, key: &str, reason: &str) -> Option<OwnEntry> {
        if self.requests + self.unreadable == 0 {
            return None;
        }
        let webhook = key.rsplit_once('.').map_or(key, |(name, _)| name);
        let description = "Dead letters are removed";
        let told = OwnEntry::new(
            "audit.delivery.dead_letters_pruned",
            Severity::Warning,
            description,
        )
        .detail("webhook", webhook);
        let told = told
            .detail("entries", self.entries)
            .detail("deliveries", self.requests)
            .detail("reason", reason);
        let told = told
            .detail("first_given_up", self.first)
            .detail("last_given_up", self.last);
        Some(if self.unreadable > 0 {
            told.detail("unreadable", self.unreadable)
        } else {
            told
        })
    }
}
