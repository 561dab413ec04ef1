//! When a webhook's queue is saved, on a thread for that: one save at a time, soon where
//! something waits for it.
//!
//! A save that fails is tried again until it works. What waits for it waits; what was sent
//! meanwhile may come again after a death, under the same id.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::{error::Result, store::document::Document, webhook::run::blocking::panicked};

/// So often at most while deliveries go well; when nothing was found in the log but it was read on;
/// and after a save that failed.
const EVERY: Duration = Duration::from_millis(50);
const MOVED_EVERY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(5);
/// What only counts failed attempts is saved at this pace, in bytes a second: a webhook can fail
/// for days, with a thousand requests waiting.
const FAILED_PACE: usize = 64 * 1024;

#[derive(Debug)]
pub(in crate::webhook) struct Saves {
    /// Something changed that is in no save yet; and something waits for that to be durable.
    pub(in crate::webhook) unsaved: bool,
    pub(in crate::webhook) soon: bool,
    /// The log was read on, and nothing was found: no loss if that is forgotten, but retention
    /// waits for it.
    pub(in crate::webhook) moved: bool,
    /// An attempt failed. Who forgets that tries once more.
    pub(in crate::webhook) failed: bool,
    /// How long the last save was.
    len: usize,
    next: u64,
    done: u64,
    under_way: Option<JoinHandle<Result<()>>>,
    last: Instant,
    not_before: Option<Instant>,
}

impl Saves {
    pub(in crate::webhook) fn new(unsaved: bool) -> Self {
        Self {
            unsaved,
            soon: false,
            moved: false,
            failed: false,
            len: 0,
            next: 1,
            done: 0,
            under_way: None,
            last: Instant::now(),
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
    pub(in crate::webhook) fn is_time(&self) -> bool {
        let ago = self.last.elapsed();
        let paced = Duration::from_millis((self.len * 1000 / FAILED_PACE) as u64).max(EVERY);
        let wanted = self.soon
            || self.unsaved && ago >= EVERY
            || self.failed && ago >= paced
            || self.moved && ago >= MOVED_EVERY;
        wanted
            && self.under_way.is_none()
            && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    pub(in crate::webhook) fn begin(&mut self, document: Document, text: Vec<u8>) {
        (self.unsaved, self.soon, self.moved, self.failed) = (false, false, false, false);
        (self.len, self.last) = (text.len(), Instant::now());
        self.next += 1;
        self.under_way = Some(spawn_blocking(move || document.write(&text, true)));
    }

    /// Whether something waits to be saved soon. The end of a save that is under way tells itself.
    pub(in crate::webhook) fn are_wanted(&self) -> bool {
        (self.soon || self.unsaved)
            && self.under_way.is_none()
            && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// Whether a save is under way.
    pub(in crate::webhook) fn are_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the save that is under way; for ever if none is. Gives why it failed.
    pub(in crate::webhook) async fn saved(&mut self) -> Result<()> {
        let Some(saving) = &mut self.under_way else {
            return pending().await;
        };
        let saved: std::result::Result<_, JoinError> = saving.await;
        self.under_way = None;
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
    use crate::store::layout::Layout;

    #[tokio::test]
    async fn what_waits_for_a_save_waits_for_one_that_worked() {
        let dir = tempfile::tempdir().unwrap();
        let document = || Document::new(&Layout::new(dir.path()), "queue", "queue");
        let mut saves = Saves::new(false);
        assert!(!saves.is_time());
        (saves.soon, saves.unsaved) = (true, true);
        let waits_for = saves.next();
        assert!(saves.is_time());
        // There is no directory for it.
        saves.begin(document(), b"one".to_vec());
        assert!(!saves.is_time());
        let changed_meanwhile = saves.next();
        assert!(saves.saved().await.is_err() && saves.done() < waits_for);
        assert!(
            saves.soon && !saves.is_time(),
            "it is tried again, and not at once"
        );
        std::fs::create_dir(dir.path().join("state")).unwrap();
        saves.not_before = None;
        assert!(saves.is_time());
        saves.begin(document(), b"two".to_vec());
        saves.saved().await.unwrap();
        assert!(saves.done() >= changed_meanwhile && saves.done() < saves.next());
    }

    #[tokio::test]
    async fn a_webhook_that_fails_for_days_writes_little() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let mut saves = Saves::new(false);
        saves.begin(
            Document::new(&Layout::new(dir.path()), "queue", "queue"),
            vec![b'x'; 3 * FAILED_PACE],
        );
        saves.saved().await.unwrap();
        fn after(saves: &mut Saves, seconds: u64) -> bool {
            saves.last = Instant::now()
                .checked_sub(Duration::from_secs(seconds))
                .unwrap();
            saves.is_time()
        }
        assert!(!after(&mut saves, 60), "nothing happened");
        saves.failed = true;
        assert!(!after(&mut saves, 1) && after(&mut saves, 3));
        saves.unsaved = true;
        assert!(after(&mut saves, 1));
    }
}
