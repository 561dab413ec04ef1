//! An entry in the table.

use std::borrow::Cow;

use super::subject::Kind;
use crate::{
    entry::Timestamp,
    query::RawEntry,
    server::console::{
        selection::Selection,
        text::{Time, cut, shown},
    },
};

/// The longest text in a cell.
const LONGEST: usize = 240;

pub(super) struct Row {
    /// The link to the entry, below the mount.
    pub(super) href: String,
    pub(super) time: Time,
    pub(super) severity: String,
    pub(super) event_type: Cell,
    pub(super) actor: Option<Cell>,
    pub(super) resource: Option<Cell>,
    /// Empty if none is recorded.
    pub(super) outcome: String,
    pub(super) address: Option<Cell>,
    pub(super) description: String,
}

/// A value, with the link to the entries that have it too.
pub(super) struct Cell {
    pub(super) text: String,
    /// The type of the actor or resource: `user`.
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) only: String,
    /// The path of the page about it, below the mount, if it has one.
    pub(super) about: Option<String>,
}

impl Row {
    pub(super) fn new(selection: &Selection, entry: &RawEntry, now: Timestamp) -> Self {
        let cell = |name, value: Cow<'_, str>, text: &str, kind: Cow<'_, str>| {
            (!value.is_empty()).then(|| Cell {
                text: cut(&shown(text), LONGEST),
                kind: cut(&shown(&kind), LONGEST),
                title: cut(&shown(&value), LONGEST),
                only: selection.with(name, &value).href(),
                about: Kind::of(name).map(|kind| kind.about(&value)),
            })
        };
        let event_type = entry.event_type();
        let address = entry.ip_address();
        Self {
            href: format!("entry/{}{}", entry.id(), selection.query()),
            time: Time::new(entry.timestamp(), now),
            severity: shown(&entry.severity()),
            event_type: Cell {
                text: cut(&shown(&event_type), LONGEST),
                kind: String::new(),
                title: String::new(),
                only: selection.with("event_type", &event_type).href(),
                about: None,
            },
            actor: cell(
                "actor",
                actor(entry),
                &name_of_actor(entry),
                entry.actor_type(),
            ),
            resource: cell(
                "resource",
                first([entry.resource_id(), entry.resource_name()]),
                &first([entry.resource_name(), entry.resource_id()]),
                entry.resource_type(),
            ),
            outcome: shown(&entry.outcome()),
            address: cell("ip_address", address.clone(), &address, Cow::Borrowed("")),
            description: cut(&shown(&entry.description()), LONGEST),
        }
    }
}

/// The value by which entries of the same actor are found.
fn actor(entry: &RawEntry) -> Cow<'_, str> {
    first([entry.actor_id(), entry.actor_name(), entry.actor_type()])
}

fn name_of_actor(entry: &RawEntry) -> Cow<'_, str> {
    first([entry.actor_name(), entry.actor_id(), entry.actor_type()])
}

/// The first text that isn't empty.
fn first<'a, const N: usize>(texts: [Cow<'a, str>; N]) -> Cow<'a, str> {
    let mut texts = texts.into_iter().filter(|text| !text.is_empty());
    texts.next().unwrap_or_default()
}
