//! A clock for tests that stands still until it is told otherwise.

use std::{sync::Mutex, time::Duration};

use super::clock::Clock;
use crate::entry::Timestamp;

#[derive(Debug)]
pub(super) struct SetClock(Mutex<(Timestamp, Duration)>);

impl SetClock {
    pub(super) fn new(wall: &str) -> Self {
        Self(Mutex::new((wall.parse().unwrap(), Duration::ZERO)))
    }

    pub(super) fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.0 = Timestamp::from_micros(now.0.as_micros() + time.as_micros() as i64);
        now.1 += time;
    }

    pub(super) fn jump_to(&self, wall: &str) {
        self.0.lock().unwrap().0 = wall.parse().unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }
    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}
