//! The writer and recovery against a file system that fails, fills up, forgets and is tampered
//! with.

mod clocks;
mod deaths;
mod failing;
mod rests;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::mpsc::{Receiver, channel},
};

use super::*;
use crate::{
    entry::{OwnEntry, Severity, Timestamp, scan::scan},
    journal::Producer,
    store::{
        SpaceAction,
        assemble::new_journal,
        fs::FsLock,
        journal_place::JournalPlace,
        recover::{self, Recovered},
        set_clock::SetClock,
        sim::{Model, SimFs},
    },
};

/// A writer on a simulated disk; its ring and its lock are real files.
struct Rig {
    dir: tempfile::TempDir,
    fs: SimFs,
    clock: Arc<SetClock>,
    producer: Producer,
    durability: &'static Durability,
    health: Arc<Health>,
    jobs: Receiver<Job>,
    stream: StreamId,
    /// The writer and the lock of its stream, until the process dies.
    alive: Option<(Writer, Box<dyn FsLock>)>,
    pushed: Vec<(String, u64)>,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut WriterOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let fs = SimFs::new();
        for dir in layout.dirs() {
            fs.create_dir_all(&dir).unwrap();
            for above in dir.ancestors() {
                let _ = fs.sync_dir(above);
            }
        }
        let stream: StreamId = "test-00000a".parse().unwrap();
        let lock = fs.try_lock(&layout.lock(stream.as_str())).unwrap().unwrap();
        let (producer, consumer) = new_journal(&fs, &layout, &stream, 1 << 16).unwrap();
        let clock = Arc::new(SetClock::new("2026-11-21T10:00:00Z"));
        let (durability, health) = (Durability::leak(), Arc::new(Health::new(None)));
        let (sender, jobs) = channel();
        let mut options = WriterOptions {
            rotate_bytes: 1 << 20,
            rotate_age: Duration::from_secs(3600),
            sync_interval: Duration::from_secs(1),
            watermarks: Watermarks::default()
                .low(0, SpaceAction::Report)
                .very_low(0, SpaceAction::Report),
        };
        set(&mut options);
        let journal = JournalPlace::new(&layout, &stream, None);
        let watch = Watch::new(
            &fs,
            &layout,
            &stream,
            journal,
            layout.root(),
            Duration::ZERO,
        )
        .unwrap();
        let place = Place {
            lifecycle: false,
            fs: Arc::new(fs.clone()),
            layout,
            clock: clock.clone(),
            stream: stream.clone(),
            source: "test".parse().unwrap(),
            health: health.clone(),
            sealer: sender,
            options,
        };
        let writer = Writer::new(place, consumer, durability, watch);
        Self {
            dir,
            fs,
            clock,
            producer,
            durability,
            health,
            jobs,
            stream,
            alive: Some((writer, lock)),
            pushed: Vec::new(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.dir.path())
    }

    fn writer(&mut self) -> &mut Writer {
        &mut self.alive.as_mut().unwrap().0
    }

    /// The process is gone: its lock is free.
    fn die(&mut self) {
        self.alive = None;
    }

    fn recover(&self) -> Result<Option<Recovered>> {
        recover::recover(&self.fs, &self.layout(), &*self.clock, &self.stream)
    }

    /// Pushes one event and remembers its id and position.
    fn push(&mut self) {
        let record = OwnEntry::new(
            "test.event",
            Severity::Info,
            format!("number {}", self.pushed.len()),
        )
        .render(&"test".parse().unwrap());
        let id = String::from_utf8(record[6..42].to_vec()).unwrap();
        let position = self.producer.push(&record).unwrap();
        self.pushed.push((id, position.0));
    }

    /// One step, as `run` does it.
    fn step(&mut self) -> bool {
        let writer = self.writer();
        match writer.step() {
            Ok(_) => true,
            Err(error) => {
                writer.failed(&error);
                false
            }
        }
    }

    /// Steps and time until all is durable.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.step();
            self.clock.pass(Duration::from_secs(2));
        }
    }

    /// The log's lines, in the order of their files' numbers.
    fn lines(&self) -> Vec<String> {
        let mut files = self.fs.files(self.layout().live_dir());
        files.sort_by_key(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<FileStem>()
                .unwrap()
                .number
        });
        let texts = files
            .iter()
            .map(|path| String::from_utf8(self.fs.bytes(path).unwrap()).unwrap());
        texts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Checks that numbers have no gap and no event is there twice; gives the events' ids.
    fn counted(&self) -> HashMap<String, u64> {
        let mut ids = HashMap::new();
        for (at, line) in self.lines().iter().enumerate() {
            let fields = scan(line.as_bytes()).unwrap_or_else(|| panic!("no record: {line:?}"));
            assert_eq!(fields.seq, at as u64 + 1, "{:#?}", self.lines());
            let twice = ids.insert(String::from_utf8(fields.id.to_vec()).unwrap(), fields.seq);
            assert_eq!(twice, None, "{line}");
        }
        ids
    }

    fn all_there(&self) {
        let ids = self.counted();
        let missing: Vec<_> = self
            .pushed
            .iter()
            .filter(|(id, _)| !ids.contains_key(id))
            .collect();
        assert!(
            missing.is_empty(),
            "{missing:?} of {} are missing",
            self.pushed.len()
        );
    }

    fn types(&self) -> Vec<String> {
        let kind = |line: &String| {
            String::from_utf8(scan(line.as_bytes()).unwrap().event_type.to_vec()).unwrap()
        };
        self.lines()
            .iter()
            .map(kind)
            .filter(|kind| kind != "test.event")
            .collect()
    }
}

/// Which files a stream ever had: who follows it may have seen any of them, and left it for a later
/// one.
struct Seen {
    fs: SimFs,
    live: std::path::PathBuf,
    born: BTreeMap<u32, Timestamp>,
    ops: usize,
}

impl Seen {
    fn new(fs: &SimFs, layout: &Layout) -> Self {
        Self {
            fs: fs.clone(),
            live: layout.live_dir(),
            born: BTreeMap::new(),
            ops: 0,
        }
    }

    /// Looks again: no number was given twice, and nothing was appended below the last that there
    /// was at the look before.
    fn look(&mut self) {
        let stem = |path: &std::path::Path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<FileStem>()
                .unwrap()
        };
        let last = self.born.last_key_value().map_or(0, |(number, _)| *number);
        let ops = self.fs.ops();
        for op in ops[self.ops..]
            .iter()
            .filter(|op| op.what == "append" && op.path.starts_with(&self.live))
        {
            assert!(stem(&op.path).number >= last, "{op:?} after {last}");
        }
        self.ops = ops.len();
        for path in self.fs.files(&self.live) {
            let FileStem { number, born, .. } = stem(&path);
            assert_eq!(
                *self.born.entry(number).or_insert(born),
                born,
                "{number} was given again"
            );
        }
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn a_deleted_or_replaced_live_file_is_written_again() {
    for replaced in [false, true] {
        let mut rig = Rig::new();
        for _ in 0..5 {
            rig.push();
        }
        rig.settle();
        let live = rig.fs.files(rig.layout().live_dir()).remove(0);
        let text = rig.fs.bytes(&live).unwrap();
        rig.fs.remove_file(&live).unwrap();
        if replaced {
            // As `sed -i` does.
            rig.fs.put(&live, text);
        }
        rig.push();
        rig.settle();
        let aside = rig.fs.files(rig.layout().aside_dir());
        assert_eq!(
            aside.len(),
            usize::from(replaced),
            "what others put there is kept"
        );
        rig.all_there();
        assert_eq!(rig.types(), ["audit.log.live_file_restored"]);
        rig.fs.crash();
        rig.all_there();
    }
}

#[test]
fn a_live_file_that_was_cut_is_noticed_and_what_the_journal_holds_written_again() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.push();
    }
    rig.settle();
    rig.push();
    rig.step();
    // Within the second after a sync: in the file, not durable, and so in the journal.
    let first = rig.pushed.len();
    rig.push();
    rig.step();
    let live = rig.fs.files(rig.layout().live_dir()).remove(0);
    rig.fs.open_write(&live).unwrap().truncate(0).unwrap();
    rig.settle();
    let found = rig.lines();
    for (id, _) in &rig.pushed[first..] {
        assert_eq!(
            found.iter().filter(|line| line.contains(id)).count(),
            1,
            "{found:#?}"
        );
    }
    assert_eq!(rig.types(), ["audit.log.live_file_cut", "audit.log.lost"]);
}

#[test]
fn files_end_by_size_by_age_and_at_midnight_also_when_the_clock_jumps_back() {
    let mut rig = Rig::with(|options| options.rotate_bytes = 2000);
    let files = || rig.fs.files(rig.layout().live_dir()).len();
    assert_eq!(files(), 0, "no empty file");
    for (expected, wall, pass) in [
        (1, "2026-11-21T10:00:00Z", 0),
        (1, "2026-11-21T10:30:00Z", 1800),
        (2, "2026-11-21T11:00:01Z", 1801),
        (3, "2026-11-22T00:00:00Z", 60),
        (4, "2026-11-21T23:00:00Z", 60),
        (4, "2026-11-21T23:10:00Z", 600),
    ] {
        rig.clock.pass(Duration::from_secs(pass));
        rig.clock.jump_to(wall);
        rig.push();
        rig.step();
        rig.step();
        assert_eq!(
            rig.fs.files(rig.layout().live_dir()).len(),
            expected,
            "{wall}"
        );
    }
    for _ in 0..10 {
        rig.push();
        rig.step();
    }
    assert!(rig.fs.files(rig.layout().live_dir()).len() > 4, "by size");
    rig.settle();
    rig.all_there();
    let sealed: Vec<_> = rig.jobs.try_iter().collect();
    assert!(sealed.iter().all(|job| matches!(job, Job::Seal(_))) && sealed.len() >= 4);
}

#[test]
fn dropped_events_are_counted_in_the_log() {
    let mut rig = Rig::new();
    rig.push();
    rig.producer.count_dropped(1_000_000);
    rig.producer.count_dropped(2_000_000);
    rig.settle();
    rig.push();
    rig.producer.count_dropped(3_000_000);
    rig.settle();
    rig.all_there();
    let lines = rig.lines();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("audit.log.dropped"))
        .collect();
    assert_eq!(told.len(), 2);
    assert!(
        told[0].contains(r#""count":2,"total":2,"since":"1970-01-01T00:00:01.000000Z""#),
        "{}",
        told[0]
    );
    assert!(
        told[1].contains(r#""count":1,"total":3,"since":"1970-01-01T00:00:03.000000Z""#),
        "{}",
        told[1]
    );
    assert_eq!(rig.health.counters().dropped, 3);
}

#[test]
fn nothing_is_released_before_it_is_durable() {
    let mut rig = Rig::new();
    rig.push();
    rig.step();
    assert_eq!(rig.lines().len(), 1, "it is in the file");
    assert!(
        rig.producer.used() > 0,
        "and in the journal, for the file is not synced"
    );
    rig.settle();
    assert_eq!(rig.producer.used(), 0);
}
