//! Files of the log as something that a download can take slices of.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use data_encoding::HEXLOWER;

use super::pieces::Stored;
use crate::{
    error::{Error, Result},
    store::{
        blob::Blob,
        files::{Files, LiveFile},
        index::Index,
        names::FileStem,
    },
};

/// A sealed file, opened when its bytes are read: there may be more of them than files can be open.
#[derive(Debug)]
pub(super) struct StoredSealed {
    files: Arc<Files>,
    stem: FileStem,
    len: u64,
    pub(super) sha256: String,
}

impl StoredSealed {
    pub(super) fn new(files: &Arc<Files>, index: &Index) -> Self {
        Self {
            files: Arc::clone(files),
            stem: index.stem.clone(),
            len: index.packed_len,
            sha256: HEXLOWER.encode(&index.sha256),
        }
    }
}

impl Stored for StoredSealed {
    fn identity(&self) -> String {
        format!("{} {}", self.stem, self.sha256)
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        let blob = self.files.open_sealed(&self.stem)?;
        if blob.len() == self.len {
            Ok(blob)
        } else {
            Err(Error::damaged(
                blob.path(),
                format!(
                    "it has {} bytes, and had {} when it was sealed",
                    blob.len(),
                    self.len
                ),
            ))
        }
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
