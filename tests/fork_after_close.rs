//! A log that was closed before a `fork` is closed in the child too.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[path = "support/fork.rs"]
mod forking;
mod support;

use forking::fork;
use tracing_audit::{AuditLog, NotDurable, audit};

#[test]
fn a_closed_log_stays_closed() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("app").open().unwrap();
    log.set_global().unwrap();
    audit!("app.step").wait().unwrap();
    log.close().unwrap();
    fork(|| {
        let late = audit!("app.late");
        assert_eq!(late.wait(), Err(NotDurable::Closed));
        assert_eq!(log.counters().refused, 1);
        assert_eq!(log.trouble(), ["the log is closed"]);
        log.close().unwrap();
    })
    .ends_well();
    assert_eq!(support::ids(dir.path()).len(), 1);
}
