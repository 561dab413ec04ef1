//! The results of an [`AuditReader`]: pages, followers, downloads, and the report of a check.
//!
//! | question | answer |
//! |---|---|
//! | [`AuditReader::page`] | a [`Page`] of entries |
//! | [`AuditReader::each`] | every entry, in an [`Order`] |
//! | [`AuditReader::stats`] | [`Stats`]: how many entries there are, over time and by values |
//! | [`AuditReader::hints`] | why a filter may have found nothing |
//! | [`AuditReader::tail`] | a [`Tail`], which follows the log |
//! | `AuditReader::export` (feature `export`) | an `Export`: a part of the log as one file |
//! | [`AuditReader::verify`] | a [`VerifyReport`] |
//!
//! An [`Entry`](crate::Entry) is made of an [`EntryActor`], an [`EntryResource`], an
//! [`EntryOutcome`] and an [`EntryContext`].

#[cfg(any(feature = "export", test))]
pub use crate::export::{
    CsvDetails, CsvOptions, CsvWriter, Export, ExportFormat, ExportProgress, Exported, Times,
};
pub use crate::{
    entry::{EntryActor, EntryContext, EntryOutcome, EntryResource},
    query::{
        Order, OutcomeCounts, Page, PageStart, Problem as Unreadable, Scanned, SeverityCounts,
        Stats, StatsField, StatsQuery, Step, StepCounts, Tail, TailStart, Top, TopValues,
        ValueCount,
    },
    verify::{Finding, FindingKind, FindingLevel, VerifyReport},
};

use std::sync::Arc;

use crate::{
    entry::{Catalogue, HashKey},
    error::Result,
    query::AuditReader,
    store::{Hold, Pruned, Retention, catalogue, hold::Holds, keys, prune_preview},
    webhook::unread,
};

impl AuditReader {
    /// The event types of all sources that have written to the log, as they were when each of them
    /// opened it last.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditReader;
    ///
    /// for entry in AuditReader::open(dir)?.catalogue()?.iter() {
    ///     println!("{}: {}", entry.event_type(), entry.description().unwrap_or_default());
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the catalogue can't be read.
    pub fn catalogue(&self) -> Result<Catalogue> {
        catalogue::catalogue(self.layout())
    }

    /// The holds there are, the oldest first.
    ///
    /// # Errors
    ///
    /// If they can't be read; nothing is pruned then either.
    pub fn holds(&self) -> Result<Vec<Hold>> {
        Holds::read(Arc::clone(self.fs()), self.layout()).map(Holds::into_vec)
    }

    /// The keys of [`hashed`](crate::hashed) values that are kept in the log's directory, the
    /// current one last. None, if no application has hashed anything with such a key: one that was
    /// given [keys of its own](crate::AuditLogBuilder::hash_key) keeps none here.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditReader;
    ///
    /// // What to search for, to find the entries about a person.
    /// for key in AuditReader::open(dir)?.hash_keys()? {
    ///     println!("{}", key.hash("ann@example.com"));
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the keys can't be read, which only the owner of the directory may.
    pub fn hash_keys(&self) -> Result<Vec<HashKey>> {
        keys::hash_keys(self.layout())
    }

    /// The files that [`AuditLog::prune_by`](crate::AuditLog::prune_by) would remove now. With
    /// `trust_clock`, as if someone had called
    /// [`AuditLog::trust_clock`](crate::AuditLog::trust_clock) before.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::{AuditReader, Retention};
    ///
    /// let preview = AuditReader::open(dir)?.prune_preview(&Retention::days(90), false)?;
    /// for file in &preview.files {
    ///     println!("{} has {} bytes", file.name(), file.bytes());
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the files, the holds, or what webhooks have not got yet can't be read.
    pub fn prune_preview(&self, retention: &Retention, trust_clock: bool) -> Result<Pruned> {
        prune_preview(
            Arc::clone(self.fs()),
            self.layout(),
            retention,
            trust_clock,
            unread::readings,
        )
    }
}
