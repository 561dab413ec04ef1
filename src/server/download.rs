//! `GET /export`: a range of time as one file.
//!
//! Without filters on fields, a ZIP or gzip file is planned before it is sent: its length, tag and
//! byte ranges are known, and the blocks go out as they lie on disk. Everything else is made while
//! it is sent. In any case it is whole, or it is refused or breaks off.

use std::{
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State as Shared},
    http::{HeaderValue, Method, StatusCode, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    access::Scope,
    asked::Asked,
    body::body,
    ending::{Ending, Entries, is_client_gone},
    filtered,
    limits::Held,
    params,
    plans::Planned,
    problem::Problem,
    range::{self, Wanted},
    state::{Asker, Slot, State},
};
use crate::entry::OwnEntry;

/// Held until a download has ended.
type DownloadSlot = (OwnedSemaphorePermit, Held);

/// One request for a download.
struct Request<'a> {
    app: &'a State,
    slot: Slot,
    head: &'a Parts,
    asker: Asker,
    asked: Asked,
    /// The beginnings of the entries about it.
    exported: OwnEntry,
    ended: OwnEntry,
}

/// `GET /export`, and `HEAD` of it.
pub(super) async fn export(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    head: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&head, Scope::Export)?;
    let given = params::parse(head.uri.query())?;
    let asked = Asked::parse(&asker, &given)?;
    let format = asked.format.as_str();
    let exported = asker.record(
        "audit.access.exported",
        "Entries of the audit log were downloaded",
        &given,
    );
    let ended = asker.record(
        "audit.access.export_ended",
        "A download of entries of the audit log ended",
        &given,
    );
    let request = Request {
        app: &app,
        slot,
        head: &head,
        asker,
        exported: exported
            .detail("method", head.method.as_str())
            .detail("format", format),
        ended: ended.detail("format", format),
        asked,
    };
    if request.asked.is_streamed() {
        request.streamed()
    } else {
        request.planned().await
    }
}

impl Request<'_> {
    fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// A file that is made while it is sent: neither its length nor its version is known, so it has
    /// no parts.
    fn streamed(self) -> Result<Response, Problem> {
        if self.head.version < Version::HTTP_11 && !self.asked.format.shows_its_end() {
            return Err(too_old());
        }
        let wanted = range::condition(&self.head.headers, None).unwrap_or(Wanted::Whole);
        let status = wanted.status();
        let gives = wanted == Wanted::Whole && !self.is_head();
        let download = gives.then(|| self.download_slot()).transpose()?;
        let entry = self.exported.detail("status", status.as_u16());
        self.app.recorder.record(&entry)?;
        match wanted {
            Wanted::Whole => {}
            Wanted::Changed => return Err(changed()),
            _ => return Ok(status.into_response()),
        }
        let headers = self.asked.headers();
        let Some(download) = download else {
            // A body of no known length, as in the answer to GET.
            let nothing = tokio_stream::empty::<io::Result<Bytes>>();
            return Ok((headers, Body::from_stream(nothing)).into_response());
        };
        let wanted = self.asked.filtered(self.app);
        let entries = Entries::Counted(Arc::clone(&wanted.entries));
        let ending = Ending::new(self.app, self.ended, None, entries);
        let content = filtered::stream(self.app, (self.slot, download), ending, wanted);
        Ok((headers, content).into_response())
    }

    /// A file whose length, version and parts are known.
    async fn planned(self) -> Result<Response, Problem> {
        let question = self.asked.question();
        let planned = self.plan(&question).await?;
        let len = planned.file.len();
        let wanted = self.wanted(&planned, &question);
        let status = wanted.status();
        let part = match &wanted {
            Wanted::Whole => 0..len,
            Wanted::Part(part) => part.clone(),
            _ => 0..0,
        };
        let gives = !self.is_head() && !part.is_empty();
        let download = gives.then(|| self.download_slot()).transpose()?;
        self.record_planned(status, &planned, &part)?;
        let tag = HeaderValue::try_from(planned.etag())
            .expect("hexadecimal digits in quotes may stand in a header");
        let mut response = match wanted {
            Wanted::Nothing => return Err(not_satisfiable(len).with(header::ETAG, tag)),
            Wanted::Changed => return Err(changed().with(header::ETAG, tag)),
            Wanted::Known => status.into_response(),
            Wanted::Whole | Wanted::Part(_) => {
                let content_len = HeaderValue::from(part.end - part.start);
                let content_len = [(header::CONTENT_LENGTH, content_len)];
                let headers = self.asked.headers();
                let content = match download {
                    Some(download) => self.send(download, planned, &question, part.clone()),
                    None => Body::empty(),
                };
                (status, headers, content_len, content).into_response()
            }
        };
        let answer = response.headers_mut();
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            answer.insert(header::CONTENT_RANGE, digits(range));
        }
        answer.insert(header::ETAG, tag);
        answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Ok(response)
    }

    /// One of the downloads that the caller may have at once, and of those that all may have.
    fn download_slot(&self) -> Result<DownloadSlot, Problem> {
        let app = self.app;
        let of_caller = app.take_one(&app.limits.downloads, self.head, &self.asker)?;
        let of_all = Arc::clone(&app.downloads).try_acquire_owned();
        let of_all = of_all.map_err(|_| {
            app.counts.shed.fetch_add(1, Ordering::Relaxed);
            Problem::busy("too many downloads are running; try again when one of them has ended")
        })?;
        Ok((of_all, of_caller))
    }

    fn record_planned(
        &self,
        status: StatusCode,
        planned: &Planned,
        part: &Range<u64>,
    ) -> Result<(), Problem> {
        let entry = self.exported.clone();
        let entry = entry
            .detail("status", status.as_u16())
            .detail("entries", planned.lines)
            .detail("bytes", part.end - part.start);
        self.app.recorder.record(&entry)
    }

    fn send(
        self,
        download: DownloadSlot,
        planned: Planned,
        question: &str,
        part: Range<u64>,
    ) -> Body {
        let app = State::clone(self.app);
        app.plans.give(question, &planned.etag());
        let ending = ending(&app, self.ended, &planned, &part);
        body(self.app, (self.slot, download), ending, move |writer| {
            let mut chunks = planned.file.read_range(part).chunks();
            let sent = chunks.try_for_each(|chunk| writer.send(chunk?));
            if sent.as_ref().is_err_and(|error| !is_client_gone(error)) {
                // Whoever asks again should get a file that can be had.
                app.plans.forget(&planned);
            }
            sent
        })
    }

    /// The part of the planned file that the request wants. Only `GET` has ranges.
    fn wanted(&self, planned: &Planned, question: &str) -> Wanted {
        let (headers, etag) = (&self.head.headers, planned.etag());
        if self.is_head() {
            return range::condition(headers, Some(&etag)).unwrap_or(Wanted::Whole);
        }
        let fixed = planned.fixed && self.app.plans.gave_only(question, &etag);
        range::wanted(headers, planned.file.len(), &etag, fixed)
    }

    /// The plan that a tag of the request stands for, if it is still kept, else a new one.
    async fn plan(&self, question: &str) -> Result<Planned, Problem> {
        let plans = &self.app.plans;
        let mut tags = range::tags(&self.head.headers);
        if let Some(planned) = tags.find_map(|etag| plans.find(question, etag)) {
            return Ok(planned);
        }
        let planned = self.asked.plan(self.app, self.slot.clone()).await;
        let planned = planned.inspect_err(|problem| {
            Ending::refused(self.app, self.ended.clone(), problem.detail());
        })?;
        plans.keep(question.to_owned(), planned.clone());
        Ok(planned)
    }
}

fn ending(app: &State, ended: OwnEntry, planned: &Planned, part: &Range<u64>) -> Ending {
    let len = part.end - part.start;
    let entries = if len == planned.file.len() {
        Entries::InAll(planned.lines)
    } else {
        Entries::Unknown
    };
    let ended = ended
        .detail("start", part.start)
        .detail("length", planned.file.len());
    Ending::new(app, ended, Some(len), entries)
}

/// Before HTTP/1.1, a body of no known length ends with the connection, however that ends. So a
/// part would look like the whole.
fn too_old() -> Problem {
    Problem::new(
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        "HTTP/1.1 is needed",
        "over HTTP/1.0, the end of this download can't be told from a broken connection; let the \
         client or the proxy use HTTP/1.1 (nginx: proxy_http_version 1.1), or take another format",
    )
}

fn changed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "The file has changed",
        "the file is no longer the one that If-Match names; download it from the beginning, without \
         If-Match",
    )
}

fn not_satisfiable(len: u64) -> Problem {
    let detail = format!("the file has {len} bytes");
    Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "Range not satisfiable",
        detail,
    )
    .with(header::CONTENT_RANGE, digits(format!("bytes */{len}")))
}

fn digits(range: String) -> HeaderValue {
    HeaderValue::try_from(range).expect("digits may stand in a header")
}
