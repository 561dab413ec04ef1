//! The rules for every request: its limits, its id, and the headers of its answer.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State as Shared},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time;
use uuid::Uuid;

#[cfg(feature = "console")]
use super::console;
use super::{
    admin,
    allowance::Allowance,
    params::MAX_QUERY,
    problem::Problem,
    state::{REQUEST_ID, Slot, State},
};

/// Marks a request on a connection beyond the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyProbes;

pub(super) async fn guard(
    Shared(app): Shared<State>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(&REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        !id.is_empty() && id.len() <= 128 && id.iter().all(u8::is_ascii_graphic)
    });
    let id = given.cloned().unwrap_or_else(|| {
        let random = Uuid::from_u128(fastrand::u128(..)).simple().to_string();
        HeaderValue::try_from(random).expect("hexadecimal digits may stand in a header")
    });
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let allowance = Allowance::default();
    request.extensions_mut().insert(allowance.clone());
    #[cfg(feature = "console")]
    let page = console::head_of_page(&request);
    #[cfg(not(feature = "console"))]
    let page = None::<()>;
    let mut response = match admit(&app, request, next).await {
        Ok(response) => response,
        Err(problem) => match page {
            #[cfg(feature = "console")]
            Some(head) => console::refused(&app, &head, &problem),
            _ => problem.into_response(),
        },
    };
    if let Some(count) = app
        .counts
        .by_status
        .get(usize::from(response.status().as_u16() / 100).wrapping_sub(1))
    {
        count.fetch_add(1, Ordering::Relaxed);
    }
    response.headers_mut().insert(REQUEST_ID, id);
    allowance.add_to(response.headers_mut());
    with_headers(response)
}

/// Marks an answer that is the same for everyone and never changes: caches may store it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "console"),
    allow(dead_code, reason = "only files of the console are such")
)]
pub(super) struct NeverChanges;

/// Adds the headers of every answer: no cache stores it, and no browser guesses its type.
pub(super) fn with_headers(mut response: Response) -> Response {
    let cached = match response.extensions().get::<NeverChanges>() {
        Some(_) => "public, max-age=31536000, immutable",
        None => "no-store",
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn admit(app: &State, mut request: Request, next: Next) -> Result<Response, Problem> {
    if request
        .uri()
        .query()
        .is_some_and(|query| query.len() > MAX_QUERY)
    {
        let detail = format!("the query string is longer than {MAX_QUERY} bytes; shorten it");
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "URL too long",
            detail,
        ));
    }
    if !takes_body(&request) {
        if !request.body().is_end_stream() && request.body().size_hint().upper() != Some(0) {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Body too large",
                "this path takes no body with this method; send none, and give parameters in the URL \
                 (curl does so with -G)",
            ));
        }
        *request.body_mut() = Body::empty();
    }
    // Probes must be answered when all else is busy.
    if !matches!(request.uri().path(), "/healthz" | "/readyz") {
        if request.extensions().get::<OnlyProbes>().is_some() {
            app.counts.shed.fetch_add(1, Ordering::Relaxed);
            return Err(Problem::busy(
                "too many connections have requests that are being answered; try again soon",
            ));
        }
        request = check_host(app, request)?;
        let slot = Arc::clone(&app.requests).try_acquire_owned().map_err(|_| {
            app.counts.shed.fetch_add(1, Ordering::Relaxed);
            Problem::busy("too many requests are being answered; try again soon")
        })?;
        request.extensions_mut().insert(Slot(Arc::new(slot)));
    }
    let in_time = time::timeout(app.options.request_time, next.run(request)).await;
    in_time.map_err(|_| {
        let detail = "the request took too long; ask for less, for instance a shorter range of \
            time";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Timed out", detail)
    })
}

fn check_host(app: &State, request: Request) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    app.check_host(&head)?;
    Ok(Request::from_parts(head, body))
}

/// Whether the request may have a body: requests that only read have none.
fn takes_body(request: &Request) -> bool {
    let method = request.method();
    let path = request.uri().path();
    #[cfg(feature = "webhook")]
    if super::webhooks::takes_body(method, path) {
        return true;
    }
    #[cfg(feature = "console")]
    if console::takes_body(method, path) {
        return true;
    }
    admin::takes_body(method, path)
}

pub(super) async fn no_route() -> Problem {
    nothing_here()
}

pub(super) fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this path")
}

pub(super) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "this path doesn't support this method; the Allow header names the methods that it \
         supports",
    )
}
