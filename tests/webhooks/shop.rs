//! A shop that records its orders by their numbers, with a webhook "test" that gets them: the
//! set-up of most tests here.

use std::{ops::Range, path::Path};

use serde_json::Value;
use tracing_audit::{
    AuditLog, audit,
    webhook::{Webhook, WebhookReport},
};
use tracing_subscriber::prelude::*;

use crate::{
    receiver::Receiver,
    support::{records, wait_for},
};

pub(crate) fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap()
}

/// Does this with the log as the one of the thread.
pub(crate) fn within<T>(log: &AuditLog, work: impl FnOnce() -> T) -> T {
    let layers = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(layers, work)
}

/// Records an order of each number.
pub(crate) fn emit(log: &AuditLog, numbers: Range<u64>) {
    within(log, || {
        for n in numbers {
            audit!("order.placed", n);
        }
    });
}

/// A webhook that gets the orders.
pub(crate) fn to(receiver: &Receiver) -> Webhook {
    Webhook::new("test", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
}

/// Waits until the log's webhook is as wanted.
pub(crate) fn wait(
    log: &AuditLog,
    what: &str,
    until: impl Fn(&WebhookReport) -> bool,
) -> WebhookReport {
    wait_for(what, || {
        let report = log.webhooks().list().unwrap().remove(0);
        if until(&report) {
            Ok(report)
        } else {
            Err(Box::new(report))
        }
    })
}

/// The entries of this type.
pub(crate) fn recorded(dir: &Path, event_type: &str) -> Vec<Value> {
    let mut records = records(dir);
    records.retain(|record| record["event_type"] == event_type);
    records
}
