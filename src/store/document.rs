//! A small JSON document in `state/`, shared by processes: tokens, holds, keys.
//!
//! A document is replaced whole, under a lock, so that a reader meets the old one or the new one
//! and two writers lose nothing of each other. The order of a change: lock → read → write a new
//! file → sync it → rename it into place → sync the directory. A death before the rename leaves the
//! old document and a temporary file, which the next change removes.

use std::{io, path::PathBuf, sync::Arc, thread, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    fs::{self, Fs, FsLock, OsFs},
    layout::Layout,
    tmp,
};
use crate::error::{Error, Result};

/// How long a change waits for others.
const PATIENCE: Duration = Duration::from_secs(5);
/// A document has some entries, each of some hundred bytes; the longest may be a webhook's queue.
pub(crate) const LONGEST: u64 = 256 << 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Which file it is: device and inode, length, time of change. A replaced file is another inode.
#[cfg(any(feature = "server", feature = "webhook"))]
pub(crate) type Version = (u64, u64, u64, i64);

#[derive(Clone, Debug)]
pub(crate) struct Document {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    lock: PathBuf,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

impl Document {
    /// `state/<name>.json`, changed under the lock `lock`.
    pub(crate) fn new(layout: &Layout, name: &str, lock: &str) -> Self {
        Self::on(Arc::new(OsFs), layout, name, lock)
    }

    /// The same, on this file system.
    pub(crate) fn on(fs: Arc<dyn Fs>, layout: &Layout, name: &str, lock: &str) -> Self {
        Self {
            fs,
            path: layout.document(name),
            lock: layout.lock(lock),
        }
    }

    #[cfg(any(feature = "server", feature = "webhook"))]
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Which version of the file there is now, if there is one.
    #[cfg(any(feature = "server", feature = "webhook"))]
    pub(crate) fn version(&self) -> Result<Option<Version>> {
        let found = self.fs.identity(&self.path);
        let found = found.map_err(Error::io("look at", &self.path))?;
        Ok(found.map(|found| {
            let modified = found.modified.as_micros();
            (found.device, found.inode, found.len, modified)
        }))
    }

    /// The value in the document; the default if there is no document yet.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self) -> Result<T> {
        match fs::read_at_most(&*self.fs, &self.path, LONGEST) {
            Ok(text) => match serde_json::from_slice::<Versioned<T>>(&text) {
                Ok(document) if document.version == 1 => Ok(document.content),
                Ok(document) => Err(Error::damaged(
                    &self.path,
                    format!(
                        "it has version {}, and this version of tracing-audit reads version \
                        1",
                        document.version
                    ),
                )),
                Err(e) => Err(Error::damaged(&self.path, e.to_string())),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(e) => Err(Error::io("read", &self.path)(e)),
        }
    }

    /// Changes it, unless `change` fails; durable on return.
    pub(crate) fn change<T, R>(&self, change: impl FnOnce(&mut T) -> Result<R>) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        self.change_unless(change)
    }

    /// The same, for changes that can fail in ways of their own.
    pub(crate) fn change_unless<T, R, E>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E>
    where
        T: Serialize + DeserializeOwned + Default,
        E: From<Error>,
    {
        if let Some(root) = self.path.ancestors().nth(2) {
            self.fs.check_owner(root)?;
        }
        let _held = self.take_lock()?;
        let mut content = self.read()?;
        let result = change(&mut content)?;
        let mut text = serde_json::to_vec_pretty(&Versioned {
            version: 1,
            content,
        })
        .expect("texts, numbers and lists are always JSON");
        text.push(b'\n');
        tmp::replace(&*self.fs, &self.path, &text, true).map_err(Error::io("write", &self.path))?;
        Ok(result)
    }

    /// Reads the document under its lock, so that no process changes it meanwhile.
    #[cfg(feature = "webhook")]
    pub(crate) fn look<T: DeserializeOwned + Default, R>(
        &self,
        look: impl FnOnce(T) -> Result<R>,
    ) -> Result<R> {
        let _held = self.take_lock()?;
        look(self.read()?)
    }

    /// The document's text, to be written by [`write`](Self::write).
    #[cfg(feature = "webhook")]
    pub(crate) fn text(content: &impl Serialize) -> Vec<u8> {
        serde_json::to_vec(&Versioned {
            version: 1,
            content,
        })
        .expect("texts, numbers and lists are always JSON")
    }

    /// Replaces the document; the caller holds its lock. Durable on return if `sync`.
    #[cfg(feature = "webhook")]
    pub(crate) fn write(&self, text: &[u8], sync: bool) -> Result<()> {
        tmp::replace(&*self.fs, &self.path, text, sync).map_err(Error::io("write", &self.path))
    }

    fn take_lock(&self) -> Result<Box<dyn FsLock>> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(lock) = self.fs.try_lock(&self.lock)? {
                return Ok(lock);
            }
            if waited >= PATIENCE {
                return Err(Error::io("lock", &self.lock)(
                    io::ErrorKind::TimedOut.into(),
                ));
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }
}
