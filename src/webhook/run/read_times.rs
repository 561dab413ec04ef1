//! When the log is read for a webhook, and when the webhook looks for replays that were asked for.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use super::{
    pulse::{Noticed, Pulse},
    read::{ReadBatch, Source},
};

/// The pause between reads of a log that does not seem to grow.
const READ_QUIET_EVERY: Duration = Duration::from_secs(60);
/// The pause if a stream could not be read, or if nobody notices whether the log grows.
const READ_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// The shortest and the longest pause, in milliseconds, if the log grows and the receiver is only
/// probed. Each webhook has a pause of its own, so that many don't read at the same moments.
const READ_PROBED_EVERY: RangeInclusive<u64> = 1_000..=2_000;
/// The pause before entries are read again that were read under settings that have changed since.
/// As a rule, the task that the dispatcher begins with the new settings reads them.
const OUTDATED_AGAIN: Duration = Duration::from_secs(1);
const REPLAY_AGAIN: Duration = Duration::from_secs(5);
/// The pause between looks for replays while nobody notices that one was asked for.
const LOOK_FOR_REPLAYS_EVERY: Duration = Duration::from_secs(1);

pub(super) struct ReadTimes {
    pulse: Pulse,
    /// The notices that were acted on, by reading the log and by looking for replays.
    done: Noticed,
    /// When the last read ended.
    last: Instant,
    probed_every: Duration,
    /// The last read left something to read.
    behind: bool,
    /// A stream could not be read.
    hindered: bool,
    /// Until when entries that were read wait for others to fill their batch.
    waits_until: Option<Instant>,
    /// When to look for replays though nothing was noticed.
    look_for_replays_at: Option<Instant>,
    /// The earliest time to read a replay again that could not be read.
    no_replay_before: Instant,
    /// The earliest time to read anything, after a change of the settings.
    not_before: Instant,
}

impl ReadTimes {
    pub(super) fn new(pulse: Pulse) -> Self {
        let now = Instant::now();
        Self {
            pulse,
            done: Noticed::default(),
            last: now,
            probed_every: Duration::from_millis(fastrand::u64(READ_PROBED_EVERY)),
            behind: true,
            hindered: false,
            waits_until: None,
            look_for_replays_at: Some(now),
            no_replay_before: now,
            not_before: now,
        }
    }

    /// When there is something to read next, while something is `replaying` or not, and while the
    /// webhook is only `probed` or not.
    pub(super) fn due(&self, replaying: bool, probed: bool) -> Instant {
        self.wanted(replaying, probed).max(self.not_before)
    }

    fn wanted(&self, replaying: bool, probed: bool) -> Instant {
        let noticed = *self.pulse.borrow();
        let has_grown = noticed.grown != self.done.grown;
        if self.behind || has_grown && !probed {
            return self.last;
        }
        let pause = match self.hindered || self.is_blind() {
            true => READ_AGAIN_EVERY,
            false if has_grown => self.probed_every,
            false => READ_QUIET_EVERY,
        };
        let quiet = self.last + pause;
        let replays = if replaying {
            Some(self.no_replay_before)
        } else if noticed.replays != self.done.replays {
            Some(self.last)
        } else {
            self.look_for_replays_at
        };
        let others = self.waits_until.into_iter().chain(replays);
        others.min().map_or(quiet, |due| due.min(quiet))
    }

    /// Whether nothing is noticed, neither growth nor replays.
    fn is_blind(&self) -> bool {
        self.pulse.has_changed().is_err()
    }

    /// Whether a replay may be read on.
    pub(super) fn may_replay(&self) -> bool {
        Instant::now() >= self.no_replay_before
    }

    /// Whether to look for replays now; if so, the look is noted. `saved` says whether the queue on
    /// disk is as it is in memory.
    pub(super) fn looks_for_replays(&mut self, saved: bool) -> bool {
        let now = Instant::now();
        let noticed = self.pulse.borrow().replays;
        let is_due = self.look_for_replays_at.is_some_and(|due| due <= now);
        if noticed == self.done.replays && !is_due {
            return false;
        }
        self.done.replays = noticed;
        // What a queue that isn't saved has begun can't be forgotten yet.
        let again = !saved || self.is_blind();
        self.look_for_replays_at = again.then(|| now + LOOK_FOR_REPLAYS_EVERY);
        true
    }

    /// Notes that the log is read now.
    pub(super) fn reads_log(&mut self) {
        self.done.grown = self.pulse.borrow().grown;
    }

    /// Notes what a read found.
    pub(super) fn found(&mut self, found: &ReadBatch) {
        self.last = Instant::now();
        match found.source {
            Source::Log(_) => {
                self.behind = found.behind;
                self.hindered = found.hindered;
                self.waits_until = found.waits_until;
            }
            // The next one is looked for when this one is done, and this one forgotten then.
            Source::Replay(..) => {
                self.look_for_replays_at = Some(self.last + LOOK_FOR_REPLAYS_EVERY);
            }
            Source::Outdated => {
                self.behind = true;
                self.not_before = self.last + OUTDATED_AGAIN;
                self.look_for_replays_at = Some(self.not_before);
            }
            Source::Nothing if found.problems.is_empty() => {}
            Source::Nothing => {
                self.no_replay_before = self.last + REPLAY_AGAIN;
                self.look_for_replays_at = Some(self.no_replay_before);
            }
        }
    }
}
