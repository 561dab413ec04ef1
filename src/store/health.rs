//! How the log is doing: counters and the present trouble, for metrics, readiness and the
//! application's own callback.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::record::Timestamp;

/// Something is wrong with the log, or right again.
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
    /// A file could not be sealed; it stays as it is and is tried again.
    SealFailed(String),
    /// What a dead process left could not be recovered; it stays as it is.
    RecoveryFailed(String),
    /// Files past their retention could not be removed.
    PruneFailed(String),
    /// Events were dropped because the journal was full.
    Dropped(u64),
    /// Events come after the log was closed. They are not recorded, but counted as
    /// [`refused`](Counters::refused); reported once. Close the log after the last event.
    Closed,
    /// This process is a child by `fork` and can't open a stream of its own. Its events are not
    /// recorded, but counted as [`refused`](Counters::refused). Remove the cause: an event tries
    /// again, once a second.
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
            Self::SealFailed(error) => write!(f, "an audit file could not be sealed: {error}"),
            Self::RecoveryFailed(error) => write!(
                f,
                "what a dead process left could not be recovered: {error}"
            ),
            Self::PruneFailed(error) => write!(f, "old audit files could not be removed: {error}"),
            Self::Dropped(count) => write!(
                f,
                "{count} audit events were dropped because the journal was full"
            ),
            Self::Closed => f.write_str(
                "the audit log is closed, and events that come now are not recorded: \
                 close it after the last event",
            ),
            Self::StreamFailed(error) => write!(
                f,
                "audit events of this forked process are not recorded, for it has no stream of \
                 its own: {error}"
            ),
        }
    }
}

/// Called with each problem, on the log's own threads or on one that records an event.
pub(crate) type Callback = Arc<dyn Fn(&Problem) + Send + Sync>;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:literal $metric:literal,)*) => {
        /// What the log counts.
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
    /// Records written to live files.
    records: "counter" "tracing_audit_records_total",
    /// Bytes written to live files.
    bytes: "counter" "tracing_audit_bytes_total",
    /// Times the live file was synced.
    syncs: "counter" "tracing_audit_syncs_total",
    /// Events dropped because the journal was full.
    dropped: "counter" "tracing_audit_dropped_total",
    /// Events not recorded because the log was closed, or a forked process had no stream.
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
    /// Records recovered from the journals of dead processes.
    recovered: "counter" "tracing_audit_recovered_records_total",
    /// Bytes free on the log's file system, as last seen.
    free_bytes: "gauge" "tracing_audit_free_bytes",
    /// How much room there is: 0 enough, 1 below the low watermark, 2 below the very low one.
    space_level: "gauge" "tracing_audit_space_level",
    /// Microseconds since 1970 of the last sync.
    last_sync_micros: "gauge" "tracing_audit_last_sync_microseconds",
}

/// Shared by the log's threads and whoever asks.
pub(crate) struct Health {
    cells: Cells,
    trouble: Mutex<Trouble>,
    callback: Option<Callback>,
}

#[derive(Clone, Debug, Default)]
struct Trouble {
    write: Option<String>,
    space: Option<String>,
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
        trouble
            .write
            .iter()
            .chain(&trouble.space)
            .cloned()
            .collect()
    }

    pub(crate) fn synced(&self) {
        self.count(self.syncs(), 1);
        self.last_sync_micros().store(
            Timestamp::now().as_micros().unsigned_abs(),
            Ordering::Relaxed,
        );
    }

    /// Notes a problem and tells the application.
    pub(crate) fn report(&self, problem: &Problem) {
        {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            match problem {
                Problem::WriteFailed(_) | Problem::DiskFull(_) | Problem::StreamFailed(_) => {
                    trouble.write = Some(problem.to_string())
                }
                Problem::WriteRecovered => trouble.write = None,
                Problem::SpaceLow { very: true, .. } => trouble.space = Some(problem.to_string()),
                Problem::SpaceLow { very: false, .. } | Problem::SpaceRecovered => {
                    trouble.space = None
                }
                _ => {}
            }
        }
        match problem {
            Problem::WriteRecovered | Problem::SpaceRecovered => {
                tracing::info!(target: "tracing_audit", "{problem}")
            }
            Problem::Closed | Problem::StreamFailed(_) => {
                tracing::error!(target: "tracing_audit", "{problem}")
            }
            _ => tracing::warn!(target: "tracing_audit", "{problem}"),
        }
        if let Some(callback) = &self.callback {
            callback(problem);
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
