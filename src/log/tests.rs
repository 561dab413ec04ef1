//! Opening a log, and a writer that dies while callers stand before its full journal.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::prelude::*;

use crate::{
    AuditLog, Error, HashKey,
    health::Problem,
    store::{Store, clock::SystemClock, sim::SimFs},
};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn no_caller_stands_before_the_full_journal_of_a_writer_that_died() {
    const CALLERS: usize = 3;
    const FRAME: u64 = 2000;
    let dir = tempfile::tempdir().unwrap();
    let disk = SimFs::new();
    disk.put(dir.path().join("here"), "");
    let stands = Arc::new(AtomicBool::new(false));
    let (live, gate) = (dir.path().join("live"), stands.clone());
    disk.fail(move |_, op| {
        if op.what == "append" && op.path.starts_with(&live) {
            until("the journal is full", || gate.load(Relaxed));
            panic!("on purpose");
        }
        None
    });
    let problems = Arc::new(Mutex::new(Vec::new()));
    let told = problems.clone();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("app")
        .hash_key(HashKey::new("k", &[7; 32]).unwrap())
        .journal_bytes(1 << 15)
        .max_record_bytes(1 << 12)
        .on_problem(move |problem| told.lock().unwrap().push(problem.clone()))
        .open_with(|dir, options| {
            let clock = Arc::new(SystemClock::new());
            let thread = |name: &str| thread::Builder::new().name(name.to_owned());
            Store::open_on(Arc::new(disk.clone()), clock, thread, dir, options)
        })
        .unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    let (done, waits) = channel();
    for _ in 0..CALLERS {
        let (dispatch, done, log) = (dispatch.clone(), done.clone(), log.clone());
        thread::spawn(move || {
            let body = "x".repeat(1000);
            let emit = || tracing::info!(target: "audit", event_type = "job.done", body);
            tracing::dispatcher::with_default(&dispatch, || {
                while log.counters().refused == 0 {
                    emit();
                }
            });
            drop(log);
            done.send(()).unwrap();
        });
    }
    let stores = &log.owner.stores;
    until("the journal is full", || {
        stores.fill().is_some_and(|(used, all)| used + FRAME > all)
    });
    stands.store(true, Relaxed);
    for _ in 0..CALLERS {
        let ended = waits.recv_timeout(Duration::from_secs(60));
        ended.expect("no caller waits for a writer that is dead");
    }
    assert!((1..=CALLERS as u64).contains(&log.counters().refused));
    let died = |problem: &Problem| matches!(problem, Problem::ThreadDied(_));
    until("it is reported", || !problems.lock().unwrap().is_empty());
    assert!(
        log.health()
            .problems
            .iter()
            .any(|what| what.contains("on purpose"))
    );
    let (closed, waits) = channel();
    thread::spawn(move || closed.send(log.close()));
    let result = waits.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(result.unwrap_err().to_string().contains("on purpose"));
    let problems = problems.lock().unwrap();
    assert!(
        problems.len() == 1 && problems.iter().all(died),
        "{problems:?}"
    );
}

#[test]
fn a_log_whose_keys_are_damaged_begins_no_stream() {
    let dir = tempfile::tempdir().unwrap();
    let open = || AuditLog::builder(dir.path()).source("app").open();
    open().unwrap().close().unwrap();
    let keys = dir.path().join("state/hash-keys.json");
    let whole = fs::read(&keys).unwrap();
    fs::write(&keys, "{").unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    for begun in ["state/journal", "state/locks"] {
        let left = fs::read_dir(dir.path().join(begun)).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name());
        let streams = left.filter(|name| name.to_string_lossy().starts_with("app-"));
        assert_eq!(streams.count(), 0, "{begun}");
    }
    fs::write(&keys, whole).unwrap();
    open().unwrap().close().unwrap();
}

#[test]
fn a_directory_without_a_name_is_refused_with_what_to_give() {
    let wanted = "dir: it is empty; give a directory like ./audit";
    let opened = AuditLog::builder("").open().unwrap_err();
    assert_eq!(opened.to_string(), wanted);
    let read = crate::AuditReader::open("").unwrap_err();
    assert_eq!(read.to_string(), wanted);
}
