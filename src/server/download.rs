//! `GET /export`: a range of time as one file.
//!
//! Without filters on fields, a ZIP or gzip file is planned before it is sent: its length, tag and
//! byte ranges are known, and the blocks go out as they lie on disk. The plans of the last
//! downloads are kept for some minutes: the log goes on, if only with the entry about the download,
//! so a later plan of today would be another file, and a download that was cut off could not be
//! resumed.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Extension, State as Shared},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    access::Scope,
    body::body,
    filtered,
    params::{self, take},
    problem::Problem,
    range::{self, Wanted},
    state::{Slot, State},
};
use crate::{
    entry::Timestamp,
    export::{ExportFormat, filtered::Filtered, pieces::Download, plan::Plan},
    query::{Filter, Order},
};

/// How many plans are kept, and for how long after their last use.
const KEPT: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// A planned file.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    file: Arc<Download>,
    lines: u64,
    /// The same parameters always give the same file.
    fixed: bool,
}

impl Planned {
    fn etag(&self) -> String {
        format!("\"{}\"", self.file.etag())
    }
}

/// The plans of the last downloads.
#[derive(Debug, Default)]
pub(super) struct Plans(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The parameters of the download: a tag alone gives no access.
    question: String,
    planned: Planned,
    used: Instant,
}

impl Plans {
    fn find(&self, question: &str, etag: &str) -> Option<Planned> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|kept| kept.used.elapsed() < KEPT_FOR);
        let kept = plans
            .iter_mut()
            .find(|kept| kept.question == question && kept.planned.etag() == etag)?;
        kept.used = Instant::now();
        Some(kept.planned.clone())
    }

    fn keep(&self, question: String, planned: Planned) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|kept| {
            kept.used.elapsed() < KEPT_FOR && kept.planned.file.etag() != planned.file.etag()
        });
        if plans.len() >= KEPT {
            plans.pop_front();
        }
        plans.push_back(Kept {
            question,
            planned,
            used: Instant::now(),
        });
    }
}

/// `GET /export`, and `HEAD` of it.
pub(super) async fn export(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    method: Method,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Export)?;
    let given = params::parse(request.uri.query())?;
    let mut params = given.clone();
    let format: ExportFormat = take(&mut params, "format")?
        .as_deref()
        .unwrap_or("zip")
        .parse()?;
    let order = take(&mut params, "order")?;
    let filter = Filter::parse_beside(&["format", "order"], asker.narrow(&params)?)?;
    let entry = asker
        .record(
            "audit.access.exported",
            "Entries of the audit log were downloaded",
            &given,
        )
        .detail("method", method.as_str())
        .detail("format", format.as_str());
    let name = file_name(&filter, format);

    let order = match order {
        None => Order::Asc,
        Some(order) if format == ExportFormat::Ndjson => order.parse()?,
        Some(_) => {
            return Err(Problem::parameter(
                "order",
                "only format=ndjson can be ordered; a file is in the order of time",
            ));
        }
    };

    if format == ExportFormat::Ndjson || filter.has_field_filters() {
        let download = download_slot(&app)?;
        app.recorder.record(&entry.detail("status", 200))?;
        let wanted = Filtered {
            reader: app.reader.clone(),
            filter,
            order,
            format,
        };
        let content = match method {
            Method::HEAD => Body::empty(),
            _ => filtered::stream(&app, [slot, download], wanted),
        };
        return Ok((headers(format, &name), content).into_response());
    }

    let planned = planned(&app, &slot, &request.headers, &filter, format).await?;
    let (len, etag) = (planned.file.len(), planned.etag());
    let wanted = range::wanted(&request.headers, len, &etag, planned.fixed);
    let (status, part) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..len),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        Wanted::Known => (StatusCode::NOT_MODIFIED, 0..0),
    };
    let gives = method != Method::HEAD && !part.is_empty();
    let download = gives.then(|| download_slot(&app)).transpose()?;
    app.recorder.record(
        &entry
            .detail("status", status.as_u16())
            .detail("entries", planned.lines)
            .detail("bytes", part.end - part.start),
    )?;
    let tag =
        HeaderValue::try_from(etag).expect("hexadecimal digits in quotes may stand in a header");
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Err(not_satisfiable(len, tag));
    }
    let mut response = match status {
        StatusCode::NOT_MODIFIED => status.into_response(),
        _ => {
            let content_len = HeaderValue::from(part.end - part.start);
            let content_len = [(header::CONTENT_LENGTH, content_len)];
            let content = match download {
                Some(download) => send(&app, [slot, download], planned.file, part.clone()),
                None => Body::empty(),
            };
            (status, headers(format, &name), content_len, content).into_response()
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

fn not_satisfiable(len: u64, tag: HeaderValue) -> Problem {
    let detail = format!("the file has {len} bytes");
    Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "Range not satisfiable",
        detail,
    )
    .with(header::CONTENT_RANGE, digits(format!("bytes */{len}")))
    .with(header::ETAG, tag)
}

fn digits(range: String) -> HeaderValue {
    HeaderValue::try_from(range).expect("digits may stand in a header")
}

/// The plan that the request's tag stands for, if it is still kept, else a new one.
async fn planned(
    app: &State,
    slot: &Slot,
    headers: &HeaderMap,
    filter: &Filter,
    format: ExportFormat,
) -> Result<Planned, Problem> {
    let question = format!("{} {:?}", format.as_str(), filter.params());
    let known = range::if_range(headers).and_then(|etag| app.plans.find(&question, etag));
    if let Some(planned) = known {
        return Ok(planned);
    }
    let planned = plan(app, slot.clone(), filter, format).await?;
    app.plans.keep(question, planned.clone());
    Ok(planned)
}

async fn plan(
    app: &State,
    slot: Slot,
    filter: &Filter,
    format: ExportFormat,
) -> Result<Planned, Problem> {
    let now = Timestamp::now();
    let range = filter.start().unwrap_or(Timestamp::MIN)..filter.end().unwrap_or(Timestamp::MAX);
    let files = Arc::clone(app.reader.files());
    app.blocking(slot, move |_| {
        let past = range.end <= now;
        let plan = Plan::new(&files, range)?;
        let (lines, fixed) = (plan.lines(), plan.immutable() && past);
        let file = match format {
            ExportFormat::Gzip => plan.into_gzip(),
            _ => plan.into_zip()?,
        };
        Ok(Planned {
            file: Arc::new(file),
            lines,
            fixed,
        })
    })
    .await
}

fn send(app: &State, slots: [Slot; 2], file: Arc<Download>, part: Range<u64>) -> Body {
    body(app, slots, move |writer| {
        file.read_range(part)
            .chunks()
            .try_for_each(|chunk| writer.send(chunk?))
    })
}

fn download_slot(app: &State) -> Result<Slot, Problem> {
    let slot = Arc::clone(&app.downloads)
        .try_acquire_owned()
        .map_err(|_| {
            app.counts
                .shed
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Problem::busy("too many downloads are running; try again when one of them has ended")
        })?;
    Ok(Slot(Arc::new(slot)))
}

fn headers(format: ExportFormat, name: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
        .expect("the name has letters, digits and dashes");
    [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(media_type(format)),
        ),
        (header::CONTENT_DISPOSITION, disposition),
    ]
}

/// `audit-2026-11-01-2026-11-30.zip`: the first and the last day, made of our own texts only.
fn file_name(filter: &Filter, format: ExportFormat) -> String {
    let day = |time: Timestamp| time.day().to_string();
    let from = filter.start().map_or_else(|| "begin".to_owned(), day);
    // The end itself is outside.
    let to = filter.end().map_or_else(
        || day(Timestamp::now()),
        |end| day(Timestamp::from_micros(end.as_micros() - 1)),
    );
    let filtered = if filter.has_field_filters() {
        "-filtered"
    } else {
        ""
    };
    let ending = match format {
        ExportFormat::Zip => "zip",
        ExportFormat::Gzip => "jsonl.gz",
        ExportFormat::Ndjson => "jsonl",
    };
    format!("audit-{from}-{to}{filtered}.{ending}")
}

fn media_type(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Zip => "application/zip",
        ExportFormat::Gzip => "application/gzip",
        ExportFormat::Ndjson => "application/x-ndjson",
    }
}
