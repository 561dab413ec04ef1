//! A filter in words.

use std::collections::BTreeMap;

use crate::{
    entry::Timestamp,
    export::pdf::table::time,
    query::{Filter, Order},
};

/// The names of parameters that are no words.
const NAMES: [(&str, &str); 12] = [
    ("event_type", "event type"),
    ("actor_type", "actor's type"),
    ("actor", "actor's id, name or type"),
    ("resource", "resource's id or name"),
    ("resource_type", "resource's type"),
    ("tenant_id", "tenant"),
    ("ip_address", "address"),
    ("user_agent", "user agent"),
    ("session_id", "session"),
    ("request_id", "request"),
    ("trace_id", "trace"),
    ("q", "text"),
];

/// The range of time of a filter.
pub(super) fn range(filter: &Filter) -> String {
    match (filter.start(), filter.end()) {
        (None, None) => "all that the log has".to_owned(),
        (Some(start), None) => format!("from {} UTC on", time(start)),
        (None, Some(end)) => format!("before {} UTC", time(end)),
        (Some(start), Some(end)) => {
            format!(
                "from {} UTC until just before {} UTC",
                time(start),
                time(end)
            )
        }
    }
}

/// The first and the last day of a filter's range.
fn days(filter: &Filter) -> String {
    // The end itself is outside of the range.
    let last = |end: Timestamp| Timestamp::from_micros(end.as_micros() - 1).day();
    match (filter.start(), filter.end()) {
        (None, None) => "all days".to_owned(),
        (Some(start), None) => format!("from {} on", start.day()),
        (None, Some(end)) => format!("up to {}", last(end)),
        (Some(start), Some(end)) if start.day() == last(end) => start.day().to_string(),
        (Some(start), Some(end)) => format!("{} to {}", start.day(), last(end)),
    }
}

/// The days, and whether the document has only a part of their entries.
pub(super) fn title(filter: &Filter) -> String {
    let days = days(filter);
    if conditions(filter).is_empty() {
        days
    } else {
        format!("{days}, filtered")
    }
}

/// A sentence for each condition of a filter on fields.
pub(super) fn conditions(filter: &Filter) -> Vec<String> {
    let mut values: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
    for (name, value) in filter.params() {
        // The range says it.
        if matches!(name.as_str(), "start_date" | "end_date") {
            continue;
        }
        let excluded = value.strip_prefix('!');
        let text = literal(excluded.unwrap_or(&value)).to_owned();
        let of_name = values.entry((name, excluded.is_some()));
        of_name.or_default().push(text);
    }
    let mut sentences: Vec<_> = values.iter().map(condition).collect();
    if filter.leaves_out_access() {
        sentences.push("reads of the log (audit.access.*) are left out".to_owned());
    }
    sentences
}

/// A backslash before the sign of an exclusion says that the value itself begins so.
fn literal(value: &str) -> &str {
    match value.strip_prefix('\\') {
        Some(rest) if rest.trim_start_matches('\\').starts_with('!') => rest,
        _ => value,
    }
}

fn condition(((name, is_excluded), values): (&(String, bool), &Vec<String>)) -> String {
    let verb = match (name.as_str(), is_excluded) {
        ("q", false) => "contains",
        ("q", true) => "does not contain",
        (_, false) => "is",
        (_, true) => "is not",
    };
    let known = NAMES.iter().find(|(known, _)| known == name);
    let name = known.map_or(name.as_str(), |(_, words)| words);
    format!("{name} {verb} {}", values.join(" or "))
}

/// The order of the entries in a document.
pub(super) fn order(order: Order) -> &'static str {
    match order {
        Order::Asc => "the oldest entry first",
        Order::Desc => "the newest entry first",
        Order::Arrival => "as the entries came into the log",
    }
}
