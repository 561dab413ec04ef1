//! Links to the entries that have something in common with one.

use crate::{
    entry::Timestamp,
    query::RawEntry,
    server::console::{
        selection::Selection,
        text::{cut, shown},
    },
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A link to related entries: what they have in common, and the query that finds them.
pub(super) struct Link {
    pub(super) title: &'static str,
    pub(super) value: String,
    pub(super) query: String,
}

/// Links to related entries within a day of this one, before and after.
pub(super) fn related(entry: &RawEntry) -> Vec<Link> {
    let time = entry.timestamp().as_micros();
    let start = Timestamp::from_micros(time - DAY);
    let near = Selection::default().between(start, Timestamp::from_micros(time + DAY));
    let fields = [
        ("Same actor", "actor", entry.actor_id()),
        ("Same resource", "resource", entry.resource_id()),
        ("Same session", "session_id", entry.session_id()),
        ("Same request", "request_id", entry.request_id()),
        ("Same address", "ip_address", entry.ip_address()),
        ("Same event type", "event_type", entry.event_type()),
    ];
    let link = |(title, name, value): (_, _, std::borrow::Cow<'_, str>)| Link {
        title,
        value: cut(&shown(&value), 60),
        query: near.with(name, &value).query(),
    };
    let has_value = |(_, _, value): &(_, _, std::borrow::Cow<'_, str>)| !value.is_empty();
    fields.into_iter().filter(has_value).map(link).collect()
}
