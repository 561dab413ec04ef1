//! How far the webhooks of a log have read it, for the store: retention waits for them.
//!
//! Also in a program without webhooks, which may share the log's directory with one that has some:
//! so this reads no more of the settings and the queues than it needs.

use std::{collections::BTreeMap, io};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    store::{
        document::LONGEST,
        fs::{self, Fs},
        layout::Layout,
        names::FileStem,
        unread::Reading,
    },
};

/// The part of `state/webhooks.json` that says which queues count. The aliases here are an older
/// version's names.
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

/// The part of a queue that says which files it needs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Queue {
    #[serde(alias = "places")]
    cursor: BTreeMap<String, Cursor>,
    #[serde(alias = "parcels")]
    deliveries: Vec<Delivery>,
    status: Status,
}

#[derive(Deserialize)]
struct Cursor {
    file: FileName,
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct Delivery {
    #[serde(default, alias = "entries")]
    places: Vec<Place>,
    /// Replayed ones are not waited for: they were given up once.
    #[serde(default)]
    dead: bool,
}

#[derive(Deserialize)]
struct Place {
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

/// How far each webhook is.
pub(crate) fn readings(fs: &dyn Fs, layout: &Layout) -> Result<Vec<Reading>> {
    let path = layout.document("webhooks");
    let text = match fs::read_at_most(fs, &path, LONGEST) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Without knowing who waits, nothing goes.
        read => read.map_err(Error::io("read", &path))?,
    };
    let all: Webhooks =
        serde_json::from_slice(&text).map_err(|e| Error::damaged(&path, e.to_string()))?;
    let mut readings = Vec::new();
    for Webhook { name, id } in all.webhooks {
        let path = layout.document(&format!("webhook-{name}.{id}"));
        // One that can't be read needs all, for the week that is granted.
        let queue: Queue = fs::read_at_most(fs, &path, LONGEST)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        if !queue.status.gone {
            readings.push(queue.reading(name));
        }
    }
    Ok(readings)
}

impl Queue {
    fn reading(self, name: String) -> Reading {
        let at = |cursor: Cursor| (cursor.file.0, cursor.offset.is_some());
        let waiting = self.deliveries.into_iter().filter(|one| !one.dead);
        Reading {
            name,
            cursor: self
                .cursor
                .into_iter()
                .map(|(stream, cursor)| (stream, at(cursor)))
                .collect(),
            needed: waiting
                .flat_map(|delivery| delivery.places)
                .map(|place| place.file.0)
                .collect(),
        }
    }
}
