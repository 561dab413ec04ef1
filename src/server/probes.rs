//! How the server and the log are doing, for whoever watches them.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Extension, State as Shared},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    access::Scope,
    problem::{Problem, hide_paths},
    state::{Slot, State},
};

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        "{\"status\":\"ok\"}",
    )
        .into_response()
}

/// `GET /readyz`: the log takes events. It tells anyone, so it tells no paths.
pub(super) async fn readyz(Shared(app): Shared<State>) -> Response {
    let trouble = app
        .log
        .as_ref()
        .map(|log| log.trouble())
        .unwrap_or_default();
    let trouble: Vec<_> = trouble.iter().map(|trouble| hide_paths(trouble)).collect();
    let (status, text) = if trouble.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let body = json!({"status": text, "trouble": trouble}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `GET /metrics`: Prometheus' text format.
pub(super) async fn metrics(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    if !app.options.open_metrics {
        app.admit(&request, Scope::Read)?;
    }
    let mut text = app
        .log
        .as_ref()
        .map(|log| log.counters().prometheus())
        .unwrap_or_default();
    text.push_str(
        "# HELP tracing_audit_http_responses_total Answers by the class of their status.\n",
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
    let counters: [(&str, &str, &AtomicU64); 5] = [
        (
            "refused_total",
            "Requests without a right to what they asked for.",
            &app.recorder.denied,
        ),
        (
            "shed_total",
            "Requests refused because too much was going on.",
            &app.counts.shed,
        ),
        (
            "unrecorded_total",
            "Accesses that could not be recorded.",
            &app.recorder.unrecorded,
        ),
        (
            "export_bytes_total",
            "Bytes of downloads handed to the network.",
            &app.counts.exported_bytes,
        ),
        (
            "cut_exports_total",
            "Downloads that were cut off or miss what could not be read.",
            &app.counts.cut_exports,
        ),
    ];
    for (name, help, count) in counters {
        let (name, count) = (
            format!("tracing_audit_http_{name}"),
            count.load(Ordering::Relaxed),
        );
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}"
        );
    }
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
