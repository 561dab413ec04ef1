//! Which files a log has.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use crate::{
    error::{Error, Result},
    store::{
        fs::Fs,
        layout::{INDEX, LIVE, Layout, parse_day_dir},
        names::FileStem,
        sealed::{LocalSealed, SealedFiles as _},
    },
};

/// The files of a log at one moment.
#[derive(Debug, Default)]
pub(super) struct Listed {
    sealed: BTreeSet<FileStem>,
    /// Those that are not sealed yet.
    live: BTreeSet<FileStem>,
    /// Indexes whose file is neither sealed nor live.
    pub(super) orphans: BTreeSet<FileStem>,
    /// What doesn't belong there.
    pub(super) foreign: Vec<PathBuf>,
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Sealed,
    Live,
}

impl Listed {
    /// A file goes from `live/` to `sealed/`, and has its index before: in this order, a file that
    /// moves while they are listed is met twice, and never not at all.
    pub(super) fn read(fs: &Arc<dyn Fs>, layout: &Layout) -> Result<Self> {
        let mut listed = Self {
            orphans: indexes(&**fs, layout)?,
            ..Self::default()
        };
        let dir = layout.live_dir();
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            match FileStem::parse(&entry.name, LIVE).filter(|_| !entry.is_dir) {
                Some(stem) => drop(listed.live.insert(stem)),
                None => listed.foreign.push(dir.join(entry.name)),
            }
        }
        let sealed = LocalSealed::new(Arc::clone(fs), layout.clone());
        for day in sealed.days()? {
            listed.sealed.extend(sealed.list(day)?);
        }
        listed.foreign.extend(sealed.foreign()?);
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
    pub(super) fn in_order(&self) -> Vec<(&FileStem, Place)> {
        let sealed = self.sealed.iter().map(|stem| (stem, Place::Sealed));
        let live = self.live.iter().map(|stem| (stem, Place::Live));
        let mut files: Vec<_> = sealed.chain(live).collect();
        files.sort_by_key(|(stem, _)| (&stem.stream, stem.number, stem.born));
        files
    }
}

fn indexes(fs: &dyn Fs, layout: &Layout) -> Result<BTreeSet<FileStem>> {
    let root = layout.index_dir();
    let mut stems = BTreeSet::new();
    for day in fs.list(&root).map_err(Error::io("list", &root))? {
        if !day.is_dir || parse_day_dir(&day.name).is_none() {
            continue;
        }
        let dir = root.join(&day.name);
        let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
        let found = entries
            .iter()
            .filter_map(|entry| FileStem::parse(&entry.name, INDEX));
        stems.extend(found);
    }
    Ok(stems)
}
