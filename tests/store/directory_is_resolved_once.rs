//! A log stays in the directory that was opened, whatever becomes of its name while it runs.

use std::{
    collections::HashSet,
    env, fs,
    ops::ControlFlow,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use tower::ServiceExt as _;
use tracing_audit::{
    AuditLog, AuditReader, Filter, RawEntry, audit,
    health::Problem,
    http::{NewToken, RouterOptions, Scope, read_only_router},
    reader::Order,
};
use tracing_subscriber::prelude::*;

/// A log with many files, and the problems of its directory that it reports.
fn open(dir: impl AsRef<Path>) -> (AuditLog, Arc<Mutex<Vec<String>>>) {
    let moved = Arc::<Mutex<Vec<String>>>::default();
    let heard = moved.clone();
    let log = AuditLog::builder(dir.as_ref())
        .lifecycle(false)
        .source("app")
        .journal_bytes(1 << 20)
        .rotate_bytes(2000)
        .live_grace(Duration::ZERO)
        .on_problem(move |problem| {
            if let Problem::DirectoryMoved(what) = problem {
                heard.lock().unwrap().push(what.clone());
            }
        })
        .open()
        .unwrap();
    (log, moved)
}

/// Records durable events; gives their ids.
fn record(log: &AuditLog, events: u32) -> HashSet<String> {
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    (0..events)
        .map(|n| {
            let receipt = audit!("user.updated", n);
            receipt.wait().unwrap();
            receipt.id().to_string()
        })
        .collect()
}

fn found(reader: &AuditReader) -> HashSet<String> {
    let filter = Filter::parse([("event_type", "user.updated")]).unwrap();
    let mut ids = HashSet::new();
    let gather = |entry: RawEntry| {
        ids.insert(entry.id().to_string());
        ControlFlow::Continue(())
    };
    reader.each(&filter, Order::Asc, gather).unwrap();
    ids
}

fn new_token(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    }
}

/// How many entries the API gives for this token.
fn served(router: &Router, token: &str) -> usize {
    let request = Request::get("/entries?event_type=user.updated&limit=1000")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
        let json: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
        let entries = json["entries"].as_array();
        entries.unwrap_or_else(|| panic!("{json}")).len()
    })
}

#[test]
fn another_working_directory_is_no_other_log() {
    if !crate::support::is_apart(module_path!(), "another_working_directory_is_no_other_log") {
        return;
    }
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    env::set_current_dir(first.path()).unwrap();
    let (log, moved) = open("./audit");
    let mut ids = record(&log, 20);
    let reader = AuditReader::open("audit").unwrap();
    let options = || RouterOptions::new().unrecorded_reads(true);
    let routers = [
        log.router(options()).unwrap(),
        read_only_router("audit", options()).unwrap(),
    ];

    env::set_current_dir(second.path()).unwrap();
    ids.extend(record(&log, 20));
    let (_, token) = log.tokens().create(new_token("first")).unwrap();
    assert_eq!(log.tokens().list().unwrap().len(), 1);
    assert_eq!(reader.tokens().unwrap().len(), 1);
    let late = AuditReader::open(log.dir()).unwrap();
    for reader in [&reader, &late] {
        assert_eq!(found(reader), ids);
    }
    let late = log.router(options()).unwrap();
    for router in routers.iter().chain([&late]) {
        assert_eq!(served(router, &token), ids.len());
    }
    assert!(log.webhooks().list().unwrap().is_empty());
    drop(log.webhooks().run().unwrap());
    log.request_pruning();
    log.close().unwrap();

    assert_eq!(
        log.dir(),
        first.path().canonicalize().unwrap().join("audit")
    );
    assert_eq!(fs::read_dir(second.path()).unwrap().count(), 0);
    assert_eq!(found(&reader), ids);
    assert!(reader.verify(|_, _| {}).unwrap().ok);
    assert!(moved.lock().unwrap().is_empty(), "it is where it was");

    // A relative name can lead elsewhere too.
    symlink(second.path(), first.path().join("current")).unwrap();
    env::set_current_dir(first.path()).unwrap();
    let (log, moved) = open("current/audit");
    env::set_current_dir("/").unwrap();
    fs::remove_file(first.path().join("current")).unwrap();
    crate::support::until("it is reported", || {
        record(&log, 1);
        !moved.lock().unwrap().is_empty()
    });
    log.close().unwrap();
}

#[test]
fn a_release_that_is_swapped_takes_no_log_along() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
    for release in ["1", "2"] {
        fs::create_dir(at(release)).unwrap();
    }
    symlink(at("1"), at("current")).unwrap();
    let named = at("current/audit");
    let (log, moved) = open(&named);
    let reader = AuditReader::open(&named).unwrap();
    let options = RouterOptions::new().unrecorded_reads(true);
    let router = log.router(options).unwrap();
    let mut ids = record(&log, 20);

    symlink(at("2"), at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    ids.extend(record(&log, 20));
    let (_, token) = log.tokens().create(new_token("first")).unwrap();
    crate::support::until("it is reported", || {
        ids.extend(record(&log, 1));
        !moved.lock().unwrap().is_empty()
    });
    assert_eq!(log.dir(), at("1/audit"));
    assert_eq!(found(&reader), ids);
    // A page has 1000 entries at most.
    assert_eq!(served(&router, &token), ids.len().min(1000));
    assert_eq!(fs::read_dir(at("2")).unwrap().count(), 0);

    // It is looked at each second: once is enough.
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1100));
        ids.extend(record(&log, 20));
    }
    let said = moved.lock().unwrap().clone();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(at("1/audit").to_str().unwrap()),
        "{said:?}"
    );
    log.close().unwrap();
    assert_eq!(fs::read_dir(at("2")).unwrap().count(), 0);
    assert_eq!(found(&AuditReader::open(at("1/audit")).unwrap()), ids);
    assert!(reader.verify(|_, _| {}).unwrap().ok);
}

#[test]
fn a_directory_that_is_renamed_takes_the_log_along() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (log, moved) = open(at("audit"));
    let mut ids = record(&log, 20);
    fs::rename(at("audit"), at("away")).unwrap();
    // Without a new file, events may have to wait in the journal.
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        crate::support::until("it is reported", || {
            ids.insert(audit!("user.updated").id().to_string());
            !moved.lock().unwrap().is_empty()
        });
        ids.extend((0..20).map(|_| audit!("user.updated").id().to_string()));
    });
    let _ = log.close();
    assert_eq!(moved.lock().unwrap().len(), 1, "{moved:?}");
    assert!(!at("audit").exists(), "it was made anew");
    // Who opens the log where it is now finds all of it.
    let (log, _) = open(at("away"));
    log.close().unwrap();
    let reader = AuditReader::open(at("away")).unwrap();
    assert_eq!(found(&reader), ids);
    assert!(reader.verify(|_, _| {}).unwrap().ok);
}
