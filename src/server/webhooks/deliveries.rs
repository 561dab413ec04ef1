//! Deliveries of a webhook: one is shown, sent again or given up, and entries are replayed. The
//! process that delivers carries out these requests, so each answer says which process that is, if
//! any.

use axum::{body::Body, http::StatusCode, response::Response};
use serde_json::{Map, Value};

use super::{refused, request::WebhookRequest};
use crate::{
    entry::json::{Json, Members, members},
    server::{
        admin::answer,
        json_body::{self, JSON},
        problem::Problem,
        state::Asker,
    },
    webhook::{Administrator, Refusal, Replay},
};

/// `GET /webhooks/{name}/deliveries/{id}`
pub(super) async fn one(request: WebhookRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let name = request.name();
    let id = request.delivery_id();
    let found = request.read(move |app, _| {
        let found = app.reader.delivery(&name, &id);
        Ok(match found {
            Ok(found) => found.ok_or(Refusal::NoSuch(name)),
            Err(error) => Err(error.into()),
        })
    });
    let found = found.await?;
    let description = "A delivery of a webhook was read";
    request.record_read(&asker, description, &[], found.is_ok())?;
    Ok(answer(StatusCode::OK, &found.map_err(refused)?))
}

/// `POST /webhooks/{name}/deliveries/{id}/resend`
pub(super) async fn resend(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let id = request.delivery_id();
            let reader = request.app.reader.clone();
            request
                .administer(asker, move |administrator, name| {
                    administrator.resend(name, &id, &reader)
                })
                .await?;
            let id = request.delivery_id();
            accepted(&request, members! { "delivery_id": id }).await
        })
        .await
}

/// `POST /webhooks/{name}/deliveries/{id}/skip`
pub(super) async fn skip(request: WebhookRequest) -> Result<Response, Problem> {
    let id = request.delivery_id();
    give_up(request, Some(id)).await
}

/// `POST /webhooks/{name}/skip`
pub(super) async fn skip_first(request: WebhookRequest) -> Result<Response, Problem> {
    give_up(request, None).await
}

async fn give_up(request: WebhookRequest, id: Option<String>) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let skipped = request
                .administer(asker, move |administrator, name| {
                    administrator.skip(name, id.as_deref())
                })
                .await?;
            accepted(&request, members! { "delivery_id": skipped }).await
        })
        .await
}

/// `POST /webhooks/{name}/replay`
pub(super) async fn replay(request: WebhookRequest, body: Body) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let mut wanted = json_body::object(&request.head, body, &[JSON]).await?;
            let is_dry_run = json_body::take_flag(&mut wanted, "dry_run")?;
            let replay = parse(&wanted)?;
            if is_dry_run {
                return count(&request, asker, replay).await;
            }
            request
                .administer(asker, move |administrator, name| {
                    administrator.replay(name, replay)
                })
                .await?;
            accepted(&request, members! { "replay": wanted }).await
        })
        .await
}

/// `DELETE /webhooks/{name}/replay`
pub(super) async fn cancel_replay(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            request
                .administer(asker, |administrator, name| {
                    administrator.cancel_replay(name)
                })
                .await?;
            accepted(&request, Members::default()).await
        })
        .await
}

/// Counts what a replay would send.
async fn count(
    request: &WebhookRequest,
    asker: Asker,
    replay: Replay,
) -> Result<Response, Problem> {
    let log = request.log()?.clone();
    let name = request.name();
    let caller = asker.caller.clone();
    let path = asker.path.clone();
    let count = request.read(move |app, cancel| {
        let administrator = Administrator::outside(&log, caller, &path);
        let reader = app.reader.cancelled_by(cancel);
        Ok(administrator.count_replay(&name, &replay, &reader))
    });
    let count = count.await?;
    let description = "Entries that a replay would send were counted";
    request.record_read(&asker, description, &[], count.is_ok())?;
    Ok(answer(StatusCode::OK, &count.map_err(refused)?))
}

/// The answer that the request is accepted, with the process that will carry it out: `null` if none
/// delivers now.
async fn accepted(request: &WebhookRequest, mut shown: Members) -> Result<Response, Problem> {
    let dispatcher = request
        .read(|app, _| app.reader.webhook_dispatcher())
        .await?;
    shown.add("dispatcher", &Json::of(&dispatcher));
    Ok(answer(StatusCode::ACCEPTED, &shown))
}

/// Parses which entries are to be sent again.
fn parse(wanted: &Map<String, Value>) -> Result<Replay, Problem> {
    let mut names = wanted.keys();
    if let Some(name) = names.find(|name| !matches!(name.as_str(), "dead_letters" | "entries")) {
        return Err(Problem::setting(
            name,
            "there is no such field; send dead_letters or entries, and dry_run to count only",
        ));
    }
    match (wanted.get("dead_letters"), wanted.get("entries")) {
        (Some(Value::Bool(true)), None) => Ok(Replay::dead_letters()),
        (None, Some(Value::Object(filter))) if !filter.is_empty() => {
            Ok(Replay::entries(parameters(filter)?))
        }
        (None, Some(_)) => Err(Problem::setting(
            "entries",
            "it must be an object with at least one parameter of a filter: start_date, end_date, …",
        )),
        (Some(_), None) => Err(Problem::setting(
            "dead_letters",
            "it must be true or left out",
        )),
        _ => Err(Problem::setting(
            "entries",
            "send {\"dead_letters\": true} or {\"entries\": {\"start_date\": …}}",
        )),
    }
}

/// The parameters of a filter: each value of a list is one.
fn parameters(filter: &Map<String, Value>) -> Result<Vec<(String, String)>, Problem> {
    let mut parameters = Vec::new();
    for (name, value) in filter {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    let problem = "it must be a text or a list of texts";
                    return Err(Problem::setting(name, problem));
                }
            };
            parameters.push((name.clone(), text));
        }
    }
    Ok(parameters)
}
