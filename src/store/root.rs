//! The log's directory, known by its device and inode and not by its name.
//!
//! Paths are resolved when a log is opened. When someone renames the directory later, the old name
//! leads nowhere, or to another log. Open files stay usable: the live file and the journal go with
//! the directory. But nothing is created under the old name, or entries of one log would lie in
//! two.

use std::{io, path::Path};

use super::{
    fs::{Fs, Identity},
    layout::Layout,
};
use crate::error::{Error, Result};

/// The directory that was opened; `None` if it could not be looked at then.
#[derive(Debug)]
pub(super) struct Root(Option<Identity>);

impl Root {
    pub(super) fn of(fs: &dyn Fs, layout: &Layout) -> Self {
        Self(fs.identity(layout.root()).ok().flatten())
    }

    /// Whether its name still stands for it. A name that can't be looked at counts as there.
    pub(super) fn is_there(&self, fs: &dyn Fs, layout: &Layout) -> bool {
        match (&self.0, fs.identity(layout.root())) {
            (Some(ours), Ok(found)) => found.is_some_and(|found| found.is_same(ours)),
            _ => true,
        }
    }

    /// An error if something else has its name, or nothing.
    pub(super) fn check(&self, fs: &dyn Fs, layout: &Layout) -> Result<()> {
        match self.is_there(fs, layout) {
            true => Ok(()),
            false => Err(moved(layout.root(), layout.root())),
        }
    }
}

/// Creates a directory below `root`, where missing, but never `root` itself.
pub(super) fn create_dir(fs: &dyn Fs, root: &Path, dir: &Path) -> Result<()> {
    match fs.identity(root).map_err(Error::io("look at", root))? {
        Some(_) => fs.create_dir_all(dir).map_err(Error::io("create", dir)),
        None => Err(moved(root, dir)),
    }
}

fn moved(root: &Path, path: &Path) -> Error {
    let what = format!(
        "{} is not the directory in which the log was opened; events wait in the journal until it \
         has its name again, or until the process opens the log where it is now",
        root.display()
    );
    Error::io("create files in", path)(io::Error::new(io::ErrorKind::NotFound, what))
}
