//! Times up to now, of which people choose one.

use std::time::Duration;

use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

const DAY: u64 = 24 * 60 * 60;

/// A time up to now: as a parameter, as people say it, and its seconds. `None` for all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::console) struct Range {
    pub(in crate::server::console) name: &'static str,
    pub(in crate::server::console) title: &'static str,
    seconds: Option<u64>,
}

impl Default for Range {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Range {
    const fn new(name: &'static str, title: &'static str, seconds: Option<u64>) -> Self {
        Self {
            name,
            title,
            seconds,
        }
    }

    pub(in crate::server::console) const ALL: [Self; 7] = [
        Self::new("15m", "Last 15 minutes", Some(15 * 60)),
        Self::new("1h", "Last hour", Some(60 * 60)),
        Self::new("24h", "Last 24 hours", Some(DAY)),
        Self::new("7d", "Last 7 days", Some(7 * DAY)),
        Self::new("30d", "Last 30 days", Some(30 * DAY)),
        Self::new("90d", "Last 90 days", Some(90 * DAY)),
        Self::new("all", "All time", None),
    ];

    /// The range of a page that is asked for without one: a look at a long log must not
    /// cost more than one at a short log.
    pub(in crate::server::console) const USUAL: Self = Self::ALL[2];

    /// The range of the page of an actor or a resource, of which there are fewer entries.
    pub(in crate::server::console) const OF_SUBJECT: Self = Self::ALL[4];

    pub(super) fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|range| range.name == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|range| range.name).join(", ");
            let problem = format!("{text:?} must be one of {names}");
            Error::invalid("range", problem)
        })
    }

    /// The first instant of the range that ends now.
    pub(in crate::server::console) fn start(self, now: Timestamp) -> Option<Timestamp> {
        let before = |seconds| {
            let micros = Duration::from_secs(seconds).as_micros();
            Timestamp::from_micros(now.as_micros() - i64::try_from(micros).unwrap_or(i64::MAX))
        };
        self.seconds.map(before)
    }
}
