//! Dead letters do not stay for ever: those that are too old go, which is recorded and counted, and
//! a replay of others goes on.

use std::{
    fs::File,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::receiver::Receiver;
use serde_json::json;
use tracing_audit::{
    AuditLog, audit,
    webhook::{Replay, Webhook, WebhookReport},
};
use tracing_subscriber::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn emit(log: &AuditLog, numbers: std::ops::Range<u64>) {
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || {
            for n in numbers {
                audit!("order.placed", n);
            }
        },
    );
}

fn wait(log: &AuditLog, what: &str, until: impl Fn(&WebhookReport) -> bool) {
    crate::support::wait_for(what, || {
        let report = log.webhooks().list().unwrap().remove(0);
        if until(&report) {
            Ok(())
        } else {
            Err(Box::new(report))
        }
    })
}

/// As if what is in these files had been put aside for so many days, and written on another day
/// than today.
fn age(files: &[std::path::PathBuf], state: &Path, days: u64) {
    let mut ages = serde_json::Map::new();
    for file in files {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(SystemTime::now() - DAY * 2)
            .unwrap();
        let (name, len) = (
            file.file_name().unwrap().to_str().unwrap(),
            std::fs::metadata(file).unwrap().len(),
        );
        ages.insert(
            name.to_owned(),
            json!({"len": len, "milliseconds": days * 24 * 3_600_000}),
        );
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    std::fs::write(
        state.join("dead-letter-ages.json"),
        json!({"version": 1, "saved": now, "files": ages}).to_string(),
    )
    .unwrap();
}

#[test]
fn old_dead_letters_go_and_it_is_told() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    let webhook = Webhook::new("test", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"]);
    log.webhooks().add(webhook.schedule([0])).unwrap();

    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..3);
    wait(&log, "all are given up", |report| {
        report.status.dead_lettered == 3
    });
    drop(dispatcher);
    let state = dir.path().join("state");
    let letters = state.join("dead-letters");
    age(&crate::support::files(&letters), &state, 29);
    drop(log.webhooks().run().unwrap());
    assert_eq!(
        log.webhooks().dead_letters("test", 0, 100).unwrap().len(),
        3,
        "these are young enough"
    );

    // What is given up on another day stands apart.
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 3..5);
    wait(&log, "these as well", |report| {
        report.status.dead_lettered == 5
    });
    drop(dispatcher);
    let files = crate::support::files(&letters);
    assert_eq!(files.len(), 2, "{files:?}");
    // By their names, the first file is the last.
    age(&files[1..], &state, 31);

    let dispatcher = log.webhooks().run().unwrap();
    wait(&log, "the old ones go", |report| {
        report.dead_letters_pruned == 3
    });
    let pruned = crate::support::records(dir.path())
        .into_iter()
        .find(|record| record["event_type"] == "audit.delivery.dead_letters_pruned")
        .unwrap();
    let details = &pruned["details"];
    assert_eq!(
        (
            &details["webhook"],
            &details["deliveries"],
            &details["entries"]
        ),
        (&"test".into(), &3.into(), &3.into()),
        "{pruned}"
    );
    assert_eq!(details["reason"], "age");
    crate::support::until("their files are gone", || {
        log.webhooks().dead_letters("test", 0, 100).unwrap().len() == 2
    });

    // Those that are left can still be sent.
    receiver.say(200);
    assert!(
        log.webhooks()
            .replay("test", Replay::dead_letters())
            .unwrap()
    );
    wait(&log, "they arrive", |report| report.status.delivered == 2);
    assert!(
        log.webhooks()
            .dead_letters("test", 0, 100)
            .unwrap()
            .is_empty()
    );
    drop(dispatcher);
    log.close().unwrap();
}
