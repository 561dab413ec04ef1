//! The reasons why files are not pruned, and for how long: another process that holds the lock, or
//! a clock that isn't trusted. Both are reported, and so is their end.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use super::{
    clock::Clock,
    clock_guard::{FIRST, PROOF},
    health::{Health, Problem},
    hold,
    prune::{Pruned, Pruner},
    retention::{MICROS_PER_DAY, Retention, Selection},
    trusted_time::Times,
};
use crate::{
    entry::{OwnEntry, Severity, Timestamp},
    error::Error,
};

/// A pruning takes seconds; a lock that is held for longer than this is stuck.
const LOCKED: Duration = Duration::from_secs(5 * 60);
/// Files that wait for the clock make the log not ready after so long.
const LASTING: Duration = Duration::from_secs(60 * 60);

/// Files that are past their retention by this machine's clock, and stay until that clock has
/// proved itself, or until a person has confirmed it
/// ([`AuditLog::trust_clock`](crate::AuditLog::trust_clock)).
///
/// Its `Display` says how many files wait, how long they have to, and what to do.
#[derive(Clone, Debug)]
pub struct ClockWait {
    files: u64,
    wall: Timestamp,
    trusted: Timestamp,
    /// How much longer the machine has to be up, in microseconds.
    remaining: i64,
    is_far_ahead: bool,
}

impl ClockWait {
    /// The number of files that wait.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Whether the clock is ahead of the time that it has proved by more than a tenth of the
    /// retention. Then it may be wrong, and someone has to look at it.
    pub fn is_far_ahead(&self) -> bool {
        self.is_far_ahead
    }
}

impl ClockWait {
    pub(super) fn new(selection: &Selection, retention: &Retention, times: &Times) -> Option<Self> {
        let ahead = times
            .wall
            .as_micros()
            .saturating_sub(times.trusted.as_micros());
        let retention = i64::from(retention.days?) * MICROS_PER_DAY;
        (selection.waiting > 0).then(|| Self {
            files: selection.waiting,
            wall: times.wall,
            trusted: times.trusted,
            remaining: times.guard.remaining(),
            is_far_ahead: ahead > retention / 10,
        })
    }

    pub(super) fn entry(&self) -> OwnEntry {
        OwnEntry::new(
            "audit.log.prune_held_back",
            Severity::Warning,
            "Files that are past their retention by this machine's clock stay, because the clock \
             has not proved itself",
        )
        .detail("files", self.files)
        .detail("clock", self.wall.to_string())
        .detail("trusted", self.trusted_text())
        .detail("uptime_needed_seconds", self.remaining / 1_000_000)
    }

    fn trusted_text(&self) -> Option<String> {
        // A clock that never was trusted counts from the year 0.
        let never = Timestamp::MIN.as_micros() + FIRST + PROOF.1;
        (self.trusted.as_micros() > never).then(|| self.trusted.to_string())
    }
}

impl fmt::Display for ClockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} past their retention at {}, which is what this machine's clock says, ",
            if self.files == 1 {
                "1 file is".to_owned()
            } else {
                format!("{} files are", self.files)
            },
            self.wall,
        )?;
        match self.trusted_text() {
            Some(trusted) => write!(f, "but the clock has proved itself only up to {trusted}")?,
            None => f.write_str("but nothing has proved that clock yet")?,
        }
        let minutes = self.remaining / 60_000_000 + 1;
        match self.remaining {
            0 => f.write_str("; the clock of the file system disagrees with it")?,
            _ => write!(
                f,
                "; the files are removed when the clock has run steadily for {} h {} min more",
                minutes / 60,
                minutes % 60
            )?,
        }
        f.write_str(
            ". Check the clock; if it is right, run `tracing-audit prune --trust-clock` to remove \
             the files at once",
        )
    }
}

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
        let pruned = self.prune_most(clock, retention);
        let now = clock.monotonic();
        match pruned {
            Ok(None) => {
                let lock = self.files.layout().lock(hold::LOCK);
                let lock = lock.display().to_string();
                self.watch.locked(now, health, lock);
            }
            Ok(Some((Pruned { files, waiting, .. }, failed))) => {
                health
                    .pruned()
                    .fetch_add(files.len() as u64, Ordering::Relaxed);
                self.watch.unlocked(health);
                self.watch
                    .waiting(now, health, waiting.filter(ClockWait::is_far_ahead));
                if let Some(error) = failed {
                    health.report(&Problem::PruneFailed(error.to_string()));
                }
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

    fn waiting(&mut self, now: Duration, health: &Health, waiting: Option<ClockWait>) {
        let Some(waiting) = waiting else {
            if self.waiting.take().is_some() {
                health.report(&Problem::PruneResumed);
            }
            return;
        };
        let report = |lasting| {
            health.report(&Problem::PruneHeldBack {
                reason: waiting.to_string(),
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
