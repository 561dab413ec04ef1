//! Which files webhooks still need: what `state/webhook-<name>.<id>.json` says of how far each was
//! read, and of what waits to be sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use serde::Deserialize;

use super::{
    document::LONGEST,
    fs::{self, Fs},
    layout::Layout,
    names::FileStem,
};
use crate::error::{Error, Result};

/// The part of `state/webhooks.json` that says which queues count.
#[derive(Deserialize)]
struct Webhooks {
    #[serde(alias = "subscriptions")]
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
struct Webhook {
    name: String,
    id: String,
}

/// The part of an queue that says which files it needs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Queue {
    #[serde(alias = "places")]
    cursor: BTreeMap<String, Place>,
    #[serde(alias = "parcels")]
    deliveries: Vec<Delivery>,
    status: Status,
}

#[derive(Deserialize)]
struct Place {
    file: FileName,
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct Delivery {
    /// Those of a replay stand elsewhere, and are not waited for: they were sent once, or given up.
    #[serde(default)]
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
pub(super) struct Undelivered(Vec<(String, Queue, BTreeSet<FileStem>)>);

impl Undelivered {
    pub(super) fn read(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let path = layout.document("webhooks");
        let text = match fs::read_at_most(fs, &path, LONGEST) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self(Vec::new())),
            // Without knowing who waits, nothing goes.
            read => read.map_err(Error::io("read", &path))?,
        };
        let wrong = |path: &Path, e: serde_json::Error| Error::damaged(path, e.to_string());
        let all: Webhooks = serde_json::from_slice(&text).map_err(|e| wrong(&path, e))?;
        let mut needed = Vec::new();
        for Webhook { name, id } in all.webhooks {
            let path = layout.document(&format!("webhook-{name}.{id}"));
            // One that can't be read needs all, for the week that is granted.
            let queue: Queue = fs::read_at_most(fs, &path, LONGEST)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_default();
            if queue.status.gone {
                continue;
            }
            let files = queue
                .deliveries
                .iter()
                .flat_map(|delivery| delivery.entries.iter().map(|entry| entry.file.0.clone()))
                .collect();
            needed.push((name, queue, files));
        }
        Ok(Self(needed))
    }

    /// The webhooks that have not got all of a file yet.
    pub(super) fn by(&self, stem: &FileStem) -> Vec<String> {
        let waits = |(_, queue, files): &&(String, Queue, BTreeSet<FileStem>)| {
            files.contains(stem)
                || queue.cursor.get(stem.stream.as_str()).is_none_or(|place| {
                    // Files are read in the order of their numbers, and another one of the same
                    // number as well.
                    let at = &place.file.0;
                    stem.number > at.number
                        || stem.number == at.number && (stem != at || place.offset.is_some())
                })
        };
        self.0
            .iter()
            .filter(waits)
            .map(|(name, ..)| name.clone())
            .collect()
    }
}
