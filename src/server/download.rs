//! `GET /export`: a range of time as one file.
//!
//! Without filters on fields, a ZIP or gzip file is planned before it is sent: its length, tag and
//! byte ranges are known, and the blocks go out as they lie on disk. Everything else is made while
//! it is sent. In any case it is whole, or it is refused or breaks off.

use std::{io, ops::Range, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State as Shared},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    access::Scope,
    body::body,
    ending::{Ending, Entries},
    filtered,
    params::{self, take},
    plans::Planned,
    problem::Problem,
    range::{self, Wanted},
    state::{Asker, Slot, State},
};
use crate::{
    entry::{OwnEntry, Timestamp},
    export::{ExportFormat, filtered::Filtered, pieces::Download, plan::Plan},
    query::{Filter, Order},
};

/// The parameters of a download that are not the filter's.
const OWN: [&str; 4] = ["format", "order", "details", "bom"];

/// A download that is asked for.
struct Asked {
    format: ExportFormat,
    order: Order,
    filter: Filter,
    is_of_all_tenants: bool,
    name: String,
}

impl Asked {
    fn parse(asker: &Asker, given: &[(String, String)]) -> Result<Self, Problem> {
        let mut params = given.to_vec();
        let format = take_format(&mut params)?;
        let order = match take(&mut params, "order")? {
            None => Order::Asc,
            Some(order) if !format.is_copied() => order.parse()?,
            Some(_) => {
                return Err(Problem::parameter(
                    "order",
                    "only format=ndjson, json and csv can be ordered; the others are in the order of \
                     time",
                ));
            }
        };
        let filter = Filter::parse_beside(&OWN, asker.narrow(&params)?)?;
        let name = file_name(&filter, format);
        Ok(Self {
            format,
            order,
            filter,
            is_of_all_tenants: asker.access.tenant.is_none(),
            name,
        })
    }

    /// Whether it is made while it is sent.
    fn is_streamed(&self) -> bool {
        !self.format.is_copied() || self.filter.has_field_filters()
    }

    /// Its parameters, by which its plan is found again.
    fn question(&self) -> String {
        format!("{} {:?}", self.format.as_str(), self.filter.params())
    }

    fn filtered(&self, app: &State) -> Filtered {
        Filtered {
            reader: app.reader.clone(),
            filter: self.filter.clone(),
            order: self.order,
            format: self.format,
            names_files: self.is_of_all_tenants,
            entries: Arc::default(),
        }
    }
}

/// Takes the format, ZIP if none is given, and the form of CSV.
fn take_format(params: &mut Vec<(String, String)>) -> Result<ExportFormat, Problem> {
    let format = take(params, "format")?;
    let mut format: ExportFormat = format.as_deref().unwrap_or("zip").parse()?;
    let details = take(params, "details")?;
    let bom = take(params, "bom")?;
    if let ExportFormat::Csv(options) = &mut format {
        options.details = details.as_deref().unwrap_or("json").parse()?;
        options.bom = match bom.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::parameter("bom", "it must be true or false")),
        };
        return Ok(format);
    }
    for (name, given) in [("details", details), ("bom", bom)] {
        if given.is_some() {
            return Err(Problem::parameter(name, "only format=csv takes it"));
        }
    }
    Ok(format)
}

/// One request for a download.
struct Request<'a> {
    app: &'a State,
    slot: Slot,
    head: &'a Parts,
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
        let wanted = range::condition(&self.head.headers, None).unwrap_or(Wanted::Whole);
        let status = wanted.status();
        let gives = wanted == Wanted::Whole && !self.is_head();
        let download = gives.then(|| download_slot(self.app)).transpose()?;
        let entry = self.exported.detail("status", status.as_u16());
        self.app.recorder.record(&entry)?;
        match wanted {
            Wanted::Whole => {}
            Wanted::Changed => return Err(changed()),
            _ => return Ok(status.into_response()),
        }
        let headers = headers(&self.asked);
        let Some(download) = download else {
            // Of no known length, as the answer to GET.
            let nothing = tokio_stream::empty::<io::Result<Bytes>>();
            return Ok((headers, Body::from_stream(nothing)).into_response());
        };
        let wanted = self.asked.filtered(self.app);
        let entries = Entries::Counted(Arc::clone(&wanted.entries));
        let ending = Ending::new(self.app, self.ended, None, entries);
        let content = filtered::stream(self.app, [self.slot, download], ending, wanted);
        Ok((headers, content).into_response())
    }

    /// A file whose length, version and parts are known.
    async fn planned(self) -> Result<Response, Problem> {
        let question = self.asked.question();
        let planned = self.plan(&question).await?;
        let (len, etag) = (planned.file.len(), planned.etag());
        let wanted = self.wanted(&planned, &question);
        let status = wanted.status();
        let part = match &wanted {
            Wanted::Whole => 0..len,
            Wanted::Part(part) => part.clone(),
            _ => 0..0,
        };
        let gives = !self.is_head() && !part.is_empty();
        let download = gives.then(|| download_slot(self.app)).transpose()?;
        let entry = self
            .exported
            .detail("status", status.as_u16())
            .detail("entries", planned.lines)
            .detail("bytes", part.end - part.start);
        self.app.recorder.record(&entry)?;
        let tag = HeaderValue::try_from(&etag)
            .expect("hexadecimal digits in quotes may stand in a header");
        let mut response = match wanted {
            Wanted::Nothing => return Err(not_satisfiable(len).with(header::ETAG, tag)),
            Wanted::Changed => return Err(changed().with(header::ETAG, tag)),
            Wanted::Known => status.into_response(),
            Wanted::Whole | Wanted::Part(_) => {
                let content = match download {
                    Some(download) => {
                        self.app.plans.give(&question, &etag);
                        let ending = ending(self.app, self.ended, &planned, &part);
                        let file = planned.file;
                        send(self.app, [self.slot, download], ending, file, part.clone())
                    }
                    None => Body::empty(),
                };
                let content_len = [(
                    header::CONTENT_LENGTH,
                    HeaderValue::from(part.end - part.start),
                )];
                (status, headers(&self.asked), content_len, content).into_response()
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

    /// What is wanted of the planned file. Only `GET` has ranges.
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
        let planned = plan(self.app, self.slot.clone(), &self.asked).await?;
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

fn changed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "Another version",
        "the file is not one of those that If-Match names; download it from its beginning",
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

async fn plan(app: &State, slot: Slot, asked: &Asked) -> Result<Planned, Problem> {
    let now = Timestamp::now();
    let (filter, format) = (&asked.filter, asked.format);
    let range = filter.start().unwrap_or(Timestamp::MIN)..filter.end().unwrap_or(Timestamp::MAX);
    let files = Arc::clone(app.reader.files());
    app.blocking(slot, move |_| {
        let past = range.end <= now;
        let plan = Plan::new(&files, range)?;
        plan.check_whole()?;
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

fn send(
    app: &State,
    slots: [Slot; 2],
    ending: Ending,
    file: Arc<Download>,
    part: Range<u64>,
) -> Body {
    body(app, slots, ending, move |writer| {
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

fn headers(asked: &Asked) -> [(header::HeaderName, HeaderValue); 2] {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}\"", asked.name))
        .expect("the name has letters, digits and dashes");
    let media_type = HeaderValue::from_static(asked.format.media_type());
    [
        (header::CONTENT_TYPE, media_type),
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
    format!("audit-{from}-{to}{filtered}.{}", format.ending())
}
