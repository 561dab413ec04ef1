//! A webhook can get the log's reports on the deliveries of other webhooks, `audit.delivery.*`: an
//! operator's chat learns that the SIEM is not reached. No webhook gets reports on itself, and two
//! that get each other's make no storm.

use std::{io::Write as _, path::Path};

use serde_json::{Value, json};
use tracing_audit::{
    AuditLog, audit,
    webhook::{Dispatcher, FormatName, FormatOptions, Webhook},
};

use crate::receiver::{self, Receiver};
use crate::shop::within;
use crate::support::{records, until, wait_for};

fn to(url: &str, name: &str, event_types: &[&str]) -> Webhook {
    Webhook::new(name, url, event_types.iter().copied())
        .allow_http()
        .egress(["loopback"])
}

/// A log with these webhooks, and who delivers them.
fn delivering(dir: &Path, webhooks: impl IntoIterator<Item = Webhook>) -> (AuditLog, Dispatcher) {
    let log = AuditLog::builder(dir).lifecycle(false).open().unwrap();
    for webhook in webhooks {
        log.webhooks().add(webhook).unwrap();
    }
    let dispatcher = log.webhooks().run().unwrap();
    (log, dispatcher)
}

fn order(log: &AuditLog, n: u64) {
    within(log, || audit!("order.placed", n));
}

/// The details of the reports of this type on a webhook.
fn reports(dir: &Path, event_type: &str, on: &str) -> Vec<Value> {
    let mut all = records(dir);
    all.retain(|entry| entry["event_type"] == event_type && entry["details"]["webhook"] == on);
    all.iter_mut()
        .map(|entry| entry["details"].take())
        .collect()
}

#[test]
fn a_chat_is_told_that_the_siem_fails_and_is_back_and_the_siem_is_not() {
    let (siem, chat) = (Receiver::saying(403), Receiver::new());
    let dir = tempfile::tempdir().unwrap();
    let types = ["order.*", "audit.delivery.*"];
    let (log, dispatcher) = delivering(
        dir.path(),
        [
            to(&siem.url, "siem", &types).schedule([0, 0, 0]),
            to(&chat.url, "chat", &["audit.delivery.*"]),
        ],
    );
    order(&log, 1);
    for event_type in ["audit.delivery.failing", "audit.delivery.dead_lettered"] {
        until(event_type, || chat.taken_of(event_type).len() == 1);
    }
    siem.say(200);
    order(&log, 2);
    let recovered = "audit.delivery.recovered";
    until(recovered, || chat.taken_of(recovered).len() == 1);
    order(&log, 3);
    until("the last order arrives", || siem.taken().contains_key(&3));
    drop(dispatcher);
    log.close().unwrap();
    chat.look(|came| {
        for entry in came.iter().map(|came| came.request.entry()) {
            assert_eq!(entry["details"]["webhook"], "siem", "{entry}");
        }
    });
    siem.look(|came| {
        for came in came {
            assert_eq!(came.request.event_type(), "order.placed");
        }
    });
}

#[test]
fn two_that_are_told_of_each_other_and_give_up_make_no_storm() {
    let (one, other) = (Receiver::saying(500), Receiver::saying(500));
    let dir = tempfile::tempdir().unwrap();
    let types = ["order.*", "audit.delivery.dead_lettered"];
    let (log, dispatcher) = delivering(
        dir.path(),
        [
            to(&one.url, "one", &types).schedule([0]),
            to(&other.url, "other", &types).schedule([0]),
        ],
    );
    let given_up = |count| {
        wait_for("dead letters", || {
            let all = log.webhooks().list().unwrap();
            let counts: Vec<_> = all.iter().map(|one| one.status.dead_lettered).collect();
            if counts.iter().all(|dead| *dead >= count) {
                Ok(())
            } else {
                Err(counts)
            }
        });
    };
    // An order, and the report on that of the other webhook.
    order(&log, 1);
    given_up(2);
    order(&log, 2);
    given_up(4);
    drop(dispatcher);
    log.close().unwrap();
    for name in ["one", "other"] {
        let reports = reports(dir.path(), "audit.delivery.dead_lettered", name);
        let deliveries: u64 = reports
            .iter()
            .filter_map(|one| one["deliveries"].as_u64())
            .sum();
        assert_eq!(
            deliveries, 2,
            "{name}: the orders, and no report: {reports:?}"
        );
    }
}

#[test]
fn two_that_are_told_of_each_other_and_are_rejected_make_no_storm() {
    let answer = json!({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "no"}});
    let receiver = receiver::server(move |mut stream| {
        while receiver::request(&mut stream).is_some() {
            let _ = stream.write_all(receiver::json(&answer).as_bytes());
        }
    });
    let url = format!("http://{receiver}/v1/logs");
    let types = ["order.*", "audit.delivery.rejected"];
    let to = |name| to(&url, name, &types).format(FormatName::Otlp, FormatOptions::default());
    let dir = tempfile::tempdir().unwrap();
    let (log, dispatcher) = delivering(dir.path(), [to("one"), to("other")]);
    let delivered = |count| {
        until("orders and reports are delivered", || {
            let all = log.webhooks().list().unwrap();
            all.iter().all(|one| one.status.delivered >= count)
        });
    };
    order(&log, 1);
    delivered(2);
    order(&log, 2);
    delivered(4);
    drop(dispatcher);
    log.close().unwrap();
    for name in ["one", "other"] {
        let reports = reports(dir.path(), "audit.delivery.rejected", name);
        assert_eq!(
            reports.len(),
            2,
            "{name}: the orders, and no report: {reports:?}"
        );
    }
}
