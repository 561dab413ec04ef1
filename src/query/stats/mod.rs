//! Counts of entries: over time, and by the values of some fields.
//!
//! In comes a filter and, perhaps, the length of a step of time; out come exact counts. Always
//! true:
//!
//! - Each wanted entry that can be read is counted once, whichever thread reads it; the answer
//!   doesn't depend on the order in which blocks are read.
//! - A sealed file that is wholly in the range has its counts in its index; if a filter wants more
//!   than a range, or steps are shorter than a minute, or the index doesn't have the values of a
//!   field that was asked for, the file is read.
//! - Memory is bounded: by the number of steps, and for each field by the bytes of its different
//!   values. Beyond that bound the most frequent values can't be known, and none are given.
//!
//! ```text
//! fields    the fields whose values can be asked for
//! step      the lengths of steps, and which step an instant is in
//! series    the counts over time; chooses a length
//! values    the counts of the values
//! count     reads blocks and the tallies of whole files on two threads, and adds their counts
//! ```

mod count;
mod fields;
mod series;
mod step;
mod values;

use serde::Serialize;

pub use self::{
    fields::StatsField,
    series::StepCounts,
    step::Step,
    values::{Top, TopValues, ValueCount},
};

pub(crate) use self::{fields::Depth, values::MoreValues};
pub use crate::store::tally::{OutcomeCounts, SeverityCounts};

use self::{count::Sums, fields::Chosen, series::Series, values::Values};
use super::{filter::Filter, page::Scanned, plan::Wanted};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::files::Files,
};

/// The most values of each field that [`StatsQuery::parse`] lets an answer have.
const MOST_VALUES: usize = 100;

/// The parameters that are not the filter's.
const OWN: [&str; 4] = ["step", "top", "fields", "include"];

/// A question for counts.
///
/// ```
/// use tracing_audit::{Filter, reader::{StatsQuery, Step}};
///
/// let query = StatsQuery::parse([("outcome", "failure"), ("step", "hour"), ("top", "5")])?;
///
/// // The same without texts:
/// let same = StatsQuery {
///     filter: Filter::parse([("outcome", "failure")])?,
///     step: Some(Step::Hour),
///     top: 5,
///     ..StatsQuery::default()
/// };
/// assert_eq!(query.filter.params(), same.filter.params());
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StatsQuery {
    /// The entries that are counted.
    pub filter: Filter,
    /// The length of the steps in which they are counted, of which there may be at most 1000.
    /// `None` (the default) for the shortest of a minute or more of which there are no more than
    /// `most_steps`. For steps of seconds, all entries of the range are read, because indexes have
    /// only the counts of whole minutes.
    pub step: Option<Step>,
    /// The most steps if no `step` is given; 400 by default. There can be more if these are years.
    pub most_steps: u16,
    /// The most values of each field; 10 by default. [`StatsQuery::parse`] allows 0 to 100. With 0,
    /// no values are counted, as with no `fields`.
    pub top: usize,
    /// The fields whose most frequent values are wanted; all by default. A file with very many
    /// different values of a field (some thousands) has to be read if that field is among these.
    pub fields: Vec<StatsField>,
    /// Whether entries about reads of the log are counted as well; `false` by default, as in a
    /// [`Query`](crate::Query).
    pub include_access: bool,
}

impl StatsQuery {
    /// Makes a question of text parameters: `step` (`second`, `5-seconds`, `10-seconds`,
    /// `30-seconds`, `minute`, `10-minutes`, `hour`, `6-hours`, `day`, `month` or `year`), `top`
    /// (10; 0 to 100), `fields` (as in `event_type,severity`), `include` (`access`), and those of the
    /// filter. `Error::Invalid` names the one that is wrong, and says what to write instead.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let mut query = Self::default();
        let mut filter = Vec::new();
        let mut given: Vec<String> = Vec::new();
        for (name, value) in params {
            let (known, text) = (name.as_ref(), value.as_ref());
            if !OWN.contains(&known) {
                filter.push((name, value));
                continue;
            }
            if given.iter().any(|before| before == known) {
                return Err(Error::invalid(known, "it is given twice; give it once"));
            }
            given.push(known.to_owned());
            query.take(known, text)?;
        }
        query.filter = Filter::parse_beside(&OWN, filter)?;
        Ok(query)
    }

    /// Takes a parameter that is not the filter's.
    fn take(&mut self, name: &str, text: &str) -> Result<()> {
        let top = || text.parse().ok().filter(|top| *top <= MOST_VALUES);
        match (name, text) {
            ("step", _) => self.step = Some(text.parse()?),
            ("fields", _) => self.fields = StatsField::list(text)?,
            ("include", "access") => self.include_access = true,
            ("include", _) => return Err(Error::invalid(name, "it must be access")),
            _ => {
                let wrong = || Error::invalid(name, "it must be a number from 0 to 100");
                self.top = top().ok_or_else(wrong)?;
            }
        }
        Ok(())
    }

    /// The filter, without entries about reads of the log unless they are wanted.
    pub(super) fn whole_filter(&self) -> Filter {
        match self.include_access {
            true => self.filter.clone(),
            false => self.filter.clone().without_access(),
        }
    }
}

impl Default for StatsQuery {
    /// All entries but those about reads of the log.
    fn default() -> Self {
        Self {
            filter: Filter::new(),
            step: None,
            most_steps: 400,
            top: 10,
            fields: StatsField::ALL.to_vec(),
            include_access: false,
        }
    }
}

/// How many entries there are, over time and by values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The number of entries.
    pub total: u64,
    /// Whether each wanted entry is counted. If not, a part of the log could not be read, which
    /// `scanned` names, and there may be more entries.
    pub exact: bool,
    /// The first instant of the range: that of the filter, else of the first step. `None` if there
    /// is neither.
    pub start: Option<Timestamp>,
    /// The first instant after the range: that of the filter, else after the last step.
    pub end: Option<Timestamp>,
    /// Up to when the log was complete before it was read
    /// ([`AuditReader::complete_until`](crate::AuditReader::complete_until)).
    pub complete_until: Option<Timestamp>,
    /// The length of the steps.
    pub step: Step,
    /// The steps of the range, the earliest first, also those without entries. An end of the range
    /// that the filter doesn't say is that of the entries. Of a step that is only partly in the
    /// range, the entries in the range are counted.
    pub steps: Vec<StepCounts>,
    /// The most frequent values of the fields that were asked for.
    pub top: TopValues,
    /// The work that the answer took, and the files that could not be read.
    pub scanned: Scanned,
}

/// Counts what is asked for.
pub(super) fn run(
    files: &Files,
    query: &StatsQuery,
    wanted: &Wanted,
    depth: Depth,
    complete_until: Option<Timestamp>,
) -> Result<(Stats, MoreValues)> {
    let chosen = Chosen::of(query, depth);
    let sums = Sums {
        series: Series::new(query)?,
        values: Values::new(chosen),
        total: 0,
    };
    let (sums, scanned) = count::run(files, wanted, chosen, sums)?;
    let step = sums.series.step();
    let (steps, end) = sums.series.finish();
    let (top, more) = sums.values.top(query.top);
    let stats = Stats {
        total: sums.total,
        exact: scanned.hiding_problem().is_none(),
        start: query
            .filter
            .start()
            .or(steps.first().map(|step| step.start)),
        end: query.filter.end().or(end),
        complete_until,
        step,
        steps,
        top,
        scanned,
    };
    Ok((stats, more))
}
