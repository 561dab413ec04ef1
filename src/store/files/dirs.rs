//! The names in a log's directories, as they are at this moment.
//!
//! Nothing is remembered here: recovery, pruning and `verify` judge by what these functions say.
//!
//! Anything that has the name of one of the log's files and isn't a directory is given as that
//! file. Someone else may have put a pipe or a link there, and opening it says so. Recovery must
//! not be stopped by such a thing, so it asks for the *regular* files only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    entry::Day,
    error::{Error, Result},
    store::{
        fs::{Fs, Name},
        layout::{INDEX, LIVE, Layout, SEALED, parse_day_dir},
        names::FileStem,
    },
};

/// The live files and their lengths, also those that are sealed.
pub(crate) fn live(fs: &dyn Fs, layout: &Layout) -> Result<BTreeMap<FileStem, u64>> {
    let dir = layout.live_dir();
    let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    Ok(files
        .filter_map(|file| Some((FileStem::parse(&file.name, LIVE)?, file.len)))
        .collect())
}

/// The live files that are regular files, in order.
pub(crate) fn regular_live(fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
    let names = names(fs, &layout.live_dir())?;
    let files = names.iter().filter(|name| name.is_file);
    let mut stems: Vec<_> = files
        .filter_map(|file| FileStem::parse(&file.name, LIVE))
        .collect();
    stems.sort_unstable();
    Ok(stems)
}

/// A number that changes when live files come, grow or go.
#[cfg(any(feature = "webhook", test))]
pub(crate) fn growth(fs: &dyn Fs, layout: &Layout) -> Result<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    let dir = layout.live_dir();
    let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
    let mut hasher = DefaultHasher::new();
    for file in entries {
        (file.name, file.len, file.modified.as_micros()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// The days that have a folder of sealed files, in order.
pub(crate) fn sealed_days(fs: &dyn Fs, layout: &Layout) -> Result<Vec<Day>> {
    days(fs, &layout.sealed_dir())
}

/// The sealed files of a day, in order.
pub(crate) fn sealed(fs: &dyn Fs, layout: &Layout, day: Day) -> Result<Vec<FileStem>> {
    let names = names_of_day(fs, &layout.sealed_day(day))?;
    Ok(stems(&names, day, SEALED))
}

/// The sealed files of all days, in order.
pub(crate) fn all_sealed(fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
    let mut stems = Vec::new();
    for day in sealed_days(fs, layout)? {
        stems.append(&mut sealed(fs, layout, day)?);
    }
    Ok(stems)
}

/// The sealed files of a day that are regular files, in order.
pub(crate) fn regular_sealed_of(fs: &dyn Fs, layout: &Layout, day: Day) -> Result<Vec<FileStem>> {
    let mut names = names_of_day(fs, &layout.sealed_day(day))?;
    names.retain(|name| name.is_file);
    Ok(stems(&names, day, SEALED))
}

/// The sealed files of all days that are regular files, in order.
pub(crate) fn regular_sealed(fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
    let mut stems = Vec::new();
    for day in sealed_days(fs, layout)? {
        stems.append(&mut regular_sealed_of(fs, layout, day)?);
    }
    Ok(stems)
}

/// The files that have an index, in order.
pub(crate) fn all_indexes(fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
    let mut indexes = Vec::new();
    for day in days(fs, &layout.index_dir())? {
        let names = names_of_day(fs, &layout.index_day(day))?;
        indexes.append(&mut stems(&names, day, INDEX));
    }
    Ok(indexes)
}

/// The foreign files below `live/` and `sealed/`: other names, other places, folders that aren't
/// days.
pub(crate) fn foreign(fs: &dyn Fs, layout: &Layout) -> Result<Vec<PathBuf>> {
    let mut foreign = Vec::new();
    let live = layout.live_dir();
    for name in names(fs, &live)? {
        if name.is_dir || FileStem::parse(&name.name, LIVE).is_none() {
            foreign.push(live.join(name.name));
        }
    }
    let sealed = layout.sealed_dir();
    for name in names(fs, &sealed)? {
        let dir = sealed.join(&name.name);
        let Some(day) = parse_day_dir(&name.name).filter(|_| name.is_dir) else {
            foreign.push(dir);
            continue;
        };
        for file in names(fs, &dir)? {
            if stem_of(&file, day, SEALED).is_none() {
                foreign.push(dir.join(file.name));
            }
        }
    }
    Ok(foreign)
}

fn days(fs: &dyn Fs, dir: &Path) -> Result<Vec<Day>> {
    let names = names(fs, dir)?;
    let dirs = names.iter().filter(|name| name.is_dir);
    let mut days: Vec<_> = dirs.filter_map(|dir| parse_day_dir(&dir.name)).collect();
    days.sort_unstable();
    Ok(days)
}

/// The names in the folder of a day; none if pruning has just removed that.
fn names_of_day(fs: &dyn Fs, dir: &Path) -> Result<Vec<Name>> {
    match names(fs, dir) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        names => names,
    }
}

/// The files that are filed under this day, in order.
fn stems(names: &[Name], day: Day, ending: &str) -> Vec<FileStem> {
    let stems = names.iter().filter_map(|name| stem_of(name, day, ending));
    let mut stems: Vec<_> = stems.collect();
    stems.sort_unstable();
    stems
}

/// The file of this name, if it is one that is filed under this day.
fn stem_of(name: &Name, day: Day, ending: &str) -> Option<FileStem> {
    FileStem::parse(&name.name, ending).filter(|stem| !name.is_dir && stem.day() == day)
}

fn names(fs: &dyn Fs, dir: &Path) -> Result<Vec<Name>> {
    fs.names(dir).map_err(Error::io("list", dir))
}
