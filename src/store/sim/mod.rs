//! A file system in memory that loses power, fills up and fails at the worst moment.
//!
//! [`SimFs`] is a process's view of a disk: clones are the same process, [`SimFs::process`] gives
//! another one. The disk tells apart what is *there* and what is *durable*:
//!
//! - A file's bytes are durable once [`FsFile::sync`] returned; what was written or cut off since is
//!   not. A mapped file's pages are durable once its region was synced. What a failed sync could not
//!   make durable no later one does, whatever it says, unless it is written again.
//! - A name (a file's or directory's entry in its directory) is durable once [`Fs::sync_dir`] of
//!   that directory returned.
//!
//! Two models say what a power loss does with the rest:
//!
//! - *POSIX*: nothing unsynced is certain. Each name stands for itself: a renamed file may bear the
//!   old name, the new one, both or, if its old directory alone was synced, none; a removed one may
//!   be back. A file may have any length between what is durable and what is there, and in it each
//!   sector by itself is what is there, what is durable or, where nothing is, zeros.
//! - *Ordered*, as ext4: names change in the order of the operations, and any sync makes all of them
//!   up to then durable. A file grows only with its data. Pages of a mapped file still reach the disk
//!   in any order.
//!
//! | to play | call | then |
//! |---|---|---|
//! | a process that dies | [`SimFs::kill`] | everything written is there; its handles fail |
//! | power loss, at its worst | [`SimFs::crash`] | only what is durable is there |
//! | power loss, any | [`SimFs::crash_randomly`] | that, and some of what was not, in a model |
//! | an operation that fails | [`SimFs::fail`] and [`SimFs::fail_nth`] | the error, and nothing done |
//! | death between two operations | [`SimFs::stop_after`] | all later ones fail, until `kill` or a crash |
//! | a full disk | [`SimFs::limit`] | appends are cut short, then fail with `ENOSPC` |
//!
//! A deleted file can be read and written by who has it open; its identity says it has no links, and
//! its room is free when it is closed. Operations are counted and logged before they are done;
//! looking (`list`, `identity`, `space`) isn't.

mod content;
mod disk;
mod file;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::fs::{Entry, Fs, FsFile, FsLock, Identity, Space};
use crate::{entry::Timestamp, error::Result, journal::Region};
use content::Content;
use disk::{Disk, Node, enospc};
use file::{SimFile, SimLock};

/// One thing the code under test did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// `create_new`, `create_mapped`, `open_write`, `open_read`, `append`, `read`, `sync`,
    /// `sync_map`, `truncate`, `overwrite` (then `sync`), `create_dir`, `rename`, `remove_file`,
    /// `remove_dir`, `sync_dir`, `lock`.
    pub(crate) what: &'static str,
    /// The file or directory; of a rename, where from.
    pub(crate) path: PathBuf,
}

/// What a power loss does with what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    Posix,
    Ordered,
}

/// A process's view of the disk. See the [module](self).
#[derive(Clone)]
pub(crate) struct SimFs {
    disk: Arc<Mutex<Disk>>,
    process: Arc<AtomicU64>,
}

impl Default for SimFs {
    fn default() -> Self {
        let disk = Arc::new(Mutex::new(Disk::default()));
        let process = Arc::new(AtomicU64::new(0));
        Self { disk, process }
    }
}

impl SimFs {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The view of another process.
    pub(crate) fn process(&self) -> Self {
        let process = Arc::new(AtomicU64::new(self.disk().next_process()));
        Self {
            disk: self.disk.clone(),
            process,
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A fault may be a panic.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> u64 {
        self.process.load(Ordering::Relaxed)
    }

    /// The process dies: its handles are dead and its locks free, everything it wrote is there. What
    /// this view does from now on, a new process does.
    pub(crate) fn kill(&self) {
        let mut disk = self.disk();
        disk.fault = None;
        disk.end_process(self.id());
        self.process.store(disk.next_process(), Ordering::Relaxed);
    }

    /// The process dies, and is not followed by another.
    pub(crate) fn end(&self) {
        self.disk().end_process(self.id());
    }

    /// The power fails, and nothing is left of what was not made durable.
    pub(crate) fn crash(&self) {
        self.lose(Model::Posix, || false);
    }

    /// The power fails, and of each thing that was not made durable some is left, by chance.
    pub(crate) fn crash_randomly(&self, model: Model, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        self.lose(model, move || random.bool());
    }

    fn lose(&self, model: Model, keep: impl FnMut() -> bool) {
        let mut disk = self.disk();
        disk.fault = None;
        disk.lose_power(model, keep);
        self.process.store(disk.next_process(), Ordering::Relaxed);
    }

    /// From now on, operations for which `fault` gives an error fail with it. Their number is
    /// [`op_count`](Self::op_count) when they begin.
    pub(crate) fn fail(&self, fault: impl FnMut(u64, &Op) -> Option<io::Error> + Send + 'static) {
        self.disk().fault = Some(Box::new(fault));
    }

    /// Takes back [`fail`](Self::fail), [`fail_nth`](Self::fail_nth) and
    /// [`stop_after`](Self::stop_after).
    pub(crate) fn heal(&self) {
        self.disk().fault = None;
    }

    /// The operation after `n` more fails with `EIO`.
    pub(crate) fn fail_nth(&self, n: u64) {
        let at = self.op_count() + n;
        self.fail(move |number, _| (number == at).then(eio));
    }

    /// After `n` more operations none is done any more: the process is as good as dead.
    pub(crate) fn stop_after(&self, n: u64) {
        let at = self.op_count() + n;
        self.fail(move |number, _| (number >= at).then(stopped));
    }

    /// The room for all files' bytes together; `None` for no limit.
    pub(crate) fn limit(&self, bytes: Option<u64>) {
        self.disk().limit = bytes;
    }

    /// How many bytes all files have together.
    pub(crate) fn used(&self) -> u64 {
        self.disk().used()
    }

    /// The time by which files are modified.
    pub(crate) fn set_time(&self, now: Timestamp) {
        self.disk().now = now;
    }

    pub(crate) fn op_count(&self) -> u64 {
        self.disk().ops.len() as u64
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.disk().ops.clone()
    }

    /// `watch` is called before a file is removed, or a part of it is written over with zeros, with
    /// the disk as it is then.
    pub(crate) fn watch_removals(&self, watch: impl Fn(&Self, &Path) + Send + Sync + 'static) {
        self.disk().watch = Some(Arc::new(watch));
    }

    /// Another disk, with what the power failing now would leave at its worst.
    pub(crate) fn after_crash(&self) -> Self {
        let other = Self {
            disk: Arc::new(Mutex::new(self.disk().copy())),
            ..Self::default()
        };
        other.crash();
        other
    }

    /// A file's bytes as they are there.
    pub(crate) fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        match self.disk().there.get(path.as_ref())? {
            Node::File(_, content) => Some(content.lock().unwrap().current()),
            Node::Dir => None,
        }
    }

    /// Puts a file with these bytes there, durably, with the directories above it.
    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.disk().put(path.as_ref(), bytes.into());
    }

    /// Someone changes a file's bytes in place, durably.
    pub(crate) fn change(&self, path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
        let disk = self.disk();
        let Some(Node::File(_, content)) = disk.there.get(path.as_ref()) else {
            return;
        };
        let mut content = content.lock().unwrap();
        let mut bytes = content.current();
        change(&mut bytes);
        *content.plain(..) = bytes;
        content.sync(None);
    }

    /// Someone takes a name away, durably. Who has the file open keeps it.
    pub(crate) fn take_away(&self, path: impl AsRef<Path>) {
        self.disk().take_away(path.as_ref());
    }

    /// Someone gives a file another name, durably.
    pub(crate) fn move_away(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        self.disk().move_away(from.as_ref(), to.as_ref());
    }

    /// Someone puts what is no file there, durably: here, an empty directory.
    pub(crate) fn put_dir(&self, path: impl AsRef<Path>) {
        self.disk().put_dir(path.as_ref());
    }

    /// All files below `dir`, in order.
    pub(crate) fn files(&self, dir: impl AsRef<Path>) -> Vec<PathBuf> {
        let disk = self.disk();
        let file = |(path, node): (&PathBuf, &Node)| {
            (path.starts_with(&dir) && matches!(node, Node::File(..))).then(|| path.clone())
        };
        disk.there.iter().filter_map(file).collect()
    }

    fn open(&self, what: &'static str, path: &Path) -> io::Result<SimFile> {
        let mut disk = self.disk();
        disk.begin(self.id(), what, path)?;
        match disk.there.get(path) {
            Some(Node::File(inode, content)) => {
                let (inode, content) = (*inode, content.clone());
                drop(disk);
                Ok(self.handle(path, inode, content, what != "open_read"))
            }
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn handle(
        &self,
        path: &Path,
        inode: u64,
        content: Arc<Mutex<Content>>,
        writable: bool,
    ) -> SimFile {
        content.lock().unwrap().handles += 1;
        SimFile {
            fs: self.clone(),
            path: path.to_owned(),
            inode,
            content,
            process: self.id(),
            writable,
        }
    }

    fn create(
        &self,
        what: &'static str,
        path: &Path,
        content: Content,
    ) -> io::Result<(u64, Arc<Mutex<Content>>)> {
        let mut disk = self.disk();
        disk.begin(self.id(), what, path)?;
        disk.parent_exists(path)?;
        if disk.there.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if content.len() > disk.free() {
            return Err(enospc());
        }
        let (inode, content) = disk.new_file(content);
        disk.set_name(path, Some(Node::File(inode, content.clone())));
        Ok((inode, content))
    }
}

/// What an operation fails with that isn't done any more.
pub(crate) fn stopped() -> io::Error {
    io::Error::other("nothing is done any more")
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

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
                // A directory made anew is another.
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

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.disk().there.keys()).finish()
    }
}

type Names = BTreeMap<PathBuf, Node>;
