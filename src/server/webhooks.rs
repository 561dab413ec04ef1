//! Webhooks over HTTP. This file shows webhooks and how they are doing; `change` changes them, and
//! `deliveries` is about what is sent to them.
//!
//! What always holds: only an administrator of all tenants gets here; only the answer that makes a
//! secret shows it; webhooks that are set here reach only destinations that the server's operator
//! allows.

mod change;
mod deliveries;
mod json_body;
mod metrics;

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State as Shared},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;

use super::{
    params,
    problem::Problem,
    state::{Asker, Slot, State},
};
use crate::{
    entry::json::{Json, Members, members},
    error::Error,
    webhook::{self, Refusal},
};

/// Dead letters carry their entries, so fewer of them are given at once.
const MOST_ATTEMPTS: usize = 100;
const MOST_LETTERS: usize = 100;
const LETTERS: usize = 20;

pub(super) use metrics::metrics;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/webhooks", get(list).post(change::add))
        .route(
            "/webhooks/{name}",
            get(one).patch(change::patch).delete(change::remove),
        )
        .route("/webhooks/{name}/pause", post(change::pause))
        .route("/webhooks/{name}/resume", post(change::resume))
        .route("/webhooks/{name}/test", post(change::test))
        .route(
            "/webhooks/{name}/replay",
            post(deliveries::replay).delete(deliveries::cancel_replay),
        )
        .route("/webhooks/{name}/skip", post(deliveries::skip_first))
        .route("/webhooks/{name}/deliveries/{id}", get(deliveries::one))
        .route(
            "/webhooks/{name}/deliveries/{id}/skip",
            post(deliveries::skip),
        )
        .route(
            "/webhooks/{name}/deliveries/{id}/resend",
            post(deliveries::resend),
        )
        .route("/webhooks/{name}/signing-secrets", post(change::rotate))
        .route(
            "/webhooks/{name}/signing-secrets/retire",
            post(change::retire),
        )
        .route("/webhooks/{name}/attempts", get(attempts))
        .route("/webhooks/{name}/dead-letters", get(dead_letters))
}

/// Whether the request is one whose body is read.
pub(super) fn takes_body(request: &Request) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::PATCH => path.starts_with("/webhooks/"),
        Method::POST => {
            path == "/webhooks" || path.starts_with("/webhooks/") && path.ends_with("/replay")
        }
        _ => false,
    }
}

/// `GET /webhooks`
async fn list(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(&request)?;
    none_given(&request)?;
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let (reports, dispatcher) = app
        .blocking(slot, move |_| {
            let dispatcher = webhook::dispatcher(&layout)?;
            Ok((webhook::reports(&layout, &reader)?, dispatcher))
        })
        .await?;
    seen(&app, &asker, "The list of webhooks was read", &[], true)?;
    let all: Vec<_> = reports.iter().map(webhook::WebhookReport::told).collect();
    Ok(answer(
        StatusCode::OK,
        &members! { "webhooks": all, "dispatcher": dispatcher },
    ))
}

/// `GET /webhooks/{name}`
async fn one(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(&request)?;
    none_given(&request)?;
    let shown = shown(&app, slot, name(&request)).await;
    seen(&app, &asker, "A webhook was read", &[], shown.is_ok())?;
    Ok(answer(StatusCode::OK, &shown?))
}

/// `GET /webhooks/{name}/attempts`
async fn attempts(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(&request)?;
    let Part {
        given,
        offset,
        limit,
    } = part(&request, MOST_ATTEMPTS, MOST_ATTEMPTS)?;
    let (layout, name) = (app.layout.clone(), name(&request));
    let attempts = app.blocking(slot, move |_| match webhook::find(&layout, &name)? {
        Some(_) => webhook::attempts(&layout, &name).map(Ok),
        None => Ok(Err(Refusal::NoSuch(name))),
    });
    let attempts = attempts.await?;
    seen(
        &app,
        &asker,
        "Attempts of a webhook were read",
        &given,
        attempts.is_ok(),
    )?;
    let attempts = attempts.map_err(refused)?;
    let some: Vec<_> = attempts.iter().skip(offset).take(limit).collect();
    Ok(answer(StatusCode::OK, &members! { "attempts": some }))
}

/// `GET /webhooks/{name}/dead-letters`
async fn dead_letters(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(&request)?;
    let Part {
        given,
        offset,
        limit,
    } = part(&request, LETTERS, MOST_LETTERS)?;
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let name = name(&request);
    let letters = app.blocking(slot, move |_| match webhook::find(&layout, &name)? {
        Some(_) => webhook::dead_letters(&layout, &reader, &name, offset, limit).map(Ok),
        None => Ok(Err(Refusal::NoSuch(name))),
    });
    let letters = letters.await?;
    seen(
        &app,
        &asker,
        "Dead letters of a webhook were read",
        &given,
        letters.is_ok(),
    )?;
    let (total, letters) = letters.map_err(refused)?;
    Ok(answer(
        StatusCode::OK,
        &members! { "dead_letters": letters, "total": total },
    ))
}

/// A webhook as answers show it.
async fn shown(app: &State, slot: Slot, name: String) -> Result<Members, Problem> {
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let report = app
        .blocking(slot, move |_| {
            Ok(webhook::report(&layout, &reader, &name)?.ok_or(Refusal::NoSuch(name)))
        })
        .await?;
    report.map(|report| report.told()).map_err(refused)
}

/// Records that someone looked, and whether there was anything.
fn seen(
    app: &State,
    asker: &Asker,
    what: &str,
    given: &[(String, String)],
    found: bool,
) -> Result<(), Problem> {
    app.recorder.record(
        &asker
            .record("audit.access.read", what, given)
            .detail("status", if found { 200 } else { 404 }),
    )
}

/// The name in the path, as it stands there: one that would have to be encoded is none.
fn name(request: &Parts) -> String {
    request
        .uri
        .path()
        .split('/')
        .nth(2)
        .unwrap_or_default()
        .to_owned()
}

fn none_given(request: &Parts) -> Result<(), Problem> {
    match params::parse(request.uri.query())?.first() {
        Some((name, _)) => Err(Problem::parameter(name, "this takes no parameters")),
        None => Ok(()),
    }
}

/// Which part of a list is asked for, and by what parameters.
struct Part {
    given: Vec<(String, String)>,
    offset: usize,
    limit: usize,
}

fn part(request: &Parts, usual: usize, most: usize) -> Result<Part, Problem> {
    let given = params::parse(request.uri.query())?;
    let mut rest = given.clone();
    let mut number = |name: &'static str, usual: usize, range: std::ops::RangeInclusive<usize>| {
        match params::take(&mut rest, name)? {
            None => Ok(usual),
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    Problem::parameter(
                        name,
                        format!(
                            "it must be a number from {} to {}",
                            range.start(),
                            range.end()
                        ),
                    )
                }),
        }
    };
    let limit = number("limit", usual, 1..=most)?;
    let offset = number("offset", 0, 0..=1_000_000_000)?;
    match rest.first() {
        Some((name, _)) => Err(Problem::parameter(
            name,
            "there is no such parameter; use limit or offset",
        )),
        None => Ok(Part {
            given,
            offset,
            limit,
        }),
    }
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    (
        status,
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )],
        Body::from(Json::of(value).to_string()),
    )
        .into_response()
}

/// The answer to a refused change.
fn refused(refusal: Refusal) -> Problem {
    let text = refusal.text();
    match refusal {
        Refusal::NoSuch(_) => Problem::not_found(text),
        Refusal::Exists(_) => Problem::conflict("name", text),
        Refusal::Full => Problem::new(StatusCode::CONFLICT, "Too many webhooks", text),
        Refusal::Nothing(field, _) => Problem::conflict(field, text),
        Refusal::Declared(..) => Problem::conflict("declared", text),
        // The id is in the path.
        Refusal::Error(Error::Invalid { parameter, problem }) if parameter == "delivery_id" => {
            Problem::not_found(problem)
        }
        Refusal::Error(Error::Invalid { parameter, problem }) => {
            Problem::setting(parameter, problem)
        }
        Refusal::Error(Error::Closed) => {
            Problem::busy("a change that can't be recorded is not made, and the log is closed")
        }
        Refusal::Error(error) => {
            tracing::error!(target: "tracing_audit", "a webhook could not be administered: {error}");
            let detail =
                "the change could not be recorded or written; the server's own messages say why";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not changed", detail)
        }
    }
}
