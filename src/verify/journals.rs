//! The journals of streams: which processes still write, and how far each stream was durable.
//!
//! A journal's header says which entry is the first that is not durable yet. All entries before it
//! are in files, so the header proves it if the end of its stream is missing. A journal goes when
//! its process closes the log, or when it is recovered.

use std::{collections::BTreeMap, io, path::PathBuf};

use crate::{
    entry::StreamId,
    error::{Error, Result},
    journal::Leftover,
    store::{fs::Fs, journal_place::JournalPlace, layout::Layout, living, survey::Survey},
};

/// How often a journal that looks damaged is read: its process may be writing the header.
const ATTEMPTS: u32 = 3;

/// A stream's journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// Whether a process writes the stream.
    pub(super) living: bool,
    /// Up to which number the stream's entries are durable, and so in its files.
    pub(super) durable: u64,
    /// How many events are in it, at most, that are in no file yet.
    pub(super) waiting: u64,
    /// The journal's file, if it is gone.
    pub(super) gone: Option<PathBuf>,
}

/// The journals of a log.
#[derive(Debug, Default)]
pub(super) struct Journals {
    pub(super) by_stream: BTreeMap<StreamId, Journal>,
    /// The journals that can't be read, and why.
    pub(super) unreadable: Vec<(PathBuf, Error)>,
    /// The journals that recovery set aside because they are damaged.
    pub(super) set_aside: Vec<PathBuf>,
}

impl Journals {
    pub(super) fn read(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let mut journals = Self::default();
        let dir = layout.journal_dir();
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            if entry.name.ends_with(".damaged") {
                journals.set_aside.push(dir.join(entry.name));
            }
        }
        for stream in Survey::take(fs, layout)?.journals() {
            // Looked at first: a process that ends in between takes its journal along.
            let living = fs.is_locked(&layout.lock(stream.as_str()))?
                || JournalPlace::find(fs, layout, stream)
                    .is_ok_and(|place| living::is_held(fs, &place));
            journals.take(fs, layout, stream, living);
        }
        Ok(journals)
    }

    fn take(&mut self, fs: &dyn Fs, layout: &Layout, stream: &StreamId, living: bool) {
        let place = match JournalPlace::find(fs, layout, stream) {
            Ok(place) => place,
            // Its process sees it, wherever that is.
            Err(Error::Io { .. }) if living => return,
            Err(error) => {
                self.unreadable.push((layout.pointer(stream), error));
                return;
            }
        };
        let journal = if place.is_gone() {
            // Durable events are in the files, whatever the journal says.
            (!living).then(|| Journal {
                living,
                durable: 0,
                waiting: 0,
                gone: Some(place.path().to_owned()),
            })
        } else if place.may_have_events() {
            match read(fs, layout, &place) {
                Ok(leftover) => leftover.map(|leftover| Journal {
                    living,
                    durable: leftover.next_seq().saturating_sub(1),
                    waiting: leftover.frames().len() as u64,
                    gone: None,
                }),
                Err(error) => {
                    self.unreadable.push((place.path().to_owned(), error));
                    return;
                }
            }
        } else {
            None
        };
        self.by_stream
            .extend(journal.map(|journal| (stream.clone(), journal)));
    }

    /// How far the entries of a stream are durable if no process writes it any longer: bytes after
    /// that in its live file may be anything until it is recovered.
    pub(super) fn dead(&self, stream: &StreamId) -> Option<u64> {
        let journal = self.by_stream.get(stream)?;
        (!journal.living).then_some(journal.durable)
    }
}

/// Whether no process writes a stream, and its last process closed it in order or was recovered.
pub(super) fn is_closed(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<bool> {
    for path in [layout.ring(stream), layout.pointer(stream)] {
        let found = fs.identity(&path).map_err(Error::io("look at", path))?;
        if found.is_some() {
            return Ok(false);
        }
    }
    Ok(!fs.is_locked(&layout.lock(stream.as_str()))?)
}

/// `None` if there is no journal, or if nothing was ever written to it.
fn read(fs: &dyn Fs, layout: &Layout, place: &JournalPlace) -> Result<Option<Leftover>> {
    let path = place.path();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let bytes = match place.read(fs, layout) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            bytes => bytes?,
        };
        match Leftover::parse(path, bytes) {
            Err(Error::Damaged { .. }) if attempts < ATTEMPTS => {}
            read => return read,
        }
    }
}
