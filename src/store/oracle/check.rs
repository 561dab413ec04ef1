//! Reads a log without the code that wrote it: gzip and JSON.

use std::{
    collections::{BTreeMap, HashMap},
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
        let bytes = disk.bytes(&path).unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        if files.insert(key, text).is_some() {
            return Err(format!("{} has a number that another has", path.display()));
        }
    }
    for path in disk.files(dir.join("sealed")) {
        let key = name(&path, ".jsonl.gz").ok_or_else(|| format!("foreign: {}", path.display()))?;
        let (bytes, mut text) = (disk.bytes(&path).unwrap_or_default(), String::new());
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_string(&mut text)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        files.insert(key, text);
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

/// Checks all that has to hold when no process runs.
pub(super) fn check<'a>(
    disk: &SimFs,
    dir: &Path,
    kept: impl Iterator<Item = &'a Promise>,
) -> Result<(), String> {
    let mut found: HashMap<String, usize> = HashMap::new();
    for (stream, lines) in streams(disk, dir)? {
        for (at, line) in lines.iter().enumerate() {
            let entry: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
            if entry["stream"] != *stream || entry["seq"] != at as u64 + 1 {
                let around = &lines[at.saturating_sub(3)..(at + 2).min(lines.len())];
                return Err(format!("not number {} of {stream}: {around:#?}", at + 1));
            }
            let told = entry["event_type"].as_str().unwrap_or_default();
            if ["audit.log.lost", "audit.log.live_file_cut"].contains(&told) {
                return Err(format!("nothing was lost, but: {line}"));
            }
            let id = entry["id"].as_str().unwrap_or_default().to_owned();
            *found.entry(id).or_default() += 1;
        }
    }
    if let Some((id, count)) = found.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{id} is there {count} times"));
    }
    let missing: Vec<_> = kept
        .filter(|promise| !found.contains_key(&promise.id))
        .collect();
    if !missing.is_empty() {
        return Err(format!("{} are missing: {missing:?}", missing.len()));
    }
    let journals = disk.files(dir.join("state/journal"));
    match journals.is_empty() {
        true => Ok(()),
        false => Err(format!("nobody runs, but there are {journals:?}")),
    }
}
