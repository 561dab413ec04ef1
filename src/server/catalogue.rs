//! Which event types there are.

use axum::{
    body::Body,
    extract::{Extension, State as Shared},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    access::Scope,
    params,
    problem::Problem,
    state::{Slot, State},
};
use crate::{
    entry::{
        Catalogue,
        json::{Json, members},
    },
    store::catalogue,
};

/// `GET /event-types`: the catalogue of all sources.
pub(super) async fn event_types(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    none_given(&request)?;
    let catalogue = read(&app, slot).await?;
    let description = "The catalogue of event types was read";
    let entry = asker.record("audit.access.read", description, &[]);
    app.recorder.record(&entry.detail("status", 200))?;
    Ok(as_json(
        "application/json",
        &members! { "event_types": catalogue },
    ))
}

/// `GET /event-types/{event_type}`: the JSON Schema of its entries.
pub(super) async fn schema(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    none_given(&request)?;
    let wanted = request.uri.path().rsplit('/').next().unwrap_or_default();
    let catalogue = read(&app, slot).await?;
    let found = catalogue.get(wanted);
    let status = if found.is_some() { 200 } else { 404 };
    let entry = asker.record(
        "audit.access.read",
        "The schema of an event type was read",
        &[("event_type".to_owned(), wanted.to_owned())],
    );
    app.recorder.record(&entry.detail("status", status))?;
    match found {
        Some(entry) => Ok(as_json("application/schema+json", &entry.json_schema())),
        None => Err(Problem::not_found(
            "no source of this log records such an event type; GET /event-types lists them",
        )),
    }
}

async fn read(app: &State, slot: Slot) -> Result<Catalogue, Problem> {
    let layout = app.layout.clone();
    let read = app.blocking(slot, move |_| catalogue::catalogue(&layout));
    read.await
}

fn none_given(request: &Parts) -> Result<(), Problem> {
    match params::parse(request.uri.query())?.first() {
        Some((name, _)) => Err(Problem::parameter(
            name,
            "the catalogue takes no parameters",
        )),
        None => Ok(()),
    }
}

fn as_json(kind: &'static str, value: &impl Serialize) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
        Body::from(Json::of(value).to_string()),
    )
        .into_response()
}
