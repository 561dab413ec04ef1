//! The page of one entry.
//!
//! ```text
//! facts      what the entry says, in groups: who, what, where
//! tree       values in values; changes: what was before and is now
//! related    the entries around it that have something in common with it
//! ```

mod facts;
mod related;
mod tree;

use std::time::Duration;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use uuid::Uuid;

use self::{
    facts::{Group, groups},
    related::Related,
    tree::{Change, Line, changes, lines},
};
use super::{
    entries::question,
    frame::Frame,
    selection::Selection,
    text::{Time, shown, shown_lines},
    visit::{Visit, html},
};
use crate::{
    entry::{
        Catalogue, CatalogueEntry, Timestamp,
        json::{Json, Members},
    },
    query::{Order, PageStart, Query, RawEntry},
    server::{access::Scope, problem::Problem, state::Asker},
    store::catalogue,
};

/// How long the search for the entry may take.
const SEARCH_TIME: Duration = Duration::from_secs(10);
/// How long the search for the entries beside it may take.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// `GET /entry/{id}`, with the query of the page of entries that it was opened from.
pub(super) async fn page(visit: Visit) -> Response {
    let page = make(&visit).await;
    visit.answer(page)
}

async fn make(visit: &Visit) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let selection = Selection::parse(visit.parameters()?)?;
    let id = visit.head.uri.path().rsplit('/').next().unwrap_or_default();
    let wanted: Uuid = id
        .parse()
        .map_err(|_| Problem::parameter("id", "it must be an entry's id, a UUID"))?;
    let found = find(visit, &asker, wanted).await?;
    record(visit, &asker, wanted, found.is_some())?;
    let not_found =
        || Problem::not_found("there is no entry with this id; retention may have removed it");
    let entry = found.ok_or_else(not_found)?;
    let beside = Beside::find(visit, &asker, &selection, &entry).await?;
    let related = Related::find(visit, &asker, &selection, &entry).await?;
    let file = file(visit, &asker, wanted).await?;
    let page = EntryPage::new(visit, &asker, &selection, &entry, (beside, related, file));
    Ok(html(StatusCode::OK, &page))
}

/// The entry, if there is one that the visitor may see.
async fn find(visit: &Visit, asker: &Asker, id: Uuid) -> Result<Option<RawEntry>, Problem> {
    let found = visit.read_within(SEARCH_TIME, move |reader| reader.get(id));
    let found = found
        .await?
        .ok_or_else(|| Problem::busy("the search for the entry takes too long; try again soon"))?;
    let tenant = asker.access.tenant.as_deref();
    Ok(found.filter(|entry| tenant.is_none_or(|tenant| entry.tenant_id() == tenant)))
}

/// The name of the entry's file, for those who may see what other tenants have: it says which
/// processes there are. `None` also if it isn't found soon.
async fn file(visit: &Visit, asker: &Asker, id: Uuid) -> Result<Option<String>, Problem> {
    if asker.access.tenant.is_some() {
        return Ok(None);
    }
    let found = visit.read_within(LOOK_TIME, move |reader| reader.file_of(id));
    Ok(found.await?.flatten())
}

fn record(visit: &Visit, asker: &Asker, id: Uuid, is_found: bool) -> Result<(), Problem> {
    let entry = asker.record(
        "audit.access.read",
        "An entry of the audit log was read in the console",
        &[("id".to_owned(), id.to_string())],
    );
    let entry = entry
        .detail("status", if is_found { 200 } else { 404 })
        .detail("entries", u8::from(is_found));
    visit.app.recorder.record(&entry)
}

/// The entries before and after this one, among those that are selected.
struct Beside {
    newer: Option<String>,
    older: Option<String>,
}

impl Beside {
    async fn find(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        entry: &RawEntry,
    ) -> Result<Self, Problem> {
        let (newer, older) = tokio::join!(
            Self::next(visit, asker, selection, entry, Order::Asc),
            Self::next(visit, asker, selection, entry, Order::Desc),
        );
        Ok(Self {
            newer: newer?,
            older: older?,
        })
    }

    /// The next entry in this order, if it is found soon.
    async fn next(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        entry: &RawEntry,
        order: Order,
    ) -> Result<Option<String>, Problem> {
        let query = Query {
            order,
            limit: 1,
            start: PageStart::Cursor(entry.cursor()),
            ..question(selection, asker, Timestamp::now())?
        };
        let found = visit.read_within(LOOK_TIME, move |reader| reader.page(&query));
        let page = found.await?;
        let next = page.and_then(|page| page.entries.into_iter().next());
        Ok(next.map(|next| format!("entry/{}{}", next.id(), selection.query())))
    }
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    back: String,
    beside: Beside,
    head: Head,
    groups: Vec<Group>,
    changes: Vec<Change>,
    details: Vec<Line>,
    related: Related,
    known: Option<Known>,
    json: String,
}

/// The entry in a glance.
struct Head {
    event_type: String,
    description: String,
    severity: String,
    /// Empty if none is recorded.
    outcome: String,
    time: Time,
}

/// The event type in the catalogue.
struct Known {
    description: String,
    sources: String,
    places: Vec<String>,
    fields: usize,
}

impl EntryPage {
    fn new(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        entry: &RawEntry,
        (beside, related, file): (Beside, Related, Option<String>),
    ) -> Self {
        let json: Json = entry.parse().unwrap_or_default();
        let nothing = Members::default();
        let members = match &json {
            Json::Object(members) => members,
            _ => &nothing,
        };
        let now = Timestamp::now();
        let catalogue = catalogue::catalogue(&visit.app.layout).unwrap_or_default();
        Self {
            frame: visit.frame(Some(&asker.access)),
            back: selection.query(),
            beside,
            head: Head::new(entry, now),
            groups: groups(members, file),
            changes: changes(members),
            details: lines(members.get("details")),
            related,
            known: Known::of(&catalogue, &entry.event_type()),
            json: shown_lines(&pretty(entry, &json)),
        }
    }
}

impl Head {
    fn new(entry: &RawEntry, now: Timestamp) -> Self {
        Self {
            event_type: shown(&entry.event_type()),
            description: shown(&entry.description()),
            severity: shown(&entry.severity()),
            outcome: shown(&entry.outcome()),
            time: Time::new(entry.timestamp(), now),
        }
    }
}

impl Known {
    fn of(catalogue: &Catalogue, event_type: &str) -> Option<Self> {
        let known = catalogue.get(event_type)?;
        let place = |at: &crate::catalogue::Location| shown(&format!("{}:{}", at.file, at.line));
        Some(Self {
            description: shown(known.description().unwrap_or_default()),
            sources: shown(&known.sources().collect::<Vec<_>>().join(", ")),
            places: CatalogueEntry::locations(known).map(place).collect(),
            fields: known.fields().count(),
        })
    }
}

/// The line as JSON with its members below each other; as it is, if it is damaged.
fn pretty(entry: &RawEntry, json: &Json) -> String {
    match json {
        Json::Object(_) => serde_json::to_string_pretty(json).unwrap_or_default(),
        _ => String::from_utf8_lossy(entry.line()).into_owned(),
    }
}
