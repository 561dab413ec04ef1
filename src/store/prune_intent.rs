//! The files that are about to be removed, noted where even a full disk has room.
//!
//! Pruning has to be recorded before it is done, and on a full disk it has to be done before
//! anything can be recorded. `state/pruning` breaks that circle: a file of [`SLOTS`] blocks that
//! was written with zeros and synced while there was room. Entries for the log are written over
//! those zeros, which takes no room, and synced; then the files go; and when the log takes entries
//! again they are written into it, and the blocks become zeros once more.
//!
//! ```text
//! block 0                              block 1 …    block n
//! ┌─────────┬────────┬───────┬──────── ─ ─ ────┐    ┌─────────┬─ ─
//! │ MAGIC 8 │ len 4  │ crc 4 │ the entry       │    │ MAGIC 8 │
//! └─────────┴────────┴───────┴──────── ─ ─ ────┘    └─────────┴─ ─
//! ```
//!
//! An entry begins at a block, so that a write which is cut short damages no other one; one whose
//! checksum is wrong was not whole, and nothing was removed on its behalf. A death after an entry
//! got into the log and before its blocks are zeros again writes it once more, with the same id:
//! each removal is recorded at least once.
//!
//! Where even overwriting takes room, as on btrfs, the write can fail: then nothing is removed.
//! The file is used under the lock of pruning.

use std::{io, path::PathBuf};

use super::{
    fs::{self, Fs},
    layout::Layout,
    tmp,
};
use crate::error::{Error, Result};

const SLOT: usize = 4096;
const SLOTS: usize = 64;
const MAGIC: &[u8; 8] = b"pruning\n";
const HEADER: usize = 16;

#[derive(Debug)]
pub(crate) struct Intents<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
}

impl<'a> Intents<'a> {
    pub(crate) fn new(fs: &'a dyn Fs, layout: &Layout) -> Self {
        Self {
            fs,
            path: layout.pruning(),
        }
    }

    /// Makes the file if there is none yet.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.is_whole().map_err(Error::io("look at", &self.path))? {
            return Ok(());
        }
        // Written, not only allocated: blocks that were never written take room when they are.
        tmp::replace(self.fs, &self.path, &vec![0; SLOT * SLOTS], true)
            .map_err(Error::io("create", &self.path))
    }

    /// Whether the file is there, as long as it was made.
    fn is_whole(&self) -> io::Result<bool> {
        let found = self.fs.identity(&self.path)?;
        Ok(found.is_some_and(|found| found.len == (SLOT * SLOTS) as u64))
    }

    /// The entries that the log doesn't have yet.
    pub(crate) fn owed(&self) -> Result<Vec<Vec<u8>>> {
        let found = self.read()?;
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Keeps an entry; durable on return.
    pub(super) fn add(&self, entry: &[u8]) -> Result<()> {
        let end = self.read()?.iter().map(|(end, _)| *end).max().unwrap_or(0);
        let size = (HEADER + entry.len()).next_multiple_of(SLOT);
        if end + size > SLOT * SLOTS {
            let text = "too many removals wait in it to be recorded; free some space on the disk";
            return Err(Error::io("write", &self.path)(io::Error::other(text)));
        }
        let mut block = Vec::with_capacity(size);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        block.extend_from_slice(&crc32fast::hash(entry).to_le_bytes());
        block.extend_from_slice(entry);
        block.resize(size, 0);
        self.overwrite(&block, end)
    }

    /// The log has all of them.
    pub(super) fn clear(&self) -> Result<()> {
        let end = self.read()?.iter().map(|(end, _)| *end).max().unwrap_or(0);
        self.overwrite(&vec![0; end], 0)
    }

    fn overwrite(&self, bytes: &[u8], offset: usize) -> Result<()> {
        let write = || match self.is_whole()? {
            true => self.fs.overwrite(&self.path, bytes, offset as u64),
            false => Err(io::Error::other("it is not as long as it was made")),
        };
        write().map_err(Error::io("write", &self.path))
    }

    /// The whole entries, each with where its blocks end.
    fn read(&self) -> Result<Vec<(usize, Vec<u8>)>> {
        let bytes = match fs::read_at_most(self.fs, &self.path, (SLOT * SLOTS) as u64) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(Error::io("read", &self.path))?,
        };
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += SLOT;
            if let Some(entry) = parse(rest) {
                let end = at - SLOT + (HEADER + entry.len()).next_multiple_of(SLOT);
                entries.push((end, entry.to_vec()));
                at = end;
            }
        }
        Ok(entries)
    }
}

fn parse(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let entry = rest.get(..u32::from_le_bytes(*len) as usize)?;
    let whole = magic == MAGIC && crc32fast::hash(entry) == u32::from_le_bytes(*crc);
    whole.then_some(entry)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fs::OsFs;

    fn intents() -> (tempfile::TempDir, Intents<'static>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let intents = Intents::new(&OsFs, &Layout::new(dir.path()));
        (dir, intents)
    }

    #[test]
    fn entries_are_kept_in_the_room_that_there_is_until_they_are_cleared() {
        let (_dir, intents) = intents();
        assert_eq!(intents.owed().unwrap(), Vec::<Vec<u8>>::new());
        assert!(intents.add(b"nowhere to put it").is_err());
        intents.prepare().unwrap();
        let entries = [
            vec![b'a'; 10],
            vec![b'b'; SLOT * 2],
            vec![b'c'; SLOT - HEADER],
        ];
        for entry in &entries {
            intents.add(entry).unwrap();
        }
        intents.prepare().unwrap();
        assert_eq!(intents.owed().unwrap(), entries);
        let len = fs::metadata(&intents.path).unwrap().len();
        assert_eq!(len, (SLOT * SLOTS) as u64);
        intents.clear().unwrap();
        assert_eq!(intents.owed().unwrap(), Vec::<Vec<u8>>::new());
        let added = (0..).take_while(|_| intents.add(b"x").is_ok()).count();
        assert_eq!((added, intents.owed().unwrap().len()), (SLOTS, SLOTS));
    }

    #[test]
    fn an_entry_that_was_cut_short_is_none_and_damages_no_other() {
        let (_dir, intents) = intents();
        intents.prepare().unwrap();
        let before = fs::read(&intents.path).unwrap();
        intents.add(b"first").unwrap();
        let first = fs::read(&intents.path).unwrap();
        let second = vec![b'2'; 3 * SLOT];
        intents.add(&second).unwrap();
        let whole = fs::read(&intents.path).unwrap();
        // Any of its blocks may be old.
        for old in 1_u8..16 {
            let mut cut = whole.clone();
            for at in (0..4).filter(|at| old & (1 << at) != 0) {
                let at = (1 + at) * SLOT;
                cut[at..at + SLOT].copy_from_slice(&before[at..at + SLOT]);
            }
            fs::write(&intents.path, &cut).unwrap();
            assert_eq!(intents.owed().unwrap(), [b"first"], "{old:b}");
            intents.add(b"next").unwrap();
            assert_eq!(intents.owed().unwrap(), [&b"first"[..], b"next"], "{old:b}");
        }
        // A file that someone cut is made anew.
        fs::write(&intents.path, &first[..SLOT]).unwrap();
        assert!(intents.add(b"next").is_err());
        intents.prepare().unwrap();
        intents.add(b"next").unwrap();
    }
}
