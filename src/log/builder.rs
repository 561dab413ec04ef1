//! How a log is described and opened.

mod env;
mod open;
mod spans;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::AuditLog;
use crate::{
    capture::{PlainEvents, WhenFull},
    entry::HashKey,
    error::Result,
    journal,
    store::{Callback, Permissions, Problem, Retention, Store, Watermarks},
};

/// Describes a log; see [`AuditLog::builder`]. Every setting has a default that suits most
/// applications.
///
/// ```
/// # fn main() -> tracing_audit::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// use std::time::Duration;
/// use tracing_audit::{AuditLog, Retention, WhenFull};
///
/// let log = AuditLog::builder(dir)
///     .source("billing")
///     .retention(Retention::days(365).min_free_bytes(10 << 30))
///     .when_full(WhenFull::Drop)
///     .sync_every(Duration::from_millis(200))
///     .deny_fields(["salary"])
///     .on_problem(|problem| eprintln!("audit log: {problem}"))
///     .open()?;
/// # log.close()
/// # }
/// ```
#[must_use = "nothing happens until `open`"]
pub struct AuditLogBuilder {
    dir: PathBuf,
    source: Option<String>,
    permissions: Option<Permissions>,
    retention: Retention,
    when_full: WhenFull,
    plain_events: PlainEvents,
    journal_bytes: usize,
    journal_dir: Option<PathBuf>,
    max_record_bytes: usize,
    rotate_bytes: u64,
    rotate_every: Duration,
    sync_every: Duration,
    compression_level: u32,
    live_grace: Duration,
    watermarks: Watermarks,
    hash_keys: Vec<HashKey>,
    denied_fields: Vec<String>,
    /// Fields of spans, each with the field of the entry that it is taken for.
    span_fields: Vec<(String, Option<String>)>,
    allowed_fields: Vec<String>,
    keeps_catalogue: bool,
    lifecycle: bool,
    on_problem: Option<Callback>,
}

impl AuditLogBuilder {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            source: None,
            permissions: None,
            retention: Retention::default(),
            when_full: WhenFull::default(),
            plain_events: PlainEvents::default(),
            journal_bytes: journal::DEFAULT_CAPACITY,
            journal_dir: None,
            max_record_bytes: 64 * 1024,
            rotate_bytes: 64 * 1024 * 1024,
            rotate_every: Duration::from_secs(3600),
            sync_every: Duration::from_secs(1),
            compression_level: 6,
            live_grace: Duration::from_secs(60),
            watermarks: Watermarks::default(),
            hash_keys: Vec::new(),
            denied_fields: Vec::new(),
            span_fields: Vec::new(),
            allowed_fields: Vec::new(),
            keeps_catalogue: true,
            lifecycle: true,
            on_problem: None,
        }
    }

    /// The name of the program that writes, such as `billing`: letters, digits, `.`, `_` and `-`,
    /// at most 64 bytes. Default: the program's name.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The time that entries are kept. Default: 90 days. An age limit that is set over HTTP
    /// (`PATCH /settings`) overrides the age limit of this retention.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The users who may read the log's files besides their owner. Default: none for a new log; an
    /// existing log stays as it is.
    ///
    /// Modes are set as asked, whatever the umask, also on files that exist. With
    /// [`Permissions::GroupRead`] a member of the files' group can read, verify and export the log,
    /// and has no access to tokens, keys and webhooks. The group is that of the process. For
    /// another group, create the directory beforehand with that group and the set-group-ID bit
    /// (`install -d -o billing -g auditors -m 2750 …`), and make the process's user a member of it.
    /// Directories above it are left alone, unless the log has to create them.
    ///
    /// All processes of a log run as its owner or as root. Files that root creates are given to the
    /// owner. Other users are refused before anything is written.
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// The behaviour of callers while the journal is full. Default: they wait.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Records ordinary `tracing` events with the target `audit` from these modules only, and from
    /// the modules in them, such as `my_app` or `my_lib::billing`. Default: from all modules.
    ///
    /// Any crate in the program can write such an event. Events of other modules are left to the
    /// other layers. `audit!` is not affected. [`AuditLayer`](crate::AuditLayer#ordinary-events)
    /// describes what such an event can say, and how its entry differs.
    ///
    /// ```
    /// # fn main() -> tracing_audit::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use tracing_audit::AuditLog;
    ///
    /// let log = AuditLog::builder(dir.path())
    ///     .plain_events_from(["my_app", "my_lib::billing"])
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`open`](Self::open) fails with [`Error::Invalid`](crate::Error::Invalid) if a name can't be
    /// the path of a module.
    pub fn plain_events_from<P: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = P>,
    ) -> Self {
        self.plain_events = PlainEvents::from_modules(modules);
        self
    }

    /// Records no ordinary `tracing` events, whatever their target, but only those of `audit!`.
    pub fn no_plain_events(mut self) -> Self {
        self.plain_events = PlainEvents::From(Vec::new());
        self
    }

    /// The size of the journal in bytes, a power of two; it is allocated on disk and mapped.
    /// Default: 16 MiB.
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// The directory in which the journal lies, for instance one in memory (tmpfs), like
    /// `/dev/shm/billing`. Default: `state/journal` in the log's directory.
    ///
    /// A caller writes into the journal, which is a mapped file. While its file system is frozen or
    /// hangs, a caller waits in the kernel, whatever [`WhenFull`] says. A journal in memory, or on
    /// another disk, keeps callers away from trouble of the log's disk. It costs
    /// [`journal_bytes`](Self::journal_bytes) and 4 KiB of room there for each process that has the
    /// log open (in memory, a container's limit includes it); nothing else changes, and the calls
    /// are as fast.
    ///
    /// | with the journal in memory | the process is killed | power is lost, or the machine restarts |
    /// |---|---|---|
    /// | `audit!` has returned | kept | kept, if it was synced: every second by default ([`sync_every`](Self::sync_every)) |
    /// | `wait()` or `durable()` has returned `Ok` | kept | kept: both wait until the event is synced to the live file |
    ///
    /// The first row is the same as without this setting, with one exception: while the log's disk
    /// fails or is full, so that nothing can be synced, a journal on a disk keeps the events over a
    /// restart of the machine, and a journal in memory does not. A journal on another disk survives
    /// whatever that disk survives.
    ///
    /// If the journal of a dead process is gone, the log opens nevertheless, keeps what is in its
    /// files, and records in an entry of the type `audit.log.lost` that events may be lost; their
    /// number is unknown. That is reported once ([`Problem::RecoveryFailed`]), and a note of
    /// [`AuditReader::verify`](crate::AuditReader::verify). A journal whose directory isn't there
    /// may be on a file system that isn't mounted: it is reported, and looked for again every
    /// minute.
    ///
    /// A file in `state/journal` leads to the journal, so recovery and `verify` need no setting.
    /// But every process that writes or recovers the log has to see the same directory under this
    /// path: containers that share a log need to share it as well. Nothing else may remove it:
    /// systemd does at the end of a service (`RuntimeDirectory=`, unless
    /// `RuntimeDirectoryPreserve=yes`) and, in `/dev/shm`, when an ordinary user logs out
    /// (`RemoveIPC=`).
    ///
    /// The directory is created where it is missing, with the owner and the
    /// [`permissions`](Self::permissions) of the log's own; one that is there stays as it is.
    /// Several logs may share one. The path is resolved when the log is opened.
    ///
    /// # Errors
    ///
    /// [`open`](Self::open) fails with [`Error::Invalid`](crate::Error::Invalid) if the directory
    /// belongs to another user than the log, if every user can write in it (give a directory inside
    /// `/dev/shm`, not `/dev/shm`), or if it is inside the log's directory; and with
    /// [`Error::Io`](crate::Error::Io) if there is no room for the journal.
    ///
    /// ```no_run
    /// # fn main() -> tracing_audit::Result<()> {
    /// use tracing_audit::{AuditLog, WhenFull};
    ///
    /// let log = AuditLog::builder("/var/log/billing/audit")
    ///     .journal_dir("/dev/shm/billing")
    ///     .when_full(WhenFull::Drop)
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn journal_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.journal_dir = Some(dir.into());
        self
    }

    /// The longest entry in bytes. Default: 64 KiB.
    ///
    /// In a longer one, the longest values are cut, in `details` and `attributes` first: long
    /// strings to their beginnings, and lists and objects to the first elements and members that
    /// there is room for, with `…` in the place of the others. `truncated` names the paths, sixteen
    /// at most, and `…` for the others. Of a text that is captured before its entry is rendered, as
    /// the arguments of an `#[audited]` function and the fields of an `Actor` are, no more than 2
    /// MiB are taken, however long an entry may be.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// The live file is rotated at this size in bytes (default: 64 MiB), and at every UTC midnight.
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes;
        self
    }

    /// The live file is rotated at this age, which isn't zero. Default: one hour.
    pub fn rotate_every(mut self, age: Duration) -> Self {
        self.rotate_every = age;
        self
    }

    /// The time between two syncs of the live file while events come. A loss of power can take the
    /// events since the last sync. Default: one second.
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.sync_every = interval;
        self
    }

    /// The gzip level of sealed files, 1 to 9. Default: 6. When sealing falls behind, level 1 is
    /// used until it has caught up.
    pub fn compression_level(mut self, level: u32) -> Self {
        self.compression_level = level;
        self
    }

    /// The time that a live file stays after it was sealed, for programs that still read it.
    /// Default: 60 seconds.
    pub fn live_grace(mut self, grace: Duration) -> Self {
        self.live_grace = grace;
        self
    }

    /// A key for [`hashed`](crate::hashed) values. If several are given, the last one hashes, and
    /// the earlier ones are for [`AuditLog::hashes_of`]. Default: a random key, made once and kept
    /// in the log's directory (0600), which [`AuditLog::rotate_hash_key`] replaces. Anyone who has
    /// the owner's access to the directory then has the key as well. To keep the key apart, give
    /// one.
    pub fn hash_key(mut self, key: HashKey) -> Self {
        self.hash_keys.push(key);
        self
    }

    /// Denies more field names in this log, in addition to
    /// [`DENIED_FIELDS`](crate::redact::DENIED_FIELDS): their values are recorded as `[redacted]`.
    /// Calls add up.
    ///
    /// The names match as those of the list do: `internal_note` also denies `internalNote` and
    /// `customer_internal_notes`, but not `internal_note_id`. Denied names hold in `details` and in
    /// `attributes`, at any depth, and not for an entry's own fields, such as `ip_address`. A
    /// field that is a [`mask`](crate::mask)ed, [`hashed`](crate::hashed) or
    /// [`unredacted`](crate::unredacted) value is recorded as such.
    ///
    /// ```no_run
    /// # fn main() -> tracing_audit::Result<()> {
    /// use tracing_audit::AuditLog;
    ///
    /// let log = AuditLog::builder("/var/log/billing/audit")
    ///     .deny_fields(["internal_note", "salary"])
    ///     .allow_fields(["token_family", "pin"])
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`open`](Self::open) fails with [`Error::Invalid`](crate::Error::Invalid) for a name that is
    /// empty, is a path, has characters other than letters, digits, `_` and `-`, is one of an
    /// entry's own fields, or is both denied and allowed.
    pub fn deny_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.denied_fields.extend(names.into_iter().map(Into::into));
        self
    }

    /// Allows field names in this log that [`DENIED_FIELDS`](crate::redact::DENIED_FIELDS) or
    /// [`deny_fields`](Self::deny_fields) would deny: their values are recorded. Calls add up.
    ///
    /// A name is the whole name of a field, in any spelling: `pin` allows `pin` and `PIN`, but not
    /// `user_pin`. An allowed object is searched for denied names like any other. To record a
    /// single field of one event, write [`unredacted`](crate::unredacted) there instead.
    ///
    /// # Errors
    ///
    /// As [`deny_fields`](Self::deny_fields).
    pub fn allow_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_fields
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// The actions of the log while its file system runs out of room. Default: see [`Watermarks`].
    pub fn watermarks(mut self, watermarks: Watermarks) -> Self {
        self.watermarks = watermarks;
        self
    }

    /// Whether the log records that it was opened and closed, so that a gap shows when it was down.
    /// Default: it does. Switch it off for a program that runs often and briefly, if nobody needs
    /// to know when it starts and ends.
    ///
    /// | entry | when |
    /// |---|---|
    /// | `audit.log.opened` | the first of each stream: with the crate's version, the process id, the host's name, the retention and [`when_full`](Self::when_full) |
    /// | `audit.log.closed` | the last of a stream whose log was closed, by [`close`](AuditLog::close) or at the end of the process |
    /// | `audit.log.ended_without_closing` | the last of a stream whose process died: recorded by the next process that opens the log, once |
    ///
    /// In the last of these, `last_sign_of_life` is the last time at which the process was
    /// certainly alive: to the second if the process was killed. After a loss of power that time is
    /// earlier, usually by up to half a minute, by as much as the system had not written yet. If
    /// the journal is lost, as one in memory is, `last_sign_of_life` is the time of the last entry.
    /// `last_entry` is the time of the last event.
    ///
    /// A stream that has no `audit.log.opened`, because this is off or an older version wrote it,
    /// gets no `audit.log.ended_without_closing` either. A child by `fork` that records something
    /// has a stream of its own, with entries of its own.
    pub fn lifecycle(mut self, record: bool) -> Self {
        self.lifecycle = record;
        self
    }

    /// Called with every problem, on one of the log's own threads or on a thread that records an
    /// event. Keep it short, record no audit events in it that wait, and don't close the log in it,
    /// which is an error. The log reports each problem to `tracing` itself, so don't do that in the
    /// callback: if a subscriber owns the log and is dropped, an event of the callback can block
    /// that drop for ever. Write to standard error, or send to a channel.
    pub fn on_problem(mut self, callback: impl Fn(&Problem) + Send + Sync + 'static) -> Self {
        self.on_problem = Some(Arc::new(callback));
        self
    }

    /// For a tool that opens the log of an application to change something about it, such as a hold
    /// or a webhook. The change is recorded, and nothing else: the tool prunes nothing by itself
    /// ([`Retention::unlimited`]), does not record that it opened and closed the log
    /// ([`lifecycle`](Self::lifecycle)), and keeps no [`catalogue`](crate::catalogue()) of its own
    /// event types in the directory.
    ///
    /// ```
    /// # fn main() -> tracing_audit::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path();
    /// use tracing_audit::{AuditLog, retention::Hold};
    ///
    /// let log = AuditLog::builder(dir).source("legal-tool").for_maintenance().open()?;
    /// log.holds().place(Hold::new("case-17", "2026-10-01", "2026-10-31")?)?;
    /// log.close()
    /// # }
    /// ```
    pub fn for_maintenance(mut self) -> Self {
        self.retention = Retention::unlimited().fixed();
        self.lifecycle = false;
        self.keeps_catalogue = false;
        self
    }

    /// Opens the log: creates the directory (0700) if it is missing, recovers what dead processes
    /// left in it, starts two threads.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a setting that can't be used,
    /// [`Error::Io`](crate::Error::Io) for a directory that can't be used,
    /// [`Error::Version`](crate::Error::Version) for a directory that another version wrote.
    pub fn open(self) -> Result<AuditLog> {
        self.open_with(Store::open)
    }
}

impl fmt::Debug for AuditLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogBuilder")
            .field("dir", &self.dir)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
