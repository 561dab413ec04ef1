//! A file system that nobody changes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Entry, Fs, FsFile, FsLock, Identity, Name, Space, Stamp};
use crate::{
    error::{Error, Result},
    journal::Region,
    store::layout::Layout,
};
/// The reading side of another file system: every change through it fails.
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
