//! The seam between the store and the file system.
//!
//! Everything the store does to files goes through [`Fs`], so a test can put a double in its place
//! that runs out of space, fails, or forgets what was not synced. [`OsFs`] is the real one.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    access::{self, Permissions},
    layout::Layout,
    lock::Lock,
};
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
    /// Opens an existing file for writing and reading. What is no regular file is an error, and
    /// never waited for.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// Opens an existing file for reading, as [`open_write`](Self::open_write).
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
    /// What bears this name now, itself and not what it links to; `None` if nothing does.
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
    /// What a directory holds, by name; an absent directory holds nothing. Names that aren't UTF-8
    /// are given with U+FFFD in them.
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

/// Another file system, of which only the reading side works: whoever is given this can't change
/// anything.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Fs>);

impl Fs for ReadOnly {
    fn create_new(&self, _: &Path) -> io::Result<Box<dyn FsFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn create_mapped(&self, _: &Path, _: usize) -> io::Result<Region> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open_write(&self, _: &Path) -> io::Result<Box<dyn FsFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        self.0.identity(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.resolve(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>> {
        Err(Error::io("lock", path)(
            io::ErrorKind::ReadOnlyFilesystem.into(),
        ))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.0.is_locked(path)
    }

    fn is_owners(&self, layout: &Layout, path: &Path) -> io::Result<bool> {
        self.0.is_owners(layout, path)
    }

    fn open_journal(&self, layout: &Layout, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.open_journal(layout, path)
    }

    fn boot_id(&self) -> Option<String> {
        self.0.boot_id()
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.open_read(path)
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn overwrite(&self, _: &Path, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(path)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<Name>> {
        self.0.names(path)
    }

    fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.0.stamp(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OsFs;

impl Fs for OsFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = access::create_new(path, fs::OpenOptions::new().read(true).append(true))?;
        Ok(Box::new(OsFile(file)))
    }

    fn create_mapped(&self, path: &Path, len: usize) -> io::Result<Region> {
        let file = access::create_new(path, fs::OpenOptions::new().read(true).write(true))?;
        let mapped = allocate(&file, len as u64)
            .and_then(|()| file.sync_all())
            .and_then(|()| Region::map(&file, len));
        mapped.inspect_err(|_| {
            // The error that led here is the one to report; a file that stays is told from a
            // journal by its empty header.
            drop(fs::remove_file(path));
        })
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = open_itself(path, fs::OpenOptions::new().read(true).append(true))?;
        Ok(Box::new(OsFile(file)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = open_regular(path, fs::OpenOptions::new().read(true))?;
        Ok(Box::new(OsFile(file)))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            found => Ok(Some(Identity::of(&found?))),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>> {
        Ok(Lock::try_take(path)?.map(|lock| Box::new(lock) as Box<dyn FsLock>))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        Lock::is_held(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        access::create_dir_all(path)
    }

    fn create_root(&self, path: &Path, permissions: Option<Permissions>) -> io::Result<()> {
        access::create_root(path, permissions.unwrap_or(Permissions::Owner))
    }

    fn check_owner(&self, root: &Path) -> Result<()> {
        access::check_owner(root)
    }

    fn claim(&self, layout: &Layout, permissions: Option<Permissions>) -> Result<()> {
        access::claim(layout, permissions)
    }

    fn claim_journal_dir(
        &self,
        layout: &Layout,
        dir: &Path,
        permissions: Option<Permissions>,
    ) -> Result<()> {
        access::claim_journal_dir(layout, dir, permissions)
    }

    fn settle_journal(&self, layout: &Layout, path: &Path) -> io::Result<()> {
        access::settle_journal(layout, path)
    }

    fn is_owners(&self, layout: &Layout, path: &Path) -> io::Result<bool> {
        access::is_owners(layout, path)
    }

    fn open_journal(&self, layout: &Layout, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(OsFile(access::open_journal(layout, path)?)))
    }

    fn remove_journal(&self, layout: &Layout, path: &Path) -> io::Result<()> {
        access::remove_journal(layout, path)
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(&self, path: &Path) -> io::Result<bool> {
        const TMPFS: i128 = 0x0102_1994;
        const RAMFS: i128 = 0x8584_58f6;
        let kind = i128::from(rustix::fs::statfs(path)?.f_type);
        Ok([TMPFS, RAMFS].contains(&(kind & 0xffff_ffff)))
    }

    #[cfg(target_os = "linux")]
    fn boot_id(&self) -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = id.trim();
        let is_word = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_word.then(|| id.to_owned())
    }

    fn overwrite(&self, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        let file = open_itself(path, fs::OpenOptions::new().write(true))?;
        if file.metadata()?.len() < offset + bytes.len() as u64 {
            return Err(io::Error::other(
                "it is shorter than what is written over it",
            ));
        }
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let dir = match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?,
        };
        let mut entries = Vec::new();
        for entry in dir {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Removed between the listing and the look at it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: metadata.is_dir(),
                is_file: metadata.is_file(),
                len: metadata.len(),
                modified: modified(&metadata),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<Name>> {
        let dir = match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?,
        };
        let mut names = Vec::new();
        for entry in dir {
            let entry = entry?;
            let kind = match entry.file_type() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                kind => kind?,
            };
            names.push(Name {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: kind.is_dir(),
                is_file: kind.is_file(),
            });
        }
        Ok(names)
    }

    fn stamp(&self, path: &Path) -> Option<Stamp> {
        Some(Stamp::of(&fs::metadata(path).ok()?))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

/// Opens what must be a regular file. Without waiting: opening a pipe would wait for its other end.
fn open_regular(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    open_with(path, options, OFlags::NONBLOCK.bits().cast_signed())
}

/// The same, and not what a link leads to: for what is written to.
fn open_itself(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    open_with(path, options, access::itself())
}

fn open_with(path: &Path, options: &mut fs::OpenOptions, flags: i32) -> io::Result<fs::File> {
    let file = options.custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

#[derive(Debug)]
struct OsFile(fs::File);

impl FsFile for OsFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.0, bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.0.metadata()?))
    }
}

/// Gives the file `len` bytes with blocks behind all of them.
fn allocate(file: &fs::File, len: u64) -> io::Result<()> {
    match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
        // Some platforms allocate without making the file longer.
        Ok(()) => file.set_len(len),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(file, len),
        Err(error) => Err(error.into()),
    }
}

/// What [`allocate`] does where the file system can't: a block that was written is there.
fn write_zeros(mut file: &fs::File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_allocate_leave_no_block_out() {
        let directory = tempfile::tempdir().unwrap();
        for (name, allocate) in [
            (
                "fallocate",
                allocate as fn(&fs::File, u64) -> io::Result<()>,
            ),
            ("zeros", write_zeros),
        ] {
            let path = directory.path().join(name);
            let file = fs::File::create_new(&path).unwrap();
            allocate(&file, 1 << 20).unwrap();
            file.sync_all().unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), 1 << 20, "{name}");
            assert!(
                metadata.blocks() * 512 >= 1 << 20,
                "{name}: {} blocks",
                metadata.blocks()
            );
            assert!(
                fs::read(&path).unwrap().iter().all(|byte| *byte == 0),
                "{name}"
            );
        }
    }
}
