//! A journal outside the log's directory: deaths and power losses at every step, a journal that is
//! gone, and pointers that lead where they must not.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::*;
use crate::{
    entry::{OwnEntry, Severity, json::members},
    query::AuditReader,
    store::{
        SpaceAction, Watermarks,
        assemble::assemble,
        fs::OsFs,
        gzip::Level,
        health::Health,
        open::StoreOptions,
        oracle::check::streams,
        recover::recover,
        retention::Retention,
        samples,
        seal::seal,
        sealer::SealerOptions,
        set_clock::SetClock,
        sim::{Model, SimFs},
        survey::Survey,
        twins::remove_twin,
        writer::{Step as Written, WriterOptions},
    },
    verify::{FindingKind, VerifyReport},
};

const DIR: &str = "/log";
const ELSEWHERE: &str = "/elsewhere/journals";

fn options() -> StoreOptions {
    StoreOptions {
        permissions: None,
        source: "app".parse().unwrap(),
        journal_capacity: 1 << 14,
        journal_dir: Some(ELSEWHERE.into()),
        needs_hash_keys: false,
        lifecycle: None,
        writer: WriterOptions {
            rotate_bytes: 900,
            rotate_age: Duration::from_secs(3600),
            sync_interval: Duration::from_secs(1),
            watermarks: Watermarks::default()
                .low(0, SpaceAction::Report)
                .very_low(0, SpaceAction::Report),
        },
        sealer: SealerOptions {
            level: Level::FASTEST,
            grace: Duration::ZERO,
            retention: Retention::unlimited(),
        },
        readers: |_, _| Ok(Vec::new()),
        health: Arc::new(Health::new(None)),
    }
}

/// A process that has its journal elsewhere, and what became of it.
struct Run {
    disk: SimFs,
    clock: Arc<SetClock>,
    layout: Layout,
    /// The events that were recorded.
    recorded: Vec<String>,
    durable: Vec<String>,
    opened: bool,
    /// Whether it began to remove its journal, and whether it came to the end of that.
    closing: bool,
    closed: bool,
}

impl Run {
    /// The process works and closes its log, unless after so many operations the disk refuses
    /// everything.
    fn new(operations: u64) -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        let mut run = Self {
            clock: Arc::new(SetClock::new("2026-11-21T10:00:00Z")),
            layout: Layout::new(DIR),
            recorded: Vec::new(),
            durable: Vec::new(),
            opened: false,
            closing: false,
            closed: false,
            disk,
        };
        let process = run.disk.process();
        run.disk.stop_after(operations);
        run.work(&process);
        process.end();
        run
    }

    fn work(&mut self, process: &SimFs) {
        let fs = Arc::new(process.clone());
        let Ok(mut parts) = assemble(fs, self.clock.clone(), Path::new(DIR), options()) else {
            return;
        };
        self.opened = true;
        let mut positions = Vec::new();
        for _ in 0..3 {
            for _ in 0..2 {
                positions.push(self.record(&parts.producer));
                if let Err(error) = parts.writer.step() {
                    parts.writer.failed(&error);
                }
                self.clock.pass(Duration::from_millis(700));
            }
            parts.sealer.take_all();
            parts.sealer.turn();
        }
        let is_durable = |position: &u64| parts.durability.is_durable(*position);
        let durable = self.recorded.iter().zip(&positions);
        self.durable = durable
            .filter(|(_, position)| is_durable(position))
            .map(|(id, _)| id.clone())
            .collect();
        parts.producer.close();
        let written = loop {
            match parts.writer.step() {
                Ok(Written::Done) => break true,
                Ok(_) => self.clock.pass(Duration::from_millis(3)),
                Err(error) if parts.writer.failed(&error) => {}
                Err(_) => break false,
            }
        };
        if written {
            self.durable.clone_from(&self.recorded);
            self.closing = true;
            self.closed = parts.writer.finish().is_ok();
        }
        if self.closed {
            let _ = parts.lock.remove();
        }
    }

    /// Records an event; gives its position.
    fn record(&mut self, producer: &Producer) -> u64 {
        let event = OwnEntry::new("test.event", Severity::Info, "x".repeat(60));
        let event = event.render(&"app".parse().unwrap());
        let id = event[6..42].to_vec();
        self.recorded.push(String::from_utf8(id).unwrap());
        producer.push(&event).unwrap().0
    }

    /// Whether a pointer says that events may be in a journal.
    fn journal_is_missed(&self) -> bool {
        let files = self.disk.files(self.layout.journal_dir());
        let text = files.iter().filter_map(|path| self.disk.bytes(path));
        let text: Vec<u8> = text.flatten().collect();
        let text = String::from_utf8(text).unwrap();
        text.contains("\nbegun\n") && !text.contains("\nclosed\n")
    }

    fn take_journal_away(&self) {
        for path in self.disk.files(ELSEWHERE) {
            self.disk.take_away(path);
        }
    }

    /// Another process completes all streams, unless the disk refuses after so many operations.
    fn recover(&self, operations: u64) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        self.recover_into(operations, &mut problems)?;
        Ok(problems)
    }

    fn recover_into(&self, operations: u64, problems: &mut Vec<String>) -> Result<()> {
        let fs = self.disk.process();
        self.disk.stop_after(operations);
        let recovered = self.recover_on(&fs, problems);
        fs.end();
        self.disk.heal();
        recovered
    }

    fn recover_on(&self, fs: &SimFs, problems: &mut Vec<String>) -> Result<()> {
        for stream in Survey::take(fs, &self.layout)?.streams(fs, &self.layout)? {
            let recovered = recover(fs, &self.layout, &*self.clock, &stream)?.unwrap();
            problems.extend(recovered.problems);
            for stem in &recovered.files {
                seal(fs, &self.layout, stem, Level::FASTEST)?;
                remove_twin(fs, &self.layout, stem)?;
            }
            recovered.lock.remove()?;
        }
        Ok(())
    }

    fn verify(&self) -> Option<VerifyReport> {
        self.disk.bytes(self.layout.format_file())?;
        let fs = Arc::new(self.disk.process());
        let reader = AuditReader::open_on(fs, self.layout.clone()).unwrap();
        Some(reader.verify(|_, _| {}).unwrap())
    }

    /// All that must hold once the log is recovered; gives how many entries say that a journal is
    /// gone.
    fn check(&self, kept: &[String], context: &str) -> usize {
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        let mut gone = 0;
        let streams =
            streams(&self.disk, Path::new(DIR)).unwrap_or_else(|e| panic!("{context}: {e}"));
        for line in streams.values().flatten() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            *ids.entry(entry["id"].as_str().unwrap().to_owned())
                .or_default() += 1;
            let lost = entry["event_type"] == "audit.log.lost";
            gone += usize::from(lost && entry["details"]["journal"].is_string());
        }
        assert!(ids.values().all(|count| *count == 1), "{context}: {ids:?}");
        let missing: Vec<_> = kept.iter().filter(|id| !ids.contains_key(*id)).collect();
        assert!(missing.is_empty(), "{context}: {missing:?} of {streams:#?}");
        for dir in [
            &self.layout.journal_dir(),
            Path::new(ELSEWHERE),
            &self.layout.tmp_dir(),
        ] {
            let left = self.disk.files(dir);
            let left: Vec<_> = left
                .iter()
                // Not a stream's.
                .filter(|path| !path.to_string_lossy().contains("/format."))
                .collect();
            assert!(left.is_empty(), "{context}: {left:?} is left");
        }
        if let Some(report) = self.verify() {
            assert!(report.ok, "{context}: {:#?}", report.findings);
            let notes = report.notes().filter(|note| note.kind == FindingKind::Lost);
            let noted = notes.filter(|note| note.what.contains("its journal was gone"));
            assert_eq!(noted.count(), gone, "{context}: {:#?}", report.findings);
        }
        gone
    }
}

/// How many operations there are in a whole run.
fn operations() -> u64 {
    let run = Run::new(u64::MAX / 2);
    assert!(run.closed && run.recorded.len() == 6);
    assert_eq!(run.check(&run.recorded, "closed in order"), 0);
    let operations = run.disk.op_count();
    assert!((50..1_000).contains(&operations), "{operations}");
    operations
}

#[test]
fn a_kill_at_any_step_loses_nothing() {
    for at in 0..operations() {
        let context = format!("killed after {at} operations");
        let run = Run::new(at);
        run.disk.heal();
        assert!(run.verify().is_none_or(|report| report.ok), "{context}");
        for cut in [at % 40, u64::MAX / 2] {
            let problems = run.recover(cut);
            assert!(
                problems.is_err() || problems.is_ok_and(|p| p.is_empty()),
                "{context}"
            );
        }
        assert_eq!(run.check(&run.recorded, &context), 0, "{context}");
    }
}

#[test]
fn a_power_loss_at_any_step_loses_nothing_durable() {
    for at in 0..operations() {
        for (model, seed) in [(Model::Posix, at), (Model::Ordered, at)] {
            let context = format!("power lost after {at} operations, {model:?}, {seed}");
            let run = Run::new(at);
            run.disk.crash_randomly(model, seed);
            let problems = run.recover(u64::MAX / 2).unwrap();
            assert_eq!(problems, Vec::<String>::new(), "{context}");
            assert_eq!(run.check(&run.durable, &context), 0, "{context}");
        }
    }
}

#[test]
fn a_journal_that_is_gone_is_recorded_once_and_only_if_it_was_missed() {
    let mut recorded = 0;
    for at in 0..operations() {
        let model = [Model::Posix, Model::Ordered][at as usize % 2];
        for power in [None, Some((model, at))] {
            let context = format!("{power:?} after {at} operations, without the journal");
            let run = Run::new(at);
            if let Some((model, seed)) = power {
                run.disk.crash_randomly(model, seed);
            }
            run.disk.heal();
            let missed = run.journal_is_missed();
            // A process that recorded an event and did not close the log is known to have ended so.
            assert!(missed || !run.opened || run.closing, "{context}");
            assert!(!missed || !run.closed, "{context}");
            run.take_journal_away();
            if let Some(report) = run.verify() {
                assert!(report.ok, "{context}: {:#?}", report.findings);
                let notes = report.notes().filter(|note| note.kind == FindingKind::Lost);
                let noted = notes.filter(|note| note.what.contains("is gone")).count();
                assert_eq!(noted, usize::from(missed), "{context}: {report:#?}");
            }
            let mut problems = Vec::new();
            let cuts = match at % 3 {
                0 => [u64::MAX / 2; 3],
                _ => [at % 30, (at + 7) % 30, u64::MAX / 2],
            };
            for cut in cuts {
                let _ = run.recover_into(cut, &mut problems);
            }
            problems.retain(|what| what.contains("is gone"));
            // An attempt that fails at its very last operation reports that instead.
            let reported = problems.len() == usize::from(missed);
            assert!(reported || problems.is_empty() && at % 3 > 0, "{context}");
            let gone = run.check(&run.durable, &context);
            assert_eq!(gone, usize::from(missed), "{context}");
            recorded += gone;
        }
    }
    assert!(recorded > 100, "only {recorded} journals were missed");
}

#[test]
fn the_numbers_go_on_where_all_files_are_sealed() {
    for with_index in [true, false] {
        let mut run = Run::new(0);
        run.disk.heal();
        let process = run.disk.process();
        let options = StoreOptions {
            writer: WriterOptions {
                rotate_bytes: 1,
                ..options().writer
            },
            ..options()
        };
        let fs = Arc::new(process.clone());
        let mut parts = assemble(fs, run.clock.clone(), Path::new(DIR), options).unwrap();
        for _ in 0..3 {
            run.record(&parts.producer);
            for _ in 0..4 {
                parts.writer.step().unwrap();
                parts.sealer.take_all();
                parts.sealer.turn();
                run.clock.pass(Duration::from_secs(2));
            }
        }
        process.end();
        let files = |dir: PathBuf| run.disk.files(dir);
        assert_eq!(files(run.layout.live_dir()).len(), 0);
        assert_eq!(files(run.layout.sealed_dir()).len(), 3);
        if !with_index {
            let last = files(run.layout.index_dir()).pop().unwrap();
            run.disk.take_away(last);
        }
        run.take_journal_away();
        run.recover(u64::MAX / 2).unwrap();
        assert_eq!(run.check(&run.recorded, "all sealed"), 1);
        let sealed = files(run.layout.sealed_dir()).pop().unwrap();
        let sealed = sealed.to_string_lossy().into_owned();
        // One more may have been begun.
        assert!(sealed.ends_with("-00000005.jsonl.gz"), "{sealed}");
        let streams = streams(&run.disk, Path::new(DIR)).unwrap();
        let last: Value = serde_json::from_str(&streams[parts.stream.as_str()][3]).unwrap();
        assert_eq!(
            (&last["seq"], &last["details"]["after_seq"]),
            (&4.into(), &3.into())
        );
    }
}

#[test]
fn the_numbers_go_on_where_all_files_are_pruned() {
    let mut run = Run::new(0);
    run.disk.heal();
    let process = run.disk.process();
    let fs = Arc::new(process.clone());
    let mut parts = assemble(fs, run.clock.clone(), Path::new(DIR), options()).unwrap();
    run.record(&parts.producer);
    parts.writer.step().unwrap();
    process.end();
    let live = run.disk.files(run.layout.live_dir());
    live.iter().for_each(|path| run.disk.take_away(path));
    run.take_journal_away();
    let mut file = samples::stem(7);
    file.stream = parts.stream.clone();
    let row = members! {"file": file.to_string(), "first_seq": 21, "last_seq": 40};
    let pruned = OwnEntry::new("audit.log.pruned", Severity::Info, "").detail("files", vec![row]);
    let mut line = br#"{"stream":"other-00000a","seq":1,"#.to_vec();
    line.extend(pruned.render(&"other".parse().unwrap()));
    line.push(b'\n');
    file.stream = "other-00000a".parse().unwrap();
    run.disk.put(run.layout.live(&file), line);
    // Also if an attempt fails before, which leaves an empty file.
    for operations in [20, 22, 24, u64::MAX / 2] {
        let _ = run.recover(operations);
    }
    let streams = streams(&run.disk, Path::new(DIR)).unwrap();
    let first: Value = serde_json::from_str(&streams[parts.stream.as_str()][0]).unwrap();
    assert_eq!(
        (&first["seq"], &first["details"]["after_seq"]),
        (&41.into(), &40.into())
    );
    let files = run.disk.files(run.layout.sealed_dir());
    let ours = |path: &&PathBuf| path.to_string_lossy().contains(parts.stream.as_str());
    let last = files
        .iter()
        .rfind(ours)
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert!(last.ends_with("-00000009.jsonl.gz"), "{files:?}");
}

#[test]
fn a_damaged_journal_is_kept_in_the_log_and_a_damaged_pointer_too() {
    for (of_pointer, kept) in [(false, "ring.damaged"), (true, "at.damaged")] {
        let run = Run::new(operations() / 2);
        run.disk.heal();
        let dir = match of_pointer {
            true => run.layout.journal_dir(),
            false => ELSEWHERE.into(),
        };
        for path in run.disk.files(dir) {
            run.disk.change(path, |bytes| bytes[3] ^= 0xff);
        }
        let problems = run.recover(u64::MAX / 2).unwrap();
        assert!(
            problems.iter().any(|what| what.contains(kept)),
            "{problems:?}"
        );
        let left = run.disk.files(run.layout.journal_dir());
        let name = |path: &PathBuf| path.to_string_lossy().ends_with(kept);
        assert!(left.len() == 1 && left.iter().all(name), "{left:?}");
        assert!(!run.verify().unwrap().ok);
        assert_eq!(run.recover(u64::MAX / 2).unwrap(), Vec::<String>::new());
    }
}

/// A log on the real file system whose one stream has a pointer.
struct Pointed {
    dir: tempfile::TempDir,
    layout: Layout,
    stream: StreamId,
}

impl Pointed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let layout = Layout::new(root.join("log"));
        for dir in layout.dirs() {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::create_dir(root.join("journals")).unwrap();
        Self {
            dir,
            layout,
            stream: "app-00000a".parse().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path("journals/app-00000a.ring")
    }

    /// The pointer says this, and that its process had begun.
    fn points(&self, journal: &Path, home: Home) {
        let path = self.layout.pointer(&self.stream);
        let _ = std::fs::remove_file(&path);
        let pointer = Pointer {
            journal: journal.to_owned(),
            home,
            step: Step::Created,
        };
        pointer
            .create(&OsFs, &path, &self.layout.journal_dir())
            .unwrap();
        pointer::mark(&OsFs, &path, Step::Begun).unwrap();
    }

    fn find(&self) -> Result<State> {
        JournalPlace::find(&OsFs, &self.layout, &self.stream).map(|place| place.state)
    }

    fn refused(&self, why: &str) {
        let text = self.find().unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
        let clock = SetClock::new("2026-11-21T10:00:00Z");
        let error = recover(&OsFs, &self.layout, &clock, &self.stream).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(self.layout.pointer(&self.stream).exists());
    }
}

const DISK: Home = Home::Disk { inode: 0 };

#[test]
fn a_pointer_is_followed_to_nothing_but_the_journal() {
    let log = Pointed::new();
    let journal = log.journal();
    std::fs::write(&journal, "not empty").unwrap();
    log.points(&journal, DISK);
    assert_eq!(log.find().unwrap(), State::Journal);

    // A file of another name.
    let other = log.path("journals/app-00000b.ring");
    std::fs::write(&other, "another's").unwrap();
    log.points(&other, DISK);
    log.refused("must name a file of this stream");

    // A link on the way.
    symlink(log.path("journals"), log.path("link")).unwrap();
    log.points(&log.path("link/app-00000a.ring"), DISK);
    log.refused("a link stands in its path");

    // A link in its place, a directory, a pipe.
    log.points(&journal, DISK);
    std::fs::remove_file(&journal).unwrap();
    symlink(&other, &journal).unwrap();
    log.refused("not a regular file");
    std::fs::remove_file(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    log.refused("not a regular file");
    assert_eq!(std::fs::read(&other).unwrap(), b"another's");
    std::fs::remove_dir(&journal).unwrap();

    // Another user's file.
    if rustix::process::geteuid().is_root() {
        std::fs::write(&journal, "not empty").unwrap();
        std::os::unix::fs::chown(&journal, Some(12345), None).unwrap();
        log.refused("does not belong to the log's owner");
        // Nor is it read or removed by who looked before someone put it there.
        assert!(OsFs.open_journal(&log.layout, &journal).is_err());
        assert!(OsFs.remove_journal(&log.layout, &journal).is_err());
        assert!(journal.exists());
        std::os::unix::fs::chown(log.layout.state_dir(), Some(12345), None).unwrap();
        assert_eq!(log.find().unwrap(), State::Journal);
    }
}

#[test]
fn a_journal_counts_as_gone_only_where_that_is_proven() {
    let log = Pointed::new();
    let journal = log.journal();
    let inode = std::os::unix::fs::MetadataExt::ino(&log.path("journals").metadata().unwrap());
    let boot = OsFs.boot_id();
    let memory = |boot: Option<&str>| Home::Memory {
        boot: boot.map(str::to_owned),
    };
    let unproven = "may be on a file system that is not mounted here";

    log.points(&journal, Home::Disk { inode });
    assert_eq!(log.find().unwrap(), State::Gone);
    log.points(&journal, Home::Disk { inode: inode + 1 });
    log.refused(unproven);
    log.points(&journal, memory(boot.as_deref()));
    assert_eq!(log.find().unwrap(), State::Gone);

    std::fs::remove_dir(log.path("journals")).unwrap();
    log.refused(unproven);
    log.points(&journal, memory(None));
    log.refused(unproven);
    log.points(&journal, Home::Disk { inode });
    log.refused(unproven);
    if boot.is_some() {
        log.points(&journal, memory(Some("before")));
        assert_eq!(log.find().unwrap(), State::Gone);
    }

    // As the error says.
    log.points(&journal, DISK);
    std::fs::create_dir(log.path("journals")).unwrap();
    std::fs::write(&journal, "").unwrap();
    assert_eq!(log.find().unwrap(), State::Gone);
    let clock = SetClock::new("2026-11-21T10:00:00Z");
    let recovered = recover(&OsFs, &log.layout, &clock, &log.stream);
    let recovered = recovered.unwrap().unwrap();
    assert_eq!((recovered.files.len(), recovered.problems.len()), (1, 1));
    let left: BTreeSet<_> = [journal, log.layout.pointer(&log.stream)].into();
    assert!(left.iter().all(|path| !path.exists()), "{left:?}");
}
