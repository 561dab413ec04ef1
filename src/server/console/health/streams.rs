//! The streams and files in the log's directory.

use std::collections::BTreeMap;

use crate::{
    entry::{Seq, StreamId, Timestamp},
    error::{Error, Result},
    query::AuditReader,
    server::console::text::{bytes, number, shown},
    store::{files::dirs, journal_place::JournalPlace, living, names::FileStem},
};

/// How many of the youngest sealed files are looked at for the time of the last sealing.
const YOUNGEST: usize = 20;

pub(super) struct LogState {
    pub(super) complete_until: Option<Timestamp>,
    pub(super) last_sealed: Option<Timestamp>,
    pub(super) live_files: u64,
    pub(super) live_bytes: u64,
    pub(super) sealed_files: u64,
    /// The streams that processes write, or that wait for their recovery.
    pub(super) streams: Vec<Stream>,
}

/// A stream that isn't final.
pub(super) struct Stream {
    pub(super) name: String,
    /// Whether its process lives.
    pub(super) is_alive: bool,
    /// How many entries it has that are final, if that can be known.
    pub(super) entries: Option<String>,
    /// The size of its live files.
    pub(super) live: String,
}

impl LogState {
    pub(super) fn read(reader: &AuditReader) -> Result<Self> {
        let (fs, layout) = (&**reader.fs(), reader.layout());
        let progress = reader.progress()?;
        let live = dirs::live(fs, layout)?;
        let mut sealed = dirs::all_sealed(fs, layout)?;
        sealed.sort_unstable_by_key(|stem| stem.born);
        let mut last_sealed = None;
        for stem in sealed.iter().rev().take(YOUNGEST) {
            let path = layout.sealed(stem);
            let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
            last_sealed = last_sealed.max(found.map(|file| file.modified));
        }
        let stream = |(stream, seq)| Stream::new(reader, &live, stream, seq);
        Ok(Self {
            complete_until: progress.until,
            last_sealed,
            live_files: live.len() as u64,
            live_bytes: live.values().sum(),
            sealed_files: sealed.len() as u64,
            streams: progress.open.iter().map(stream).collect(),
        })
    }
}

impl Stream {
    fn new(
        reader: &AuditReader,
        live: &BTreeMap<FileStem, u64>,
        stream: &StreamId,
        first_open: &Option<Seq>,
    ) -> Self {
        let fs = &**reader.fs();
        let place = JournalPlace::find(fs, reader.layout(), stream);
        let own = live.iter().filter(|(stem, _)| stem.stream == *stream);
        Self {
            name: shown(stream.as_str()),
            is_alive: place.is_ok_and(|place| living::is_held(fs, &place)),
            entries: first_open.map(|seq| number(seq.0.saturating_sub(1))),
            live: bytes(own.map(|(_, len)| len).sum()),
        }
    }
}
