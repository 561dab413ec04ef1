//! The metrics of webhooks in `/metrics`.

use std::fmt::Write as _;

use crate::{
    server::state::{Slot, State},
    webhook::{self, WebhookReport},
};

/// Name, kind and help of a webhook's metric, and its value, if that is known.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&WebhookReport) -> Option<f64>,
);

const METRICS: [Metric; 8] = [
    (
        "delivered_total",
        "counter",
        "Entries that were delivered.",
        |one| Some(one.status.delivered as f64),
    ),
    (
        "dead_lettered_total",
        "counter",
        "Entries in deliveries that were given up.",
        |one| Some(one.status.dead_lettered as f64),
    ),
    (
        "failed_attempts_total",
        "counter",
        "Attempts that failed.",
        |one| Some(one.status.failed_attempts as f64),
    ),
    (
        "waiting_deliveries",
        "gauge",
        "Deliveries that wait for their next attempt or are in flight.",
        |one| Some(one.waiting_deliveries as f64),
    ),
    (
        "lag_seconds",
        "gauge",
        "How long the oldest entry in the waiting deliveries has waited.",
        |one| Some(one.lag_seconds()),
    ),
    (
        "behind_seconds",
        "gauge",
        "How old the oldest entry is that waits in a delivery or in the log.",
        WebhookReport::behind_seconds,
    ),
    (
        "unread_bytes",
        "gauge",
        "About how many bytes of the log were not read for the webhook yet.",
        |one| one.unread_bytes.map(|bytes| bytes as f64),
    ),
    (
        "up",
        "gauge",
        "1 while deliveries succeed; 0 while the webhook fails, is gone or is paused.",
        |one| Some(f64::from(u8::from(one.state() == "active"))),
    ),
];

/// The metrics of each webhook; none if webhooks can't be read, because the other metrics must not
/// be missing as well.
pub(in crate::server) async fn metrics(app: &State, slot: Slot) -> String {
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let mut text = String::new();
    // The reason is in the server's own messages.
    let Ok(reports) = app
        .blocking(slot, move |_| webhook::reports(&layout, &reader))
        .await
    else {
        return text;
    };
    if reports.is_empty() {
        return text;
    }
    for (name, kind, help, value) in METRICS {
        let name = format!("tracing_audit_webhook_{name}");
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for report in &reports {
            let Some(value) = value(report) else { continue };
            let _ = writeln!(
                text,
                "{name}{{webhook=\"{}\"}} {value}",
                report.webhook.name()
            );
        }
    }
    text
}
