//! Opening a directory for writing, and closing it.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle, ThreadId},
};

use super::{
    access::Permissions,
    assemble::{Assembled, assemble},
    clock::{Clock, SystemClock},
    fs::{Fs, FsLock, OsFs},
    health::{Health, Problem},
    hold::{self, Hold},
    layout::Layout,
    lifecycle::Settings,
    own_journal::OwnJournal,
    sealer::{Job, Sealer, SealerOptions},
    unread::Readers,
    writer::{Writer, WriterOptions},
};
use crate::{
    entry::{Author, OwnEntry, Severity, Source, StreamId, Timestamp},
    error::{Error, Result},
    journal::{Durability, Process, Producer},
};

/// How a directory is written.
#[derive(Clone)]
pub(crate) struct StoreOptions {
    pub(crate) source: Source,
    /// The users who may read the log; without it, permissions stay as they are.
    pub(crate) permissions: Option<Permissions>,
    pub(crate) journal_capacity: usize,
    /// Where the journal is to be, if not in the log's directory.
    pub(crate) journal_dir: Option<PathBuf>,
    /// Whether the directory has to have keys for hashed values before a stream is begun.
    pub(crate) needs_hash_keys: bool,
    /// The settings in the entry about the opening; without them, there are no entries
    /// about opening and closing.
    pub(crate) lifecycle: Option<Settings>,
    pub(crate) writer: WriterOptions,
    pub(crate) sealer: SealerOptions,
    /// The readers for which retention waits.
    pub(crate) readers: Readers,
    pub(crate) health: Arc<Health>,
}

/// A directory that is open for writing by one stream. Dropping it closes it.
pub(crate) struct Store {
    pub(crate) layout: Layout,
    pub(crate) stream: StreamId,
    pub(crate) producer: Producer,
    pub(crate) durability: &'static Durability,
    pub(super) readers: Readers,
    own: OwnJournal,
    /// The journal's file.
    journal: PathBuf,
    sealer: Sender<Job>,
    stopping: Arc<AtomicBool>,
    /// The writer and the sealer.
    ids: [ThreadId; 2],
    /// Held while the log is being closed: a second caller of `close` waits for the first.
    running: Mutex<Running>,
    /// In a child by `fork` it is the parent's.
    process: Process,
}

enum Running {
    Threads(Threads),
    /// The log was closed, and how that ended.
    Over(Result<()>),
}

struct Threads {
    /// `None` if it was never given its work.
    writer: JoinHandle<Option<Result<()>>>,
    sealer: JoinHandle<Option<()>>,
    /// Freed before the other lock, so that a process which gets that one finds this one free.
    journal_lock: Option<Box<dyn FsLock>>,
    lock: Box<dyn FsLock>,
}

impl Store {
    /// Makes the directory ready and starts the writer and the sealer, which takes over what dead
    /// processes left.
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self> {
        let clock = Arc::new(SystemClock::new());
        Self::open_on(Arc::new(OsFs), clock, named, dir, options)
    }

    /// The same on another file system and clock, with threads of another make.
    pub(crate) fn open_on(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        thread: impl Fn(&str) -> thread::Builder,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<Self> {
        let readers = options.readers;
        let source = options.source.clone();
        let Assembled {
            layout,
            stream,
            lock,
            journal_lock,
            producer,
            durability,
            journal,
            health,
            jobs,
            stopping,
            mut writer,
            sealer,
        } = assemble(fs, clock, dir, options)?;
        let own = OwnJournal::new(producer.clone(), durability, source, &journal);
        let died = mourn(&writer, &producer, durability);
        let spawned = spawn(thread("audit-writer"), &health, Writer::run, died).and_then(|one| {
            let two = spawn(thread("audit-sealer"), &health, Sealer::run, |_| ())?;
            Ok((one, two))
        });
        let (writing, sealing) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                // Nothing is in the journal but that the log was opened. The next process removes
                // what stays here.
                let _ = writer.finish();
                let _ = lock.remove();
                return Err(Error::io("start a thread for", dir)(error));
            }
        };
        let threads = Threads {
            writer: writing.begin(writer),
            sealer: sealing.begin(sealer),
            journal_lock,
            lock,
        };
        Ok(Self {
            layout,
            stream,
            producer,
            durability,
            readers,
            own,
            journal,
            sealer: jobs,
            stopping,
            ids: [threads.writer.thread().id(), threads.sealer.thread().id()],
            running: Mutex::new(Running::Threads(threads)),
            process: Process::current(),
        })
    }

    /// Refuses further events, writes and syncs the events that were taken, and stops. Done twice,
    /// also at once, it ends the second time as it did the first.
    ///
    /// A thread that is to stop itself, as a callback on it would, can't: then an error
    /// says so, and it is left to another thread.
    pub(crate) fn close(&self) -> Result<()> {
        self.producer.close();
        self.durability.nudge();
        // Before the lock, because its holder may be waiting for this thread.
        if self.ids.contains(&thread::current().id()) {
            let why = "`on_problem` runs on the log's own thread, which can't wait for itself: \
                       close the log on another one";
            return Err(Error::io("close", &self.journal)(io::Error::other(why)));
        }
        let mut running = self.lock();
        let over = Running::Over(Err(Error::Closed));
        let result = match std::mem::replace(&mut *running, over) {
            Running::Threads(threads) => self.end(threads),
            Running::Over(result) => result,
        };
        let again = match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        };
        *running = Running::Over(again);
        result
    }

    /// Whether it was closed, well or not.
    pub(crate) fn is_over(&self) -> bool {
        let running = self.running.try_lock();
        running.is_ok_and(|running| matches!(*running, Running::Over(_)))
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, threads: Threads) -> Result<()> {
        let written =
            threads.writer.join().ok().flatten().unwrap_or_else(|| {
                Err(Error::damaged(&self.journal, "the writer thread panicked"))
            });
        self.stopping.store(true, Ordering::Release);
        let _ = self.sealer.send(Job::Stop);
        let _ = threads.sealer.join();
        drop(threads.journal_lock);
        // After an error the journal is still there, and so is the lock's file; but it is free, and
        // the next process recovers.
        if written.is_ok() {
            threads.lock.remove()?;
        }
        written
    }

    /// The way of the log's own entries into it.
    #[cfg(feature = "server")]
    pub(crate) fn own(&self) -> &OwnJournal {
        &self.own
    }

    /// Writes an entry of the log's own; it is durable on return.
    pub(crate) fn record(&self, own: &OwnEntry) -> Result<()> {
        self.own.record(own).map(drop)
    }

    /// The same, with the id of the entry that it became.
    #[cfg(feature = "webhook")]
    pub(crate) fn record_with_id(&self, own: &OwnEntry) -> Result<uuid::Uuid> {
        self.own.record(own)
    }

    /// Writes an entry of the log's own, if the journal has room; waits for nothing.
    #[cfg(feature = "webhook")]
    pub(crate) fn note(&self, own: &OwnEntry) -> Result<()> {
        self.own.note(own)
    }

    /// The directory in which the journal lies.
    pub(crate) fn journal_dir(&self) -> Option<&Path> {
        self.journal.parent()
    }

    /// Places a hold, then records it: a death in between keeps too much, not too little. Returns
    /// the hold as it is stored.
    pub(crate) fn place_hold(&self, hold: Hold, author: &Author) -> Result<Hold> {
        let hold = hold.by(author.actor(self.stream.source()));
        let hold = hold::place(Arc::new(OsFs), &self.layout, hold, Timestamp::now())?;
        let description = "A hold was placed: entries in its range of time are kept";
        let entry = OwnEntry::new("audit.hold.placed", Severity::Warning, description);
        self.record(&author.sign(entry.detail("hold", &hold)))?;
        Ok(hold)
    }

    /// Records that a hold is released, then releases it; false if there is none of this name.
    pub(crate) fn release_hold(&self, name: &str, author: &Author) -> Result<bool> {
        let record = |hold: &Hold| {
            let description = "A hold was released: retention applies to its entries again";
            let entry = OwnEntry::new("audit.hold.released", Severity::Warning, description);
            self.record(&author.sign(entry.detail("hold", hold)))
        };
        hold::release(Arc::new(OsFs), &self.layout, name, record).map(|released| released.is_some())
    }

    /// Removes what is past its retention, soon.
    pub(crate) fn prune_soon(&self) {
        let _ = self.sealer.send(Job::Prune);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A child by `fork` has none of the threads, and the stream is not its own.
        if self.process.is_current() {
            // An application that wants the result closes the log.
            drop(self.close());
        }
    }
}

/// The same error once more.
fn again(error: &Error) -> Error {
    match error {
        Error::Io {
            operation,
            path,
            source,
        } => {
            let source = match source.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::new(source.kind(), source.to_string()),
            };
            Error::io(operation, path)(source)
        }
        Error::Damaged { path, what } => Error::damaged(path, what),
        // No step of closing fails with another.
        other => Error::Conflict(other.to_string()),
    }
}

/// A thread of the log that waits for its work, so that the work is still here if another thread
/// can't be started.
struct Waiting<W, T> {
    work: Sender<W>,
    thread: JoinHandle<Option<T>>,
}

impl<W, T> Waiting<W, T> {
    fn begin(self, work: W) -> JoinHandle<Option<T>> {
        // It waits for nothing else, so it is there.
        let _ = self.work.send(work);
        self.thread
    }
}

fn spawn<W: Send + 'static, T: Send + 'static>(
    thread: thread::Builder,
    health: &Arc<Health>,
    run: impl FnOnce(W) -> T + Send + 'static,
    died: impl FnOnce(&str) -> T + Send + 'static,
) -> io::Result<Waiting<W, T>> {
    let health = health.clone();
    let (work, given) = mpsc::channel();
    let thread = thread.spawn(move || {
        let work = given.recv().ok()?;
        Some(guarded(&health, || run(work), died))
    })?;
    Ok(Waiting { work, thread })
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// The work to do when the writer has died.
fn mourn(
    writer: &Writer,
    producer: &Producer,
    durability: &'static Durability,
) -> impl FnOnce(&str) -> Result<()> + Send + use<> {
    let producer = producer.clone();
    let stream = writer.place.stream.clone();
    move |what| {
        // No caller should wait for room or for a sync that never comes.
        producer.close();
        durability.die(what);
        let why = io::Error::other(what.to_owned());
        Err(Error::io("write", stream.as_str())(why))
    }
}

/// Runs a thread of the log. If it panics, that is reported, and nothing waits for it any longer.
fn guarded<T>(health: &Health, run: impl FnOnce() -> T, died: impl FnOnce(&str) -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let thread = thread::current();
        let what = format!(
            "{} panicked: {}",
            thread.name().unwrap_or("a thread"),
            text.unwrap_or("without a message")
        );
        let problem = Problem::ThreadDied(what.clone());
        // Noted before an event is refused for it, and reported afterwards, because the
        // application's code may block.
        health.note(&problem);
        let result = died(&what);
        health.report(&problem);
        result
    })
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
