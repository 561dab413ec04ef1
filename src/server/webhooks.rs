//! Webhooks over HTTP. This file shows webhooks and how they are doing, `change` changes them, and
//! `deliveries` shows, resends, skips and replays deliveries. Each handler gets a `request`.
//!
//! Invariants: only an administrator of all tenants gets here; only the answer that makes a
//! secret shows it; webhooks that are set here reach only destinations that the server's operator
//! allows.

mod change;
mod deliveries;
mod metrics;
mod paging;
mod request;

use axum::{
    Router,
    http::{Method, StatusCode},
    response::Response,
    routing::{get, post},
};

use self::{paging::Paging, request::WebhookRequest};
use super::{
    admin::{answer, not_changed},
    problem::Problem,
    state::State,
};
use crate::{
    entry::json::members,
    error::Error,
    webhook::{self, LetterPage, Refusal},
};

const MOST_ATTEMPTS: usize = 100;
const MOST_LETTERS: usize = 100;
/// The number of dead letters in an answer unless the request has a `limit`. It is small because
/// dead letters carry their entries.
const LETTERS: usize = 20;
/// The most bytes of entries in an answer, as in a page of entries.
const LETTER_BYTES: usize = 8 << 20;

#[cfg(feature = "console")]
pub(super) use change::{make, to_receiver};
pub(super) use metrics::metrics;
#[cfg(feature = "console")]
pub(super) use request::REFUSED;

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

/// Whether the request is one of these whose body is read.
pub(super) fn takes_body(method: &Method, path: &str) -> bool {
    match *method {
        Method::PATCH => path.starts_with("/webhooks/"),
        Method::POST => {
            path == "/webhooks" || path.starts_with("/webhooks/") && path.ends_with("/replay")
        }
        _ => false,
    }
}

/// `GET /webhooks`
async fn list(request: WebhookRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let read = request.read(|app, _| {
        let dispatcher = app.reader.webhook_dispatcher()?;
        Ok((app.reader.webhooks()?, dispatcher))
    });
    let (reports, dispatcher) = read.await?;
    request.record_read(&asker, "The list of webhooks was read", &[], true)?;
    let all: Vec<_> = reports.iter().map(webhook::WebhookReport::shown).collect();
    Ok(answer(
        StatusCode::OK,
        &members! { "webhooks": all, "dispatcher": dispatcher },
    ))
}

/// `GET /webhooks/{name}`
async fn one(request: WebhookRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let shown = request.shown(request.name()).await;
    request.record_read(&asker, "A webhook was read", &[], shown.is_ok())?;
    Ok(answer(StatusCode::OK, &shown?))
}

/// `GET /webhooks/{name}/attempts`
async fn attempts(request: WebhookRequest) -> Result<Response, Problem> {
    let asker = request.admit()?;
    let paging = Paging::parse(&request.head, MOST_ATTEMPTS, MOST_ATTEMPTS)?;
    let name = request.name();
    let attempts = request.read(move |app, _| match webhook::find(&app.layout, &name)? {
        Some(_) => app.reader.attempts(&name).map(Ok),
        None => Ok(Err(Refusal::NoSuch(name))),
    });
    let attempts = attempts.await?;
    let description = "Attempts of a webhook were read";
    request.record_read(&asker, description, &paging.given, attempts.is_ok())?;
    let attempts = attempts.map_err(refused)?;
    let some: Vec<_> = attempts
        .iter()
        .skip(paging.offset)
        .take(paging.limit)
        .collect();
    Ok(answer(StatusCode::OK, &members! { "attempts": some }))
}

/// `GET /webhooks/{name}/dead-letters`
async fn dead_letters(request: WebhookRequest) -> Result<Response, Problem> {
    let asker = request.admit()?;
    let paging = Paging::parse(&request.head, LETTERS, MOST_LETTERS)?;
    let page = LetterPage {
        skip: paging.offset,
        most: paging.limit,
        most_bytes: LETTER_BYTES,
    };
    let name = request.name();
    let letters = request.read(move |app, _| match webhook::find(&app.layout, &name)? {
        Some(_) => webhook::dead_letters(&app.reader, &name, page).map(Ok),
        None => Ok(Err(Refusal::NoSuch(name))),
    });
    let letters = letters.await?;
    let description = "Dead letters of a webhook were read";
    request.record_read(&asker, description, &paging.given, letters.is_ok())?;
    let (total, letters) = letters.map_err(refused)?;
    let has_more = paging.offset.saturating_add(letters.len()) < total;
    Ok(answer(
        StatusCode::OK,
        &members! { "dead_letters": letters, "total": total, "has_more": has_more },
    ))
}

/// The answer to a refused change.
pub(super) fn refused(refusal: Refusal) -> Problem {
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
        Refusal::Error(error) => not_changed(error),
    }
}
