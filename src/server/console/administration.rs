//! The pages of administrators of all tenants, and the forms on them.
//!
//! A form does what a request of the API does: the same code checks and makes the change, and the
//! same entries tell of it. A form is taken only from a page of this server, whoever lets the
//! visitor in. A change that is made leads back to the page; what is refused is said beside its
//! field, in the words of the API.
//!
//! ```text
//! tokens     list, create, revoke
//! settings   the retention; holds: list, place, release
//! webhooks   list, add, change, one webhook, its deliveries and dead letters
//! ```

pub(super) mod settings;
pub(super) mod tokens;
#[cfg(feature = "webhook")]
pub(super) mod webhooks;

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{
    form::{self, Fields},
    text::{shown, shown_lines},
    visit::{Visit, below},
};
use crate::server::{
    admin::{AdminRequest, RefusedChange},
    problem::Problem,
    state::Asker,
};

/// Whether the request is a form of these pages, whose body is read.
pub(super) fn takes_body(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with("/admin/")
}

/// Lets an administrator in who sends a form of a page of this server.
fn admit_form(visit: &Visit) -> Result<Asker, Problem> {
    let asker = visit.app.admit_administrator(&visit.head)?;
    visit.app.check_same_origin(&asker.caller, &visit.head)?;
    Ok(asker)
}

/// Lets an administrator change something by a form, whose fields are read after the administrator
/// is let in. Gives the administrator, and what was made or the form as it is shown again.
async fn take_form<T>(
    visit: &Visit,
    request: &AdminRequest,
    body: Body,
    refused: RefusedChange,
    change: impl AsyncFnOnce(Asker, Fields) -> Result<T, Problem>,
) -> Result<(Asker, Result<T, Draft>), Problem> {
    let asker = admit_form(visit)?;
    let changed = take_fields(request, asker.clone(), body, refused, change).await?;
    Ok((asker, changed))
}

/// The same for somebody who is let in already.
pub(super) async fn take_fields<T>(
    request: &AdminRequest,
    asker: Asker,
    body: Body,
    refused: RefusedChange,
    change: impl AsyncFnOnce(Asker, Fields) -> Result<T, Problem>,
) -> Result<Result<T, Draft>, Problem> {
    let mut fields = Vec::new();
    let changed = request.change_by(asker, refused, async |asker| {
        fields = form::fields(&request.head, body).await?;
        change(asker, fields.clone()).await
    });
    match changed.await {
        Ok(made) => Ok(Ok(made)),
        Err(problem) => Ok(Err(Draft::of(fields, problem)?)),
    }
}

/// Lets an administrator change something by a button alone, and leads back to a page.
async fn take_button(
    visit: &Visit,
    request: &AdminRequest,
    refused: RefusedChange,
    back: &str,
    change: impl AsyncFnOnce(Asker) -> Result<(), Problem>,
) -> Response {
    let changed = match admit_form(visit) {
        Ok(asker) => request.change_by(asker, refused, change).await,
        Err(problem) => Err(problem),
    };
    visit.answer(changed.and_then(|()| back_to(visit, back)))
}

/// The fields of a form as settings in the body of the API. A field that is left empty isn't sent.
fn as_settings(fields: &[(String, String)]) -> Result<Map<String, Value>, Problem> {
    let mut settings = Map::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let before = settings.insert(name.clone(), value.as_str().into());
        if before.is_some() {
            return Err(Problem::setting(name, "it is given twice; give it once"));
        }
    }
    Ok(settings)
}

/// Leads back to a page below the mount, after a change.
pub(super) fn back_to(visit: &Visit, path: &str) -> Result<Response, Problem> {
    let to = HeaderValue::try_from(below(&visit.mount(), path))
        .map_err(|_| Problem::parameter("path", "it can't stand in a header"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

/// A form as it was sent and refused; an empty one without a problem.
#[derive(Default)]
pub(super) struct Draft {
    fields: Fields,
    problem: Option<Problem>,
}

impl Draft {
    /// The form again, if its sender can mend it; any other problem has a page of its own.
    fn of(mut fields: Fields, problem: Problem) -> Result<Self, Problem> {
        for (_, value) in &mut fields {
            // Browsers end the lines of a field like this.
            *value = shown_lines(&value.replace("\r\n", "\n"));
        }
        match problem.status() {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(Self {
                fields,
                problem: Some(problem),
            }),
            _ => Err(problem),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        let problem = self.problem.as_ref();
        problem.map_or(StatusCode::OK, Problem::status)
    }

    pub(super) fn is_sent(&self) -> bool {
        self.problem.is_some()
    }

    /// The text that was written in a field.
    pub(super) fn value(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether a field was sent. Browsers send a box only if it is ticked.
    #[cfg(feature = "webhook")]
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// The mistake in a field, or in a part of it.
    pub(super) fn wrong(&self, name: &str) -> Option<String> {
        let problem = self.problem.as_ref()?;
        let is_about = problem.about().is_some_and(|about| is_in(about, name));
        is_about.then(|| shown(problem.detail()))
    }

    /// The mistake in a setting as such, and not in a part of it.
    #[cfg(feature = "webhook")]
    fn wrong_exactly(&self, name: &str) -> Option<String> {
        let problem = self.problem.as_ref()?;
        (problem.about() == Some(name)).then(|| shown(problem.detail()))
    }

    /// The mistake that is in none of these fields.
    pub(super) fn wrong_besides(&self, names: &[&str]) -> Option<String> {
        let problem = self.problem.as_ref()?;
        match problem.about() {
            Some(about) if names.iter().any(|name| is_in(about, name)) => None,
            Some(name) => Some(shown(&format!("{name}: {}", problem.detail()))),
            None => Some(shown(problem.detail())),
        }
    }
}

/// Whether a problem about this setting is one of the field of this name: `headers.x-team` is in
/// the field `headers`.
fn is_in(about: &str, name: &str) -> bool {
    let rest = about.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
