//! Reads a log without the code that wrote it: gzip and JSON.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read as _,
    path::Path,
};

use serde_json::Value;

use super::world::Promise;
use crate::store::sim::SimFs;

/// The lines of each stream, in the order of its files; of a live file only if it is not sealed.
pub(in crate::store) fn streams(
    disk: &SimFs,
    dir: &Path,
) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut files: BTreeMap<(String, String), String> = BTreeMap::new();
    let name = |path: &Path, ending: &str| {
        let name = path.file_name()?.to_str()?.strip_suffix(ending)?;
        let (rest, number) = name.rsplit_once('-')?;
        // The birth comes before the stream.
        Some((rest.get(24..)?.to_owned(), number.to_owned()))
    };
    for path in disk.files(dir.join("live")) {
        let key = name(&path, ".jsonl").ok_or_else(|| format!("foreign: {}", path.display()))?;
        if files.insert(key, lines_of(disk, &path)?).is_some() {
            return Err(format!("{} has a number that another has", path.display()));
        }
    }
    for path in disk.files(dir.join("sealed")) {
        let key = name(&path, ".jsonl.gz").ok_or_else(|| format!("foreign: {}", path.display()))?;
        files.insert(key, lines_of(disk, &path)?);
    }
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((stream, _), text) in files {
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(format!("{stream} has a torn line: {text}"));
        }
        let lines = streams.entry(stream).or_default();
        lines.extend(text.lines().map(str::to_owned));
    }
    Ok(streams)
}

/// What a live or a sealed file says.
pub(super) fn lines_of(disk: &SimFs, path: &Path) -> Result<String, String> {
    let bytes = disk.bytes(path).unwrap_or_default();
    let text = match path.extension().is_some_and(|ending| ending == "gz") {
        true => unpack(&bytes),
        false => String::from_utf8(bytes).map_err(|e| e.to_string()),
    };
    text.map_err(|e| format!("{}: {e}", path.display()))
}

pub(super) fn unpack(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
    read.map(|_| text).map_err(|e| e.to_string())
}

/// What is known of a log by those who used it.
pub(super) struct Known<'a> {
    /// What has to be there.
    pub(super) kept: Vec<&'a Promise>,
    /// The entries that were in removed files, by their ids.
    pub(super) pruned: &'a HashMap<String, Value>,
    /// How many events of each stream its journal had no room for.
    pub(super) dropped: &'a HashMap<String, u64>,
}

impl Known<'_> {
    /// Each stream reports, or reported, the events that it dropped.
    /// A stream that begins with the entry that its log was opened ends with one that says how,
    /// as far as they were not removed.
    fn check_life(&self, entries: &[(&String, Value)]) -> Result<(), String> {
        let mut streams: BTreeMap<&str, BTreeMap<u64, &str>> = BTreeMap::new();
        let there = entries.iter().map(|(_, entry)| entry);
        for entry in there.chain(self.pruned.values()) {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            let seq = entry["seq"].as_u64().unwrap_or(0);
            let stream = streams.entry(text("stream")).or_default();
            stream.insert(seq, text("event_type"));
        }
        for (stream, types) in streams {
            let is_end = |what: &&&str| {
                ["audit.log.closed", "audit.log.ended_without_closing"].contains(*what)
            };
            let begins = types.get(&1) == Some(&"audit.log.opened");
            let ends = types.values().filter(is_end).count();
            let last = types.values().next_back().is_some_and(|last| is_end(&last));
            // A power failure can take the first entry, and leave others.
            if ends != usize::from(begins) || last != begins {
                return Err(format!("{stream} begins or ends wrongly: {types:?}"));
            }
        }
        Ok(())
    }

    fn check_dropped(&self, entries: impl Iterator<Item = Value>) -> Result<(), String> {
        let there = entries.filter(|entry| !self.pruned.contains_key(id_of(entry)));
        let mut told: HashMap<String, u64> = HashMap::new();
        for entry in there.chain(self.pruned.values().cloned()) {
            if entry["event_type"] == "audit.log.dropped" {
                let stream = entry["stream"].as_str().unwrap_or_default();
                let count = entry["details"]["count"].as_u64().unwrap_or(0);
                *told.entry(stream.to_owned()).or_default() += count;
            }
        }
        for (stream, count) in self.dropped {
            let told = told.get(stream).copied().unwrap_or(0);
            if told != *count {
                let what = format!("{stream} dropped {count} events, and tells of {told}");
                return Err(what);
            }
        }
        Ok(())
    }
}

pub(super) fn id_of(entry: &Value) -> &str {
    entry["id"].as_str().unwrap_or_default()
}

/// Checks all that has to hold when no process runs.
pub(super) fn check(disk: &SimFs, dir: &Path, known: &Known<'_>) -> Result<(), String> {
    let streams = streams(disk, dir)?;
    let mut found = HashSet::new();
    let mut removed = Removed::default();
    let mut all = Vec::new();
    for (stream, lines) in &streams {
        for line in lines {
            let entry: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
            let event_type = entry["event_type"].as_str().unwrap_or_default();
            if ["audit.log.lost", "audit.log.live_file_cut"].contains(&event_type) {
                return Err(format!("nothing was lost, but: {line}"));
            }
            if event_type == "audit.log.pruned" {
                removed.take(&entry["details"]);
            }
            let id = id_of(&entry).to_owned();
            // What waited in `state/pruning` is recorded at least once.
            let again = event_type == "audit.log.pruned";
            if !found.insert(id) && !again {
                return Err(format!("this is there twice: {line}"));
            }
            all.push((stream, entry));
        }
    }
    check_numbers(&all, &removed)?;
    let excused = |id: &String| found.contains(id) || known.pruned.contains_key(id);
    let missing: Vec<_> = known
        .kept
        .iter()
        .filter(|promise| !excused(&promise.id))
        .collect();
    if !missing.is_empty() {
        return Err(format!("{} are missing: {missing:?}", missing.len()));
    }
    known.check_life(&all)?;
    known.check_dropped(all.into_iter().map(|(_, entry)| entry))?;
    let journals = disk.files(dir.join("state/journal"));
    match journals.is_empty() {
        true => Ok(()),
        false => Err(format!("nobody runs, but there are {journals:?}")),
    }
}

/// In each stream they are 1, 2, 3 …, but for those of removed entries.
fn check_numbers(entries: &[(&String, Value)], removed: &Removed) -> Result<(), String> {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for (stream, entry) in entries {
        let last = last.entry(stream).or_default();
        let number = entry["seq"].as_u64().unwrap_or(0);
        let excused = |number: &u64| removed.has(stream, *number);
        let follows = number > *last && (*last + 1..number).all(|number| excused(&number));
        if entry["stream"] != **stream || !follows {
            return Err(format!("not number {} of {stream}: {entry:#}", *last + 1));
        }
        *last = number;
    }
    Ok(())
}

/// The numbers of entries whose removal the log has recorded, by their streams.
#[derive(Debug, Default)]
struct Removed(HashMap<String, Vec<(u64, u64)>>);

impl Removed {
    /// Takes in the details of an entry about removals.
    fn take(&mut self, details: &Value) {
        let rows = |name: &str| details[name].as_array().into_iter().flatten();
        for row in rows("files") {
            // 20261121T101500.123456Z-app-7f3a9c-00000042
            let file = row["file"].as_str().unwrap_or_default();
            let stream = file.rsplit_once('-').map(|(rest, _)| rest);
            self.add(stream.and_then(|rest| rest.get(24..)), row);
        }
        for row in rows("earlier") {
            self.add(row["stream"].as_str(), row);
        }
    }

    fn add(&mut self, stream: Option<&str>, row: &Value) {
        let numbers = row["first_seq"].as_u64().zip(row["last_seq"].as_u64());
        if let Some((stream, numbers)) = stream.zip(numbers) {
            self.0.entry(stream.to_owned()).or_default().push(numbers);
        }
    }

    fn has(&self, stream: &str, number: u64) -> bool {
        let ranges = self.0.get(stream).into_iter().flatten();
        ranges
            .into_iter()
            .any(|(first, last)| (*first..=*last).contains(&number))
    }
}
