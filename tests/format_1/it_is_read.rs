//! Every entry is there once, the log is whole, and it is served.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read as _},
    ops::ControlFlow,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use axum::{Router, http::header};
use serde_json::Value;
use tracing_audit::{AuditLog, AuditReader, Filter, http::RouterOptions, reader::Order};

use crate::{
    fixture::{ATTEMPTED, EMAIL, Fixture, UNREAD},
    http::Served,
    support::{files, ids, records},
};

fn verify(dir: &Path) {
    let report = AuditReader::open(dir).unwrap().verify(|_, _| ()).unwrap();
    assert!(report.ok, "{report:#?}");
}

/// All event ids are in the log once, and those of pruned events aren't.
fn each_event_is_there_once(fixture: &Fixture) {
    let found = ids(&fixture.dir());
    for id in &fixture.contents.recorded {
        assert_eq!(found.get(id), Some(&1), "{id}");
    }
    for id in &fixture.contents.pruned {
        assert_eq!(found.get(id), None, "{id}");
    }
    assert!(found.values().all(|count| *count == 1));
}

/// What this test is about is in the fixture at all.
#[test]
fn the_fixture_has_every_kind_of_file() {
    let fixture = Fixture::unpack();
    let dir = fixture.dir();
    let files = files(&dir);
    let names: Vec<_> = files
        .iter()
        .map(|path| path.strip_prefix(&dir).unwrap().to_str().unwrap())
        .collect();
    let kinds = [
        ("live/", ".jsonl"),
        ("sealed/dt=2025-11-19/", ".jsonl.gz"),
        ("sealed/dt=2025-11-21/", ".jsonl.gz"),
        ("index/dt=2025-11-19/", ".idx"),
        ("state/format", ""),
        ("state/pruning", ""),
        ("state/journal/", ".ring"),
        ("state/tmp/", ".reserve"),
        ("state/locks/", ".lock"),
        ("state/catalogue", ".json"),
        ("state/clock", ".json"),
        ("state/hash-keys", ".json"),
        ("state/holds", ".json"),
        ("state/replays", ".json"),
        ("state/tokens", ".json"),
        ("state/webhooks", ".json"),
        ("state/webhook-crm.", ".json"),
        ("state/attempts-siem.", ".json"),
        ("state/dead-letter-ages", ".json"),
        ("state/dead-letters/siem.", ".jsonl"),
    ];
    for (begins, ends) in kinds {
        let is_there = |name: &&&str| name.starts_with(begins) && name.ends_with(ends);
        assert!(names.iter().any(|name| is_there(&name)), "{begins}…{ends}");
    }
    let twins = names.iter().filter_map(|name| name.strip_prefix("live/"));
    let sealed = |live: &str| {
        let of_live = format!("/{live}.gz");
        names.iter().any(|name| name.ends_with(&of_live))
    };
    assert!(twins.clone().any(sealed), "a live file with a sealed twin");
    assert!(twins.clone().any(|name| !sealed(name)), "and one without");
    for path in [dir.join("live"), dir.join("state"), files[0].clone()] {
        let mode = path.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{}", path.display());
    }
}

#[test]
fn every_entry_is_there_once_and_the_log_is_whole() {
    let fixture = Fixture::unpack();
    // As a reader finds it that may not write.
    verify(&fixture.dir());
    let log = fixture.open();
    each_event_is_there_once(&fixture);
    verify(&fixture.dir());

    let entries = records(&fixture.dir());
    let count = |event_type: &str| {
        let of_type = entries.iter().filter(|one| one["event_type"] == event_type);
        of_type.count()
    };
    // Of four processes three closed the log, the first of which was pruned.
    assert_eq!(count("audit.log.opened"), 4);
    assert_eq!(count("audit.log.closed"), 2);
    assert_eq!(count("audit.log.ended_without_closing"), 1);
    assert_eq!(count("audit.log.pruned"), 1);
    assert_eq!(count("audit.log.clock_trusted"), 1);
    assert_eq!(count("audit.log.lost"), 0);
    log.close().unwrap();
    verify(&fixture.dir());
}

/// Its indexes know no types, and addresses only as they stand in the lines.
#[test]
fn entries_are_found_by_the_type_of_the_actor() {
    let fixture = Fixture::unpack();
    let reader = AuditReader::open(fixture.dir()).unwrap();
    let entries = records(&fixture.dir());
    let types: BTreeSet<_> = entries
        .iter()
        .filter_map(|entry| entry["actor"]["type"].as_str())
        .collect();
    assert!(types.len() > 1, "{types:?}");
    for actor in types {
        let is = |entry: &&Value| {
            ["id", "name", "type"]
                .iter()
                .any(|part| entry["actor"][part] == actor)
        };
        let filter = Filter::parse([("actor", actor)]).unwrap();
        let mut found = 0;
        let count = |_| {
            found += 1;
            ControlFlow::Continue(())
        };
        reader.each(&filter, Order::Asc, count).unwrap();
        assert_eq!(found, entries.iter().filter(is).count(), "{actor}");
    }
}

#[test]
fn settings_hold_as_they_did() {
    let fixture = Fixture::unpack();
    let log = fixture.open();
    let holds = log.holds().list().unwrap();
    assert_eq!(holds.len(), 1);
    assert_eq!(holds[0].name(), "case-7");

    let hashes = log.hashes_of(EMAIL).unwrap();
    assert_eq!(hashes.len(), 2, "two keys");
    let entries = records(&fixture.dir());
    for hash in hashes {
        let found = |entry: &&serde_json::Value| entry["details"]["email"] == hash.as_str();
        assert_eq!(entries.iter().filter(found).count(), 1, "{hash}");
    }
    log.close().unwrap();
}

/// The log with its API, and the token that was made for it.
fn serve(fixture: &Fixture, log: &AuditLog) -> Served {
    let router = log.router(RouterOptions::new()).unwrap();
    Served {
        log: log.clone(),
        app: Router::new().nest("/audit", router),
        token: fixture.contents.token.clone(),
        // What is in here is not looked at.
        dir: tempfile::tempdir().unwrap(),
    }
}

/// The lines of all files in a ZIP but its manifest.
fn lines_of_zip(bytes: &[u8]) -> Vec<String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut lines = Vec::new();
    for n in 0..zip.len() {
        let mut file = zip.by_index(n).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        if file.name().unwrap().ends_with(".jsonl") {
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

#[tokio::test]
async fn it_is_served() {
    let fixture = Fixture::unpack();
    let log = fixture.open();
    let served = serve(&fixture, &log);

    let page = "/audit/entries?event_type=order.placed&limit=1000&order=asc";
    let page = served.get(page).await.json();
    let entries = page["entries"].as_array().unwrap().iter();
    let numbers: BTreeSet<_> = entries
        .map(|entry| entry["details"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, ATTEMPTED.chain(UNREAD).collect());

    let zip = "/audit/export?format=zip&start_date=2025-11-19&end_date=2025-11-21";
    let zip = served.get(zip).await;
    assert_eq!(zip.header(header::CONTENT_TYPE), "application/zip");
    let mut zipped = lines_of_zip(&zip.body);
    let mut stored = crate::support::lines(&fixture.dir());
    // What this version recorded is of another day.
    stored.retain(|line| line.contains(r#""timestamp":"2025-11-"#));
    zipped.sort();
    stored.sort();
    assert_eq!(zipped, stored);
    log.close().unwrap();
}
