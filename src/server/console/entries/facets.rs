//! The most frequent values of some fields, each with links that want or exclude it.

use super::subject::{Kind, Names};
use crate::{
    query::{Top, TopValues},
    server::console::{
        selection::Selection,
        text::{cut, entries, number, shown},
    },
};

/// The longest text of a value.
pub(super) const LONGEST: usize = 80;

/// A field with its most frequent values.
pub(super) struct Facet {
    pub(super) title: &'static str,
    pub(super) values: Vec<Value>,
    /// The sentence about the other values.
    pub(super) rest: Option<String>,
}

/// A value with its count.
pub(super) struct Value {
    pub(super) text: String,
    /// As it is in entries.
    pub(super) raw: String,
    /// The same as it is shown when there is room.
    pub(super) title: String,
    pub(super) count: String,
    /// The share in all entries, in percent.
    pub(super) share: u64,
    pub(super) is_wanted: bool,
    /// The link that wants it, or no longer does.
    pub(super) toggle: String,
    pub(super) exclude: String,
    /// The path of the page about it, below the mount, if it has one.
    pub(super) about: Option<String>,
}

/// The fields of a selection. Actors have the names that are known, and else their ids.
pub(super) fn facets(selection: &Selection, top: &TopValues, actors: &Names) -> Vec<Facet> {
    let fields = [
        ("severity", "Severity", &top.severity),
        ("outcome", "Outcome", &top.outcome),
        ("event_type", "Event type", &top.event_type),
        ("actor", "Actor", &top.actor),
        ("ip_address", "Address", &top.ip_address),
    ];
    let counted = fields
        .into_iter()
        .filter_map(|(name, title, top)| Some((name, title, top.as_ref()?)));
    let facets = counted.map(|(name, title, top)| {
        let mut facet = facet(selection, name, title, top);
        if name == "actor" {
            actors.show(&mut facet);
        }
        facet
    });
    facets.collect()
}

pub(super) fn facet(
    selection: &Selection,
    name: &'static str,
    title: &'static str,
    top: &Top,
) -> Facet {
    let shown_count: u64 = top.values.iter().map(|value| value.count).sum();
    let total = (shown_count + top.other + top.without).max(1);
    let values = top.values.iter().map(|value| {
        let is_wanted = selection.wants(name, &value.value);
        let toggled = match is_wanted {
            true => selection.without_value(name, &value.value),
            false => selection.with(name, &value.value),
        };
        Value {
            text: cut(&shown(&value.value), LONGEST),
            raw: value.value.clone(),
            title: cut(&shown(&value.value), LONGEST),
            count: number(value.count),
            share: value.count * 100 / total,
            is_wanted,
            toggle: toggled.href(),
            exclude: selection.excluding(name, &value.value).href(),
            about: Kind::of(name).map(|kind| kind.about(&value.value)),
        }
    });
    Facet {
        title,
        values: values.collect(),
        rest: rest(top),
    }
}

fn rest(top: &Top) -> Option<String> {
    let Some(distinct) = top.distinct else {
        return Some("Too many different values to be counted".to_owned());
    };
    let others = distinct.saturating_sub(top.values.len() as u64);
    (others > 0).then(|| {
        let plural = if others == 1 { "value" } else { "values" };
        format!("{} more {plural} in {}", number(others), entries(top.other))
    })
}
