//! A request of an administrator of all tenants: about webhooks, tokens, holds and settings. A read
//! is recorded here, and so is a change that is refused. A change that is made is recorded where it
//! is made.

pub(super) mod holds;
pub(super) mod settings;
pub(super) mod tokens;

use axum::{
    body::Body,
    extract::{Extension, FromRequestParts, rejection::ExtensionRejection},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::{
    params,
    problem::Problem,
    recorder::Refused,
    state::{App, Asker, Slot, State, path, shorten},
};
use crate::{
    entry::{OwnEntry, Severity, json::Json},
    error::{Error, Result},
    log::AuditLog,
    query::cancel::Cancel,
};

/// A request of an administrator, without its body.
pub(super) struct AdminRequest {
    pub(super) app: State,
    pub(super) head: Parts,
    slot: Slot,
}

impl FromRequestParts<State> for AdminRequest {
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

impl AdminRequest {
    /// One part of the path, counted from 1, not decoded.
    pub(super) fn part(&self, at: usize) -> String {
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

    pub(super) fn refuse_parameters(&self) -> Result<(), Problem> {
        match params::parse(self.head.uri.query())?.first() {
            Some((name, _)) => Err(Problem::parameter(
                name,
                "this request takes no parameters; leave it out",
            )),
            None => Ok(()),
        }
    }

    /// Does work on disks, on a thread for blocking work.
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

    /// Lets an administrator change something. A refusal is recorded as this says: the
    /// caller, the request and the setting, but nothing of the body, which can have secrets.
    pub(super) async fn change_or_record(
        &self,
        refused: RefusedChange,
        act: impl AsyncFnOnce(Asker) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let asker = self.admit()?;
        self.change_by(asker, refused, act).await
    }

    /// The same for an administrator who is admitted already.
    pub(super) async fn change_by<T>(
        &self,
        asker: Asker,
        refused: RefusedChange,
        act: impl AsyncFnOnce(Asker) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let caller = asker.caller.clone();
        let done = match self.refuse_parameters().and_then(|()| self.log().map(drop)) {
            Ok(()) => act(asker).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &done
            && problem.status().is_client_error()
        {
            self.app.recorder.refused(Refused::Change, &caller, || {
                let record =
                    OwnEntry::new(refused.event_type, Severity::Warning, refused.description);
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

    /// The answer to a request that has made something; `name` is the last part of its path.
    pub(super) fn created(&self, name: &str, made: &impl Serialize) -> Response {
        let mut response = answer(StatusCode::CREATED, made);
        let all = path(&self.head).trim_end_matches('/');
        if let Ok(location) = HeaderValue::try_from(format!("{all}/{name}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// The log that records changes.
    pub(super) fn log(&self) -> Result<&AuditLog, Problem> {
        let detail =
            "a change that can't be recorded is not made, and this server can't write to the log";
        let log = self.app.log.as_ref();
        log.ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Read only", detail))
    }
}

/// How it is recorded that a change is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedChange {
    pub(super) event_type: &'static str,
    pub(super) description: &'static str,
}

/// Whether this looks like the name of a setting, and not like a value that was sent in its place.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64 && bytes.all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
}

/// Whether the request is one of these whose body is read.
pub(super) fn takes_body(method: &Method, path: &str) -> bool {
    match *method {
        Method::POST => matches!(path, "/tokens" | "/holds"),
        Method::PATCH => path == "/settings",
        _ => false,
    }
}

/// An answer of JSON.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    (
        status,
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )],
        Body::from(Json::of(value).to_string()),
    )
        .into_response()
}

/// The answer to a change that can't be made.
pub(super) fn not_changed(error: Error) -> Problem {
    match error {
        Error::Invalid { parameter, problem } => Problem::setting(parameter, problem),
        Error::Conflict(why) => Problem::new(StatusCode::CONFLICT, "Conflict", why),
        Error::Closed => {
            Problem::busy("a change that can't be recorded is not made, and the log is closed")
        }
        error => {
            tracing::error!(target: "tracing_audit", "a change over HTTP was not made: {error}");
            let detail =
                "the change could not be recorded or written; the server's own messages say why";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not changed", detail)
        }
    }
}
