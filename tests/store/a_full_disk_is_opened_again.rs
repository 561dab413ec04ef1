//! A log is opened on a disk that is full: what can go without losing anything goes, and if that is
//! not enough, the error says so, nothing is lost, and it opens once there is room.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::mounts::{Mounted, may_mount};
use crate::support::{Victim, say};
use tracing_audit::{
    AuditLog, AuditLogBuilder, AuditReader, Retention, WhenFull, audit,
    health::{SpaceAction, Watermarks},
};
use tracing_subscriber::prelude::*;

const MIB: usize = 1 << 20;

fn builder(dir: &Path, journal: usize) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("full")
        .journal_bytes(journal)
        .when_full(WhenFull::Drop)
        .retention(Retention::unlimited())
        .live_grace(Duration::from_secs(3600))
}

/// Takes all room that is left.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).unwrap();
    for len in [MIB, 4096, 1] {
        while file.write_all(&vec![1; len]).is_ok() {}
    }
    path
}

fn audited<T>(log: &AuditLog, run: impl FnOnce() -> T) -> T {
    let registry = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&tracing::Dispatch::new(registry), run)
}

/// Records as `RESTART_DO` says until it is killed, and says which events were taken.
#[test]
fn victim() {
    let (Ok(dir), Ok(what)) = (std::env::var("RESTART_DIR"), std::env::var("RESTART_DO")) else {
        return;
    };
    let log = builder(Path::new(&dir), 4 * MIB).open().unwrap();
    audited(&log, || {
        say(audit!("disk.fine").wait().map(|()| "-").unwrap());
        let receipt = audit!("disk.fine");
        receipt.wait().unwrap();
        say(receipt.id());
        if what == "fill" {
            fill(Path::new(&dir).parent().unwrap());
            loop {
                let receipt = audit!("disk.full", body = "x".repeat(fastrand::usize(..900)));
                if !receipt.is_recorded() {
                    break;
                }
                say(receipt.id());
            }
        }
    });
    say("ready");
    loop {
        std::thread::park();
    }
}

/// Runs a victim until it has done all, and kills it; gives the events that it recorded.
fn killed(dir: &Path, what: &str) -> Vec<String> {
    let vars = [("RESTART_DIR", dir.to_str().unwrap()), ("RESTART_DO", what)];
    let victim = Victim::start(&mut crate::support::child(module_path!(), "victim", &vars));
    crate::support::until("the process has recorded its events", || {
        victim
            .said::<String>()
            .last()
            .is_some_and(|said| said == "ready")
    });
    let mut said = victim.kill::<String>();
    said.retain(|said| said != "ready" && said != "-");
    said
}

fn check(dir: &Path, events: &[String]) {
    crate::support::recovered(dir);
    let ids = crate::support::ids(dir);
    let wrong: Vec<_> = events
        .iter()
        .filter(|id| ids.get(*id) != Some(&1))
        .collect();
    let count = events.len();
    assert!(
        wrong.is_empty(),
        "of {count} not there once: {}",
        wrong.len()
    );
    let report = AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap();
    assert!(report.ok, "{report:#?}");
}

/// A disk for the test `name`, unless nothing can be mounted here.
fn disk(name: &str, options: &str) -> Option<(tempfile::TempDir, Mounted)> {
    let place = may_mount(module_path!(), name).then(|| tempfile::tempdir().unwrap())?;
    let disk = Mounted::tmpfs(options, place.path());
    Some((place, disk))
}

fn record_one(log: &AuditLog) -> String {
    let receipt = audited(log, || audit!("disk.restarted"));
    // Whoever waits is told at once that there is no room; some is made meanwhile.
    crate::support::until("it is durable", || receipt.wait().is_ok());
    receipt.id().to_string()
}

#[test]
fn where_no_room_can_be_made_nothing_is_lost() {
    let Some((_place, disk)) = disk("where_no_room_can_be_made_nothing_is_lost", "size=40m") else {
        return;
    };
    let dir = disk.path().join("audit");
    let mut events = killed(&dir, "fill");
    assert!(events.len() > 1000, "{}", events.len());
    for _ in 0..3 {
        let error = builder(&dir, 4 * MIB).open().unwrap_err().to_string();
        let told = ["is full", "free some", &*dir.to_string_lossy()];
        assert!(told.iter().all(|part| error.contains(part)), "{error}");
    }
    // Enough for what the journal holds, and no more: the new journal takes the old one's place.
    let filler = disk.path().join("filler");
    let taken = fs::metadata(&filler).unwrap().len();
    let file = File::options().write(true).open(&filler).unwrap();
    file.set_len(taken - 6 * MIB as u64).unwrap();
    let log = builder(&dir, 4 * MIB).open().unwrap();
    check(&dir, &events);
    drop(fs::remove_file(&filler));
    events.push(record_one(&log));
    check(&dir, &events);
    log.close().unwrap();
}

#[test]
fn journals_of_dead_processes_make_room() {
    let Some((_place, disk)) = disk("journals_of_dead_processes_make_room", "size=40m") else {
        return;
    };
    let dir = disk.path().join("audit");
    let mut events = killed(&dir, "die");
    fill(disk.path());
    let log = builder(&dir, 4 * MIB).open().unwrap();
    events.push(record_one(&log));
    check(&dir, &events);
    log.close().unwrap();
}

#[test]
fn live_twins_make_room() {
    let Some((_place, disk)) = disk("live_twins_make_room", "size=64m") else {
        return;
    };
    let dir = disk.path().join("audit");
    // This disk is below the default watermarks from the beginning, and a second later the twins
    // would go for that alone.
    let unwatched = Watermarks::default()
        .low(0, SpaceAction::Report)
        .very_low(0, SpaceAction::Report);
    let log = builder(&dir, 4 * MIB)
        .rotate_bytes(MIB as u64)
        .watermarks(unwatched)
        .open()
        .unwrap();
    let mut events = Vec::new();
    audited(&log, || {
        for n in 0..12_000 {
            let receipt = audit!("disk.used", body = "x".repeat(500));
            assert!(receipt.is_recorded());
            events.push(receipt.id().to_string());
            // However slow the writer is, the journal has room.
            if n % 2000 == 0 {
                log.flush().unwrap();
            }
        }
    });
    crate::support::until("files are sealed", || {
        crate::support::files(&dir.join("sealed")).len() >= 5
    });
    log.close().unwrap();
    let twins = crate::support::files(&dir.join("live")).len();
    assert!(twins >= 5, "{twins}");
    fill(disk.path());
    let log = builder(&dir, 4 * MIB).open().unwrap();
    events.push(record_one(&log));
    check(&dir, &events);
    log.close().unwrap();
}

#[test]
fn files_that_can_be_sealed_make_room() {
    let Some((_place, disk)) = disk("files_that_can_be_sealed_make_room", "size=64m") else {
        return;
    };
    let dir = disk.path().join("audit");
    let log = builder(&dir, 8 * MIB).open().unwrap();
    let mut events = Vec::new();
    audited(&log, || {
        for _ in 0..12_000 {
            let receipt = audit!("disk.used", body = "x".repeat(500));
            if receipt.is_recorded() {
                events.push(receipt.id().to_string());
            }
        }
    });
    log.close().unwrap();
    let filler = fill(disk.path());
    let taken = fs::metadata(&filler).unwrap().len();
    let file = File::options().write(true).open(&filler).unwrap();
    file.set_len(taken - 2 * MIB as u64).unwrap();
    let log = builder(&dir, 4 * MIB).open().unwrap();
    events.push(record_one(&log));
    check(&dir, &events);
    log.close().unwrap();
}

#[test]
fn without_inodes_it_opens_once_there_are_some() {
    let options = "size=64m,nr_inodes=64";
    let Some((_place, disk)) = disk("without_inodes_it_opens_once_there_are_some", options) else {
        return;
    };
    let dir = disk.path().join("audit");
    let mut events = killed(&dir, "die");
    let mut taken = Vec::new();
    for number in 0.. {
        let path = disk.path().join(format!("taken-{number}"));
        match File::create(&path) {
            Ok(_) => taken.push(path),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull);
                break;
            }
        }
    }
    // The dead process's reserve and journal are two: one for a lock, one for a journal.
    match builder(&dir, 4 * MIB).open() {
        Ok(log) => log.close().unwrap(),
        Err(error) => assert!(
            error.to_string().contains("no file can be created"),
            "{error}"
        ),
    }
    taken.iter().for_each(|path| fs::remove_file(path).unwrap());
    let log = builder(&dir, 4 * MIB).open().unwrap();
    events.push(record_one(&log));
    check(&dir, &events);
    log.close().unwrap();
}
