//! How much of the log a long query has passed, for whoever waits for it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[cfg(any(feature = "export", test))]
use super::filter::Filter;
#[cfg(any(feature = "export", test))]
use crate::{
    error::Result,
    store::files::{Files, Listing},
};

/// Counts the bytes of lines in the blocks that were read or ruled out. The default counts nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Option<Arc<AtomicU64>>);

impl Counter {
    #[cfg(any(feature = "export", test))]
    pub(crate) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) fn add(&self, bytes: u64) {
        if let Some(passed) = &self.0 {
            passed.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    #[cfg(any(feature = "export", test))]
    pub(crate) fn passed(&self) -> u64 {
        let passed = self.0.as_ref();
        passed.map_or(0, |passed| passed.load(Ordering::Relaxed))
    }
}

/// The bytes of lines in all blocks in the filter's range of time, which costs a look at each index.
/// Of a file that can't be read nothing is counted.
#[cfg(any(feature = "export", test))]
pub(super) fn to_pass(files: &Files, filter: &Filter) -> Result<u64> {
    let Listing { sealed, live } = files.since(filter.start())?;
    let mut bytes: u64 = live.values().sum();
    for stem in sealed {
        let span = files.span(&stem);
        if span.is_some_and(|span| !filter.overlaps(span.min, span.max)) {
            continue;
        }
        if let Ok(index) = files.index(&stem) {
            let blocks = index.blocks.iter();
            let in_range = blocks.filter(|block| filter.overlaps(block.min, block.max));
            bytes += in_range
                .map(|block| u64::from(block.plain_len))
                .sum::<u64>();
        }
    }
    Ok(bytes)
}
