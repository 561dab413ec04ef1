//! When event types were seen for the first and the last time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Counts;
use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, Query},
    server::{console::visit::Visit, problem::Problem, state::Asker},
};

/// How long the looks for all event types of a page may take.
const LOOK_TIME: Duration = Duration::from_millis(500);

/// The times of the first and the last entry, by event types.
#[derive(Default)]
pub(super) struct Seen(HashMap<String, (Timestamp, Timestamp)>);

impl Seen {
    /// The times of these event types, as far as they are found soon: the most frequent first,
    /// because their entries are near the ends of the log.
    pub(super) async fn find(
        visit: &Visit,
        asker: &Asker,
        counts: &Counts,
        mut types: Vec<String>,
    ) -> std::result::Result<Self, Problem> {
        types.retain(|one| counts.of(one) > 0);
        types.sort_by_key(|one| std::cmp::Reverse(counts.of(one)));
        let filter = Filter::parse(asker.narrow(&[])?)?;
        let found = visit.read_within(LOOK_TIME, move |reader| look(reader, &filter, types));
        Ok(Self(found.await?.unwrap_or_default()))
    }

    pub(super) fn of(&self, event_type: &str) -> Option<(Timestamp, Timestamp)> {
        self.0.get(event_type).copied()
    }
}

/// Looks for one event type after the other, until the time is over.
fn look(
    reader: &AuditReader,
    filter: &Filter,
    types: Vec<String>,
) -> Result<HashMap<String, (Timestamp, Timestamp)>> {
    let end = Instant::now() + LOOK_TIME;
    let mut found = HashMap::new();
    for event_type in types {
        let of_type = filter
            .clone()
            .with("event_type", Filter::literal(&event_type))?;
        let times = [Order::Asc, Order::Desc].map(|order| first(reader, &of_type, order));
        match times {
            [Ok(Some(first)), Ok(Some(last))] => drop(found.insert(event_type, (first, last))),
            [Ok(_), Ok(_)] => {}
            _ if Instant::now() >= end => break,
            [Err(error), _] | [_, Err(error)] => return Err(error),
        }
    }
    Ok(found)
}

/// The time of the first entry in this order.
fn first(reader: &AuditReader, filter: &Filter, order: Order) -> Result<Option<Timestamp>> {
    let query = Query {
        filter: filter.clone(),
        order,
        limit: 1,
        include_access: true,
        ..Query::default()
    };
    let page = reader.page(&query)?;
    Ok(page.entries.first().map(crate::RawEntry::timestamp))
}
