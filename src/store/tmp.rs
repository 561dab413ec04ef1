//! Files that are made elsewhere and appear in their place whole and durable, or not at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    fs::{self, Fs, FsFile},
    layout::Layout,
    root,
};
use crate::error::{Error, Result};

/// A half-made file in `state/tmp`. Dropping it removes it.
#[derive(Debug)]
pub(super) struct TmpFile<'a> {
    file: Box<dyn FsFile>,
    name: Name<'a>,
    root: PathBuf,
}

/// The name of a half-made file.
#[derive(Debug)]
struct Name<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    published: bool,
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        if !self.published {
            // A file that can't be removed now is removed when the stream is recovered.
            let _ = self.fs.remove_file(&self.path);
        }
    }
}

impl<'a> TmpFile<'a> {
    /// Creates a file that is to be called `name` in the end.
    pub(super) fn create(fs: &'a dyn Fs, layout: &Layout, name: &str) -> Result<Self> {
        let dir = layout.tmp_dir();
        root::create_dir(fs, layout.root(), &dir)?;
        loop {
            // Random, because neither a process id nor a counter distinguishes two containers.
            let path = dir.join(format!("{name}.{:016x}.tmp", fastrand::u64(..)));
            match fs.create_new(&path) {
                Ok(file) => {
                    let published = false;
                    let name = Name {
                        fs,
                        path,
                        published,
                    };
                    let root = layout.root().to_owned();
                    return Ok(Self { file, name, root });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", path)(e)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.name.path
    }

    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        fs::append_all(&*self.file, bytes).map_err(Error::io("write", self.path()))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("sync", self.path()))
    }

    /// Gives the synced file its name, `dir/name`, and makes that durable; `parent` is where `dir`
    /// is. The file stays open.
    ///
    /// # Errors
    ///
    /// After an error the file may have its name, without that being durable.
    pub(super) fn publish(
        mut self,
        parent: &Path,
        dir: &Path,
        name: &Path,
    ) -> Result<Box<dyn FsFile>> {
        let Name {
            fs,
            path,
            published,
        } = &mut self.name;
        root::create_dir(*fs, &self.root, dir)?;
        fs.rename(path, name).map_err(Error::io("rename", &*path))?;
        *published = true;
        sync_dirs(*fs, &[dir, parent])?;
        Ok(self.file)
    }
}

/// Makes the entries of these directories durable.
pub(super) fn sync_dirs(fs: &dyn Fs, dirs: &[&Path]) -> Result<()> {
    dirs.iter()
        .try_for_each(|dir| fs.sync_dir(dir).map_err(Error::io("sync", dir)))
}

/// Gives a small file a new content, whole or not at all; durable on return if `sync`. The
/// caller holds a lock, because the new content has the name `<path>.tmp` until it is whole.
pub(crate) fn replace(fs: &dyn Fs, path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = Path::new(&tmp);
    // A leftover of a dead process is not written to: another process may have it open.
    fs::remove_if_there(fs, tmp)?;
    let write = || {
        let file = fs.create_new(tmp)?;
        fs::append_all(&*file, content)?;
        if sync {
            file.sync()?;
        }
        fs.rename(tmp, path)
    };
    // A half-made file takes room on a disk that may be full.
    write().inspect_err(|_| drop(fs.remove_file(tmp)))?;
    if sync {
        fs.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}
