//! How far behind a webhook is counts what still waits in the log, whether a dispatcher runs or
//! not.

use std::time::Duration;

use crate::receiver::Receiver;
use crate::shop::{wait, within};
use tracing_audit::{AuditLog, Timestamp, audit, webhook::Webhook};

/// More than is made ahead for a webhook that does not answer.
const EVENTS: u64 = 1500;

fn emit(log: &AuditLog, count: u64) {
    within(log, || {
        for n in 0..count {
            audit!("order.placed", n);
        }
        audit!("order.paid", n = count).wait().unwrap();
    });
}

#[test]
fn it_counts_what_waits_in_the_log() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    // Some of it is sealed by then.
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(100_000)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    let webhook = Webhook::new("test", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"]);
    log.webhooks()
        .add(webhook.schedule([0, 3600, 3600]))
        .unwrap();
    let report = log.webhooks().list().unwrap().remove(0);
    assert_eq!(
        (
            report.unread_since,
            report.unread_bytes,
            report.behind_seconds()
        ),
        (None, Some(0), Some(0.0))
    );

    // No dispatcher runs.
    emit(&log, EVENTS);
    let first = crate::support::records(dir.path())
        .into_iter()
        .find(|record| record["event_type"] == "order.placed")
        .unwrap();
    let first: Timestamp = first["timestamp"].as_str().unwrap().parse().unwrap();
    // Nothing is left to do for the log, which would find its directory gone below.
    let files = |part: &str| crate::support::files(&dir.path().join(part)).len();
    let report = wait(&log, "all but the last file is sealed", |_| {
        files("sealed") > 0 && files("live") <= 1
    });
    assert_eq!(
        (
            report.unread_since,
            report.waiting_deliveries,
            report.lag_seconds()
        ),
        (Some(first), 0, 0.0)
    );
    assert!(
        report.unread_bytes > Some(10_000) && report.behind_seconds() > Some(0.0),
        "{report:?}"
    );

    // Not to know is not to be up to date.
    let (live, away) = (dir.path().join("live"), dir.path().join("away"));
    std::fs::rename(&live, &away).unwrap();
    std::fs::write(&live, "").unwrap();
    let report = log.webhooks().list().unwrap().remove(0);
    assert_eq!(
        (
            report.unread_since,
            report.unread_bytes,
            report.behind_seconds()
        ),
        (None, None, None)
    );
    assert!(
        report
            .unread_problem
            .as_ref()
            .is_some_and(|problem| problem.contains("live"))
            && report.problem.is_none(),
        "{report:?}"
    );
    let told = serde_json::to_value(&report).unwrap();
    assert!(
        told["unread_bytes"].is_null()
            && told["behind_seconds"].is_null()
            && told["unread_problem"].is_string(),
        "{told}"
    );
    std::fs::remove_file(&live).unwrap();
    std::fs::rename(&away, &live).unwrap();

    // Some are in requests, the others still in the log.
    let dispatcher = log.webhooks().run().unwrap();
    let report = wait(&log, "it fails", |report| {
        report.status.failed_attempts >= 5 && report.waiting_deliveries > 100
    });
    assert_eq!(report.oldest_waiting, Some(first));
    assert!(
        report.unread_since.is_some_and(|since| since > first) && report.unread_bytes > Some(0),
        "{report:?}"
    );
    // The clock goes on between the two.
    let lag = report.lag_seconds();
    assert!(report.behind_seconds() >= Some(lag));

    // It is back, and has all.
    receiver.say(200);
    let report = wait(&log, "all arrives", |report| {
        report.status.delivered == EVENTS + 1 && report.unread_since.is_none()
    });
    assert_eq!(
        (
            report.waiting_deliveries,
            report.unread_bytes,
            report.behind_seconds()
        ),
        (0, Some(0), Some(0.0))
    );
    drop(dispatcher);
    log.close().unwrap();
}
