//! The log says when it was open: each opening, each closing, and each end without one.

use std::{
    env, fs,
    path::Path,
    sync::{Arc, Barrier},
    thread,
};

use crate::{
    forking::{die, exit, fork},
    support::{Victim, child, files, ids, records, recovered, say, until},
};
use serde_json::Value;
use tracing_audit::{AuditLog, AuditReader, Timestamp, audit, retention::Hold};
use tracing_subscriber::prelude::*;

const DIR: &str = "WHEN_DOWN_DIR";

fn open(dir: &Path) -> AuditLog {
    let log = AuditLog::builder(dir).source("app").journal_bytes(1 << 20);
    log.open().unwrap()
}

fn with<T>(log: &AuditLog, run: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), run)
}

/// The entries of each stream, the stream that was opened first before the others.
fn streams(dir: &Path) -> Vec<Vec<Value>> {
    // Each counts without a gap.
    ids(dir);
    let mut entries = records(dir);
    entries.sort_by_key(|entry| entry["seq"].as_u64());
    let mut streams: Vec<Vec<Value>> = Vec::new();
    for entry in entries {
        match streams
            .iter_mut()
            .find(|one| one[0]["stream"] == entry["stream"])
        {
            Some(stream) => stream.push(entry),
            None => streams.push(vec![entry]),
        }
    }
    streams.sort_by_key(|stream| stream[0]["timestamp"].as_str().unwrap().to_owned());
    streams
}

fn types(stream: &[Value]) -> Vec<&str> {
    let types = stream
        .iter()
        .map(|entry| entry["event_type"].as_str().unwrap());
    types
        .map(|one| one.strip_prefix("audit.log.").unwrap_or(one))
        .collect()
}

fn verify(dir: &Path) {
    let report = AuditReader::open(dir).unwrap().verify(|_, _| ()).unwrap();
    assert!(report.ok && report.findings.is_empty(), "{report:#?}");
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn opens_and_waits_for_its_death() {
    let Some(dir) = env::var_os(DIR) else { return };
    let log = open(Path::new(&dir));
    if env::var_os("RECORDS").is_some() {
        with(&log, || audit!("app.step")).wait().unwrap();
    }
    match env::var("ENDS").unwrap().as_str() {
        "exit" => std::process::exit(0),
        "_exit" => exit(0),
        "kill" => die(),
        _ => {
            log.flush().unwrap();
            say("opened");
            thread::park();
        }
    }
}

fn run_one(dir: &Path, vars: &[(&str, &str)]) {
    let mut vars = vars.to_vec();
    vars.push((DIR, dir.to_str().unwrap()));
    let _ = child(module_path!(), "opens_and_waits_for_its_death", &vars).output();
}

#[test]
fn each_way_to_end_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    for ends in ["exit", "_exit", "kill"] {
        run_one(dir.path(), &[("ENDS", ends)]);
        run_one(dir.path(), &[("ENDS", ends), ("RECORDS", "1")]);
    }
    // The last to open it closes it.
    for _ in 0..2 {
        let log = open(dir.path());
        recovered(dir.path());
        log.close().unwrap();
    }
    let streams = streams(dir.path());
    let mut ends = Vec::new();
    for stream in &streams {
        let types = types(stream);
        assert_eq!(types[0], "opened", "{types:?}");
        let all = types
            .iter()
            .filter(|one| ["closed", "ended_without_closing"].contains(one));
        assert_eq!(all.count(), 1, "{types:?}");
        ends.push(types[types.len() - 1].to_owned());
    }
    let (closed, ended) = ("closed", "ended_without_closing");
    assert_eq!(
        ends,
        [closed, closed, ended, ended, ended, ended, closed, closed]
    );
    let opened = &streams[0][0];
    assert_eq!(opened["details"]["when_full"], "wait");
    assert_eq!(opened["details"]["retention"]["days"], 90);
    assert!(opened["details"]["pid"].is_u64());
    let mut keys: Vec<_> = opened["details"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["host", "pid", "retention", "version", "when_full"]);
    verify(dir.path());
}

/// When the one process that has the log open last lived, as its journal says: `ALIVE` in the page
/// at the beginning, in microseconds since 1970.
fn sign_of_life(dir: &Path) -> i64 {
    const ALIVE: usize = 1032;
    let mut journals = files(&dir.join("state/journal"));
    journals.retain(|path| path.extension().is_some_and(|e| e == "ring"));
    let journal = fs::read(&journals[0]).unwrap();
    i64::from_ne_bytes(journal[ALIVE..ALIVE + 8].try_into().unwrap())
}

#[test]
fn the_last_sign_of_life_lies_between_the_last_entry_and_the_death() {
    let dir = tempfile::tempdir().unwrap();
    let vars = [(DIR, dir.path().to_str().unwrap()), ("ENDS", "later")];
    let test = "opens_and_waits_for_its_death";
    let victim = Victim::start(&mut child(module_path!(), test, &vars));
    until("it is open", || !victim.said::<String>().is_empty());
    let opened = time(&records(dir.path())[0]["timestamp"]);
    // It does nothing now, and lives.
    until("it gives a sign of life", || {
        sign_of_life(dir.path()) > opened.as_micros()
    });
    victim.kill::<String>();
    let died = Timestamp::now();

    let log = open(dir.path());
    recovered(dir.path());
    log.close().unwrap();
    let streams = streams(dir.path());
    let ended = streams[0].last().unwrap();
    assert_eq!(ended["event_type"], "audit.log.ended_without_closing");
    let seen = time(&ended["details"]["last_sign_of_life"]);
    assert!(opened < seen && seen <= died, "{opened} {seen} {died}");
    assert_eq!(time(&ended["details"]["last_entry"]), opened);
}

#[test]
fn what_is_recorded_while_the_log_is_closed_is_before_its_last_entry_or_refused() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
        let begin = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (dispatch, begin) = (dispatch.clone(), begin.clone());
                thread::spawn(move || {
                    begin.wait();
                    tracing::dispatcher::with_default(&dispatch, || {
                        let mut taken = 0_usize;
                        while audit!("app.step").is_recorded() {
                            taken += 1;
                        }
                        taken
                    })
                })
            })
            .collect();
        begin.wait();
        log.close().unwrap();
        let taken: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        let streams = streams(dir.path());
        assert_eq!(streams.len(), 1);
        let types = types(&streams[0]);
        assert_eq!(types.len(), taken + 2);
        assert_eq!((types[0], types[taken + 1]), ("opened", "closed"));
    }
}

#[test]
fn a_forked_child_has_a_life_of_its_own() {
    if !crate::support::is_apart(module_path!(), "a_forked_child_has_a_life_of_its_own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let step = || with(&log, || assert!(audit!("app.step").is_recorded()));
    fork(|| ()).ends_well();
    fork(|| {
        step();
        log.close().unwrap();
    })
    .ends_well();
    fork(step).ends_well();
    log.close().unwrap();
    let log = open(dir.path());
    recovered(dir.path());
    log.close().unwrap();

    let streams = streams(dir.path());
    let types: Vec<_> = streams.iter().map(|stream| types(stream)).collect();
    assert_eq!(types.len(), 4, "{types:?}");
    assert_eq!(types[0], ["opened", "closed"]);
    assert_eq!(types[1], ["opened", "app.step", "closed"]);
    assert_eq!(types[2][..2], ["opened", "app.step"]);
    assert_eq!(types[2].last(), Some(&"ended_without_closing"));
    assert_eq!(types[3], ["opened", "closed"]);
    assert_ne!(
        streams[0][0]["details"]["pid"],
        streams[1][0]["details"]["pid"]
    );
    verify(dir.path());
}

#[test]
fn a_tool_records_what_it_does_and_not_that_it_ran() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let tool = AuditLog::builder(dir.path()).for_maintenance();
    let tool = tool.source("tool").open().unwrap();
    let hold = Hold::new("case-7", "2025-01-01", "2025-01-02").unwrap();
    tool.holds().place(hold).unwrap();
    tool.close().unwrap();
    let streams = streams(dir.path());
    assert_eq!(types(&streams[1]), ["audit.hold.placed"]);
    let catalogue = AuditReader::open(dir.path()).unwrap().catalogue().unwrap();
    let of_tool = catalogue
        .iter()
        .filter(|entry| entry.sources().any(|source| source == "tool"));
    assert_eq!(of_tool.count(), 0, "its event types are of no interest");
}
