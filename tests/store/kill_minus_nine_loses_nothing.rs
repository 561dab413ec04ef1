//! Promises 1, 3 and 4: processes that emit from several threads are killed at random moments, also
//! while they rotate, seal and recover; every event whose `audit!` returned is in the log exactly
//! once, and nothing in the log is broken.
//!
//! `KILL_ROUNDS=2000 cargo test --release --test kill_minus_nine_loses_nothing` for longer.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::support::{HANGS, Victim, say};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

pub(crate) fn open(dir: &str) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("victim")
        .rotate_bytes(96 * 1024)
        .compression_level(1)
        .live_grace(Duration::from_millis(5))
        .sync_every(Duration::from_millis(7))
        .journal_bytes(1 << 20)
        .open()
        .expect("the directory can be opened whatever died in it")
}

/// Emits from four threads until it is killed, and says the id of each event whose `audit!`
/// returned.
#[test]
fn victim() {
    let Ok(dir) = std::env::var("KILL_DIR") else {
        return;
    };
    let log = open(&dir);
    tracing_subscriber::registry().with(log.layer()).init();
    let emit = |thread: usize| {
        for n in 0..200_000 {
            let receipt = audit!(
                "worker.step",
                actor.id = thread,
                n,
                filler = "x".repeat(n % 300),
                "Step {n}"
            );
            assert!(receipt.is_recorded());
            say(receipt.id());
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || emit(thread));
        }
    });
}

#[test]
fn every_returned_event_is_there_exactly_once() {
    if std::env::var("KILL_DIR").is_ok() {
        return;
    }
    let rounds: usize = std::env::var("KILL_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut returned = HashSet::new();
    // From "not yet opened" to "rotated and sealed several times": longer on a machine so slow that
    // it does not come to that.
    let mut longest = 60_000;
    let mut round = 0;
    let start = Instant::now();
    while round < rounds || returned.len() <= rounds * 10 {
        assert!(
            round < rounds || start.elapsed() < HANGS,
            "only {} events in {round} rounds: the test kills too early",
            returned.len()
        );
        let victim = Victim::start(&mut crate::support::child(
            module_path!(),
            "victim",
            &[("KILL_DIR", path)],
        ));
        std::thread::sleep(Duration::from_micros(fastrand::u64(500..longest)));
        returned.extend(victim.kill::<String>());
        round += 1;
        if round % 50 == 0 || round >= rounds {
            let log = open(path);
            crate::support::recovered(dir.path());
            log.close().unwrap();
            let found = crate::support::ids(dir.path());
            let missing: Vec<_> = returned
                .iter()
                .filter(|id| !found.contains_key(*id))
                .collect();
            assert!(
                missing.is_empty(),
                "round {round}: {} of {} returned events are missing",
                missing.len(),
                returned.len()
            );
            let twice = found.values().filter(|count| **count > 1).count();
            assert_eq!(
                twice, 0,
                "round {round}: {twice} events are in the log more than once"
            );
            crate::support::gzip_test(dir.path());
            if returned.len() <= round * 10 {
                longest *= 2;
            }
        }
    }
}
