//! The names of actors and resources, which are counted by their ids: these say little to people.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Kind;
use crate::{
    error::Result,
    query::{AuditReader, Filter, Query, RawEntry},
    server::{
        console::{
            entries::facets::{Facet, LONGEST},
            text::{cut, shown},
            visit::Visit,
        },
        problem::Problem,
    },
};

/// The names that are known, by the ids.
#[derive(Default)]
pub(in crate::server::console) struct Names(HashMap<String, String>);

impl Names {
    /// The names of these: from entries that are at hand, else from the newest entry that each has
    /// among those that the filter wants, as far as these are found soon.
    pub(in crate::server::console) async fn find(
        visit: &Visit,
        kind: Kind,
        ids: impl Iterator<Item = &str>,
        at_hand: &[RawEntry],
        filter: &Filter,
        limit: Duration,
    ) -> std::result::Result<Self, Problem> {
        let mut names = Self::of_all(kind, at_hand);
        let missing = ids.filter(|id| names.of(id).is_none());
        let missing: Vec<_> = missing.map(str::to_owned).collect();
        let filter = filter.clone();
        let end = Instant::now() + limit;
        let look = move |reader: &AuditReader| newest(reader, &filter, kind, missing, end);
        let found = visit.read_within(limit, look).await?;
        for entry in found.unwrap_or_default() {
            names.add(kind, &entry);
        }
        Ok(names)
    }

    /// The names in these entries, which come with the newest first.
    pub(in crate::server::console) fn of_all(kind: Kind, entries: &[RawEntry]) -> Self {
        let mut names = Self::default();
        for entry in entries {
            names.add(kind, entry);
        }
        names
    }

    pub(in crate::server::console) fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    fn add(&mut self, kind: Kind, entry: &RawEntry) {
        let (id, name) = match kind {
            Kind::Actor => (entry.actor_id(), entry.actor_name()),
            Kind::Resource => (entry.resource_id(), entry.resource_name()),
        };
        if !id.is_empty() && !name.is_empty() {
            self.0.entry(id.into()).or_insert_with(|| name.into());
        }
    }

    /// Shows the names in the place of ids.
    pub(in crate::server::console::entries) fn show(&self, facet: &mut Facet) {
        for value in &mut facet.values {
            if let Some(name) = self.of(&value.raw) {
                value.text = cut(&shown(name), LONGEST);
            }
        }
    }
}

/// The newest entry of each, until the time is over.
fn newest(
    reader: &AuditReader,
    filter: &Filter,
    kind: Kind,
    ids: Vec<String>,
    end: Instant,
) -> Result<Vec<RawEntry>> {
    let mut found = Vec::new();
    for id in ids {
        // No filter takes a very long id, which is then shown in place of a name.
        let filter = filter.clone();
        let Ok(filter) = filter.with(kind.parameter(), Filter::literal(&id)) else {
            continue;
        };
        let query = Query {
            filter,
            limit: 1,
            ..Query::default()
        };
        match reader.page(&query) {
            Ok(page) => found.extend(page.entries),
            Err(_) if Instant::now() >= end => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
