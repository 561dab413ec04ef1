//! The page of the health: whether the log takes events, and what to do if not.
//!
//! ```text
//! advice     what to do about a problem
//! streams    what the directory has: streams, files, up to when the log is complete
//! ```

mod advice;
mod streams;

use askama::Template;
use axum::{http::StatusCode, response::Response};

use self::streams::{LogState, Stream};
use super::{
    frame::Frame,
    text::{Time, bytes, number, shown},
    visit::{Visit, html},
};
use crate::{
    entry::Timestamp,
    log::AuditLog,
    server::{access::Scope, admin::AdminRequest, probes, problem::Problem},
};

/// `GET /health`: what `/readyz` and `/metrics` say, for people.
pub(super) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = make(&visit, &request).await;
    visit.answer(page)
}

async fn make(visit: &Visit, request: &AdminRequest) -> Result<Response, Problem> {
    let asker = visit.app.admit_for_all_tenants(&visit.head, Scope::Read)?;
    request.refuse_parameters()?;
    let state = request.read(|app, _| LogState::read(&app.reader)).await?;
    let now = Timestamp::now();
    let problems = probes::problems(&visit.app);
    let page = HealthPage {
        frame: visit.frame(Some(&asker.access)),
        problems: problems.iter().map(|text| Trouble::new(text)).collect(),
        process: visit.app.log.as_ref().map(|log| Process::new(log, now)),
        complete_until: state.complete_until.map(|time| Time::new(time, now)),
        last_sealed: state.last_sealed.map(|time| Time::new(time, now)),
        live: files(state.live_files, state.live_bytes),
        sealed: number(state.sealed_files),
        streams: state.streams,
        dispatcher: dispatcher(request, now).await?,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    frame: Frame,
    problems: Vec<Trouble>,
    process: Option<Process>,
    complete_until: Option<Time>,
    last_sealed: Option<Time>,
    live: String,
    sealed: String,
    streams: Vec<Stream>,
    dispatcher: Option<String>,
}

/// A problem, and what to do about it.
struct Trouble {
    text: String,
    advice: Option<&'static str>,
}

impl Trouble {
    fn new(text: &str) -> Self {
        Self {
            text: shown(text),
            advice: advice::about(text),
        }
    }
}

/// The process that answers, and its own stream.
struct Process {
    stream: String,
    journal: Option<Fill>,
    free: Option<String>,
    last_sync: Option<Time>,
    facts: Vec<(&'static str, String)>,
}

/// How full the journal is.
struct Fill {
    percent: u64,
    text: String,
}

impl Process {
    fn new(log: &AuditLog, now: Timestamp) -> Self {
        let counters = log.counters();
        let synced = i64::try_from(counters.last_sync_micros).unwrap_or_default();
        let count = |name, count| (name, number(count));
        Self {
            stream: shown(log.stream().as_str()),
            journal: log.journal_fill().map(|(used, capacity)| Fill {
                percent: used * 100 / capacity.max(1),
                text: format!("{} of {}", bytes(used), bytes(capacity)),
            }),
            free: Some(counters.free_bytes)
                .filter(|free| *free > 0)
                .map(bytes),
            last_sync: (synced > 0).then(|| Time::new(Timestamp::from_micros(synced), now)),
            facts: vec![
                count("Entries written", counters.entries),
                count("Events dropped", counters.dropped),
                count("Events refused", counters.refused),
                count("Failed writes", counters.write_errors),
                count("Files waiting to be sealed", counters.seal_backlog),
                count("Files sealed", counters.sealed),
                count("Failed sealings", counters.seal_errors),
                count("Files pruned", counters.pruned),
                count("Entries recovered", counters.recovered),
            ],
        }
    }
}

fn files(count: u64, size: u64) -> String {
    format!("{} ({})", number(count), bytes(size))
}

/// The process that delivers webhooks; `None` if this program has none.
#[cfg(feature = "webhook")]
async fn dispatcher(request: &AdminRequest, now: Timestamp) -> Result<Option<String>, Problem> {
    let dispatcher = request.read(|app, _| app.reader.webhook_dispatcher());
    Ok(Some(match dispatcher.await? {
        None => "no process, now".to_owned(),
        Some(one) => {
            let since = Time::new(one.since, now).ago;
            let (source, pid, host) = (one.source, one.pid, one.host);
            shown(&format!(
                "{source}, process {pid} on {host}, which began {since}"
            ))
        }
    }))
}

#[cfg(not(feature = "webhook"))]
async fn dispatcher(_: &AdminRequest, _: Timestamp) -> Result<Option<String>, Problem> {
    Ok(None)
}
