//! When a webhook's queue is saved, on a thread for that: one save at a time, soon where
//! something waits for it.
//!
//! A save that fails is tried again until it works. What waits for it waits; what was sent
//! meanwhile may come again after a death, under the same id.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    error::Result,
    store::document::Document,
    webhook::{
        queue::{allowance::Allowance, batches::Batches},
        run::blocking::{ended, panicked},
    },
};

/// The shortest pauses between two saves: while deliveries succeed; while they fail; when the log
/// was read and nothing was found; and after a save that failed.
const EVERY: Duration = Duration::from_millis(50);
const FAILED_EVERY: Duration = Duration::from_millis(500);
const MOVED_EVERY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(5);
/// The bytes that a failing webhook may save: a second on average, and at once. That is 5 MB a day.
const FAILING_PACE: u64 = 60;
const FAILING_AT_ONCE: u64 = 512 * 1024;

#[derive(Debug)]
pub(in crate::webhook) struct Saves {
    /// Something changed that is in no save yet; and something waits for that to be durable.
    pub(in crate::webhook) unsaved: bool,
    pub(in crate::webhook) soon: bool,
    /// The log was read on, and nothing was found: no loss if that is forgotten, but retention
    /// waits for it.
    pub(in crate::webhook) moved: bool,
    /// An attempt failed. If that is forgotten, the delivery is tried once more.
    pub(in crate::webhook) failed: bool,
    /// The circuit is open, so nothing is delivered, and a death can at worst repeat attempts and
    /// reads: every save that isn't awaited is paced.
    pub(in crate::webhook) failing: bool,
    /// Nothing can be sent before the next save, so that save isn't paced: otherwise nobody would
    /// notice that the receiver is back.
    pub(in crate::webhook) awaited: bool,
    allowance: Allowance,
    next: u64,
    done: u64,
    under_way: Option<JoinHandle<Result<()>>>,
    last: Instant,
    not_before: Option<Instant>,
}

impl Saves {
    pub(in crate::webhook) fn new(unsaved: bool) -> Self {
        let now = Instant::now();
        Self {
            unsaved,
            soon: false,
            moved: false,
            failed: false,
            failing: false,
            awaited: false,
            allowance: Allowance::new(FAILING_PACE, FAILING_AT_ONCE, now),
            next: 1,
            done: 0,
            under_way: None,
            last: now,
            not_before: None,
        }
    }

    /// The number of the save that what is changed now will be in.
    pub(in crate::webhook) fn next(&self) -> u64 {
        self.next
    }

    /// The last save that is durable.
    pub(in crate::webhook) fn done(&self) -> u64 {
        self.done
    }

    /// Whether it is time to save; then it must be [begun](Self::begin).
    pub(in crate::webhook) fn is_time(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// When it is time to save; `None` if nothing changed, or a save is under way.
    pub(in crate::webhook) fn due(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        let soonest = self.last + FAILED_EVERY;
        let paced = match self.awaited {
            true => soonest,
            false => soonest.max(self.allowance.next()),
        };
        let failed = self.failed.then_some(paced);
        let others = [
            self.soon.then_some(self.last),
            self.unsaved.then_some(self.last + EVERY),
            self.moved.then_some(self.last + MOVED_EVERY),
        ];
        let others = others.into_iter().flatten().map(|due| match self.failing {
            true => due.max(paced),
            false => due,
        });
        let due = others.chain(failed).min()?;
        Some(self.not_before.map_or(due, |time| due.max(time)))
    }

    /// Begins to save this text, after the lines of the batches in it.
    pub(in crate::webhook) fn begin(
        &mut self,
        document: Document,
        text: Vec<u8>,
        batches: &Arc<Batches>,
        now: Instant,
    ) {
        self.note(text.len(), now);
        self.next += 1;
        let batches = Arc::clone(batches);
        self.under_way = Some(spawn_blocking(move || {
            batches.write();
            document.write(&text, true)
        }));
    }

    /// Notes that everything is being saved in so many bytes.
    fn note(&mut self, len: usize, now: Instant) {
        if self.failing || self.failed && !self.unsaved {
            self.allowance.spend(len, now);
        }
        self.unsaved = false;
        self.soon = false;
        self.moved = false;
        self.failed = false;
        self.last = now;
    }

    /// When the last save was begun.
    pub(in crate::webhook) fn last(&self) -> Instant {
        self.last
    }

    /// Whether everything is saved.
    pub(in crate::webhook) fn are_done(&self) -> bool {
        !(self.soon || self.unsaved || self.failed || self.are_under_way())
    }

    /// Whether a save is under way.
    pub(in crate::webhook) fn are_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the save that is under way; for ever if none is. Gives why it failed.
    pub(in crate::webhook) async fn saved(&mut self) -> Result<()> {
        let saved = ended(&mut self.under_way).await;
        let saved = saved.unwrap_or_else(|e| Err(panicked("saving a queue", &e)));
        match saved {
            Ok(()) => (self.done, self.not_before) = (self.next - 1, None),
            Err(_) => (self.soon, self.not_before) = (true, Some(Instant::now() + AGAIN)),
        }
        saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::AuditLog, query::AuditReader, store::layout::Layout};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[tokio::test]
    async fn what_waits_for_a_save_waits_for_one_that_worked() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let document = || Document::new(&layout, "queue", "queue");
        let log = AuditLog::for_tests();
        let reader = AuditReader::open(log.dir()).unwrap();
        let batches = Arc::new(Batches::new("siem.1", reader));
        let mut saves = Saves::new(false);
        let now = Instant::now();
        assert!(!saves.is_time(now));
        (saves.soon, saves.unsaved) = (true, true);
        let waits_for = saves.next();
        assert!(saves.is_time(now));
        // There is no directory for it.
        saves.begin(document(), b"one".to_vec(), &batches, now);
        assert!(!saves.is_time(now));
        let changed_meanwhile = saves.next();
        assert!(saves.saved().await.is_err() && saves.done() < waits_for);
        assert!(
            saves.soon && !saves.is_time(now),
            "it is tried again, and not at once"
        );
        std::fs::create_dir(dir.path().join("state")).unwrap();
        saves.not_before = None;
        assert!(saves.is_time(now));
        saves.begin(document(), b"two".to_vec(), &batches, now);
        saves.saved().await.unwrap();
        assert!(saves.done() >= changed_meanwhile && saves.done() < saves.next());
    }

    /// How many bytes are saved in a day in which something changes each second.
    fn saved_in_a_day(len: usize, change: impl Fn(&mut Saves)) -> usize {
        let begun = Instant::now();
        let mut saves = Saves::new(false);
        let mut bytes = 0;
        for second in 0..DAY.as_secs() {
            change(&mut saves);
            let now = begun + Duration::from_secs(second);
            if saves.is_time(now) {
                saves.note(len, now);
                bytes += len;
            }
        }
        bytes
    }

    #[test]
    fn a_dead_webhook_saves_little_in_a_day() {
        for len in [2_000, 50_000, 250_000] {
            let failing = |saves: &mut Saves| saves.failed = true;
            let all = |saves: &mut Saves| {
                saves.failing = true;
                (saves.unsaved, saves.soon, saves.moved) = (true, true, true);
            };
            for saved in [saved_in_a_day(len, failing), saved_in_a_day(len, all)] {
                assert!(saved > 1_000_000 && saved < 7_000_000, "{len}: {saved}");
            }
        }
    }

    #[test]
    fn the_first_failures_and_all_of_a_webhook_that_works_are_saved_soon() {
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let mut saves = Saves::new(false);
        saves.last = begun;
        saves.failed = true;
        assert_eq!(saves.due(), Some(after(500)));
        saves.note(1_000_000, begun);
        assert_eq!(saves.due(), None, "nothing happened");
        saves.failed = true;
        assert!(saves.due() > Some(after(3_600_000)));
        saves.unsaved = true;
        assert_eq!(saves.due(), Some(after(50)));
        saves.soon = true;
        assert_eq!(saves.due(), Some(begun));
        saves.failing = true;
        assert!(saves.due() > Some(after(3_600_000)));
        saves.awaited = true;
        assert_eq!(saves.due(), Some(after(500)));
    }
}
