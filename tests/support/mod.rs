//! What several tests need: waiting for what is to come, a child process to kill, and a reading of
//! the log that owes nothing to the crate.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    fs,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The settings of a log with a small journal that records only what the test does.
pub(crate) fn builder(dir: impl Into<PathBuf>) -> tracing_audit::AuditLogBuilder {
    tracing_audit::AuditLog::builder(dir)
        .lifecycle(false)
        .source("app")
        .journal_bytes(1 << 20)
}

/// Ends a test that would hang. It says nothing of how long anything may take, for a machine can be
/// busy with other things.
pub(crate) const HANGS: Duration = Duration::from_secs(300);

/// Looks until there is what is waited for; what is there instead is told if that never comes.
pub(crate) fn wait_for<T, E: Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(start.elapsed() < HANGS, "{what}: {instead:?}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || {
        if holds() {
            Ok(())
        } else {
            Err("it never came to that")
        }
    });
}

/// This test program again, running only the test `name` of a module, with `vars` in its
/// environment.
pub(crate) fn child(module_path: &str, name: &str, vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test's own path"));
    let name = full_name(module_path, name);
    command
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null());
    command.envs(vars.iter().copied());
    command
}

/// The name of a test as its program knows it: with its module, without the crate.
pub(crate) fn full_name(module_path: &str, name: &str) -> String {
    match module_path.split_once("::") {
        Some((_, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    }
}

/// Whether this is the process of the test `name` alone: for a test that changes what all tests of
/// a process share. In any other process it starts that one, which must end well.
pub(crate) fn is_apart(module_path: &str, name: &str) -> bool {
    const APART: &str = "TEST_APART";
    if std::env::var_os(APART).is_some_and(|apart| apart == name) {
        return true;
    }
    let output = child(module_path, name, &[(APART, name)]).output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out),
        String::from_utf8_lossy(&err)
    );
    false
}

/// Says that something is done, for who started this process as a [`Victim`].
pub(crate) fn say(done: impl std::fmt::Display) {
    // In one write, so that death leaves whole lines but for the last.
    let _ = io::stdout().write_all(format!("done {done}\n").as_bytes());
}

/// A [`child`] that is killed, and what it [said](say) it had done.
pub(crate) struct Victim {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Victim {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, said) = (
            BufReader::new(child.stdout.take().unwrap()),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let heard = Arc::clone(&said);
        let reading = thread::spawn(move || {
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                // What death cut off has no end. The first comes behind what the test program
                // itself prints.
                let text = line
                    .strip_suffix(b"\n")
                    .map(String::from_utf8_lossy)
                    .unwrap_or_default();
                heard
                    .lock()
                    .unwrap()
                    .extend(text.rsplit_once("done ").map(|(_, done)| done.to_owned()));
                line.clear();
            }
        });
        Self {
            child,
            said,
            reading: Some(reading),
        }
    }

    /// What it said so far.
    pub(crate) fn said<T: FromStr<Err: Debug>>(&self) -> Vec<T> {
        self.said
            .lock()
            .unwrap()
            .iter()
            .map(|done| done.parse().unwrap())
            .collect()
    }

    /// Kills it; gives all that it said.
    pub(crate) fn kill<T: FromStr<Err: Debug>>(mut self) -> Vec<T> {
        self.end();
        self.said()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until what dead processes left in the log of `dir`, which this process alone has open, was
/// taken over: no journal is there but its own.
pub(crate) fn recovered(dir: &Path) {
    until("what dead processes left is recovered", || {
        let journals = files(&dir.join("state/journal"));
        journals
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "ring"))
            .count()
            <= 1
    });
}

/// All files below `dir`.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of the log, each once: of sealed files, and of live files without a sealed twin.
pub(crate) fn lines(dir: &Path) -> Vec<String> {
    wait_for("the log's files stay while they are read", || {
        match texts(dir) {
            // A file went between being listed and being read: a live one was sealed, or a sealed
            // one was pruned.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            texts => Ok(texts
                .unwrap()
                .values()
                .flat_map(|text| text.lines().map(str::to_owned))
                .collect()),
        }
    })
}

/// What is in the log's files, by their names as live files.
fn texts(dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for path in files(&dir.join("live")) {
        let text = fs::read_to_string(&path)?;
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        texts.insert(
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            text[..complete].to_owned(),
        );
    }
    for path in files(&dir.join("sealed")) {
        let mut text = String::new();
        let file = fs::File::open(&path)?;
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        texts.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), text);
    }
    Ok(texts)
}

/// The records of the log, parsed.
pub(crate) fn records(dir: &Path) -> Vec<serde_json::Value> {
    lines(dir)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// An actor or a resource as it stands in its line; a parsed value has the names in their order.
pub(crate) fn part(value: &serde_json::Value) -> String {
    let members = ["type", "id", "name", "attributes", "prior_attributes"];
    let members = members.iter().filter_map(|name| {
        let value = value.get(name)?;
        Some(format!("\"{name}\":{value}"))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// How often each id is in the log, after checking that every stream counts 1, 2, 3 … without a
/// gap.
pub(crate) fn ids(dir: &Path) -> HashMap<String, usize> {
    let mut ids = HashMap::new();
    let mut numbers: HashMap<String, Vec<u64>> = HashMap::new();
    for record in records(dir) {
        *ids.entry(record["id"].as_str().unwrap().to_owned())
            .or_default() += 1;
        numbers
            .entry(record["stream"].as_str().unwrap().to_owned())
            .or_default()
            .push(record["seq"].as_u64().unwrap());
    }
    for (stream, numbers) in numbers {
        let counted: Vec<u64> = (1..=numbers.len() as u64).collect();
        if numbers != counted {
            let at = numbers
                .iter()
                .zip(&counted)
                .position(|(a, b)| a != b)
                .unwrap();
            panic!(
                "{stream} does not count without a gap: {:?} at place {at}",
                &numbers[at.saturating_sub(2)..(at + 3).min(numbers.len())]
            );
        }
    }
    ids
}

/// Asks gzip itself whether every sealed file is whole.
pub(crate) fn gzip_test(dir: &Path) {
    let sealed: Vec<_> = files(&dir.join("sealed"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "gz"))
        .collect();
    for batch in sealed.chunks(100) {
        let status = Command::new("gzip")
            .arg("-t")
            .args(batch)
            .status()
            .expect("gzip is installed");
        assert!(status.success(), "gzip -t refuses one of {batch:?}");
    }
}
