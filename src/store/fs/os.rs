//! The real file system.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{Entry, Fs, FsFile, FsLock, Identity, Name, Space, Stamp, modified};
use crate::{
    error::Result,
    journal::Region,
    store::{
        access::{self, Permissions},
        layout::Layout,
        lock::Lock,
    },
};
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

/// The way of [`allocate`] where the file system can't: a block that was written is there.
fn write_zeros(mut file: &fs::File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

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
