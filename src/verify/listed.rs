//! Which files a log has.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    error::Result,
    store::{files::dirs, fs::Fs, layout::Layout, names::FileStem},
};

/// The files of a log at one moment.
#[derive(Debug, Default)]
pub(super) struct Listed {
    sealed: BTreeSet<FileStem>,
    /// The live files that are not sealed yet.
    live: BTreeSet<FileStem>,
    /// Indexes whose file is neither sealed nor live.
    pub(super) orphans: BTreeSet<FileStem>,
    /// The files that don't belong there.
    pub(super) foreign: Vec<PathBuf>,
}

/// The folder of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Sealed,
    Live,
}

impl Listed {
    /// A file goes from `live/` to `sealed/`, and has its index before: in this order, a file that
    /// moves while they are listed is met twice, and never not at all.
    pub(super) fn read(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let mut listed = Self {
            orphans: dirs::all_indexes(fs, layout)?.into_iter().collect(),
            live: dirs::live(fs, layout)?.into_keys().collect(),
            sealed: dirs::all_sealed(fs, layout)?.into_iter().collect(),
            foreign: dirs::foreign(fs, layout)?,
        };
        let is_there = |stem: &FileStem| listed.sealed.contains(stem) || listed.live.contains(stem);
        listed.orphans.retain(|stem| !is_there(stem));
        listed.live.retain(|stem| !listed.sealed.contains(stem));
        Ok(listed)
    }

    pub(super) fn count(&self) -> u64 {
        (self.sealed.len() + self.live.len()) as u64
    }

    /// Stream by stream, in the order of the files' numbers. Clocks may have run backwards, so that
    /// isn't the order of their births.
    pub(super) fn in_order(&self) -> Vec<(&FileStem, Folder)> {
        let sealed = self.sealed.iter().map(|stem| (stem, Folder::Sealed));
        let live = self.live.iter().map(|stem| (stem, Folder::Live));
        let mut files: Vec<_> = sealed.chain(live).collect();
        files.sort_by_key(|(stem, _)| (&stem.stream, stem.number, stem.born));
        files
    }
}
