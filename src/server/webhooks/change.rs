//! Requests that add, change, test and remove webhooks.

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{refused, request::WebhookRequest};
use crate::{
    server::{
        admin::answer,
        json_body::{self, JSON, MERGE_PATCH},
        problem::Problem,
        state::{Asker, State},
    },
    webhook::{Administrator, SigningSecret, Webhook},
};

/// `POST /webhooks`
pub(super) async fn add(request: WebhookRequest, body: Body) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let settings = json_body::object(&request.head, body, &[JSON]).await?;
            let (name, secret) = make(&request, asker, settings, false).await?;
            let mut shown = request.shown(name.clone()).await?;
            if let Some(secret) = secret {
                let (name, text) = to_receiver(&secret);
                shown.add(name, &text);
            }
            Ok(request.created(&name, &shown))
        })
        .await
}

/// Makes a webhook with these settings, and has it added. Gives its name, and its secret if one was
/// made for it.
pub(in crate::server) async fn make(
    request: &WebhookRequest,
    asker: Asker,
    mut settings: Map<String, Value>,
    is_paused: bool,
) -> Result<(String, Option<SigningSecret>), Problem> {
    let signing = Signing::take(&mut settings)?;
    let app = State::clone(&request.app);
    request
        .administer(asker, move |administrator, _| {
            let mut webhook = Webhook::from_settings(&settings)?;
            app.webhook_policy.check(None, &settings, &webhook)?;
            let made = match signing {
                Signing::Unsigned | Signing::Given => None,
                Signing::Made => Some(SigningSecret::random()?),
            };
            if let Some(secret) = &made {
                webhook = webhook.signing_secret(secret.reveal());
            }
            let name = webhook.name().to_owned();
            administrator.begin(webhook, is_paused)?;
            Ok((name, made))
        })
        .await
}

/// How a webhook that is added signs its requests.
enum Signing {
    /// With a secret that is made now.
    Made,
    /// With the secrets in its settings, if there are any.
    Given,
    Unsigned,
}

impl Signing {
    /// Takes `unsigned` out of the settings.
    fn take(settings: &mut Map<String, Value>) -> Result<Self, Problem> {
        let unsigned = json_body::take_flag(settings, "unsigned")?;
        match settings.get("signing_secrets") {
            Some(Value::Array(secrets)) if unsigned && !secrets.is_empty() => {
                Err(Problem::setting(
                    "unsigned",
                    "signing_secrets are given as well; send one of the two",
                ))
            }
            _ if unsigned => Ok(Self::Unsigned),
            None | Some(Value::Null) => Ok(Self::Made),
            Some(_) => Ok(Self::Given),
        }
    }
}

/// `PATCH /webhooks/{name}`
pub(super) async fn patch(request: WebhookRequest, body: Body) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let patch = json_body::object(&request.head, body, &[MERGE_PATCH, JSON]).await?;
            let app = State::clone(&request.app);
            request
                .administer(asker, move |administrator, name| {
                    administrator.change(name, |found| {
                        let after = found.patched(&patch)?;
                        app.webhook_policy.check(Some(found), &patch, &after)?;
                        Ok((after, ()))
                    })
                })
                .await?;
            request.answer_shown().await
        })
        .await
}

/// `DELETE /webhooks/{name}`
pub(super) async fn remove(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            request
                .administer(asker, |administrator, name| administrator.remove(name))
                .await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `POST /webhooks/{name}/pause`
pub(super) async fn pause(request: WebhookRequest) -> Result<Response, Problem> {
    set_paused(request, true).await
}

/// `POST /webhooks/{name}/resume`
pub(super) async fn resume(request: WebhookRequest) -> Result<Response, Problem> {
    set_paused(request, false).await
}

async fn set_paused(request: WebhookRequest, paused: bool) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            request
                .administer(asker, move |administrator, name| {
                    administrator.pause(name, paused)
                })
                .await?;
            request.answer_shown().await
        })
        .await
}

/// `POST /webhooks/{name}/test`
pub(super) async fn test(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let log = request.log()?;
            let administrator = Administrator::outside(log, asker.caller, &asker.path);
            let attempt = administrator.test(&request.name()).await;
            Ok(answer(StatusCode::OK, &attempt.map_err(refused)?))
        })
        .await
}

/// `POST /webhooks/{name}/signing-secrets`
pub(super) async fn rotate(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            let secret = request
                .administer(asker, |administrator, name| administrator.rotate(name))
                .await?;
            let mut shown = request.shown(request.name()).await?;
            let (name, text) = to_receiver(&secret);
            shown.add(name, &text);
            Ok(answer(StatusCode::CREATED, &shown))
        })
        .await
}

/// `POST /webhooks/{name}/signing-secrets/retire`
pub(super) async fn retire(request: WebhookRequest) -> Result<Response, Problem> {
    request
        .change(async |asker| {
            request
                .administer(asker, |administrator, name| administrator.retire(name))
                .await?;
            request.answer_shown().await
        })
        .await
}

/// The secret or the public key that the receiver needs to verify, and its name. It is shown only
/// this once.
pub(in crate::server) fn to_receiver(secret: &SigningSecret) -> (&'static str, String) {
    match secret.public() {
        Some(public) => ("signing_public_key", public),
        None => ("signing_secret", secret.reveal()),
    }
}
