//! A log stays open as long as a layer of it lives, and is closed when the process ends.

use std::{env, fs, path::Path};

use crate::support::{child, ids, records};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

const DIR: &str = "NOBODY_HOLDS_DIR";

/// Sets all up, and keeps nothing, as many programs do.
fn init(dir: &Path, process_wide: bool) {
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("app")
        .open()
        .unwrap();
    if process_wide {
        log.set_global().unwrap();
    } else {
        tracing_subscriber::registry().with(log.layer()).init();
    }
}

#[test]
fn sets_up_and_records() {
    let Some(dir) = env::var_os(DIR) else { return };
    init(Path::new(&dir), env::var_os("PROCESS_WIDE").is_some());
    for n in 0..100 {
        assert!(audit!("app.step", n).is_recorded());
    }
    if env::var_os("EXIT").is_some() {
        std::process::exit(7);
    }
}

/// The live files' lines, and whether a journal is left.
fn left(dir: &Path) -> (usize, bool) {
    let journals = fs::read_dir(dir.join("state/journal")).unwrap();
    (ids(dir).len(), journals.count() > 0)
}

#[test]
fn the_end_of_the_process_closes_it() {
    for vars in [&[][..], &[("EXIT", "1")], &[("PROCESS_WIDE", "1")]] {
        let dir = tempfile::tempdir().unwrap();
        let mut vars = vars.to_vec();
        vars.push((DIR, dir.path().to_str().unwrap()));
        let ended = child(module_path!(), "sets_up_and_records", &vars).output();
        let code = ended.unwrap().status.code();
        assert!(matches!(code, Some(0 | 7)), "{code:?}");
        // Nobody has recovered anything.
        assert_eq!(left(dir.path()), (100, false), "{vars:?}");
    }
}

#[test]
fn a_layer_keeps_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("app")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    drop(log);
    tracing::subscriber::with_default(subscriber, || {
        audit!("app.step").wait().unwrap();
        assert!(left(dir.path()).1);
    });
    // The subscriber was the last to hold it.
    assert_eq!(left(dir.path()), (1, false));
    assert_eq!(records(dir.path())[0]["event_type"], "app.step");
}

#[test]
fn an_event_without_a_log_is_told_of_once_and_counted() {
    let name = "an_event_without_a_log_is_told_of_once_and_counted";
    if env::var_os(DIR).is_some() {
        for _ in 0..3 {
            assert!(!audit!("app.lost").is_recorded());
        }
        assert_eq!(tracing_audit::health::events_without_log(), 3);
        return;
    }
    // What it writes to standard error has to be seen.
    let ended = child(module_path!(), name, &[(DIR, "none")])
        .output()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{told}");
    assert_eq!(
        told.matches("app.lost is not recorded").count(),
        1,
        "{told}"
    );
    assert!(told.contains("AuditLog::builder"), "{told}");
}
