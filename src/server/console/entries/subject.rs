//! The actor or the resource that entries are about, if it is one: who that is, since when it is
//! known, and until when.
//!
//! ```text
//! page       the page of an actor or a resource
//! names      the names of those that are counted by their ids
//! ```

mod names;
mod page;

use std::time::Duration;

use crate::{
    entry::Timestamp,
    query::{Filter, Order, Page, Query, RawEntry},
    server::{
        console::{
            entries::answer::LOOK_TIME,
            selection::{Selection, query},
            text::{Time, cut, shown},
            visit::Visit,
        },
        problem::Problem,
        state::Asker,
    },
};

pub(in crate::server::console) use self::{
    names::Names,
    page::{actor, resource},
};

const LONGEST: usize = 120;

/// The kind of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::console) enum Kind {
    Actor,
    Resource,
}

impl Kind {
    /// The kind that a parameter of the filter names.
    pub(super) fn of(parameter: &str) -> Option<Self> {
        let mut kinds = [Self::Actor, Self::Resource].into_iter();
        kinds.find(|kind| kind.parameter() == parameter)
    }

    /// The parameter that names it, which is the path of its page too.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Resource => "resource",
        }
    }

    /// The other kind, which its page counts: an actor's resources, a resource's actors.
    fn other(self) -> Self {
        match self {
            Self::Actor => Self::Resource,
            Self::Resource => Self::Actor,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Actor => "Actor",
            Self::Resource => "Resource",
        }
    }

    /// The path of the page about the one with this id or name, below the mount.
    pub(in crate::server::console) fn about(self, value: &str) -> String {
        let name = self.parameter();
        format!("{name}{}", query([(name, &*Filter::literal(value))]))
    }
}

/// The question for a subject.
pub(super) struct Wanted {
    kind: Kind,
    /// Its id or name, as a text of the filter.
    text: String,
    filter: Filter,
}

/// The first and the last entry of a subject whenever that was, as far as they are found soon.
pub(super) struct Known {
    kind: Kind,
    text: String,
    first: Option<RawEntry>,
    last: RawEntry,
    /// Whether no later entry can be in a part of the log that can't be read.
    is_last: bool,
}

/// The answer to the question for a subject.
pub(super) enum Sought {
    Known(Box<Known>),
    /// No entry at any time is about it.
    Nothing,
    /// The time was over before an entry was found.
    TimeOver,
}

impl Sought {
    pub(super) fn known(&self) -> Option<&Known> {
        match self {
            Self::Known(known) => Some(known),
            Self::Nothing | Self::TimeOver => None,
        }
    }
}

/// A subject as a page shows it.
pub(super) struct Subject {
    /// `Actor` or `Resource`
    pub(super) what: &'static str,
    /// `user`
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) first: Option<Time>,
    pub(super) last: Option<Time>,
    /// The path of its page, below the mount.
    pub(super) about: String,
}

impl Wanted {
    /// `None` if the selection isn't about one subject.
    pub(super) fn new(selection: &Selection, asker: &Asker) -> Result<Option<Self>, Problem> {
        let mut subjects = selection
            .conditions()
            .filter_map(|(name, value)| Some((Kind::of(name)?, value)));
        let only = subjects.next().filter(|_| subjects.next().is_none());
        let Some((kind, text)) = only.filter(|(_, value)| !value.starts_with('!')) else {
            return Ok(None);
        };
        let params = asker.narrow(&[(kind.parameter().to_owned(), text.to_owned())])?;
        let filter = Filter::parse(params)?;
        let text = text.to_owned();
        Ok(Some(Self { kind, text, filter }))
    }

    pub(super) async fn find(self, visit: &Visit) -> Result<Sought, Problem> {
        self.find_within(visit, LOOK_TIME).await
    }

    async fn find_within(self, visit: &Visit, limit: Duration) -> Result<Sought, Problem> {
        let at_the_end = |order| {
            let query = Query {
                filter: self.filter.clone(),
                order,
                limit: 1,
                ..Query::default()
            };
            visit.read_within(limit, move |reader| reader.page(&query))
        };
        let (first, last) = tokio::join!(at_the_end(Order::Asc), at_the_end(Order::Desc));
        let only = |page: Page| page.entries.into_iter().next();
        let is_whole = |page: &Page| page.scanned.hiding_problem().is_none();
        let first = first?.filter(is_whole).and_then(only);
        let Some(last) = last? else {
            return Ok(Sought::TimeOver);
        };
        let is_last = is_whole(&last);
        Ok(match only(last) {
            None => Sought::Nothing,
            Some(last) => Sought::Known(Box::new(Known {
                kind: self.kind,
                text: self.text,
                first,
                last,
                is_last,
            })),
        })
    }
}

impl Subject {
    pub(super) fn new(known: &Known, now: Timestamp) -> Self {
        let last = &known.last;
        let text = |text: &str| cut(&shown(text), LONGEST);
        let (kind, name, id) = match known.kind {
            Kind::Actor => (last.actor_type(), last.actor_name(), last.actor_id()),
            Kind::Resource => (
                last.resource_type(),
                last.resource_name(),
                last.resource_id(),
            ),
        };
        let time = |entry: &RawEntry| Time::new(entry.timestamp(), now);
        Self {
            what: known.kind.title(),
            kind: text(&kind),
            name: text(&name),
            id: text(&id),
            first: known.first.as_ref().map(time),
            last: known.is_last.then(|| time(last)),
            about: Self::path(known.kind, &known.text),
        }
    }

    /// One of which no entry was found.
    fn unknown(kind: Kind, text: &str) -> Self {
        Self {
            what: kind.title(),
            kind: String::new(),
            name: cut(&shown(text), LONGEST),
            id: String::new(),
            first: None,
            last: None,
            about: Self::path(kind, text),
        }
    }

    fn path(kind: Kind, text: &str) -> String {
        let name = kind.parameter();
        format!("{name}{}", query([(name, text)]))
    }

    /// The word that people use for it.
    pub(super) fn title(&self) -> &str {
        let names = [&self.name, &self.id, &self.kind].into_iter();
        names
            .map(String::as_str)
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        AuditLog,
        store::{layout::Layout, samples},
    };

    #[tokio::test]
    async fn a_subject_that_is_not_found_in_time_is_not_one_that_is_not_there() {
        let log = AuditLog::for_tests();
        let live = Layout::of(log.dir()).live(&samples::stem(1));
        fs::write(live, samples::line(1) + "\n").unwrap();
        let visit = Visit::of(&log);
        let find = async |actor: &str, limit| {
            let wanted = Wanted {
                kind: Kind::Actor,
                text: actor.to_owned(),
                filter: Filter::parse([("actor", actor)]).unwrap(),
            };
            wanted.find_within(&visit, limit).await.unwrap()
        };
        let hour = Duration::from_secs(3600);
        assert!(find("user-316", hour).await.known().is_some());
        assert!(matches!(find("nobody", hour).await, Sought::Nothing));
        for actor in ["user-316", "nobody"] {
            let found = find(actor, Duration::ZERO).await;
            assert!(matches!(found, Sought::TimeOver), "{actor}");
        }
    }
}
