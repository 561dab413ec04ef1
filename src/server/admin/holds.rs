//! Holds over HTTP: placed, listed and released by administrators of all tenants.

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{AdminRequest, answer, not_changed};
use crate::{
    entry::json::members,
    server::{
        json_body::{self, JSON},
        problem::Problem,
    },
    store::Hold,
};

const REFUSED: &str = "audit.hold.refused";
const REFUSED_TEXT: &str = "A change of the holds was refused";

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
        .change_or_record(REFUSED, REFUSED_TEXT, async |asker| {
            let mut settings = json_body::object(&request.head, body, &[JSON]).await?;
            let hold = new_hold(&mut settings)?;
            let log = request.log()?.clone();
            let placed = request
                .read(move |_, _| {
                    let store = log.store();
                    Ok(store.and_then(|store| store.place_hold(hold, &asker.author())))
                })
                .await?;
            let hold = placed.map_err(not_changed)?;
            Ok(request.created(hold.name(), &hold))
        })
        .await
}

/// `DELETE /holds/{name}`
pub(in crate::server) async fn release(request: AdminRequest) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, REFUSED_TEXT, async |asker| {
            let log = request.log()?.clone();
            let name = request.part(2);
            let released = request
                .read(move |_, _| {
                    let store = log.store();
                    Ok(store.and_then(|store| store.release_hold(&name, &asker.author())))
                })
                .await?;
            match released.map_err(not_changed)? {
                true => Ok(StatusCode::NO_CONTENT.into_response()),
                false => Err(Problem::not_found(
                    "there is no hold of this name; GET /holds lists them",
                )),
            }
        })
        .await
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
