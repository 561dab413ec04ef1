//! Deliveries of a webhook: one is shown, sent again or given up, and entries are replayed. The
//! process that delivers does what is asked for here; each answer says whether there is one.

use axum::{
    extract::{Extension, Request, State as Shared},
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde_json::{Map, Value};

use super::{
    answer,
    change::{JSON, blocking, change, log},
    json_body, name, none_given, refused, seen,
};
use crate::{
    entry::json::{Json, Members, members},
    server::{
        problem::Problem,
        state::{Asker, Slot, State},
    },
    webhook::{self, Administrator, Refusal, Replay},
};

/// `GET /webhooks/{name}/deliveries/{id}`
pub(super) async fn one(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(&head)?;
    none_given(&head)?;
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let (name, id) = (name(&head), id(&head));
    let found = app
        .blocking(slot, move |_| {
            let found = webhook::delivery(&layout, &reader, &name, &id);
            Ok(match found {
                Ok(found) => found.ok_or(Refusal::NoSuch(name)),
                Err(error) => Err(error.into()),
            })
        })
        .await?;
    seen(
        &app,
        &asker,
        "A delivery of a webhook was read",
        &[],
        found.is_ok(),
    )?;
    Ok(answer(StatusCode::OK, &found.map_err(refused)?))
}

/// `POST /webhooks/{name}/deliveries/{id}/resend`
pub(super) async fn resend(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let (name, id, reader) = (name(&head), id(&head), app.reader.clone());
        let delivery_id = id.clone();
        blocking(&app, &slot, asker, move |administrator| {
            administrator.resend(&name, &id, &reader)
        })
        .await?;
        accepted(&app, slot, members! { "delivery_id": delivery_id }).await
    })
    .await
}

/// `POST /webhooks/{name}/deliveries/{id}/skip`
pub(super) async fn skip(
    app: Shared<State>,
    slot: Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    let id = id(&head);
    give_up(app, slot, head, Some(id)).await
}

/// `POST /webhooks/{name}/skip`
pub(super) async fn skip_first(
    app: Shared<State>,
    slot: Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    give_up(app, slot, head, None).await
}

async fn give_up(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
    id: Option<String>,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        let skipped = blocking(&app, &slot, asker, move |administrator| {
            administrator.skip(&name, id.as_deref())
        })
        .await?;
        accepted(&app, slot, members! { "delivery_id": skipped }).await
    })
    .await
}

/// `POST /webhooks/{name}/replay`
pub(super) async fn replay(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    change(&app, &head, async |asker| {
        let mut wanted = json_body::object(&head, body, &[JSON]).await?;
        let is_dry_run = match wanted.remove("dry_run") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(Problem::setting("dry_run", "it must be true or false")),
        };
        let (replay, name) = (what(&wanted)?, name(&head));
        if is_dry_run {
            return count(&app, slot, asker, name, replay).await;
        }
        blocking(&app, &slot, asker, move |administrator| {
            administrator.replay(&name, replay)
        })
        .await?;
        accepted(&app, slot, members! { "replay": wanted }).await
    })
    .await
}

/// `DELETE /webhooks/{name}/replay`
pub(super) async fn cancel_replay(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        blocking(&app, &slot, asker, move |administrator| {
            administrator.cancel_replay(&name)
        })
        .await?;
        accepted(&app, slot, Members::default()).await
    })
    .await
}

/// Counts what a replay would send.
async fn count(
    app: &State,
    slot: Slot,
    asker: Asker,
    name: String,
    replay: Replay,
) -> Result<Response, Problem> {
    let log = log(app)?.clone();
    let (reader, caller) = (app.reader.clone(), asker.caller.clone());
    let path = asker.path.clone();
    let count = app
        .blocking(slot, move |cancel| {
            let administrator = Administrator::outside(&log, caller, &path);
            Ok(administrator.count_replay(&name, &replay, &reader.cancelled_by(cancel)))
        })
        .await?;
    let what = "Entries that a replay would send were counted";
    seen(app, &asker, what, &[], count.is_ok())?;
    Ok(answer(StatusCode::OK, &count.map_err(refused)?))
}

/// The answer that the request is accepted, with the process that will carry it out: `null` if none
/// delivers now.
async fn accepted(app: &State, slot: Slot, mut told: Members) -> Result<Response, Problem> {
    let layout = app.layout.clone();
    let dispatcher = app
        .blocking(slot, move |_| webhook::dispatcher(&layout))
        .await?;
    told.add("dispatcher", &Json::of(&dispatcher));
    Ok(answer(StatusCode::ACCEPTED, &told))
}

/// The delivery's id in the path.
fn id(request: &Parts) -> String {
    let mut parts = request.uri.path().split('/');
    parts.nth(4).unwrap_or_default().to_owned()
}

/// Which entries are to be sent again.
fn what(wanted: &Map<String, Value>) -> Result<Replay, Problem> {
    if let Some(name) = wanted
        .keys()
        .find(|name| !matches!(name.as_str(), "dead_letters" | "entries"))
    {
        return Err(Problem::setting(
            name,
            "there is no such field; send dead_letters or entries, and dry_run to count only",
        ));
    }
    match (wanted.get("dead_letters"), wanted.get("entries")) {
        (Some(Value::Bool(true)), None) => Ok(Replay::dead_letters()),
        (None, Some(Value::Object(filter))) if !filter.is_empty() => {
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
                            return Err(Problem::setting(
                                name,
                                "it must be a text or a list of texts",
                            ));
                        }
                    };
                    parameters.push((name.clone(), text));
                }
            }
            Ok(Replay::entries(parameters))
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
