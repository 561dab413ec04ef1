//! Watermarks: what the log does while its file system runs out of room.
//!
//! | level | when | by default |
//! |---|---|---|
//! | low | fewer than 256 MiB are free | it is reported, and what is past its retention goes now |
//! | very low | fewer than 64 MiB are free | it is reported, and `/readyz` says so |
//! | full | a write found no room | what is past its retention goes now; the reserve lets the log say so |
//! | error | a write failed otherwise | it is tried again, at most a second apart |
//!
//! In the last two, events wait in the journal; what callers do once that is full is
//! [`WhenFull`](crate::WhenFull)'s to say.

use std::{sync::atomic::Ordering, time::Duration};

use super::{health::Problem, sealer::Job, writer::Writer};
use crate::{
    error::{Error, Result},
    record::{OwnRecord, Severity},
};

/// What to do when a watermark is passed. Each level is reported to the callback, in the metrics
/// and in the log, whatever is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceAction {
    /// Only report it.
    Report,
    /// Remove what is past its retention at once, not at the next turn within a minute.
    Prune,
    /// Remove the oldest sealed files as well, however young, until the level is left. Files that
    /// are held stay.
    PruneOldest,
}

/// The free space, in bytes, at which something is done, and what.
///
/// ```
/// use tracing_audit::{SpaceAction, Watermarks};
///
/// // Rather lose the oldest month than stand still:
/// let watermarks = Watermarks::default().low(4 << 30, SpaceAction::Prune).very_low(1 << 30, SpaceAction::PruneOldest);
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

    /// When nothing more fits. Default: [`SpaceAction::Prune`].
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

/// What is freed by removing files may not be enough, or not be free yet: then it is tried again
/// this much later.
const ACT_AGAIN: Duration = Duration::from_secs(10);

impl Writer {
    /// Looks how much room there is, and acts when a watermark was passed.
    pub(super) fn check_space(&mut self, now: Duration) {
        let Ok(space) = self.fs.space(self.layout.root()) else {
            return;
        };
        self.health
            .free_bytes()
            .store(space.free, Ordering::Relaxed);
        let marks = self.options.watermarks;
        let (before, level) = (self.state.space, self.state.space.next(space.free, &marks));
        self.state.space = level;
        self.health
            .space_level()
            .store(level as u64, Ordering::Relaxed);
        let (watermark, action) = if level == SpaceLevel::VeryLow {
            marks.very_low
        } else {
            marks.low
        };
        if level != before {
            let problem = match level {
                SpaceLevel::Enough => Problem::SpaceRecovered,
                level => Problem::SpaceLow {
                    free: space.free,
                    watermark,
                    very: level == SpaceLevel::VeryLow,
                },
            };
            self.health.report(&problem);
        }
        if level > before {
            let (event_type, severity) = match level {
                SpaceLevel::VeryLow => ("audit.log.space_very_low", Severity::Critical),
                _ => ("audit.log.space_low", Severity::Warning),
            };
            let own = OwnRecord::new(event_type, severity, "Free space fell below the watermark")
                .detail("free_bytes", space.free)
                .detail("watermark_bytes", watermark);
            self.state.own_pending.push_back(own);
        }
        if level > before
            || level > SpaceLevel::Enough && now.saturating_sub(self.state.made_room) >= ACT_AGAIN
        {
            self.state.made_room = now;
            self.make_room(action, watermark);
        }
        if level == SpaceLevel::Enough && self.state.retry.is_none() {
            self.reserve.fill(&*self.fs);
        }
    }

    /// A write found no room.
    pub(super) fn found_full(&mut self, now: Duration) {
        if self.state.retry.is_none() || now.saturating_sub(self.state.made_room) >= ACT_AGAIN {
            self.state.made_room = now;
            let marks = self.options.watermarks;
            self.make_room(marks.full, marks.very_low.0);
        }
    }

    /// Has files removed; with [`SpaceAction::PruneOldest`] until `enough` bytes are free.
    fn make_room(&self, action: SpaceAction, enough: u64) {
        let job = match action {
            SpaceAction::Report => return,
            SpaceAction::Prune => Job::Prune,
            // An eighth more: the mark alone would not leave the level.
            SpaceAction::PruneOldest => Job::MakeRoom(enough.saturating_add(enough / 8)),
        };
        // Without a sealer nobody prunes; that was reported when it ended.
        let _ = self.sealer.send(job);
    }
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
