//! A log that was closed before a `fork` is closed in the child too.

use crate::forking::fork;
use tracing_audit::{NotDurable, audit};

#[test]
fn a_closed_log_stays_closed() {
    if !crate::support::is_apart(module_path!(), "a_closed_log_stays_closed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = crate::support::builder(dir.path()).open().unwrap();
    log.set_global().unwrap();
    audit!("app.step").wait().unwrap();
    log.close().unwrap();
    fork(|| {
        let late = audit!("app.late");
        assert_eq!(late.wait(), Err(NotDurable::Closed));
        assert_eq!(log.counters().refused, 1);
        assert_eq!(log.health().problems, ["the log is closed"]);
        log.close().unwrap();
    })
    .ends_well();
    assert_eq!(crate::support::ids(dir.path()).len(), 1);
}
