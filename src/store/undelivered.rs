//! Which files webhooks still need: what `state/webhook-<name>.json` says of how far each was read, and of what waits to be sent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{fs::Fs, layout::Layout, names::FileStem};
use crate::error::{Error, Result};

/// The part of an outbox that says which files it needs.
#[derive(Deserialize)]
struct Outbox {
    places: BTreeMap<String, Place>,
    parcels: Vec<Parcel>,
    status: Status,
}

#[derive(Deserialize)]
struct Place {
    file: FileName,
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct Parcel {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: FileName,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    gone: bool,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct FileName(FileStem);

impl TryFrom<String> for FileName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse().map(Self)
    }
}

/// What the webhooks of a log still need.
pub(super) struct Undelivered(Vec<(String, Outbox, BTreeSet<FileStem>)>);

impl Undelivered {
    pub(super) fn read(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let dir = layout.root().join("state");
        let mut needed = Vec::new();
        // Outboxes whose subscription was removed stay until another bears the name; they need nothing.
        let path = layout.document("webhooks");
        let subscribed = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self(Vec::new())),
            // Without knowing who waits, nothing goes.
            read => read.map_err(Error::io("read", &path))?,
        };
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            let Some(name) = entry.name.strip_prefix("webhook-").and_then(|name| name.strip_suffix(".json")) else { continue };
            if !subscribed.contains(&format!("\"{name}\"")) {
                continue;
            }
            let path = layout.document(&format!("webhook-{name}"));
            let text = std::fs::read(&path).map_err(Error::io("read", &path))?;
            let outbox: Outbox = serde_json::from_slice(&text).map_err(|e| Error::damaged(&path, e.to_string()))?;
            if outbox.status.gone {
                continue;
            }
            let files = outbox.parcels.iter().flat_map(|parcel| parcel.entries.iter().map(|entry| entry.file.0.clone())).collect();
            needed.push((name.to_owned(), outbox, files));
        }
        Ok(Self(needed))
    }

    /// The webhooks that have not got all of a file yet.
    pub(super) fn by(&self, stem: &FileStem) -> Vec<String> {
        let waits = |(_, outbox, files): &&(String, Outbox, BTreeSet<FileStem>)| {
            files.contains(stem)
                || outbox.places.get(stem.stream.as_str()).is_none_or(|place| {
                    // Files are read in the order of their numbers.
                    let at = &place.file.0;
                    stem.number > at.number || stem == at && place.offset.is_some()
                })
        };
        self.0.iter().filter(waits).map(|(name, ..)| name.clone()).collect()
    }
}
