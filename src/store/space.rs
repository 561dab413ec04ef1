//! Watermarks: what the log does while its file system runs out of room.
//!
//! | level | when | by default |
//! |---|---|---|
//! | low | fewer than 256 MiB are free | reported; files past their retention are pruned now |
//! | very low | fewer than 64 MiB are free | reported, and by `/readyz` as well |
//! | full | a write found no room | files past their retention are pruned now; the reserve has room for the entry |
//! | error | a write failed otherwise | the write is tried again, at most a second later |
//!
//! Whenever room is short, the live twins of sealed files are removed first, whatever is left of
//! their grace. At the last two levels, events wait in the journal; [`WhenFull`](crate::WhenFull)
//! says what callers do once the journal is full.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    health::{Health, Problem},
    sealer::Job,
};
use crate::{
    entry::{OwnEntry, Severity},
    error::{Error, Result},
};

/// The action when a watermark is passed. Each level is reported to the callback, in the metrics
/// and in the log, whatever is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceAction {
    /// Only report it.
    Report,
    /// Remove files that are past their retention at once, not at the next turn within a minute.
    Prune,
    /// Remove the oldest sealed files as well, whatever their age, until there is more room than
    /// that. Held files stay.
    PruneOldest,
}

/// The amounts of free space, in bytes, at which the log acts, and its actions.
///
/// ```
/// use tracing_audit::health::{SpaceAction, Watermarks};
///
/// // Rather lose the oldest month than stand still:
/// let watermarks = Watermarks::default()
///     .low(4 << 30, SpaceAction::Prune)
///     .very_low(1 << 30, SpaceAction::PruneOldest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    low: (u64, SpaceAction),
    very_low: (u64, SpaceAction),
    full: SpaceAction,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self {
            low: (256 << 20, SpaceAction::Prune),
            very_low: (64 << 20, SpaceAction::Report),
            full: SpaceAction::Prune,
        }
    }
}

impl Watermarks {
    /// Below this many free bytes, an early warning. Default: 256 MiB, [`SpaceAction::Prune`].
    #[must_use]
    pub fn low(mut self, bytes: u64, action: SpaceAction) -> Self {
        self.low = (bytes, action);
        self
    }

    /// Below this many free bytes, the last warning; the log is not ready (`/readyz`). Default: 64
    /// MiB, [`SpaceAction::Report`].
    #[must_use]
    pub fn very_low(mut self, bytes: u64, action: SpaceAction) -> Self {
        self.very_low = (bytes, action);
        self
    }

    /// The action when the disk is full. Default: [`SpaceAction::Prune`].
    #[must_use]
    pub fn full(mut self, action: SpaceAction) -> Self {
        self.full = action;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.very_low.0 > self.low.0 {
            let text = format!(
                "very_low ({} bytes) must not be above low ({} bytes)",
                self.very_low.0, self.low.0
            );
            return Err(Error::invalid("watermarks", text));
        }
        Ok(())
    }
}

/// How much room there is, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SpaceLevel {
    #[default]
    Enough,
    Low,
    VeryLow,
}

impl SpaceLevel {
    /// The level after `self` with `free` bytes. A level is only left with an eighth more than its
    /// mark, or a log at the mark would fill the rest of the disk with reports.
    fn next(self, free: u64, marks: &Watermarks) -> Self {
        let below = |mark: u64, level: Self| {
            free < if self >= level {
                mark.saturating_add(mark / 8)
            } else {
                mark
            }
        };
        if below(marks.very_low.0, Self::VeryLow) {
            Self::VeryLow
        } else if below(marks.low.0, Self::Low) {
            Self::Low
        } else {
            Self::Enough
        }
    }
}

/// Removing files may not free enough, or not at once: then the log tries again this much later.
const ACT_AGAIN: Duration = Duration::from_secs(10);

/// Watches the free space and says what is to be done about it.
#[derive(Debug)]
pub(super) struct SpaceWatch {
    marks: Watermarks,
    level: SpaceLevel,
    /// When files were last removed because space was short.
    acted: Duration,
}

/// The work to do after a look at the free space.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// To be written into the log.
    pub(super) entry: Option<OwnEntry>,
    /// To be done by the sealer.
    pub(super) jobs: Vec<Job>,
}

impl SpaceWatch {
    pub(super) fn new(marks: Watermarks, now: Duration) -> Self {
        Self {
            marks,
            level: SpaceLevel::default(),
            acted: now,
        }
    }

    pub(super) fn is_enough(&self) -> bool {
        self.level == SpaceLevel::Enough
    }

    /// So many bytes are free. A watermark that was passed is reported.
    pub(super) fn look(&mut self, free: u64, health: &Health, now: Duration) -> Seen {
        let before = self.level;
        let level = before.next(free, &self.marks);
        self.level = level;
        health.free_bytes().store(free, Ordering::Relaxed);
        health.space_level().store(level as u64, Ordering::Relaxed);
        let (watermark, action) = match level {
            SpaceLevel::VeryLow => self.marks.very_low,
            SpaceLevel::Low | SpaceLevel::Enough => self.marks.low,
        };
        if level != before {
            health.report(&match level {
                SpaceLevel::Enough => Problem::SpaceRecovered,
                level => Problem::SpaceLow {
                    free,
                    watermark,
                    very: level == SpaceLevel::VeryLow,
                },
            });
        }
        let worse = level > before;
        let again = level > SpaceLevel::Enough && self.may_act_again(now);
        if worse || again {
            self.acted = now;
        }
        Seen {
            entry: worse.then(|| level.entry(free, watermark)),
            jobs: match worse || again {
                true => make_room(action, watermark),
                false => Vec::new(),
            },
        }
    }

    /// A write found no room; whether for the first time.
    pub(super) fn found_full(&mut self, now: Duration, first: bool) -> Vec<Job> {
        if !first && !self.may_act_again(now) {
            return Vec::new();
        }
        self.acted = now;
        make_room(self.marks.full, self.marks.very_low.0)
    }

    fn may_act_again(&self, now: Duration) -> bool {
        now.saturating_sub(self.acted) >= ACT_AGAIN
    }
}

impl SpaceLevel {
    fn entry(self, free: u64, watermark: u64) -> OwnEntry {
        let (event_type, severity) = match self {
            Self::VeryLow => ("audit.log.space_very_low", Severity::Critical),
            _ => ("audit.log.space_low", Severity::Warning),
        };
        OwnEntry::new(
            event_type,
            severity,
            "Free space on the log's file system fell below the watermark",
        )
        .detail("free_bytes", free)
        .detail("watermark_bytes", watermark)
    }
}

/// Has files removed; with [`SpaceAction::PruneOldest`] until `enough` bytes are free.
fn make_room(action: SpaceAction, enough: u64) -> Vec<Job> {
    // Their entries are in their sealed files.
    let mut jobs = vec![Job::RemoveTwins];
    match action {
        SpaceAction::Report => {}
        SpaceAction::Prune => jobs.push(Job::Prune),
        // An eighth more: the mark alone would not leave the level.
        SpaceAction::PruneOldest => {
            jobs.push(Job::MakeRoom(enough.saturating_add(enough / 8)));
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_left_only_with_some_room_to_spare() {
        let marks = Watermarks::default()
            .low(800, SpaceAction::Report)
            .very_low(80, SpaceAction::Report);
        let mut level = SpaceLevel::Enough;
        let mut at = |free| {
            level = level.next(free, &marks);
            level
        };
        use SpaceLevel::{Enough, Low, VeryLow};
        assert_eq!(
            [800, 799, 800, 899, 900].map(&mut at),
            [Enough, Low, Low, Low, Enough]
        );
        assert_eq!(
            [10, 80, 89, 90, 79, 900].map(&mut at),
            [VeryLow, VeryLow, VeryLow, Low, VeryLow, Enough]
        );
    }
}
