//! Locks between processes: a file that is held with `flock` for as long as its `Lock` lives, so
//! that a death releases it, whatever children by `fork` live on.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::access;
use crate::{
    error::{Error, Result},
    journal::UnsharedFile,
};

/// A held lock. Dropping it releases it and leaves the file; [`remove`](Self::remove) takes the
/// file away as well. In a child by `fork` it is not held, and neither does anything.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// Dropping it releases the lock.
    file: UnsharedFile,
}

impl Lock {
    /// Takes the lock, unless another holds it: another process, or this one through another
    /// `Lock`.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            let file = UnsharedFile::open(|| access::open_private(path, &options));
            let file = regular(file).map_err(Error::io("open the lock", path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
            }
            // The holder before us may have removed the file we opened; then another may hold its
            // successor.
            if is_at(&file, path).map_err(Error::io("look at the lock", path))? {
                return Ok(Some(Self {
                    path: path.to_owned(),
                    file,
                }));
            }
        }
    }

    /// Whether someone holds the lock. Creates nothing; while it looks, an attempt to take the lock
    /// can fail. A reader of the owner's group can't open it, and counts an existing lock as
    /// held, because closing or recovering a log removes its lock.
    pub(crate) fn is_held(path: &Path) -> Result<bool> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(access::itself());
        let file = match regular(UnsharedFile::open(|| options.open(path))) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
                return Ok(true);
            }
            file => file.map_err(Error::io("open the lock", path))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Error::io("look at the lock", path)(error)),
        }
    }

    /// Releases the lock and removes its file.
    pub(crate) fn remove(self) -> Result<()> {
        if !self.file.is_ours() {
            return Ok(());
        }
        // While it is still held: after that the file may be another's.
        fs::remove_file(&self.path).map_err(Error::io("remove the lock", &self.path))
    }
}

/// An error unless it is a regular file.
fn regular(opened: io::Result<UnsharedFile>) -> io::Result<UnsharedFile> {
    let refused = || {
        let what = "it is not a regular file; find out who put it there, and remove it";
        Err(io::Error::other(what))
    };
    match opened {
        Ok(file) if !file.metadata()?.is_file() => refused(),
        Err(e) if is_no_file(&e) => refused(),
        opened => opened,
    }
}

/// How opening a link, a socket or a directory fails. Some systems have other words for a link.
fn is_no_file(error: &io::Error) -> bool {
    let errors = [Errno::LOOP, Errno::MLINK, Errno::NXIO, Errno::ISDIR];
    let found = error.raw_os_error();
    errors
        .iter()
        .any(|error| found == Some(error.raw_os_error()))
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((held.dev(), held.ino()) == (named.dev(), named.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_until_it_is_dropped_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let held = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        assert!(Lock::is_held(&path).unwrap());
        drop(held);
        assert!(!Lock::is_held(&path).unwrap());
        let held = Lock::try_take(&path).unwrap().unwrap();
        held.remove().unwrap();
        assert!(!path.exists());
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let target = dir.path().join("target");
        fs::write(&target, "").unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kinds: [&dyn Fn(); 5] = [
            &|| rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap(),
            &|| std::os::unix::fs::symlink(&target, &path).unwrap(),
            &|| std::os::unix::fs::symlink("nothing", &path).unwrap(),
            &|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            &|| fs::create_dir(&path).unwrap(),
        ];
        for (kind, make) in kinds.into_iter().enumerate() {
            make();
            let (done, waits) = std::sync::mpsc::channel();
            let at = path.clone();
            std::thread::spawn(move || {
                let _ = done.send((Lock::is_held(&at).map(drop), Lock::try_take(&at).map(drop)));
            });
            let (held, taken) = waits
                .recv_timeout(std::time::Duration::from_secs(60))
                .expect("it waits for nothing");
            for refused in [held, taken] {
                let error = refused.unwrap_err().to_string();
                assert!(error.contains("not a regular file"), "{kind}: {error}");
            }
            assert!(!dir.path().join("nothing").exists());
            let removed = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            removed.unwrap();
        }
    }
}
