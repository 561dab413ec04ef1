//! Who stops waits for no receiver longer than a few seconds, and an attempt that is cut off counts
//! as not made.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::receiver::{self, Receiver, request, server};
use crate::shop::emit;
use crate::support::until;
use serde_json::json;
use tracing_audit::{AuditLog, webhook::Webhook};

#[test]
fn a_receiver_that_hangs_holds_up_no_stop() {
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    let address = server(move |mut stream| {
        if request(&mut stream).is_some() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let _ = stream.read(&mut [0]);
    });
    let log = AuditLog::for_tests();
    let webhook = Webhook::new("test", format!("http://{address}/"), ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .timeout(Duration::from_secs(60))
        // A second failure would be the last.
        .schedule([0]);
    log.webhooks().add(webhook).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 1..2);
    until("the attempt is under way", || {
        came.load(Ordering::Relaxed) == 1
    });
    let start = Instant::now();
    drop(dispatcher);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let report = log.webhooks().get("test").unwrap().unwrap();
    let status = &report.status;
    assert_eq!((status.failed_attempts, status.dead_lettered), (0, 0));
    assert_eq!(report.waiting_deliveries, 1);

    // It goes as if it had not been tried.
    let receiver = Receiver::new();
    let patch = json!({ "url": receiver.url });
    let patch = patch.as_object().unwrap();
    log.webhooks().patch("test", patch).unwrap();
    let dispatcher = receiver::dispatcher(&log);
    receiver.wait_for_numbers(1);
    drop(dispatcher);
    let attempts = log.webhooks().attempts("test").unwrap();
    assert_eq!((attempts.len(), attempts[0].attempt), (1, 1));
    log.close().unwrap();
}
