//! The entries around one that have something in common with it, as a small timeline.

use std::time::{Duration, Instant};

use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, PageStart, Query, RawEntry},
    server::{
        console::{
            selection::Selection,
            text::{apart, cut, shown},
            visit::Visit,
        },
        problem::Problem,
        state::Asker,
    },
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// How many entries are shown for each thing in common, before the entry and after it.
const EACH: usize = 3;
/// How long the search may take in all.
const SEARCH_TIME: Duration = Duration::from_millis(1500);
/// The longest text of a value, and of a description.
const LONGEST: usize = 60;
const LONGEST_DESCRIPTION: usize = 160;

/// The related entries within a day of one, before and after.
pub(super) struct Related {
    /// The earliest first, with the entry itself among them; empty if there is no other.
    pub(super) moments: Vec<Moment>,
    /// Whether the time was over before all were found.
    pub(super) is_partial: bool,
    pub(super) links: Vec<Link>,
}

/// An entry in the timeline.
pub(super) struct Moment {
    /// The path of its page below the mount.
    pub(super) href: String,
    /// How much earlier or later it is: `2 s later`.
    pub(super) apart: String,
    pub(super) time: String,
    pub(super) severity: String,
    pub(super) event_type: String,
    /// The name of who did it, or else the id.
    pub(super) actor: String,
    pub(super) description: String,
    /// The things that it has in common with the entry; empty for the entry itself.
    pub(super) common: String,
    pub(super) is_here: bool,
}

/// A link to all entries of the two days with something in common.
pub(super) struct Link {
    pub(super) title: &'static str,
    pub(super) value: String,
    pub(super) query: String,
}

/// A thing that entries can have in common: what people call it, the parameter of the filter, the
/// value.
struct Common {
    name: &'static str,
    parameter: &'static str,
    value: String,
}

impl Common {
    /// Whether entries can be asked for that have this in common: no filter takes a value that is
    /// very long.
    fn can_be_asked_for(&self) -> bool {
        Filter::parse([(self.parameter, Filter::literal(&self.value))]).is_ok()
    }
}

/// All that the entry may have in common with others, the closest relation first.
fn common(entry: &RawEntry) -> Vec<Common> {
    let first = |id: String, name: String| if id.is_empty() { name } else { id };
    let (id, name) = (entry.actor_id(), entry.actor_name());
    let actor = first(id.into(), name.into());
    let (id, name) = (entry.resource_id(), entry.resource_name());
    let resource = first(id.into(), name.into());
    let values = [
        ("request", "request_id", entry.request_id().into()),
        ("trace", "trace_id", entry.trace_id().into()),
        ("session", "session_id", entry.session_id().into()),
        ("resource", "resource", resource),
        ("actor", "actor", actor),
    ];
    let all = values.into_iter().map(|(name, parameter, value)| Common {
        name,
        parameter,
        value,
    });
    all.filter(|common| !common.value.is_empty()).collect()
}

/// The names of what two entries have in common.
fn in_common(one: &RawEntry, other: &RawEntry) -> String {
    let others = common(other);
    let is_common = |one: &Common| {
        let mut others = others.iter();
        others.any(|other| other.name == one.name && other.value == one.value)
    };
    let names = common(one).into_iter().filter(is_common);
    names.map(|one| one.name).collect::<Vec<_>>().join(", ")
}

fn actor(entry: &RawEntry) -> String {
    let names = [entry.actor_name(), entry.actor_id(), entry.actor_type()];
    let name = names.into_iter().find(|name| !name.is_empty());
    name.unwrap_or_default().into()
}

/// Related entries.
#[derive(Default)]
struct Around(Vec<RawEntry>);

impl Around {
    fn add(&mut self, found: Vec<RawEntry>) {
        for entry in found {
            if self.0.iter().all(|one| one.id() != entry.id()) {
                self.0.push(entry);
            }
        }
    }

    /// All of them in the order of time, as they are shown.
    fn moments(mut self, entry: &RawEntry, selection: &Selection) -> Vec<Moment> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0.push(entry.clone());
        self.0.sort_by_key(|one| {
            let millis = one.timestamp().as_micros().div_euclid(1000);
            (millis, one.id().to_owned())
        });
        let all = self.0.iter();
        all.map(|one| Moment::new(one, entry, selection)).collect()
    }
}

impl Moment {
    fn new(one: &RawEntry, here: &RawEntry, selection: &Selection) -> Self {
        let time = one.timestamp();
        let is_here = one.id() == here.id();
        Self {
            href: format!("entry/{}{}", one.id(), selection.query()),
            apart: match is_here {
                true => "this entry".to_owned(),
                false => apart(time.as_micros() - here.timestamp().as_micros()),
            },
            time: time.to_string(),
            severity: shown(&one.severity()),
            event_type: cut(&shown(&one.event_type()), LONGEST),
            description: cut(&shown(&one.description()), LONGEST_DESCRIPTION),
            actor: cut(&shown(&actor(one)), LONGEST),
            common: match is_here {
                true => String::new(),
                false => in_common(one, here),
            },
            is_here,
        }
    }
}

impl Related {
    pub(super) async fn find(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        entry: &RawEntry,
    ) -> std::result::Result<Self, Problem> {
        let time = entry.timestamp().as_micros();
        let ends = [time - DAY, time + DAY].map(Timestamp::from_micros);
        let end = Instant::now() + SEARCH_TIME;
        let mut around = Around::default();
        let mut is_partial = false;
        let mut all = common(entry);
        all.retain(Common::can_be_asked_for);
        for one in &all {
            let query = query(asker, one, ends, entry)?;
            let left = end.saturating_duration_since(Instant::now());
            let found = visit.read_within(left, move |reader| beside(reader, query));
            match found.await? {
                Some(found) => around.add(found),
                None => is_partial = true,
            }
        }
        Ok(Self {
            moments: around.moments(entry, selection),
            is_partial,
            links: links(entry, ends, &all),
        })
    }
}

/// The question for the entries that have this in common, from the entry on.
fn query(
    asker: &Asker,
    common: &Common,
    [start, end]: [Timestamp; 2],
    entry: &RawEntry,
) -> std::result::Result<Query, Problem> {
    let value = Filter::literal(&common.value).into_owned();
    let params = [
        ("start_date", start.to_string()),
        ("end_date", end.to_string()),
        (common.parameter, value),
    ];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    Ok(Query {
        filter: Filter::parse(asker.narrow(&params)?)?,
        limit: EACH,
        start: PageStart::Cursor(entry.cursor()),
        // Reads of the log are related to reads of the log.
        include_access: entry.fields().is_access(),
        ..Query::default()
    })
}

/// The entries on both sides of the cursor.
fn beside(reader: &AuditReader, mut query: Query) -> Result<Vec<RawEntry>> {
    let mut found = reader.page(&query)?.entries;
    query.order = Order::Asc;
    found.extend(reader.page(&query)?.entries);
    Ok(found)
}

fn links(entry: &RawEntry, [start, end]: [Timestamp; 2], common: &[Common]) -> Vec<Link> {
    let near = Selection::default().between(start, end);
    let link = |title, parameter: &str, value: &str| Link {
        title,
        value: cut(&shown(value), LONGEST),
        query: near.with(parameter, value).query(),
    };
    let mut links: Vec<_> = common
        .iter()
        .map(|one| link(one.name, one.parameter, &one.value))
        .collect();
    let address = entry.ip_address();
    if !address.is_empty() {
        links.push(link("address", "ip_address", &address));
    }
    links.push(link("event type", "event_type", &entry.event_type()));
    links
}
