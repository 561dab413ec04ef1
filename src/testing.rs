//! A log for the tests of an application's events, and assertions on its entries.
//!
//! [`AuditLog::for_tests`] opens a log that belongs to one test, and the [`TestLog`] takes the
//! events of a thread, a closure or a future. [`TestLog::entries`] waits for the events and gives
//! their entries as a list to be narrowed down. [The guide](crate::guide::testing) has a chapter of
//! examples.

mod entries;
mod unsynced;

use std::{
    fmt, fs, io,
    ops::{ControlFlow, Deref},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread,
};

use tracing::{
    Dispatch, dispatcher,
    dispatcher::DefaultGuard,
    instrument::{WithDispatch, WithSubscriber as _},
};
use tracing_subscriber::prelude::*;

pub use entries::{TestEntries, TestEntry};

use crate::{
    AuditLog, AuditLogBuilder, AuditReader, Error, Filter, HashKey, NotDurable, Result, Retention,
    health::{SpaceAction, Watermarks},
    reader::Order,
    store::{Store, clock::SystemClock},
};
use unsynced::Unsynced;

/// The smallest journal that takes the longest entry.
const JOURNAL: usize = 512 * 1024;

/// A log that belongs to one test, in a directory of its own.
///
/// A `TestLog` has all methods of an [`AuditLog`]. Clones are handles of the same log: when the
/// last handle is dropped, the log is closed and its directory is removed. A process that is killed
/// leaves the directory, `tracing-audit-test-…` in the directory for temporary files.
///
/// ```
/// use tracing_audit::{AuditLog, audit};
///
/// let log = AuditLog::for_tests();
/// log.run(|| audit!("user.created", resource.type = "user", resource.id = 7));
///
/// let entry = log.entries().of_type("user.created").only();
/// assert_eq!(entry["resource"]["id"], "7");
/// ```
#[derive(Clone, Debug)]
pub struct TestLog {
    opened: Arc<Opened>,
}

struct Opened {
    log: AuditLog,
    /// The log's layer and nothing else.
    dispatch: Dispatch,
    /// Dropped last.
    _dir: OwnDir,
}

impl AuditLog {
    /// Opens a log for one test, in a new directory that is removed with the log. Nothing is shared
    /// with other logs, so tests run in parallel.
    ///
    /// ```
    /// use tracing_audit::{AuditLog, audit};
    ///
    /// let log = AuditLog::for_tests();
    /// log.run(|| audit!("user.created", actor.id = "ann", resource.type = "user", resource.id = 7));
    /// let entry = log.entries().of_type("user.created").by_actor("ann").only();
    /// assert_eq!(entry["resource"]["id"], "7");
    /// ```
    ///
    /// Its source is `test`, its key for [`hashed`](crate::hashed) values is always the same, and
    /// it keeps everything. [`TestLog::open_with`] changes that.
    ///
    /// # Panics
    ///
    /// If the log can't be opened.
    #[track_caller]
    pub fn for_tests() -> TestLog {
        TestLog::open_with(|log| log)
    }
}

impl TestLog {
    /// Opens a log for one test with other settings.
    ///
    /// ```
    /// use tracing_audit::testing::TestLog;
    ///
    /// let log = TestLog::open_with(|log| log.source("billing"));
    /// assert!(log.stream().to_string().starts_with("billing-"));
    /// ```
    ///
    /// # Panics
    ///
    /// If the log can't be opened.
    #[track_caller]
    pub fn open_with(settings: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder) -> Self {
        Self::try_open(settings)
            .unwrap_or_else(|error| panic!("the log for this test can't be opened: {error}"))
    }

    fn try_open(settings: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder) -> Result<Self> {
        let temporary = std::env::temp_dir();
        let dir =
            OwnDir::create(&temporary).map_err(Error::io("create a directory in", temporary))?;
        let log = AuditLog::builder(&dir.path)
            .source("test")
            .retention(Retention::unlimited())
            .watermarks(no_watermarks())
            .hash_key(HashKey::new("test", &[7; 32])?)
            .journal_bytes(JOURNAL)
            .lifecycle(false);
        let log = settings(log).open_with(|dir, options| {
            let clock = Arc::new(SystemClock::new());
            let thread = |name: &str| thread::Builder::new().name(name.to_owned());
            Store::open_on(Arc::new(Unsynced), clock, thread, dir, options)
        })?;
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(log.layer()));
        let opened = Opened {
            log,
            dispatch,
            _dir: dir,
        };
        Ok(Self {
            opened: Arc::new(opened),
        })
    }

    /// Takes this thread's events until the guard is dropped, in place of the subscriber that is in
    /// force. Events of threads that this thread starts are not taken.
    ///
    /// In a `#[tokio::test]`, all tasks run on the test's thread, unless it asks for
    /// `flavor = "multi_thread"`.
    #[must_use = "the log takes events until the guard is dropped"]
    pub fn set_default(&self) -> DefaultGuard {
        dispatcher::set_default(&self.opened.dispatch)
    }

    /// Takes the events of a closure, on the thread that runs it. For another thread, move a clone
    /// of the log there.
    pub fn run<T>(&self, run: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.opened.dispatch, run)
    }

    /// Takes the events of a future, whichever threads poll it. A task that it spawns is a future
    /// of its own: spawn `task.with_current_subscriber()` (from
    /// `tracing::instrument::WithSubscriber`), or `log.scope(task)`.
    pub fn scope<F: Future>(&self, future: F) -> WithDispatch<F> {
        future.with_subscriber(self.opened.dispatch.clone())
    }

    /// The entries of all events that were recorded before, in the order in which the log took
    /// them. Waits until they can be read. The log's own entries (`audit.…`) are left out; an
    /// [`AuditReader`] gives them as well.
    ///
    /// # Panics
    ///
    /// If the log can't be written or read.
    #[track_caller]
    pub fn entries(&self) -> TestEntries {
        match self.flush() {
            // A log that was closed has written everything.
            Ok(()) | Err(NotDurable::Closed) => {}
            Err(error) => panic!("the log of this test can't be written: {error}"),
        }
        self.read()
            .unwrap_or_else(|error| panic!("the log of this test can't be read: {error}"))
    }

    fn read(&self) -> Result<TestEntries> {
        let mut entries = Vec::new();
        AuditReader::open(self.dir())?.each(&Filter::default(), Order::Asc, |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        // Times can be equal, and ids of equal times are in no order.
        entries.sort_by_cached_key(|entry| (entry.stream().into_owned(), entry.seq()));
        entries.retain(|entry| !entry.event_type().starts_with("audit."));
        let entries = entries.into_iter().map(TestEntry::parse);
        Ok(TestEntries::new(entries.collect::<Result<_>>()?))
    }
}

/// A machine that is short of room changes nothing in a test.
fn no_watermarks() -> Watermarks {
    Watermarks::default()
        .low(0, SpaceAction::Report)
        .very_low(0, SpaceAction::Report)
        .full(SpaceAction::Report)
}

impl Deref for TestLog {
    type Target = AuditLog;

    fn deref(&self) -> &AuditLog {
        &self.opened.log
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Other handles of the log may be alive, which must not write into a directory that is
        // gone. Events that can't be written are no longer of use.
        let _ = self.log.close();
    }
}

/// A directory that was created here, and is removed with what is in it.
struct OwnDir {
    path: PathBuf,
    process: u32,
}

impl OwnDir {
    fn create(parent: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("tracing-audit-test-{:016x}", u64::from_ne_bytes(random));
        let path = parent.join(name);
        // It must not be there yet: one that another user made, or a link of theirs, is an error.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self {
            path,
            process: process::id(),
        })
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        // A child by `fork` leaves it to its parent.
        if self.process == process::id() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
