//! Thousands of short processes (a command line, a cron job, CGI) in one directory: opening it stays
//! as cheap as at first, no process needs many descriptors, what is not sealed stays little, and
//! every event is there exactly once.
//!
//! `SHORT_PROCESSES=2000 cargo test --release --test short_processes_leave_little -- --nocapture`
//! for the full run, with its figures.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test; figures are for who runs it"
)]
#![cfg(feature = "macros")]

#[path = "support/fork.rs"]
mod forking;
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use support::say;
use tracing_audit::{AuditLog, AuditLogBuilder, AuditReader, Retention, audit};
use tracing_subscriber::prelude::*;

/// So many live files of sealed ones stay at most, however long their grace is.
const TWINS: usize = 256;
/// So many processes run side by side, from time to time.
const ABREAST: usize = 4;

fn builder(dir: &Path) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("short")
        .journal_bytes(128 << 10)
        .max_record_bytes(16 << 10)
        .retention(Retention::unlimited())
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One short process.
#[test]
fn short() {
    let (Ok(dir), Ok(end)) = (std::env::var("SHORT_DIR"), std::env::var("SHORT_END")) else {
        return;
    };
    let most = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let before = descriptors();
    let over = Over(&done);
    thread::scope(|scope| {
        let _over = over;
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(descriptors(), Ordering::AcqRel);
                thread::sleep(Duration::from_micros(200));
            }
        });
        let start = Instant::now();
        let mut builder = builder(Path::new(&dir));
        if let Ok(grace) = std::env::var("SHORT_GRACE") {
            builder = builder.live_grace(Duration::from_millis(grace.parse().unwrap()));
        }
        let log = builder.open().unwrap();
        say(format!("open:{}", start.elapsed().as_micros()));
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
        tracing::dispatcher::with_default(&dispatch, || {
            let first = audit!("short.began");
            let second = audit!("short.worked");
            second.wait().unwrap();
            let third = audit!("short.ended");
            for receipt in [first, second, third] {
                say(format!("event:{}", receipt.id()));
            }
        });
        let told = || {
            let most = most.load(Ordering::Acquire);
            say(format!("files:{}", most.saturating_sub(before)));
        };
        match end.as_str() {
            "close" => {
                let start = Instant::now();
                log.close().unwrap();
                say(format!("close:{}", start.elapsed().as_micros()));
                told();
            }
            "exit" => {
                told();
                forking::exit(0)
            }
            _ => {
                told();
                forking::die()
            }
        }
    });
}

/// Ends the counting, also after a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What the short processes said.
#[derive(Default)]
struct Told {
    events: Vec<String>,
    opens: Vec<u64>,
    closes: Vec<u64>,
    most_files: u64,
}

impl Told {
    fn take(&mut self, child: Child) {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut opened = false;
        // The first stands behind what the test program itself prints.
        for line in text.lines().filter_map(|line| line.split_once("done ")) {
            let (kind, value) = line.1.split_once(':').unwrap();
            let number = || value.parse::<u64>().unwrap();
            match kind {
                "open" => {
                    opened = true;
                    self.opens.push(number());
                }
                "close" => self.closes.push(number()),
                "files" => self.most_files = self.most_files.max(number()),
                _ => self.events.push(value.to_owned()),
            }
        }
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(opened, "a process failed: {:?} {text} {why}", output.status);
    }
}

fn start(dir: &Path, end: &str, grace: Option<&str>) -> Child {
    let mut vars = vec![("SHORT_DIR", dir.to_str().unwrap()), ("SHORT_END", end)];
    vars.extend(grace.map(|grace| ("SHORT_GRACE", grace)));
    let mut command: Command = support::child(module_path!(), "short", &vars);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// How many live files there are, and how many of them have no sealed twin.
fn live(dir: &Path) -> (usize, usize) {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let live: Vec<_> = support::files(&dir.join("live")).iter().map(name).collect();
    let sealed: std::collections::HashSet<_> = support::files(&dir.join("sealed"))
        .iter()
        .map(name)
        .collect();
    let unsealed = |name: &&String| !sealed.contains(&format!("{name}.gz"));
    (live.len(), live.iter().filter(unsealed).count())
}

/// What is left of streams besides their files.
fn left_over(dir: &Path) -> usize {
    ["journal", "locks", "tmp"]
        .iter()
        .map(|part| support::files(&dir.join("state").join(part)).len())
        .sum()
}

fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long it takes to open a directory in which there was only one process before: on this
/// machine, as busy as it is now.
fn opens_anew() -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for _ in 0..2 {
        told.take(start(dir.path(), "close", None));
    }
    told.opens[1]
}

/// Runs so many, ending as `ends` says in turn; calls `look` after each.
fn run(
    dir: &Path,
    processes: usize,
    ends: &[&str],
    grace: Option<&str>,
    mut look: impl FnMut(usize),
) -> Told {
    let mut told = Told::default();
    let mut begun = 0;
    while begun < processes {
        let abreast = if begun % 25 == 24 { ABREAST } else { 1 };
        let children: Vec<_> = (begun..begun + abreast)
            .map(|number| start(dir, ends[number % ends.len()], grace))
            .collect();
        children.into_iter().for_each(|child| told.take(child));
        begun += abreast;
        look(begun);
    }
    told
}

/// All is recovered, and each event is there once.
fn check(dir: &Path, told: &Told) {
    let log = builder(dir).open().unwrap();
    support::recovered(dir);
    log.close().unwrap();
    let ids = support::ids(dir);
    let wrong: Vec<_> = told
        .events
        .iter()
        .filter(|id| ids.get(*id) != Some(&1))
        .collect();
    let count = told.events.len();
    assert!(wrong.is_empty(), "of {count} not there once: {wrong:?}");
    let report = AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap();
    assert!(report.ok, "{report:#?}");
}

fn processes(by_default: usize) -> usize {
    let given = std::env::var("SHORT_PROCESSES");
    given.map_or(by_default, |given| given.parse().unwrap())
}

#[test]
fn the_last_of_many_opens_as_fast_as_the_first() {
    if std::env::var_os("SHORT_DIR").is_some() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let ends = ["close", "close", "exit", "close", "kill"];
    let mut most = (0, 0, 0);
    let (mut early, mut late) = (0, 0);
    let mut anew = Vec::new();
    let processes = processes(150);
    let told = run(dir, processes, &ends, None, |begun| {
        if begun >= processes - processes / 10 {
            anew.push(opens_anew());
        }
        let (live, unsealed) = live(dir);
        let left = left_over(dir);
        most = (most.0.max(live), most.1.max(unsealed), most.2.max(left));
        let so_far = match begun < processes / 2 {
            true => &mut early,
            false => &mut late,
        };
        *so_far = (*so_far).max(unsealed + left);
    });
    let tenth = told.opens.len() / 10;
    let first = median(&told.opens[..tenth]);
    let last = median(&told.opens[told.opens.len() - tenth..]);
    let anew = median(&anew);
    let files = told.most_files;
    println!(
        "{processes} processes: open {first} µs at first, {last} µs at last, {anew} µs \
         elsewhere, worst {} µs; close {} µs, \
         worst {} µs; {files} descriptors; at most {} live files, {} of them unsealed, {} beside them",
        told.opens.iter().max().unwrap(),
        median(&told.closes),
        told.closes.iter().max().unwrap(),
        most.0,
        most.1,
        most.2,
    );
    // The machine may be busier at the end than at the beginning.
    let first = first.max(anew);
    assert!(
        last <= 3 * first + 5_000,
        "open: {first} µs, then {last} µs"
    );
    assert!(files <= 20, "{files} descriptors");
    let (live, unsealed, _) = most;
    assert!(live <= TWINS + unsealed + ABREAST, "{live} live files");
    assert!(late <= early + 8, "left over: {early}, then {late}");
    check(dir, &told);
}

#[test]
fn a_short_grace_leaves_no_twins() {
    if std::env::var_os("SHORT_DIR").is_some() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let mut most = 0;
    let told = run(dir, 60, &["close", "kill", "close"], Some("1"), |_| {
        most = most.max(live(dir).0);
    });
    assert!(most <= 16, "{most} live files");
    check(dir, &told);
}

/// A program that ends without closing its log, every time: by `_exit`, say.
#[test]
fn processes_that_never_close_lose_nothing() {
    if std::env::var_os("SHORT_DIR").is_some() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let mut most = 0;
    let told = run(dir, 60, &["exit"], None, |_| {
        most = most.max(live(dir).1);
    });
    println!("at most {most} unsealed files");
    assert!(told.most_files <= 20, "{} descriptors", told.most_files);
    check(dir, &told);
}
