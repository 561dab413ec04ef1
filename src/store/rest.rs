//! How long the writer waits when it has nothing to do.
//!
//! For a while after an event the writer looks for the next one every [`POLL`], so that callers of
//! `audit!` that come one after another never have to wake it. After [`LINGER`] without an event it
//! sleeps until something is due by time: a sync, a rotation, or the look at the files that comes
//! once a second, with the sign of life. The next event ends the sleep, at the price of one system
//! call for its caller. So do the close of the log and everyone who waits for a sync.

use std::{thread, time::Duration};

use super::writer::{Current, LOOK_INTERVAL, Writer};

/// How often the writer looks for events while they come.
const POLL: Duration = Duration::from_millis(3);
/// How long after an event the writer expects another one.
const LINGER: Duration = Duration::from_millis(100);

impl Writer {
    /// Waits until there may be something to do.
    pub(super) fn rest(&mut self) {
        let now = self.place.clock.monotonic();
        if let Some(retry) = &self.retry {
            // The writer doesn't read the journal until then, so events need not wake it.
            return thread::park_timeout(retry.at.saturating_sub(now).max(POLL));
        }
        if !self.own.is_empty() {
            // The end of the last step had something to report.
            return;
        }
        if now.saturating_sub(self.last_event) < LINGER {
            return thread::park_timeout(POLL);
        }
        let limit = self.next_due(now).saturating_sub(now);
        if self.consumer.sleep(limit.max(POLL)) {
            self.last_event = self.place.clock.monotonic();
        }
    }

    /// When something has to be done though no event comes. A new day's file can begin a second
    /// late, because no entry is appended before the day was looked at.
    pub(super) fn next_due(&self, now: Duration) -> Duration {
        let look = self.watch.looked() + LOOK_INTERVAL;
        let Current::Open(live) = &self.current else {
            return look;
        };
        let options = &self.place.options;
        let too_old = live.begun().saturating_add(options.rotate_age);
        let sync = self.last_sync.saturating_add(options.sync_interval);
        let sync = live.is_unsynced().then_some(sync);
        // A rotation is overdue in a directory that was renamed. It waits for the next look.
        let others = sync.into_iter().chain([too_old]).filter(|due| *due > now);
        others.min().map_or(look, |due| due.min(look))
    }
}
