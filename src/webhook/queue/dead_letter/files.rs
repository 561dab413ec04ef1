//! The files that a webhook's dead letters are in: `state/dead-letters/<name>.<id>.jsonl`, then
//! `<name>.<id>.00000001.jsonl` and so on.
//!
//! A file grows for a day, or to some megabytes; then another is begun. So the oldest letters go
//! with whole files: nothing is rewritten, and where another letter stands stays true, whoever is
//! reading it. When all go, an empty file with the next number stays.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{access, layout::Layout},
};

/// A file gets no more letters when it has so many bytes.
const FULL: u64 = 4 << 20;
/// Where a letter stands is one number that only rises: the file's, and below these bits the place
/// in it.
const PLACE_BITS: u32 = 40;
const ENDING: &str = ".jsonl";

/// One of the files of a webhook.
#[derive(Debug)]
pub(super) struct LetterFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    /// When the last letter came into it.
    pub(super) changed: Timestamp,
}

impl LetterFile {
    /// The place of its first byte.
    pub(super) fn start(&self) -> u64 {
        u64::from(self.number) << PLACE_BITS
    }

    pub(super) fn name(&self) -> String {
        self.path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Removes it, unless a letter came into it since.
    pub(super) fn remove(&self) -> Result<()> {
        let remove = || {
            let file = fs::File::open(&self.path)?;
            file.lock()?;
            if file.metadata()?.len() == self.len {
                fs::remove_file(&self.path)
            } else {
                Ok(())
            }
        };
        match remove() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::io("remove", &self.path)),
        }
    }

    /// Begins the file after it, in which nothing is yet: so that numbers rise when all before it
    /// are gone. Durable on return.
    pub(super) fn begin_next(&self, layout: &Layout, key: &str) -> Result<()> {
        let path = path(layout, key, self.number + 1);
        let begin = || {
            access::open_private(&path, fs::OpenOptions::new().append(true))?;
            sync(&dir(layout))
        };
        begin().map_err(Error::io("create", &path))
    }
}

pub(super) fn dir(layout: &Layout) -> PathBuf {
    layout.root().join("state/dead-letters")
}

fn path(layout: &Layout, key: &str, number: u32) -> PathBuf {
    let name = if number == 0 {
        format!("{key}{ENDING}")
    } else {
        format!("{key}.{number:08}{ENDING}")
    };
    dir(layout).join(name)
}

/// The file that a place is in, and where in it.
pub(super) fn locate(layout: &Layout, key: &str, place: u64) -> (PathBuf, u64) {
    let number = u32::try_from(place >> PLACE_BITS).unwrap_or(u32::MAX);
    (path(layout, key, number), place & ((1 << PLACE_BITS) - 1))
}

/// The files of a webhook, the oldest first.
pub(super) fn of(layout: &Layout, key: &str) -> Result<Vec<LetterFile>> {
    Ok(list(layout, Some(key))?.remove(key).unwrap_or_default())
}

/// The files of each webhook that has some.
pub(super) fn all(layout: &Layout) -> Result<BTreeMap<String, Vec<LetterFile>>> {
    list(layout, None)
}

fn list(layout: &Layout, wanted: Option<&str>) -> Result<BTreeMap<String, Vec<LetterFile>>> {
    let (dir, mut files) = (dir(layout), BTreeMap::<String, Vec<LetterFile>>::new());
    let mut list = || -> io::Result<()> {
        for found in fs::read_dir(&dir)? {
            let path = found?.path();
            let Some((key, number)) = path.file_name().and_then(|name| parse(name.to_str()?))
            else {
                continue;
            };
            if wanted.is_some_and(|wanted| wanted != key) {
                continue;
            }
            let key = key.to_owned();
            let found = match fs::metadata(&path) {
                // It was pruned meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            let changed = Timestamp::from_micros(
                found
                    .mtime()
                    .saturating_mul(1_000_000)
                    .saturating_add(found.mtime_nsec() / 1000),
            );
            files.entry(key).or_default().push(LetterFile {
                number,
                path,
                len: found.len(),
                changed,
            });
        }
        Ok(())
    };
    match list() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        listed => listed.map_err(Error::io("list", &dir))?,
    }
    files
        .values_mut()
        .for_each(|files| files.sort_unstable_by_key(|file| file.number));
    Ok(files)
}

/// The webhook's key, and the file's number. What is named otherwise is not ours.
fn parse(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_suffix(ENDING)?;
    match stem.rsplit_once('.')? {
        // A webhook's name has no dots.
        (key, number) if key.contains('.') => {
            let is_number = number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit());
            Some((
                key,
                number
                    .parse()
                    .ok()
                    .filter(|number| is_number && *number > 0)?,
            ))
        }
        _ => Some((stem, 0)),
    }
}

/// The file that the next letter goes into.
pub(super) fn current(layout: &Layout, key: &str, now: Timestamp) -> Result<PathBuf> {
    let number = match of(layout, key)?.last() {
        None => 0,
        Some(last) if last.len < FULL && last.changed.day() == now.day() => last.number,
        Some(last) => last.number + 1,
    };
    Ok(path(layout, key, number))
}

/// Makes durable which files there are.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
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
            assert_eq!(
                path.file_name().and_then(|name| parse(name.to_str()?)),
                Some(("siem.00000007", number))
            );
            let file = LetterFile {
                number,
                path: path.clone(),
                len: 0,
                changed: Timestamp::MIN,
            };
            assert_eq!(
                locate(&layout, "siem.00000007", file.start() + 77),
                (path, 77)
            );
        }
    }
}
