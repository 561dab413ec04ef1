//! Forking while other threads record at full speed: no lock of theirs can stop the child, and
//! nobody's events are lost or doubled. `FORK_ROUNDS=2000` for longer.

use std::{
    collections::HashMap,
    env, fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::forking::fork;
use tracing_audit::audit;

const OF_A_CHILD: usize = 20;

/// When the parent's threads record.
#[derive(Default)]
struct Pace {
    go: AtomicBool,
    end: AtomicBool,
}

impl Pace {
    /// Waits until it may; false at the end.
    fn may_go_on(&self) -> bool {
        while !self.go.load(Ordering::Relaxed) && !self.end.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_micros(100));
        }
        !self.end.load(Ordering::Relaxed)
    }
}

struct End<'a>(&'a Pace);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end.store(true, Ordering::Relaxed);
    }
}

#[test]
fn children_record_and_end_whenever_they_are_forked() {
    if !crate::support::is_apart(
        module_path!(),
        "children_record_and_end_whenever_they_are_forked",
    ) {
        return;
    }
    let rounds: usize = env::var("FORK_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(50);
    let dir = tempfile::tempdir().unwrap();
    let said = tempfile::tempdir().unwrap();
    let open = || {
        crate::support::builder(dir.path())
            .journal_bytes(1 << 18)
            .max_record_bytes(8192)
            .rotate_bytes(1 << 20)
            .compression_level(1)
            .live_grace(Duration::from_millis(5))
            .open()
            .unwrap()
    };
    let log = open();
    log.set_global().unwrap();
    let recorded = AtomicUsize::new(0);
    let pace = Pace::default();
    thread::scope(|threads| {
        for thread in 0..3 {
            let (pace, recorded, log) = (&pace, &recorded, &log);
            threads.spawn(move || {
                while pace.may_go_on() {
                    let receipt = audit!("parent.step", thread, filler = "x".repeat(200));
                    assert!(receipt.is_recorded());
                    let n = recorded.fetch_add(1, Ordering::Relaxed);
                    if n % 64 == 0 {
                        receipt.wait().unwrap();
                        // Takes and releases locks of files.
                        log.holds().list().unwrap();
                    }
                }
            });
        }
        // A failed round ends the others too.
        let _end = End(&pace);
        for round in 0..rounds {
            // At full speed at the fork, and out of the child's way then.
            pace.go.store(true, Ordering::Relaxed);
            let before = recorded.load(Ordering::Relaxed);
            crate::support::until("the others are at work", || {
                recorded.load(Ordering::Relaxed) > before + 100
            });
            let child = fork(|| {
                let mut ids = String::new();
                for n in 0..OF_A_CHILD {
                    let receipt = audit!("child.step", round, n);
                    assert!(receipt.is_recorded());
                    ids += &format!("{}\n", receipt.id());
                }
                audit!("child.done", round).wait().unwrap();
                fs::write(said.path().join(round.to_string()), ids).unwrap();
                match round % 3 {
                    0 => log.close().unwrap(),
                    // Ends at once, or in the middle of being recovered by the next.
                    1 => {}
                    _ => fork(|| {
                        audit!("grandchild.done", round).wait().unwrap();
                    })
                    .ends_well(),
                }
            });
            pace.go.store(false, Ordering::Relaxed);
            child.ends_well();
        }
    });
    audit!("parent.done").wait().unwrap();
    log.close().unwrap();
    open().close().unwrap();

    let found = crate::support::ids(dir.path());
    assert!(found.values().all(|count| *count == 1));
    for round in 0..rounds {
        let ids = fs::read_to_string(said.path().join(round.to_string())).unwrap();
        assert_eq!(ids.lines().count(), OF_A_CHILD);
        assert!(ids.lines().all(|id| found.contains_key(id)), "{round}");
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for record in crate::support::records(dir.path()) {
        let event_type = record["event_type"].as_str().unwrap().to_owned();
        *counts.entry(event_type).or_default() += 1;
    }
    assert_eq!(counts["parent.step"], recorded.into_inner());
    assert_eq!(counts["child.step"], rounds * OF_A_CHILD);
    assert_eq!(counts["child.done"], rounds);
    assert_eq!(counts["grandchild.done"], rounds / 3);
}
