//! The operations of a file system, each of which can fail, or be the last one of a process.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use super::{SimFs, content::Content, disk::Node, file::SimLock};
use crate::{
    entry::Timestamp,
    error::Result,
    journal::Region,
    store::fs::{Entry, Fs, FsFile, FsLock, Identity, Space},
};

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let (inode, content) = self.create("create_new", path, Content::default())?;
        Ok(Box::new(self.handle(path, inode, content, true)))
    }

    fn create_mapped(&self, path: &Path, len: usize) -> io::Result<Region> {
        let words: Arc<[AtomicU64]> = (0..len / 8).map(|_| AtomicU64::new(0)).collect();
        let content = Content::mapped(words.clone(), self.id());
        let (_, content) = self.create("create_mapped", path, content)?;
        let (fs, path, process) = (self.clone(), path.to_owned(), self.id());
        let sync = move |range: std::ops::Range<usize>| {
            let mut disk = fs.disk();
            let mut content = content.lock().unwrap();
            disk.begin(process, "sync_map", &path)
                .inspect_err(|error| {
                    if error.raw_os_error().is_some() {
                        content.fail_sync(Some(range.clone()));
                    }
                })?;
            content.sync(Some(range));
            disk.commit();
            Ok(())
        };
        Ok(Region::simulated(words, Box::new(sync)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(self.open("open_write", path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(self.open("open_read", path)?))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        let disk = self.disk();
        Ok(match disk.there.get(path) {
            None => None,
            Some(Node::File(inode, content)) => Some(disk.identity(*inode, content)),
            Some(Node::Dir) => Some(Identity {
                len: 0,
                links: 1,
                device: 1,
                // A directory that was removed and created again is another one.
                inode: disk.dirs.get(path).copied().unwrap_or(0),
                is_file: false,
                modified: Timestamp::MIN,
            }),
        })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>> {
        let io = crate::error::Error::io("lock", path);
        let taken = || {
            let mut disk = self.disk();
            disk.begin(self.id(), "lock", path)?;
            disk.parent_exists(path)?;
            if disk.locks.contains_key(path) {
                return Ok(false);
            }
            if !disk.there.contains_key(path) {
                let (inode, content) = disk.new_file(Content::default());
                disk.set_name(path, Some(Node::File(inode, content)));
            }
            disk.locks.insert(path.to_owned(), self.id());
            Ok(true)
        };
        Ok(taken().map_err(io)?.then(|| {
            Box::new(SimLock {
                fs: self.clone(),
                path: path.to_owned(),
                process: self.id(),
            }) as Box<dyn FsLock>
        }))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        Ok(self.disk().locks.contains_key(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(self.id(), "create_dir", path)?;
        let dirs: Vec<_> = path.ancestors().collect();
        for dir in dirs.into_iter().rev() {
            match disk.there.get(dir) {
                Some(Node::Dir) => {}
                Some(Node::File(..)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => disk.set_name(dir, Some(Node::Dir)),
            }
        }
        Ok(())
    }

    fn overwrite(&self, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        let file = self.open("overwrite", path)?;
        let watch = self.disk().watch.clone();
        if let Some(watch) = watch.filter(|_| bytes.iter().all(|byte| *byte == 0)) {
            watch(self, path);
        }
        file.overwrite(bytes, offset)?;
        FsFile::sync(&file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(self.id(), "rename", from)?;
        disk.parent_exists(to)?;
        let node = match disk.there.get(from) {
            Some(Node::Dir) if disk.there.keys().any(|other| other.parent() == Some(from)) => {
                return Err(io::Error::other(
                    "the store renames no directories of its own",
                ));
            }
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(node) => node.clone(),
        };
        if matches!(disk.there.get(to), Some(Node::Dir)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        disk.rename(from, to, node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(self.id(), "remove_file", path)?;
        match disk.there.get(path) {
            Some(Node::File(..)) => {}
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        if let Some(watch) = disk.watch.clone() {
            drop(disk);
            watch(self, path);
            disk = self.disk();
        }
        disk.set_name(path, None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(self.id(), "remove_dir", path)?;
        match disk.there.get(path) {
            Some(Node::Dir) if disk.there.keys().any(|other| other.parent() == Some(path)) => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(Node::Dir) => disk.set_name(path, None),
            Some(Node::File(..)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin(self.id(), "sync_dir", path)?;
        disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let disk = self.disk();
        if matches!(disk.there.get(path), Some(Node::File(..))) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let entry = |(entry, node): (&PathBuf, &Node)| {
            let inside = entry.parent() == Some(path);
            let name = entry.strip_prefix(path).ok().filter(|_| inside)?;
            let (is_file, len, modified) = match node {
                Node::Dir => (false, 0, Timestamp::MIN),
                Node::File(_, content) => {
                    let content = content.lock().unwrap();
                    (true, content.len(), content.modified)
                }
            };
            Some(Entry {
                name: name.to_string_lossy().into_owned(),
                is_dir: !is_file,
                is_file,
                len,
                modified,
            })
        };
        Ok(disk.there.iter().filter_map(entry).collect())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let disk = self.disk();
        Ok(Space {
            free: disk.free(),
            total: disk.limit.unwrap_or(u64::MAX / 2),
        })
    }
}
