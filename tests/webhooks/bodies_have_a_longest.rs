//! The body of a request has 256 KiB at most, however long the format makes it; a single entry that
//! is longer goes alone.

use std::collections::BTreeMap;

use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, FormatName, FormatOptions, Webhook},
};

use crate::shop::within;
use crate::{
    receiver::{Receiver, dispatcher},
    support::wait_for,
};

const LONGEST: usize = 256 * 1024;
const COUNT: usize = 1500;

/// The lengths of the bodies that came, with how many entries each has.
fn bodies(receiver: &Receiver, entry: &[u8]) -> Vec<(usize, usize)> {
    receiver.look(|came| {
        let bodies = came.iter().map(|came| &came.request.body);
        let count = |body: &[u8]| memchr::memmem::find_iter(body, entry).count();
        bodies.map(|body| (body.len(), count(body))).collect()
    })
}

#[test]
fn batches_are_cut_by_the_body_that_goes_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .max_record_bytes(1 << 20)
        .source("shop")
        .open()
        .unwrap();
    // What each entry has once in the body.
    let formats = [
        (FormatName::Otlp, &b"\"eventName\":"[..]),
        (FormatName::Native, &b"\"event_type\":"[..]),
        (FormatName::SplunkHec, &b"\"event_type\":"[..]),
    ];
    let receivers: BTreeMap<&str, Receiver> = formats
        .iter()
        .map(|(format, _)| (format.as_str(), Receiver::new()))
        .collect();
    let batching = Batching {
        max_entries: 1000,
        max_wait_ms: 2000,
    };
    for (format, receiver) in &receivers {
        let hook = Webhook::new(*format, &receiver.url, ["order.*"])
            .allow_http()
            .egress(["loopback"])
            .format(format.parse().unwrap(), FormatOptions::default())
            .batch(batching);
        log.webhooks().add(hook).unwrap();
    }
    within(&log, || {
        for n in 0..COUNT {
            // Neither is its neighbour's length its own, nor what a format makes of it.
            let text = "x".repeat(n % 50 * 20);
            audit!("order.placed", n, text, nested.a.b.c = n);
            if n == COUNT / 2 {
                audit!("order.placed", n, text = "x".repeat(2 * LONGEST));
            }
        }
    });
    // All of it can be read at once.
    log.flush().unwrap();
    let dispatcher = dispatcher(&log);
    for (format, entry) in formats {
        let receiver = &receivers[format.as_str()];
        let bodies = wait_for("all arrive", || {
            let bodies = bodies(receiver, entry);
            let count: usize = bodies.iter().map(|(_, count)| count).sum();
            if count > COUNT {
                Ok(bodies)
            } else {
                Err(count)
            }
        });
        let long: Vec<_> = bodies.iter().filter(|(len, _)| *len > LONGEST).collect();
        assert!(matches!(long[..], [(_, 1)]), "{format}: {long:?}");
        let count: usize = bodies.iter().map(|(_, count)| count).sum();
        assert_eq!(count, COUNT + 1, "{format}: each once");
        let total: usize = bodies.iter().map(|(len, _)| len).sum();
        let fewest = (total - long[0].0).div_ceil(LONGEST);
        assert!(
            bodies.len() <= 2 * fewest + 3,
            "{format}: {bodies:?}, of {fewest}"
        );
    }
    drop(dispatcher);
    for report in log.webhooks().list().unwrap() {
        assert_eq!(report.status.failed_attempts, 0);
        assert_eq!(report.status.delivered, COUNT as u64 + 1);
    }
    log.close().unwrap();
}
