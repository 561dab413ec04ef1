//! Hundreds of dead processes left a stream each: an application that may open few files opens the log
//! at once and goes on recording, and all of them are recovered behind it, also when that is
//! interrupted again and again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test; figures are for who runs it"
)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::support::{Victim, say};
use tracing_audit::{AuditLog, AuditReader, Retention, audit};
use tracing_subscriber::prelude::*;

const DEAD: usize = 400;
/// A process may have so many descriptors.
const FILES: u64 = 200;

fn open(dir: &Path) -> (AuditLog, Arc<Mutex<Vec<String>>>) {
    let problems = Arc::<Mutex<Vec<String>>>::default();
    let seen = problems.clone();
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("dead")
        .journal_bytes(64 << 10)
        .max_record_bytes(8 << 10)
        .retention(Retention::unlimited())
        .on_problem(move |problem| seen.lock().unwrap().push(problem.to_string()))
        .open()
        .unwrap();
    (log, problems)
}

fn record(log: &AuditLog) -> [String; 2] {
    let registry = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&tracing::Dispatch::new(registry), || {
        [audit!("dead.began"), audit!("dead.worked")].map(|receipt| {
            assert!(receipt.is_recorded());
            receipt.id().to_string()
        })
    })
}

/// Dead at once, a hundred logs to a process.
#[test]
fn dies() {
    let Ok(dir) = std::env::var("DEAD_DIR") else {
        return;
    };
    // Its own sealers would recover nothing: all streams are alive.
    let logs: Vec<_> = (0..100).map(|_| open(Path::new(&dir))).collect();
    for (log, _) in &logs {
        record(log).iter().for_each(say);
    }
    say("ready");
    crate::forking::die();
}

fn dead(dir: &Path) -> Vec<String> {
    let mut events = Vec::new();
    for _ in 0..DEAD / 100 {
        let vars = [("DEAD_DIR", dir.to_str().unwrap())];
        let victim = Victim::start(&mut crate::support::child(module_path!(), "dies", &vars));
        crate::support::until("a hundred streams are there", || {
            victim
                .said::<String>()
                .last()
                .is_some_and(|said| said == "ready")
        });
        events.extend(victim.kill::<String>());
    }
    events.retain(|event| event != "ready");
    assert_eq!(events.len(), 2 * DEAD);
    events
}

/// Opens the log with few descriptors, and stays until it is killed or, with `RECOVER_ALL`, all is
/// recovered.
#[test]
fn recovers() {
    let Ok(dir) = std::env::var("RECOVER_DIR") else {
        return;
    };
    let dir = Path::new(&dir);
    crate::forking::limit_files(FILES);
    let start = Instant::now();
    let (log, problems) = open(dir);
    println!("opened in {:?}", start.elapsed());
    let recorded = record(&log);
    recorded.iter().for_each(say);
    crate::support::recovered(dir);
    record(&log).iter().for_each(say);
    println!("recovered in {:?}", start.elapsed());
    log.close().unwrap();
    assert_eq!(*problems.lock().unwrap(), Vec::<String>::new());
    say("ready");
}

fn check(dir: &Path, events: &[String]) {
    let (log, problems) = open(dir);
    crate::support::recovered(dir);
    log.close().unwrap();
    assert_eq!(*problems.lock().unwrap(), Vec::<String>::new());
    let ids = crate::support::ids(dir);
    let wrong = events.iter().filter(|id| ids.get(*id) != Some(&1)).count();
    assert_eq!(wrong, 0, "of {} not there once", events.len());
    let report = AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap();
    assert!(report.ok, "{report:#?}");
}

fn is_child() -> bool {
    std::env::var_os("DEAD_DIR").is_some() || std::env::var_os("RECOVER_DIR").is_some()
}

#[test]
fn few_descriptors_are_enough() {
    if is_child() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut events = dead(dir.path());
    let vars = [("RECOVER_DIR", dir.path().to_str().unwrap())];
    let victim = Victim::start(&mut crate::support::child(
        module_path!(),
        "recovers",
        &vars,
    ));
    crate::support::until("all streams are recovered", || {
        victim
            .said::<String>()
            .last()
            .is_some_and(|said| said == "ready")
    });
    events.extend(victim.kill::<String>());
    events.retain(|event| event != "ready");
    check(dir.path(), &events);
}

#[test]
fn recovery_can_be_interrupted_again_and_again() {
    if is_child() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut events = dead(dir.path());
    for _ in 0..12 {
        let vars = [("RECOVER_DIR", dir.path().to_str().unwrap())];
        let victim = Victim::start(&mut crate::support::child(
            module_path!(),
            "recovers",
            &vars,
        ));
        std::thread::sleep(Duration::from_millis(fastrand::u64(20..400)));
        events.extend(victim.kill::<String>());
    }
    events.retain(|event| event != "ready");
    check(dir.path(), &events);
}
