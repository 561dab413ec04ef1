//! Refused requests: which of them get entries of their own, and how the others are counted.
//!
//! In comes each refusal, with its caller; out goes whether it is recorded one by one, and once a
//! minute the counts of those that were not. Always true: whatever callers send, a kind of refusal
//! costs the log at most [`IN_ALL`] entries a minute and one with counts, and this table at most
//! [`CALLERS`] names.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::entry::{
    OwnEntry, Severity,
    json::{Json, Members},
};

/// How many refusals of one caller are recorded one by one in a minute.
const OF_ONE: u64 = 10;
/// The same, of all callers together.
const IN_ALL: u64 = 30;
/// How many callers are counted apart.
const CALLERS: usize = 1024;
/// How many callers the entry with the counts names.
const NAMED: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// The refusals of one kind.
#[derive(Debug)]
pub(super) struct Refusals {
    minute: Mutex<Minute>,
    length: Duration,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::in_each(MINUTE)
    }
}

#[derive(Debug, Default)]
struct Minute {
    began: Option<Instant>,
    recorded: u64,
    /// The refusals that are only counted, also of callers for whom the table has no room.
    left_out: u64,
    by_caller: HashMap<String, Count>,
}

#[derive(Debug, Default)]
struct Count {
    recorded: u64,
    left_out: u64,
}

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The refusal gets an entry of its own.
    Recorded,
    /// The refusal is counted; it may be the first one that is in this minute.
    Counted { first: bool },
}

/// The refusals of a minute that have no entries of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    total: u64,
    /// The callers with the most of them.
    by_caller: Vec<(String, u64)>,
}

impl Refusals {
    /// The limits are those of so much time.
    pub(super) fn in_each(length: Duration) -> Self {
        Self {
            minute: Mutex::default(),
            length,
        }
    }

    /// The time after which the counts are to be recorded.
    pub(super) fn minute(&self) -> Duration {
        self.length
    }

    /// Counts a refusal of this caller. If a minute has ended, its counts come with it.
    pub(super) fn count(&self, caller: &str, now: Instant) -> (Fate, Option<LeftOut>) {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = minute.end_by(now, self.length);
        minute.began.get_or_insert(now);
        (minute.count(caller), ended)
    }

    /// The counts of the minute that has ended by now, if any were left out in it.
    pub(super) fn end_by(&self, now: Instant) -> Option<LeftOut> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        minute.end_by(now, self.length)
    }

    /// The counts of the present minute, which ends with that.
    pub(super) fn end(&self) -> Option<LeftOut> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *minute).left_out()
    }
}

impl Minute {
    fn end_by(&mut self, now: Instant, length: Duration) -> Option<LeftOut> {
        let ended = |began| now.saturating_duration_since(began) >= length;
        if !self.began.is_some_and(ended) {
            return None;
        }
        std::mem::take(self).left_out()
    }

    fn count(&mut self, caller: &str) -> Fate {
        if self.by_caller.len() < CALLERS || self.by_caller.contains_key(caller) {
            let count = self.by_caller.entry(caller.to_owned()).or_default();
            if count.recorded < OF_ONE && self.recorded < IN_ALL {
                count.recorded += 1;
                self.recorded += 1;
                return Fate::Recorded;
            }
            count.left_out += 1;
        }
        self.left_out += 1;
        Fate::Counted {
            first: self.left_out == 1,
        }
    }

    fn left_out(self) -> Option<LeftOut> {
        let total = self.left_out;
        let counts = self.by_caller.into_iter();
        let mut by_caller: Vec<_> = counts
            .filter(|(_, count)| count.left_out > 0)
            .map(|(caller, count)| (caller, count.left_out))
            .collect();
        by_caller.sort_by(|(a, more), (b, fewer)| fewer.cmp(more).then_with(|| a.cmp(b)));
        by_caller.truncate(NAMED);
        (total > 0).then_some(LeftOut { total, by_caller })
    }
}

impl LeftOut {
    /// The entry with the counts; `reason` is what these refusals have in common.
    pub(super) fn entry(self, reason: &'static str) -> OwnEntry {
        let counts = self.by_caller.iter();
        let counts = counts.map(|(caller, count)| (caller.clone(), Json::of(count)));
        OwnEntry::new(
            "audit.access.denied",
            Severity::Warning,
            "More requests were refused than get entries of their own; this entry counts the others",
        )
        .failed(reason)
        .detail("unrecorded", self.total)
        .detail("unrecorded_by_caller", counts.collect::<Members>())
    }
}

/// The caller for whom the refusals of an address are counted. Of IPv6 it is the network of a site,
/// which has all addresses of it to choose from.
pub(super) fn of_address(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "no address".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() & (u128::MAX << 64);
            format!("{}/64", std::net::Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(refusals: &Refusals, caller: &str, now: Instant, times: u64) -> u64 {
        let fates = (0..times).map(|_| refusals.count(caller, now).0);
        fates.filter(|fate| *fate == Fate::Recorded).count() as u64
    }

    #[test]
    fn a_day_of_refusals_from_everywhere_is_few_entries_and_every_refusal_counts() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let mut entries = 0;
        let mut counted = 0;
        let mut sent = 0;
        // Two thousand addresses, with two refusals a second each.
        for second in 0..600 {
            for address in 0..2000 {
                let now = start + Duration::from_secs(second);
                let (fate, ended) = refusals.count(&format!("192.0.{address}"), now);
                entries += u64::from(fate == Fate::Recorded) + u64::from(ended.is_some());
                counted += u64::from(fate == Fate::Recorded);
                counted += ended.map_or(0, |left_out| left_out.total);
                sent += 1;
            }
        }
        counted += refusals.end().map_or(0, |left_out| left_out.total);
        assert_eq!(counted, sent);
        assert!(entries <= 10 * (IN_ALL + 1), "{entries} in ten minutes");
    }

    #[test]
    fn one_caller_leaves_room_for_others_until_the_minute_ends() {
        let refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(recorded(&refusals, "192.0.2.1", start, 500), OF_ONE);
        assert_eq!(recorded(&refusals, "192.0.2.2", start, 3), 3);
        assert_eq!(refusals.end_by(start + MINUTE / 2), None);
        let left_out = LeftOut {
            total: 500 - OF_ONE,
            by_caller: vec![("192.0.2.1".to_owned(), 500 - OF_ONE)],
        };
        assert_eq!(refusals.end_by(start + MINUTE), Some(left_out));
        assert_eq!(refusals.end_by(start + MINUTE * 2), None);
        assert_eq!(recorded(&refusals, "192.0.2.1", start + MINUTE, 1), 1);
    }

    #[test]
    fn only_the_first_that_is_left_out_says_so() {
        let refusals = Refusals::default();
        let now = Instant::now();
        recorded(&refusals, "192.0.2.1", now, OF_ONE);
        let first = |_| refusals.count("192.0.2.1", now).0 == Fate::Counted { first: true };
        assert_eq!([0, 1, 2].map(first), [true, false, false]);
    }

    #[test]
    fn an_ipv6_site_is_one_caller() {
        let of = |text: &str| of_address(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
