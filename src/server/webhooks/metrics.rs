//! What `/metrics` has of webhooks.

use std::fmt::Write as _;

use crate::{
    forward::{self, SubscriptionReport},
    server::state::{Slot, State},
};

/// Name, kind and meaning of what is told of each endpoint, and how it is told.
type Metric = (&'static str, &'static str, &'static str, fn(&SubscriptionReport) -> f64);

const METRICS: [Metric; 9] = [
    ("delivered_total", "counter", "Entries that the endpoint took.", |one| one.status.delivered as f64),
    ("dead_lettered_total", "counter", "Entries that were given up.", |one| one.status.dead_lettered as f64),
    ("dead_letters_pruned_total", "counter", "Entries that were given up and are not put aside any more.", |one| {
        one.dead_letters_pruned as f64
    }),
    ("failed_attempts_total", "counter", "Attempts that failed.", |one| one.status.failed_attempts as f64),
    ("waiting_requests", "gauge", "Requests that are made and not delivered.", |one| one.waiting_requests as f64),
    ("lag_seconds", "gauge", "For how long the oldest entry in them has waited.", SubscriptionReport::lag_seconds),
    ("behind_seconds", "gauge", "How old the oldest entry is that waits in them or in the log.", SubscriptionReport::behind_seconds),
    ("unread_bytes", "gauge", "About how many bytes of the log were not looked at for it yet.", |one| one.unread_bytes as f64),
    ("up", "gauge", "Whether the endpoint takes entries: 0 while it fails, is gone or paused.", |one| {
        f64::from(u8::from(one.state() == "active"))
    }),
];

/// Of each endpoint; nothing if that can't be read, for what else is watched is not to be missing as well.
pub(in crate::server) async fn metrics(app: &State, slot: Slot) -> String {
    let layout = app.layout.clone();
    let mut text = String::new();
    // What is wrong is in the server's own messages.
    let Ok(reports) = app.blocking(slot, move |_| forward::reports(&layout)).await else { return text };
    if reports.is_empty() {
        return text;
    }
    for (name, kind, help, value) in METRICS {
        let name = format!("tracing_audit_webhook_{name}");
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for report in &reports {
            let _ = writeln!(text, "{name}{{endpoint=\"{}\"}} {}", report.subscription.name(), value(report));
        }
    }
    text
}
