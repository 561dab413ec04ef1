//! Which event types there are.

use axum::{
    body::Body,
    extract::State as Shared,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{access::Scope, params, problem::Problem, state::State};
use crate::{
    entry::json::{Json, members},
    store::catalogue,
};

/// `GET /event-types`: the catalogue of all sources.
pub(super) async fn event_types(
    Shared(app): Shared<State>,
    request: Parts,
) -> Result<Response, Problem> {
    app.admit(&request, Scope::Read)?;
    none_given(&request)?;
    let catalogue = catalogue::catalogue(&app.layout)?;
    Ok(as_json(
        "application/json",
        &members! { "event_types": catalogue },
    ))
}

/// `GET /event-types/{event_type}`: the JSON Schema of its entries.
pub(super) async fn schema(
    Shared(app): Shared<State>,
    request: Parts,
) -> Result<Response, Problem> {
    app.admit(&request, Scope::Read)?;
    none_given(&request)?;
    let wanted = request.uri.path().rsplit('/').next().unwrap_or_default();
    match catalogue::catalogue(&app.layout)?.get(wanted) {
        Some(entry) => Ok(as_json("application/schema+json", &entry.json_schema())),
        None => Err(Problem::not_found(
            "no source of this log records such an event type; GET /event-types lists them",
        )),
    }
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
