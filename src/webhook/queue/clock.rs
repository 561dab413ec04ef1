//! The time by which a queue's schedule goes. It follows the machine's uptime, so an attempt comes
//! neither later nor earlier when someone sets the wall clock.
//!
//! All times of a schedule are microseconds of this clock: when a delivery is due, when a circuit
//! lets a probe go, until when a receiver is left alone. The clock of a new queue begins at the
//! wall clock's time since 1970, which is also the time that an earlier version kept. Each save of
//! the queue keeps a [`Moment`], from which the next process goes on:
//!
//! - In the same boot, the uptime says how long ago that moment was.
//! - In another boot, the wall clock says it. A wall clock that went back says that no time has
//!   passed. Either way, no wait becomes longer than what was left of it.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    entry::Timestamp,
    store::clock::{Clock, Uptime},
};

/// How often the clock checks whether the machine has slept.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Shorter sleeps are ignored, because the uptime is read in hundredths of a second.
const SLEPT: i64 = 1_000_000;

/// One moment by three clocks, in microseconds each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::webhook) struct Moment {
    /// The queue's clock.
    time: i64,
    /// The boot, and how long the machine had been up.
    boot: String,
    uptime: i64,
    /// The wall clock, since 1970.
    wall: i64,
}

impl Moment {
    /// The time of the queue's clock now.
    fn continued(&self, uptime: &Uptime, wall: i64) -> i64 {
        let up = micros(uptime.time);
        // An uptime that went back belongs to another container of the same boot.
        let passed = if uptime.boot == self.boot && up >= self.uptime {
            up - self.uptime
        } else {
            wall.saturating_sub(self.wall).max(0)
        };
        self.time.saturating_add(passed)
    }
}

/// The clock of one queue.
#[derive(Debug)]
pub(in crate::webhook) struct QueueClock {
    clock: Arc<dyn Clock>,
    boot: String,
    /// How far this clock is ahead of the monotonic one, and how far the uptime is.
    ahead: i64,
    uptime_ahead: i64,
    /// When the uptime was read last, by the monotonic clock.
    looked: Duration,
}

impl QueueClock {
    /// Goes on from the moment of the last save, if there is one.
    pub(in crate::webhook) fn resume(last: Option<&Moment>, clock: Arc<dyn Clock>) -> Self {
        let uptime = clock.uptime();
        let monotonic = clock.monotonic();
        let wall = clock.now().as_micros();
        let time = last.map_or(wall, |last| last.continued(&uptime, wall));
        Self {
            ahead: time - micros(monotonic),
            uptime_ahead: micros(uptime.time) - micros(monotonic),
            boot: uptime.boot,
            looked: monotonic,
            clock,
        }
    }

    pub(in crate::webhook) fn now(&self) -> i64 {
        self.ahead + micros(self.clock.monotonic())
    }

    /// This moment, to be kept with the queue.
    pub(in crate::webhook) fn moment(&self) -> Moment {
        let monotonic = micros(self.clock.monotonic());
        Moment {
            time: self.ahead + monotonic,
            boot: self.boot.clone(),
            uptime: self.uptime_ahead + monotonic,
            wall: self.clock.now().as_micros(),
        }
    }

    /// The wall clock's time when this clock will say `time`, if nobody sets the former.
    pub(in crate::webhook) fn wall(&self, time: i64) -> Timestamp {
        let left = time.saturating_sub(self.now());
        Timestamp::from_micros(self.clock.now().as_micros().saturating_add(left))
    }

    /// Adds the time for which the machine slept: the monotonic clock stood still meanwhile.
    pub(in crate::webhook) fn count_sleep(&mut self) {
        let monotonic = self.clock.monotonic();
        if monotonic.saturating_sub(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = monotonic;
        let uptime = self.clock.uptime();
        let slept = micros(uptime.time) - micros(monotonic) - self.uptime_ahead;
        if uptime.boot == self.boot && slept >= SLEPT {
            self.ahead += slept;
            self.uptime_ahead += slept;
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::set_clock::SetClock;

    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 24 * 3600 * SECOND;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn clock() -> Arc<SetClock> {
        Arc::new(SetClock::new("2026-11-29T12:00:00Z"))
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_nothing() {
        let machine = clock();
        let clock = QueueClock::resume(None, machine.clone());
        let begun = clock.now();
        assert_eq!(begun, machine.now().as_micros());
        for wall in ["2026-11-28T12:00:00Z", "2026-11-30T12:00:00Z"] {
            machine.jump_to(wall);
            assert_eq!(clock.now(), begun);
            assert_eq!(clock.wall(begun), machine.now());
        }
        machine.pass(seconds(5));
        assert_eq!(clock.now(), begun + 5 * SECOND);
    }

    #[test]
    fn a_process_of_the_same_boot_goes_on_by_the_uptime() {
        for wall in ["2026-11-28T12:00:00Z", "2026-11-30T12:00:00Z"] {
            let machine = clock();
            let first = QueueClock::resume(None, machine.clone());
            let last = first.moment();
            machine.pass(seconds(60));
            machine.jump_to(wall);
            let next = QueueClock::resume(Some(&last), machine.clone());
            assert_eq!(next.now(), first.now(), "{wall}");
        }
    }

    #[test]
    fn after_another_boot_the_wall_clock_says_how_long_it_took_and_never_less_than_nothing() {
        for (wall, passed) in [
            ("2026-11-30T12:00:00Z", DAY),
            ("2026-11-28T12:00:00Z", 0),
            ("1970-01-01T00:00:00Z", 0),
        ] {
            let machine = clock();
            let last = QueueClock::resume(None, machine.clone()).moment();
            machine.reboot(wall);
            let next = QueueClock::resume(Some(&last), machine.clone());
            assert_eq!(next.now(), last.time + passed, "{wall}");
        }
    }

    #[test]
    fn the_time_that_the_machine_sleeps_counts() {
        let machine = clock();
        let mut clock = QueueClock::resume(None, machine.clone());
        let begun = clock.now();
        machine.sleep(seconds(3600));
        assert_eq!(clock.now(), begun);
        machine.pass(LOOK_EVERY);
        clock.count_sleep();
        clock.count_sleep();
        assert_eq!(clock.now(), begun + 3610 * SECOND);
        let next = QueueClock::resume(Some(&clock.moment()), machine.clone());
        assert_eq!(next.now(), clock.now());
    }
}
