//! The names in `sealed/`, without those that are not ours: whatever else someone puts there stops
//! neither recovery nor pruning.

use std::io;

use super::{
    fs::Fs,
    layout::{self, Layout, SEALED},
    names::FileStem,
};
use crate::{
    entry::Day,
    error::{Error, Result},
};

/// The days that have a folder of sealed files.
pub(super) fn days(fs: &dyn Fs, layout: &Layout) -> Result<Vec<Day>> {
    let root = layout.sealed_dir();
    let days = fs.list(&root).map_err(Error::io("list", &root))?;
    let days = days.iter().filter(|day| day.is_dir);
    Ok(days
        .filter_map(|day| layout::parse_day_dir(&day.name))
        .collect())
}

/// The sealed files of a day; none if pruning has just removed its folder.
pub(super) fn of_day(fs: &dyn Fs, layout: &Layout, day: Day) -> Result<Vec<FileStem>> {
    let dir = layout.sealed_day(day);
    let entries = match fs.list(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", dir))?,
    };
    let files = entries.iter().filter(|entry| entry.is_file);
    let stems = files.filter_map(|file| FileStem::parse(&file.name, SEALED));
    Ok(stems.filter(|stem| stem.day() == day).collect())
}

/// All sealed files.
pub(super) fn all(fs: &dyn Fs, layout: &Layout) -> Result<Vec<FileStem>> {
    let mut stems = Vec::new();
    for day in days(fs, layout)? {
        stems.extend(of_day(fs, layout, day)?);
    }
    Ok(stems)
}
