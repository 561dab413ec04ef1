//! Time as the store sees it, so that tests can set it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::record::Timestamp;

/// Where the store gets the time from.
pub(crate) trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, which may jump.
    fn now(&self) -> Timestamp;
    /// A clock that only goes forward.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock(Instant);

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
