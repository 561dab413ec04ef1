//! The live file: where lines are appended.
//!
//! What holds between two calls: the file's first `len` bytes are complete lines, and the first
//! `synced` of them are durable. If bytes beyond `len` could not be cut off again, that is made up
//! for before anything else is written.

use std::io;

use super::{
    fs::{self, Fs, FsFile},
    layout::Layout,
    names::FileStem,
};
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Live {
    file: Box<dyn FsFile>,
    pub(super) stem: FileStem,
    pub(super) len: u64,
    pub(super) synced: u64,
    /// Bytes of a failed write may lie beyond `len`.
    ragged: bool,
}

/// What became of the file behind our back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tampered {
    /// Its name is gone, or another file bears it. Ours is still readable.
    Gone,
    /// It is shorter than what was written.
    Cut {
        /// Its length now.
        len: u64,
    },
}

impl Live {
    /// Creates the file; its name is durable on return.
    pub(super) fn create(fs: &dyn Fs, layout: &Layout, stem: FileStem) -> Result<Self> {
        let path = layout.live(&stem);
        let file = match fs.create_new(&path) {
            // Someone removed the directory.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs.create_dir_all(&layout.live_dir())
                    .map_err(Error::io("create", layout.live_dir()))?;
                fs.create_new(&path)
            }
            file => file,
        }
        .map_err(Error::io("create", &path))?;
        fs.sync_dir(&layout.live_dir())
            .map_err(Error::io("sync", layout.live_dir()))?;
        Ok(Self {
            file,
            stem,
            len: 0,
            synced: 0,
            ragged: false,
        })
    }

    /// Appends complete lines; all of them or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.even_out()?;
        if let Err(error) = fs::append_all(&*self.file, lines) {
            self.ragged = true;
            // Tried again before the next write if it fails now.
            let _ = self.even_out();
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    fn even_out(&mut self) -> io::Result<()> {
        if self.ragged {
            self.file.truncate(self.len)?;
            self.ragged = false;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced = self.len;
        Ok(())
    }

    /// Cuts off what is not durable, after a failed sync: the kernel may have thrown it away,
    /// whatever a second sync says. The cut is itself durable on return.
    pub(super) fn cut_to_synced(&mut self) -> io::Result<()> {
        self.len = self.synced;
        self.ragged = true;
        self.even_out()?;
        self.file.sync()
    }

    /// Whether what is open still is a file with a name and as long as it should be. Cheaper than
    /// [`tampered`](Self::tampered), which also looks whether the name is still its own.
    pub(super) fn looks_whole(&self) -> io::Result<bool> {
        let ours = self.file.identity()?;
        Ok(ours.links > 0 && ours.len >= self.len)
    }

    /// Whether the file still is where and what it should be.
    pub(super) fn tampered(&self, fs: &dyn Fs, layout: &Layout) -> io::Result<Option<Tampered>> {
        let ours = self.file.identity()?;
        if ours.len < self.len {
            return Ok(Some(Tampered::Cut { len: ours.len }));
        }
        let named = match fs.open_read(&layout.live(&self.stem)) {
            Ok(file) => file.identity()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(Tampered::Gone)),
            Err(e) => return Err(e),
        };
        let same = ours.links > 0 && (named.device, named.inode) == (ours.device, ours.inode);
        Ok((!same).then_some(Tampered::Gone))
    }

    /// Reads back what was written.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        fs::read_full_at(&*self.file, buffer, offset)
    }
}
