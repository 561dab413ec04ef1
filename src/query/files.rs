//! The log's files as a query finds them, and what is remembered of them between queries.
//!
//! Reading takes no locks and creates nothing: what is missing on disk is made in memory.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    filter::Filter,
    page::{Problem, told},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{
        blob::Blob,
        fs::{Fs, ReadOnly},
        gzip::Walk,
        index::{Block, Index},
        layout::{LIVE, Layout},
        listing::Listing,
        live_reader::{LiveFile, LiveIndex},
        names::FileStem,
        sealed::{LocalSealed, SealedFiles},
        summary::IndexBuilder,
    },
};

/// How much memory the indexes of live files take, together.
const LIVE_MEMORY: usize = 64 << 20;
/// How many files' spans are remembered, at some 150 bytes each.
const SPANS: usize = 100_000;

/// All files of one log.
#[derive(Debug)]
pub(super) struct Files {
    fs: Arc<dyn Fs>,
    layout: Layout,
    sealed: Arc<dyn SealedFiles>,
    live: Mutex<Live>,
    /// The times of sealed files, which never change.
    spans: Mutex<HashMap<FileStem, (Timestamp, Timestamp)>>,
    /// What could be read of damaged files, and what was wrong with them.
    salvaged: Mutex<HashMap<FileStem, (Arc<Index>, String)>>,
}

#[derive(Debug, Default)]
struct Live {
    indexes: HashMap<FileStem, Indexed>,
    uses: u64,
}

#[derive(Debug)]
struct Indexed {
    index: Arc<Mutex<LiveIndex>>,
    used: u64,
    memory: usize,
}

/// The files there were at one moment: together they hold each line written until then once.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) sealed: BTreeSet<FileStem>,
    pub(super) live: Vec<LiveBlocks>,
    pub(super) problems: Vec<Problem>,
}

/// A live file, and those of its blocks that can have what is wanted.
#[derive(Debug)]
pub(super) struct LiveBlocks {
    pub(super) file: Arc<LiveFile>,
    pub(super) blocks: Vec<Block>,
}

/// What there is to know of a sealed file before its blocks are read.
#[derive(Debug)]
pub(super) struct SealedIndex {
    pub(super) index: Arc<Index>,
    /// The file is damaged: these are the blocks that were found whole.
    pub(super) damage: Option<String>,
}

impl Files {
    pub(super) fn new(fs: Arc<dyn Fs>, layout: Layout) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(ReadOnly(fs));
        let sealed = Arc::new(LocalSealed::new(Arc::clone(&fs), layout.clone()));
        Self {
            fs,
            layout,
            sealed,
            live: Mutex::default(),
            spans: Mutex::default(),
            salvaged: Mutex::default(),
        }
    }

    /// Where the files are; nothing can be changed through it.
    pub(super) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The log's directory, for messages.
    pub(super) fn root(&self) -> &Path {
        self.layout.root()
    }

    pub(super) fn sealed(&self) -> &dyn SealedFiles {
        &*self.sealed
    }

    /// The files there are, without those sealed ones that have nothing from this time on.
    pub(super) fn list(&self, start: Option<Timestamp>) -> Result<Listing> {
        Listing::since(&*self.fs, &self.layout, &*self.sealed, start)
    }

    /// The live files there are now, twins of sealed ones too.
    pub(super) fn live(&self) -> Result<BTreeSet<FileStem>> {
        let dir = self.layout.live_dir();
        let entries = self.fs.list(&dir).map_err(Error::io("list", &dir))?;
        Ok(entries
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|file| FileStem::parse(&file.name, LIVE))
            .collect())
    }

    /// The files, as they are now, that may have what is wanted, from this time on.
    pub(super) fn snapshot(&self, filter: &Filter, start: Option<Timestamp>) -> Result<Snapshot> {
        let Listing { mut sealed, live } = self.list(start)?;
        let (mut blocks, mut problems) = (Vec::new(), Vec::new());
        lock(&self.live)
            .indexes
            .retain(|stem, _| live.contains_key(stem));
        for (stem, len) in live {
            match self.live_blocks(&stem, filter) {
                Ok(Some(found)) => blocks.push(found),
                // It was sealed, and removed, since it was listed; or it was empty, and removed.
                Ok(None) if self.sealed.list(stem.day())?.contains(&stem) => {
                    sealed.insert(stem);
                }
                Ok(None) if len == 0 => {}
                Ok(None) => problems.push(Problem {
                    file: live_name(&stem),
                    what: "it was removed before it was sealed".into(),
                }),
                Err(e) => problems.push(Problem {
                    file: live_name(&stem),
                    what: told(&e),
                }),
            }
        }
        Ok(Snapshot {
            sealed,
            live: blocks,
            problems,
        })
    }

    /// A live file as it is now. `None` if there is none.
    pub(super) fn live_blocks(
        &self,
        stem: &FileStem,
        filter: &Filter,
    ) -> Result<Option<LiveBlocks>> {
        let index = {
            let mut live = lock(&self.live);
            live.uses += 1;
            let used = live.uses;
            let new = || Indexed {
                index: Arc::new(Mutex::new(LiveIndex::new(stem.clone()))),
                used,
                memory: 0,
            };
            let indexed = live.indexes.entry(stem.clone()).or_insert_with(new);
            indexed.used = used;
            Arc::clone(&indexed.index)
        };
        let mut index = lock(&index);
        let Some(file) = index.refresh(&*self.fs, &self.layout)? else {
            return Ok(None);
        };
        let builder = index.blocks();
        let wanted = |(n, block): &(usize, &Block)| {
            let may_have = filter
                .keys()
                .iter()
                .all(|(key, value)| builder.may_contain(*n, *key, value));
            may_have && filter.overlaps(block.min, block.max)
        };
        let whole = builder
            .blocks()
            .iter()
            .enumerate()
            .filter(wanted)
            .map(|(_, block)| *block);
        let blocks = whole.chain(index.rest(&file)).collect();
        self.account(stem, builder.memory());
        Ok(Some(LiveBlocks {
            file: Arc::new(file),
            blocks,
        }))
    }

    /// Notes what an index takes, and drops those not used for long if they take too much together.
    fn account(&self, stem: &FileStem, memory: usize) {
        let mut live = lock(&self.live);
        if let Some(indexed) = live.indexes.get_mut(stem) {
            indexed.memory = memory;
        }
        while live.indexes.len() > 1
            && live
                .indexes
                .values()
                .map(|indexed| indexed.memory)
                .sum::<usize>()
                > LIVE_MEMORY
        {
            let Some(oldest) = live
                .indexes
                .iter()
                .min_by_key(|(_, indexed)| indexed.used)
                .map(|(stem, _)| stem.clone())
            else {
                break;
            };
            live.indexes.remove(&oldest);
        }
    }

    /// A live file's bytes as they are now. `None` if there is none.
    pub(super) fn open_live(&self, stem: &FileStem) -> Result<Option<LiveFile>> {
        LiveFile::open(&*self.fs, &self.layout, stem)
    }

    /// The smallest and largest time of a sealed file's lines, if they were looked at before.
    pub(super) fn span(&self, stem: &FileStem) -> Option<(Timestamp, Timestamp)> {
        lock(&self.spans).get(stem).copied()
    }

    /// A sealed file's index. `None` if the file is gone.
    pub(super) fn index(&self, stem: &FileStem) -> Result<Option<SealedIndex>> {
        if let Some((index, damage)) = lock(&self.salvaged).get(stem).cloned() {
            match self.sealed.open(stem) {
                Ok(blob) if blob.len() == index.packed_len => {
                    return Ok(Some(SealedIndex {
                        index,
                        damage: Some(damage),
                    }));
                }
                // Sealing may have put it right since.
                _ => lock(&self.salvaged).remove(stem),
            };
        }
        let index = match self.sealed.index(stem) {
            Err(Error::Damaged { what, .. }) => return self.salvage(stem, what).map(Some),
            Err(e) if is_gone(&e) => return Ok(None),
            index => index?,
        };
        let mut spans = lock(&self.spans);
        if spans.len() >= SPANS {
            spans.clear();
        }
        spans.insert(stem.clone(), (index.min, index.max));
        Ok(Some(SealedIndex {
            index,
            damage: None,
        }))
    }

    /// A sealed file's bytes. `None` if the file is gone, also if its index was still remembered.
    pub(super) fn open_sealed(&self, stem: &FileStem) -> Result<Option<Arc<dyn Blob>>> {
        match self.sealed.open(stem) {
            Err(e) if is_gone(&e) => Ok(None),
            blob => blob.map(Some),
        }
    }

    /// Finds the blocks up to where a file without an index is damaged; none if its checksum alone
    /// is wrong, for then any line may have been altered.
    fn salvage(&self, stem: &FileStem, damage: String) -> Result<SealedIndex> {
        let blob = self.sealed.open(stem)?;
        let (mut builder, mut plain) = (IndexBuilder::new(stem.clone()), Vec::new());
        if let Ok(mut walk) = Walk::new(&*blob) {
            while let Ok(Some(packed_len)) = walk.next(&mut plain) {
                builder.push(&plain, packed_len);
            }
            if walk.is_at_end() {
                builder = IndexBuilder::new(stem.clone());
            }
        }
        let index = Arc::new(builder.finish(blob.len(), [0; 32]).index);
        let mut salvaged = lock(&self.salvaged);
        if salvaged.len() >= SALVAGED {
            salvaged.clear();
        }
        salvaged.insert(stem.clone(), (Arc::clone(&index), damage.clone()));
        Ok(SealedIndex {
            index,
            damage: Some(damage),
        })
    }
}

/// How many damaged files are remembered.
const SALVAGED: usize = 64;

/// Whether it says that the file is not there.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// A live file's name below the log's directory.
pub(super) fn live_name(stem: &FileStem) -> String {
    format!("live/{stem}{LIVE}")
}

/// Locks a cache. A panic elsewhere leaves one that is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
