//! The metrics of webhooks in `/metrics`.

use std::fmt::Write as _;

use crate::{
    server::state::{Slot, State},
    webhook::WebhookReport,
};

/// Name, kind and help of a webhook's metric, and its value, if that is known.
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
        "1 while deliveries succeed; 0 while the webhook fails, is gone or paused, or can't be \
         served.",
        |one| Some(f64::from(u8::from(one.state() == "active"))),
    ),
];

/// The metrics of each webhook; none if webhooks can't be read, because the other metrics must not
/// be missing as well.
pub(in crate::server) async fn metrics(app: &State, slot: Slot) -> String {
    let mut text = String::new();
    let state = State::clone(app);
    let read = app.blocking(slot, move |_| {
        let dispatcher = state.reader.webhook_dispatcher()?;
        Ok((state.reader.webhooks()?, dispatcher))
    });
    // The reason for an error is in the server's own messages.
    let Ok((reports, dispatcher)) = read.await else {
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
