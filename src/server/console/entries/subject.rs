//! The actor or the resource that the selected entries are about, if it is one: since when it is
//! known, and until when.

use crate::{
    entry::Timestamp,
    query::{Filter, Order, Page, Query, RawEntry},
    server::{
        console::{
            entries::answer::LOOK_TIME,
            selection::Selection,
            text::{Time, cut, shown},
            visit::Visit,
        },
        problem::Problem,
        state::Asker,
    },
};

/// The parameters that name a subject.
const NAMES: [&str; 2] = ["actor", "resource"];
const LONGEST: usize = 120;

/// The question for a subject.
pub(super) struct Wanted {
    name: &'static str,
    filter: Filter,
}

/// The first and the last entry of a subject whenever that was, as far as they are found soon.
pub(super) struct Known {
    name: &'static str,
    first: Option<RawEntry>,
    last: RawEntry,
}

/// A subject as a page shows it.
pub(super) struct Subject {
    /// `Actor` or `Resource`
    pub(super) what: &'static str,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) first: Option<Time>,
    pub(super) last: Time,
}

impl Wanted {
    /// `None` if the selection isn't about one subject.
    pub(super) fn new(selection: &Selection, asker: &Asker) -> Result<Option<Self>, Problem> {
        let mut subjects = selection
            .conditions()
            .filter_map(|(name, value)| Some((NAMES.into_iter().find(|one| *one == name)?, value)));
        let only = subjects.next().filter(|_| subjects.next().is_none());
        let Some((name, value)) = only.filter(|(_, value)| !value.starts_with('!')) else {
            return Ok(None);
        };
        let params = asker.narrow(&[(name.to_owned(), value.to_owned())])?;
        let filter = Filter::parse(params)?;
        Ok(Some(Self { name, filter }))
    }

    pub(super) async fn find(self, visit: &Visit) -> Result<Option<Known>, Problem> {
        let at_the_end = |order| {
            let query = Query {
                filter: self.filter.clone(),
                order,
                limit: 1,
                ..Query::default()
            };
            visit.read_within(LOOK_TIME, move |reader| reader.page(&query))
        };
        let (first, last) = tokio::join!(at_the_end(Order::Asc), at_the_end(Order::Desc));
        let only = |page: Option<Page>| page?.entries.into_iter().next();
        let first = only(first?);
        Ok(only(last?).map(|last| Known {
            name: self.name,
            first,
            last,
        }))
    }
}

impl Subject {
    pub(super) fn new(known: &Known, now: Timestamp) -> Self {
        let last = &known.last;
        let text = |text: &str| cut(&shown(text), LONGEST);
        let (what, kind, name, id) = match known.name {
            "actor" => (
                "Actor",
                last.actor_type(),
                last.actor_name(),
                last.actor_id(),
            ),
            _ => (
                "Resource",
                last.resource_type(),
                last.resource_name(),
                last.resource_id(),
            ),
        };
        let time = |entry: &RawEntry| Time::new(entry.timestamp(), now);
        Self {
            what,
            kind: text(&kind),
            name: text(&name),
            id: text(&id),
            first: known.first.as_ref().map(time),
            last: time(last),
        }
    }
}
