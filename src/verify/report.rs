//! The findings of a verification.

use serde::Serialize;

/// The result of [`AuditReader::verify`](crate::AuditReader::verify). `tracing-audit verify
/// --format json` prints it as JSON.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// # log.run(|| tracing_audit::audit!("user.created").ignore());
/// # log.flush()?;
/// # let dir = log.dir();
/// use tracing_audit::AuditReader;
///
/// let report = AuditReader::open(dir)?.verify(|_, _| {})?;
/// assert!(report.ok, "{:?}", report.problems().next());
/// println!("{} entries in {} streams", report.entries, report.streams);
/// for note in report.notes() {
///     println!("{}: {}", note.place, note.what);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Whether there are no problems; notes don't count.
    pub ok: bool,
    /// The number of streams that have files.
    pub streams: u64,
    /// The number of sealed files that were read.
    pub sealed_files: u64,
    /// The number of live files that were read, without those that are sealed already.
    pub live_files: u64,
    /// The number of entries in these files.
    pub entries: u64,
    /// The problems and notes, in the order of the files and streams.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// The findings that should not be.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.of(FindingLevel::Problem)
    }

    /// The findings that are only worth knowing.
    pub fn notes(&self) -> impl Iterator<Item = &Finding> {
        self.of(FindingLevel::Note)
    }

    fn of(&self, level: FindingLevel) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.level == level)
    }
}

/// A fact about the log that someone who relies on it should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether the finding is a problem, or only worth knowing.
    pub level: FindingLevel,
    /// The kind of finding.
    pub kind: FindingKind,
    /// The place: a file below the log's directory, like `sealed/dt=2026-11-21/….jsonl.gz`, or a
    /// stream, like `stream billing-7f3a9c`.
    pub place: String,
    /// A sentence or two: the finding, whether entries may be missing, and what to do.
    pub what: String,
}

/// The gravity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingLevel {
    /// The log is not what was written: something is missing, altered or foreign, and no entry of
    /// the log accounts for it.
    Problem,
    /// The log is what was written. Someone who relies on it should still know this: entries that
    /// retention removed, a loss that the log itself records, a process that died.
    Note,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A file doesn't hold what was written into it.
    Damaged,
    /// A file that no log puts there.
    Foreign,
    /// Entries are not in the log, and no entry accounts for them.
    Missing,
    /// Entries stand twice, or not in the order of their numbers.
    OutOfOrder,
    /// The operating system refuses to read a file, so it could not be checked.
    Unreadable,
    /// The leftovers of a process that ended without closing its log.
    LeftOver,
    /// Entries that retention removed, as an entry of the log records.
    Pruned,
    /// Entries that were lost, as an entry of the log records.
    Lost,
    /// Events that never became entries because the journal was full, as an entry of the log
    /// records.
    Dropped,
}
