//! Holds over HTTP: placed, listed and released by administrators of all tenants.

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{AdminRequest, RefusedChange, answer, not_changed};
use crate::{
    entry::json::members,
    server::{
        json_body::{self, JSON},
        problem::Problem,
        state::Asker,
    },
    store::Hold,
};

/// How a refused change is recorded.
pub(in crate::server) const REFUSED: RefusedChange = RefusedChange {
    event_type: "audit.hold.refused",
    description: "A change of the holds was refused",
};

/// `GET /holds`
pub(in crate::server) async fn list(request: AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let holds = request.read(|app, _| app.reader.holds()).await?;
    request.record_read(&asker, "The list of holds was read", &[], true)?;
    Ok(answer(StatusCode::OK, &members! { "holds": holds }))
}

/// `POST /holds`
pub(in crate::server) async fn place(
    request: AdminRequest,
    body: Body,
) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, async |asker| {
            let settings = json_body::object(&request.head, body, &[JSON]).await?;
            let hold = make(&request, asker, settings).await?;
            Ok(request.created(hold.name(), &hold))
        })
        .await
}

/// Places a hold with these settings.
pub(in crate::server) async fn make(
    request: &AdminRequest,
    asker: Asker,
    mut settings: Map<String, Value>,
) -> Result<Hold, Problem> {
    let hold = new_hold(&mut settings)?;
    let log = request.log()?.clone();
    let placed = request
        .read(move |_, _| {
            let store = log.store();
            Ok(store.and_then(|store| store.place_hold(hold, &asker.author())))
        })
        .await?;
    placed.map_err(not_changed)
}

/// `DELETE /holds/{name}`
pub(in crate::server) async fn release(request: AdminRequest) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, async |asker| {
            end(&request, asker, request.part(2)).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// Releases the hold of this name.
pub(in crate::server) async fn end(
    request: &AdminRequest,
    asker: Asker,
    name: String,
) -> Result<(), Problem> {
    let log = request.log()?.clone();
    let released = request
        .read(move |_, _| {
            let store = log.store();
            Ok(store.and_then(|store| store.release_hold(&name, &asker.author())))
        })
        .await?;
    match released.map_err(not_changed)? {
        true => Ok(()),
        false => Err(Problem::not_found(
            "there is no hold of this name; GET /holds lists them",
        )),
    }
}

fn new_hold(settings: &mut Map<String, Value>) -> Result<Hold, Problem> {
    let mut take = |name| json_body::take_text(settings, name).map(|text| text.unwrap_or_default());
    let name = take("name")?;
    let start_date = take("start_date")?;
    let end_date = take("end_date")?;
    let reason = take("reason")?;
    json_body::refuse_rest(settings, "name, start_date, end_date, reason")?;
    let hold = Hold::new(name, &start_date, &end_date).map_err(not_changed)?;
    Ok(hold.with_reason(reason))
}
