//! A server that is started and killed, and its log as somebody else reads it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which tells what it did"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{BufRead, BufReader},
    net::SocketAddr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tracing_audit::{
    AuditReader, Filter, RawEntry, Timestamp,
    reader::{FindingKind, Order},
};

use crate::down::Life;

/// How long one test kills, and with which seed: `KILLED_SECONDS` and `KILLED_SEED`.
pub(crate) fn settings() -> (Duration, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let seconds = number("KILLED_SECONDS").map_or(4, Result::unwrap);
    let seed = number("KILLED_SEED").map_or_else(|| fastrand::u64(..), Result::unwrap);
    (Duration::from_secs(seconds), seed)
}

/// A temporary directory, which is kept when the test fails.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            println!("kept: {}", self.path().display());
        }
    }
}

/// A server process, which does not outlive this value.
pub(crate) struct Server {
    child: Child,
    started: Timestamp,
    ready: Timestamp,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a program that prints `listening on <address>`, and whose standard error is appended
    /// to `stderr.txt` in the directory.
    pub(crate) fn start(command: &mut Command, dir: &Path) -> Self {
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("stderr.txt"));
        let started = Timestamp::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr.unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.and_then(|text| text.parse().ok());
        let Some(address) = address else {
            panic!("the server in {} did not start: {line:?}", dir.display());
        };
        Self {
            child,
            started,
            ready: Timestamp::now(),
            address,
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Life {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.life(true)
    }

    /// SIGTERM, and waits for the end, which must be in order.
    pub(crate) fn terminate(mut self) -> Life {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        assert!(self.child.wait().unwrap().success());
        self.life(false)
    }

    fn life(&self, killed: bool) -> Life {
        Life {
            started: self.started,
            ready: self.ready,
            gone: Timestamp::now(),
            killed,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the process that runs has recovered what killed ones left: then the only journal is
/// its own.
pub(crate) fn recovered(log: &Path) {
    let begin = Instant::now();
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "ring");
    while files_below(&log.join("state/journal"))
        .iter()
        .filter(|path| is_journal(path))
        .count()
        > 1
    {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads the log without our reader: the lines of the live files and, by `gzip`, of the sealed
/// ones, in the order of their streams.
pub(crate) fn lines(dir: &Path) -> Vec<Value> {
    let mut files = BTreeMap::new();
    for file in files_below(&dir.join("live")) {
        let text = std::fs::read(&file).unwrap();
        files.insert(stem(&file), text);
    }
    // A live file stays for a while after it was sealed.
    for file in files_below(&dir.join("sealed")) {
        let unpacked = Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
        assert!(unpacked.status.success(), "gzip refuses {}", file.display());
        files.insert(stem(&file), unpacked.stdout);
    }
    let mut entries: Vec<Value> = Vec::new();
    for (file, text) in files {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for line in lines {
            assert_eq!(line.last(), Some(&b'\n'), "{file} ends within a line");
            entries.push(serde_json::from_slice(line).unwrap());
        }
    }
    let place = |e: &Value| (text(e, "/stream").to_owned(), e["seq"].as_u64());
    entries.sort_by_key(place);
    entries
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap().to_string_lossy();
    name.split(".jsonl").next().unwrap().to_owned()
}

/// What `tracing-audit query --order asc` finds with these filters.
pub(crate) fn query(reader: &AuditReader, filters: &[(&str, &str)]) -> Vec<RawEntry> {
    let filter = Filter::parse(filters.iter().copied()).unwrap();
    let mut found = Vec::new();
    let give = |entry| {
        found.push(entry);
        ControlFlow::Continue(())
    };
    reader.each(&filter, Order::Asc, give).unwrap();
    found
}

/// What `tracing-audit verify` says: no problems, and as many entries as there are lines. After an
/// orderly end nothing is left over either.
pub(crate) fn verify(dir: &Path, entries: usize) {
    let reader = AuditReader::open(dir).unwrap();
    let report = reader.verify(|_, _| {}).unwrap();
    assert!(report.ok, "{:#?}", report.findings);
    let left = report
        .findings
        .iter()
        .filter(|f| f.kind != FindingKind::Pruned);
    assert_eq!(left.count(), 0, "{:#?}", report.findings);
    assert_eq!(report.entries, entries as u64);
}

/// The text at a JSON pointer, or an empty one.
pub(crate) fn text<'a>(entry: &'a Value, pointer: &str) -> &'a str {
    entry
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn ids(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(|e| text(e, "/id").to_owned()).collect()
}

/// No entry is there twice: neither its id nor its number.
pub(crate) fn assert_unique(entries: &[Value]) {
    assert_eq!(ids(entries).len(), entries.len(), "an id is there twice");
    for pair in entries.windows(2) {
        let [before, after] = pair else { continue };
        if before["stream"] == after["stream"] {
            let (before, after) = (&before["seq"], &after["seq"]);
            assert_eq!(before.as_u64().unwrap() + 1, after.as_u64().unwrap());
        }
    }
}

/// What a test came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) logs: u64,
    pub(crate) kills: u64,
    pub(crate) acknowledged: u64,
    pub(crate) open: u64,
    pub(crate) entries: u64,
    pub(crate) questions: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} logs, {} kills, {} operations acknowledged, {} cut off; {} entries, \
             0 lost, 0 doubled; {} questions answered",
            self.logs, self.kills, self.acknowledged, self.open, self.entries, self.questions
        )
    }
}
