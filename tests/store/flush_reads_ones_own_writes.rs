//! `flush` waits for every event that any thread recorded before: then all can be read.

use std::{sync::Barrier, thread};

use tracing_audit::{AuditLog, NotDurable, audit};
use tracing_subscriber::prelude::*;

#[test]
fn what_was_recorded_before_can_be_read_after() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("app")
        .rotate_bytes(20_000)
        .open()
        .unwrap();
    log.flush().unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    let here = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (log, dispatch, here) = (&log, &dispatch, &here);
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    for round in 1..=20 {
                        audit!("app.step", thread, round);
                        here.wait();
                        log.flush().unwrap();
                        let found = crate::support::ids(log.dir());
                        assert!(found.len() >= round * 4, "{} in {round}", found.len());
                        here.wait();
                    }
                });
            });
        }
    });
    log.close().unwrap();
    log.flush().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        assert_eq!(audit!("app.late").wait(), Err(NotDurable::Closed));
    });
    log.flush().unwrap();
    assert_eq!(crate::support::ids(dir.path()).len(), 80);
}
