//! What the disk has to hold at the moment that a file is removed from it.
//!
//! A removal that comes too early does harm only if the power fails in the moment after it. So this
//! isn't left to chance: at each removal the disk is looked at as the power failing now would leave
//! it at its worst.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::check::{id_of, lines_of, unpack};
use crate::{
    entry::Timestamp,
    journal::Leftover,
    store::{hold::Hold, sim::SimFs},
};

/// What was seen, and what is known to the one who sees.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The holds that are certainly in effect.
    pub(super) holds: Vec<Hold>,
    /// The entries in removed files, by their ids.
    pub(super) pruned: HashMap<String, Value>,
    /// How many sealed files were removed.
    pub(super) files: u64,
    /// What should not have been.
    pub(super) wrong: Vec<String>,
}

/// Where entries wait that the log could not take.
const PRUNING: &str = "state/pruning";

pub(super) type Witness = Arc<Mutex<Seen>>;

/// Begins to watch.
pub(super) fn watch(disk: &SimFs, dir: &'static str) -> Witness {
    let witness = Witness::default();
    let seen = witness.clone();
    disk.watch_removals(move |disk, path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let dir = Path::new(dir);
        let mut seen = seen.lock().unwrap();
        let looked = if path.starts_with(dir.join("sealed")) {
            seen.sealed_goes(disk, dir, path, name)
        } else if path.starts_with(dir.join("live")) {
            seen.live_goes(disk, dir, path, name)
        } else if path == dir.join(PRUNING) {
            intents_go(disk, dir)
        } else {
            Ok(())
        };
        if let Err(what) = looked {
            seen.wrong
                .push(format!("{} is removed: {what}", path.display()));
        }
    });
    witness
}

impl Seen {
    fn sealed_goes(
        &mut self,
        disk: &SimFs,
        dir: &Path,
        path: &Path,
        name: &str,
    ) -> Result<(), String> {
        let text = unpack(&disk.bytes(path).unwrap_or_default())?;
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
            let time = entry["timestamp"].as_str().unwrap_or_default();
            if let Some(hold) = self.holds.iter().find(|hold| is_held(hold, time)) {
                return Err(format!("{} holds the entry of {time}", hold.name()));
            }
            self.pruned.insert(id_of(&entry).to_owned(), entry);
        }
        self.files += 1;
        let stem = name.strip_suffix(".jsonl.gz").ok_or("it is foreign")?;
        match is_recorded(&disk.after_crash(), dir, stem) {
            true => Ok(()),
            false => Err("nothing durable tells of it".into()),
        }
    }

    /// A live file has nothing, or a durable twin with the same. And no journal would write it
    /// again.
    fn live_goes(&self, disk: &SimFs, dir: &Path, path: &Path, name: &str) -> Result<(), String> {
        let bytes = disk.bytes(path).unwrap_or_default();
        let after = disk.after_crash();
        let sealed = after.files(dir.join("sealed"));
        let twin = sealed
            .iter()
            .find(|path| path.ends_with(format!("{name}.gz")))
            .map(|path| lines_of(&after, path))
            .transpose()?;
        match twin {
            _ if bytes.is_empty() => Ok(()),
            Some(text) if text.as_bytes() == bytes => not_in_journal(&after, dir, name, &text),
            Some(_) => Err("its sealed twin has not the same".into()),
            None => Err("its sealed twin isn't durable".into()),
        }
    }
}

/// Recovery looks for an event in live files alone.
fn not_in_journal(disk: &SimFs, dir: &Path, name: &str, text: &str) -> Result<(), String> {
    let stem = name.rsplit_once('-').and_then(|(rest, _)| rest.get(24..));
    let ring = dir
        .join("state/journal")
        .join(format!("{}.ring", stem.unwrap_or_default()));
    let leftover = disk.bytes(&ring).map(|bytes| Leftover::parse(&ring, bytes));
    let Some(Ok(Some(leftover))) = leftover else {
        return Ok(());
    };
    let again = |event: &&[u8]| {
        event
            .get(6..42)
            .is_some_and(|id| text.contains(&*String::from_utf8_lossy(id)))
    };
    match leftover.frames().find(again) {
        Some(event) => Err(format!(
            "its journal still has {}",
            String::from_utf8_lossy(event)
        )),
        None => Ok(()),
    }
}

fn is_held(hold: &Hold, time: &str) -> bool {
    let time: Timestamp = time.parse().expect("a time of an entry");
    hold.start().is_none_or(|start| start <= time) && hold.end().is_none_or(|end| time < end)
}

/// Whether this disk has an entry about the removal of a file.
fn is_recorded(disk: &SimFs, dir: &Path, stem: &str) -> bool {
    let intents = disk.bytes(dir.join(PRUNING)).unwrap_or_default();
    is_in_log(disk, dir, stem) || tells(&String::from_utf8_lossy(&intents), stem)
}

fn is_in_log(disk: &SimFs, dir: &Path, stem: &str) -> bool {
    let files = ["live", "sealed"].map(|room| disk.files(dir.join(room)));
    let mut texts = files.iter().flatten().map(|path| lines_of(disk, path));
    texts.any(|text| text.is_ok_and(|text| text.lines().any(|line| tells(line, stem))))
}

fn tells(line: &str, stem: &str) -> bool {
    line.contains("\"audit.log.pruned\"") && line.contains(stem)
}

/// What waited for the log is in it.
fn intents_go(disk: &SimFs, dir: &Path) -> Result<(), String> {
    let intents = disk.bytes(dir.join(PRUNING)).unwrap_or_default();
    let text = String::from_utf8_lossy(&intents);
    let after = disk.after_crash();
    let files = text.split("\"file\":\"").skip(1);
    let stems = files.filter_map(|rest| rest.split('"').next());
    match stems.into_iter().find(|stem| !is_in_log(&after, dir, stem)) {
        Some(stem) => Err(format!("it alone tells of {stem}")),
        None => Ok(()),
    }
}
