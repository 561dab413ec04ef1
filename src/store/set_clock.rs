//! A clock for tests that stands still until the test moves it. Entries are stamped by it, too:
//! those of the thread that sets it, as long as the clock is there.

use std::{sync::Mutex, time::Duration};

use super::clock::{Clock, Uptime};
use crate::entry::{Timestamp, replace_now, set_now};

#[derive(Debug)]
pub(crate) struct SetClock {
    now: Mutex<(Timestamp, Duration)>,
    /// The number of the machine's boot, and how much longer than the monotonic clock it was up.
    boot: Mutex<(u32, Duration)>,
    /// What stamped entries before this clock.
    before: Option<Timestamp>,
}

impl SetClock {
    pub(crate) fn new(wall: &str) -> Self {
        let wall = wall.parse().unwrap();
        Self {
            now: Mutex::new((wall, Duration::ZERO)),
            boot: Mutex::default(),
            before: replace_now(Some(wall)),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        now.0 = Timestamp::from_micros(now.0.as_micros() + time.as_micros() as i64);
        now.1 += time;
        set_now(Some(now.0));
    }

    pub(crate) fn jump_to(&self, wall: &str) {
        let wall = wall.parse().unwrap();
        self.now.lock().unwrap().0 = wall;
        set_now(Some(wall));
    }

    /// The machine starts again, and its wall clock says this.
    #[cfg(feature = "webhook")]
    pub(crate) fn reboot(&self, wall: &str) {
        self.boot.lock().unwrap().0 += 1;
        self.jump_to(wall);
    }

    /// The machine sleeps: the monotonic clock stands still.
    #[cfg(feature = "webhook")]
    pub(crate) fn sleep(&self, time: Duration) {
        self.boot.lock().unwrap().1 += time;
        let mut now = self.now.lock().unwrap();
        now.0 = Timestamp::from_micros(now.0.as_micros() + time.as_micros() as i64);
        set_now(Some(now.0));
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
    fn uptime(&self) -> Uptime {
        let (boot, slept) = *self.boot.lock().unwrap();
        Uptime {
            boot: boot.to_string(),
            time: self.monotonic() + slept,
        }
    }
}
