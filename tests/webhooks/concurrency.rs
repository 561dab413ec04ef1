//! The setting `concurrency` limits the attempts of a webhook that are under way at once.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use crate::shop::within;
use crate::{
    receiver,
    support::{HANGS, until},
};
use tracing_audit::{
    AuditLog, audit,
    webhook::{DeliveryOrder, Webhook},
};

/// Delivers 100 entries to a slow receiver, which answers none before it has had as many attempts
/// at once as are wanted. Gives how many it had at most.
fn most_at_once(wanted: usize, settings: impl FnOnce(Webhook) -> Webhook) -> usize {
    let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let seen = Arc::clone(&counts);
    let address = receiver::server(move |mut stream| {
        let [now, most, done] = &*seen;
        while receiver::request(&mut stream).is_some() {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            until("so many are under way", || most.load(SeqCst) >= wanted);
            thread::sleep(Duration::from_millis(30));
            now.fetch_sub(1, SeqCst);
            done.fetch_add(1, SeqCst);
            let _ = stream.write_all(receiver::status("200 OK", "").as_bytes());
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .open()
        .unwrap();
    let webhook = Webhook::new("test", format!("http://{address}/"), ["order.*"]);
    let webhook = webhook.allow_http().egress(["loopback"]).timeout(HANGS);
    log.webhooks().add(settings(webhook)).unwrap();
    within(&log, || {
        for n in 0..100 {
            audit!("order.placed", n);
        }
    });
    let dispatcher = log.webhooks().run().unwrap();
    let [_, most, done] = &*counts;
    until("all arrive", || done.load(SeqCst) >= 100);
    drop(dispatcher);
    log.close().unwrap();
    most.load(SeqCst)
}

#[test]
fn as_many_attempts_are_under_way_as_the_setting_says() {
    assert_eq!(most_at_once(4, |webhook| webhook), 4);
    assert_eq!(most_at_once(1, |webhook| webhook.concurrency(1)), 1);
    assert_eq!(most_at_once(12, |webhook| webhook.concurrency(12)), 12);
    let strict = |webhook: Webhook| webhook.order(DeliveryOrder::Strict);
    assert_eq!(most_at_once(1, strict), 1);
}

#[test]
fn strict_order_and_numbers_out_of_bounds_are_refused() {
    let log = AuditLog::for_tests();
    let webhook = || Webhook::new("test", "https://example.com/", ["order.*"]);
    let strict = webhook().order(DeliveryOrder::Strict);
    for refused in [
        strict.concurrency(2),
        webhook().concurrency(0),
        webhook().concurrency(65),
    ] {
        let error = log.webhooks().add(refused).unwrap_err().to_string();
        assert!(error.contains("concurrency"), "{error}");
    }
}
