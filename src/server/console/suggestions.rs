//! `GET /suggestions`: what people can write in the line of the search.
//!
//! In comes the query of the page of entries; out go, as JSON, the parameters of the filter, and the
//! values that the catalogue has or that entries of the range have. Resources are in no index, so
//! those of the newest entries are taken. Each list is bounded, and a tenant gets the values of its
//! own entries. The line works without all this.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, Serializer, ser::SerializeTuple as _};

use super::{
    entries::{Kind, Names, counting},
    selection::Selection,
    text::shown,
    visit::Visit,
};
use crate::{
    entry::{Catalogue, Timestamp},
    query::{Filter, Query, RawEntry, Top, TopValues},
    server::{access::Scope, problem::Problem},
    store::catalogue,
};

/// How many values of each parameter are suggested, the most frequent ones.
const MOST: usize = 100;
/// How many event types are suggested: all of most logs, even those that were never seen.
const MOST_TYPES: usize = 1000;
/// How many actors are suggested by their names too.
const MOST_NAMED: usize = 50;
/// How many paths of details are suggested.
const MOST_PATHS: usize = 200;
/// How long looking for the names of actors may take.
const NAMES_TIME: Duration = Duration::from_millis(500);
/// How long reading the catalogue, or the newest entries, may take.
const READ_TIME: Duration = Duration::from_secs(1);
/// The newest entries whose resources are suggested, and how many bytes these may have.
const NEWEST: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// The parameters, the most useful first, and what each is about. A text needs no `q:`.
const NAMES: [(&str, &str); 19] = [
    (
        "event_type",
        "what happened; auth.* for all that begin with auth.",
    ),
    ("actor", "id, name or type"),
    ("resource", "id or name"),
    ("outcome", "success, failure or unknown"),
    ("severity", "info, warning, error or critical"),
    ("ip_address", "an address, or a network"),
    ("source", "the application"),
    ("session_id", "a session"),
    ("request_id", "a request"),
    ("trace_id", "an OpenTelemetry trace"),
    ("user_agent", "as the client sent it"),
    ("tenant_id", "a tenant"),
    ("actor_type", "such as user or system"),
    ("resource_type", "such as secret"),
    ("category", "most often the first part of event types"),
    ("action", "most often the last part of event types"),
    ("start_date", "from this day or instant on"),
    ("end_date", "to the end of this day, or before this instant"),
    ("include", "access: reads of the log as well"),
];

pub(super) async fn suggestions(visit: Visit) -> Response {
    let made = make(&visit).await;
    made.unwrap_or_else(Problem::into_response)
}

async fn make(visit: &Visit) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let given = visit.parameters()?;
    let selection = Selection::parse(given.clone())?.without_conditions();
    let counts = counting(&selection, &asker, Timestamp::now(), MOST_TYPES)?;
    let layout = visit.app.layout.clone();
    let catalogue = visit.read_within(READ_TIME, move |_| catalogue::catalogue(&layout));
    let filter = counts.query.filter.clone();
    let newest = newest(visit, filter.clone(), counts.query.include_access);
    let (counts, catalogue, newest) = tokio::join!(counts.counts(visit), catalogue, newest);
    let counts = counts?;
    let newest = newest?;
    let description = "Values for the search were read in the console";
    let entry = asker.record("audit.access.read", description, &given);
    let counted = counts.as_ref().map(|counts| counts.stats.total);
    let entry = entry.detail("status", 200).detail("counted", counted);
    visit.app.recorder.record(&entry)?;
    let top = counts.map(|counts| counts.stats.top).unwrap_or_default();
    let known = catalogue?.unwrap_or_default();
    let actors = top.actor.as_ref().map_or(&[][..], |top| &top.values);
    let ids = actors.iter().take(MOST_NAMED);
    let ids = ids.map(|one| one.value.as_str());
    let names = Names::find(visit, Kind::Actor, ids, &newest, &filter, NAMES_TIME).await?;
    let resources = Resources::of(&newest);
    // Texts and numbers can always be written.
    let suggestions = Suggestions::new(&top, &known, &names, &resources);
    let text = serde_json::to_vec(&suggestions).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The newest entries that are wanted; none if they aren't found in time.
async fn newest(
    visit: &Visit,
    filter: Filter,
    include_access: bool,
) -> Result<Vec<RawEntry>, Problem> {
    let query = Query {
        filter,
        limit: NEWEST,
        max_bytes: MOST_BYTES,
        include_access,
        ..Query::default()
    };
    let page = visit.read_within(READ_TIME, move |reader| reader.page(&query));
    Ok(page.await?.map(|page| page.entries).unwrap_or_default())
}

#[derive(Serialize)]
struct Suggestions<'a> {
    names: [(&'static str, &'static str); NAMES.len()],
    /// The names of parameters for details: `details.plan`.
    details: BTreeSet<String>,
    values: Values<'a>,
}

#[derive(Serialize)]
struct Values<'a> {
    event_type: Vec<Value<'a>>,
    severity: Vec<Value<'a>>,
    outcome: Vec<Value<'a>>,
    actor: Vec<Value<'a>>,
    resource: Vec<Value<'a>>,
    resource_type: Vec<Value<'a>>,
    ip_address: Vec<Value<'a>>,
    source: Vec<Value<'a>>,
    include: Vec<Value<'a>>,
}

/// A value, the number of its entries, and how it is shown if that isn't the value itself.
struct Value<'a> {
    value: Cow<'a, str>,
    count: u64,
    name: Option<&'a str>,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match self.name {
            Some(name) => shown(&format!("{name} ({})", self.value)),
            None => shown(&self.value),
        };
        let is_other = *text != *self.value;
        let mut tuple = serializer.serialize_tuple(2 + usize::from(is_other))?;
        tuple.serialize_element(&self.value)?;
        tuple.serialize_element(&self.count)?;
        if is_other {
            tuple.serialize_element(&text)?;
        }
        tuple.end()
    }
}

impl<'a> Suggestions<'a> {
    fn new(
        top: &'a TopValues,
        catalogue: &'a Catalogue,
        names: &'a Names,
        resources: &'a Resources<'a>,
    ) -> Self {
        let mut actors = values(top.actor.as_ref(), [], MOST);
        for actor in &mut actors {
            actor.name = names.of(&actor.value);
        }
        let types = catalogue.iter().filter(|entry| !entry.is_dynamic());
        let types = types.map(|entry| Cow::Borrowed(entry.event_type()));
        let sources: BTreeSet<_> = catalogue.iter().flat_map(|entry| entry.sources()).collect();
        let fields = catalogue.iter().flat_map(|entry| entry.fields());
        let details = fields.filter(|(path, _)| path.starts_with("details."));
        Self {
            names: NAMES,
            details: details
                .map(|(path, _)| path.to_owned())
                .take(MOST_PATHS)
                .collect(),
            values: Values {
                event_type: values(top.event_type.as_ref(), types, MOST_TYPES),
                severity: values(
                    top.severity.as_ref(),
                    fixed(["info", "warning", "error", "critical"]),
                    MOST,
                ),
                outcome: values(
                    top.outcome.as_ref(),
                    fixed(["success", "failure", "unknown"]),
                    MOST,
                ),
                actor: actors,
                resource: resources.values(),
                resource_type: most_frequent(&resources.types),
                ip_address: values(top.ip_address.as_ref(), [], MOST),
                source: values(None, sources.into_iter().map(Cow::Borrowed), MOST),
                include: values(None, fixed(["access"]), MOST),
            },
        }
    }
}

/// The resources of some entries: how many entries each has, and its name.
#[derive(Default)]
struct Resources<'a> {
    ids: BTreeMap<Cow<'a, str>, u64>,
    names: Names,
    types: BTreeMap<Cow<'a, str>, u64>,
}

impl<'a> Resources<'a> {
    fn of(entries: &'a [RawEntry]) -> Self {
        let mut resources = Self {
            names: Names::of_all(Kind::Resource, entries),
            ..Self::default()
        };
        for entry in entries {
            let id = match entry.resource_id() {
                id if id.is_empty() => entry.resource_name(),
                id => id,
            };
            *resources.ids.entry(id).or_default() += 1;
            *resources.types.entry(entry.resource_type()).or_default() += 1;
        }
        resources
    }

    fn values(&'a self) -> Vec<Value<'a>> {
        let mut values = most_frequent(&self.ids);
        for resource in &mut values {
            resource.name = self.names.of(&resource.value);
        }
        values
    }
}

/// The most frequent first. Their counts are left out, because only some entries were counted.
fn most_frequent<'a>(counted: &'a BTreeMap<Cow<'_, str>, u64>) -> Vec<Value<'a>> {
    let counted = counted.iter().filter(|(value, _)| !value.is_empty());
    let mut counted: Vec<_> = counted.collect();
    counted.sort_by_key(|(_, count)| Reverse(**count));
    let values = counted
        .into_iter()
        .map(|(value, _)| Cow::Borrowed(&**value));
    self::values(None, values, MOST)
}

fn fixed<const N: usize>(values: [&'static str; N]) -> impl Iterator<Item = Cow<'static, str>> {
    values.into_iter().map(Cow::Borrowed)
}

/// The values that were seen, the most frequent first, and then others that there can be.
fn values<'a>(
    seen: Option<&Top>,
    others: impl IntoIterator<Item = Cow<'a, str>>,
    most: usize,
) -> Vec<Value<'a>> {
    let seen = seen.map_or(&[][..], |top| &top.values);
    let values = seen.iter().take(most).map(|one| Value {
        value: Cow::Owned(one.value.clone()),
        count: one.count,
        name: None,
    });
    let mut values: Vec<_> = values.collect();
    let known: BTreeSet<_> = values.iter().map(|one| one.value.clone()).collect();
    let others = others.into_iter().filter(|value| !known.contains(value));
    let others = others.take(most - values.len());
    values.extend(others.map(|value| Value {
        value,
        count: 0,
        name: None,
    }));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::ValueCount;

    #[test]
    fn every_parameter_of_a_filter_is_suggested() {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        for name in Filter::NAMES {
            assert!(name == "q" || names.contains(&name), "{name}");
        }
    }

    #[test]
    fn values_that_were_seen_come_first_and_there_are_not_too_many() {
        let one = |value: &str, count| ValueCount {
            value: value.to_owned(),
            count,
        };
        let seen = Top {
            values: vec![one("b", 5), one("\u{202e}c", 2)],
            ..Top::default()
        };
        let mut made = values(Some(&seen), fixed(["a", "b", "d", "e"]), 4);
        made[0].name = Some("Bea");
        assert_eq!(
            serde_json::to_string(&made).unwrap(),
            "[[\"b\",5,\"Bea (b)\"],[\"\u{202e}c\",2,\"⟨U+202E⟩c\"],[\"a\",0],[\"d\",0]]"
        );
    }
}
