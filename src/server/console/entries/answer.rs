//! The answers of the log for the page of entries.
//!
//! A page is bounded in time, however long the log is: it may search for some seconds and count for
//! fewer, at the same time. What takes longer has to be asked for more narrowly.

use std::time::Duration;

use axum::http::StatusCode;

use super::{
    counts::{Counting, Counts},
    facets::{most_counted, most_shown},
    subject::{Kind, Names, Sought, Wanted},
};
use crate::{
    entry::Timestamp,
    error::Result,
    query::{
        AuditReader, Depth, Filter, Order, PageStart, Query, RawEntry, StatsQuery, ValueCount,
    },
    server::{
        console::{
            selection::{Selection, Start},
            text::entries,
            visit::Visit,
        },
        params::take,
        problem::Problem,
        state::{Asker, State},
    },
};

/// How many entries a page shows.
const ROWS: usize = 50;
/// The most bytes that the entries of a page have. A page with huge entries has fewer rows.
const MOST_BYTES: usize = 1 << 20;
/// How many bars the histogram may have.
const BARS: u16 = 180;
/// The longest cursor that a page has. With more streams, a stream begins later than the page.
const LONGEST_CURSOR: usize = 4 * 1024;
/// How long a page may search.
pub(super) const SEARCH_TIME: Duration = Duration::from_secs(10);
/// How long a page may count.
const COUNT_TIME: Duration = Duration::from_secs(2);
/// How long a page without entries may look for one outside of its range.
pub(super) const LOOK_TIME: Duration = Duration::from_secs(1);

/// How long a page looks for the names of the actors whose entries it counts.
const NAMES_TIME: Duration = Duration::from_millis(100);

/// The questions of a page.
pub(super) struct Question {
    pub(super) page: Query,
    pub(super) counting: Counting,
    /// The filter without its times.
    any_time: Filter,
    pub(super) subject: Option<Wanted>,
    /// How many actors are shown with their names.
    actors: usize,
    /// Whether entries that come now belong to the page.
    goes_on: bool,
}

/// The answers. `None` where the time was over.
pub(super) struct Answer {
    pub(super) found: Option<Found>,
    pub(super) counts: Option<Counts>,
    /// The names of the actors that are counted, as far as they are known.
    pub(super) actors: Names,
    /// The newest entry that the filter wants at any time, if the range has none.
    pub(super) outside: Outside,
    pub(super) subject: Option<Sought>,
    /// The cursor from which a stream goes on after the page.
    pub(super) arrived: Option<String>,
}

impl Answer {
    /// The status of the page: as in the API, 503 if the search takes too long.
    pub(super) fn status(&self) -> StatusCode {
        match self.found {
            Some(_) => StatusCode::OK,
            None => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
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
#[derive(Default)]
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

impl Found {
    /// How many entries there are, as far as the page says that.
    pub(super) fn words(&self) -> String {
        let here = self.entries.len() as u64;
        match self.has_newer || self.has_older {
            true => format!("More than {}", entries(here)),
            false => entries(here),
        }
    }
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
            any_entry,
            include_access,
        } = Filters::new(selection, asker, now)?;
        let (order, start) = match &selection.start {
            Start::Newest => (Order::Desc, PageStart::First),
            Start::Older(cursor) => (Order::Desc, PageStart::Cursor(cursor.clone())),
            Start::Newer(cursor) => (Order::Asc, PageStart::Cursor(cursor.clone())),
        };
        Ok(Self {
            counting: Counting {
                query: StatsQuery {
                    // The counts of a range up to now end now, and not at the last entry.
                    filter: match selection.range() {
                        Some(_) => filter.clone().with("end_date", now.to_string())?,
                        None => filter.clone(),
                    },
                    most_steps: BARS,
                    top: most_counted(selection),
                    include_access,
                    ..StatsQuery::default()
                },
                all: any_entry,
                depth: Depth::Quick,
                limit: COUNT_TIME,
                is_drawn: true,
            },
            goes_on: selection.start == Start::Newest && filter.end().is_none(),
            page: Query {
                filter,
                order,
                limit: ROWS,
                max_bytes: MOST_BYTES,
                start,
                include_access,
            },
            any_time,
            subject: Wanted::new(selection, asker)?,
            actors: most_shown(selection, Kind::Actor.parameter()),
        })
    }

    pub(super) async fn answer(self, visit: &Visit, asker: &Asker) -> Result<Answer, Problem> {
        let Self {
            page,
            counting,
            any_time,
            subject,
            actors,
            goes_on,
        } = self;
        let at_any_time = Query {
            filter: any_time,
            limit: 1,
            include_access: page.include_access,
            ..Query::default()
        };
        // Before the search, so that nothing is missed between the two.
        let arrived = match goes_on {
            true => arrived(visit, asker, &at_any_time).await?,
            false => None,
        };
        let wanted = page.filter.clone();
        let search = visit.read_within(SEARCH_TIME, move |reader| find(reader, page));
        let count = counting.counts(visit);
        let subject = async {
            match subject {
                Some(subject) => subject.find(visit).await.map(Some),
                None => Ok(None),
            }
        };
        let (found, counts, subject) = tokio::join!(search, count, subject);
        let (found, counts) = (found?, counts?);
        let shown = counts.as_ref().map(|counts| counts.most_actors(actors));
        let actors = names(visit, found.as_ref(), shown.unwrap_or_default(), &wanted).await?;
        let is_empty = |found: &Found| found.entries.is_empty();
        let outside = match found.as_ref().is_some_and(is_empty) {
            true => Outside::find(visit, at_any_time).await?,
            false => Outside::Unknown,
        };
        Ok(Answer {
            found,
            counts,
            actors,
            outside,
            subject: subject?,
            arrived,
        })
    }
}

/// The names of the actors that are counted by their ids. Where an actor is wanted, its entries on
/// the page have the name.
async fn names(
    visit: &Visit,
    found: Option<&Found>,
    counted: &[ValueCount],
    wanted: &Filter,
) -> Result<Names, Problem> {
    let params = wanted.params();
    let is_of_actor = params.iter().any(|(name, _)| name == "actor");
    let counted = counted.iter().filter(|_| !is_of_actor);
    let ids = counted.map(|one| one.value.as_str());
    let at_hand = found.map_or(&[][..], |found| &found.entries);
    Names::find(visit, Kind::Actor, ids, at_hand, wanted, NAMES_TIME).await
}

/// The filter of a selection, and its parts.
struct Filters {
    filter: Filter,
    /// Without its times.
    any_time: Filter,
    /// Without its conditions.
    any_entry: Filter,
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
        let times = params.iter().filter(|(name, _)| is_time(name));
        let times: Vec<_> = times.cloned().collect();
        Ok(Self {
            any_entry: Filter::parse(asker.narrow(&times)?)?,
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

/// The cursor of the entries that come from now on, as the visitor's own requests have it.
async fn arrived(visit: &Visit, asker: &Asker, any: &Query) -> Result<Option<String>, Problem> {
    let query = Query {
        order: Order::Arrival,
        start: PageStart::Now,
        ..any.clone()
    };
    let app = State::clone(&visit.app);
    let tenant = asker.access.tenant.clone();
    let read = visit.read_within(LOOK_TIME, move |reader| {
        app.cursors.seal(tenant.as_deref(), reader.page(&query)?)
    });
    let cursor = read.await?.map(|page| page.next_cursor);
    Ok(cursor.filter(|cursor| cursor.len() <= LONGEST_CURSOR))
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
