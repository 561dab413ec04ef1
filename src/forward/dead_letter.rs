//! What could not be delivered: one line for each parcel, with its entries as they were stored, in `state/dead-letters/<endpoint>.jsonl`.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use serde_json::{json, value::RawValue};

use crate::{
    error::{Error, Result},
    query::Entry,
    record::Timestamp,
    store::layout::Layout,
};

/// A parcel that is given up.
pub(super) struct DeadLetter<'a> {
    pub(super) id: &'a str,
    pub(super) attempts: u32,
    pub(super) why: &'a str,
    pub(super) entries: &'a [Entry],
}

pub(super) fn file(layout: &Layout, endpoint: &str) -> PathBuf {
    layout.root().join("state/dead-letters").join(format!("{endpoint}.jsonl"))
}

/// Durable on return. A death just after it puts the parcel aside twice, never not at all.
pub(super) fn append(layout: &Layout, endpoint: &str, letter: &DeadLetter<'_>) -> Result<()> {
    let path = file(layout, endpoint);
    let entries: Vec<&RawValue> = letter.entries.iter().filter_map(|entry| serde_json::from_slice(entry.line()).ok()).collect();
    let head = json!({
        "webhook_id": letter.id, "endpoint": endpoint, "given_up": Timestamp::now().to_string(), "attempts": letter.attempts, "why": letter.why,
    });
    let mut line = serde_json::to_vec(&head).expect("texts and numbers are always JSON");
    line.pop();
    line.extend_from_slice(b",\"entries\":");
    line.extend(serde_json::to_vec(&entries).expect("raw JSON is JSON"));
    line.extend_from_slice(b"}\n");
    let write = || -> io::Result<()> {
        let dir = path.parent().expect("it is below the log's directory");
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        file.write_all(&line)?;
        file.sync_all()?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(Error::io("write", &path))
}
