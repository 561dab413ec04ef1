//! A file system for readers on which something happens before a step.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::Result,
    journal::Region,
    store::fs::{Entry, Fs, FsFile, FsLock, Identity, OsFs, ReadOnly, Space, Stamp},
};

/// Called before a file is opened or a directory is listed; may refuse it.
type Before = Box<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// Nothing can be changed through it.
pub(super) struct Meddled(ReadOnly, Before);

impl Meddled {
    pub(super) fn new(before: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        Self::refusing(move |path| {
            before(path);
            Ok(())
        })
    }

    pub(super) fn refusing(
        before: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(ReadOnly(Arc::new(OsFs)), Box::new(before))
    }
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

impl Fs for Meddled {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.create_new(path)
    }
    fn create_mapped(&self, path: &Path, len: usize) -> io::Result<Region> {
        self.0.create_mapped(path, len)
    }
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.open_write(path)
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        (self.1)(path)?;
        self.0.open_read(path)
    }
    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        self.0.identity(path)
    }
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.resolve(path)
    }
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>> {
        self.0.try_lock(path)
    }
    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.0.is_locked(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn overwrite(&self, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.overwrite(path, bytes, offset)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        (self.1)(path)?;
        self.0.list(path)
    }
    fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.0.stamp(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }
}
