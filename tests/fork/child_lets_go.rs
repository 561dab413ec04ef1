//! A child of `fork` that drops or closes the log it inherited ends nothing of its parent's.

use std::collections::HashSet;

use crate::forking::fork;
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

const EVENTS: usize = 2_000;

#[test]
fn the_parent_goes_on_recording() {
    if !crate::support::is_apart(module_path!(), "the_parent_goes_on_recording") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("parent")
        .journal_bytes(1 << 20)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    let kept = ["state/journal", "state/locks"].map(|dir_of| dir.path().join(dir_of));
    let left = || kept.each_ref().map(|dir_of| crate::support::files(dir_of));
    let before = left();
    let mut log = Some(log);

    let mut recorded = HashSet::new();
    for n in 0..EVENTS {
        let child = match n * 4 / EVENTS {
            _ if n % (EVENTS / 4) != EVENTS / 8 => None,
            // What a closure changes in the child stays there.
            0 => Some(fork(|| drop(log.take()))),
            1 => Some(fork(|| log.as_ref().unwrap().close().unwrap())),
            2 => Some(fork(|| {
                log.as_ref().unwrap().request_pruning();
                log.as_ref().unwrap().close().unwrap();
                drop(log.take());
            })),
            // After an event of the child's own.
            _ => Some(fork(|| {
                assert!(audit!("child.step").is_recorded());
                log.take().unwrap().close().unwrap();
            })),
        };
        if let Some(child) = child {
            child.ends_well();
            let now = left();
            for (before, now) in before.iter().zip(&now) {
                assert!(before.iter().all(|file| now.contains(file)), "{now:?}");
            }
        }
        let receipt = audit!("parent.step", n);
        assert!(receipt.is_recorded(), "event {n} after a child let go");
        recorded.insert(receipt.id().to_string());
    }
    audit!("parent.done").wait().unwrap();
    let log = log.unwrap();
    assert_eq!(log.health().problems, [""; 0]);
    log.close().unwrap();

    let found = crate::support::ids(dir.path());
    assert!(recorded.iter().all(|id| found.get(id) == Some(&1)));
    let types: Vec<_> = crate::support::records(dir.path());
    let of = |name: &str| types.iter().filter(|r| r["event_type"] == name).count();
    assert_eq!(
        (of("parent.step"), of("parent.done"), of("child.step")),
        (EVENTS, 1, 1)
    );
    assert!(
        crate::support::files(&kept[0]).is_empty(),
        "a journal is left"
    );
}
