//! Open files and held locks.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Content, Disk, SimFs, enospc};
use crate::{
    error::{Error, Result},
    store::fs::{FsFile, FsLock, Identity},
};

/// An open file.
pub(super) struct SimFile {
    pub(super) fs: SimFs,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) content: Arc<Mutex<Content>>,
    pub(super) process: u64,
    pub(super) writable: bool,
}

impl SimFile {
    fn begin(&self, what: &'static str, writing: bool) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.fs.disk();
        if writing && !self.writable {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::BADF.raw_os_error(),
            ));
        }
        disk.begin(self.process, what, &self.path)?;
        Ok(disk)
    }
}

impl SimFile {
    /// Writes over a part of the file, which the power failing then may leave in parts.
    pub(super) fn overwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let disk = self.fs.disk();
        let mut content = self.content.lock().unwrap();
        content.modified = disk.now;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let range = at..at + bytes.len();
        let part = content.plain(range.clone()).get_mut(range);
        part.ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(bytes);
        Ok(())
    }
}

impl FsFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let disk = self.begin("append", true)?;
        let room = usize::try_from(disk.free()).unwrap_or(usize::MAX);
        if room == 0 && !bytes.is_empty() {
            return Err(enospc());
        }
        let some = &bytes[..bytes.len().min(room)];
        let mut content = self.content.lock().unwrap();
        let end = content.len() as usize;
        content.plain(end..).extend_from_slice(some);
        content.modified = disk.now;
        Ok(some.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _disk = self.begin("read", false)?;
        let bytes = self.content.lock().unwrap().current();
        let offset = usize::try_from(offset).ok();
        let rest = offset.and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = match self.begin("sync", false) {
            Err(error) => {
                // Unless all operations are refused: then nothing is given up either.
                if error.raw_os_error().is_some() {
                    self.content.lock().unwrap().fail_sync(None);
                }
                return Err(error);
            }
            disk => disk?,
        };
        self.content.lock().unwrap().sync(None);
        disk.commit();
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let disk = self.begin("truncate", true)?;
        let mut content = self.content.lock().unwrap();
        let len = usize::try_from(len).map_err(io::Error::other)?;
        content.plain(len..).resize(len, 0);
        content.modified = disk.now;
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        let disk = self.fs.disk();
        disk.alive(self.process)?;
        Ok(disk.identity(self.inode, &self.content))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.content.lock().unwrap().handles -= 1;
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({:?})", self.path)
    }
}

/// A held lock.
pub(super) struct SimLock {
    pub(super) fs: SimFs,
    pub(super) path: PathBuf,
    pub(super) process: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.fs.disk();
        if disk.locks.get(&self.path) == Some(&self.process) {
            disk.locks.remove(&self.path);
        }
    }
}

impl FsLock for SimLock {
    fn remove(self: Box<Self>) -> Result<()> {
        let mut disk = self.fs.disk();
        let io = Error::io("remove the lock", &self.path);
        disk.begin(self.process, "remove_file", &self.path)
            .map_err(io)?;
        disk.set_name(&self.path, None);
        Ok(())
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimLock({:?})", self.path)
    }
}
