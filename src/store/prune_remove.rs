//! How pruned files leave the disk, once it is recorded that they do.
//!
//! The files that belong to a sealed file are removed before it, durably:
//!
//! 1. its live twin, and those before it in its stream, whatever is left of their grace: a twin
//!    that outlived its sealed file would be sealed again, and a recovery that met one, and not the
//!    files after it, would take their entries for lost;
//! 2. its index: one that is left without its file is the trace of a file that someone took away;
//! 3. the file itself. Should a power loss bring it back, it goes with the next pruning.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::{
    files::{Files, dirs},
    fs::{self, Fs},
    layout::Layout,
    names::FileStem,
    retention::PrunedFile,
    seal,
    twins::remove_twin,
};
use crate::{
    entry::{Day, StreamId},
    error::{Error, Result},
};

/// The result of removing files.
pub(super) struct Removed {
    /// The files that are gone.
    pub(super) files: Vec<PrunedFile>,
    /// Why others are not.
    pub(super) failed: Option<Error>,
}

/// Removes the live twins of files that are to go. A file whose twin has to stay is taken out of
/// `doomed`: while a sealed file is damaged, only its twin has all entries, and is to be sealed
/// again first. The first problem is given.
pub(super) fn remove_twins_of(log: &Files, doomed: &mut Vec<PrunedFile>) -> Result<Option<Error>> {
    let mut failed = None;
    if doomed.is_empty() {
        return Ok(failed);
    }
    let (fs, layout) = (&**log.fs(), log.layout());
    let live = dirs::live(fs, layout)?;
    doomed.retain(|file| {
        if !live.contains_key(&file.stem) {
            return true;
        }
        match remove_twin(fs, layout, &file.stem) {
            Ok(None) => true,
            Ok(Some(what)) => {
                failed.get_or_insert_with(|| Error::damaged(layout.live(&file.stem), what));
                true
            }
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        }
    });
    Ok(failed)
}

/// Removes files; one that can't be removed doesn't keep the others.
pub(super) fn remove(log: &Files, mut files: Vec<PrunedFile>) -> Removed {
    let (fs, layout) = (&**log.fs(), log.layout());
    let mut removed = Removed {
        files: Vec::new(),
        failed: None,
    };
    match remove_twins(log, &files, &mut removed.failed) {
        Ok(stuck) => files.retain(|file| !stuck.contains(&file.stem.stream)),
        Err(error) => {
            removed.failed = removed.failed.or(Some(error));
            return removed;
        }
    }
    let mut files = removed.try_each(files, |file| remove_if_there(fs, &layout.index(&file.stem)));
    let days: BTreeSet<Day> = files.iter().map(|file| file.stem.day()).collect();
    for day in &days {
        if let Err(error) = sync_if_there(fs, &layout.index_day(*day)) {
            removed.failed.get_or_insert(error);
            files.retain(|file| file.stem.day() != *day);
        }
    }
    let gone = removed.try_each(files, |file| {
        remove_if_there(fs, &layout.sealed(&file.stem))
    });
    removed.files = gone;
    for day in days {
        remove_if_empty(fs, &layout.index_day(day));
        remove_if_empty(fs, &layout.sealed_day(day));
    }
    removed
}

impl Removed {
    /// The files for which a step goes well; the first error of another one is kept.
    fn try_each(
        &mut self,
        mut files: Vec<PrunedFile>,
        step: impl Fn(&PrunedFile) -> Result<()>,
    ) -> Vec<PrunedFile> {
        files.retain(|file| match step(file) {
            Ok(()) => true,
            Err(error) => {
                self.failed.get_or_insert(error);
                false
            }
        });
        files
    }
}

/// Removes the twins of these files and those before them; gives the streams that still have some.
fn remove_twins(
    log: &Files,
    files: &[PrunedFile],
    failed: &mut Option<Error>,
) -> Result<BTreeSet<StreamId>> {
    let (fs, layout) = (&**log.fs(), log.layout());
    let mut last: BTreeMap<&StreamId, u32> = BTreeMap::new();
    for FileStem { stream, number, .. } in files.iter().map(|file| &file.stem) {
        let last = last.entry(stream).or_default();
        *last = *number.max(last);
    }
    let goes = |stem: &FileStem| {
        let last = last.get(&stem.stream);
        last.is_some_and(|last| stem.number <= *last)
    };
    let mut stuck = BTreeSet::new();
    for stem in dirs::live(fs, layout)?.into_keys().filter(goes) {
        match remove_sealed_twin(fs, layout, &stem) {
            // Someone else put something in its place.
            Ok(()) | Err(Error::Damaged { .. }) => {}
            Err(error) => {
                failed.get_or_insert(error);
                stuck.insert(stem.stream);
            }
        }
    }
    // Also if others removed them.
    let dir = layout.live_dir();
    fs.sync_dir(&dir).map_err(Error::io("sync", dir))?;
    Ok(stuck)
}

/// A twin that is not what was sealed stays, and so does one whose sealed file is damaged.
fn remove_sealed_twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<()> {
    let path = layout.sealed(stem);
    let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
    if found.is_some() && seal::verified(fs, layout, stem)?.is_some() {
        remove_if_there(fs, &layout.live(stem))?;
    }
    Ok(())
}

fn remove_if_there(fs: &dyn Fs, path: &Path) -> Result<()> {
    fs::remove_if_there(fs, path).map_err(Error::io("remove", path))
}

fn sync_if_there(fs: &dyn Fs, dir: &Path) -> Result<()> {
    match fs.sync_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(Error::io("sync", dir)),
    }
}

fn remove_if_empty(fs: &dyn Fs, dir: &Path) {
    if fs.list(dir).is_ok_and(|entries| entries.is_empty()) {
        // Another file may come at this moment; then it stays.
        let _ = fs.remove_dir(dir);
    }
}
