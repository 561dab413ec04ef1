//! What changes webhooks, and has them tested.

use axum::{
    extract::{Extension, Request, State as Shared},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;

use super::{answer, json_body, name, none_given, refused, shown};
use crate::{
    entry::{OwnEntry, Severity, json::Members},
    error::{Error, Result},
    log::AuditLog,
    server::{
        problem::Problem,
        recorder::Refused,
        state::{Asker, Slot, State, path},
    },
    webhook::{Administrator, Refusal, SigningSecret, Webhook},
};

pub(super) const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// `POST /webhooks`
pub(super) async fn add(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    change(&app, &head, async |asker| {
        let mut settings = json_body::object(&head, body, &[JSON]).await?;
        let unsigned = match settings.remove("unsigned") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(Problem::setting("unsigned", "it must be true or false")),
        };
        let has_secrets = settings
            .get("signing_secrets")
            .is_some_and(|secrets| !secrets.is_null());
        if unsigned
            && settings
                .get("signing_secrets")
                .and_then(Value::as_array)
                .is_some_and(|secrets| !secrets.is_empty())
        {
            return Err(Problem::setting(
                "unsigned",
                "signing_secrets are given as well; send one of the two",
            ));
        }
        let state = State::clone(&app);
        let (name, made) = blocking(&app, &slot, asker, move |administrator| {
            let mut webhook = Webhook::from_settings(&settings)?;
            state.webhook_policy.check(None, &settings, &webhook)?;
            let made = if unsigned || has_secrets {
                None
            } else {
                Some(SigningSecret::random()?)
            };
            if let Some(secret) = &made {
                webhook = webhook.signing_secret(secret.reveal());
            }
            let name = webhook.name().to_owned();
            administrator.add(webhook)?;
            Ok((name, made))
        })
        .await?;
        let mut shown = shown(&app, slot, name.clone()).await?;
        if let Some(secret) = made {
            reveal(&mut shown, &secret);
        }
        let mut response = answer(StatusCode::CREATED, &shown);
        let location =
            HeaderValue::try_from(format!("{}/{name}", path(&head).trim_end_matches('/')));
        response
            .headers_mut()
            .extend(location.ok().map(|location| (header::LOCATION, location)));
        Ok(response)
    })
    .await
}

/// `PATCH /webhooks/{name}`
pub(super) async fn patch(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    change(&app, &head, async |asker| {
        let patch = json_body::object(&head, body, &[MERGE_PATCH, JSON]).await?;
        let (state, name) = (State::clone(&app), name(&head));
        let of = name.clone();
        blocking(&app, &slot, asker, move |administrator| {
            administrator.change(&of, |found| {
                let after = found.patched(&patch)?;
                state.webhook_policy.check(Some(found), &patch, &after)?;
                Ok((after, ()))
            })
        })
        .await?;
        Ok(answer(StatusCode::OK, &shown(&app, slot, name).await?))
    })
    .await
}

/// `DELETE /webhooks/{name}`
pub(super) async fn remove(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        blocking(&app, &slot, asker, move |administrator| {
            administrator.remove(&name)
        })
        .await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `POST /webhooks/{name}/pause`
pub(super) async fn pause(
    app: Shared<State>,
    slot: Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    set_paused(app, slot, head, true).await
}

/// `POST /webhooks/{name}/resume`
pub(super) async fn resume(
    app: Shared<State>,
    slot: Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    set_paused(app, slot, head, false).await
}

async fn set_paused(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
    paused: bool,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        let of = name.clone();
        blocking(&app, &slot, asker, move |administrator| {
            administrator.pause(&of, paused)
        })
        .await?;
        Ok(answer(StatusCode::OK, &shown(&app, slot, name).await?))
    })
    .await
}

/// `POST /webhooks/{name}/test`
pub(super) async fn test(Shared(app): Shared<State>, head: Parts) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let administrator = Administrator::outside(log(&app)?, asker.caller, &asker.path);
        let attempt = administrator.test(&name(&head)).await.map_err(refused)?;
        Ok(answer(StatusCode::OK, &attempt))
    })
    .await
}

/// `POST /webhooks/{name}/signing-secrets`
pub(super) async fn rotate(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        let of = name.clone();
        let secret = blocking(&app, &slot, asker, move |administrator| {
            administrator.rotate(&of)
        })
        .await?;
        let mut shown = shown(&app, slot, name).await?;
        reveal(&mut shown, &secret);
        Ok(answer(StatusCode::CREATED, &shown))
    })
    .await
}

/// `POST /webhooks/{name}/signing-secrets/retire`
pub(super) async fn retire(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    change(&app, &head, async |asker| {
        let name = name(&head);
        let of = name.clone();
        blocking(&app, &slot, asker, move |administrator| {
            administrator.retire(&of)
        })
        .await?;
        Ok(answer(StatusCode::OK, &shown(&app, slot, name).await?))
    })
    .await
}

/// Shows the secret, or the public key, that the receiver needs to verify; only this once.
fn reveal(shown: &mut Members, secret: &SigningSecret) {
    let (name, text) = match secret.public() {
        Some(public) => ("signing_public_key", public),
        None => ("signing_secret", secret.reveal()),
    };
    shown.add(name, &text);
}

/// Has an administrator change something. That it is refused is recorded: who, what and for which
/// setting, but nothing of what was sent, which can be secret.
pub(super) async fn change(
    app: &State,
    head: &Parts,
    act: impl AsyncFnOnce(Asker) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let asker = app.admit_administrator(head)?;
    let (caller, path) = (asker.caller.clone(), asker.path.clone());
    let done = match none_given(head).and_then(|()| log(app).map(drop)) {
        Ok(()) => act(asker).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &done
        && problem.status().is_client_error()
    {
        app.recorder.refused(Refused::Change, || {
            let record = OwnEntry::new(
                "audit.webhook.refused",
                Severity::Warning,
                "A change of a webhook was refused",
            );
            let record = record
                .caller(caller)
                .failed("validation")
                .detail("method", head.method.as_str())
                .detail("path", path);
            let record = record.detail("status", problem.status().as_u16());
            match problem.about().filter(|name| is_name(name)) {
                Some(name) => record.detail("parameter", name),
                None => record,
            }
        });
    }
    done
}

/// Whether it looks like the name of a setting, and not like something that was sent in its place.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
}

pub(super) fn log(app: &State) -> Result<&AuditLog, Problem> {
    let detail =
        "a change that can't be recorded is not made, and this server can't write to the log";
    app.log
        .as_ref()
        .ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Read only", detail))
}

/// Has an administrator do what waits for disks.
pub(super) async fn blocking<T: Send + 'static>(
    app: &State,
    slot: &Slot,
    asker: Asker,
    act: impl FnOnce(&Administrator<'_>) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Problem> {
    let log = log(app)?.clone();
    let done = app.blocking(slot.clone(), move |_| {
        Ok::<_, Error>(act(&Administrator::outside(
            &log,
            asker.caller,
            &asker.path,
        )))
    });
    done.await?.map_err(refused)
}
