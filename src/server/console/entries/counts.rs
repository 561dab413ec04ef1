//! The counts of a selection over a span of time that shows them well.
//!
//! In a new log, few minutes of the last day have entries. One bar at the end of a wide axis says
//! nothing, so the axis then begins with the log's first entry, and has finer steps. If the log is
//! old and only the selected entries are new, the axis stays wide, because that shows as much. A
//! short axis has steps of seconds, if there are few enough entries to be read for that.

use std::time::{Duration, Instant};

use super::answer::LOOK_TIME;
use crate::{
    entry::Timestamp,
    query::{
        Depth, Filter, MoreValues, Order, Query, Stats, StatsField, StatsQuery, Step, TopValues,
        ValueCount,
    },
    server::{console::visit::Visit, problem::Problem},
};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// The shortest axis, unless a shorter range is asked for.
const SHORTEST: i64 = MINUTE;
/// The steps that are shorter than a minute.
const SECONDS: [(Step, i64); 4] = [
    (Step::Second, SECOND),
    (Step::FiveSeconds, 5 * SECOND),
    (Step::TenSeconds, 10 * SECOND),
    (Step::ThirtySeconds, 30 * SECOND),
];
/// The most steps of seconds. The longest axis that has such steps is 45 minutes.
const MOST_SECONDS: i64 = 90;
/// The most entries that are read once more to be counted in seconds.
const MOST_READ: u64 = 200_000;
/// A longer axis begins at a whole minute, a shorter one at a multiple of `BEGIN`.
const LONG: i64 = 15 * MINUTE;
const BEGIN: i64 = 10 * SECOND;

/// The question for the counts.
pub(in crate::server::console) struct Counting {
    pub(in crate::server::console) query: StatsQuery,
    /// The times of the selection, and the entries that the visitor may see.
    pub(super) all: Filter,
    pub(super) depth: Depth,
    pub(super) limit: Duration,
    /// Whether the counts over time are shown, and not only the values.
    pub(super) is_drawn: bool,
}

pub(in crate::server::console) struct Counts {
    pub(in crate::server::console) stats: Stats,
    pub(super) more: MoreValues,
    /// Whether the counts begin later than the range, because its beginning has no entries.
    pub(super) is_narrowed: bool,
}

impl Counts {
    /// The most frequent actors, no more than these.
    pub(super) fn most_actors(&self, most: usize) -> &[ValueCount] {
        let top = self.stats.top.actor.as_ref();
        let values = top.map_or(&[][..], |top| &top.values);
        &values[..values.len().min(most)]
    }
}

impl Counting {
    /// `None` if the time is over before there are counts over time. Values that take long to count
    /// don't delay these: if the time is over, the values are left out.
    pub(in crate::server::console) async fn counts(
        self,
        visit: &Visit,
    ) -> Result<Option<Counts>, Problem> {
        let began = Instant::now();
        let Some(counts) = self.count(visit, self.query.clone()).await? else {
            return Ok(None);
        };
        let mut counts = match self.is_drawn {
            true => self.drawn_well(visit, counts).await?,
            false => counts,
        };
        self.add_uncounted(visit, &mut counts.stats, began).await?;
        Ok(Some(counts))
    }

    /// The same over an axis that shows them well, in steps that do.
    async fn drawn_well(&self, visit: &Visit, counts: Counts) -> Result<Counts, Problem> {
        let counts = match self.better_start(visit, &counts.stats).await? {
            Some(start) => self.narrowed(visit, start).await?.unwrap_or(counts),
            None => counts,
        };
        let Some((start, step)) = in_seconds(&counts.stats) else {
            return Ok(counts);
        };
        let finer = StatsQuery {
            filter: since(&self.query.filter, start)?,
            step: Some(step),
            ..self.query.clone()
        };
        let finer = self.count(visit, finer).await?;
        let is_narrowed = counts.is_narrowed;
        Ok(finer.map_or(counts, |finer| Counts {
            is_narrowed,
            ..finer
        }))
    }

    async fn narrowed(&self, visit: &Visit, start: Timestamp) -> Result<Option<Counts>, Problem> {
        let narrowed = StatsQuery {
            filter: since(&self.query.filter, start)?,
            ..self.query.clone()
        };
        let narrowed = self.count(visit, narrowed).await?;
        Ok(narrowed.map(|narrowed| Counts {
            is_narrowed: true,
            ..narrowed
        }))
    }

    async fn count(&self, visit: &Visit, query: StatsQuery) -> Result<Option<Counts>, Problem> {
        let depth = self.depth;
        let count = visit.read_within(self.limit, move |reader| reader.count(&query, depth));
        Ok(count.await?.map(|(stats, more)| Counts {
            stats,
            more,
            is_narrowed: false,
        }))
    }

    /// Adds the values that are in no tally.
    async fn add_uncounted(
        &self,
        visit: &Visit,
        stats: &mut Stats,
        began: Instant,
    ) -> Result<(), Problem> {
        let query = StatsQuery {
            fields: uncounted(&stats.top),
            ..self.query.clone()
        };
        if query.fields.is_empty() {
            return Ok(());
        }
        let left = self.limit.saturating_sub(began.elapsed());
        let counted = visit.read_within(left, move |reader| reader.stats(&query));
        if let Some(counted) = counted.await? {
            stats.exact &= counted.exact;
            stats.top = all_of(std::mem::take(&mut stats.top), counted.top);
        }
        Ok(())
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
        let start = start.filter(|start| axis.is_mostly_before(*start));
        Ok(start.map(|start| axis.round(start)))
    }
}

/// The first instant of the axis and the step of seconds that suits it; `None` if none does.
fn in_seconds(stats: &Stats) -> Option<(Timestamp, Step)> {
    let start = stats.start?;
    let len = stats.end?.as_micros() - start.as_micros();
    let mut steps = SECONDS.into_iter();
    let (step, _) = steps.find(|(_, micros)| len <= micros * MOST_SECONDS)?;
    (1..=MOST_READ)
        .contains(&stats.total)
        .then_some((start, step))
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

    /// A time at or before this one at which an axis begins.
    fn round(&self, start: Timestamp) -> Timestamp {
        let start = start.as_micros();
        let is_long = self.end.as_micros() - start > LONG;
        let unit = if is_long { MINUTE } else { BEGIN };
        Timestamp::from_micros(start.div_euclid(unit) * unit)
    }

    /// The start of the last so many microseconds.
    fn last(&self, micros: i64) -> Timestamp {
        Timestamp::from_micros(self.end.as_micros() - micros)
    }
}

/// The fields whose values were not counted.
pub(super) fn uncounted(top: &TopValues) -> Vec<StatsField> {
    let all = StatsField::ALL.into_iter();
    all.filter(|field| top.of(*field).is_none()).collect()
}

fn all_of(top: TopValues, more: TopValues) -> TopValues {
    TopValues {
        event_type: top.event_type.or(more.event_type),
        severity: top.severity.or(more.severity),
        outcome: top.outcome.or(more.outcome),
        actor: top.actor.or(more.actor),
        ip_address: top.ip_address.or(more.ip_address),
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
    use std::fs;

    use super::*;
    use crate::{
        AuditLog,
        store::{fs::OsFs, gzip::Level, layout::Layout, samples, seal::seal},
    };

    #[tokio::test]
    async fn all_fields_are_counted_also_if_a_file_has_to_be_read_for_one() {
        let log = AuditLog::for_tests();
        let (layout, stem) = (Layout::of(log.dir()), samples::stem(1));
        let line = |seq: u64| {
            let id = format!(r#""id":"{seq}-{}","name""#, "x".repeat(20_000));
            samples::line(seq).replacen(r#""id":"user-"#, &format!(r#"{id}:"","other":""#), 1)
                + "\n"
        };
        fs::write(layout.live(&stem), (1..=30).map(line).collect::<String>()).unwrap();
        seal(&OsFs, &layout, &stem, Level::FASTEST).unwrap();
        fs::remove_file(layout.live(&stem)).unwrap();

        let visit = Visit::of(&log);
        let query = StatsQuery::default();
        let (quick, _) = visit.app.reader.count(&query, Depth::Quick).unwrap();
        assert_eq!(uncounted(&quick.top), [StatsField::Actor]);
        let counting = Counting {
            query,
            all: Filter::new(),
            depth: Depth::Quick,
            limit: Duration::from_secs(60),
            is_drawn: false,
        };
        let counts = counting.counts(&visit).await.unwrap().unwrap();
        assert_eq!(uncounted(&counts.stats.top), []);
        assert!(counts.stats.top.actor.unwrap().distinct >= Some(30));
    }

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
