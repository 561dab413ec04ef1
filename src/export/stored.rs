//! Files of the log as something that a download can take slices of.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::pieces::Stored;
use crate::{
    error::{Error, Result},
    store::{
        blob::Blob,
        files::{Files, LiveFile},
        gzip::Unpacker,
        index::{Block, Index},
        layout::sealed_name,
        names::FileStem,
    },
};

/// A sealed file, opened when its bytes are read: there may be more of them than files can be open.
///
/// Its blocks are copied without looking into them, so the file is compared with the SHA-256 that
/// sealing noted before the first of its bytes is given away. That is much faster than to unpack
/// it, and the next time a checksum of the same bytes is enough, which is as fast as copying. Only
/// if they differ, the blocks that are copied are read: damage elsewhere in the file does not
/// matter.
#[derive(Debug)]
pub(super) struct StoredSealed {
    files: Arc<Files>,
    stem: FileStem,
    len: u64,
    sha256: [u8; 32],
    /// Where the blocks lie that are copied.
    copied: Range<u64>,
}

impl StoredSealed {
    pub(super) fn new(files: &Arc<Files>, index: &Index, copied: Range<u64>) -> Self {
        Self {
            files: Arc::clone(files),
            stem: index.stem.clone(),
            len: index.packed_len,
            sha256: index.sha256,
            copied,
        }
    }

    /// The SHA-256 that sealing noted, as 64 hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        HEXLOWER.encode(&self.sha256)
    }

    fn is_as_sealed(&self, blob: &dyn Blob) -> Result<bool> {
        let mut checksum = Xxh3::new();
        if let Some(compared) = self.files.compared(&self.stem) {
            read_all(blob, |bytes| checksum.update(bytes))?;
            return Ok(checksum.digest128() == compared);
        }
        let mut sha256 = Sha256::new();
        read_all(blob, |bytes| {
            checksum.update(bytes);
            sha256.update(bytes);
        })?;
        let is_same = sha256.finalize()[..] == self.sha256;
        if is_same {
            self.files.note_compared(&self.stem, checksum.digest128());
        }
        Ok(is_same)
    }

    fn check(&self, blob: &dyn Blob) -> Result<()> {
        if blob.len() != self.len {
            let (len, sealed) = (blob.len(), self.len);
            let what = format!("it has {len} bytes, and had {sealed} when it was sealed");
            return Err(Error::damaged(blob.path(), what));
        }
        if self.copied.is_empty() || self.is_as_sealed(blob)? {
            return Ok(());
        }
        let index = self.files.index(&self.stem)?;
        let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
        let copied = |block: &&Block| self.copied.contains(&block.packed_offset);
        let mut blocks = index.blocks.iter().filter(copied);
        blocks.try_for_each(|block| unpacker.block(blob, block, &mut plain))
    }
}

/// Gives all bytes of a file to `take`.
fn read_all(blob: &dyn Blob, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = 0;
    loop {
        let read = blob.read_at(&mut buffer, offset);
        let read = read.map_err(Error::io("read", blob.path()))?;
        if read == 0 {
            return Ok(());
        }
        take(&buffer[..read]);
        offset += read as u64;
    }
}

impl Stored for StoredSealed {
    fn identity(&self) -> String {
        format!("{} {}", self.stem, self.sha256())
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        let opened = self.files.open_sealed(&self.stem).and_then(|blob| {
            self.check(&*blob)?;
            Ok(blob)
        });
        opened.map_err(|error| {
            let what = if error.is_not_found() {
                "it was removed before it was read".to_owned()
            } else {
                error.without_path()
            };
            let file = sealed_name(&self.stem);
            Error::NotWhole { file, what }
        })
    }
}

/// A live file: one per stream, so it can stay open, and readable when it is sealed and removed
/// during a long download.
///
/// It is made durable before the first of its bytes is read and not when it is planned: what comes
/// before it in the download need not wait for the disk.
#[derive(Debug)]
pub(super) struct StoredLive {
    file: Arc<LiveFile>,
    /// Whether that went well; `None` before it was tried.
    durable: Mutex<Option<bool>>,
}

impl StoredLive {
    pub(super) fn new(file: Arc<LiveFile>) -> Self {
        Self {
            file,
            durable: Mutex::default(),
        }
    }
}

impl Stored for StoredLive {
    /// Its lines don't change, and their checksum stands in front of the entry: the name is enough.
    fn identity(&self) -> String {
        format!("{} live", self.file.stem)
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        match *durable {
            Some(true) => {}
            // Bytes that a failed sync did not write may be gone, even if the next sync succeeds.
            Some(false) => {
                return Err(Error::io("sync", self.file.path())(io::Error::other(
                    "an earlier sync of it failed, and a later sync doesn't bring back what that \
                     one lost",
                )));
            }
            None => {
                let synced = self.file.make_durable();
                *durable = Some(synced.is_ok());
                synced?;
            }
        }
        Ok(Arc::clone(&self.file) as Arc<dyn Blob>)
    }
}
