//! The most frequent values of some fields, each with links that want or exclude it. Of one field
//! that is opened, more values are shown.

use super::subject::{Kind, Names};
use crate::{
    query::{Top, TopValues, ValueCount},
    server::console::{
        selection::Selection,
        text::{cut, entries, number, shown},
    },
};

/// The longest text of a value.
pub(super) const LONGEST: usize = 80;

/// How many values of a field are shown.
const VALUES: usize = 8;
/// How many values of the field that is opened are shown.
const OPENED: usize = 100;

/// How many values of each field a page has to count.
pub(super) fn most_counted(selection: &Selection) -> usize {
    match selection.opened() {
        Some(_) => OPENED,
        None => VALUES,
    }
}

/// How many values of a field are shown.
pub(super) fn most_shown(selection: &Selection, name: &str) -> usize {
    match selection.opened() == Some(name) {
        true => OPENED,
        false => VALUES,
    }
}

/// A field with its most frequent values.
pub(super) struct Facet {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) values: Vec<Value>,
    /// The sentence about the other values.
    pub(super) rest: Option<String>,
    /// The link to the page with more of them, or again with fewer.
    pub(super) more: Option<String>,
    pub(super) fewer: Option<String>,
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
        let mut facet = Facet::new(selection, selection, (name, title), top);
        if name == "actor" {
            actors.show(&mut facet);
        }
        facet
    });
    facets.collect()
}

impl Facet {
    /// A field of the page with this selection. Its values lead to the entries of `others` that have
    /// these too.
    pub(super) fn new(
        selection: &Selection,
        others: &Selection,
        (name, title): (&'static str, &'static str),
        top: &Top,
    ) -> Self {
        let most = most_shown(selection, name);
        let shown = &top.values[..top.values.len().min(most)];
        let total = sum(&top.values) + top.other + top.without;
        let value = |one: &ValueCount| Value::new(others, name, one, total.max(1));
        let left = Left {
            values: top
                .distinct
                .map(|distinct| distinct.saturating_sub(shown.len() as u64)),
            entries: top.other + sum(&top.values[shown.len()..]),
        };
        let is_opened = selection.opened() == Some(name);
        let anchor = format!("#facet-{name}");
        let link = |facet| selection.opening(facet).href() + &anchor;
        Self {
            name,
            title,
            values: shown.iter().map(value).collect(),
            rest: left.words(is_opened),
            more: (!is_opened && left.values > Some(0)).then(|| link(Some(name))),
            fewer: is_opened.then(|| link(None)),
        }
    }
}

fn sum(values: &[ValueCount]) -> u64 {
    values.iter().map(|value| value.count).sum()
}

impl Value {
    fn new(others: &Selection, name: &str, one: &ValueCount, total: u64) -> Self {
        let is_wanted = others.wants(name, &one.value);
        let toggled = match is_wanted {
            true => others.without_value(name, &one.value),
            false => others.with(name, &one.value),
        };
        Self {
            text: cut(&shown(&one.value), LONGEST),
            raw: one.value.clone(),
            title: cut(&shown(&one.value), LONGEST),
            count: number(one.count),
            share: one.count * 100 / total,
            is_wanted,
            toggle: toggled.href(),
            exclude: others.excluding(name, &one.value).href(),
            about: Kind::of(name).map(|kind| kind.about(&one.value)),
        }
    }
}

/// The values that aren't shown.
struct Left {
    /// `None` if there are too many to be counted.
    values: Option<u64>,
    entries: u64,
}

impl Left {
    fn words(&self, is_opened: bool) -> Option<String> {
        let Some(values) = self.values else {
            let words = "There are too many different values to count. A shorter range may have \
                         their counts.";
            return Some(words.to_owned());
        };
        (values > 0).then(|| {
            let plural = if values == 1 { "value" } else { "values" };
            let values = number(values);
            let entries = entries(self.entries);
            let how = if is_opened {
                "; search for one to see it"
            } else {
                ""
            };
            format!("{values} more {plural} in {entries}{how}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::params;

    fn top(count: u64) -> Top {
        let values = (0..count.min(OPENED as u64)).map(|n| ValueCount {
            value: format!("v{n}"),
            count: 2,
        });
        Top {
            values: values.collect(),
            other: 2 * count.saturating_sub(OPENED as u64),
            distinct: Some(count),
            ..Top::default()
        }
    }

    fn facet(query: &str, top: &Top) -> Facet {
        let selection = Selection::parse(params::parse(Some(query)).unwrap()).unwrap();
        Facet::new(&selection, &selection, ("actor", "Actor"), top)
    }

    #[test]
    fn more_values_are_a_link_away_and_bounded() {
        let closed = facet("range=7d", &top(34));
        assert_eq!(closed.values.len(), VALUES);
        assert_eq!(closed.rest.as_deref(), Some("26 more values in 52 entries"));
        let link = "?range=7d&facet=actor#facet-actor";
        assert_eq!(closed.more.as_deref(), Some(link));
        assert_eq!(closed.fewer, None);
        // A value's share is that of all entries, however many values are shown.
        assert_eq!(closed.values[0].share, 2);

        let opened = facet("range=7d&facet=actor", &top(34));
        assert_eq!(opened.values.len(), 34);
        assert_eq!((opened.rest, opened.more), (None, None));
        assert_eq!(opened.fewer.as_deref(), Some("?range=7d#facet-actor"));
        assert!(opened.values[0].toggle.ends_with("&facet=actor"));

        let many = facet("facet=actor", &top(1234));
        assert_eq!(many.values.len(), OPENED);
        let rest = "1,134 more values in 2,268 entries; search for one to see it";
        assert_eq!((many.rest.as_deref(), many.more), (Some(rest), None));
        // Of another field, as many values are shown as of each.
        let other = facet("facet=event_type", &top(34));
        assert_eq!(other.values.len(), VALUES);
        assert!(other.more.is_some_and(|more| more.contains("facet=actor")));
    }

    #[test]
    fn values_that_can_not_be_counted_are_no_link() {
        let uncounted = Top {
            other: 9,
            ..Top::default()
        };
        let facet = facet("", &uncounted);
        assert!(facet.rest.is_some_and(|rest| rest.contains("too many")));
        assert_eq!(facet.more, None);
    }
}
