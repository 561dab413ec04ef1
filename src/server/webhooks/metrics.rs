//! What `/metrics` has of webhooks.

use std::fmt::Write as _;

use crate::{
    server::state::{Slot, State},
    webhook::{self, WebhookReport},
};

/// Name, kind and meaning of what is told of each webhook, and how it is told, if it can be.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&WebhookReport) -> Option<f64>,
);

const METRICS: [Metric; 10] = [
    (
        "delivered_total",
        "counter",
        "Entries that the webhook took.",
        |one| Some(one.status.delivered as f64),
    ),
    (
        "dead_lettered_total",
        "counter",
        "Entries that were given up.",
        |one| Some(one.status.dead_lettered as f64),
    ),
    (
        "failed_attempts_total",
        "counter",
        "Attempts that failed.",
        |one| Some(one.status.failed_attempts as f64),
    ),
    (
        "failures_in_a_row",
        "gauge",
        "Attempts that failed since one last succeeded.",
        |one| Some(one.status.failures_in_a_row as f64),
    ),
    (
        "dead_letters",
        "gauge",
        "Deliveries that are given up now.",
        |one| one.dead_letters.map(|count| count as f64),
    ),
    (
        "waiting_deliveries",
        "gauge",
        "Requests that are made and not delivered.",
        |one| Some(one.waiting_deliveries as f64),
    ),
    (
        "lag_seconds",
        "gauge",
        "For how long the oldest entry in them has waited.",
        |one| Some(one.lag_seconds()),
    ),
    (
        "behind_seconds",
        "gauge",
        "How old the oldest entry is that waits in them or in the log.",
        WebhookReport::behind_seconds,
    ),
    (
        "unread_bytes",
        "gauge",
        "About how many bytes of the log were not looked at for it yet.",
        |one| one.unread_bytes.map(|bytes| bytes as f64),
    ),
    (
        "up",
        "gauge",
        "Whether the webhook takes entries: 0 while it fails, is gone, paused or can't be served.",
        |one| Some(f64::from(u8::from(one.state() == "active"))),
    ),
];

/// Of each webhook; nothing if that can't be read, for what else is watched is not to be missing
/// as well.
pub(in crate::server) async fn metrics(app: &State, slot: Slot) -> String {
    let (layout, reader) = (app.layout.clone(), app.reader.clone());
    let mut text = String::new();
    // What is wrong is in the server's own messages.
    let Ok((reports, dispatcher)) = app
        .blocking(slot, move |_| {
            let dispatcher = webhook::dispatcher(&layout)?;
            Ok((webhook::reports(&layout, &reader)?, dispatcher))
        })
        .await
    else {
        return text;
    };
    if reports.is_empty() {
        return text;
    }
    text.push_str(
        "# HELP tracing_audit_webhook_dispatcher_up Whether a process delivers webhooks.\n\
         # TYPE tracing_audit_webhook_dispatcher_up gauge\n",
    );
    let up = u8::from(dispatcher.is_some());
    let _ = writeln!(text, "tracing_audit_webhook_dispatcher_up {up}");
    if let Some(who) = dispatcher {
        let name = "tracing_audit_webhook_dispatcher_start_time_seconds";
        let _ = writeln!(
            text,
            "# HELP {name} Since when it does, in seconds since 1970.\n# TYPE {name} gauge\n\
             {name}{{source=\"{}\",host=\"{}\",pid=\"{}\"}} {}",
            label(&who.source),
            label(&who.host),
            who.pid,
            who.since.as_micros() as f64 / 1e6
        );
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

/// A text as the value of a label.
fn label(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    escaped.replace('\n', "\\n")
}
