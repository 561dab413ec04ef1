//! Sets of numbers of entries.

use std::collections::BTreeMap;

/// Numbers, as ranges: the first of each and its last. They neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// Adds the numbers from `first` to `last`, both included; none if `last` is smaller.
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        let mut first = first;
        let mut last = last;
        // Ranges that overlap the new range or touch it become part of it.
        while let Some((&from, &to)) = self.0.range(..=last.saturating_add(1)).next_back()
            && to.saturating_add(1) >= first
        {
            self.0.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        self.0.insert(first, last);
    }

    /// The largest number; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, last)| *last)
    }

    /// The parts of `first..=last` that are here.
    pub(crate) fn within(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let before = self
            .0
            .range(..first)
            .next_back()
            .filter(|(_, to)| **to >= first);
        let from = before.map_or(first, |(from, _)| *from);
        if last < first {
            return Vec::new();
        }
        self.0
            .range(from..=last)
            .map(|(from, to)| ((*from).max(first), (*to).min(last)))
            .collect()
    }

    /// The parts of `first..=last` that are not here.
    pub(crate) fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut next = first;
        for (from, to) in self.within(first, last) {
            if next < from {
                missing.push((next, from - 1));
            }
            next = to.saturating_add(1);
        }
        if next <= last {
            missing.push((next, last));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_sets(ranges: Vec<(u8, u8)>, first: u8, last: u8) {
            let mut numbers = Numbers::default();
            let mut set = BTreeSet::new();
            for (from, to) in ranges {
                numbers.add(from.into(), to.into());
                set.extend(u64::from(from)..=u64::from(to));
            }
            let all = |ranges: Vec<(u64, u64)>| -> Vec<u64> {
                ranges.into_iter().flat_map(|(from, to)| from..=to).collect()
            };
            let (first, last) = (first.into(), last.into());
            let of = |here: bool| -> Vec<u64> {
                (first..=last).filter(|n| set.contains(n) == here).collect()
            };
            prop_assert_eq!(all(numbers.within(first, last)), of(true));
            prop_assert_eq!(all(numbers.missing(first, last)), of(false));
            prop_assert_eq!(numbers.last(), set.last().copied().unwrap_or(0));
            let ends: Vec<_> = numbers.0.iter().collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].1 + 1 < *pair[1].0));
        }
    }
}
