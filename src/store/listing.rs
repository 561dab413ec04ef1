//! Which files a log has at a moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fs::Fs,
    layout::{LIVE, Layout},
    names::FileStem,
    sealed::SealedFiles,
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

/// The files of a log. Together they hold each line written until they were listed, once: of twins,
/// only the sealed one is here.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) sealed: BTreeSet<FileStem>,
    /// With their lengths.
    pub(crate) live: BTreeMap<FileStem, u64>,
}

impl Listing {
    /// All live files, and those sealed ones that may have lines from this time on.
    ///
    /// A file is finished on the day of its birth, so it has no younger lines but by an unsteady
    /// clock, for which a day more is looked at. It may well have older ones: those that a process
    /// left in its ring and another recovered days later. So nothing follows from a late birth.
    pub(crate) fn since(
        fs: &dyn Fs,
        layout: &Layout,
        sealed_files: &dyn SealedFiles,
        start: Option<Timestamp>,
    ) -> Result<Self> {
        let first = start.map(|start| start.day().previous());
        let dir = layout.live_dir();
        // Live files first: one that is being sealed meanwhile is then met twice, and never not at
        // all.
        let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
        let files = entries.iter().filter(|entry| !entry.is_dir);
        let mut live: BTreeMap<_, _> = files
            .filter_map(|file| Some((FileStem::parse(&file.name, LIVE)?, file.len)))
            .collect();
        let mut sealed = BTreeSet::new();
        for day in sealed_files
            .days()?
            .into_iter()
            .filter(|day| first.is_none_or(|first| *day >= first))
        {
            sealed.extend(sealed_files.list(day)?);
        }
        live.retain(|stem, _| !sealed.contains(stem));
        Ok(Self { sealed, live })
    }
}
