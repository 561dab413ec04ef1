//! Where a child of `fork` can't open a stream of its own, its events are refused: counted, and
//! reported. It is tried again, and once it works that is reported too.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[path = "support/fork.rs"]
mod forking;
mod support;

use std::sync::{Arc, Mutex};

use forking::{fork, limit_files};
use tracing_audit::{AuditLog, NotDurable, Problem, audit};

#[test]
fn its_events_are_refused_and_that_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let problems = Arc::<Mutex<Vec<Problem>>>::default();
    let heard = problems.clone();
    let log = AuditLog::builder(dir.path())
        .source("app")
        .journal_bytes(1 << 20)
        .on_problem(move |problem| heard.lock().unwrap().push(problem.clone()))
        .open()
        .unwrap();
    log.set_global().unwrap();
    assert!(audit!("parent.step").is_recorded());

    let child = fork(|| {
        let limit = limit_files(0);
        for _ in 0..10 {
            let receipt = audit!("child.step");
            assert!(!receipt.is_recorded());
            assert_eq!(receipt.wait(), Err(NotDurable::NotRecorded));
        }
        assert_eq!(log.counters().refused, 10);
        let said = problems.lock().unwrap().clone();
        assert!(matches!(&said[..], [Problem::StreamFailed(_)]), "{said:?}");
        assert_eq!(log.trouble(), [said[0].to_string()]);

        limit_files(limit);
        let mut refused = 10;
        support::until("it works again", || {
            let recorded = audit!("child.step").is_recorded();
            refused += u64::from(!recorded);
            recorded
        });
        assert_eq!(log.counters().refused, refused);
        assert_eq!(problems.lock().unwrap()[1..], [Problem::WriteRecovered]);
        assert_eq!(log.trouble(), [""; 0]);
        log.close().unwrap();
    });
    child.ends_well();
    assert!(audit!("parent.step").is_recorded());
    assert_eq!(log.counters().refused, 0);
    log.close().unwrap();
    let of = |name: &str| {
        let records = support::records(dir.path());
        records.iter().filter(|r| r["event_type"] == name).count()
    };
    assert_eq!((of("parent.step"), of("child.step")), (2, 1));
}
