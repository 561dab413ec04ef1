//! Opening a directory for writing, and closing it.

use std::{
    fs as std_fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
};

use serde_json::json;

use super::{
    clock::{Clock, SystemClock},
    fs::{Fs, OsFs},
    health::Health,
    hold::{self, Hold},
    layout::Layout,
    lock::Lock,
    recover,
    retention::Pruner,
    sealed::LocalSealed,
    sealer::{Job, Sealer, SealerOptions},
    writer::{Writer, WriterOptions},
};
use crate::{
    error::{Error, Result},
    journal::{self, Durability, Fate, Producer, PushError},
    record::{OwnRecord, Severity, Source, StreamId, Timestamp},
};

/// What `state/format` says.
pub(crate) const FORMAT: &str = "tracing-audit 1\n";

/// How a directory is written.
#[derive(Clone)]
pub(crate) struct StoreOptions {
    pub(crate) source: Source,
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
    lock: Lock,
}

impl Store {
    /// Makes the directory ready, recovers what dead processes left, and starts the writer and the
    /// sealer.
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self> {
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let layout = prepare(&*fs, dir)?;
        let (stream, lock) = new_stream(&*fs, &layout, &options.source)?;
        let health = options.health;
        let sealed = Arc::new(LocalSealed::new(fs.clone(), layout.clone()));
        let durability = Durability::leak();
        let ring = layout.ring(&stream);
        let (producer, consumer) = journal::create(&ring, options.journal_capacity, &stream)?;
        fs.sync_dir(&layout.journal_dir())
            .map_err(Error::io("sync", layout.journal_dir()))?;

        let (jobs, queue) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let pruner = Pruner {
            sealed,
            producer: producer.clone(),
            durability,
            source: options.source.clone(),
            owed: Vec::new(),
        };
        let mut sealer = Sealer::new(
            fs.clone(),
            layout.clone(),
            clock.clone(),
            health.clone(),
            options.sealer,
            pruner,
            stream.clone(),
            queue,
            stopping.clone(),
        );
        // Before the first event: then what is in the directory is whole, but for what lives.
        sealer.recover_left();
        let writer = Writer::new(
            fs,
            layout.clone(),
            clock,
            stream.clone(),
            options.source,
            consumer,
            durability,
            health,
            jobs.clone(),
            options.writer,
        );
        let spawn = |error| Error::io("start a thread for", dir)(error);
        let writer = thread::Builder::new()
            .name("audit-writer".into())
            .spawn(move || writer.run())
            .map_err(spawn)?;
        let sealer = thread::Builder::new()
            .name("audit-sealer".into())
            .spawn(move || sealer.run())
            .map_err(spawn)?;
        let threads = Mutex::new(Some(Threads {
            writer,
            sealer,
            lock,
        }));
        Ok(Self {
            layout,
            stream,
            producer,
            durability,
            sealer: jobs,
            stopping,
            threads,
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

/// Creates what is missing and checks the version of what is there.
pub(crate) fn prepare(fs: &dyn Fs, dir: &Path) -> Result<Layout> {
    let layout = Layout::new(dir);
    let state = layout.format_file();
    for dir in [
        layout.live_dir(),
        layout.sealed_dir(),
        layout.index_dir(),
        layout.journal_dir(),
        layout.locks_dir(),
        layout.tmp_dir(),
    ] {
        fs.create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    }
    match check_format(&layout) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            // Written whole and then renamed: a reader meets all of it or nothing. Two processes
            // write the same.
            let tmp = layout
                .tmp_dir()
                .join(format!("format.{}.tmp", std::process::id()));
            let write = || -> io::Result<()> {
                let mut file = std_fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&tmp)?;
                file.write_all(FORMAT.as_bytes())?;
                file.sync_all()?;
                fs.rename(&tmp, &state)?;
                fs.sync_dir(&layout.root().join("state"))?;
                fs.sync_dir(layout.root())
            };
            write().map_err(Error::io("write", &state))?;
        }
        checked => checked?,
    }
    Ok(layout)
}

/// An error unless the directory has the format of this version.
pub(crate) fn check_format(layout: &Layout) -> Result<()> {
    let path = layout.format_file();
    let found = std_fs::read(&path).map_err(Error::io("read", &path))?;
    if found == FORMAT.as_bytes() {
        return Ok(());
    }
    let found = String::from_utf8_lossy(found.get(..found.len().min(64)).unwrap_or_default())
        .trim_end()
        .to_owned();
    Err(Error::Version {
        path,
        found,
        expected: FORMAT.trim_end(),
    })
}

/// A stream whose name nothing in the directory bears, with its lock.
fn new_stream(fs: &dyn Fs, layout: &Layout, source: &Source) -> Result<(StreamId, Lock)> {
    loop {
        let mut suffix = [0; 4];
        getrandom::fill(&mut suffix).map_err(|e| {
            Error::io("name a stream in", layout.root())(io::Error::other(e.to_string()))
        })?;
        let stream = StreamId::new(source, u32::from_ne_bytes(suffix));
        let taken = layout.lock(stream.as_str()).exists()
            || layout.ring(&stream).exists()
            || !recover::live_files(fs, layout, &stream)?.is_empty()
            || recover::last_number(fs, layout, &stream)? > 0;
        if !taken && let Some(lock) = Lock::try_take(&layout.lock(stream.as_str()))? {
            return Ok((stream, lock));
        }
    }
}
