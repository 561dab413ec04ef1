//! The same on real files: pipes, links and the end of a file that others cut.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{Store, clock::Clock, fs::OsFs, health::Problem, test_options::options},
    OwnEntry, Severity,
};
use crate::{
    entry::Timestamp,
    query::{AuditReader, Filter, Order},
};

/// Does this on another thread, and fails if it hangs.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    waiting
        .recv_timeout(Duration::from_secs(60))
        .expect("it hangs, or it panicked")
}

/// A clock that is never near midnight, when a file ends, and never behind the entries, which are
/// stamped by the system's clock.
#[derive(Debug)]
struct Noon {
    begun: Instant,
    noon: Timestamp,
}

impl Noon {
    fn of_tomorrow() -> Self {
        const HALF_A_DAY: i64 = 12 * 3_600_000_000;
        let tomorrow = Timestamp::now().day().next().start();
        Self {
            begun: Instant::now(),
            noon: Timestamp::from_micros(tomorrow.as_micros() + HALF_A_DAY),
        }
    }
}

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        let elapsed = self.begun.elapsed().as_micros() as i64;
        Timestamp::from_micros(self.noon.as_micros() + elapsed)
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }
}

struct Real {
    dir: tempfile::TempDir,
    log: Store,
    problems: Arc<Mutex<Vec<String>>>,
}

impl Real {
    fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), "", 1 << 20)
    }

    fn open_in(dir: tempfile::TempDir, below: &str, rotate_bytes: u64) -> Self {
        let problems = Arc::new(Mutex::new(Vec::new()));
        let noted = problems.clone();
        let note = move |problem: &Problem| noted.lock().unwrap().push(problem.to_string());
        let mut options = options(Some(Arc::new(note)));
        options.writer.rotate_bytes = rotate_bytes;
        let (fs, clock) = (Arc::new(OsFs), Arc::new(Noon::of_tomorrow()));
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let log = Store::open_on(fs, clock, thread, &dir.path().join(below), options).unwrap();
        Self { dir, log, problems }
    }

    fn record(&self, what: &'static str) {
        let event = OwnEntry::new("test.event", Severity::Info, what);
        self.log.record(&event).unwrap();
    }

    fn live(&self) -> PathBuf {
        let live = fs::read_dir(self.dir.path().join("live")).unwrap();
        let mut live: Vec<_> = live.map(|entry| entry.unwrap().path()).collect();
        live.sort();
        live.pop().unwrap()
    }

    fn wait_for_report(&self) {
        let start = Instant::now();
        let reported = |text: &String| text.contains("tampered with");
        while !self.problems.lock().unwrap().iter().any(reported) {
            assert!(start.elapsed() < Duration::from_secs(60), "never noticed");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Closes the log; gives how many events it has, and checks it.
    fn finish(self) -> usize {
        in_time(move || {
            self.log.close().unwrap();
            let reader = AuditReader::open(self.dir.path()).unwrap();
            let report = reader.verify(|_, _| {}).unwrap();
            assert!(report.ok, "{:#?}", report.findings);
            count(&reader)
        })
    }
}

fn count(reader: &AuditReader) -> usize {
    let filter = Filter::parse([("event_type", "test.event")]).unwrap();
    let mut count = 0;
    reader
        .each(&filter, Order::Asc, |_| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    count
}

fn pipe(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn no_one_hangs_at_a_pipe_and_it_is_moved_away() {
    let log = Real::open();
    log.record("one");
    let live = log.live();
    fs::remove_file(&live).unwrap();
    pipe(&live);
    let dir = log.dir.path().to_owned();
    in_time(move || {
        // It may say what it likes, but not hang.
        let reader = AuditReader::open(dir).unwrap();
        let _ = reader.verify(|_, _| {});
        let filter = Filter::parse([("event_type", "test.event")]).unwrap();
        let _ = reader.each(&filter, Order::Asc, |_| std::ops::ControlFlow::Continue(()));
    });
    log.record("two");
    log.wait_for_report();
    assert_eq!(
        fs::read_dir(log.dir.path().join("state/aside"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(log.finish(), 2);
}

#[test]
fn a_link_a_directory_or_a_copy_in_the_place_of_the_file_is_moved_away() {
    let ways: [fn(&std::path::Path, &std::path::Path); 3] = [
        |live, kept| std::os::unix::fs::symlink(kept, live).unwrap(),
        |live, _| fs::create_dir(live).unwrap(),
        |live, kept| {
            fs::copy(kept, live).unwrap();
        },
    ];
    for way in ways {
        let log = Real::open();
        log.record("one");
        let (live, kept) = (log.live(), log.dir.path().join("kept"));
        fs::rename(&live, &kept).unwrap();
        way(&live, &kept);
        log.record("two");
        log.wait_for_report();
        assert_eq!(
            fs::read_dir(log.dir.path().join("state/aside"))
                .unwrap()
                .count(),
            1
        );
        assert_eq!(log.finish(), 2);
    }
}

#[test]
fn a_file_that_others_cut_goes_on_behind_what_is_left() {
    for len in [0, 100] {
        let log = Real::open();
        log.record("one");
        let live = log.live();
        fs::OpenOptions::new()
            .write(true)
            .open(live)
            .unwrap()
            .set_len(len)
            .unwrap();
        log.record("two");
        log.wait_for_report();
        assert_eq!(log.finish(), 1, "the first is lost, as the log records");
    }
}

#[test]
fn what_others_append_is_removed() {
    for foreign in ["foreign", "foreign\n"] {
        let log = Real::open();
        log.record("one");
        let mut live = fs::OpenOptions::new()
            .append(true)
            .open(log.live())
            .unwrap();
        live.write_all(foreign.as_bytes()).unwrap();
        log.record("two");
        log.wait_for_report();
        assert_eq!(log.finish(), 2);
    }
}

#[test]
fn what_is_written_after_a_rename_lies_in_the_directory_that_was_opened() {
    // Whether another log begins under the old name.
    for is_followed in [false, true] {
        let log = Real::open_in(tempfile::tempdir().unwrap(), "audit", 1_000);
        let root = log.dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        log.record("one");
        fs::rename(at("audit"), at("away")).unwrap();
        let other = is_followed.then(|| {
            let dir = tempfile::tempdir_in(&root).unwrap();
            let other = Real::open_in(dir, "", 1_000);
            other.record("another");
            other.log.close().unwrap();
            fs::rename(other.dir.path(), at("audit")).unwrap();
            other
        });
        // Far beyond what a file may have, and until it was looked for it at least once.
        let start = Instant::now();
        let mut recorded = 1;
        while recorded < 20 || start.elapsed() < Duration::from_millis(1_500) {
            log.record("more");
            recorded += 1;
            thread::sleep(Duration::from_millis(5));
        }
        let live: Vec<_> = fs::read_dir(at("away/live")).unwrap().collect();
        assert_eq!(live.len(), 1);
        match &other {
            Some(_) => {
                fs::rename(at("audit"), at("other")).unwrap();
                assert_eq!(count(&AuditReader::open(at("other")).unwrap()), 1);
            }
            None => assert!(!at("audit").exists(), "it was made anew"),
        }
        // Back at its place it goes on as if nothing had been.
        fs::rename(at("away"), at("audit")).unwrap();
        log.record("at home");
        log.log.close().unwrap();
        let reader = AuditReader::open(at("audit")).unwrap();
        assert_eq!(count(&reader), recorded + 1);
        let report = reader.verify(|_, _| {}).unwrap();
        assert!(report.ok, "{:#?}", report.findings);
    }
}

#[test]
fn no_file_is_written_again_under_a_name_that_is_not_ours() {
    let log = Real::open_in(tempfile::tempdir().unwrap(), "audit", 1 << 20);
    let root = log.dir.path().canonicalize().unwrap();
    let at = |name: &str| root.join(name);
    log.record("one");
    let name = fs::read_dir(at("audit/live")).unwrap().next().unwrap();
    fs::rename(at("audit"), at("away")).unwrap();
    fs::remove_file(at("away/live").join(name.unwrap().file_name())).unwrap();
    let event = OwnEntry::new("test.event", Severity::Info, "two");
    // It waits in the journal.
    let _ = log.log.record(&event);
    assert!(!at("audit").exists(), "it was made anew");
    fs::rename(at("away"), at("audit")).unwrap();
    log.wait_for_report();
    in_time(move || log.log.close().unwrap());
    assert_eq!(count(&AuditReader::open(at("audit")).unwrap()), 2);
}
