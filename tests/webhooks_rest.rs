//! What a webhook costs while there is nothing to send: in a process of its own, for it is
//! measured.

#![cfg(all(feature = "webhook", feature = "macros", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::{thread, time::Duration};

use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, Webhook},
};
use tracing_subscriber::prelude::*;

/// What this process has had of the processors, in hundredths of a second.
fn ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = text.rsplit(')').next().unwrap();
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum()
}

#[test]
fn a_batch_that_waits_for_more_costs_next_to_nothing() {
    const MOST: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    let webhook = Webhook::new("slow", "http://127.0.0.1:9/", ["order.*"])
        .allow_http()
        .egress(["loopback"]);
    log.webhooks()
        .add(webhook.batch(Batching {
            max_entries: 100,
            max_wait_ms: 60_000,
        }))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || audit!("order.placed", n = 1),
    );
    // It begins first, and reads: how long that takes depends on what else the machine does.
    let mut used = u64::MAX;
    for _ in 0..10 {
        let before = ticks();
        thread::sleep(Duration::from_secs(2));
        used = ticks() - before;
        if used < MOST {
            break;
        }
    }
    assert_eq!(
        log.webhooks().list().unwrap()[0].status.failed_attempts,
        0,
        "it waits"
    );
    drop(dispatcher);
    log.close().unwrap();
    assert!(used < MOST, "{used} of 200 ticks of a processor");
}
