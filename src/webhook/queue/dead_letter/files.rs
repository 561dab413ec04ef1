//! The file that a webhook's dead letters are in: `state/dead-letters/<name>.<id>.jsonl`.
//!
//! An older version began a file each day, `<name>.<id>.00000001.jsonl` and so on. While there are
//! such files, the last of them grows; `tidy` makes one of them all.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    store::layout::Layout,
};

/// A place is one number: the file's, and below these bits the place in it.
const PLACE_BITS: u32 = 40;
const ENDING: &str = ".jsonl";

/// One of the files of a webhook.
#[derive(Debug)]
pub(super) struct LetterFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

impl LetterFile {
    /// The place of its first byte.
    pub(super) fn start(&self) -> u64 {
        u64::from(self.number) << PLACE_BITS
    }
}

/// The first line of a file that was written anew.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Header {
    pub(super) generation: u64,
}

pub(super) fn dir(layout: &Layout) -> PathBuf {
    layout.root().join("state/dead-letters")
}

pub(super) fn path(layout: &Layout, key: &str, number: u32) -> PathBuf {
    let name = match number {
        0 => format!("{key}{ENDING}"),
        _ => format!("{key}.{number:08}{ENDING}"),
    };
    dir(layout).join(name)
}

/// The file that a place is in, and where in it.
pub(super) fn locate(layout: &Layout, key: &str, place: u64) -> (PathBuf, u64) {
    let number = u32::try_from(place >> PLACE_BITS).unwrap_or(u32::MAX);
    (path(layout, key, number), place & ((1 << PLACE_BITS) - 1))
}

/// The files of a webhook, in their order.
pub(super) fn of(layout: &Layout, key: &str) -> Result<Vec<LetterFile>> {
    Ok(all(layout)?.remove(key).unwrap_or_default())
}

/// The files of each webhook that has some.
pub(super) fn all(layout: &Layout) -> Result<BTreeMap<String, Vec<LetterFile>>> {
    let dir = dir(layout);
    let mut files = BTreeMap::<String, Vec<LetterFile>>::new();
    let mut list = || -> io::Result<()> {
        for found in fs::read_dir(&dir)? {
            let path = found?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some((key, number)) = name.and_then(parse) else {
                continue;
            };
            let key = key.to_owned();
            let len = match fs::metadata(&path) {
                // It was made one with the others meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                found => found?.len(),
            };
            files
                .entry(key)
                .or_default()
                .push(LetterFile { number, path, len });
        }
        Ok(())
    };
    match list() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        listed => listed.map_err(Error::io("list", &dir))?,
    }
    for files in files.values_mut() {
        files.sort_unstable_by_key(|file| file.number);
    }
    Ok(files)
}

/// The webhook's key, and the file's number. Files of other names are not ours.
fn parse(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_suffix(ENDING)?;
    match stem.rsplit_once('.')? {
        // A webhook's name has no dots.
        (key, number) if key.contains('.') => {
            let is_number = number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse().ok()?;
            (is_number && number > 0).then_some((key, number))
        }
        _ => Some((stem, 0)),
    }
}

/// The file that grows.
pub(super) fn last(layout: &Layout, key: &str) -> Result<PathBuf> {
    let last = of(layout, key)?.pop();
    Ok(last.map_or_else(|| path(layout, key, 0), |last| last.path))
}

/// How often the file was written anew.
pub(super) fn generation(layout: &Layout, key: &str) -> Result<u64> {
    let path = path(layout, key, 0);
    let mut line = String::new();
    match fs::File::open(&path).and_then(|file| BufReader::new(file).read_line(&mut line)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        // A line that is no text is no header.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(0),
        read => read.map_err(Error::io("read", &path))?,
    };
    let header: Header = serde_json::from_str(&line).unwrap_or_default();
    Ok(header.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(parse("siem.0a1b2c3d.jsonl"), Some(("siem.0a1b2c3d", 0)));
        assert_eq!(
            parse("siem.00000007.00000012.jsonl"),
            Some(("siem.00000007", 12))
        );
        for foreign in [
            "siem.0a1b2c3d.00000000.jsonl",
            "siem.0a1b2c3d.7.jsonl",
            "siem.0a1b2c3d.0000001x.jsonl",
            "siem.jsonl",
            "notes.txt",
        ] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
        let layout = Layout::new("/log");
        for number in [0, 1, 12] {
            let path = path(&layout, "siem.00000007", number);
            let name = path.file_name().and_then(|name| name.to_str());
            assert_eq!(name.and_then(parse), Some(("siem.00000007", number)));
            let place = (u64::from(number) << PLACE_BITS) + 77;
            assert_eq!(locate(&layout, "siem.00000007", place), (path, 77));
        }
    }
}
