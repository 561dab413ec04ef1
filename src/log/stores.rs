//! The stores of a log: that of the process that opened it, and one for each of its children by
//! `fork` that records something.
//!
//! A child has none of the threads that write its parent's stream, and may outlive it. So it leaves
//! the parent's store alone, and opens one with the same settings at its first event. A child must
//! not wait for a lock that one of the parent's threads held at the fork, so it uses only locks
//! that were made in the child itself.

use std::{
    cell::Cell,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{self, Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    capture::{Journal, Journals, NotDurable, NotTaken},
    contain::say_apart,
    entry::StreamId,
    error::{Error, Result},
    journal::{PerProcess, Process},
    store::{Health, Problem, Store, StoreOptions, layout::Layout},
};

pub(super) struct Stores {
    layout: Layout,
    /// The same directory, wherever the working directory goes: a daemon's goes to `/`.
    dir: PathBuf,
    /// Its device and inode.
    identity: Option<(u64, u64)>,
    options: StoreOptions,
    /// That of the process that opened the log.
    stream: StreamId,
    processes: PerProcess<Here>,
}

/// The state of the log in one process.
struct Here {
    health: Arc<Health>,
    opened: OnceLock<Opened>,
    /// Held by the thread that opens the store. The error, if the store could not be opened.
    failed: Mutex<Option<Failed>>,
    closed: AtomicBool,
    /// Whether it was reported that events come after the log was closed.
    reported: AtomicBool,
}

struct Opened {
    store: Store,
    journal: Journal,
}

struct Failed {
    at: Instant,
    error: String,
}

/// After this, a store that could not be opened is tried again, by the next event.
const RETRY: Duration = Duration::from_secs(1);

impl Stores {
    /// `store` was opened with these options.
    pub(super) fn new(store: Store, mut options: StoreOptions) -> Self {
        if let Some(dir) = &mut options.journal_dir {
            // As it was resolved, for the same reason as the log's own directory.
            *dir = store.journal_dir().unwrap_or(dir).to_owned();
        }
        // A child hashes with the keys that its parent read.
        options.needs_hash_keys = false;
        let root = store.layout.root();
        let here = Here::new(options.health.clone());
        let layout = store.layout.clone();
        let stream = store.stream.clone();
        let dir = fs::canonicalize(root).or_else(|_| path::absolute(root));
        let dir = dir.unwrap_or_else(|_| root.to_owned());
        here.opened.get_or_init(|| Opened::new(store));
        Self {
            layout,
            identity: identity(&dir).ok(),
            dir,
            options,
            stream,
            processes: PerProcess::new(here),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Opens a store in a child. A new directory in the place of the log's own, which is what a
    /// child finds whose root was changed (`chroot`), would be another log.
    fn open_another(&self, health: Arc<Health>) -> Result<Store> {
        let found = identity(&self.dir).map_err(Error::io("look at", &self.dir))?;
        if self.identity.is_some_and(|ours| ours != found) {
            let what = "it is not the directory in which the log was opened";
            return Err(Error::damaged(&self.dir, what));
        }
        let options = self.options.clone();
        Store::open(&self.dir, StoreOptions { health, ..options })
    }

    fn here(&self) -> &Here {
        self.processes.get_or_make(|parents| {
            let here = Here::new(Arc::new(parents.health.for_child()));
            // A log that was closed before the fork stays closed.
            here.closed.store(parents.closed.load(Relaxed), Relaxed);
            here
        })
    }

    /// This process's store, if it has one.
    fn opened(&self) -> Option<&Opened> {
        self.processes.get()?.opened.get()
    }

    /// This process's store; a child opens it.
    pub(super) fn store(&self) -> Result<&Store> {
        Ok(&self.here().open(self)?.store)
    }

    /// Waits for all that this process recorded.
    pub(super) fn flush(&self) -> Result<(), NotDurable> {
        self.opened()
            .map_or(Ok(()), |opened| opened.journal.flush())
    }

    /// The stream of this process's store, or while it has none, of that which opened the log.
    pub(super) fn stream(&self) -> &StreamId {
        self.opened()
            .map_or(&self.stream, |opened| &opened.store.stream)
    }

    pub(super) fn health(&self) -> &Health {
        &self.here().health
    }

    /// Whether this process closed the log.
    pub(super) fn is_closed(&self) -> bool {
        self.here().closed.load(Relaxed)
    }

    /// Whether this process has a store, and did not close it.
    pub(super) fn is_open(&self) -> bool {
        self.opened().is_some() && !self.is_closed()
    }

    /// How full this process's journal is: bytes used, and in all.
    pub(super) fn fill(&self) -> Option<(u64, u64)> {
        let producer = &self.opened()?.store.producer;
        Some((producer.used(), producer.capacity()))
    }

    /// Closes this process's store; a process without one can't open one afterwards.
    pub(super) fn close(&self) -> Result<()> {
        let here = self.here();
        here.closed.store(true, Relaxed);
        if Opening::is_under_way() {
            // By this thread, in a callback of the application's: it is closed once it is open.
            return Ok(());
        }
        // Another thread may be opening it.
        drop(here.lock());
        here.opened
            .get()
            .map_or(Ok(()), |opened| opened.store.close())
    }

    /// Closes this process's store, if it has one, when no caller is left to get an error.
    pub(super) fn let_go(&self) {
        // The caller of `close` knows how it ended.
        let Some(opened) = self.opened().filter(|opened| !opened.store.is_over()) else {
            return;
        };
        self.here().closed.store(true, Relaxed);
        if let Err(error) = opened.store.close() {
            // This runs in destructors, where a panic of another's layer would abort the process.
            let text = format!(
                "the audit log could not be closed: {error}; its journal keeps what is missing"
            );
            say_apart(
                &text,
                |text| tracing::error!(target: "tracing_audit", "{text}"),
            );
        }
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        // A child may have opened its store after it dropped the handles of the log.
        self.let_go();
    }
}

impl Journals for Stores {
    fn of_child(&self) -> Result<&Journal, NotTaken> {
        let here = self.here();
        match here.open(self) {
            Ok(opened) => Ok(&opened.journal),
            Err(Error::Closed) => {
                self.came_late();
                Err(NotTaken::Closed)
            }
            Err(_) => {
                here.health.count(here.health.refused(), 1);
                Err(NotTaken::NoStream)
            }
        }
    }

    fn came_late(&self) {
        let here = self.here();
        here.health.count(here.health.refused(), 1);
        // Otherwise the writer has died, which was reported.
        let closed = here.closed.load(Relaxed);
        if closed && !here.reported.swap(true, Relaxed) {
            here.health.report(&Problem::Closed);
        }
    }
}

fn identity(dir: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(dir)?;
    Ok((found.dev(), found.ino()))
}

impl Opened {
    fn new(store: Store) -> Self {
        let journal = Journal {
            producer: store.producer.clone(),
            durability: store.durability,
        };
        Self { store, journal }
    }
}

impl Here {
    fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            opened: OnceLock::new(),
            failed: Mutex::default(),
            closed: AtomicBool::new(false),
            reported: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, stores: &Stores) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let refused = |why: &str| {
            let why = io::Error::other(why.to_owned());
            Error::io("open a stream for a forked process in", &stores.dir)(why)
        };
        // An event that an application's callback records meanwhile can't wait for the end of this.
        let Some(_opening) = Opening::begin() else {
            return Err(refused("this thread is about to"));
        };
        let mut failed = self.lock();
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        if self.closed.load(Relaxed) {
            return Err(Error::Closed);
        }
        if let Some(failed) = &*failed
            && failed.at.elapsed() < RETRY
        {
            return Err(refused(&failed.error));
        }
        match stores.open_another(self.health.clone()) {
            Ok(store) => {
                let opened = self.opened.get_or_init(|| Opened::new(store));
                if failed.take().is_some() {
                    self.health.report(&Problem::WriteRecovered);
                }
                if self.closed.load(Relaxed) {
                    opened.store.close()?;
                }
                Ok(opened)
            }
            Err(error) => {
                let text = error.to_string();
                if failed.as_ref().is_none_or(|last| last.error != text) {
                    self.health.report(&Problem::StreamFailed(text.clone()));
                }
                *failed = Some(Failed {
                    at: Instant::now(),
                    error: text,
                });
                Err(error)
            }
        }
    }
}

thread_local! {
    /// In which process this thread opens a store.
    static OPENING: Cell<Option<Process>> = const { Cell::new(None) };
}

/// While it lives, this thread opens a store.
struct Opening;

impl Opening {
    fn is_under_way() -> bool {
        OPENING.try_with(Cell::get).ok().flatten() == Some(Process::current())
    }

    fn begin() -> Option<Self> {
        if Self::is_under_way() {
            return None;
        }
        // Gone at the thread's end, where no callback of ours records events.
        let _ = OPENING.try_with(|opening| opening.set(Some(Process::current())));
        Some(Self)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let _ = OPENING.try_with(|opening| opening.set(None));
    }
}
