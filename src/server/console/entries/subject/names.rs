//! The names of the other party: of the resources that an actor touched, or of the actors that acted
//! on a resource. They are counted by their ids, which say little to people.

use std::collections::HashMap;

use super::Kind;
use crate::{
    error::Result,
    query::{AuditReader, Filter, Query, RawEntry, Top},
    server::{
        console::{
            entries::{
                answer::LOOK_TIME,
                facets::{Facet, LONGEST},
            },
            text::{cut, shown},
            visit::Visit,
        },
        problem::Problem,
    },
};

/// The names that are known, by the ids.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// The names of the most frequent ones: from the entries of the page, else from the newest entry
    /// that each has with the subject, as far as these are found soon.
    pub(super) async fn find(
        visit: &Visit,
        other: Kind,
        top: &Top,
        shown: &[RawEntry],
        filter: &Filter,
    ) -> std::result::Result<Self, Problem> {
        let mut names = Self::default();
        for entry in shown {
            names.add(other, entry);
        }
        let ids = top.values.iter().map(|one| one.value.clone());
        let missing: Vec<_> = ids.filter(|id| !names.0.contains_key(id)).collect();
        let filter = filter.clone();
        let look = move |reader: &AuditReader| newest(reader, &filter, other, missing);
        let found = visit.read_within(LOOK_TIME, look).await?;
        for entry in found.unwrap_or_default() {
            names.add(other, &entry);
        }
        Ok(names)
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
    pub(super) fn show(&self, facet: &mut Facet) {
        for value in &mut facet.values {
            if let Some(name) = self.0.get(&value.raw) {
                value.text = cut(&shown(name), LONGEST);
            }
        }
    }
}

/// The newest entry that each has with the subject.
fn newest(
    reader: &AuditReader,
    filter: &Filter,
    other: Kind,
    ids: Vec<String>,
) -> Result<Vec<RawEntry>> {
    let mut found = Vec::new();
    for id in ids {
        let filter = filter.clone();
        let query = Query {
            filter: filter.with(other.parameter(), Filter::literal(&id))?,
            limit: 1,
            ..Query::default()
        };
        found.extend(reader.page(&query)?.entries);
    }
    Ok(found)
}
