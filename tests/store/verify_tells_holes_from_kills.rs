//! Verifying says "ok" after every kill, before and after recovery, and beside processes that
//! write, rotate, seal and prune; and it names the place of every real hole.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::support::{Victim, say};
use tracing_audit::{
    AuditLog, AuditLogBuilder, AuditReader, Retention, audit,
    reader::{FindingKind, VerifyReport},
};
use tracing_subscriber::prelude::*;

fn verify(dir: &Path) -> VerifyReport {
    AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap()
}

fn small_files(dir: &Path) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("victim")
        .rotate_bytes(32 * 1024)
        .compression_level(1)
        .live_grace(Duration::from_millis(5))
        .sync_every(Duration::from_millis(7))
        .journal_bytes(1 << 20)
}

fn open(dir: &Path) -> AuditLog {
    small_files(dir)
        .retention(Retention::unlimited())
        .open()
        .expect("the directory can be opened whatever died in it")
}

/// Records from two threads until it is killed.
#[test]
fn victim() {
    let Ok(dir) = std::env::var("KILL_DIR") else {
        return;
    };
    let log = open(Path::new(&dir));
    tracing_subscriber::registry().with(log.layer()).init();
    let record = |thread: usize| {
        for n in 0..200_000 {
            let filler = "x".repeat(n % 300);
            let receipt = audit!("worker.step", actor.id = thread, n, filler, "Step {n}");
            say(receipt.id());
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || record(thread));
        }
    });
}

#[test]
fn a_kill_is_no_problem_before_and_after_recovery() {
    if std::env::var("KILL_DIR").is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    open(dir.path()).close().unwrap();
    let mut dead = 0;
    let mut recorded = 0;
    // Longer lives on a machine so slow that nothing is recorded in them.
    let mut longest = 80_000;
    for round in 0..50 {
        let victim = Victim::start(&mut crate::support::child(
            module_path!(),
            "victim",
            &[("KILL_DIR", path)],
        ));
        std::thread::sleep(Duration::from_micros(fastrand::u64(500..longest)));
        let more = victim.kill::<String>().len();
        longest += if more == 0 { 20_000 } else { 0 };
        recorded += more;
        let report = verify(dir.path());
        assert!(report.ok, "killed in round {round}: {report:#?}");
        let left = |kind| report.notes().filter(|note| note.kind == kind).count();
        dead += left(FindingKind::LeftOver);
        if round % 5 == 4 {
            open(dir.path()).close().unwrap();
            let report = verify(dir.path());
            assert!(report.ok, "recovered in round {round}: {report:#?}");
            let left = report
                .findings
                .iter()
                .any(|finding| finding.kind == FindingKind::LeftOver);
            assert!(!left, "recovered in round {round}: {report:#?}");
        }
    }
    assert!(recorded > 100, "only {recorded} events: it kills too early");
    assert!(dead > 5, "only {dead} dead processes were met");
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_that_living_processes_do_is_a_problem() {
    if std::env::var("KILL_DIR").is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let log = small_files(dir.path())
        .retention(Retention::unlimited().max_bytes(128 * 1024))
        .open()
        .unwrap();
    let over = AtomicBool::new(false);
    let recoveries = AtomicU64::new(0);
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let (mut verified, mut entries) = (0_u64, 0);
    tracing::subscriber::with_default(subscriber, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for n in 0.. {
                        audit!("shop.sold", n, filler = "x".repeat(n % 700), "Sold {n}");
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        std::thread::sleep(Duration::from_micros(300));
                    }
                });
            });
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    log.request_pruning();
                    std::thread::sleep(Duration::from_millis(3));
                }
            });
            scope.spawn(|| {
                // A few: what they leave is sealed later, and read again and again until then.
                for _ in 0..8 {
                    let victim = Victim::start(&mut crate::support::child(
                        module_path!(),
                        "victim",
                        &[("KILL_DIR", path)],
                    ));
                    std::thread::sleep(Duration::from_micros(fastrand::u64(5_000..60_000)));
                    victim.kill::<String>();
                    open(dir.path()).close().unwrap();
                    recoveries.fetch_add(1, Ordering::Relaxed);
                }
            });
            // Also if this panics: or the others would never end.
            let _over = Over(&over);
            let pruned = || log.counters().pruned;
            let recovered = || recoveries.load(Ordering::Relaxed);
            // Most of what is verified has entries in it, however slowly they come.
            while verified < 40 || recovered() < 8 || pruned() < 20 || entries <= verified * 50 {
                let report = verify(dir.path());
                assert!(report.ok, "after {verified}: {report:#?}");
                verified += 1;
                entries += report.entries;
            }
        });
    });
}
