//! The settings that hold in all processes of a log, over HTTP: read and changed by administrators
//! of all tenants.

use std::sync::Arc;

use axum::{body::Body, http::StatusCode, response::Response};
use serde_json::{Map, Value};

use super::{AdminRequest, RefusedChange, answer, not_changed};
use crate::{
    entry::json::{Members, members},
    server::{
        json_body::{self, JSON, MERGE_PATCH},
        problem::Problem,
        state::Asker,
    },
    store::{
        fs::OsFs,
        settings::{AgeLimit, LogSettings},
    },
};

/// How a refused change is recorded.
pub(in crate::server) const REFUSED: RefusedChange = RefusedChange {
    event_type: "audit.setting.refused",
    description: "A change of the settings was refused",
};
const RETENTION_DAYS: &str = "retention_days";

/// `GET /settings`
pub(in crate::server) async fn get(request: AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let settings = read(&request).await?;
    request.record_read(&asker, "The settings of the log were read", &[], true)?;
    Ok(answer(StatusCode::OK, &shown(&settings)))
}

/// The settings as they are now.
pub(in crate::server) async fn read(request: &AdminRequest) -> Result<LogSettings, Problem> {
    let read = |app: &super::App, _: &_| LogSettings::read(Arc::new(OsFs), &app.layout);
    request.read(read).await
}

/// `PATCH /settings`
pub(in crate::server) async fn patch(
    request: AdminRequest,
    body: Body,
) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, async |asker| {
            let patch = json_body::object(&request.head, body, &[MERGE_PATCH, JSON]).await?;
            let settings = change(&request, asker, patch).await?;
            Ok(answer(StatusCode::OK, &shown(&settings)))
        })
        .await
}

/// Changes the settings by this patch, and returns them.
pub(in crate::server) async fn change(
    request: &AdminRequest,
    asker: Asker,
    mut patch: Map<String, Value>,
) -> Result<LogSettings, Problem> {
    let limit = age_limit(&mut patch)?;
    let log = request.log()?.clone();
    let changed = request
        .read(move |app, _| {
            let Some(limit) = limit else {
                let fs = Arc::new(OsFs);
                return Ok(LogSettings::read(fs, &app.layout));
            };
            let store = log.store();
            Ok(store.and_then(|store| store.set_age_limit(limit, &asker.author())))
        })
        .await?;
    changed.map_err(not_changed)
}

/// The age limit that is to be set: `None` if the patch has none, `Some(None)` to set none any
/// longer.
fn age_limit(patch: &mut Map<String, Value>) -> Result<Option<Option<AgeLimit>>, Problem> {
    let limit = match patch.remove(RETENTION_DAYS) {
        None => None,
        Some(Value::Null) => Some(None),
        Some(value) => {
            let limit = AgeLimit::try_from(value);
            Some(Some(limit.map_err(|problem| {
                Problem::setting(RETENTION_DAYS, problem)
            })?))
        }
    };
    json_body::refuse_rest(patch, RETENTION_DAYS)?;
    Ok(limit)
}

fn shown(settings: &LogSettings) -> Members {
    members! { "retention_days": settings.retention_days }
}
