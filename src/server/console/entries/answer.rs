//! The answers of the log for the page of entries.
//!
//! A page is bounded in time, however long the log is: it may search for some seconds and count for
//! fewer, at the same time. What takes longer has to be asked for more narrowly.

use std::time::Duration;

use super::subject;
use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, PageStart, Query, RawEntry, Stats, StatsQuery},
    server::{
        console::{
            selection::{Selection, Start},
            visit::Visit,
        },
        params::take,
        problem::Problem,
        state::Asker,
    },
};

/// How many entries a page shows.
const ROWS: usize = 50;
/// The most bytes that the entries of a page have. A page with huge entries has fewer rows.
const MOST_BYTES: usize = 1 << 20;
/// How many values of a field are shown with their counts.
const VALUES: usize = 8;
/// How many bars the histogram may have.
const BARS: u16 = 180;
/// How long a page may search.
pub(super) const SEARCH_TIME: Duration = Duration::from_secs(10);
/// How long a page may count.
const COUNT_TIME: Duration = Duration::from_secs(2);
/// How long a page without entries may look for one outside of its range.
pub(super) const LOOK_TIME: Duration = Duration::from_secs(1);

/// The questions of a page.
pub(super) struct Question {
    pub(super) page: Query,
    pub(super) stats: StatsQuery,
    /// The filter without its times.
    any_time: Filter,
    pub(super) subject: Option<subject::Wanted>,
}

/// The answers. `None` where the time was over.
pub(super) struct Answer {
    pub(super) found: Option<Found>,
    pub(super) stats: Option<Stats>,
    /// The newest entry that the filter wants at any time, if the range has none.
    pub(super) outside: Outside,
    pub(super) subject: Option<subject::Known>,
}

/// The entries outside of a range that has none.
pub(super) enum Outside {
    /// Nothing at any time.
    Nothing,
    Newest(Timestamp),
    /// That was not looked for, or not found in time.
    Unknown,
}

/// A page of entries.
pub(super) struct Found {
    /// The newest first.
    pub(super) entries: Vec<RawEntry>,
    pub(super) has_newer: bool,
    pub(super) has_older: bool,
    pub(super) complete_until: Option<Timestamp>,
    /// Whether a part of the log could not be read.
    pub(super) is_partial: bool,
    /// Why there may be no entries.
    pub(super) hints: Vec<String>,
}

impl Question {
    pub(super) fn new(
        selection: &Selection,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let Filters {
            filter,
            any_time,
            include_access,
        } = Filters::new(selection, asker, now)?;
        let (order, start) = match &selection.start {
            Start::Newest => (Order::Desc, PageStart::First),
            Start::Older(cursor) => (Order::Desc, PageStart::Cursor(cursor.clone())),
            Start::Newer(cursor) => (Order::Asc, PageStart::Cursor(cursor.clone())),
        };
        Ok(Self {
            stats: StatsQuery {
                // The counts of a range up to now end now, and not at the last entry.
                filter: match selection.range() {
                    Some(_) => filter.clone().with("end_date", now.to_string())?,
                    None => filter.clone(),
                },
                most_steps: BARS,
                top: VALUES,
                include_access,
                ..StatsQuery::default()
            },
            page: Query {
                filter,
                order,
                limit: ROWS,
                max_bytes: MOST_BYTES,
                start,
                include_access,
            },
            any_time,
            subject: subject::Wanted::new(selection, asker)?,
        })
    }

    pub(super) async fn answer(self, visit: &Visit) -> Result<Answer, Problem> {
        let Self {
            page,
            stats,
            any_time,
            subject,
        } = self;
        let at_any_time = Query {
            filter: any_time,
            limit: 1,
            include_access: page.include_access,
            ..Query::default()
        };
        let search = visit.read_within(SEARCH_TIME, move |reader| find(reader, page));
        let count = visit.read_within(COUNT_TIME, move |reader| reader.stats(&stats));
        let subject = async {
            match subject {
                Some(subject) => subject.find(visit).await,
                None => Ok(None),
            }
        };
        let (found, stats, subject) = tokio::join!(search, count, subject);
        let found = found?;
        let is_empty = |found: &Found| found.entries.is_empty();
        let outside = match found.as_ref().is_some_and(is_empty) {
            true => Outside::find(visit, at_any_time).await?,
            false => Outside::Unknown,
        };
        Ok(Answer {
            found,
            stats: stats?,
            outside,
            subject: subject?,
        })
    }
}

/// The filter of a selection, with its times and without them.
struct Filters {
    filter: Filter,
    any_time: Filter,
    include_access: bool,
}

impl Filters {
    fn new(selection: &Selection, asker: &Asker, now: Timestamp) -> Result<Self, Problem> {
        let mut params = asker.narrow(&selection.parameters(now))?;
        let include_access = match take(&mut params, "include")?.as_deref() {
            None => false,
            Some("access") => true,
            Some(_) => return Err(Problem::parameter("include", "it must be access")),
        };
        let is_time = |name: &str| matches!(name, "start_date" | "end_date");
        Ok(Self {
            filter: Filter::parse_beside(&["include"], params_of(&params, |_| true))?,
            any_time: Filter::parse(params_of(&params, |name| !is_time(name)))?,
            include_access,
        })
    }
}

impl Outside {
    async fn find(visit: &Visit, newest: Query) -> Result<Self, Problem> {
        let look = visit.read_within(LOOK_TIME, move |reader| reader.page(&newest));
        let Some(page) = look.await? else {
            return Ok(Self::Unknown);
        };
        let newest = page.entries.first().map(RawEntry::timestamp);
        Ok(newest.map_or(Self::Nothing, Self::Newest))
    }
}

fn params_of(params: &[(String, String)], is_kept: impl Fn(&str) -> bool) -> Vec<(&str, &str)> {
    let pairs = params.iter().map(|(name, value)| (&**name, &**value));
    pairs.filter(|(name, _)| is_kept(name)).collect()
}

/// A page of entries. If less than a page is newer than an entry, it is the newest page.
pub(super) fn find(reader: &AuditReader, mut query: Query) -> Result<Found> {
    let mut page = reader.page(&query)?;
    if query.order == Order::Asc && !page.has_more {
        query.order = Order::Desc;
        query.start = PageStart::First;
        page = reader.page(&query)?;
    }
    let hints = match page.entries.is_empty() {
        true => reader.hints(&query.filter).unwrap_or_default(),
        false => Vec::new(),
    };
    let is_asc = query.order == Order::Asc;
    if is_asc {
        page.entries.reverse();
    }
    Ok(Found {
        has_newer: query.start != PageStart::First,
        has_older: is_asc || page.has_more,
        complete_until: page.complete_until,
        is_partial: !page.scanned.problems.is_empty(),
        entries: page.entries,
        hints,
    })
}
