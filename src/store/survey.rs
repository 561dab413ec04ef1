//! Which streams have something left in the directory: its names, read once for all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    files::dirs,
    fs::{Entry, Fs},
    layout::{INDEX, LOCK, Layout, POINTER, RING},
    names::FileStem,
};
use crate::{
    entry::{StreamId, Timestamp},
    error::{Error, Result},
};

/// The names of what streams have besides their sealed files.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    live: BTreeMap<StreamId, Vec<FileStem>>,
    journals: BTreeSet<StreamId>,
    locks: BTreeSet<StreamId>,
    half_made: BTreeMap<StreamId, Vec<String>>,
}

/// The live files of all streams.
#[derive(Debug, Default)]
pub(super) struct LiveFiles {
    pub(super) unsealed: Vec<FileStem>,
    /// The live files that have a sealed twin, and when that was written.
    pub(super) twins: Vec<(FileStem, Timestamp)>,
}

impl Survey {
    pub(crate) fn take(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let list =
            |dir: PathBuf| -> Result<Vec<Entry>> { fs.list(&dir).map_err(Error::io("list", dir)) };
        let mut survey = Self::default();
        for stem in dirs::live(fs, layout)?.into_keys() {
            let stems = survey.live.entry(stem.stream.clone()).or_default();
            stems.push(stem);
        }
        for stems in survey.live.values_mut() {
            stems.sort_by_key(|stem| (stem.number, stem.born));
        }
        let stream = |name: &str, ending| name.strip_suffix(ending)?.parse::<StreamId>().ok();
        for entry in list(layout.journal_dir())? {
            let found = stream(&entry.name, RING).or_else(|| stream(&entry.name, POINTER));
            survey.journals.extend(found);
        }
        for entry in list(layout.locks_dir())? {
            survey.locks.extend(stream(&entry.name, LOCK));
        }
        for entry in list(layout.tmp_dir())? {
            if let Some(stream) = owner(&entry.name) {
                let names = survey.half_made.entry(stream).or_default();
                names.push(entry.name);
            }
        }
        Ok(survey)
    }

    /// The live files of a stream, in the order of their numbers.
    pub(crate) fn live(&self, stream: &StreamId) -> &[FileStem] {
        self.live.get(stream).map_or(&[], Vec::as_slice)
    }

    /// All live files.
    pub(crate) fn all_live(&self) -> impl Iterator<Item = &FileStem> {
        self.live.values().flatten()
    }

    /// The streams with a journal, whether anyone writes them or not.
    pub(crate) fn journals(&self) -> &BTreeSet<StreamId> {
        &self.journals
    }

    pub(crate) fn has_journal(&self, stream: &StreamId) -> bool {
        self.journals.contains(stream)
    }

    /// The names of a stream's temporary files.
    pub(crate) fn half_made(&self, stream: &StreamId) -> &[String] {
        self.half_made.get(stream).map_or(&[], Vec::as_slice)
    }

    /// The streams with temporary files.
    pub(crate) fn half_made_streams(&self) -> impl Iterator<Item = &StreamId> {
        self.half_made.keys()
    }

    /// The live files without a sealed twin.
    pub(crate) fn unsealed(&self, fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
        Ok(self.live_files(fs, layout)?.unsealed)
    }

    /// The live files, apart by whether they are sealed.
    pub(super) fn live_files(&self, fs: &dyn Fs, layout: &Layout) -> Result<LiveFiles> {
        let mut files = LiveFiles::default();
        for stem in self.all_live() {
            let sealed = layout.sealed(stem);
            let found = fs
                .identity(&sealed)
                .map_err(Error::io("look at", &sealed))?;
            match found {
                Some(found) => files.twins.push((stem.clone(), found.modified)),
                None => files.unsealed.push(stem.clone()),
            }
        }
        Ok(files)
    }

    /// The streams with a lock or half-made files, but with no journal and nothing to seal: either
    /// the process that sealed their files was killed, or their own process lives.
    pub(crate) fn remains<'a>(
        &'a self,
        unsealed: &'a [FileStem],
    ) -> impl Iterator<Item = &'a StreamId> {
        let unsealed: BTreeSet<_> = unsealed.iter().map(|stem| &stem.stream).collect();
        let named: BTreeSet<_> = self.locks.iter().chain(self.half_made.keys()).collect();
        let nothing_else =
            move |stream: &&StreamId| !self.has_journal(stream) && !unsealed.contains(stream);
        named.into_iter().filter(nothing_else)
    }

    /// The streams with something to recover or to seal, whether anyone writes them or not. Those
    /// with a journal come first: events wait in it.
    pub(crate) fn streams(&self, fs: &dyn Fs, layout: &Layout) -> Result<Vec<StreamId>> {
        let mut streams: Vec<_> = self.journals.iter().cloned().collect();
        let unsealed = self.unsealed(fs, layout)?;
        let to_seal: BTreeSet<_> = unsealed.iter().map(|stem| &stem.stream).collect();
        let to_seal = to_seal
            .into_iter()
            .filter(|stream| !self.has_journal(stream));
        streams.extend(to_seal.cloned());
        streams.extend(self.remains(&unsealed).cloned());
        Ok(streams)
    }
}

/// The stream that a temporary file belongs to: an index, a sealed or live file, a reserve, or the
/// copy of a damaged journal.
fn owner(name: &str) -> Option<StreamId> {
    if let Some(stream) = name.strip_suffix(".reserve") {
        return stream.parse().ok();
    }
    if let Some(Ok(stream)) = name.split_once(RING).map(|(stream, _)| stream.parse()) {
        return Some(stream);
    }
    let endings = [".jsonl", INDEX, ".damage"];
    let stems = endings.iter().filter_map(|ending| name.split_once(ending));
    stems
        .filter_map(|(stem, _)| stem.parse::<FileStem>().ok())
        .map(|stem| stem.stream)
        .next()
}
