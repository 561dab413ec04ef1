//! Pages of entries, and single ones.

use std::collections::VecDeque;

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State as Shared},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    access::Scope,
    params,
    problem::Problem,
    state::{Slot, State},
};
use crate::query::{Page, PageStart, Query};

/// Beyond it, skipping costs more than it helps: a cursor costs the same anywhere.
const MAX_OFFSET: usize = 10_000;

/// `GET /entries`
pub(super) async fn page(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    let given = params::parse(request.uri.query())?;
    let query = Query::parse(asker.narrow(&given)?)?;
    if matches!(query.start, PageStart::Offset(offset) if offset > MAX_OFFSET) {
        let detail = format!(
            "it must be a number from 0 to {MAX_OFFSET}; to go further, use cursor=<next_cursor>"
        );
        return Err(Problem::parameter("offset", detail));
    }
    let reader = app.reader.clone();
    let page = app
        .blocking(slot.clone(), move |cancel| {
            reader.cancelled_by(cancel).page(&query)
        })
        .await?;
    let page = asker.narrow_page(page);
    let entry = asker.record(
        "audit.access.read",
        "Entries of the audit log were read",
        &given,
    );
    app.recorder.record(
        &entry
            .detail("status", 200)
            .detail("entries", page.entries.len()),
    )?;
    Ok(answer(page, slot))
}

/// `GET /entries/{id}`
pub(super) async fn one(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    if let Some((name, _)) = params::parse(request.uri.query())?.first() {
        return Err(Problem::parameter(name, "one entry takes no parameters"));
    }
    let id = request.uri.path().rsplit('/').next().unwrap_or_default();
    let wanted: Uuid = id
        .parse()
        .map_err(|_| Problem::parameter("id", "it must be an entry's id, a UUID"))?;
    let reader = app.reader.clone();
    let found = app
        .blocking(slot, move |cancel| reader.cancelled_by(cancel).get(wanted))
        .await?;
    // An entry of another tenant is not found.
    let found = found.filter(|entry| {
        asker
            .access
            .tenant
            .as_ref()
            .is_none_or(|tenant| entry.tenant_id() == tenant.as_str())
    });
    let status = if found.is_some() { 200 } else { 404 };
    let entry = asker.record(
        "audit.access.read",
        "An entry of the audit log was read",
        &[("id".to_owned(), wanted.to_string())],
    );
    app.recorder.record(
        &entry
            .detail("status", status)
            .detail("entries", u8::from(found.is_some())),
    )?;
    match found {
        Some(entry) => Ok((
            [(header::CONTENT_TYPE, "application/json")],
            entry.into_line(),
        )
            .into_response()),
        None => Err(Problem::not_found("there is no entry with this id")),
    }
}

/// The page as JSON, each entry as it was stored. The slot is held until the page was sent, because
/// the page is in memory until then.
fn answer(page: Page, slot: Slot) -> Response {
    let mut parts = VecDeque::new();
    let mut rest = b"{\"entries\":[".to_vec();
    for (n, entry) in page.entries.into_iter().enumerate() {
        if n > 0 {
            rest.push(b',');
        }
        if !rest.is_empty() {
            parts.push_back(Bytes::from(std::mem::take(&mut rest)));
        }
        parts.push_back(Bytes::from(entry.into_line()));
    }
    rest.extend_from_slice(b"],\"next_cursor\":");
    let end = (
        serde_json::to_vec(&page.next_cursor),
        serde_json::to_vec(&page.scanned),
    );
    let (Ok(cursor), Ok(scanned)) = end else {
        return Problem::busy("the page could not be written").into_response();
    };
    rest.extend([cursor, b",\"scanned\":".to_vec(), scanned, b"}".to_vec()].concat());
    parts.push_back(Bytes::from(rest));
    let len: usize = parts.iter().map(Bytes::len).sum();
    let body = Body::from_stream(tokio_stream::iter(parts.into_iter().map(move |part| {
        let _held = &slot;
        Ok::<_, std::convert::Infallible>(part)
    })));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CONTENT_LENGTH, len.into()),
    ];
    (headers, body).into_response()
}
