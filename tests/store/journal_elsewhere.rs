//! The journal lies in another directory (`journal_dir`): a kill loses nothing; a journal that is
//! gone is recorded, and all that was durable is there; while the log's file system is frozen, no
//! caller waits; a full directory, and one that is another's, are refused in plain words.

#![allow(clippy::print_stdout, reason = "what was measured is for who runs it")]

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    forking::fork,
    mounts::{Mounted, may_mount},
    support::{Victim, say},
};
use tracing_audit::{
    AuditLog, AuditLogBuilder, AuditReader, Permissions, WhenFull, audit,
    health::Problem,
    reader::{FindingKind, VerifyReport},
};
use tracing_subscriber::prelude::*;

fn builder(dir: &Path, journals: &Path) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("victim")
        .rotate_bytes(96 * 1024)
        .compression_level(1)
        .live_grace(Duration::from_millis(5))
        .sync_every(Duration::from_millis(7))
        .journal_bytes(1 << 20)
        .journal_dir(journals)
}

fn verify(dir: &Path) -> VerifyReport {
    AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap()
}

fn journals(dir: &Path) -> Vec<PathBuf> {
    let mut files = crate::support::files(dir);
    files.retain(|path| path.extension().is_some_and(|e| e == "ring"));
    files
}

/// Waits until the pointers of dead processes are gone, and with them what they left.
fn recovered(dir: &Path, living: usize) {
    crate::support::until("what dead processes left is recovered", || {
        crate::support::files(&dir.join("state/journal")).len() <= living
    });
}

/// Records from two threads until it is killed; says each id, and `durable` before it once the
/// event is.
#[test]
fn victim() {
    let (Ok(dir), Ok(journals)) = (std::env::var("KILL_DIR"), std::env::var("KILL_JOURNALS"))
    else {
        return;
    };
    let log = builder(Path::new(&dir), Path::new(&journals))
        .open()
        .unwrap();
    tracing_subscriber::registry().with(log.layer()).init();
    let record = |thread: usize| {
        for n in 0..200_000 {
            let filler = "x".repeat(n % 300);
            let receipt = audit!("worker.step", actor.id = thread, n, filler);
            assert!(receipt.is_recorded());
            say(receipt.id());
            if n % 50 == 0 {
                receipt.wait().unwrap();
                say(format!("durable:{}", receipt.id()));
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || record(thread));
        }
    });
}

fn is_victim() -> bool {
    std::env::var("KILL_DIR").is_ok()
}

/// What a killed process recorded, and what of it was durable.
fn killed(dir: &Path, journals: &Path, least: usize) -> (HashSet<String>, HashSet<String>) {
    let vars = [
        ("KILL_DIR", dir.to_str().unwrap()),
        ("KILL_JOURNALS", journals.to_str().unwrap()),
    ];
    let victim = Victim::start(&mut crate::support::child(module_path!(), "victim", &vars));
    crate::support::until("the victim records events", || {
        victim.said::<String>().len() >= least
    });
    let (durable, recorded): (HashSet<_>, HashSet<_>) = victim
        .kill::<String>()
        .into_iter()
        .partition(|said| said.starts_with("durable:"));
    let id = |said: String| said["durable:".len()..].to_owned();
    (recorded, durable.into_iter().map(id).collect())
}

fn missing<'a>(of: &'a HashSet<String>, ids: &HashMap<String, usize>) -> Vec<&'a String> {
    of.iter().filter(|id| !ids.contains_key(*id)).collect()
}

#[test]
fn a_kill_loses_nothing() {
    if is_victim() {
        return;
    }
    let (dir, memory) = (tempfile::tempdir().unwrap(), in_memory());
    let shared = memory.path().join("a/shared");
    let mut recorded = HashSet::new();
    for round in 1..=12 {
        let (more, _) = killed(dir.path(), &shared, round * 20);
        recorded.extend(more);
        let report = verify(dir.path());
        assert!(report.ok, "killed in round {round}: {report:#?}");
        assert!(
            report
                .notes()
                .any(|note| note.kind == FindingKind::LeftOver)
        );
        // Recovery needs no setting.
        if round % 3 == 0 {
            let log = AuditLog::builder(dir.path())
                .lifecycle(false)
                .source("next")
                .open()
                .unwrap();
            recovered(dir.path(), 1);
            log.close().unwrap();
        }
    }
    {
        let (more, _) = killed(dir.path(), &shared, 100);
        recorded.extend(more);
        assert!(verify(dir.path()).ok);
        let mut problems = Vec::new();
        AuditLog::recover(dir.path(), |stream| problems.extend(stream.problems)).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert!(verify(dir.path()).ok);
    }
    let ids = crate::support::ids(dir.path());
    assert_eq!(missing(&recorded, &ids), Vec::<&String>::new());
    assert!(ids.values().all(|count| *count == 1));
    assert_eq!(journals(memory.path()), Vec::<PathBuf>::new());
    assert_eq!(
        crate::support::files(&dir.path().join("state/journal")).len(),
        0
    );
    let mode = shared.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

const MEMORY: &str = "/dev/shm";

/// A directory on a file system in memory, where there is one.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in(MEMORY).unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Whether each live file does.
fn ends_with_a_whole_line(dir: &Path) -> bool {
    let live = fs::read_dir(dir.join("live")).unwrap();
    let texts = live.map(|file| fs::read(file.unwrap().path()).unwrap());
    texts
        .into_iter()
        .all(|text| text.is_empty() || text.ends_with(b"\n"))
}

#[test]
fn a_journal_that_is_gone_is_recorded_and_all_that_was_durable_is_there() {
    if is_victim() {
        return;
    }
    for whole_directory in [false, true] {
        let memory = in_memory();
        if whole_directory && !memory.path().starts_with(MEMORY) {
            println!("skipped: on a disk, another directory is not the one that is missed");
            continue;
        }
        let elsewhere = memory.path().join("journals");
        // A kill in the middle of a write tears a line, which is reported as well without a journal
        // that has its event. That is another case.
        let (dir, recorded, durable) = loop {
            let dir = tempfile::tempdir().unwrap();
            let (recorded, durable) = killed(dir.path(), &elsewhere, 300);
            if ends_with_a_whole_line(dir.path()) {
                break (dir, recorded, durable);
            }
            fs::remove_dir_all(&elsewhere).unwrap();
        };
        let gone = journals(&elsewhere);
        assert_eq!(gone.len(), 1);
        match whole_directory {
            // As by a restart of the machine.
            true => fs::remove_dir_all(&elsewhere).unwrap(),
            false => fs::remove_file(&gone[0]).unwrap(),
        }
        if !whole_directory {
            let report = verify(dir.path());
            assert!(report.ok, "{report:#?}");
            let lost: Vec<_> = report
                .notes()
                .filter(|note| note.kind == FindingKind::Lost)
                .collect();
            assert_eq!(lost.len(), 1, "{report:#?}");
            assert!(lost[0].what.contains(gone[0].to_str().unwrap()), "{lost:?}");
        }

        let problems: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = problems.clone();
        let log = builder(dir.path(), &elsewhere)
            .on_problem(move |problem| told.lock().unwrap().push(problem.to_string()))
            .open()
            .unwrap();
        recovered(dir.path(), 1);
        log.close().unwrap();
        let problems = problems.lock().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains(gone[0].to_str().unwrap()),
            "{problems:?}"
        );

        // Numbers go on without a gap, which `ids` checks.
        let ids = crate::support::ids(dir.path());
        assert_eq!(missing(&durable, &ids), Vec::<&String>::new());
        let entries = crate::support::records(dir.path());
        let lost: Vec<_> = entries
            .iter()
            .filter(|entry| entry["event_type"] == "audit.log.lost")
            .collect();
        assert_eq!(lost.len(), 1, "{lost:#?}");
        assert!(
            lost[0]["description"]
                .as_str()
                .unwrap()
                .contains("their number is unknown")
        );
        assert_eq!(lost[0]["details"]["journal"], gone[0].to_str().unwrap());
        let report = verify(dir.path());
        assert!(report.ok, "{report:#?}");
        let noted = report
            .notes()
            .filter(|note| note.kind == FindingKind::Lost)
            .count();
        assert_eq!(noted, 1, "{report:#?}");
        assert!(recorded.len() >= durable.len());

        // Nothing of it is left to be done, or to be said, again.
        builder(dir.path(), &elsewhere)
            .open()
            .unwrap()
            .close()
            .unwrap();
        let again = crate::support::records(dir.path());
        let lost = again
            .iter()
            .filter(|entry| entry["event_type"] == "audit.log.lost");
        assert_eq!(lost.count(), 1);
    }
}

#[test]
fn a_journal_that_is_deleted_while_the_log_is_open_is_reported() {
    if is_victim() {
        return;
    }
    for the_pointer in [false, true] {
        let (dir, memory) = (tempfile::tempdir().unwrap(), in_memory());
        let problems: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = problems.clone();
        let log = builder(dir.path(), memory.path())
            .on_problem(move |problem| {
                if let Problem::JournalLost(what) = problem {
                    told.lock().unwrap().push(what.clone());
                }
            })
            .open()
            .unwrap();
        let deleted = match the_pointer {
            true => crate::support::files(&dir.path().join("state/journal")).remove(0),
            false => journals(memory.path()).remove(0),
        };
        fs::remove_file(&deleted).unwrap();
        crate::support::until("it is reported", || !problems.lock().unwrap().is_empty());
        assert!(problems.lock().unwrap()[0].contains(deleted.to_str().unwrap()));
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
        tracing::dispatcher::with_default(&dispatch, || audit!("still.recorded").wait().unwrap());
        log.close().unwrap();
        // The log was closed in order, so nothing is lost, and nothing is left.
        assert_eq!(
            crate::support::files(&dir.path().join("state/journal")).len(),
            0
        );
        assert_eq!(journals(memory.path()), Vec::<PathBuf>::new());
        let report = verify(dir.path());
        assert!(report.findings.is_empty(), "{report:#?}");
    }
}

#[test]
fn a_forked_child_has_its_journal_there_too() {
    if is_victim() {
        return;
    }
    let (dir, memory) = (tempfile::tempdir().unwrap(), in_memory());
    // A relative path, of which nothing is left once the child has gone elsewhere.
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let memory_dir = memory.path().canonicalize().unwrap();
    let relative = up.join(memory_dir.strip_prefix("/").unwrap());
    let log = builder(dir.path(), &relative).open().unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    let parents = journals(memory.path());
    assert_eq!(parents.len(), 1);
    fork(|| {
        // As a daemon does.
        std::env::set_current_dir("/").unwrap();
        tracing::dispatcher::with_default(&dispatch, || audit!("child.step").wait().unwrap());
        assert_eq!(journals(memory.path()).len(), 2);
        log.close().unwrap();
        assert_eq!(journals(memory.path()), parents);
    })
    .ends_well();
    tracing::dispatcher::with_default(&dispatch, || audit!("parent.step").wait().unwrap());
    log.close().unwrap();
    assert_eq!(crate::support::ids(dir.path()).len(), 2);
    assert_eq!(journals(memory.path()), Vec::<PathBuf>::new());
}

#[test]
fn two_logs_may_share_a_directory_for_journals() {
    if is_victim() {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let memory = in_memory();
    fs::set_permissions(memory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let logs = [&one, &two].map(|dir| builder(dir.path(), memory.path()).open().unwrap());
    let journals = journals(memory.path());
    assert_eq!(journals.len(), 2);
    for journal in journals {
        let mode = journal.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    // The directory is as it was.
    let mode = memory.path().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    for log in logs {
        log.close().unwrap();
    }
}

#[test]
fn a_directory_that_is_not_the_logs_own_is_refused() {
    if is_victim() {
        return;
    }
    let (dir, memory) = (tempfile::tempdir().unwrap(), in_memory());
    let refused = |journals: &Path, why: &str| {
        let error = builder(dir.path(), journals).open().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(journals.to_str().unwrap()), "{text}");
        assert!(text.contains(why), "{text}");
    };
    let open = memory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    refused(&open, "can be written by every user");
    // One inside it is ours.
    let inside = open.join("ours");
    builder(dir.path(), &inside)
        .open()
        .unwrap()
        .close()
        .unwrap();

    refused(
        &dir.path().canonicalize().unwrap().join("live/journals"),
        "in the log's directory",
    );
    assert!(!dir.path().join("live/journals").exists());
    // The log's own directory for journals isn't another one.
    let own = dir.path().join("state/journal");
    builder(dir.path(), &own).open().unwrap().close().unwrap();
    if rustix::process::geteuid().is_root() {
        let others = memory.path().join("others");
        fs::create_dir(&others).unwrap();
        std::os::unix::fs::chown(&others, Some(12345), None).unwrap();
        refused(&others, "belongs to uid 12345");
    }
    let text = memory.path().join("text");
    fs::write(&text, "").unwrap();
    assert!(builder(dir.path(), &text).open().is_err());
}

#[test]
fn the_journal_is_the_log_owners_and_readable_by_who_may_read_the_log() {
    if is_victim() {
        return;
    }
    let (dir, memory) = (tempfile::tempdir().unwrap(), in_memory());
    let audit = dir.path().join("audit");
    fs::create_dir(&audit).unwrap();
    let us = fs::metadata(&audit).unwrap().uid();
    // Root works in the log of another user.
    let owner = if us == 0 { 12345 } else { us };
    std::os::unix::fs::chown(&audit, Some(owner), None).unwrap();
    let elsewhere = memory.path().join("above/journals");
    let log = builder(&audit, &elsewhere)
        .permissions(Permissions::GroupRead)
        .open()
        .unwrap();
    let journal = journals(&elsewhere).remove(0);
    for (path, mode) in [
        (elsewhere.parent().unwrap(), 0o750),
        (&elsewhere, 0o750),
        (&journal, 0o640),
    ] {
        let found = path.metadata().unwrap();
        let found = (found.uid(), found.permissions().mode() & 0o777);
        assert_eq!(found, (owner, mode), "{}", path.display());
    }
    log.close().unwrap();
    assert!(!journal.exists());
}

#[test]
fn a_full_directory_for_journals_is_named_with_what_is_needed() {
    const NAME: &str = "a_full_directory_for_journals_is_named_with_what_is_needed";
    if is_victim() || !may_mount(module_path!(), NAME) {
        return;
    }
    let (dir, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let memory = Mounted::tmpfs("size=2500k", at.path());
    // The root of a file system in memory is everyone's.
    let elsewhere = memory.path().join("journals");
    // What dead processes left there makes room first.
    for _ in 0..4 {
        killed(dir.path(), &elsewhere, 1);
    }
    let error = builder(dir.path(), &elsewhere)
        .journal_bytes(1 << 22)
        .open()
        .unwrap_err()
        .to_string();
    let resolved = elsewhere.canonicalize().unwrap();
    for part in ["4198400 bytes", resolved.to_str().unwrap(), "journal_bytes"] {
        assert!(error.contains(part), "{error}");
    }
    let log = builder(dir.path(), &elsewhere).open().unwrap();
    recovered(dir.path(), 1);
    log.close().unwrap();
    assert_eq!(crate::support::files(memory.path()), Vec::<PathBuf>::new());
    let report = verify(dir.path());
    assert!(report.findings.is_empty(), "{report:#?}");
}

/// A frozen file system. Another process lets it go on when this is dropped, when this process
/// dies, and when the test hangs.
struct Frozen(Option<(Sender<()>, JoinHandle<()>)>);

impl Frozen {
    fn new(at: &Path) -> Result<Self, String> {
        // Ready before anything is frozen; it goes on when its input ends.
        let mut thaw = Command::new("sh")
            .args(["-c", "read line; fsfreeze -u \"$0\""])
            .arg(at)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("sh: {e}"))?;
        let (drop_me, dropped) = channel();
        let thawing = thread::spawn(move || {
            let _ = dropped.recv_timeout(Duration::from_secs(30));
            drop(thaw.stdin.take());
            thaw.wait().unwrap();
        });
        let ours = Self(Some((drop_me, thawing)));
        let frozen = Command::new("fsfreeze").arg("-f").arg(at).output();
        let frozen = frozen.map_err(|e| format!("fsfreeze: {e}"))?;
        match frozen.status.success() {
            true => Ok(ours),
            false => Err(String::from_utf8_lossy(&frozen.stderr).into_owned()),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some((drop_me, thawing)) = self.0.take() {
            drop(drop_me);
            let _ = thawing.join();
        }
    }
}

/// An ext4 in a file, mounted.
fn ext4(image: &Path, at: &Path) -> Result<Mounted, String> {
    fs::File::create(image).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4").arg("-q").arg(image).output();
    match made {
        Ok(made) if made.status.success() => Mounted::image(image, at),
        Ok(made) => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
        Err(e) => Err(format!("mkfs.ext4: {e}")),
    }
}

#[test]
fn no_caller_waits_while_the_logs_file_system_is_frozen() {
    if is_victim() {
        return;
    }
    let [image, at, memory] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let disk = match ext4(&image.path().join("image"), at.path()) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: no file in a directory can be mounted here: {why}");
            return;
        }
    };
    let memory = Mounted::tmpfs("size=8m", memory.path());
    let dir = disk.path().join("audit");
    let log = builder(&dir, &memory.path().join("journals"))
        .when_full(WhenFull::Drop)
        .open()
        .unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    let step = |n: usize| {
        let filler = "x".repeat(400);
        tracing::dispatcher::with_default(&dispatch, || audit!("worker.step", n, filler))
    };
    step(0).wait().unwrap();

    let frozen = match Frozen::new(disk.path()) {
        Ok(frozen) => frozen,
        Err(why) => {
            println!("skipped: nothing can be frozen here: {why}");
            return;
        }
    };
    let (mut recorded, mut dropped) = (1_u64, 0_u64);
    let (mut longest, begun) = (Duration::ZERO, Instant::now());
    // More events than the journal holds.
    for n in 1..6_000 {
        let call = Instant::now();
        match step(n).is_recorded() {
            true => recorded += 1,
            false => dropped += 1,
        }
        longest = longest.max(call.elapsed());
    }
    let took = begun.elapsed();
    drop(frozen);
    println!(
        "{recorded} recorded, {dropped} dropped in {took:?}, the longest call took {longest:?}"
    );
    assert!(took < Duration::from_secs(5), "6000 calls took {took:?}");
    assert!(longest < Duration::from_secs(1), "a call took {longest:?}");
    assert!(dropped > 100 && recorded > 100, "{recorded}, {dropped}");

    // As soon as there is room again.
    while !step(6_000).is_recorded() {
        dropped += 1;
        thread::sleep(Duration::from_millis(1));
    }
    log.close().unwrap();
    assert_eq!(log.counters().dropped, dropped);
    let entries = crate::support::records(&dir);
    let of = |event_type: &str| {
        let of_type = entries
            .iter()
            .filter(|entry| entry["event_type"] == event_type);
        of_type.collect::<Vec<_>>()
    };
    assert_eq!(of("worker.step").len() as u64, recorded + 1);
    let counted = of("audit.log.dropped")
        .iter()
        .map(|entry| entry["details"]["count"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(counted, dropped);
    let report = verify(&dir);
    assert!(report.ok, "{report:#?}");
}
