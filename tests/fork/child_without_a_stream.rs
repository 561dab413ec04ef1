//! Where a child of `fork` can't open a stream of its own, its events are refused: counted, and
//! reported. It is tried again, and once it works that is reported too.

use std::{
    fs,
    os::unix::{fs::symlink, process::parent_id},
    sync::{Arc, Mutex},
};

use crate::forking::{exit, fork, limit_files};
use tracing_audit::{NotDurable, audit, health::Problem};
use tracing_subscriber::prelude::*;

#[test]
fn its_events_are_refused_and_that_is_reported() {
    if !crate::support::is_apart(
        module_path!(),
        "its_events_are_refused_and_that_is_reported",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let problems = Arc::<Mutex<Vec<Problem>>>::default();
    let heard = problems.clone();
    let log = crate::support::builder(dir.path())
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
        assert_eq!(log.health().problems, [said[0].to_string()]);

        limit_files(limit);
        let mut refused = 10;
        crate::support::until("it works again", || {
            let recorded = audit!("child.step").is_recorded();
            refused += u64::from(!recorded);
            recorded
        });
        assert_eq!(log.counters().refused, refused);
        assert_eq!(problems.lock().unwrap()[1..], [Problem::WriteRecovered]);
        assert_eq!(log.health().problems, [""; 0]);
        log.close().unwrap();
    });
    child.ends_well();
    assert!(audit!("parent.step").is_recorded());
    assert_eq!(log.counters().refused, 0);
    log.close().unwrap();
    let of = |name: &str| {
        let records = crate::support::records(dir.path());
        records.iter().filter(|r| r["event_type"] == name).count()
    };
    assert_eq!((of("parent.step"), of("child.step")), (2, 1));
}

#[test]
fn it_opens_none_in_another_directory() {
    if !crate::support::is_apart(module_path!(), "it_opens_none_in_another_directory") {
        return;
    }
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (name, link) = (dir.path().join("audit"), dir.path().join("link"));
    fs::create_dir(&name).unwrap();
    symlink(&name, &link).unwrap();
    let open = || crate::support::builder(&link).open().unwrap();
    let ended = dir.path().join("ended");
    fork(|| {
        let log = open();
        let subscriber = tracing_subscriber::registry().with(log.layer());
        let _default = tracing::subscriber::set_default(subscriber);
        audit!("parent.step").wait().unwrap();
        let parent = std::process::id();
        std::mem::forget(fork(|| {
            // Its writer would notice, and begin a file anew.
            crate::support::until("the parent is gone", || parent_id() != parent);
            fs::rename(&name, dir.path().join("moved")).unwrap();
            assert!(!audit!("child.step").is_recorded());
            assert!(!name.exists());
            fs::create_dir(&name).unwrap();
            crate::support::until("it is tried again", || {
                assert!(!audit!("child.step").is_recorded());
                log.health().problems[0]
                    .contains("is not the directory in which the log was opened")
            });
            fs::remove_dir(&name).unwrap();
            fs::rename(dir.path().join("moved"), &name).unwrap();

            // A link that leads elsewhere, as that to the current release may, is not followed.
            fs::remove_file(&link).unwrap();
            symlink(other.path(), &link).unwrap();
            crate::support::until("it is tried again", || audit!("child.step").is_recorded());
            log.close().unwrap();
            fs::write(&ended, "").unwrap();
        }));
        exit(0);
    })
    .ends_well();
    crate::support::until("the child ends", || ended.exists());
    assert!(crate::support::files(other.path()).is_empty());
    fs::remove_file(&link).unwrap();
    symlink(&name, &link).unwrap();
    open().close().unwrap();
    let records = crate::support::records(&name);
    let of = |name: &str| records.iter().filter(|r| r["event_type"] == name).count();
    assert_eq!((of("parent.step"), of("child.step")), (1, 1));
}
