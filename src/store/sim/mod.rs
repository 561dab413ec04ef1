//! A file system in memory that loses power, fills up and fails at the worst moment.
//!
//! [`SimFs`] is a process's view of a disk: clones are the same process, [`SimFs::process`] gives
//! another one. The disk distinguishes what is *there* from what is *durable*:
//!
//! - A file's bytes are durable once [`FsFile::sync`] returned; what was written or cut off since
//!   is not. A mapped file's pages are durable once its region was synced. What a failed sync could
//!   not make durable no later one does, whatever it says, unless it is written again.
//! - A name (a file's or directory's entry in its directory) is durable once [`Fs::sync_dir`] of
//!   that directory returned.
//!
//! Two models say what a power loss does with the rest:
//!
//! - *POSIX*: nothing unsynced is certain. Each name stands for itself: a renamed file may bear the
//!   old name, the new one, both or, if its old directory alone was synced, none; a removed one may
//!   be back. A file may have any length between what is durable and what is there, and in it each
//!   sector by itself is what is there, what is durable or, where nothing is, zeros.
//! - *Ordered*, as ext4: names change in the order of the operations, and any sync makes all of
//!   them up to then durable. A file grows only with its data. Pages of a mapped file still reach
//!   the disk in any order.
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
//! A process that has a deleted file open can read and write it; its identity says it has no links,
//! and its room is free when it is closed. Operations are counted and logged before they are done;
//! looking (`list`, `identity`, `space`) isn't.

mod content;
mod disk;
mod file;
mod operations;

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

use crate::entry::Timestamp;
use content::Content;
use disk::{Disk, Node, enospc};
use file::SimFile;

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

    /// The process dies: its handles are dead and its locks free, everything it wrote is there.
    /// What this view does from now on, a new process does.
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

    /// After `n` more operations all others are refused: the process is as good as dead.
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

    /// Someone puts an empty directory there, durably.
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

/// The error of an operation that is refused.
pub(crate) fn stopped() -> io::Error {
    io::Error::other("the process has stopped")
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.disk().there.keys()).finish()
    }
}

type Names = BTreeMap<PathBuf, Node>;
