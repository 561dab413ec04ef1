//! Opening a directory for writing, and closing it.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread::{self, JoinHandle},
};

use serde_json::json;

use super::{
    access::Permissions,
    assemble::{Assembled, assemble},
    clock::{Clock, SystemClock},
    fs::{Fs, FsLock, OsFs},
    health::{Health, Problem},
    hold::{self, Hold},
    layout::Layout,
    sealer::{Job, Sealer, SealerOptions},
    writer::{Writer, WriterOptions},
};
use crate::{
    error::{Error, Result},
    journal::{Durability, Fate, Producer, PushError},
    record::{OwnRecord, Severity, Source, StreamId, Timestamp},
};

/// How a directory is written.
#[derive(Clone)]
pub(crate) struct StoreOptions {
    pub(crate) source: Source,
    /// Who may read the log; without it, that stays as it is.
    pub(crate) permissions: Option<Permissions>,
    pub(crate) journal_capacity: usize,
    pub(crate) writer: WriterOptions,
    pub(crate) sealer: SealerOptions,
    pub(crate) health: Arc<Health>,
}

/// A directory that is open for writing by one stream.
pub(crate) struct Store {
    pub(crate) layout: Layout,
    pub(crate) stream: StreamId,
    pub(crate) producer: Producer,
    pub(crate) durability: &'static Durability,
    sealer: Sender<Job>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<Result<()>>,
    sealer: JoinHandle<()>,
    lock: Box<dyn FsLock>,
}

impl Store {
    /// Makes the directory ready and starts the writer and the sealer, which takes over what dead
    /// processes left.
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self> {
        Self::open_on(Arc::new(OsFs), Arc::new(SystemClock::new()), dir, options)
    }

    fn open_on(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<Self> {
        let Assembled {
            layout,
            stream,
            lock,
            producer,
            durability,
            health,
            jobs,
            stopping,
            writer,
            sealer,
        } = assemble(fs, clock, dir, options)?;
        let threads = Threads {
            writer: spawn_writer(writer, &producer, durability, &health)
                .map_err(Error::io("start a thread for", dir))?,
            sealer: spawn_sealer(sealer, &health).map_err(Error::io("start a thread for", dir))?,
            lock,
        };
        Ok(Self {
            layout,
            stream,
            producer,
            durability,
            sealer: jobs,
            stopping,
            threads: Mutex::new(Some(threads)),
        })
    }

    /// Takes no more events, writes and syncs those taken, and stops. Doing it twice does nothing.
    pub(crate) fn close(&self) -> Result<()> {
        self.producer.close();
        self.durability.nudge();
        let Some(threads) = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return Ok(());
        };
        let written = threads.writer.join().unwrap_or_else(|_| {
            Err(Error::damaged(
                self.layout.ring(&self.stream),
                "the writer thread panicked",
            ))
        });
        self.stopping.store(true, Ordering::Release);
        let _ = self.sealer.send(Job::Stop);
        let _ = threads.sealer.join();
        // After an error the journal is still there, and so is the lock's file; but it is free, and
        // the next process recovers.
        if written.is_ok() {
            threads.lock.remove()?;
        }
        written
    }

    /// Writes a record of the log's own; it is durable on return.
    pub(crate) fn record(&self, own: &OwnRecord) -> Result<()> {
        self.record_rendered(&own.render(&self.stream.source().parse()?))
    }

    /// The same, with the id of the entry that it became.
    #[cfg(feature = "webhook")]
    pub(crate) fn record_with_id(&self, own: &OwnRecord) -> Result<uuid::Uuid> {
        let record = own.render(&self.stream.source().parse()?);
        self.record_rendered(&record)?;
        // It begins with its id.
        Ok(record
            .get(6..42)
            .and_then(|id| uuid::Uuid::try_parse_ascii(id).ok())
            .expect("what we render has an id"))
    }

    fn record_rendered(&self, record: &[u8]) -> Result<()> {
        let ring = self.layout.ring(&self.stream);
        let refused = |why: String| Error::io("write an entry to", &ring)(io::Error::other(why));
        match self.producer.push(record) {
            Ok(position) => match self.durability.wait(position.0) {
                Fate::Durable => Ok(()),
                Fate::Failed(error) => Err(refused(error.to_string())),
                Fate::Closed => Err(Error::Closed),
            },
            Err(PushError::Closed) => Err(Error::Closed),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Writes a record of the log's own, if the journal has room; waits for nothing.
    #[cfg(feature = "webhook")]
    pub(crate) fn note(&self, own: &OwnRecord) -> Result<()> {
        let record = own.render(&self.stream.source().parse()?);
        self.producer.push(&record).map(drop).map_err(|e| {
            Error::io("write an entry to", self.layout.ring(&self.stream))(io::Error::other(e))
        })
    }

    /// Places a hold, then records it: a death in between keeps too much, not too little.
    pub(crate) fn place_hold(&self, hold: Hold) -> Result<()> {
        let hold = hold::place(&self.layout, hold, Timestamp::now())?;
        self.record(
            &OwnRecord::new("audit.hold.placed", Severity::Warning, "Entries are held")
                .detail("hold", json!(hold)),
        )
    }

    /// Records that a hold is released, then releases it; false if there is none of this name.
    pub(crate) fn release_hold(&self, name: &str) -> Result<bool> {
        let record = |hold: &Hold| {
            self.record(
                &OwnRecord::new(
                    "audit.hold.released",
                    Severity::Warning,
                    "Entries are held no more",
                )
                .detail("hold", json!(hold)),
            )
        };
        hold::release(&self.layout, name, record).map(|released| released.is_some())
    }

    /// Removes what is past its retention, soon.
    pub(crate) fn prune_soon(&self) {
        let _ = self.sealer.send(Job::Prune);
    }
}

fn spawn_writer(
    writer: Writer,
    producer: &Producer,
    durability: &'static Durability,
    health: &Arc<Health>,
) -> io::Result<JoinHandle<Result<()>>> {
    let (producer, health) = (producer.clone(), health.clone());
    let stream = writer.place.stream.clone();
    let died = move |what: &str| {
        // No caller waits for room that nobody makes, nor for a sync that never comes.
        producer.close();
        durability.die(what);
        Err(Error::io("write", stream.as_str())(io::Error::other(
            what.to_owned(),
        )))
    };
    thread::Builder::new()
        .name("audit-writer".into())
        .spawn(move || guarded("writer", &health, || writer.run(), died))
}

fn spawn_sealer(sealer: Sealer, health: &Arc<Health>) -> io::Result<JoinHandle<()>> {
    let health = health.clone();
    thread::Builder::new()
        .name("audit-sealer".into())
        .spawn(move || guarded("sealer", &health, || sealer.run(), |_| ()))
}

/// Runs a thread of the log. Should it panic, that is known: nothing waits for it any longer.
fn guarded<T>(
    name: &str,
    health: &Health,
    run: impl FnOnce() -> T,
    died: impl FnOnce(&str) -> T,
) -> T {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!(
            "the {name} panicked: {}",
            text.unwrap_or("without a message")
        );
        let result = died(&what);
        health.report(&Problem::ThreadDied(what));
        result
    })
}
