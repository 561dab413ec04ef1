//! A request about webhooks. If it reads, the access is recorded; if it is to change something, a
//! refusal is recorded here, and a change where it is made.

use axum::{
    extract::{Extension, FromRequestParts, rejection::ExtensionRejection},
    http::{StatusCode, request::Parts},
    response::Response,
};

use super::{answer, refused};
use crate::{
    entry::{OwnEntry, Severity, json::Members},
    error::Result,
    log::AuditLog,
    query::cancel::Cancel,
    server::{
        params,
        problem::Problem,
        recorder::Refused,
        state::{App, Asker, Slot, State, path, shorten},
    },
    webhook::{self, Administrator, Refusal},
};

/// A request about webhooks, without its body.
pub(super) struct WebhookRequest {
    pub(super) app: State,
    pub(super) head: Parts,
    slot: Slot,
}

impl FromRequestParts<State> for WebhookRequest {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(head: &mut Parts, app: &State) -> Result<Self, ExtensionRejection> {
        let Extension(slot) = Extension::from_request_parts(head, app).await?;
        Ok(Self {
            app: State::clone(app),
            head: head.clone(),
            slot,
        })
    }
}

impl WebhookRequest {
    /// The webhook's name in the path, as it stands there: no name has to be encoded.
    pub(super) fn name(&self) -> String {
        self.part(2)
    }

    /// The delivery's id in the path.
    pub(super) fn delivery_id(&self) -> String {
        self.part(4)
    }

    fn part(&self, at: usize) -> String {
        let mut parts = self.head.uri.path().split('/');
        parts.nth(at).unwrap_or_default().to_owned()
    }

    pub(super) fn admit(&self) -> Result<Asker, Problem> {
        self.app.admit_administrator(&self.head)
    }

    /// Admits an administrator, and refuses parameters.
    pub(super) fn admit_without_parameters(&self) -> Result<Asker, Problem> {
        let asker = self.admit()?;
        self.refuse_parameters()?;
        Ok(asker)
    }

    fn refuse_parameters(&self) -> Result<(), Problem> {
        match params::parse(self.head.uri.query())?.first() {
            Some((name, _)) => Err(Problem::parameter(name, "this takes no parameters")),
            None => Ok(()),
        }
    }

    /// Does work on disks, on a thread for that.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&App, &Cancel) -> Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = State::clone(&self.app);
        let slot = self.slot.clone();
        self.app
            .blocking(slot, move |cancel| read(&app, cancel))
            .await
    }

    /// A webhook as answers show it.
    pub(super) async fn shown(&self, name: String) -> Result<Members, Problem> {
        let report = self.read(move |app, _| {
            let report = webhook::report(&app.layout, &app.reader, &name)?;
            Ok(report.ok_or(Refusal::NoSuch(name)))
        });
        let report = report.await?.map_err(refused)?;
        Ok(report.shown())
    }

    /// The answer with the webhook that the path names.
    pub(super) async fn answer_shown(&self) -> Result<Response, Problem> {
        Ok(answer(StatusCode::OK, &self.shown(self.name()).await?))
    }

    /// Records that something was read, and whether it was there.
    pub(super) fn record_read(
        &self,
        asker: &Asker,
        description: &str,
        parameters: &[(String, String)],
        found: bool,
    ) -> Result<(), Problem> {
        let status = if found { 200 } else { 404 };
        let record = asker.record("audit.access.read", description, parameters);
        self.app.recorder.record(&record.detail("status", status))
    }

    /// Has an administrator change something. A refusal is recorded: the caller, the request and
    /// the setting, but nothing of the body, which can have secrets.
    pub(super) async fn change(
        &self,
        act: impl AsyncFnOnce(Asker) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let asker = self.admit()?;
        let caller = asker.caller.clone();
        let done = match self.refuse_parameters().and_then(|()| self.log().map(drop)) {
            Ok(()) => act(asker).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &done
            && problem.status().is_client_error()
        {
            self.app.recorder.refused(Refused::Change, &caller, || {
                let record = OwnEntry::new(
                    "audit.webhook.refused",
                    Severity::Warning,
                    "A change of a webhook was refused",
                );
                let record = record
                    .failed("validation")
                    .detail("method", self.head.method.as_str())
                    .detail("path", shorten(path(&self.head)))
                    .detail("status", problem.status().as_u16());
                match problem.about().filter(|name| is_name(name)) {
                    Some(name) => record.detail("parameter", name),
                    None => record,
                }
            });
        }
        done
    }

    /// The log that records changes.
    pub(super) fn log(&self) -> Result<&AuditLog, Problem> {
        let detail =
            "a change that can't be recorded is not made, and this server can't write to the log";
        let log = self.app.log.as_ref();
        log.ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Read only", detail))
    }

    /// Has an administrator act on the webhook that the path names, on a thread for work on disks.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        asker: Asker,
        act: impl FnOnce(&Administrator<'_>, &str) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = self.log()?.clone();
        let name = self.name();
        let done = self.read(move |_, _| {
            let administrator = Administrator::outside(&log, asker.caller, &asker.path);
            Ok(act(&administrator, &name))
        });
        done.await?.map_err(refused)
    }
}

/// Whether this looks like the name of a setting, and not like a value that was sent in its place.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64 && bytes.all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
}
