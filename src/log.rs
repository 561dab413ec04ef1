//! A log, from an application's side: opening, the layer, closing.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    capture::{self, AuditLayer, CurrentKey, Intake, WhenFull},
    error::{Error, Result},
    journal,
    record::{Catalogue, HashKey, OwnRecord, Severity, Source, StreamId},
    store::{
        Callback, Counters, Hold, Level, Problem, Retention, SealerOptions, Store, StoreOptions, Watermarks, WriterOptions, catalogue,
        hold::Holds, keys,
    },
};

/// An open audit log. Cheap to clone; the last handle that is dropped closes it.
///
/// ```
/// use tracing_audit::{AuditLog, Retention};
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let log = AuditLog::builder(dir).source("billing").retention(Retention::days(90)).open()?;
/// let subscriber = tracing_subscriber::registry().with(log.layer());
/// # let _default = tracing::subscriber::set_default(subscriber);
/// // …
/// log.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuditLog {
    owner: Arc<Owner>,
}

/// Closes the log when the last handle goes. The layer and the process-wide log are no handles: a subscriber is never dropped.
struct Owner {
    store: Store,
    intake: Arc<Intake>,
    /// Those that the application gave; else they are in the directory.
    hash_keys: Option<Vec<HashKey>>,
    closed: AtomicBool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = self.store.close() {
            tracing::error!(target: "tracing_audit", "the audit log could not be closed: {error}; its journal keeps what is missing");
        }
    }
}

impl AuditLog {
    /// Begins to describe a log in this directory, which is created if it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> AuditLogBuilder {
        AuditLogBuilder {
            dir: dir.into(),
            source: None,
            retention: Retention::default(),
            when_full: WhenFull::default(),
            journal_bytes: journal::DEFAULT_CAPACITY,
            max_record_bytes: 64 * 1024,
            rotate_bytes: 64 * 1024 * 1024,
            rotate_every: Duration::from_secs(3600),
            sync_every: Duration::from_secs(1),
            compression_level: 6,
            live_grace: Duration::from_secs(60),
            watermarks: Watermarks::default(),
            hash_keys: Vec::new(),
            catalogue: Some(capture::catalogue),
            on_problem: None,
        }
    }

    /// For what the `tracing-audit` program does to a log: it records that, prunes nothing by itself and has no event types of its own.
    #[cfg(feature = "cli")]
    pub(crate) fn of_tool(dir: impl Into<PathBuf>) -> AuditLogBuilder {
        let builder = Self::builder(dir).source("tracing-audit").retention(Retention::unlimited());
        AuditLogBuilder { catalogue: None, ..builder }
    }

    /// For the demo: with its event types.
    #[cfg(feature = "cli")]
    pub(crate) fn of_demo(dir: impl Into<PathBuf>) -> AuditLogBuilder {
        AuditLogBuilder { catalogue: Some(capture::demo_catalogue), ..Self::builder(dir) }
    }

    /// The layer that takes this log's events from `tracing`.
    pub fn layer(&self) -> AuditLayer {
        AuditLayer::new(self.owner.intake.clone())
    }

    /// Makes this the log of all events in the process that meet no layer: before a subscriber is set, in threads with another one,
    /// under a layer that hides ours. It can be set once.
    ///
    /// # Errors
    ///
    /// [`Error::GlobalAlreadySet`].
    pub fn set_global(&self) -> Result<()> {
        capture::set_global(self.owner.intake.clone()).map_err(|_| Error::GlobalAlreadySet)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.owner.store.layout.root()
    }

    /// The stream that this process writes.
    pub fn stream(&self) -> &StreamId {
        &self.owner.store.stream
    }

    pub(crate) fn store(&self) -> &Store {
        &self.owner.store
    }

    /// What was counted since the log was opened.
    pub fn counters(&self) -> Counters {
        self.owner.store.health.counters()
    }

    /// Why the log can't take events as it should, each in a sentence; empty when all is well.
    pub fn trouble(&self) -> Vec<String> {
        let mut trouble = self.owner.store.health.trouble();
        let (used, capacity) = self.owner.intake.fill();
        if used > capacity / 10 * 9 {
            trouble.push(format!("the journal is nearly full: {used} of {capacity} bytes"));
        }
        if self.owner.closed.load(Ordering::Relaxed) {
            trouble.push("the log is closed".to_owned());
        }
        trouble
    }

    /// Removes what is past its retention now, rather than at the next turn.
    pub fn prune(&self) {
        self.owner.store.prune_soon();
    }

    /// Removes what is past this retention before it returns; `None` if another process is at it.
    #[cfg(feature = "cli")]
    pub(crate) fn prune_now(&self, retention: &Retention) -> Result<Option<crate::store::Pruned>> {
        self.owner.store.prune_now(retention)
    }

    /// What [`hashed`](crate::hashed) makes of a value, with each of the log's keys, the current one first: what to search for.
    ///
    /// # Errors
    ///
    /// If the keys can't be read.
    pub fn hashes_of(&self, value: &str) -> Result<Vec<String>> {
        let keys = match &self.owner.hash_keys {
            Some(keys) => keys.clone(),
            None => keys::hash_keys(&self.owner.store.layout)?,
        };
        Ok(keys.iter().rev().map(|key| key.hash(value)).collect())
    }

    /// Makes a new random key of this name, with which values are [`hashed`](crate::hashed) from now on; by other processes from their
    /// next start. It is recorded (`audit.hash_key.rotated`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the name can't be or was used, or if the builder was given keys: then rotate those.
    pub fn rotate_hash_key(&self, name: &str) -> Result<()> {
        if self.owner.hash_keys.is_some() {
            return Err(Error::invalid("name", "the log was opened with keys of the application's; give the builder another one"));
        }
        let key = keys::rotate_hash_key(&self.owner.store.layout, name)?;
        self.owner.intake.hash_key.set(&key);
        let record = OwnRecord::new("audit.hash_key.rotated", Severity::Warning, "Values are hashed with another key");
        self.owner.store.record(&record.detail("key", name))
    }

    /// Keeps the entries of a range of time, whatever their retention says, until the hold is released. It is recorded
    /// (`audit.hold.placed`), and no removal of held files is under way any more when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there is a hold of this name, [`Error::Io`] if it can't be written, or not be recorded: then it is placed
    /// all the same.
    pub fn place_hold(&self, hold: Hold) -> Result<()> {
        self.owner.store.place_hold(hold)
    }

    /// Ends a hold, which is recorded first (`audit.hold.released`). False if there is none of this name.
    ///
    /// # Errors
    ///
    /// If it can't be recorded or written; then it still holds.
    pub fn release_hold(&self, name: &str) -> Result<bool> {
        self.owner.store.release_hold(name)
    }

    /// The holds there are, the oldest first.
    ///
    /// # Errors
    ///
    /// If they can't be read; nothing is pruned then either.
    pub fn holds(&self) -> Result<Vec<Hold>> {
        Holds::read(&self.owner.store.layout).map(Holds::into_vec)
    }

    /// Takes no more events, writes those taken and makes them durable, and stops the log's threads. Closing twice does nothing.
    ///
    /// # Errors
    ///
    /// If the disk refuses. What could not be written is in the journal, and the next process that opens the directory writes it.
    pub fn close(&self) -> Result<()> {
        self.owner.closed.store(true, Ordering::Relaxed);
        self.owner.intake.close();
        self.owner.store.close()
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("dir", &self.dir()).field("stream", self.stream()).finish_non_exhaustive()
    }
}

/// Describes a log; see [`AuditLog::builder`]. Every setting has a default that suits most.
#[must_use = "nothing happens until `open`"]
pub struct AuditLogBuilder {
    dir: PathBuf,
    source: Option<String>,
    retention: Retention,
    when_full: WhenFull,
    journal_bytes: usize,
    max_record_bytes: usize,
    rotate_bytes: u64,
    rotate_every: Duration,
    sync_every: Duration,
    compression_level: u32,
    live_grace: Duration,
    watermarks: Watermarks,
    hash_keys: Vec<HashKey>,
    /// What the program can record; none if that is not to be kept.
    catalogue: Option<fn() -> Catalogue>,
    on_problem: Option<Callback>,
}

impl AuditLogBuilder {
    /// The name of what writes, as in `billing`: letters, digits, `.`, `_` and `-`, at most 64 bytes. Default: the program's name.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How long records are kept. Default: 90 days.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// What a caller does while the journal is full. Default: it waits.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// The size of the journal in bytes, a power of two; it is allocated on disk and mapped. Default: 16 MiB.
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// The longest record in bytes; a longer one has its longest strings cut, and says so. Default: 64 KiB.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// The live file is rotated at this size in bytes (default: 64 MiB), and at every UTC midnight.
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes;
        self
    }

    /// The live file is rotated at this age. Default: one hour.
    pub fn rotate_every(mut self, age: Duration) -> Self {
        self.rotate_every = age;
        self
    }

    /// How often the live file is synced while events come, so what a power failure can take. Default: one second.
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.sync_every = interval;
        self
    }

    /// The gzip level of sealed files, 1 to 9. Default: 6. When sealing falls behind, level 1 is used until it has caught up.
    pub fn compression_level(mut self, level: u32) -> Self {
        self.compression_level = level;
        self
    }

    /// How long a live file stays after it was sealed, for whoever is reading it. Default: 60 seconds.
    pub fn live_grace(mut self, grace: Duration) -> Self {
        self.live_grace = grace;
        self
    }

    /// A key for [`hashed`](crate::hashed) values. Given several times, the last one hashes, and those before it are for
    /// [`AuditLog::hashes_of`]. Default: a random one, made once and kept in the log's directory (0600), which
    /// [`AuditLog::rotate_hash_key`] replaces. Who may read the log's directory then has the key as well; to keep them apart, give one.
    pub fn hash_key(mut self, key: HashKey) -> Self {
        self.hash_keys.push(key);
        self
    }

    /// What is done while the log's file system runs out of room. Default: see [`Watermarks`].
    pub fn watermarks(mut self, watermarks: Watermarks) -> Self {
        self.watermarks = watermarks;
        self
    }

    /// Called with every problem, on one of the log's own threads: keep it short, and record no audit events in it that wait.
    pub fn on_problem(mut self, callback: impl Fn(&Problem) + Send + Sync + 'static) -> Self {
        self.on_problem = Some(Arc::new(callback));
        self
    }

    /// Opens the log: creates the directory (0700) if it is missing, recovers what dead processes left in it, starts two threads.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that can't be used, [`Error::Io`] for a directory that can't, [`Error::Version`] for one
    /// that another version wrote.
    pub fn open(self) -> Result<AuditLog> {
        let source: Source = match &self.source {
            Some(source) => source.parse()?,
            None => program_name().parse()?,
        };
        self.watermarks.check()?;
        let level = Level::new(self.compression_level)
            .ok_or_else(|| Error::invalid("compression_level", format!("{} is not between 1 and 9", self.compression_level)))?;
        // Stream, number and line end are added to what a caller renders.
        let overhead = source.as_str().len() + 64;
        let longest = self.max_record_bytes.saturating_sub(overhead);
        if longest < 1024 {
            return Err(Error::invalid("max_record_bytes", format!("{} is too little, give at least 2048", self.max_record_bytes)));
        }
        if self.max_record_bytes > self.journal_bytes / 8 {
            let most = self.journal_bytes / 8;
            return Err(Error::invalid(
                "max_record_bytes",
                format!("{} is more than an eighth of the journal, {most}", self.max_record_bytes),
            ));
        }
        let options = StoreOptions {
            source: source.clone(),
            journal_capacity: self.journal_bytes,
            writer: WriterOptions {
                rotate_bytes: self.rotate_bytes.max(1),
                rotate_age: self.rotate_every,
                sync_interval: self.sync_every,
                watermarks: self.watermarks,
            },
            sealer: SealerOptions { level, grace: self.live_grace, retention: self.retention },
            on_problem: self.on_problem,
        };
        let store = Store::open(&self.dir, options)?;
        if let Some(of_program) = self.catalogue
            && let Err(error) = catalogue::keep_catalogue(&store.layout, &source, of_program())
        {
            // The log does without; it tells those who look what it is about.
            tracing::warn!(target: "tracing_audit", "the catalogue of event types could not be kept: {error}");
        }
        let own_keys = !self.hash_keys.is_empty();
        let hash_keys = if own_keys { self.hash_keys } else { keys::ensure_hash_keys(&store.layout)? };
        let key = CurrentKey::leak(hash_keys.last());
        let intake = Intake::new(store.producer.clone(), store.durability, &source, longest, self.when_full, key);
        let hash_keys = if own_keys { Some(hash_keys) } else { None };
        Ok(AuditLog { owner: Arc::new(Owner { store, intake: Arc::new(intake), hash_keys, closed: AtomicBool::new(false) }) })
    }
}

impl fmt::Debug for AuditLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogBuilder").field("dir", &self.dir).field("source", &self.source).finish_non_exhaustive()
    }
}

/// The running program's file name, as far as it can be a source.
fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(64).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}
