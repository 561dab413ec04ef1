//! Bytes that can be read anywhere: a sealed file, wherever it is.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::fs::{Fs, FsFile};
use crate::error::{Error, Result};

/// An immutable file, local or remote.
pub(crate) trait Blob: fmt::Debug + Send + Sync {
    /// The file's path, for messages.
    fn path(&self) -> &Path;
    /// Its length.
    fn len(&self) -> u64;
    /// Reads some bytes from `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Fills `buffer` from `offset`. A blob that is shorter is damaged.
pub(crate) fn read_exact(blob: &dyn Blob, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
    while !buffer.is_empty() {
        match blob.read_at(buffer, offset) {
            Ok(0) => {
                return Err(Error::damaged(
                    blob.path(),
                    format!("it ends at byte {offset}, too early"),
                ));
            }
            Ok(n) => {
                buffer = buffer.get_mut(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", blob.path())(e)),
        }
    }
    Ok(())
}

/// A local file, as long as it was when it was opened. It stays readable when it is deleted.
#[derive(Debug)]
pub(crate) struct FileBlob {
    path: PathBuf,
    file: Box<dyn FsFile>,
    len: u64,
}

impl FileBlob {
    pub(crate) fn open(fs: &dyn Fs, path: PathBuf) -> Result<Self> {
        let file = fs.open_read(&path).map_err(Error::io("open", &path))?;
        let len = file.identity().map_err(Error::io("look at", &path))?.len;
        Ok(Self { path, file, len })
    }
}

impl Blob for FileBlob {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// Bytes in memory.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

#[cfg(test)]
impl Blob for Bytes {
    fn path(&self) -> &Path {
        Path::new("bytes")
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}
