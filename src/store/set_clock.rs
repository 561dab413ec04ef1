//! A clock for tests that stands still until the test moves it. Entries are stamped by it, too:
//! those of the thread that sets it, as long as the clock is there.

use std::{sync::Mutex, time::Duration};

use super::clock::Clock;
use crate::entry::{Timestamp, replace_now, set_now};

#[derive(Debug)]
pub(super) struct SetClock {
    now: Mutex<(Timestamp, Duration)>,
    /// What stamped entries before this clock.
    before: Option<Timestamp>,
}

impl SetClock {
    pub(super) fn new(wall: &str) -> Self {
        let wall = wall.parse().unwrap();
        Self {
            now: Mutex::new((wall, Duration::ZERO)),
            before: replace_now(Some(wall)),
        }
    }

    pub(super) fn pass(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        now.0 = Timestamp::from_micros(now.0.as_micros() + time.as_micros() as i64);
        now.1 += time;
        set_now(Some(now.0));
    }

    pub(super) fn jump_to(&self, wall: &str) {
        let wall = wall.parse().unwrap();
        self.now.lock().unwrap().0 = wall;
        set_now(Some(wall));
    }
}

impl Drop for SetClock {
    fn drop(&mut self) {
        set_now(self.before);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.now.lock().unwrap().0
    }
    fn monotonic(&self) -> Duration {
        self.now.lock().unwrap().1
    }
}
