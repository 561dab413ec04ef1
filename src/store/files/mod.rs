//! The files of a log: which there are, their spans and indexes, and how their bytes are read.
//!
//! In come the directories of a log, in which other threads and processes write, seal and prune.
//! Out come the files that there are, by day, stream and number, the span that each has of time and
//! of numbers, its index, and its bytes. Queries, downloads, tails, webhooks and retention all ask
//! the same [`Files`], which finds out once what all of them need:
//!
//! ```text
//! dirs       the names in the directories, as they are now
//! sealed     sealed files, wherever they are: what object storage will stand behind as well
//! days       which sealed files there are, listed again only when a day has changed
//! indexes    what is known of sealed files: the spans of all, the indexes of some (cache)
//! live       what is in live files, as they grow (live_file)
//! ```
//!
//! # What is always true
//!
//! 1. *A listing misses no file, and has each once.* A file is born in `live/`, is sealed under the
//!    same name, and leaves `live/` after a grace. Live files are listed first, so that a file
//!    which is sealed meanwhile is met twice; then only the sealed one counts. A live file that was
//!    listed and is gone when it is opened was sealed, unless it was empty ([`Files::is_sealed`]).
//! 2. *Only facts that can't change are remembered.* Sealed files don't change. Live files are
//!    looked at again for each question, and a directory is listed again when its time of change
//!    says so. If a remembered file is gone, opening it fails.
//! 3. *Memory is bounded*, however many files there are: names and spans by their number, indexes
//!    by their bytes.
//! 4. *Nothing is written* but an index that was lost or damaged, and that only through an [`Fs`]
//!    that can write. An index that is whole and of another file stays: it says what was sealed,
//!    which proves that someone changed the file since. One that fits is then kept in memory only.
//!
//! Recovery, pruning and `verify` judge the files, so they trust nothing that is remembered of the
//! directories: they list them through `dirs`, and `verify` reads every file itself.

mod cache;
mod days;
pub(crate) mod dirs;
mod indexes;
mod live;
mod live_file;
mod sealed;
#[cfg(test)]
mod tests;

#[cfg(any(feature = "export", test))]
use std::collections::HashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

use self::{
    days::Days,
    indexes::{Indexes, lock},
    live::{LiveIndexes, Wants},
    sealed::LocalSealed,
};
pub(crate) use self::{
    days::{Came, Seen},
    indexes::{Readable, Span},
    live::LiveBlocks,
    live_file::LiveFile,
    sealed::SealedFiles,
};
use super::{
    blob::Blob,
    blooms::Blooms,
    fs::Fs,
    index::Key,
    layout::Layout,
    names::FileStem,
    tally::Tally,
    unread::{Readers, Reading},
};
use crate::{entry::Timestamp, error::Result};

/// Of how many sealed files the checksum is remembered, at some 100 bytes each.
#[cfg(any(feature = "export", test))]
const COMPARED: usize = 20_000;

/// All files of one log.
#[derive(Debug)]
pub(crate) struct Files {
    fs: Arc<dyn Fs>,
    layout: Layout,
    sealed: Arc<dyn SealedFiles>,
    days: Mutex<Days>,
    indexes: Indexes,
    live: LiveIndexes,
    /// The fast checksums of sealed files that were compared with their SHA-256.
    #[cfg(any(feature = "export", test))]
    compared: Mutex<HashMap<FileStem, u128>>,
    /// The cursors of readers; for pruning.
    readers: Option<Readers>,
}

/// The files there are at a moment. Together they hold each line written until then, once: a live
/// file that is sealed is here as the sealed one alone.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sealed: BTreeSet<FileStem>,
    /// With their lengths.
    pub(crate) live: BTreeMap<FileStem, u64>,
}

impl Files {
    pub(crate) fn new(fs: Arc<dyn Fs>, layout: Layout) -> Self {
        let sealed = Arc::new(LocalSealed::new(Arc::clone(&fs), layout.clone()));
        Self::with_sealed(fs, layout, sealed)
    }

    /// The same with sealed files that are elsewhere.
    pub(crate) fn with_sealed(
        fs: Arc<dyn Fs>,
        layout: Layout,
        sealed: Arc<dyn SealedFiles>,
    ) -> Self {
        Self {
            fs,
            layout,
            indexes: Indexes::new(Arc::clone(&sealed)),
            sealed,
            days: Mutex::default(),
            live: LiveIndexes::new(),
            #[cfg(any(feature = "export", test))]
            compared: Mutex::default(),
            readers: None,
        }
    }

    /// The same, for pruning, which waits until these readers have read a file.
    pub(super) fn read_by(self, readers: Readers) -> Self {
        Self {
            readers: Some(readers),
            ..self
        }
    }

    /// The cursors of the readers for which pruning waits.
    pub(super) fn readings(&self) -> Result<Vec<Reading>> {
        let readings = self.readers.map(|readers| readers(&*self.fs, &self.layout));
        readings.unwrap_or_else(|| Ok(Vec::new()))
    }

    pub(crate) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The log's directory.
    pub(crate) fn root(&self) -> &Path {
        self.layout.root()
    }

    /// All live files, and those sealed ones that may have lines from this time on.
    ///
    /// A file is finished on the day of its birth, so its lines are of that day or older; one day
    /// more is looked at because a clock may be unsteady. Much older lines are possible: of events
    /// that a dead process left in its journal and another process recovered days later. So files
    /// born later than the range are looked at too.
    pub(crate) fn since(&self, start: Option<Timestamp>) -> Result<Listing> {
        let first = start.map(|start| start.day().previous());
        let mut live = self.live()?;
        let sealed = {
            let mut days = lock(&self.days);
            let sealed = days.since(&*self.sealed, first);
            self.take_note(&mut days);
            sealed?
        };
        live.retain(|stem, _| !sealed.contains(stem));
        self.live.retain(|stem| live.contains_key(stem));
        Ok(Listing { sealed, live })
    }

    /// The live files there are now and their lengths, also those that are sealed.
    pub(crate) fn live(&self) -> Result<BTreeMap<FileStem, u64>> {
        dirs::live(&*self.fs, &self.layout)
    }

    /// The sealed files that came since a follower's last call. All files of a day that has changed
    /// are given, so some come again. A file that the follower never saw in `live/` may come some
    /// seconds later, unless `all` are wanted because a number is missing.
    pub(crate) fn came(&self, seen: &mut Seen, all: bool) -> Result<Came> {
        let mut days = lock(&self.days);
        let came = days.came(&*self.sealed, seen, all);
        self.take_note(&mut days);
        came
    }

    fn take_note(&self, days: &mut Days) {
        for stem in days.take_gone() {
            self.indexes.forget(&stem);
        }
    }

    /// A number that changes when live files come, grow or go.
    #[cfg(any(feature = "webhook", test))]
    pub(crate) fn growth(&self) -> Result<u64> {
        dirs::growth(&*self.fs, &self.layout)
    }

    /// A sealed file's span, if its index was read before.
    pub(crate) fn span(&self, stem: &FileStem) -> Option<Span> {
        self.indexes.span(stem)
    }

    /// The same, read now if it wasn't before; an error if the file is gone or damaged.
    pub(crate) fn span_of(&self, stem: &FileStem) -> Result<Span> {
        match self.indexes.span(stem) {
            Some(span) => Ok(span),
            None => self.indexes.index(stem).map(|index| Span::of(&index)),
        }
    }

    /// A sealed file's index; made anew if it is lost or damaged, which reads the whole file. An
    /// error if the file is gone or damaged.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn index(&self, stem: &FileStem) -> Result<Arc<super::index::Index>> {
        self.indexes.index(stem)
    }

    /// The same, and of a damaged file what can be read. `None` if the file is gone.
    pub(crate) fn readable(&self, stem: &FileStem) -> Result<Option<Readable>> {
        self.indexes.readable(stem)
    }

    /// One key's filters of a sealed file; [`Blooms::unknown`] if they can't be had.
    pub(crate) fn blooms(&self, stem: &FileStem, key: Key) -> Result<Blooms> {
        self.indexes.blooms(stem, key)
    }

    /// The tally of a sealed file; `None` if it has none, or if it can't be had.
    pub(crate) fn tally(&self, stem: &FileStem) -> Result<Option<Tally>> {
        self.indexes.tally(stem)
    }

    /// A sealed file's bytes, which stay readable when it is removed; an error if it is gone.
    pub(crate) fn open_sealed(&self, stem: &FileStem) -> Result<Arc<dyn Blob>> {
        let blob = self.sealed.open(stem);
        blob.inspect_err(|e| {
            if e.is_not_found() {
                self.indexes.forget(stem);
            }
        })
    }

    /// The checksum that a sealed file had when it was compared with its SHA-256, if it was.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn compared(&self, stem: &FileStem) -> Option<u128> {
        lock(&self.compared).get(stem).copied()
    }

    /// Remembers the checksum of a sealed file that has the SHA-256 that sealing noted.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn note_compared(&self, stem: &FileStem, checksum: u128) {
        let mut compared = lock(&self.compared);
        if compared.len() >= COMPARED {
            compared.clear();
        }
        compared.insert(stem.clone(), checksum);
    }

    /// Whether a file is sealed by now.
    pub(crate) fn is_sealed(&self, stem: &FileStem) -> Result<bool> {
        match self.sealed.open(stem) {
            Err(e) if e.is_not_found() => Ok(false),
            blob => blob.map(|_| true),
        }
    }

    /// A live file's bytes as they are now. `None` if there is none.
    pub(crate) fn open_live(&self, stem: &FileStem) -> Result<Option<LiveFile>> {
        LiveFile::open(&*self.fs, &self.layout, stem)
    }

    /// A live file as it is now, to its last whole line. `None` if there is none.
    pub(crate) fn live_blocks(
        &self,
        stem: &FileStem,
        wants: Wants<'_>,
    ) -> Result<Option<LiveBlocks>> {
        self.live.blocks(&*self.fs, &self.layout, stem, wants)
    }
}
