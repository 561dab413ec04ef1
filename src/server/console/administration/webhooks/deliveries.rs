//! The deliveries of a webhook: all that are known, and one with its request and its answers, which
//! an administrator has sent again or gives up.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{LIST, press, shown::Delivered};
use crate::{
    entry::Timestamp,
    server::{
        admin::AdminRequest,
        console::{
            frame::Frame,
            selection::query,
            text::{Time, bytes, cut, entries, number, shown, shown_lines},
            visit::{Visit, html},
        },
        params::{self, take},
        problem::Problem,
        webhooks::refused,
    },
    webhook::{
        self, Administrator, DeliveryReport, DeliveryRequest, DeliveryState, ListedDelivery,
        MOST_LETTERS, Refusal,
    },
};

/// How many deliveries a page shows.
const ROWS: usize = 50;
/// How much of a request's body a page shows, in characters.
const MOST_OF_BODY: usize = 256 * 1024;

/// The states, as parameters and as people say them.
const STATES: [(DeliveryState, &str, &str); 4] = [
    (DeliveryState::Waiting, "waiting", "Waiting"),
    (DeliveryState::DeadLetter, "dead_letter", "Dead letters"),
    (DeliveryState::Delivered, "delivered", "Delivered"),
    (DeliveryState::Ended, "ended", "Ended otherwise"),
];

/// The deliveries that the URL asks for.
struct Wanted {
    state: Option<DeliveryState>,
    offset: usize,
}

impl Wanted {
    fn parse(mut given: Vec<(String, String)>) -> Result<Self, Problem> {
        let state = take(&mut given, "state")?.map(|text| {
            let found = STATES.iter().find(|(_, name, _)| *name == text);
            found.map(|(state, ..)| *state).ok_or_else(|| {
                let names = STATES.map(|(_, name, _)| name).join(", ");
                Problem::parameter("state", format!("it must be one of {names}"))
            })
        });
        let offset = take(&mut given, "offset")?.map(|text| {
            let problem = |_| Problem::parameter("offset", "it must be a whole number");
            text.parse().map_err(problem)
        });
        match given.first() {
            Some((name, _)) => Err(Problem::parameter(
                name,
                "there is no such parameter; use state or offset",
            )),
            None => Ok(Self {
                state: state.transpose()?,
                offset: offset.transpose()?.unwrap_or_default(),
            }),
        }
    }

    fn wants(&self, delivery: &ListedDelivery) -> bool {
        self.state.is_none_or(|state| state == delivery.state)
    }

    /// The link to other deliveries, relative to the page.
    fn link(state: Option<DeliveryState>, offset: usize) -> String {
        let offset = offset.to_string();
        let state = state.map(|state| ("state", name_of(state).0));
        let offset = (offset != "0").then_some(("offset", offset.as_str()));
        match query(state.into_iter().chain(offset)) {
            // Empty, it would be the page with the query that it has.
            query if query.is_empty() => "?".to_owned(),
            query => query,
        }
    }
}

/// A state as a parameter, and as people say it.
fn name_of(state: DeliveryState) -> (&'static str, &'static str) {
    let found = STATES.iter().find(|(known, ..)| *known == state);
    found.map_or(("", ""), |(_, name, title)| (name, title))
}

/// The state of one delivery in words, the class that colours it, and its sign.
fn words(state: DeliveryState) -> Words {
    let (text, kind, sign) = match state {
        DeliveryState::Waiting => ("waiting", "unknown", "clock"),
        DeliveryState::DeadLetter => ("dead letter", "failure", "failure"),
        DeliveryState::Delivered => ("delivered", "success", "success"),
        DeliveryState::Ended => ("ended otherwise", "unknown", "unknown"),
    };
    Words { text, kind, sign }
}

struct Words {
    text: &'static str,
    kind: &'static str,
    sign: &'static str,
}

/// `GET /admin/webhooks/{name}/deliveries`
pub(in crate::server::console) async fn list(visit: Visit, request: AdminRequest) -> Response {
    let page = all(&visit, &request).await;
    visit.answer(page)
}

async fn all(visit: &Visit, request: &AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit()?;
    let given = params::parse(request.head.uri.query())?;
    let wanted = Wanted::parse(given.clone())?;
    let name = request.part(3);
    let found = request.read(move |app, _| {
        let found = webhook::deliveries(&app.layout, &name)?;
        Ok(found.ok_or(Refusal::NoSuch(name)))
    });
    let found = found.await?;
    let description = "Deliveries of a webhook were read in the console";
    request.record_read(&asker, description, &given, found.is_ok())?;
    let found = found.map_err(refused)?;
    let frame = visit.frame(Some(&asker.access));
    let page = ListPage::new(frame, &request.part(3), &wanted, &found);
    Ok(html(StatusCode::OK, &page))
}

/// `GET /admin/webhooks/{name}/deliveries/{id}`
pub(in crate::server::console) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = one(&visit, &request).await;
    visit.answer(page)
}

async fn one(visit: &Visit, request: &AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit()?;
    let mut given = params::parse(request.head.uri.query())?;
    let asked = take(&mut given, "asked")?;
    if let Some((name, _)) = given.first() {
        let problem = "this page takes no such parameter; leave it out";
        return Err(Problem::parameter(name, problem));
    }
    let (name, id) = (request.part(3), request.part(5));
    let found = request.read(move |app, _| {
        let is_delivered = app.reader.webhook_dispatcher()?.is_some();
        let found = match app.reader.delivery(&name, &id) {
            Ok(found) => found.ok_or(Refusal::NoSuch(name)),
            Err(error) => Err(error.into()),
        };
        Ok(found.map(|found| (found, is_delivered)))
    });
    let found = found.await?;
    let description = "A delivery of a webhook was read in the console";
    request.record_read(&asker, description, &[], found.is_ok())?;
    let (report, is_delivered) = found.map_err(refused)?;
    let page = DeliveryPage {
        asked: asked.as_deref().and_then(notice),
        is_delivered,
        is_read_only: visit.app.log.is_none(),
        ..DeliveryPage::new(visit.frame(Some(&asker.access)), &report)
    };
    Ok(html(StatusCode::OK, &page))
}

/// The text after a button was pressed: what it asks for is done a little later.
fn notice(asked: &str) -> Option<&'static str> {
    match asked {
        "resend" => Some("The delivery will be sent again."),
        "skip" => Some("The delivery will be given up."),
        _ => None,
    }
}

/// `POST /admin/webhooks/{name}/deliveries/{id}/resend`
pub(in crate::server::console) async fn resend(visit: Visit, request: AdminRequest) -> Response {
    let (id, reader) = (request.part(5), request.app.reader.clone());
    let act = move |administrator: &Administrator<'_>, name: &str| {
        administrator.resend(name, &id, &reader)
    };
    press(&visit, &request, &back(&request, "resend"), act).await
}

/// `POST /admin/webhooks/{name}/deliveries/{id}/skip`
pub(in crate::server::console) async fn skip(visit: Visit, request: AdminRequest) -> Response {
    let id = request.part(5);
    let act = move |administrator: &Administrator<'_>, name: &str| {
        administrator.skip(name, Some(&id)).map(drop)
    };
    press(&visit, &request, &back(&request, "skip"), act).await
}

/// The page of the delivery that the path names.
fn back(request: &AdminRequest, asked: &str) -> String {
    let (name, id) = (request.part(3), request.part(5));
    format!("{LIST}/{name}/deliveries/{id}?asked={asked}")
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct ListPage {
    frame: Frame,
    name: String,
    choices: Vec<Choice>,
    rows: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
    /// How many dead letters are listed at most.
    most_letters: usize,
}

/// A state to choose.
struct Choice {
    title: &'static str,
    href: String,
    count: String,
    is_chosen: bool,
}

/// A delivery in the list.
struct Row {
    id: String,
    time: Time,
    state: Words,
    result: String,
    status: Option<u16>,
    attempts: u32,
    entries: usize,
}

impl ListPage {
    fn new(frame: Frame, name: &str, wanted: &Wanted, found: &[ListedDelivery]) -> Self {
        let now = Timestamp::now();
        let count = |state| found.iter().filter(|one| Some(one.state) == state).count();
        let choice = |state: Option<DeliveryState>| Choice {
            title: state.map_or("All", |state| name_of(state).1),
            href: Wanted::link(state, 0),
            count: number(state.map_or(found.len(), |_| count(state)) as u64),
            is_chosen: wanted.state == state,
        };
        let states = STATES.map(|(state, ..)| Some(state));
        let selected = || found.iter().filter(|delivery| wanted.wants(delivery));
        let end = wanted.offset.saturating_add(ROWS);
        let link = |offset| Wanted::link(wanted.state, offset);
        Self {
            frame,
            name: shown(name),
            choices: [None].into_iter().chain(states).map(choice).collect(),
            rows: selected()
                .skip(wanted.offset)
                .take(ROWS)
                .map(|delivery| Row::new(delivery, now))
                .collect(),
            newer: (wanted.offset > 0).then(|| link(wanted.offset.saturating_sub(ROWS))),
            older: (selected().count() > end).then(|| link(end)),
            most_letters: MOST_LETTERS,
        }
    }
}

impl Row {
    fn new(delivery: &ListedDelivery, now: Timestamp) -> Self {
        Self {
            id: shown(&delivery.delivery_id),
            time: Time::new(delivery.time, now),
            state: words(delivery.state),
            result: delivery.result.as_deref().map(shown).unwrap_or_default(),
            status: delivery.status,
            attempts: delivery.attempts,
            entries: delivery.entries,
        }
    }
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    webhook: String,
    id: String,
    state: Words,
    entries: String,
    missing: usize,
    first: Option<Time>,
    request: Option<Request>,
    problem: Option<String>,
    attempts: Vec<Delivered>,
    /// Whether it can be given up, because it waits.
    waits: bool,
    asked: Option<&'static str>,
    /// Whether a process delivers now.
    is_delivered: bool,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
}

/// The request that carries a delivery.
struct Request {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    length: String,
    is_cut: bool,
}

impl DeliveryPage {
    fn new(frame: Frame, report: &DeliveryReport) -> Self {
        let now = Timestamp::now();
        let attempts = report.attempts.iter();
        Self {
            frame,
            webhook: shown(&report.webhook),
            id: shown(&report.delivery_id),
            state: words(report.state),
            entries: entries(report.entries as u64),
            missing: report.missing,
            first: report.first.map(|time| Time::new(time, now)),
            request: report.request.as_ref().map(Request::new),
            problem: report.problem.as_deref().map(shown),
            attempts: attempts.map(|one| Delivered::new(one, now)).collect(),
            waits: report.state == DeliveryState::Waiting,
            asked: None,
            is_delivered: true,
            is_read_only: true,
        }
    }
}

impl Request {
    fn new(request: &DeliveryRequest) -> Self {
        let header = |(name, value): &(String, String)| (shown(name), shown(value));
        let body = cut(&request.body, MOST_OF_BODY);
        Self {
            url: shown(&request.url),
            headers: request.headers.iter().map(header).collect(),
            length: bytes(request.body.len() as u64),
            is_cut: body.len() < request.body.len(),
            body: shown_lines(&body),
        }
    }
}
