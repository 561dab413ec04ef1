//! A log, from an application's side: opening, the layer, closing.

mod at_exit;
mod builder;
mod health;
mod holds;
mod stores;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Filtered;

pub use builder::AuditLogBuilder;
pub use health::HealthReport;
pub use holds::Holds;

use crate::{
    capture::{self, AuditFilter, AuditLayer, Intake, NotDurable},
    entry::{HashKey, OwnEntry, Severity, StreamId},
    error::{Error, Result},
    query::AuditReader,
    store::{Pruned, RecoveredStream, Retention, Store, keys, layout::Layout, recover_all},
};
use stores::Stores;

/// An open audit log. Cheap to clone.
///
/// The log is open until [`close`](Self::close), or until the last handle and the last
/// [layer](Self::layer) are dropped. A process that ends in order, by a return from `main` or by
/// `std::process::exit`, closes the logs that are still open, for which it waits two seconds at
/// most. However the process ends, the journal keeps the events that were not written yet.
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
///
/// # In a process that forks
///
/// A child by `fork` may go on using the log that it inherited, its layer and the process-wide log:
/// the child's events go to a stream of its own in the same directory. The child opens that stream
/// at its first event, which takes some milliseconds, with a journal and two threads, as
/// [`open`](AuditLogBuilder::open) does. Closing the log in the child, or dropping all handles and
/// layers of it there, closes only what the child opened. A child that ends without closing (by
/// `_exit`, or by starting another program) loses nothing: the next process that opens the
/// directory recovers what the child left, as after any death. A child that outlives its parent
/// doesn't keep others from recovering what the parent left.
///
/// - A log that was closed before the fork is closed in the child too.
/// - Where the child can't open a stream, because it may no longer write to the directory or has
///   another root, its events are not recorded, which is counted
///   ([`Counters::refused`](crate::health::Counters::refused)), reported
///   ([`on_problem`](AuditLogBuilder::on_problem)) and tried again once a second. So open the log
///   after `setuid` and `chroot`; whether before or after a daemon's `fork` makes no difference.
/// - A [`Receipt`](crate::Receipt) from before the fork gives
///   [`OtherProcess`](crate::NotDurable::OtherProcess) when it is waited for in the child.
/// - Webhooks (feature `webhook`) are delivered by the process that began to forward, not by its
///   children.
/// - The fork has to be the C library's. A child made by the system call `clone` itself takes
///   itself for its parent: it must not touch the log before it starts another program.
#[derive(Clone)]
pub struct AuditLog {
    owner: Arc<Owner>,
}

/// Closes the log when the last handle goes; layers and the process-wide log are handles too.
struct Owner {
    stores: Arc<Stores>,
    intake: Arc<Intake>,
    /// The keys that the application gave; otherwise they are in the directory.
    hash_keys: Option<Vec<HashKey>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stores.let_go();
    }
}

impl AuditLog {
    /// Describes a log in this directory. [`open`](AuditLogBuilder::open) creates the directory if
    /// it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> AuditLogBuilder {
        AuditLogBuilder::new(dir.into())
    }

    /// Completes what processes left in a directory that ended without closing their log: writes
    /// the events that are in their journals, seals their files, and calls `done` after each
    /// stream. Streams of running processes are left alone.
    ///
    /// [`open`](AuditLogBuilder::open) does the same for a process that goes on with the log, in
    /// its own time; this is for a directory that no application opens again soon.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditLog;
    ///
    /// AuditLog::recover(dir, |stream| println!("{}: {} entries", stream.stream, stream.entries))?;
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no log in the directory, or if it can't be listed or written;
    /// [`Error::Version`] if another version wrote it. A failure in one stream is among the
    /// [`problems`](RecoveredStream::problems) of that stream.
    pub fn recover(dir: impl AsRef<Path>, done: impl FnMut(RecoveredStream)) -> Result<()> {
        recover_all(dir.as_ref(), done)
    }

    /// The layer that takes this log's events from `tracing`, and the context from spans of level
    /// `INFO` and above.
    pub fn layer<S>(&self) -> Filtered<AuditLayer, AuditFilter, S> {
        self.layer_with_spans(LevelFilter::INFO)
    }

    /// The same, with the context from spans down to this level.
    pub fn layer_with_spans<S>(&self, level: LevelFilter) -> Filtered<AuditLayer, AuditFilter, S> {
        self.unfiltered_layer().filtered(level)
    }

    /// The same without its filter: for a subscriber that isn't based on `Registry`, and for a
    /// layer that is put in place later by `reload::Handle::reload`, because a layer with a filter
    /// can't be.
    ///
    /// Without the filter `tracing` doesn't know which lines the layer wants, so it hands over
    /// every line of the program, `TRACE` ones included: more work, and the same entries.
    pub fn unfiltered_layer(&self) -> AuditLayer {
        AuditLayer::new(self.owner.intake.clone(), self.owner.clone())
    }

    /// Makes this the log of all events in the process that meet no layer: before a subscriber is
    /// set, on threads with another subscriber, under a layer that hides ours. A process can set
    /// one such log, once.
    ///
    /// # Errors
    ///
    /// [`Error::GlobalAlreadySet`].
    pub fn set_global(&self) -> Result<()> {
        match capture::set_global(self.owner.intake.clone(), self.owner.clone()) {
            true => Ok(()),
            false => Err(Error::GlobalAlreadySet),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.layout().root()
    }

    /// The stream that this process writes. In a child by `fork`, that of its parent until it has
    /// recorded something.
    pub fn stream(&self) -> &StreamId {
        self.owner.stores.stream()
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.owner.stores.layout()
    }

    /// This process's store.
    ///
    /// # Errors
    ///
    /// If this is a child by `fork`, and it can't open a stream of its own.
    pub(crate) fn store(&self) -> Result<&Store> {
        self.owner.stores.store()
    }

    /// Has the log's own thread prune now, by the log's own retention, rather than at its next
    /// turn, which is within a minute. Returns at once. [`prune_by`](Self::prune_by) waits, and
    /// prunes by another retention.
    pub fn request_pruning(&self) {
        // A child by `fork` without a stream prunes nothing, which is reported.
        if let Ok(store) = self.store() {
            store.prune_soon();
        }
    }

    /// Confirms that somebody has checked this machine's clock, and that the clock is right. Files
    /// that are past their retention by this clock then no longer wait until it has proved itself
    /// ([`Problem::PruneHeldBack`](crate::health::Problem::PruneHeldBack)). The confirmation is
    /// recorded (`audit.log.clock_trusted`).
    ///
    /// # Errors
    ///
    /// If the confirmation can't be recorded or written; the files then still wait.
    pub fn trust_clock(&self) -> Result<()> {
        self.store()?.trust_clock()
    }

    /// Removes the sealed files that are past this retention, whatever the log's own is, and
    /// returns when they are gone. The removal is recorded (`audit.log.pruned`).
    /// [`AuditReader::prune_preview`](crate::AuditReader::prune_preview) only says which files
    /// these are.
    ///
    /// ```
    /// # fn main() -> tracing_audit::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path();
    /// use tracing_audit::{AuditLog, Retention};
    ///
    /// let log = AuditLog::builder(dir).for_maintenance().open()?;
    /// let pruned = log.prune_by(&Retention::days(365))?;
    /// println!("{} files and {} bytes are gone", pruned.files.len(), pruned.bytes);
    /// log.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] while another process prunes or changes holds: try again in some seconds.
    /// Otherwise, if the files or the holds can't be read, or if the removal can't be recorded:
    /// then nothing is removed.
    pub fn prune_by(&self, retention: &Retention) -> Result<Pruned> {
        self.store()?.prune_now(retention)
    }

    /// The hashes that [`hashed`](crate::hashed) makes of a value, one for each of the log's keys,
    /// the current key first: the values to search for.
    ///
    /// # Errors
    ///
    /// If the keys can't be read.
    pub fn hashes_of(&self, value: &str) -> Result<Vec<String>> {
        let keys = match &self.owner.hash_keys {
            Some(keys) => keys.clone(),
            None => keys::hash_keys(self.layout())?,
        };
        Ok(keys.iter().rev().map(|key| key.hash(value)).collect())
    }

    /// Makes a new random key of this name. This process uses the key for [`hashed`](crate::hashed)
    /// values from now on, other processes from their next start. The change is recorded
    /// (`audit.hash_key.rotated`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the name is malformed or was used before, or if the builder was given
    /// keys: then rotate those.
    pub fn rotate_hash_key(&self, name: &str) -> Result<()> {
        if self.owner.hash_keys.is_some() {
            return Err(Error::invalid(
                "name",
                "the log was opened with keys of the application's; give the builder another one",
            ));
        }
        let key = keys::rotate_hash_key(self.layout(), name)?;
        self.owner.intake.hash_key.set(&key);
        let entry = OwnEntry::new(
            "audit.hash_key.rotated",
            Severity::Warning,
            "The key that hashes values was rotated",
        );
        self.store()?.record(&entry.detail("key", name))
    }

    /// A reader of this log's entries. [`flush`](Self::flush) first to find what was just recorded.
    ///
    /// The reader remembers what it read of the files: keep it for the next question.
    ///
    /// ```
    /// # use tracing_audit::{AuditLog, Query, audit};
    /// # let log = AuditLog::for_tests();
    /// # log.run(|| audit!("user.created", resource.id = 7).ignore());
    /// log.flush()?;
    /// let page = log.reader().page(&Query::parse([("event_type", "user.created")])?)?;
    /// assert_eq!(page.entries.len(), 1);
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    pub fn reader(&self) -> AuditReader {
        AuditReader::of_log(self.layout().clone())
    }

    /// Waits until every event that this process recorded before is on stable storage, and in files
    /// where it can be read: usually some milliseconds, as for
    /// [`Receipt::wait`](crate::Receipt::wait).
    ///
    /// ```
    /// use tracing_audit::{AuditLog, Query, audit};
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let log = AuditLog::builder(dir).source("test").open()?;
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
    ///     audit!("user.created", resource.id = 7);
    /// });
    /// log.flush()?;
    /// let page = log.reader().page(&Query::parse([("event_type", "user.created")])?)?;
    /// assert_eq!(page.entries.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the disk refuses at the moment, or the log was closed before all events were written: see
    /// [`NotDurable`](crate::NotDurable). The events are then in the journal.
    pub fn flush(&self) -> std::result::Result<(), NotDurable> {
        self.owner.stores.flush()
    }

    /// Closes the log: it takes no more events, writes the events that it took, makes them durable,
    /// and stops its threads. Closing twice does nothing. Events that come later are not recorded,
    /// but counted ([`Counters::refused`](crate::health::Counters::refused)) and reported.
    ///
    /// # Errors
    ///
    /// If the disk refuses. Events that could not be written are in the journal, and the next
    /// process that opens the directory writes them.
    pub fn close(&self) -> Result<()> {
        self.owner.stores.close()
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("dir", &self.dir())
            .field("stream", self.stream())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
