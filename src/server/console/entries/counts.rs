//! The counts of a selection over a span of time that shows them well.
//!
//! Of a young log, the last day has few minutes with entries. One bar at the end of a wide axis
//! says nothing, so the axis begins with the log's first entry then, and has finer steps. An axis
//! stays wide if the log is old and only the selected entries are new: that can be seen from it.

use std::time::Duration;

use super::answer::LOOK_TIME;
use crate::{
    entry::Timestamp,
    query::{Filter, MoreValues, Order, Query, Stats, StatsQuery},
    server::{console::visit::Visit, problem::Problem},
};

const MINUTE: i64 = 60_000_000;
/// The shortest axis, unless a shorter range is asked for.
const SHORTEST: i64 = 15 * MINUTE;

/// The question for the counts.
pub(in crate::server::console) struct Counting {
    pub(in crate::server::console) query: StatsQuery,
    /// The times of the selection, and the entries that the visitor may see.
    pub(super) all: Filter,
    /// Whether the values of more fields are counted.
    pub(super) with_more: bool,
    pub(super) limit: Duration,
}

pub(in crate::server::console) struct Counts {
    pub(in crate::server::console) stats: Stats,
    pub(super) more: MoreValues,
    /// Whether they begin later than the range, before which there is no entry in it.
    pub(super) is_narrowed: bool,
}

impl Counting {
    /// `None` if the time is over.
    pub(in crate::server::console) async fn counts(
        self,
        visit: &Visit,
    ) -> Result<Option<Counts>, Problem> {
        let Some(counts) = self.count(visit, self.query.clone()).await? else {
            return Ok(None);
        };
        let Some(start) = self.better_start(visit, &counts.stats).await? else {
            return Ok(Some(counts));
        };
        let narrowed = StatsQuery {
            filter: since(&self.query.filter, start)?,
            ..self.query.clone()
        };
        let narrowed = self.count(visit, narrowed).await?;
        Ok(Some(narrowed.map_or(counts, |narrowed| Counts {
            is_narrowed: true,
            ..narrowed
        })))
    }

    async fn count(&self, visit: &Visit, query: StatsQuery) -> Result<Option<Counts>, Problem> {
        let with_more = self.with_more;
        let count = visit.read_within(self.limit, move |reader| reader.count(&query, with_more));
        Ok(count.await?.map(|(stats, more)| Counts {
            stats,
            more,
            is_narrowed: false,
        }))
    }

    /// The start of an axis that shows these counts better; `None` if they are shown well.
    async fn better_start(
        &self,
        visit: &Visit,
        stats: &Stats,
    ) -> Result<Option<Timestamp>, Problem> {
        let Some(axis) = Axis::of(stats) else {
            return Ok(None);
        };
        if self.query.filter.start().is_none() {
            return Ok(Some(axis.last(SHORTEST)).filter(|start| *start < axis.start));
        }
        if !axis.is_mostly_before(axis.first) {
            return Ok(None);
        }
        let first = Query {
            filter: self.all.clone(),
            order: Order::Asc,
            limit: 1,
            include_access: self.query.include_access,
            ..Query::default()
        };
        let first = visit.read_within(LOOK_TIME, move |reader| reader.page(&first));
        let first = first
            .await?
            .and_then(|page| page.entries.into_iter().next());
        let start = first.map(|first| first.timestamp().min(axis.last(SHORTEST)));
        Ok(start
            .filter(|start| axis.is_mostly_before(*start))
            .map(|start| Timestamp::from_micros(start.as_micros().div_euclid(MINUTE) * MINUTE)))
    }
}

/// The axis of counts over time.
struct Axis {
    start: Timestamp,
    end: Timestamp,
    /// The start of the first step with entries.
    first: Timestamp,
}

impl Axis {
    /// `None` if there are no entries.
    fn of(stats: &Stats) -> Option<Self> {
        let first = stats.steps.iter().find(|step| step.count > 0)?.start;
        let (start, end) = (stats.start?, stats.end?);
        Some(Self { start, end, first })
    }

    /// Whether more than two thirds of the axis are before this instant.
    fn is_mostly_before(&self, time: Timestamp) -> bool {
        let [start, end, time] = [self.start, self.end, time].map(Timestamp::as_micros);
        (time - start) / 2 > end - time
    }

    /// The start of the last so many microseconds.
    fn last(&self, micros: i64) -> Timestamp {
        Timestamp::from_micros(self.end.as_micros() - micros)
    }
}

/// The same filter from this instant on.
fn since(filter: &Filter, start: Timestamp) -> Result<Filter, Problem> {
    let mut params = filter.params();
    params.retain(|(name, _)| name != "start_date");
    params.push(("start_date".to_owned(), start.to_string()));
    Ok(Filter::parse(params)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_wide_if_two_thirds_of_it_are_empty_at_its_start() {
        let axis = Axis {
            start: Timestamp::from_micros(0),
            end: Timestamp::from_micros(300),
            first: Timestamp::from_micros(0),
        };
        for (time, is_wide) in [(0, false), (200, false), (203, true), (300, true)] {
            assert_eq!(axis.is_mostly_before(Timestamp::from_micros(time)), is_wide);
        }
        assert_eq!(axis.last(100).as_micros(), 200);
    }
}
