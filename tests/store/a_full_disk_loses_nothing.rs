//! Promise 6 on a real file system of 40 MB: it fills up, callers wait, the log says so; space
//! returns, and everything is there.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    mounts::{Mounted, may_mount},
    support::{until, wait_for},
};
use tracing_audit::{
    AuditLog, NotDurable, audit,
    health::{SpaceAction, Watermarks},
};
use tracing_subscriber::prelude::*;

/// A small file system for the test `name`, if one can be mounted.
fn small(place: &Path, name: &str) -> Option<Mounted> {
    may_mount(module_path!(), name).then(|| Mounted::tmpfs("size=40m", place))
}

#[test]
fn callers_wait_and_everything_is_there_when_space_returns() {
    let place = tempfile::tempdir().unwrap();
    let Some(small) = small(
        place.path(),
        "callers_wait_and_everything_is_there_when_space_returns",
    ) else {
        return;
    };
    let dir = small.path().join("audit");
    let problems = Arc::new(Mutex::new(Vec::new()));
    let seen = problems.clone();
    let log = AuditLog::builder(&dir)
        .lifecycle(false)
        .source("full")
        .journal_bytes(1 << 20)
        .rotate_bytes(4 << 20)
        .sync_every(Duration::from_millis(20))
        .watermarks(
            Watermarks::default()
                .low(8 << 20, SpaceAction::Prune)
                .very_low(4 << 20, SpaceAction::Report),
        )
        .on_problem(move |problem| seen.lock().unwrap().push(problem.to_string()))
        .open()
        .unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    let filler = small.path().join("filler");
    fs::write(&filler, vec![0; 20 << 20]).unwrap();

    let finished = AtomicBool::new(false);
    let emitted = std::thread::scope(|scope| {
        let emitter = scope.spawn(|| {
            let ids = tracing::dispatcher::with_default(&dispatch, || {
                let emit =
                    |n: usize| audit!("disk.filled", n, body = "x".repeat(900), "Number {n}");
                (0..30_000)
                    .map(|n| {
                        let receipt = emit(n);
                        assert!(receipt.is_recorded());
                        receipt.id().to_string()
                    })
                    .collect::<Vec<_>>()
            });
            finished.store(true, Ordering::Release);
            ids
        });
        until("the log notices that the disk is full", || {
            log.health()
                .problems
                .iter()
                .any(|trouble| trouble.contains("can't be written"))
        });
        // The journal fills up, and the caller stands still.
        until("the caller waits", || {
            log.health()
                .problems
                .iter()
                .any(|trouble| trouble.contains("nearly full"))
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(
            !finished.load(Ordering::Acquire),
            "30 MB of events can't be anywhere"
        );
        fs::remove_file(&filler).unwrap();
        // What is sealed makes room by itself; 30 MB of plain text would not fit.
        wait_for("writing goes on when there is space again", || {
            remove_twins(&dir);
            if finished.load(Ordering::Acquire) {
                Ok(())
            } else {
                Err(log.health().problems)
            }
        });
        emitter.join().unwrap()
    });
    until("all is well again", || {
        !log.health()
            .problems
            .iter()
            .any(|trouble| trouble.contains("can't be written"))
    });
    log.close().unwrap();

    let found = crate::support::ids(&dir);
    let missing = emitted
        .iter()
        .filter(|id| found.get(*id) != Some(&1))
        .count();
    assert_eq!((missing, emitted.len()), (0, 30_000));
    crate::support::gzip_test(&dir);
    let problems = problems.lock().unwrap();
    assert!(
        problems.iter().any(|p| p.contains("can't be written"))
            && problems.iter().any(|p| p.contains("are written again")),
        "{problems:?}"
    );
    let types: Vec<_> = crate::support::records(&dir)
        .iter()
        .map(|record| record["event_type"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        types.iter().any(|kind| kind == "audit.log.write_failed")
            && types.iter().any(|kind| kind == "audit.log.write_recovered")
    );
}

/// The live files of sealed ones, which the log would keep for their grace.
fn remove_twins(dir: &Path) {
    for sealed in crate::support::files(&dir.join("sealed")) {
        let name = sealed.file_stem().unwrap();
        let _ = fs::remove_file(dir.join("live").join(name));
    }
}

#[test]
fn who_waits_for_durability_is_told_at_once() {
    let place = tempfile::tempdir().unwrap();
    let Some(small) = small(place.path(), "who_waits_for_durability_is_told_at_once") else {
        return;
    };
    let log = AuditLog::builder(small.path().join("audit"))
        .lifecycle(false)
        .source("full")
        .journal_bytes(1 << 20)
        .open()
        .unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    tracing::dispatcher::with_default(&dispatch, || {
        audit!("disk.fine").wait().unwrap();
        // All of it, also what the log keeps in reserve.
        let _ = fs::write(small.path().join("filler"), vec![0; 60 << 20]);
        let mut last = audit!("disk.filled");
        // What is told first counts: soon after, the log may have found some room.
        let told = (0..500).find_map(|_| {
            last = audit!("disk.filled", body = "x".repeat(9000));
            last.wait().err()
        });
        assert!(matches!(told, Some(NotDurable::Storage(_))), "{told:?}");
        fs::remove_file(small.path().join("filler")).unwrap();
        until("it becomes durable", || last.wait().is_ok());
    });
    log.close().unwrap();
}
