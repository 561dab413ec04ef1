//! The files of a log at the moment of a query, and the blocks of live files that can have matches.

use std::collections::BTreeSet;

use super::{filter::Filter, page::Problem};
use crate::{
    error::Result,
    store::{
        files::{Files, Listing, LiveBlocks},
        layout::live_name,
        names::FileStem,
    },
};

/// The files there were at one moment: together they hold each line written until then once.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) sealed: BTreeSet<FileStem>,
    pub(super) live: Vec<LiveBlocks>,
    pub(super) problems: Vec<Problem>,
}

impl Snapshot {
    /// These files, the live ones as they are now.
    pub(super) fn take(files: &Files, filter: &Filter, listing: Listing) -> Result<Self> {
        let Listing { sealed, live } = listing;
        let mut snapshot = Self {
            sealed,
            live: Vec::new(),
            problems: Vec::new(),
        };
        for (stem, len) in live {
            match live_blocks(files, &stem, filter) {
                Ok(Some(blocks)) => snapshot.live.push(blocks),
                // The file was sealed and removed since it was listed; or it was empty, and
                // removed.
                Ok(None) if files.is_sealed(&stem)? => drop(snapshot.sealed.insert(stem)),
                Ok(None) if len == 0 => {}
                Ok(None) => snapshot.problems.push(Problem::passing(
                    live_name(&stem),
                    "it was removed before it was sealed".into(),
                )),
                Err(e) => snapshot.problems.push(Problem::of(live_name(&stem), &e)),
            }
        }
        Ok(snapshot)
    }
}

/// A live file as it is now, with its blocks that can have matches. `None` if there is none.
pub(super) fn live_blocks(
    files: &Files,
    stem: &FileStem,
    filter: &Filter,
) -> Result<Option<LiveBlocks>> {
    files.live_blocks(stem, &|index, n, block| {
        let may_match =
            filter.may_match(|key, tenant, value| index.may_contain(n, key, tenant, value));
        may_match && filter.overlaps(block.min, block.max)
    })
}
