//! How the log is doing: counters and the present trouble, for metrics, readiness and the
//! application's own callback.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    contain::{alarm, contain, say_apart},
    entry::Timestamp,
};

/// Something is wrong with the log, or right again.
///
/// ```
/// # fn main() -> tracing_audit::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// use tracing_audit::{AuditLog, health::Problem};
///
/// let log = AuditLog::builder(dir)
///     .on_problem(|problem| match problem {
///         Problem::DiskFull(_) | Problem::WriteFailed(_) => eprintln!("page someone: {problem}"),
///         _ => eprintln!("{problem}"),
///     })
///     .open()?;
/// # log.close()
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Events can't be written: the disk fails. They stay in the journal; once it is full, callers
    /// wait or events are dropped, as set. Repair the disk: writing goes on by itself.
    WriteFailed(String),
    /// Events can't be written: the disk is full. As [`WriteFailed`](Self::WriteFailed); make room.
    DiskFull(String),
    /// Events are written again.
    WriteRecovered,
    /// Free space fell below a watermark, in bytes.
    SpaceLow {
        /// Bytes free now.
        free: u64,
        /// The watermark.
        watermark: u64,
        /// Whether it is the lower one of the two: the log is not ready then.
        very: bool,
    },
    /// Free space is above the watermarks again.
    SpaceRecovered,
    /// The live file was deleted, replaced or cut by someone else. It was written again as far as
    /// possible; the message says how far.
    LiveFileLost(String),
    /// A sealed file is gone, and the log doesn't say that it was pruned. Find out who took it
    /// away; reported every hour as long as the file's index is there.
    SealedFileLost(String),
    /// A file could not be sealed; it stays as it is and is tried again.
    SealFailed(String),
    /// The stream of a dead process could not be recovered; it stays as it is. Or its journal is
    /// gone ([`journal_dir`](crate::AuditLogBuilder::journal_dir)), and the rest was recovered.
    RecoveryFailed(String),
    /// Files past their retention could not be removed.
    PruneFailed(String),
    /// Events were dropped because the journal was full.
    Dropped(u64),
    /// The journal's file was deleted or replaced by someone else, or the file in the log's
    /// directory that leads to it ([`journal_dir`](crate::AuditLogBuilder::journal_dir)). Events
    /// are still written, but those of the last milliseconds are lost if the process is killed:
    /// restart it.
    JournalLost(String),
    /// The lock of the stream, a file in `state/locks`, was deleted or replaced by someone else.
    /// Other processes take this one for dead, unless its journal shows that it lives: restart it.
    LockLost(String),
    /// The log's directory is no longer where it was opened: it was moved, or a link to it now
    /// points to another. The log goes on in the old one; restart the process to use the new one.
    /// If the directory itself was moved, nothing is created where it was: the log goes on in the
    /// file that is open, until midnight at most, and then events wait in the journal.
    DirectoryMoved(String),
    /// A thread of the log panicked, which is a bug in this crate. Without the writer, events are
    /// refused and counted as [`refused`](Counters::refused), and no caller waits for it. Without
    /// the sealer, files are neither sealed nor pruned. Restart the process: the events in the
    /// journal are written then.
    ThreadDied(String),
    /// Files that are past their retention by this machine's clock stay, because the clock has not
    /// proved itself: it jumped, or the machine was off. Check the clock. If it is right, run
    /// `tracing-audit prune --trust-clock` or call
    /// [`AuditLog::trust_clock`](crate::AuditLog::trust_clock), or wait: the files go once the
    /// clock has kept on for as long as it jumped, three days at most.
    PruneHeldBack {
        /// How many files, and what the clock says.
        reason: String,
        /// Whether they have waited for an hour: the log is not ready then.
        lasting: bool,
    },
    /// No files wait for the clock any longer.
    PruneResumed,
    /// Another process has held this lock for five minutes, so nothing is pruned. Find the process
    /// (`fuser` or `lsof` with the path) and end it if it hangs; the log is not ready until then.
    PruneLocked(String),
    /// The lock of pruning is free again.
    PruneUnlocked,
    /// Events came after the log was closed. They are not recorded, but counted as
    /// [`refused`](Counters::refused); reported once. Close the log after the last event.
    Closed,
    /// This process is a child by `fork` and can't open a stream of its own. Its events are not
    /// recorded, but counted as [`refused`](Counters::refused). Remove the cause: a later event
    /// tries again, at most once a second.
    StreamFailed(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteFailed(error) | Self::DiskFull(error) => write!(
                f,
                "audit events can't be written and wait in the journal: {error}"
            ),
            Self::WriteRecovered => f.write_str("audit events are written again"),
            Self::SpaceLow {
                free,
                watermark,
                very: _,
            } => write!(
                f,
                "only {free} bytes are free for the audit log, less than {watermark}"
            ),
            Self::SpaceRecovered => f.write_str("the audit log has enough free space again"),
            Self::LiveFileLost(what) => write!(
                f,
                "the live file of the audit log was tampered with: {what}"
            ),
            Self::SealedFileLost(what) => {
                write!(f, "a sealed file of the audit log is gone: {what}")
            }
            Self::SealFailed(error) => write!(
                f,
                "a live file of the audit log could not be \
                sealed: {error}"
            ),
            Self::RecoveryFailed(error) => {
                write!(f, "files of a dead process could not be recovered: {error}")
            }
            Self::PruneFailed(error) => write!(
                f,
                "old files of the audit log could not be \
                pruned: {error}"
            ),
            Self::Dropped(count) => write!(
                f,
                "{count} audit events were dropped because the journal was full"
            ),
            Self::JournalLost(what) => write!(f, "the journal of the audit log is gone: {what}"),
            Self::LockLost(what) => write!(f, "the lock of the audit log is gone: {what}"),
            Self::DirectoryMoved(what) => write!(f, "the audit log's directory was moved: {what}"),
            Self::ThreadDied(what) => write!(f, "a thread of the audit log died: {what}"),
            Self::PruneHeldBack { reason, lasting: _ } => {
                write!(f, "old files of the audit log are not pruned yet: {reason}")
            }
            Self::PruneResumed => {
                f.write_str("no files of the audit log wait for the clock any longer")
            }
            Self::PruneLocked(lock) => write!(
                f,
                "old files of the audit log are not pruned, because another process holds the \
                 lock {lock}"
            ),
            Self::PruneUnlocked => f.write_str("old files of the audit log are pruned again"),
            Self::Closed => f.write_str(
                "the audit log is closed, and events that come now are not recorded: \
                 close it after the last event",
            ),
            Self::StreamFailed(error) => write!(
                f,
                "audit events of this forked process are not recorded, because it has no stream \
                 of its own: {error}"
            ),
        }
    }
}

/// Called with each problem, on the log's own threads or on one that records an event.
pub(crate) type Callback = Arc<dyn Fn(&Problem) + Send + Sync>;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:literal $metric:literal,)*) => {
        /// The counters of a log.
        ///
        /// ```
        /// # let log = tracing_audit::AuditLog::for_tests();
        /// let counters = log.counters();
        /// assert_eq!((counters.dropped, counters.refused), (0, 0)); // no event is missing
        /// assert!(counters.prometheus().contains("tracing_audit_dropped_total 0"));
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        struct Cells {
            $($name: AtomicU64,)*
        }

        impl Cells {
            fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Health {
            $(
                pub(crate) fn $name(&self) -> &AtomicU64 {
                    &self.cells.$name
                }
            )*
        }

        impl Counters {
            /// The counters in Prometheus' text format, version 0.0.4.
            pub fn prometheus(&self) -> String {
                let mut text = String::new();
                $(
                    let help = concat!($($doc),+);
                    text.push_str(&format!(
                        "# HELP {metric} {}\n# TYPE {metric} {}\n{metric} {}\n",
                        help.trim(), $kind, self.$name, metric = $metric,
                    ));
                )*
                text
            }
        }
    };
}

counters! {
    /// Entries written to live files.
    entries: "counter" "tracing_audit_entries_total",
    /// Bytes written to live files.
    bytes: "counter" "tracing_audit_bytes_total",
    /// Times the live file was synced.
    syncs: "counter" "tracing_audit_syncs_total",
    /// Events dropped because the journal was full.
    dropped: "counter" "tracing_audit_dropped_total",
    /// Events not recorded because the log was closed, its writer died, or a forked process had no
    /// stream.
    refused: "counter" "tracing_audit_refused_total",
    /// Failed attempts to write or sync.
    write_errors: "counter" "tracing_audit_write_errors_total",
    /// Files sealed.
    sealed: "counter" "tracing_audit_sealed_files_total",
    /// Failed attempts to seal a file.
    seal_errors: "counter" "tracing_audit_seal_errors_total",
    /// Rotated files that wait to be sealed.
    seal_backlog: "gauge" "tracing_audit_seal_backlog_files",
    /// Files removed by retention.
    pruned: "counter" "tracing_audit_pruned_files_total",
    /// Entries recovered from the journals of dead processes.
    recovered: "counter" "tracing_audit_recovered_entries_total",
    /// Bytes free on the log's file system, as last seen.
    free_bytes: "gauge" "tracing_audit_free_bytes",
    /// How much room there is: 0 enough, 1 below the low watermark, 2 below the very low one.
    space_level: "gauge" "tracing_audit_space_level",
    /// Microseconds since 1970 of the last sync.
    last_sync_micros: "gauge" "tracing_audit_last_sync_microseconds",
}

/// Shared by the log's threads and the application.
pub(crate) struct Health {
    cells: Cells,
    trouble: Mutex<Trouble>,
    callback: Option<Callback>,
}

/// The problems of now, each in a sentence.
#[derive(Clone, Debug, Default)]
struct Trouble {
    write: Option<String>,
    space: Option<String>,
    prune_clock: Option<String>,
    prune_lock: Option<String>,
    /// The problems that stay until the process is restarted.
    lasting: Vec<String>,
}

impl Health {
    pub(crate) fn new(callback: Option<Callback>) -> Self {
        Self {
            cells: Cells::default(),
            trouble: Mutex::default(),
            callback,
        }
    }

    /// For a child by `fork`, which counts by itself and reports to the same callback.
    pub(crate) fn for_child(&self) -> Self {
        Self::new(self.callback.clone())
    }

    pub(crate) fn counters(&self) -> Counters {
        self.cells.read()
    }

    pub(crate) fn count(&self, cell: &AtomicU64, more: u64) {
        cell.fetch_add(more, Ordering::Relaxed);
    }

    /// Why the log is not ready, if it is not.
    pub(crate) fn trouble(&self) -> Vec<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = trouble.write.iter().chain(&trouble.space);
        let passing = passing
            .chain(&trouble.prune_clock)
            .chain(&trouble.prune_lock);
        passing.chain(&trouble.lasting).cloned().collect()
    }

    pub(crate) fn synced(&self) {
        self.count(self.syncs(), 1);
        self.last_sync_micros().store(
            Timestamp::now().as_micros().unsigned_abs(),
            Ordering::Relaxed,
        );
    }

    /// Notes a problem and reports it to the application.
    ///
    /// The application's code runs here: its callback and its `tracing` layers. A panic in that
    /// code must not end the thread that writes the log.
    pub(crate) fn report(&self, problem: &Problem) {
        self.note(problem);
        let say: fn(&str) = match problem {
            Problem::WriteRecovered
            | Problem::SpaceRecovered
            | Problem::PruneResumed
            | Problem::PruneUnlocked => |text| tracing::info!(target: "tracing_audit", "{text}"),
            Problem::ThreadDied(_) | Problem::Closed => alarm,
            Problem::StreamFailed(_) => |text| tracing::error!(target: "tracing_audit", "{text}"),
            _ => |text| tracing::warn!(target: "tracing_audit", "{text}"),
        };
        let logged = say_apart(&problem.to_string(), say);
        let called = contain(|| {
            if let Some(callback) = &self.callback {
                callback(problem);
            }
        });
        for (fine, whose) in [(logged, "a `tracing` layer"), (called, "`on_problem`")] {
            if !fine {
                self.note_lasting(format!(
                    "{whose} panicked when a problem of the log was reported"
                ));
            }
        }
    }

    /// Notes a problem, without telling anyone.
    pub(super) fn note(&self, problem: &Problem) {
        let text = || Some(problem.to_string());
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Problem::WriteFailed(_) | Problem::DiskFull(_) | Problem::StreamFailed(_) => {
                trouble.write = text();
            }
            Problem::WriteRecovered => trouble.write = None,
            Problem::SpaceLow { very: true, .. } => trouble.space = text(),
            Problem::SpaceLow { very: false, .. } | Problem::SpaceRecovered => trouble.space = None,
            Problem::PruneHeldBack { lasting: true, .. } => trouble.prune_clock = text(),
            Problem::PruneResumed => trouble.prune_clock = None,
            Problem::PruneLocked(_) => trouble.prune_lock = text(),
            Problem::PruneUnlocked => trouble.prune_lock = None,
            Problem::JournalLost(_)
            | Problem::LockLost(_)
            | Problem::DirectoryMoved(_)
            | Problem::ThreadDied(_) => {
                drop(trouble);
                self.note_lasting(problem.to_string());
            }
            _ => {}
        }
    }

    fn note_lasting(&self, what: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !trouble.lasting.contains(&what) {
            trouble.lasting.push(what);
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("counters", &self.counters())
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
