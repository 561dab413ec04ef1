//! What several tests need: a child process to kill, and a reading of the log that owes nothing to the crate.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; what goes wrong here fails the test")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// This test program again, running only the test `name`, with `vars` in its environment.
pub(crate) fn child(name: &str, vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test's own path"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.envs(vars.iter().copied());
    command
}

/// All files below `dir`.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The lines of the log, each once: of sealed files, and of live files without a sealed twin.
pub(crate) fn lines(dir: &Path) -> Vec<String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for path in files(&dir.join("live")) {
        let text = fs::read_to_string(&path).expect("a live file");
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        texts.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text[..complete].to_owned());
    }
    for path in files(&dir.join("sealed")) {
        let mut text = String::new();
        let file = fs::File::open(&path).expect("a sealed file");
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        texts.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), text);
    }
    texts.values().flat_map(|text| text.lines().map(str::to_owned)).collect()
}

/// The records of the log, parsed.
pub(crate) fn records(dir: &Path) -> Vec<serde_json::Value> {
    lines(dir).iter().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// How often each id is in the log, after checking that every stream counts 1, 2, 3 … without a gap.
pub(crate) fn ids(dir: &Path) -> HashMap<String, usize> {
    let mut ids = HashMap::new();
    let mut numbers: HashMap<String, Vec<u64>> = HashMap::new();
    for record in records(dir) {
        *ids.entry(record["id"].as_str().unwrap().to_owned()).or_default() += 1;
        numbers.entry(record["stream"].as_str().unwrap().to_owned()).or_default().push(record["seq"].as_u64().unwrap());
    }
    for (stream, numbers) in numbers {
        let counted: Vec<u64> = (1..=numbers.len() as u64).collect();
        if numbers != counted {
            let at = numbers.iter().zip(&counted).position(|(a, b)| a != b).unwrap();
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
    let sealed: Vec<_> = files(&dir.join("sealed")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "gz")).collect();
    for batch in sealed.chunks(100) {
        let status = Command::new("gzip").arg("-t").args(batch).status().expect("gzip is installed");
        assert!(status.success(), "gzip -t refuses one of {batch:?}");
    }
}
