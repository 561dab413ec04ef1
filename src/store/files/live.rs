//! The blocks of live files, found once for all readers.

use std::sync::{Arc, Mutex};

use super::{
    cache::Cache,
    indexes::lock,
    live_file::{LiveFile, LiveIndex},
};
use crate::{
    error::Result,
    store::{fs::Fs, index::Block, layout::Layout, names::FileStem, summary::IndexBuilder},
};

/// How much memory the indexes of live files take together.
const MEMORY: usize = 64 << 20;

/// A live file, and those of its blocks that can have what is wanted.
#[derive(Debug)]
pub(crate) struct LiveBlocks {
    pub(crate) file: Arc<LiveFile>,
    pub(crate) blocks: Vec<Block>,
}

/// Whether a block of a live file can have what is wanted, by the place that it has in its index.
pub(crate) type Wants<'a> = &'a dyn Fn(&IndexBuilder, usize, &Block) -> bool;

#[derive(Debug)]
pub(super) struct LiveIndexes(Mutex<Cache<Arc<Mutex<LiveIndex>>>>);

impl LiveIndexes {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Cache::new(MEMORY)))
    }

    /// A live file as it is now. `None` if there is none.
    pub(super) fn blocks(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        stem: &FileStem,
        wants: Wants<'_>,
    ) -> Result<Option<LiveBlocks>> {
        let shared = self.index(stem);
        let mut index = lock(&shared);
        let Some(file) = index.refresh(fs, layout)? else {
            lock(&self.0).remove(stem);
            return Ok(None);
        };
        let known = index.blocks();
        let whole = known.blocks().iter().enumerate();
        let whole = whole
            .filter(|(n, block)| wants(known, *n, block))
            .map(|(_, block)| *block);
        let blocks = whole.chain(index.rest(&file)).collect();
        lock(&self.0).put(stem, Arc::clone(&shared), known.memory());
        Ok(Some(LiveBlocks {
            file: Arc::new(file),
            blocks,
        }))
    }

    /// Forgets all files but these.
    pub(super) fn retain(&self, keep: impl Fn(&FileStem) -> bool) {
        lock(&self.0).retain(keep);
    }

    fn index(&self, stem: &FileStem) -> Arc<Mutex<LiveIndex>> {
        let mut indexes = lock(&self.0);
        indexes.get(stem).unwrap_or_else(|| {
            let index = Arc::new(Mutex::new(LiveIndex::new(stem.clone())));
            indexes.put(stem, Arc::clone(&index), 0);
            index
        })
    }
}
