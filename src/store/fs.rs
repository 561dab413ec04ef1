//! The seam between the store and the file system.
//!
//! Everything the store does to files goes through [`Fs`], so a test can put a double in its place
//! that runs out of space, fails, or forgets what was not synced. [`OsFs`] is the real one.

mod os;
mod read_only;

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

pub(crate) use self::{os::OsFs, read_only::ReadOnly};
use super::{access::Permissions, layout::Layout, lock::Lock};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    journal::Region,
};

/// The operations the store needs of a file system. Whose files and directories are when they are
/// created, and who may read them, is in [`access`].
pub(crate) trait Fs: fmt::Debug + Send + Sync + 'static {
    /// Creates a file that must not exist yet, for writing and reading.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// Creates a file of `len` zeros that must not exist yet, all its blocks allocated and durable,
    /// and maps it. A file that can't be finished is removed again.
    fn create_mapped(&self, path: &Path, len: usize) -> io::Result<Region>;
    /// Opens an existing file for writing and reading. Anything but a regular file is an error, and
    /// never waited for.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// Opens an existing file for reading, as [`open_write`](Self::open_write).
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// The file that has this name now, itself and not what it links to; `None` if there is none.
    fn identity(&self, path: &Path) -> io::Result<Option<Identity>>;
    /// The path without links, relative parts and `..`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
    /// Takes the lock with this file, unless another holds it; see [`Lock`].
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>>;
    /// Whether someone holds the lock with this file. Creates nothing.
    fn is_locked(&self, path: &Path) -> Result<bool>;
    /// Creates a directory and those above it, where missing.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a log's own directory and those above it, where missing.
    fn create_root(&self, path: &Path, _: Option<Permissions>) -> io::Result<()> {
        self.create_dir_all(path)
    }
    /// An error if the log in this directory is another user's.
    fn check_owner(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    /// Creates the directories of a log, where missing, and settles who may read it.
    fn claim(&self, layout: &Layout, _: Option<Permissions>) -> Result<()> {
        for dir in layout.dirs() {
            let created = self.create_dir_all(&dir);
            created.map_err(Error::io("create", dir))?;
        }
        Ok(())
    }
    /// Creates a directory outside the log's for journals, where missing; an error if it is not the
    /// log's owner's alone.
    fn claim_journal_dir(&self, _: &Layout, dir: &Path, _: Option<Permissions>) -> Result<()> {
        self.create_dir_all(dir).map_err(Error::io("create", dir))
    }
    /// Gives a journal in such a directory the mode that it would have in the log's.
    fn settle_journal(&self, _: &Layout, _: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Whether such a journal is the log's owner's.
    fn is_owners(&self, _: &Layout, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
    /// Opens such a journal for reading; an error if it is anything but the owner's regular file.
    fn open_journal(&self, _: &Layout, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.open_read(path)
    }
    /// Removes such a journal, and nobody else's file.
    fn remove_journal(&self, _: &Layout, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }
    /// Whether a restart of the machine takes what is in this directory.
    fn is_in_memory(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
    /// The name of this start of the machine, where there is one.
    fn boot_id(&self) -> Option<String> {
        None
    }
    /// Writes over a part of an existing file, in place and durably. Most file systems need no room
    /// for that; the file is never made longer.
    fn overwrite(&self, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives a file another name on the same file system, replacing what bears it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory, which must be empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the directory's own entries durable: what was created, renamed and removed in it.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, by name; an absent directory holds nothing. Names that aren't
    /// UTF-8 are given with U+FFFD in them.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// The names alone, in any order, which costs a fraction of [`list`](Self::list).
    fn names(&self, path: &Path) -> io::Result<Vec<Name>> {
        let name = |entry: Entry| Name {
            name: entry.name,
            is_dir: entry.is_dir,
            is_file: entry.is_file,
        };
        Ok(self.list(path)?.into_iter().map(name).collect())
    }
    /// Something that differs whenever a directory holds other names than before; `None` if that
    /// can't be said. Names that come within seconds of each other may leave it the same.
    fn stamp(&self, _: &Path) -> Option<Stamp> {
        None
    }
    /// How much room the file system has.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file.
pub(crate) trait FsFile: fmt::Debug + Send + Sync {
    /// Writes some of `bytes` at the file's end; says how many.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Reads some bytes from `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Its length, and whether it still is the file at its path.
    fn identity(&self) -> io::Result<Identity>;
}

/// A held lock. Dropping it releases it and leaves its file.
pub(crate) trait FsLock: fmt::Debug + Send + Sync {
    /// Releases the lock and removes its file.
    fn remove(self: Box<Self>) -> Result<()>;
}

impl FsLock for Lock {
    fn remove(self: Box<Self>) -> Result<()> {
        Lock::remove(*self)
    }
}

/// Which file an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) len: u64,
    /// How many names it has: 0 once it was deleted.
    pub(crate) links: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Whether it is a regular file: no directory, pipe, device or link.
    pub(crate) is_file: bool,
    /// When its content changed last, by the file system's clock.
    pub(crate) modified: Timestamp,
}

impl Identity {
    /// Whether both are the same file, however long.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            len: metadata.len(),
            links: metadata.nlink(),
            device: metadata.dev(),
            inode: metadata.ino(),
            is_file: metadata.is_file(),
            modified: modified(metadata),
        }
    }
}

fn modified(metadata: &fs::Metadata) -> Timestamp {
    let micros = metadata.mtime().saturating_mul(1_000_000);
    Timestamp::from_micros(micros.saturating_add(metadata.mtime_nsec() / 1000))
}

/// One thing in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
    /// Whether it is a regular file: no directory, pipe, device or link.
    pub(crate) is_file: bool,
    pub(crate) len: u64,
    /// When its content changed last, by the file system's clock.
    pub(crate) modified: Timestamp,
}

/// The name of one thing in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
    /// Whether it is a regular file: no directory, pipe, device or link.
    pub(crate) is_file: bool,
}

/// Which directory it is, and when that changed by its content and at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) times: [i64; 4],
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            times: [
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ],
        }
    }
}

/// Room on a file system, in bytes, for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

/// Appends all of `bytes`; on error some of them may have been written.
pub(crate) fn append_all(file: &dyn FsFile, bytes: &[u8]) -> io::Result<()> {
    append_all_counted(file, bytes).1
}

/// The same, and how many bytes were written.
pub(crate) fn append_all_counted(file: &dyn FsFile, bytes: &[u8]) -> (u64, io::Result<()>) {
    let mut written = 0;
    let result = loop {
        let rest = bytes.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break Ok(());
        }
        match file.append(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => break Err(e),
        }
    };
    (written as u64, result)
}

/// Fills `buffer` from `offset`; says how much there was.
pub(crate) fn read_full_at(file: &dyn FsFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// All bytes of a file that is never longer than `most`. One that is, is not what was written: its
/// length may be more than there is memory.
pub(crate) fn read_at_most(fs: &dyn Fs, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all_at_most(&*fs.open_read(path)?, most)
}

/// The same of an open file.
pub(crate) fn read_all_at_most(file: &dyn FsFile, most: u64) -> io::Result<Vec<u8>> {
    let len = file.identity()?.len;
    if len > most {
        let what =
            format!("it has {len} bytes, and nothing that is kept there has more than {most}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    read_all(file)
}

/// All of an open file's bytes.
pub(crate) fn read_all(file: &dyn FsFile) -> io::Result<Vec<u8>> {
    let len = file.identity()?.len;
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
    let read = read_full_at(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
