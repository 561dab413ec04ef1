//! Webhooks are added, changed and removed by forms, and their secrets rotated. A form can be
//! checked while it is filled in: that sends, changes and records nothing.

use askama::Template;
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{
    super::{Draft, admit_form, back_to, take_form},
    LIST,
    form::{self, WebhookForm},
    list, own_page, press, shown_report,
};
use crate::{
    error::Error,
    server::{
        admin::AdminRequest,
        console::{
            form::{Fields, fields},
            frame::Frame,
            text::shown,
            visit::{Visit, html},
        },
        problem::Problem,
        state::{Asker, State},
        webhooks::{REFUSED, make, refused, to_receiver},
    },
    webhook::{Administrator, Refusal, SigningSecret, Webhook},
};

/// `POST /admin/webhooks`. The answer shows the secret, so it doesn't lead elsewhere.
pub(in crate::server::console) async fn add(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Response {
    let page = begin(&visit, &request, body).await;
    visit.answer(page)
}

async fn begin(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let add = async |asker, fields: Fields| {
        let settings = form::settings(&fields)?;
        make(request, asker, settings, form::is_paused(&fields)).await
    };
    let (asker, added) = take_form(visit, request, body, REFUSED, add).await?;
    match added {
        Ok((name, Some(secret))) => {
            let page = SecretPage::new(visit, &asker, &name, &secret, false);
            Ok(html(StatusCode::CREATED, &page))
        }
        Ok((name, None)) => back_to(visit, &format!("{LIST}/{name}")),
        Err(draft) => list(visit, request, &asker, &draft).await,
    }
}

/// `GET /admin/webhooks/{name}/settings`
pub(in crate::server::console) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = match request.admit_without_parameters() {
        Ok(asker) => settings(&visit, &request, &asker, &Draft::default()).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

async fn settings(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    draft: &Draft,
) -> Result<Response, Problem> {
    let report = shown_report(request, asker, &request.part(3)).await?;
    let page = SettingsPage {
        frame: visit.frame(Some(&asker.access)),
        name: shown(report.webhook.name()),
        url: shown(&report.webhook.shown_url()),
        declared_in: report.declared_in().map(shown),
        form: WebhookForm::change(&report.webhook, draft),
        is_read_only: visit.app.log.is_none(),
    };
    Ok(html(draft.status(), &page))
}

/// `POST /admin/webhooks/{name}/settings`
pub(in crate::server::console) async fn change(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Response {
    let page = alter(&visit, &request, body).await;
    visit.answer(page)
}

async fn alter(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let name = request.part(3);
    let change = async |asker, fields: Fields| {
        let app = State::clone(&request.app);
        let act = move |administrator: &Administrator<'_>, name: &str| {
            let mut problem = None;
            let changed = administrator.change(name, |found| {
                let after = patched(&app, &fields, found, &mut problem)?;
                Ok((after, ()))
            });
            Ok(told(changed, problem))
        };
        request.administer_named(asker, name.clone(), act).await?
    };
    let (asker, changed) = take_form(visit, request, body, REFUSED, change).await?;
    match changed {
        Ok(()) => back_to(visit, &own_page(request)),
        Err(draft) => settings(visit, request, &asker, &draft).await,
    }
}

/// The webhook with the changes of a form, if an administrator outside may make them. A mistake
/// in the form itself is noted, because the room of webhooks has no such error.
fn patched(
    app: &State,
    fields: &Fields,
    found: &Webhook,
    problem: &mut Option<Problem>,
) -> Result<Webhook, Error> {
    let patch = form::patch(fields, found).map_err(|wrong| {
        let error = Error::Conflict(wrong.detail().to_owned());
        *problem = Some(wrong);
        error
    })?;
    let after = found.patched(&patch)?;
    app.webhook_policy.check(Some(found), &patch, &after)?;
    Ok(after)
}

/// The outcome of a change, with the mistake in the form that was noted.
fn told<T>(changed: Result<T, Refusal>, problem: Option<Problem>) -> Result<T, Problem> {
    changed.map_err(|refusal| problem.unwrap_or_else(|| refused(refusal)))
}

/// `POST /admin/webhook-check`: checks a form that would add a webhook.
pub(in crate::server::console) async fn check_new(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Result<Response, Problem> {
    check(visit, request, body, |app, administrator, _, fields| {
        let mut settings = form::settings(fields)?;
        settings.remove("unsigned");
        let refuse = |error: Error| refused(error.into());
        let webhook = Webhook::from_settings(&settings).map_err(refuse)?;
        let policy = &app.webhook_policy;
        policy.check(None, &settings, &webhook).map_err(refuse)?;
        administrator.check_new(webhook).map_err(refused)
    })
    .await
}

/// `POST /admin/webhooks/{name}/settings/check`: checks a form that would change a webhook.
pub(in crate::server::console) async fn check_change(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Result<Response, Problem> {
    check(visit, request, body, |app, administrator, name, fields| {
        let mut problem = None;
        let checked =
            administrator.check_change(name, |found| patched(app, fields, found, &mut problem));
        told(checked, problem)
    })
    .await
}

/// The first mistake in a form, as JSON: `{"field": …, "problem": …}`; both `null` without one.
async fn check(
    visit: Visit,
    request: AdminRequest,
    body: Body,
    check: impl FnOnce(&State, &Administrator<'_>, &str, &Fields) -> Result<(), Problem>
    + Send
    + 'static,
) -> Result<Response, Problem> {
    let asker = admit_form(&visit)?;
    request.refuse_parameters()?;
    let fields = fields(&request.head, body).await?;
    let name = request.part(3);
    let app = State::clone(&request.app);
    let act = move |administrator: &Administrator<'_>, name: &str| {
        Ok(check(&app, administrator, name, &fields))
    };
    let wrong = match request.administer_named(asker, name, act).await? {
        Ok(()) => json!({"field": null, "problem": null}),
        Err(problem) if problem.status().is_client_error() => {
            json!({"field": problem.about(), "problem": shown(problem.detail())})
        }
        Err(problem) => return Err(problem),
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, wrong.to_string()).into_response())
}

/// `POST /admin/webhooks/{name}/rotate`. The answer shows the secret, so it doesn't lead elsewhere.
pub(in crate::server::console) async fn rotate(visit: Visit, request: AdminRequest) -> Response {
    let page = match admit_form(&visit) {
        Ok(asker) => new_secret(&visit, &request, asker).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

async fn new_secret(
    visit: &Visit,
    request: &AdminRequest,
    asker: Asker,
) -> Result<Response, Problem> {
    let name = request.part(3);
    let rotated = request.change_by(asker.clone(), REFUSED, async |asker| {
        let rotate = |administrator: &Administrator<'_>, name: &str| administrator.rotate(name);
        request.administer_named(asker, name.clone(), rotate).await
    });
    let secret = rotated.await?;
    let page = SecretPage::new(visit, &asker, &name, &secret, true);
    Ok(html(StatusCode::CREATED, &page))
}

/// `POST /admin/webhooks/{name}/retire`: the older secrets no longer sign.
pub(in crate::server::console) async fn retire(visit: Visit, request: AdminRequest) -> Response {
    let act = |administrator: &Administrator<'_>, name: &str| administrator.retire(name).map(drop);
    press(&visit, &request, &own_page(&request), act).await
}

/// `POST /admin/webhooks/{name}/remove`
pub(in crate::server::console) async fn remove(visit: Visit, request: AdminRequest) -> Response {
    let act = |administrator: &Administrator<'_>, name: &str| administrator.remove(name);
    press(&visit, &request, LIST, act).await
}

#[derive(Template)]
#[template(path = "webhook_settings.html")]
struct SettingsPage {
    frame: Frame,
    name: String,
    url: String,
    declared_in: Option<String>,
    form: WebhookForm,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
}

/// The secret that was made just now.
#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct SecretPage {
    frame: Frame,
    name: String,
    secret: String,
    /// Whether it is a public key, which verifies and can't sign.
    is_public: bool,
    /// Whether older secrets sign as well.
    is_rotated: bool,
}

impl SecretPage {
    fn new(
        visit: &Visit,
        asker: &Asker,
        name: &str,
        secret: &SigningSecret,
        is_rotated: bool,
    ) -> Self {
        Self {
            frame: visit.frame(Some(&asker.access)),
            name: shown(name),
            secret: to_receiver(secret).1,
            is_public: secret.public().is_some(),
            is_rotated,
        }
    }
}
