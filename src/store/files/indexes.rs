//! The memory of sealed files, which never change: the span of each, and of those used last the
//! whole index.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{cache::Cache, sealed::SealedFiles};
use crate::{
    entry::{Seq, Timestamp},
    error::{Error, Result},
    store::{
        blooms::Blooms,
        gzip::Walk,
        index::{Block, Index, Key},
        names::FileStem,
        rebuild::rebuild,
        summary::IndexBuilder,
        tally::Tally,
    },
};

/// How much memory indexes take together: each some 16 KB.
const MEMORY: usize = 4 << 20;
/// How many files' spans are remembered, at some 250 bytes each.
const SPANS: usize = 100_000;

/// From where to where a sealed file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The smallest and the largest time of its entries.
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    /// The numbers of its first and its last entry.
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) lines: u64,
    /// The length of the `.gz` file, and its SHA-256.
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// The readable part of a sealed file.
#[derive(Clone, Debug)]
pub(crate) struct Readable {
    pub(crate) index: Arc<Index>,
    /// Why that isn't all: the file is damaged, and these are the blocks that were found whole.
    pub(crate) damage: Option<String>,
}

#[derive(Debug)]
pub(super) struct Indexes {
    sealed: Arc<dyn SealedFiles>,
    spans: Mutex<HashMap<FileStem, Span>>,
    recent: Mutex<Cache<Known>>,
    /// Held while an index is made anew, so that it is made once.
    making: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Known {
    index: Arc<Index>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Its filters are on disk.
    Kept,
    /// It is in memory only, without filters.
    InMemory,
    /// It says what could be read of a damaged file.
    Damaged(String),
}

impl Span {
    pub(super) fn of(index: &Index) -> Self {
        Self {
            min: index.min,
            max: index.max,
            first_seq: index.first_seq,
            last_seq: index.last_seq,
            lines: index.lines,
            bytes: index.packed_len,
            sha256: index.sha256,
        }
    }
}

impl Indexes {
    pub(super) fn new(sealed: Arc<dyn SealedFiles>) -> Self {
        Self {
            sealed,
            spans: Mutex::default(),
            recent: Mutex::new(Cache::new(MEMORY)),
            making: Mutex::default(),
        }
    }

    /// A file's span, if its index was read before.
    pub(super) fn span(&self, stem: &FileStem) -> Option<Span> {
        lock(&self.spans).get(stem).copied()
    }

    /// A file's index; made anew if it is lost or damaged, which reads the whole file. An error if
    /// the file is gone or damaged.
    pub(super) fn index(&self, stem: &FileStem) -> Result<Arc<Index>> {
        self.look_up(stem).map(|known| known.index)
    }

    /// The same, and of a damaged file what can be read. `None` if it is gone.
    pub(super) fn readable(&self, stem: &FileStem) -> Result<Option<Readable>> {
        if let Some(known) = self.cached(stem)
            && let State::Damaged(damage) = known.state
        {
            let len = self.sealed.open(stem).map(|blob| blob.len());
            if len.is_ok_and(|len| len == known.index.packed_len) {
                let damage = Some(damage);
                return Ok(Some(Readable {
                    index: known.index,
                    damage,
                }));
            }
            // Sealing may have put it right since.
            self.forget(stem);
        }
        match self.look_up(stem) {
            Ok(Known { index, .. }) => Ok(Some(Readable {
                index,
                damage: None,
            })),
            Err(Error::Damaged { what, .. }) => self.salvage(stem, what).map(Some),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One key's filters of a file; [`Blooms::unknown`] if they can't be had.
    pub(super) fn blooms(&self, stem: &FileStem, key: Key) -> Result<Blooms> {
        let blooms = self.kept(stem, |index| self.sealed.blooms(index, key))?;
        Ok(blooms.unwrap_or_else(Blooms::unknown))
    }

    /// The tally of a file; `None` if it has none, or if it can't be had.
    pub(super) fn tally(&self, stem: &FileStem) -> Result<Option<Tally>> {
        let tally = self.kept(stem, |index| self.sealed.tally(index))?;
        Ok(tally.flatten())
    }

    /// Reads a part of a file's index that isn't in memory; `None` if it can't be had.
    fn kept<T>(&self, stem: &FileStem, read: impl Fn(&Index) -> Result<T>) -> Result<Option<T>> {
        let known = self.look_up(stem)?;
        if !matches!(known.state, State::Kept) {
            return Ok(None);
        }
        if let Ok(found) = read(&known.index) {
            return Ok(Some(found));
        }
        // The tables in memory are right, but the file is gone since, or this part is damaged.
        let _one_at_a_time = lock(&self.making);
        if let Ok(found) = read(&known.index) {
            return Ok(Some(found));
        }
        let known = self.make(stem)?;
        Ok(match known.state {
            State::Kept => read(&known.index).ok(),
            _ => None,
        })
    }

    /// A file is gone, or no longer what it was.
    pub(super) fn forget(&self, stem: &FileStem) {
        lock(&self.recent).remove(stem);
        lock(&self.spans).remove(stem);
    }

    fn cached(&self, stem: &FileStem) -> Option<Known> {
        lock(&self.recent).get(stem)
    }

    fn look_up(&self, stem: &FileStem) -> Result<Known> {
        if let Some(known) = self.cached(stem)
            && !matches!(known.state, State::Damaged(_))
        {
            return Ok(known);
        }
        if let Some(index) = self.sealed.index(stem)? {
            return Ok(self.remember(index, State::Kept));
        }
        let _one_at_a_time = lock(&self.making);
        // Another may have made it while this one waited.
        match self.cached(stem) {
            Some(known) if !matches!(known.state, State::Damaged(_)) => Ok(known),
            _ => self.make(stem),
        }
    }

    fn make(&self, stem: &FileStem) -> Result<Known> {
        let built = rebuild(&*self.sealed.open(stem)?, stem)?;
        let state = match self.sealed.keep(&built) {
            true => State::Kept,
            false => State::InMemory,
        };
        Ok(self.remember(built.index, state))
    }

    fn remember(&self, index: Index, state: State) -> Known {
        let mut spans = lock(&self.spans);
        if spans.len() >= SPANS {
            spans.clear();
        }
        spans.insert(index.stem.clone(), Span::of(&index));
        drop(spans);
        self.keep(index, state)
    }

    fn keep(&self, index: Index, state: State) -> Known {
        let bytes = size_of::<Index>() + index.blocks.len() * size_of::<Block>();
        let index = Arc::new(index);
        let known = Known { index, state };
        lock(&self.recent).put(&known.index.stem, known.clone(), bytes);
        known
    }

    /// Finds the blocks up to where a file without an index is damaged; none if its checksum alone
    /// is wrong, because then any line may have been altered.
    fn salvage(&self, stem: &FileStem, damage: String) -> Result<Readable> {
        let blob = self.sealed.open(stem)?;
        let mut builder = IndexBuilder::new(stem.clone());
        let mut plain = Vec::new();
        if let Ok(mut walk) = Walk::new(&*blob) {
            while let Ok(Some(packed_len)) = walk.next(&mut plain) {
                builder.push(&plain, packed_len);
            }
            if walk.is_at_end() {
                builder = IndexBuilder::new(stem.clone());
            }
        }
        let index = builder.finish(blob.len(), [0; 32]).index;
        let known = self.keep(index, State::Damaged(damage.clone()));
        Ok(Readable {
            index: known.index,
            damage: Some(damage),
        })
    }
}

/// Locks a cache. A panic elsewhere leaves one that is still true.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
