//! What keeps files from being pruned, and for how long: another process that holds the lock, or a
//! clock that isn't trusted. Both are reported, and so is their end.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    clock::Clock,
    health::{Health, Problem},
    hold,
    prune::{Pruned, Pruner, Waiting},
    retention::Retention,
};
use crate::error::Error;

/// A pruning takes seconds; a lock that is held for longer than this is stuck.
const LOCKED: Duration = Duration::from_secs(5 * 60);
/// Files that wait for the clock make the log not ready after so long.
const LASTING: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the lock was first seen to be held by another process.
    locked: Option<Since>,
    /// When files were first seen to wait for the clock.
    waiting: Option<Since>,
}

#[derive(Debug)]
struct Since {
    first: Duration,
    reported: bool,
}

impl Since {
    fn new(now: Duration) -> Self {
        Self {
            first: now,
            reported: false,
        }
    }

    /// Whether it has lasted for `time`, the first time that it has.
    fn lasts(&mut self, now: Duration, time: Duration) -> bool {
        let first = !self.reported && now.saturating_sub(self.first) >= time;
        self.reported |= first;
        first
    }
}

impl Pruner {
    /// Prunes, counts and reports.
    pub(super) fn turn(&mut self, clock: &dyn Clock, health: &Health, retention: &Retention) {
        let pruned = self.prune(clock, retention);
        let now = clock.monotonic();
        match pruned {
            Ok(None) => {
                let lock = self.sealed.layout().lock(hold::LOCK);
                let lock = lock.display().to_string();
                self.watch.locked(now, health, lock);
            }
            Ok(Some(Pruned { files, waiting, .. })) => {
                health
                    .pruned()
                    .fetch_add(files.len() as u64, Ordering::Relaxed);
                self.watch.unlocked(health);
                self.watch
                    .waiting(now, health, waiting.filter(|waiting| waiting.is_much));
            }
            // The log is being closed: the next process prunes.
            Err(Error::Closed) => {}
            Err(error) => {
                self.watch.unlocked(health);
                health.report(&Problem::PruneFailed(error.to_string()));
            }
        }
    }
}

impl Watch {
    fn locked(&mut self, now: Duration, health: &Health, lock: String) {
        let since = self.locked.get_or_insert_with(|| Since::new(now));
        if since.lasts(now, LOCKED) {
            health.report(&Problem::PruneLocked(lock));
        }
    }

    fn unlocked(&mut self, health: &Health) {
        if self.locked.take().is_some_and(|since| since.reported) {
            health.report(&Problem::PruneUnlocked);
        }
    }

    fn waiting(&mut self, now: Duration, health: &Health, waiting: Option<Waiting>) {
        let Some(waiting) = waiting else {
            if self.waiting.take().is_some() {
                health.report(&Problem::PruneResumed);
            }
            return;
        };
        let report = |lasting| {
            health.report(&Problem::PruneHeldBack {
                why: waiting.to_string(),
                lasting,
            });
        };
        match &mut self.waiting {
            Some(since) => {
                if since.lasts(now, LASTING) {
                    report(true);
                }
            }
            None => {
                self.waiting = Some(Since::new(now));
                report(false);
            }
        }
    }
}
