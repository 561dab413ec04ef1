//! Pages of entries, and single ones.

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State as Shared},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    access::Scope,
    cursors, params,
    problem::Problem,
    state::{Slot, State, path},
};
use crate::{
    entry::Timestamp,
    query::{AuditReader, Filter, Page, PageStart, Query, Scanned},
};

/// Beyond it, skipping costs more than it helps: a cursor costs the same anywhere.
const MAX_OFFSET: usize = 10_000;

/// The most bytes that the entries of a page have: a page is in memory until it was sent.
const MAX_BYTES: usize = 8 << 20;

/// `GET /entries`
pub(super) async fn page(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    let given = params::parse(request.uri.query())?;
    let params = cursors::open(&app, &asker, slot.clone(), asker.narrow(&given)?).await?;
    let mut query = Query::parse(params)?;
    query.max_bytes = MAX_BYTES;
    if matches!(query.start, PageStart::Offset(offset) if offset > MAX_OFFSET) {
        let detail = format!(
            "it must be a number from 0 to {MAX_OFFSET}; to go further, use cursor=<next_cursor>"
        );
        return Err(Problem::parameter("offset", detail));
    }
    let reader = app.reader.clone();
    let tenant = asker.access.tenant.clone();
    let of_app = State::clone(&app);
    let room = app.memory.room(MAX_BYTES).await?;
    let (page, hints, mut room) = app
        .blocking(slot.clone(), move |cancel| {
            let page = reader.cancelled_by(cancel).page(&query)?;
            let hints = hints(&reader, &query, &page);
            let page = of_app.cursors.seal(tenant.as_deref(), page)?;
            // Also when the client is gone, the page has its room as long as it is there.
            Ok((page, hints, room))
        })
        .await?;
    let page = asker.narrow_page(page);
    let bytes = page.entries.iter().map(|entry| entry.line().len()).sum();
    room.fit(bytes)?;
    let of_caller = app.take_page_bytes(bytes, &request, &asker)?;
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
    let links = links(path(&request), request.uri.query(), &page.next_cursor);
    let held = (slot, room, of_caller);
    Ok((links, answer(page, &hints, held)).into_response())
}

/// The longest header of links: a cursor may be long, and clients take no longer headers.
const MAX_LINKS: usize = 6 * 1024;

/// The next and the first page as `Link` (RFC 8288). The body has the next one as well.
fn links(path: &str, query: Option<&str>, next_cursor: &str) -> HeaderMap {
    let parts = query.unwrap_or_default().split('&');
    let is_place = |part: &&str| {
        let name = part.split_once('=').map_or(*part, |(name, _)| name);
        matches!(name, "" | "cursor" | "offset")
    };
    let mut kept: Vec<&str> = parts.filter(|part| !is_place(part)).collect();
    let first = kept.join("&");
    let cursor = format!("cursor={next_cursor}");
    kept.push(&cursor);
    let next = kept.join("&");
    let text = format!("<{path}?{next}>; rel=\"next\", <{path}?{first}>; rel=\"first\"");
    let link = HeaderValue::try_from(text)
        .ok()
        .filter(|link| link.len() <= MAX_LINKS);
    link.map(|link| (header::LINK, link)).into_iter().collect()
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
    // An entry of another tenant is not found, and is not even looked for.
    let filter = Filter::parse(asker.narrow(&[])?)?;
    let found = app
        .blocking(slot, move |cancel| {
            reader.cancelled_by(cancel).get_of(filter, wanted)
        })
        .await?;
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

/// Why the page may be empty. A catalogue that can't be read gives no hints, and is no reason to
/// refuse the page.
fn hints(reader: &AuditReader, query: &Query, page: &Page) -> Vec<String> {
    if page.entries.is_empty() {
        reader.hints(&query.filter).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// The members of a page after the entries.
#[derive(Serialize)]
struct After<'a> {
    next_cursor: &'a str,
    has_more: bool,
    complete_until: Option<Timestamp>,
    scanned: &'a Scanned,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hints: &'a [String],
}

/// The page as JSON in pieces, each entry as it was stored.
pub(super) fn json(page: Page, hints: &[String]) -> Vec<Bytes> {
    let after = After {
        next_cursor: &page.next_cursor,
        has_more: page.has_more,
        complete_until: page.complete_until,
        scanned: &page.scanned,
        hints,
    };
    // Texts and numbers can always be written.
    let after = serde_json::to_vec(&after).unwrap_or_default();
    let mut parts = vec![Bytes::from_static(b"{\"entries\":[")];
    for (n, entry) in page.entries.into_iter().enumerate() {
        if n > 0 {
            parts.push(Bytes::from_static(b","));
        }
        parts.push(Bytes::from(entry.into_line()));
    }
    parts.push(Bytes::from_static(b"],"));
    parts.push(Bytes::from(after).slice(1..));
    parts
}

/// The page. What it has of the server's is held until it was sent, because it is in memory until
/// then.
fn answer(page: Page, hints: &[String], held: impl Send + 'static) -> Response {
    let parts = json(page, hints);
    let len: usize = parts.iter().map(Bytes::len).sum();
    let body = Body::from_stream(tokio_stream::iter(parts.into_iter().map(move |part| {
        let _held = &held;
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
