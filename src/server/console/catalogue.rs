//! The page of the catalogue: which event types there are, where they are recorded, and when they
//! were seen.

mod seen;

use std::{collections::HashMap, time::Duration};

use askama::Template;
use axum::{http::StatusCode, response::Response};

use self::seen::Seen;
use super::{
    frame::Frame,
    selection::query,
    text::{Time, number, shown},
    visit::{Visit, html},
};
use crate::{
    entry::{CatalogueEntry, Timestamp},
    query::{Filter, StatsField, StatsQuery},
    server::{access::Scope, params::take, problem::Problem, state::Asker},
    store::catalogue,
};

/// How long reading the catalogue may take.
const READ_TIME: Duration = Duration::from_secs(10);
/// How many event types are shown; a search finds the others.
const MOST: usize = 500;
/// How long counting the entries of each event type may take.
const COUNT_TIME: Duration = Duration::from_secs(1);
/// How many event types are counted apart.
const MOST_COUNTED: usize = 20_000;

/// `GET /catalogue`
pub(super) async fn page(visit: Visit) -> Response {
    let page = make(&visit).await;
    visit.answer(page)
}

async fn make(visit: &Visit) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let given = visit.parameters()?;
    let search = search(given.clone())?;
    let layout = visit.app.layout.clone();
    let catalogue = visit.read_within(READ_TIME, move |_| catalogue::catalogue(&layout));
    let catalogue = catalogue
        .await?
        .ok_or_else(|| Problem::busy("reading the catalogue takes too long"))?;
    let counts = Counts::find(visit, &asker).await?;
    record(visit, &asker, &given)?;
    let found: Vec<_> = catalogue
        .iter()
        .filter(|entry| matches(entry, &search))
        .collect();
    let types: Vec<_> = found.iter().take(MOST).collect();
    let names = types.iter().map(|entry| entry.event_type().to_owned());
    let seen = match &counts {
        Some(counts) => Seen::find(visit, &asker, counts, names.collect()).await?,
        None => Seen::default(),
    };
    let row = |entry: &&&CatalogueEntry| EventType::new(entry, counts.as_ref(), &seen);
    let page = CataloguePage {
        frame: visit.frame(Some(&asker.access)),
        search,
        total: event_types(found.len()),
        left_out: found.len().checked_sub(MOST).filter(|count| *count > 0),
        types: types.iter().map(row).collect(),
        is_empty: catalogue.is_empty(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// The words to search for.
fn search(mut given: Vec<(String, String)>) -> Result<String, Problem> {
    let search = take(&mut given, "search")?.unwrap_or_default();
    match given.first() {
        None => Ok(search),
        Some((name, _)) => Err(Problem::parameter(
            name,
            "the page of the catalogue takes only search; leave it out",
        )),
    }
}

fn record(visit: &Visit, asker: &Asker, given: &[(String, String)]) -> Result<(), Problem> {
    let description = "The catalogue of event types was read in the console";
    let entry = asker.record("audit.access.read", description, given);
    visit.app.recorder.record(&entry.detail("status", 200))
}

/// How many entries of each event type the log has.
struct Counts(HashMap<String, u64>);

impl Counts {
    /// `None` if they aren't counted in time, or not all are.
    async fn find(visit: &Visit, asker: &Asker) -> Result<Option<Self>, Problem> {
        let stats = StatsQuery {
            filter: Filter::parse(asker.narrow(&[])?)?,
            top: MOST_COUNTED,
            fields: vec![StatsField::EventType],
            include_access: true,
            ..StatsQuery::default()
        };
        let stats = visit.read_within(COUNT_TIME, move |reader| reader.stats(&stats));
        let Some(stats) = stats.await? else {
            return Ok(None);
        };
        let top = stats.top.event_type.unwrap_or_default();
        let is_whole = stats.exact && top.other == 0;
        let counts = top.values.into_iter().map(|one| (one.value, one.count));
        Ok(is_whole.then(|| Self(counts.collect())))
    }

    fn of(&self, event_type: &str) -> u64 {
        self.0.get(event_type).copied().unwrap_or_default()
    }
}

/// Whether each of the words is somewhere in what the catalogue says.
fn matches(entry: &CatalogueEntry, search: &str) -> bool {
    let mut text = vec![entry.event_type().to_owned()];
    text.extend(entry.description().map(str::to_owned));
    text.extend(entry.fields().map(|(path, _)| path.to_owned()));
    text.extend(entry.sources().map(str::to_owned));
    text.extend(entry.locations().map(|at| at.file.clone()));
    let text = text.join("\n").to_lowercase();
    let search = search.to_lowercase();
    search.split_whitespace().all(|word| text.contains(word))
}

fn event_types(count: usize) -> String {
    match count {
        1 => "1 event type".to_owned(),
        count => format!("{} event types", number(count as u64)),
    }
}

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    frame: Frame,
    search: String,
    total: String,
    types: Vec<EventType>,
    /// How many are found and not shown.
    left_out: Option<usize>,
    /// Whether the whole catalogue is.
    is_empty: bool,
}

/// An event type as the page shows it.
struct EventType {
    name: String,
    /// The query of its entries, unless its name is only known at run time.
    entries: Option<String>,
    /// How many entries there are, if that is known; `None` for none.
    count: Option<Option<String>>,
    /// When it was first and last seen, if that was found.
    seen: Option<(Time, Time)>,
    severities: Vec<&'static str>,
    description: String,
    fields: Vec<Field>,
    sources: String,
    places: Vec<String>,
}

struct Field {
    path: String,
    kind: String,
    /// How its value is recorded, if it looks like a secret.
    secret: Option<String>,
}

impl EventType {
    fn new(entry: &CatalogueEntry, counts: Option<&Counts>, seen: &Seen) -> Self {
        let field = |(path, kind): (&str, crate::catalogue::FieldKind)| Field {
            path: shown(path),
            kind: kind.to_string(),
            secret: entry.looks_secret(path).map(|form| form.to_string()),
        };
        let place = |at: &crate::catalogue::Location| shown(&format!("{}:{}", at.file, at.line));
        let (name, now) = (entry.event_type(), Timestamp::now());
        let is_known = !entry.is_dynamic();
        let count = |counts: &Counts| Some(counts.of(name)).filter(|count| *count > 0).map(number);
        Self {
            name: shown(name),
            entries: is_known.then(|| query([("event_type", name), ("range", "all")])),
            count: counts.filter(|_| is_known).map(count),
            seen: seen
                .of(name)
                .map(|(first, last)| (Time::new(first, now), Time::new(last, now))),
            severities: entry
                .severities()
                .map(|severity| severity.as_str())
                .collect(),
            description: shown(entry.description().unwrap_or_default()),
            fields: entry.fields().map(field).collect(),
            sources: shown(&entry.sources().collect::<Vec<_>>().join(", ")),
            places: entry.locations().map(place).collect(),
        }
    }
}
