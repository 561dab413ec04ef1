//! Live files whose sealed twin exists. They stay for a grace, because a program may be tailing
//! them.
//!
//! The grace begins with the sealing, by any process, and is measured by the age of the sealed
//! file: many short processes would otherwise each begin it anew. If the sealed file is from the
//! future by the clock, the grace begins when this process first sees the twin.

use std::{collections::BTreeSet, time::Duration};

use super::names::FileStem;
use crate::entry::Timestamp;

/// This many twins may wait; when there are more, the first of them are removed early.
const MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Twins {
    grace: Duration,
    /// When each may go, by the monotonic clock; the next one first.
    waiting: BTreeSet<(Duration, FileStem)>,
    known: BTreeSet<FileStem>,
}

impl Twins {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            waiting: BTreeSet::new(),
            known: BTreeSet::new(),
        }
    }

    /// This one was sealed now.
    pub(super) fn add(&mut self, stem: FileStem, now: Duration) {
        self.insert(now + self.grace, stem);
    }

    /// This one is sealed, and has been for so long.
    pub(super) fn found(
        &mut self,
        stem: FileStem,
        sealed: Timestamp,
        wall: Timestamp,
        now: Duration,
    ) {
        let age = wall.as_micros().saturating_sub(sealed.as_micros());
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        self.insert(now + self.grace.saturating_sub(age), stem);
    }

    fn insert(&mut self, at: Duration, stem: FileStem) {
        if self.known.insert(stem.clone()) {
            self.waiting.insert((at, stem));
        }
    }

    /// Room is needed: all may go now, whatever is left of their grace.
    pub(super) fn end_grace(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.map(|(_, stem)| (Duration::ZERO, stem)).collect();
    }

    /// The next one that may go by now.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<FileStem> {
        let (at, _) = self.waiting.first()?;
        if *at > now && self.waiting.len() <= MOST {
            return None;
        }
        let (_, stem) = self.waiting.pop_first()?;
        self.known.remove(&stem);
        Some(stem)
    }

    /// When the next one may go.
    pub(super) fn next(&self) -> Option<Duration> {
        let (at, _) = self.waiting.first()?;
        Some(match self.waiting.len() > MOST {
            true => Duration::ZERO,
            false => *at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::stem;

    #[test]
    fn each_waits_once_for_what_is_left_of_its_grace() {
        let mut twins = Twins::new(Duration::from_secs(60));
        let wall = Timestamp::from_micros(1_000_000_000);
        let ago = |seconds: i64| Timestamp::from_micros(wall.as_micros() - seconds * 1_000_000);
        let now = Duration::from_secs(100);
        twins.add(stem(1), now);
        twins.found(stem(1), ago(60), wall, now);
        twins.found(stem(2), ago(50), wall, now);
        // From the future.
        twins.found(stem(3), ago(-5), wall, now);
        assert_eq!(twins.next(), Some(Duration::from_secs(110)));
        assert_eq!(twins.take_due(now), None);
        assert_eq!(twins.take_due(Duration::from_secs(110)), Some(stem(2)));
        assert_eq!(twins.take_due(Duration::from_secs(110)), None);
        twins.end_grace();
        let left = [twins.take_due(now), twins.take_due(now)];
        assert_eq!(left, [Some(stem(1)), Some(stem(3))]);
        assert_eq!(twins.take_due(now), None);
        twins.add(stem(1), now);
        assert_eq!(
            twins.next(),
            Some(Duration::from_secs(160)),
            "it is known no longer"
        );
    }

    #[test]
    fn of_too_many_the_first_go_early() {
        let mut twins = Twins::new(Duration::from_secs(60));
        for number in 1..=MOST as u32 + 2 {
            twins.add(stem(number), Duration::from_secs(u64::from(number)));
        }
        assert_eq!(twins.next(), Some(Duration::ZERO));
        let early: Vec<_> = std::iter::from_fn(|| twins.take_due(Duration::ZERO)).collect();
        assert_eq!(early, [stem(1), stem(2)]);
    }
}
