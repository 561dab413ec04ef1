//! One request for a page.

use std::time::{Duration, Instant};

use askama::Template;
use axum::{
    extract::{Extension, FromRequestParts, OriginalUri, rejection::ExtensionRejection},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};

use super::{frame::Frame, session::any_session_cookie, sign_in};
use crate::{
    error::Result,
    query::{AuditReader, cancel::Cancel},
    server::{
        access::{Access, Scope},
        params,
        problem::Problem,
        state::{Asker, Slot, State, path},
    },
};

/// Only the console's own files are loaded, and no page of others shows the console in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// A request for a page, without its body.
pub(super) struct Visit {
    pub(super) app: State,
    pub(super) head: Parts,
    slot: Slot,
}

impl FromRequestParts<State> for Visit {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, app: &State) -> Result<Self, Response> {
        let slot = Extension::from_request_parts(head, app).await;
        let Extension(slot) = slot.map_err(ExtensionRejection::into_response)?;
        if comes_by_link_of_others(head) && app.options.authorizer.is_none() {
            return Err(html(StatusCode::OK, &AgainPage));
        }
        Ok(Self {
            app: State::clone(app),
            head: head.clone(),
            slot,
        })
    }
}

impl Visit {
    /// Lets a visitor in that has this scope; a refusal is recorded.
    pub(super) fn admit(&self, scope: Scope) -> Result<Asker, Problem> {
        self.app.admit(&self.head, scope)
    }

    /// The parameters of the URL.
    pub(super) fn parameters(&self) -> Result<Vec<(String, String)>, Problem> {
        Ok(params::parse(self.head.uri.query())?)
    }

    /// Reads the disk on a thread for that, no longer than this time. `None` if the time is over.
    pub(super) async fn read_within<T: Send + 'static>(
        &self,
        limit: Duration,
        read: impl FnOnce(&AuditReader) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>, Problem> {
        let reader = self.app.reader.clone();
        let end = Instant::now() + limit;
        let work = move |gone: &Cancel| {
            let gone = gone.clone();
            let cancel = Cancel::when(move || gone.is_cancelled() || Instant::now() >= end);
            match read(&reader.cancelled_by(&cancel)) {
                Ok(found) => Ok(Some(found)),
                Err(_) if Instant::now() >= end => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.app.blocking(self.slot.clone(), work).await
    }

    /// The access of the visitor, if there is one.
    pub(super) fn access(&self) -> Option<Access> {
        self.app.authorize(&self.head).ok()
    }

    /// The path that the console is mounted at; empty if that is the root.
    pub(super) fn mount(&self) -> String {
        mount(&self.head)
    }

    /// The parts around a page for this visitor.
    pub(super) fn frame(&self, access: Option<&Access>) -> Frame {
        Frame::new(&self.app, &self.head, access)
    }

    /// The answer to the request: the page, or one that says what is wrong.
    pub(super) fn answer(&self, page: Result<Response, Problem>) -> Response {
        page.unwrap_or_else(|problem| self.problem(problem))
    }

    fn problem(&self, problem: Problem) -> Response {
        if problem.status() == StatusCode::UNAUTHORIZED {
            return sign_in::needed(self, problem);
        }
        let access = self.access();
        problem_page(self.frame(access.as_ref()), &problem)
    }
}

/// The page that says what is wrong.
pub(super) fn problem_page(frame: Frame, problem: &Problem) -> Response {
    let page = ProblemPage {
        frame,
        title: problem.title(),
        detail: words(problem),
    };
    with_headers_of(problem, html(problem.status(), &page))
}

/// The problem in the words of the API, with the name of the parameter that it is about.
pub(super) fn words(problem: &Problem) -> String {
    match problem.about() {
        Some("search") | None => problem.detail().to_owned(),
        Some(name) => format!("{name}: {}", problem.detail()),
    }
}

/// Whether a visitor follows a link of another site, from a chat or a ticket. With such a request a
/// browser doesn't send a cookie that is `SameSite=Strict`.
fn comes_by_link_of_others(head: &Parts) -> bool {
    let is = |name: &str, values: &[&str]| {
        let given = head.headers.get(name).and_then(|value| value.to_str().ok());
        given.is_some_and(|given| values.contains(&given))
    };
    is("sec-fetch-site", &["cross-site", "same-site"])
        && is("sec-fetch-mode", &["navigate"])
        && any_session_cookie(head).is_none()
        && !head.headers.contains_key(header::AUTHORIZATION)
        && head.uri.path() != "/sign-in"
}

/// The page that loads itself again, now as a page of this server, so that the cookie is sent.
#[derive(Template)]
#[template(path = "again.html")]
struct AgainPage;

/// The answer about a problem, with the headers that the problem has.
pub(super) fn with_headers_of(problem: &Problem, mut response: Response) -> Response {
    let headers = problem.headers().iter().cloned();
    response.headers_mut().extend(headers);
    response
}

/// The path that the console is mounted at, of a request to one of its pages.
pub(super) fn mount(head: &Parts) -> String {
    let whole = path(head);
    let inner = match head.extensions.get::<OriginalUri>() {
        Some(_) => head.uri.path(),
        None => whole,
    };
    let mount = whole.strip_suffix(inner).unwrap_or(whole);
    match mount.trim_matches('/') {
        "" => String::new(),
        mount => format!("/{mount}"),
    }
}

/// The path of something below the mount: of a page, perhaps with a query. The page of entries has
/// the path of the mount itself, because a nested router gets no request that ends in `/`.
pub(super) fn below(mount: &str, path: &str) -> String {
    match path.as_bytes().first() {
        None | Some(b'?') if !mount.is_empty() => format!("{mount}{path}"),
        _ => format!("{mount}/{path}"),
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'a str,
    detail: String,
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    // Templates write into memory, and show texts and numbers only.
    let text = page.render().unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with that, browsers send forms from no origin.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (status, headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::Request;

    use super::*;
    use crate::{AuditLog, http::RouterOptions, query::StatsQuery, server::state::App};

    impl Visit {
        /// Of the first page of this log's console.
        pub(in crate::server::console) fn of(log: &AuditLog) -> Self {
            let app = App::new(log.dir(), Some(log.clone()), RouterOptions::new()).unwrap();
            let slot = Arc::clone(&app.requests).try_acquire_owned().unwrap();
            Self {
                app,
                head: Request::get("/").body(()).unwrap().into_parts().0,
                slot: Slot(Arc::new(slot)),
            }
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let log = AuditLog::for_tests();
        let visit = Visit::of(&log);
        let read = |limit| visit.read_within(limit, |reader| reader.stats(&StatsQuery::default()));
        let hour = Duration::from_secs(3600);
        assert!(read(hour).await.unwrap().is_some());
        assert!(read(Duration::ZERO).await.unwrap().is_none());
        let failing = visit.read_within(hour, |_| Err::<(), _>(crate::Error::Closed));
        assert!(failing.await.is_err());
    }
}
