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
        // Before the time of the whole read is over, so that what was found is kept.
        let end = Instant::now() + LOOK_TIME;
        let found = visit.read_within(LOOK_TIME, move |reader| look(reader, &filter, types, end));
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
    end: Instant,
) -> Result<HashMap<String, (Timestamp, Timestamp)>> {
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

/// The time of the first entry in this order; `None` also if it may be in a part of the log that
/// can't be read.
fn first(reader: &AuditReader, filter: &Filter, order: Order) -> Result<Option<Timestamp>> {
    let query = Query {
        filter: filter.clone(),
        order,
        limit: 1,
        include_access: true,
        ..Query::default()
    };
    let page = reader.page(&query)?;
    if page.scanned.hiding_problem().is_some() {
        return Ok(None);
    }
    Ok(page.entries.first().map(crate::RawEntry::timestamp))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use super::*;
    use crate::{
        AuditLog,
        entry::{OwnEntry, Severity},
        query::cancel::Cancel,
    };

    /// The event types whose times are found if the reader is cancelled at this many questions
    /// whether it is, and how many questions there were.
    fn found(log: &AuditLog, types: &[&str], questions: usize) -> (Vec<String>, usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let cancel = Cancel::when(move || count.fetch_add(1, Relaxed) >= questions);
        let reader = AuditReader::open(log.dir()).unwrap().cancelled_by(&cancel);
        let types = types.iter().map(|&one| one.to_owned()).collect();
        let found = look(&reader, &Filter::new(), types, Instant::now()).unwrap();
        (found.into_keys().collect(), asked.load(Relaxed))
    }

    #[test]
    fn what_is_found_before_the_time_is_over_is_kept() {
        let log = AuditLog::for_tests();
        for event_type in ["door.opened", "door.closed"] {
            let entry = OwnEntry::new(event_type, Severity::Info, "A door");
            log.store().unwrap().record(&entry).unwrap();
        }
        log.flush().unwrap();
        let (all, _) = found(&log, &["door.opened", "door.closed"], usize::MAX);
        assert_eq!(all.len(), 2);
        let (_, of_one) = found(&log, &["door.opened"], usize::MAX);
        let (some, _) = found(&log, &["door.opened", "door.closed"], of_one);
        assert_eq!(some, ["door.opened"]);
        assert_eq!(found(&log, &["door.opened"], 0).0, [""; 0]);
    }
}
