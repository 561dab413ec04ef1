//! Files that are made elsewhere and appear in their place whole and durable, or not at all.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    fs::{self, Fs, FsFile},
    layout::Layout,
    names::FileStem,
};
use crate::error::{Error, Result};

/// A half-made file in `state/tmp`. Dropping it removes it.
#[derive(Debug)]
pub(super) struct TmpFile<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    file: Box<dyn FsFile>,
    published: bool,
}

impl<'a> TmpFile<'a> {
    pub(super) fn create(
        fs: &'a dyn Fs,
        layout: &Layout,
        stem: &FileStem,
        ending: &str,
    ) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let dir = layout.tmp_dir();
        fs.create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        loop {
            // The process id in the name doesn't tell apart two containers, nor the number two
            // threads of theirs.
            let path = layout.tmp(
                stem,
                &format!("{ending}.{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            );
            match fs.create_new(&path) {
                Ok(file) => {
                    return Ok(Self {
                        fs,
                        path,
                        file,
                        published: false,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", path)(e)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        fs::append_all(&*self.file, bytes).map_err(Error::io("write", &self.path))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("sync", &self.path))
    }

    /// Gives the synced file its name, `dir/name`, and makes that durable; `parent` is where `dir`
    /// is.
    pub(super) fn publish(mut self, parent: &Path, dir: &Path, name: &Path) -> Result<()> {
        self.fs
            .create_dir_all(dir)
            .map_err(Error::io("create", dir))?;
        self.fs
            .rename(&self.path, name)
            .map_err(Error::io("rename", &self.path))?;
        self.published = true;
        sync_dirs(self.fs, &[dir, parent])
    }
}

impl Drop for TmpFile<'_> {
    fn drop(&mut self) {
        if !self.published {
            // What can't be removed now is removed when the directory is opened next.
            let _ = self.fs.remove_file(&self.path);
        }
    }
}

/// Makes the entries of these directories durable.
pub(super) fn sync_dirs(fs: &dyn Fs, dirs: &[&Path]) -> Result<()> {
    dirs.iter()
        .try_for_each(|dir| fs.sync_dir(dir).map_err(Error::io("sync", dir)))
}
