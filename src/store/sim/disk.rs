//! What is on the disk, and which processes use it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
};

use super::{Content, Model, Names, Op, SimFs};
use crate::{entry::Timestamp, store::fs::Identity};

/// Decides which operations fail: called with each one's number (from 0) and what it is.
pub(super) type Fault = Box<dyn FnMut(u64, &Op) -> Option<io::Error> + Send>;

/// Called before a file is removed.
pub(super) type Watch = Arc<dyn Fn(&SimFs, &Path) + Send + Sync>;

pub(super) struct Disk {
    pub(super) there: Names,
    durable: Names,
    /// The names after each change since the last sync: what an ordered file system may fall back
    /// to.
    history: Vec<Names>,
    /// Inodes of directories.
    pub(super) dirs: BTreeMap<PathBuf, u64>,
    /// All that exist, named or not, for the room they take.
    files: Vec<(u64, Weak<Mutex<Content>>)>,
    next_inode: u64,
    pub(super) limit: Option<u64>,
    pub(super) now: Timestamp,
    processes: u64,
    dead: BTreeSet<u64>,
    /// Held by which process.
    pub(super) locks: BTreeMap<PathBuf, u64>,
    pub(super) ops: Vec<Op>,
    pub(super) fault: Option<Fault>,
    pub(super) watch: Option<Watch>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            there: Names::new(),
            durable: Names::new(),
            history: Vec::new(),
            dirs: BTreeMap::new(),
            files: Vec::new(),
            next_inode: 0,
            limit: None,
            now: Timestamp::MIN,
            processes: 0,
            dead: BTreeSet::new(),
            locks: BTreeMap::new(),
            ops: Vec::new(),
            fault: None,
            watch: None,
        }
    }
}

#[derive(Clone)]
pub(super) enum Node {
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

pub(super) fn enospc() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl Disk {
    /// Another disk with the same on it.
    pub(super) fn copy(&self) -> Self {
        let copied = |names: &Names| -> Names {
            let copy = |node: &Node| match node {
                Node::Dir => Node::Dir,
                Node::File(inode, content) => {
                    let copy = content.lock().unwrap().copy();
                    Node::File(*inode, Arc::new(Mutex::new(copy)))
                }
            };
            let copy = |(path, node): (&PathBuf, &Node)| (path.clone(), copy(node));
            names.iter().map(copy).collect()
        };
        let there = copied(&self.there);
        Self {
            durable: copied(&self.durable),
            history: vec![there.clone()],
            there,
            ..Self::default()
        }
    }

    pub(super) fn next_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    /// A process's handles die, and it holds no locks any longer.
    pub(super) fn end_process(&mut self, process: u64) {
        self.dead.insert(process);
        self.locks.retain(|_, holder| *holder != process);
        for content in self.files.iter().filter_map(|(_, file)| file.upgrade()) {
            content.lock().unwrap().unmap(Some(process));
        }
    }

    /// Counts and logs an operation, or makes it fail.
    pub(super) fn begin(
        &mut self,
        process: u64,
        what: &'static str,
        path: &Path,
    ) -> io::Result<()> {
        self.alive(process)?;
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

    pub(super) fn alive(&self, process: u64) -> io::Result<()> {
        if self.dead.contains(&process) {
            return Err(io::Error::other("a handle of a process that died"));
        }
        Ok(())
    }

    pub(super) fn new_file(&mut self, mut content: Content) -> (u64, Arc<Mutex<Content>>) {
        self.next_inode += 1;
        content.modified = self.now;
        let content = Arc::new(Mutex::new(content));
        self.files.push((self.next_inode, Arc::downgrade(&content)));
        (self.next_inode, content)
    }

    /// A name stands for this now, or for nothing.
    pub(super) fn set_name(&mut self, path: &Path, node: Option<Node>) {
        match node {
            Some(node) => {
                if matches!(node, Node::Dir) {
                    self.next_inode += 1;
                    self.dirs.insert(path.to_owned(), self.next_inode);
                }
                self.there.insert(path.to_owned(), node);
            }
            None => drop(self.there.remove(path)),
        }
        self.history.push(self.there.clone());
    }

    /// One step, on an ordered file system.
    pub(super) fn rename(&mut self, from: &Path, to: &Path, node: Node) {
        self.there.remove(from);
        self.set_name(to, Some(node));
    }

    pub(super) fn put(&mut self, path: &Path, bytes: Vec<u8>) {
        for dir in path.ancestors().skip(1) {
            self.there.entry(dir.to_owned()).or_insert(Node::Dir);
            self.durable.entry(dir.to_owned()).or_insert(Node::Dir);
        }
        let (inode, content) = self.new_file(Content::durable(bytes));
        let node = Node::File(inode, content);
        self.there.insert(path.to_owned(), node.clone());
        self.durable.insert(path.to_owned(), node);
        self.commit();
    }

    pub(super) fn take_away(&mut self, path: &Path) {
        self.there.remove(path);
        self.durable.remove(path);
        // Who holds it holds a file without a name.
        self.locks.remove(path);
        self.commit();
    }

    pub(super) fn move_away(&mut self, from: &Path, to: &Path) {
        if let Some(node) = self.there.remove(from) {
            self.durable.remove(from);
            self.there.insert(to.to_owned(), node.clone());
            self.durable.insert(to.to_owned(), node);
        }
        self.commit();
    }

    pub(super) fn put_dir(&mut self, path: &Path) {
        self.set_name(path, Some(Node::Dir));
        self.durable.insert(path.to_owned(), Node::Dir);
        self.commit();
    }

    /// On an ordered file system, a sync of anything makes all changes of names before it durable.
    pub(super) fn commit(&mut self) {
        self.history.clear();
        self.history.push(self.there.clone());
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        if !matches!(self.there.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |entry: &PathBuf| entry.parent() == Some(path);
        self.durable.retain(|entry, _| !inside(entry));
        let entries = self.there.iter().filter(|(entry, _)| inside(entry));
        let entries: Vec<_> = entries.map(|(p, n)| (p.clone(), n.clone())).collect();
        self.durable.extend(entries);
        self.commit();
        Ok(())
    }

    pub(super) fn used(&self) -> u64 {
        let named = |node: &Node| match node {
            Node::File(inode, _) => Some(*inode),
            Node::Dir => None,
        };
        let named: BTreeSet<u64> = self.there.values().filter_map(named).collect();
        let room = |(inode, file): &(u64, Weak<Mutex<Content>>)| {
            let file = file.upgrade()?;
            let content = file.lock().unwrap();
            (content.handles > 0 || named.contains(inode)).then(|| content.len())
        };
        self.files.iter().filter_map(room).sum()
    }

    pub(super) fn free(&self) -> u64 {
        self.limit
            .map_or(u64::MAX / 2, |limit| limit.saturating_sub(self.used()))
    }

    pub(super) fn parent_exists(&self, path: &Path) -> io::Result<()> {
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

    pub(super) fn identity(&self, inode: u64, content: &Mutex<Content>) -> Identity {
        let named = |node: &&Node| matches!(node, Node::File(other, _) if *other == inode);
        let content = content.lock().unwrap();
        Identity {
            len: content.len(),
            links: self.there.values().filter(named).count() as u64,
            device: 1,
            inode,
            is_file: true,
            modified: content.modified,
        }
    }

    pub(super) fn lose_power(&mut self, model: Model, mut keep: impl FnMut() -> bool) {
        (0..=self.processes).for_each(|process| self.end_process(process));
        let mut left = match model {
            Model::Posix => self.some_names(&mut keep),
            Model::Ordered => self.names_of_a_moment(&mut keep),
        };
        for node in left.values_mut() {
            if let Node::File(_, content) = node {
                content.lock().unwrap().lose(model, &mut keep);
            }
        }
        self.durable = left.clone();
        self.history = vec![left.clone()];
        self.there = left;
    }

    /// Each name by itself.
    fn some_names(&self, keep: &mut impl FnMut() -> bool) -> Names {
        let mut left = Names::new();
        let paths: BTreeSet<_> = self.there.keys().chain(self.durable.keys()).collect();
        for path in paths {
            let (there, durable) = (self.there.get(path), self.durable.get(path));
            let synced = matches!((there, durable), (Some(a), Some(b)) if a.is(b));
            let node = if synced || keep() { there } else { durable };
            // Parents come first; what is in a lost directory is lost.
            let reachable = path
                .parent()
                .is_none_or(|parent| parent == Path::new("/") || left.contains_key(parent));
            if let Some(node) = node.filter(|_| reachable) {
                left.insert(path.clone(), node.clone());
            }
        }
        left
    }

    /// All names as they were after some change since the last sync.
    fn names_of_a_moment(&self, keep: &mut impl FnMut() -> bool) -> Names {
        let mut left = self.history.first().cloned().unwrap_or_default();
        for names in self.history.iter().skip(1) {
            if keep() && keep() && keep() {
                break;
            }
            left = names.clone();
        }
        left
    }
}
