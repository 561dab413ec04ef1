//! While files are rotated, sealed, pruned, and their twins removed underneath, every reader gives
//! what a plain reading of the directory gives.
//!
//! Nothing but names, lines and gzip is known here: the oracle opens each file that it finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read as _, Write as _},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    entry::Timestamp,
    export::plan::Plan,
    query::{AuditReader, Filter, Order, PageStart, Places, Query},
    store::{fs::OsFs, gzip::Level, layout::Layout, names::FileStem, seal::seal},
};

const HOUR: i64 = 3_600_000_000;
/// After this time, the test counts as hanging.
const HANGS: Duration = Duration::from_secs(300);
const STREAMS: usize = 3;

/// Lines, each once.
type Lines = BTreeSet<String>;

/// A log, and the hand that writes, seals and prunes it.
struct World {
    layout: Layout,
    /// By stream: the files from the first that is left, the last of them still written.
    streams: [Vec<FileStem>; STREAMS],
    /// By stream: the number of the last entry.
    seqs: [u64; STREAMS],
    written: Lines,
    random: fastrand::Rng,
}

impl World {
    fn new(dir: &Path) -> Self {
        let layout = Layout::new(dir);
        for part in [layout.live_dir(), layout.sealed_dir(), layout.tmp_dir()] {
            std::fs::create_dir_all(part).unwrap();
        }
        std::fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
        let first = |stream| vec![stem(stream, 1)];
        Self {
            layout,
            streams: std::array::from_fn(first),
            seqs: [0; STREAMS],
            written: Lines::new(),
            random: fastrand::Rng::with_seed(fastrand::u64(..)),
        }
    }

    /// One of the things that happen to a log.
    fn step(&mut self) {
        let stream = self.random.usize(..STREAMS);
        match self.random.u8(..10) {
            0..=3 => self.append(stream),
            4 | 5 => self.rotate(stream),
            6 | 7 => self.seal(stream),
            8 => self.unlink(stream),
            // So that there is something to look at, and not too much of it.
            _ if self.finished(stream).len() > 3 => self.prune(stream),
            _ => {}
        }
    }

    fn append(&mut self, stream: usize) {
        let Some(stem) = self.streams[stream].last().cloned() else {
            return;
        };
        let mut text = String::new();
        for _ in 0..self.random.u64(1..8) {
            self.seqs[stream] += 1;
            let line = line(&stem, self.seqs[stream]);
            text += &line;
            text += "\n";
            self.written.insert(line);
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(self.layout.live(&stem));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn rotate(&mut self, stream: usize) {
        let last = self.streams[stream].last().unwrap().clone();
        if self.layout.live(&last).exists() && self.finished(stream).len() < 12 {
            self.streams[stream].push(self::stem(stream, last.number + 1));
            self.append(stream);
        }
    }

    /// All but the last, which is still written.
    fn finished(&self, stream: usize) -> &[FileStem] {
        self.streams[stream].split_last().unwrap().1
    }

    fn seal(&mut self, stream: usize) {
        let is_sealed = |stem: &&FileStem| self.layout.sealed(stem).exists();
        let next = self.finished(stream).iter().find(|stem| !is_sealed(stem));
        if let Some(stem) = next {
            seal(&OsFs, &self.layout, stem, Level::FASTEST).unwrap();
        }
    }

    fn unlink(&mut self, stream: usize) {
        let sealed = self.finished(stream).iter();
        for stem in sealed.filter(|stem| self.layout.sealed(stem).exists()) {
            let _ = std::fs::remove_file(self.layout.live(stem));
        }
    }

    fn prune(&mut self, stream: usize) {
        let Some(oldest) = self.finished(stream).first().cloned() else {
            return;
        };
        if self.layout.sealed(&oldest).exists() {
            let _ = std::fs::remove_file(self.layout.live(&oldest));
            let _ = std::fs::remove_file(self.layout.index(&oldest));
            std::fs::remove_file(self.layout.sealed(&oldest)).unwrap();
            self.streams[stream].remove(0);
        }
    }

    /// What is in the directory.
    fn lines(&self) -> Lines {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for entry in std::fs::read_dir(self.layout.live_dir()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            texts.insert(name, std::fs::read_to_string(path).unwrap());
        }
        for day in std::fs::read_dir(self.layout.sealed_dir()).unwrap() {
            for entry in std::fs::read_dir(day.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let mut text = String::new();
                let file = std::fs::File::open(path).unwrap();
                flate2::read::MultiGzDecoder::new(file)
                    .read_to_string(&mut text)
                    .unwrap();
                // Of twins, one.
                texts.insert(name, text);
            }
        }
        texts
            .values()
            .flat_map(|text| text.lines().map(str::to_owned))
            .collect()
    }
}

/// Three hours after the one before it, and of one stream by a clock that begins in 1970.
fn stem(stream: usize, number: u32) -> FileStem {
    let start = if stream == 2 {
        0
    } else {
        1_795_255_200_000_000
    };
    FileStem {
        born: Timestamp::from_micros(start + i64::from(number) * 3 * HOUR + stream as i64),
        stream: format!("app{stream}-00000{stream}").parse().unwrap(),
        number,
    }
}

fn line(stem: &FileStem, seq: u64) -> String {
    let time = Timestamp::from_micros(stem.born.as_micros() + seq as i64);
    let millis = time.as_micros() / 1000;
    let stream = &stem.stream;
    // A page goes on after an id, so no two entries may have the same one.
    let id = format!(
        "{:08x}-{:04x}-7000-{:x}000-{seq:012x}",
        millis >> 16,
        millis & 0xffff,
        8 + u8::from(stream.as_str().starts_with("app1"))
            + 2 * u8::from(stream.as_str().starts_with("app2")),
    );
    format!(
        r#"{{"stream":"{stream}","seq":{seq},"id":"{id}","timestamp":"{time}","event_type":"a.b"}}"#
    )
}

fn once(lines: impl IntoIterator<Item = String>, what: &str) -> Lines {
    let mut set = Lines::new();
    for line in lines {
        assert!(!set.contains(&line), "{what} gives {line} twice");
        set.insert(line);
    }
    set
}

fn each(reader: &AuditReader, order: Order) -> Lines {
    let mut lines = Vec::new();
    let scanned = reader.each(&Filter::new(), order, |entry| {
        lines.push(String::from_utf8(entry.into_line()).unwrap());
        ControlFlow::Continue(())
    });
    only_removed(
        scanned
            .unwrap()
            .problems
            .iter()
            .map(|problem| &*problem.what),
    );
    once(lines, "a query")
}

fn pages(reader: &AuditReader) -> Lines {
    let mut query = Query {
        limit: 100,
        ..Query::default()
    };
    let mut lines = Vec::new();
    loop {
        let page = reader.page(&query).unwrap();
        let entries = page.entries.into_iter().map(|entry| entry.into_line());
        lines.extend(entries.map(|line| String::from_utf8(line).unwrap()));
        if !page.has_more {
            return once(lines, "a page");
        }
        query.start = PageStart::Cursor(page.next_cursor);
    }
}

/// `None` if the download broke, because a file was pruned that it was to have.
fn archive(reader: &AuditReader) -> Option<Lines> {
    let plan = Plan::new(reader.files(), Timestamp::MIN..Timestamp::MAX).unwrap();
    let problems = plan.manifest().problems.iter();
    only_removed(problems.map(|problem| &*problem.problem));
    let download = Arc::new(plan.into_zip().unwrap());
    let mut bytes = Vec::new();
    download
        .read_range(0..u64::MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    assert_eq!(bytes.len() as u64, download.len());
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut lines = Vec::new();
    for n in 0..zip.len() {
        let mut file = zip.by_index(n).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        if file.name().unwrap() != "manifest.json" {
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    Some(once(lines, "an archive"))
}

/// The problems that a reader may report: files that pruning took from under it.
fn only_removed<'a>(problems: impl Iterator<Item = &'a str>) {
    for problem in problems {
        let is_removal = problem.contains("removed") || problem.contains("No such file");
        assert!(is_removal, "{problem}");
    }
}

/// What was there all the time is in the answer, and nothing but what was written.
fn holds(answer: &Lines, before: &Lines, world: &World, what: &str) {
    let after = world.lines();
    let missing = before
        .intersection(&after)
        .find(|line| !answer.contains(*line));
    assert_eq!(missing, None, "{what}");
    let foreign = answer.iter().find(|line| !world.written.contains(*line));
    assert_eq!(foreign, None, "{what}");
}

#[test]
fn every_reader_gives_what_the_directory_has() {
    let dir = tempfile::tempdir().unwrap();
    let world = Mutex::new(World::new(dir.path()));
    let done = AtomicBool::new(false);
    let follower = AuditReader::open(dir.path()).unwrap();
    let mut tail = follower.resume(Filter::new(), &Places::default()).unwrap();
    let mut told = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Also if a reader failed: then nothing more is done to the world.
            let _done = SetOnDrop(&done);
            let until = Instant::now() + Duration::from_secs(3);
            while Instant::now() < until {
                world.lock().unwrap().step();
                // Else nobody else gets the lock.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for kind in 0..4 {
            let (world, done, dir) = (&world, &done, dir.path());
            scope.spawn(move || {
                let kept = AuditReader::open(dir).unwrap();
                while !done.load(Ordering::SeqCst) {
                    let fresh = AuditReader::open(dir).unwrap();
                    let reader = if fastrand::bool() { &kept } else { &fresh };
                    let before = world.lock().unwrap().lines();
                    let (what, answer) = match kind {
                        0 => ("the oldest first", Some(each(reader, Order::Asc))),
                        1 => ("the newest first", Some(each(reader, Order::Desc))),
                        2 => ("pages", Some(pages(reader))),
                        _ => ("an archive", archive(reader)),
                    };
                    if let Some(answer) = answer {
                        holds(&answer, &before, &world.lock().unwrap(), what);
                    }
                }
            });
        }
        while !done.load(Ordering::SeqCst) {
            for placed in tail.poll_placed(40).unwrap() {
                if let Some(found) = follower.at(&placed.place).unwrap() {
                    assert_eq!(found.line(), placed.entry.line());
                }
                told.push(String::from_utf8(placed.entry.into_line()).unwrap());
            }
            only_removed(tail.take_problems().iter().map(|problem| &*problem.what));
        }
    });
    // Now that nothing moves, all are of one mind.
    let world = world.into_inner().unwrap();
    let lines = world.lines();
    for reader in [&follower, &AuditReader::open(dir.path()).unwrap()] {
        assert_eq!(each(reader, Order::Asc), lines);
        assert_eq!(each(reader, Order::Desc), lines);
        assert_eq!(pages(reader), lines);
        assert_eq!(archive(reader), Some(lines.clone()));
        let verified = reader.verify(|_, _| {}).unwrap();
        assert_eq!(verified.entries, lines.len() as u64);
        let files = reader.files().since(None).unwrap();
        let count = |stem: &FileStem| reader.files().index(stem).unwrap().lines;
        let live: usize = files.live.keys().map(|stem| live_lines(&world, stem)).sum();
        let sealed: u64 = files.sealed.iter().map(count).sum();
        assert_eq!(sealed + live as u64, lines.len() as u64);
    }
    let quiet = Instant::now();
    // The tail looks for new files of past days only every few seconds. The loop waits for their
    // entries, and goes on for a while, in which no entry may come twice.
    let missing = |told: &[String]| {
        let told: BTreeSet<&String> = told.iter().collect();
        lines.iter().find(|line| !told.contains(line)).cloned()
    };
    while quiet.elapsed() < Duration::from_secs(6) || tail.is_behind() || missing(&told).is_some() {
        let entries = tail.poll(1000).unwrap().into_iter();
        told.extend(entries.map(|entry| String::from_utf8(entry.into_line()).unwrap()));
        assert!(quiet.elapsed() < HANGS, "{:?}", missing(&told));
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = once(told, "a tail");
    assert!(told.is_subset(&world.written));
    #[cfg(feature = "webhook")]
    {
        let behind = follower
            .backlogs(&[(tail.places(), Timestamp::MIN)])
            .unwrap()
            .remove(0);
        assert_eq!(behind.unwrap(), Default::default());
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn live_lines(world: &World, stem: &FileStem) -> usize {
    let text = std::fs::read_to_string(world.layout.live(stem)).unwrap();
    text.lines().count()
}
