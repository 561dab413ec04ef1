//! The counts over time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{StatsQuery, step::Step};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::tally::{Counts, OutcomeCounts, SeverityCounts},
};

/// The most steps of a length that was asked for.
const MOST_STEPS: u64 = 1000;

/// The entries of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StepCounts {
    /// The first instant of the step.
    pub start: Timestamp,
    /// All entries of the step.
    pub count: u64,
    /// The entries of each severity.
    pub severity: SeverityCounts,
    /// The entries of each outcome.
    pub outcome: OutcomeCounts,
}

/// Counts by step. If no length was asked for, the steps become longer when there would be too
/// many; how long they are in the end depends on the range and the entries, not on the order in
/// which entries come.
#[derive(Debug)]
pub(super) struct Series {
    step: Step,
    is_chosen: bool,
    /// How many steps there may be, as long as there is a longer one to choose.
    most: u64,
    /// The ends of the range, as far as the filter has them: the first instant, and the last.
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// By the numbers of the steps.
    counts: BTreeMap<i64, Counts>,
}

impl Series {
    pub(super) fn new(query: &StatsQuery) -> Result<Self> {
        let before = |end: Timestamp| Timestamp::from_micros(end.as_micros() - 1);
        let mut series = Self {
            step: query.step.unwrap_or(Step::Minute),
            is_chosen: query.step.is_some(),
            most: match query.step {
                Some(_) => MOST_STEPS,
                None => u64::from(query.most_steps),
            },
            first: query.filter.start(),
            last: query.filter.end().map(before),
            counts: BTreeMap::new(),
        };
        series.fit()?;
        Ok(series)
    }

    /// The steps in which to count now.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Adds the counts of a part of a step, which begins there. `Error::Invalid` if there are too
    /// many steps of the length that was asked for.
    pub(super) fn add(&mut self, start: Timestamp, counts: Counts) -> Result<()> {
        *self.counts.entry(self.step.number(start)).or_default() += counts;
        self.fit()
    }

    /// Makes the steps longer until there are few enough.
    fn fit(&mut self) -> Result<()> {
        while self.len() > self.most {
            if self.is_chosen {
                return Err(self.too_many());
            }
            // There are few years in all.
            let Some(longer) = self.step.longer() else {
                break;
            };
            let shorter = std::mem::replace(&mut self.step, longer);
            for (number, counts) in std::mem::take(&mut self.counts) {
                let number = longer.number(shorter.start(number));
                *self.counts.entry(number).or_default() += counts;
            }
        }
        Ok(())
    }

    fn too_many(&self) -> Error {
        let problem = format!(
            "there are more than {MOST_STEPS} steps of this length; give a longer one, or a \
             shorter range with start_date and end_date"
        );
        Error::invalid("step", problem)
    }

    /// The numbers of the first and the last step; `None` if there is none.
    fn bounds(&self) -> Option<(i64, i64)> {
        let of_range = |time: Option<Timestamp>| time.map(|time| self.step.number(time));
        let first = of_range(self.first).or_else(|| Some(*self.counts.first_key_value()?.0))?;
        let last = of_range(self.last).or_else(|| Some(*self.counts.last_key_value()?.0))?;
        Some((first, last))
    }

    fn len(&self) -> u64 {
        let len = |(first, last): (i64, i64)| u64::try_from(last - first + 1).unwrap_or(0);
        self.bounds().map_or(0, len)
    }

    /// All steps, also those without entries, and the end of the last one.
    pub(super) fn finish(self) -> (Vec<StepCounts>, Option<Timestamp>) {
        let Some((first, last)) = self.bounds() else {
            return (Vec::new(), None);
        };
        let steps = (first..=last).map(|number| {
            let counts = self.counts.get(&number).copied().unwrap_or_default();
            StepCounts {
                start: self.step.start(number),
                count: counts.count,
                severity: counts.severity,
                outcome: counts.outcome,
            }
        });
        (steps.collect(), Some(self.step.start(last + 1)))
    }
}
