//! A file system in memory that loses power, fills up and fails at the worst moment.
//!
//! [`SimFs`] is a handle: clones show the same disk. It tells apart what is *there* and what is
//! *durable*:
//!
//! - A file's bytes are durable once [`FsFile::sync`] returned; what was appended or cut off since
//!   is not.
//! - A name (a file's or directory's entry in its directory) is durable once [`Fs::sync_dir`] of
//!   that directory returned. Each entry stands for itself: after a crash a renamed file may bear
//!   the old name, the new one, both or, if its old directory alone was synced, none. That is more
//!   than a journaling file system does to anyone, and all that POSIX promises.
//!
//! | to play | call | then |
//! |---|---|---|
//! | a process that dies | [`SimFs::kill`] | everything written is there; its handles fail |
//! | power loss, at its worst | [`SimFs::crash`] | only what is durable is there |
//! | power loss, any | [`SimFs::crash_randomly`] | that, and some of what was not |
//! | an operation that fails | [`SimFs::fail`] and [`SimFs::fail_nth`] | the error, and nothing done |
//! | death between two operations | [`SimFs::stop_after`] | all later ones fail, until `kill` or a crash |
//! | a full disk | [`SimFs::limit`] | appends are cut short, then fail with `ENOSPC` |
//!
//! A deleted file can be read and written by who has it open; its identity says it has no links,
//! and its room is free when it is closed. Operations are counted and logged before they are done;
//! looking (`list`, `identity`, `space`) isn't.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use super::fs::{Entry, Fs, FsFile, Identity, Space};

/// One thing the code under test did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// `create_new`, `open_write`, `open_read`, `append`, `read`, `sync`, `truncate`, `create_dir`,
    /// `rename`, `remove_file`, `remove_dir`, `sync_dir`.
    pub(crate) what: &'static str,
    /// The file or directory; of a rename, where from.
    pub(crate) path: PathBuf,
}

/// Decides which operations fail: called with each one's number (from 0) and what it is.
type Fault = Box<dyn FnMut(u64, &Op) -> Option<io::Error> + Send>;

/// The disk. See the [module](self).
#[derive(Clone, Default)]
pub(crate) struct SimFs(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    there: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// All that exist, named or not, for the room they take.
    files: Vec<Weak<Mutex<Content>>>,
    next_inode: u64,
    limit: Option<u64>,
    /// Which process is running: handles of those before are dead.
    life: u64,
    ops: Vec<Op>,
    fault: Option<Fault>,
}

#[derive(Clone)]
enum Node {
    Dir,
    File(u64, Arc<Mutex<Content>>),
}

impl Node {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dir, Self::Dir) => true,
            (Self::File(a, _), Self::File(b, _)) => a == b,
            _ => false,
        }
    }
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// How many bytes from the start are the same in both.
    same: usize,
}

impl SimFs {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// The process dies: its handles are dead, everything it wrote is there.
    pub(crate) fn kill(&self) {
        let mut disk = self.disk();
        disk.life += 1;
        disk.fault = None;
    }

    /// The power fails, and nothing is left of what was not made durable.
    pub(crate) fn crash(&self) {
        self.lose(|| false);
    }

    /// The power fails, and of each thing that was not made durable some is left, by chance: a name
    /// or not, the first bytes that were appended, and of those perhaps only their length, as
    /// zeros.
    pub(crate) fn crash_randomly(&self, seed: u64) {
        let mut state = seed;
        self.lose(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 63 == 1
        });
    }

    fn lose(&self, mut keep: impl FnMut() -> bool) {
        self.kill();
        let mut disk = self.disk();
        let mut left = BTreeMap::new();
        let paths: Vec<PathBuf> = disk
            .there
            .keys()
            .chain(disk.durable.keys())
            .cloned()
            .collect();
        for path in paths {
            let (there, durable) = (disk.there.get(&path), disk.durable.get(&path));
            let synced = matches!((there, durable), (Some(a), Some(b)) if a.is(b));
            let node = if synced || keep() { there } else { durable };
            // Parents come first; what is in a lost directory is lost.
            let reachable = path
                .parent()
                .is_none_or(|parent| parent == Path::new("/") || left.contains_key(parent));
            if let Some(node) = node.filter(|_| reachable) {
                left.entry(path).or_insert_with(|| node.clone());
            }
        }
        for node in left.values_mut() {
            let Node::File(_, content) = node else {
                continue;
            };
            let Content {
                bytes,
                durable,
                same,
            } = &mut *content.lock().unwrap();
            let was_cut = durable.len() > *same;
            if was_cut && !keep() {
                bytes.clone_from(durable);
            } else {
                let appended = bytes.split_off(*same);
                if keep() {
                    let halved =
                        (0..8).fold(appended.len(), |len, _| if keep() { len } else { len / 2 });
                    let zeros = keep();
                    bytes.extend(
                        appended
                            .iter()
                            .take(halved)
                            .map(|byte| if zeros { 0 } else { *byte }),
                    );
                }
                durable.clone_from(bytes);
            }
            *same = bytes.len();
        }
        disk.durable = left.clone();
        disk.there = left;
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
        self.fail(move |number, _| (number >= at).then(eio));
    }

    /// The room for all files' bytes together; `None` for no limit.
    pub(crate) fn limit(&self, bytes: Option<u64>) {
        self.disk().limit = bytes;
    }

    /// How many bytes all files have together.
    pub(crate) fn used(&self) -> u64 {
        self.disk().used()
    }

    pub(crate) fn op_count(&self) -> u64 {
        self.disk().ops.len() as u64
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.disk().ops.clone()
    }

    /// A file's bytes as they are there.
    pub(crate) fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        match self.disk().there.get(path.as_ref())? {
            Node::File(_, content) => Some(content.lock().unwrap().bytes.clone()),
            Node::Dir => None,
        }
    }

    /// Puts a file with these bytes there, durably, with the directories above it.
    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let (mut disk, path, bytes) = (self.disk(), path.as_ref(), bytes.into());
        for dir in path.ancestors().skip(1) {
            disk.there.entry(dir.to_owned()).or_insert(Node::Dir);
            disk.durable.entry(dir.to_owned()).or_insert(Node::Dir);
        }
        let node = disk.new_file(Content {
            same: bytes.len(),
            durable: bytes.clone(),
            bytes,
        });
        disk.there.insert(path.to_owned(), node.clone());
        disk.durable.insert(path.to_owned(), node);
    }

    /// All files below `dir`, in order.
    pub(crate) fn files(&self, dir: impl AsRef<Path>) -> Vec<PathBuf> {
        let disk = self.disk();
        let file = |(path, node): (&PathBuf, &Node)| {
            (path.starts_with(&dir) && matches!(node, Node::File(..))).then(|| path.clone())
        };
        disk.there.iter().filter_map(file).collect()
    }

    fn open(&self, what: &'static str, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut disk = self.disk();
        disk.begin(what, path)?;
        match disk.there.get(path) {
            Some(Node::File(inode, content)) => {
                let (inode, content, life) = (*inode, content.clone(), disk.life);
                Ok(Box::new(SimFile {
                    fs: self.clone(),
                    path: path.to_owned(),
                    inode,
                    content,
                    life,
                    writable: what != "open_read",
                }))
            }
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl Disk {
    /// Counts and logs an operation, or makes it fail.
    fn begin(&mut self, what: &'static str, path: &Path) -> io::Result<()> {
        let (number, op) = (
            self.ops.len() as u64,
            Op {
                what,
                path: path.to_owned(),
            },
        );
        let fault = self.fault.as_mut().and_then(|fault| fault(number, &op));
        self.ops.push(op);
        fault.map_or(Ok(()), Err)
    }

    fn new_file(&mut self, content: Content) -> Node {
        self.next_inode += 1;
        let content = Arc::new(Mutex::new(content));
        self.files.push(Arc::downgrade(&content));
        Node::File(self.next_inode, content)
    }

    fn used(&self) -> u64 {
        self.files
            .iter()
            .filter_map(Weak::upgrade)
            .map(|content| content.lock().unwrap().bytes.len() as u64)
            .sum()
    }

    fn free(&self) -> u64 {
        self.limit
            .map_or(u64::MAX / 2, |limit| limit.saturating_sub(self.used()))
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent)
                if parent != Path::new("/")
                    && !matches!(self.there.get(parent), Some(Node::Dir)) =>
            {
                Err(io::ErrorKind::NotFound.into())
            }
            _ => Ok(()),
        }
    }
}

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut disk = self.disk();
        disk.begin("create_new", path)?;
        disk.parent_exists(path)?;
        if disk.there.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = disk.new_file(Content::default());
        disk.there.insert(path.to_owned(), node.clone());
        let Node::File(inode, content) = node else {
            unreachable!("a new file is one")
        };
        Ok(Box::new(SimFile {
            fs: self.clone(),
            path: path.to_owned(),
            inode,
            content,
            life: disk.life,
            writable: true,
        }))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.open("open_write", path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.open("open_read", path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin("create_dir", path)?;
        let dirs: Vec<_> = path.ancestors().collect();
        for dir in dirs.into_iter().rev() {
            if let Node::File(..) = disk.there.entry(dir.to_owned()).or_insert(Node::Dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin("rename", from)?;
        disk.parent_exists(to)?;
        match disk.there.get(from) {
            Some(Node::File(..)) => {}
            Some(Node::Dir) => return Err(io::Error::other("the store renames no directories")),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        if matches!(disk.there.get(to), Some(Node::Dir)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if let Some(node) = disk.there.remove(from) {
            disk.there.insert(to.to_owned(), node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin("remove_file", path)?;
        match disk.there.get(path) {
            Some(Node::File(..)) => disk
                .there
                .remove(path)
                .map(|_| ())
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin("remove_dir", path)?;
        match disk.there.get(path) {
            Some(Node::Dir) if disk.there.keys().any(|other| other.parent() == Some(path)) => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            Some(Node::Dir) => {
                disk.there.remove(path);
                Ok(())
            }
            Some(Node::File(..)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.begin("sync_dir", path)?;
        if !matches!(disk.there.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |entry: &PathBuf| entry.parent() == Some(path);
        disk.durable.retain(|entry, _| !inside(entry));
        let entries: Vec<_> = disk
            .there
            .iter()
            .filter(|(entry, _)| inside(entry))
            .map(|(p, n)| (p.clone(), n.clone()))
            .collect();
        disk.durable.extend(entries);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let disk = self.disk();
        if matches!(disk.there.get(path), Some(Node::File(..))) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let entry = |(entry, node): (&PathBuf, &Node)| {
            let name = entry
                .strip_prefix(path)
                .ok()
                .filter(|_| entry.parent() == Some(path))?
                .to_string_lossy()
                .into_owned();
            Some(match node {
                Node::Dir => Entry {
                    name,
                    is_dir: true,
                    len: 0,
                },
                Node::File(_, content) => Entry {
                    name,
                    is_dir: false,
                    len: content.lock().unwrap().bytes.len() as u64,
                },
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

/// An open file.
struct SimFile {
    fs: SimFs,
    path: PathBuf,
    inode: u64,
    content: Arc<Mutex<Content>>,
    life: u64,
    writable: bool,
}

impl SimFile {
    fn begin(&self, what: &'static str, writing: bool) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.fs.disk();
        if self.life != disk.life {
            return Err(io::Error::other("a handle of a process that died"));
        }
        if writing && !self.writable {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::BADF.raw_os_error(),
            ));
        }
        disk.begin(what, &self.path)?;
        Ok(disk)
    }
}

impl FsFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let disk = self.begin("append", true)?;
        let room = usize::try_from(disk.free()).unwrap_or(usize::MAX);
        if room == 0 && !bytes.is_empty() {
            return Err(enospc());
        }
        let some = &bytes[..bytes.len().min(room)];
        self.content.lock().unwrap().bytes.extend_from_slice(some);
        Ok(some.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _disk = self.begin("read", false)?;
        let content = self.content.lock().unwrap();
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| content.bytes.get(offset..))
            .unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        let _disk = self.begin("sync", false)?;
        let mut content = self.content.lock().unwrap();
        let Content {
            bytes,
            durable,
            same,
        } = &mut *content;
        durable.truncate(*same);
        durable.extend_from_slice(&bytes[*same..]);
        *same = bytes.len();
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let _disk = self.begin("truncate", true)?;
        let mut content = self.content.lock().unwrap();
        let len = usize::try_from(len).map_err(io::Error::other)?;
        content.bytes.resize(len, 0);
        content.same = content.same.min(len);
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        let disk = self.fs.disk();
        if self.life != disk.life {
            return Err(io::Error::other("a handle of a process that died"));
        }
        let links = disk
            .there
            .values()
            .filter(|node| matches!(node, Node::File(inode, _) if *inode == self.inode))
            .count() as u64;
        Ok(Identity {
            len: self.content.lock().unwrap().bytes.len() as u64,
            links,
            device: 1,
            inode: self.inode,
        })
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({:?})", self.path)
    }
}

#[path = "sim_tests.rs"]
mod tests;
