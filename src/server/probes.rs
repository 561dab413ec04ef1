//! The health of the server and of the log, for monitoring.

use std::{
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Extension, State as Shared},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    access::Scope,
    params,
    problem::Problem,
    state::{App, Slot, State},
};
use crate::entry::json::members;

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        "{\"status\":\"ok\"}",
    )
        .into_response()
}

/// `GET /readyz`: whether the log takes events. Anyone may ask, so the answer names no directories.
pub(super) async fn readyz(Shared(app): Shared<State>) -> Response {
    let problems = problems(&app);
    let (status, text) = if problems.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let body = members! { "status": text, "problems": problems }.to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Why the log takes no events, or no requests. The texts name no directories.
pub(super) fn problems(app: &App) -> Vec<String> {
    let mut problems = app
        .log
        .as_ref()
        .map(|log| log.health().problems)
        .unwrap_or_default();
    if let Some(problem) = app.token_problem() {
        problems.push(format!("every token is refused: {problem}"));
    }
    let root = app.layout.root();
    problems
        .iter()
        .map(|problem| hide_directories(problem, root))
        .collect()
}

/// `GET /metrics`: Prometheus' text format.
pub(super) async fn metrics(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    if !app.options.open_metrics {
        // The metrics count the entries and requests of all tenants.
        app.admit_for_all_tenants(&request, Scope::Read)?;
    }
    if let Some((name, _)) = params::parse(request.uri.query())?.first() {
        return Err(Problem::parameter(name, "metrics take no parameters"));
    }
    let mut text = app
        .log
        .as_ref()
        .map(|log| log.counters().prometheus())
        .unwrap_or_default();
    text.push_str(
        "# HELP tracing_audit_http_responses_total Responses by the class of their status.\n",
    );
    text.push_str("# TYPE tracing_audit_http_responses_total counter\n");
    for (class, count) in (1..).zip(&app.counts.by_status) {
        let count = count.load(Ordering::Relaxed);
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "tracing_audit_http_responses_total{{status=\"{class}xx\"}} {count}"
        );
    }
    let counters: [(&str, &str, &AtomicU64); 6] = [
        (
            "refused_total",
            "Requests refused because of their token, the tenant that they ask for, or their host.",
            &app.recorder.denied,
        ),
        (
            "limited_total",
            "Requests refused because their caller has asked for more than one caller may have.",
            &app.limits.refused,
        ),
        (
            "shed_total",
            "Requests refused because too many were being answered.",
            &app.counts.shed,
        ),
        (
            "unrecorded_total",
            "Requests refused because they could not be recorded.",
            &app.recorder.unrecorded,
        ),
        (
            "export_bytes_total",
            "Bytes of downloads handed to the network.",
            &app.counts.exported_bytes,
        ),
        (
            "cut_exports_total",
            "Downloads that broke off, because the log could not be read or the client didn't take them to the end.",
            &app.counts.cut_exports,
        ),
    ];
    for (name, help, count) in counters {
        let name = format!("tracing_audit_http_{name}");
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}"
        );
    }
    let unreadable = u8::from(app.token_problem().is_some());
    let _ = writeln!(
        text,
        "# HELP tracing_audit_http_tokens_unreadable Whether every token is refused because the \
         tokens can't be read.\n# TYPE tracing_audit_http_tokens_unreadable gauge\n\
         tracing_audit_http_tokens_unreadable {unreadable}"
    );
    #[cfg(feature = "webhook")]
    text.push_str(&super::webhooks::metrics(&app, slot).await);
    #[cfg(not(feature = "webhook"))]
    drop(slot);
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response())
}

/// A message without the directories in it: of a path to the log's directory `root`, or to anything
/// in it, only the last part stays.
///
/// The path that the message has from its error begins with `root`, exactly so; therefore nothing
/// has to be known of the characters in `root`. The names below it are the log's own.
fn hide_directories(text: &str, root: &Path) -> String {
    let Some(name) = root.file_name() else {
        // `/` or `.`, which is the same everywhere.
        return text.to_owned();
    };
    let name = name.to_string_lossy();
    let root = root.display().to_string();
    let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.=/".contains(c);
    let mut pieces = text.split(&root);
    let mut hidden = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let path = piece.split(|c| !of_name(c)).next().unwrap_or_default();
        let kept = path.rfind('/').map_or(0, |slash| slash + 1);
        if kept == 0 {
            hidden += &name;
        }
        hidden += &piece[kept..];
    }
    hidden
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::Error;

    #[test]
    fn of_a_path_the_last_part_stays_whatever_the_directory_is_called() {
        for root in [
            "/srv/audit",
            "/srv/our secret: plan b/audit log, of 7",
            "/srv/a/a/a",
            "var/plan/audit",
            "./plan b",
            "/srv/pl\u{e4}n/\"b\"\n/x",
        ] {
            let root = Path::new(root);
            let last = root.file_name().unwrap().to_str().unwrap();
            for (path, last) in [
                (
                    "live/20261121T101500.123456Z-x-7f3a9c-00000042.jsonl",
                    "20261121T101500.123456Z-x-7f3a9c-00000042.jsonl",
                ),
                ("sealed/dt=2026-11-21", "dt=2026-11-21"),
                ("live", "live"),
                ("", last),
            ] {
                let path = if path.is_empty() {
                    root.to_owned()
                } else {
                    root.join(path)
                };
                let failed = io::Error::from(io::ErrorKind::StorageFull);
                let error = Error::io("write", &path)(failed).to_string();
                assert!(error.contains(root.to_str().unwrap()));
                assert_eq!(
                    hide_directories(&error, root),
                    format!("cannot write {last}: no storage space"),
                    "{error}"
                );
            }
        }
        let told = "audit events can't be written: 3 of 4";
        for root in ["audit", "", ".", "/", "..", "4"] {
            assert_eq!(hide_directories(told, Path::new(root)), told);
        }
        let beside = "cannot read /srv/plan b/audit2: gone";
        let root = Path::new("/srv/plan b/audit");
        assert_eq!(hide_directories(beside, root), "cannot read audit2: gone");
    }
}
