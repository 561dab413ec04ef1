//! The entrance of a log: how it takes events in.

use std::{fmt, sync::Arc, thread, time::Duration};

use super::{
    hash::CurrentKey,
    plain_events::PlainEvents,
    receipt::{self, NotDurable, NotTaken, Taken},
    span_names::SpanNames,
};
use crate::{
    entry::{Source, Timestamp, denied::FieldNames},
    journal::{Durability, Position, Process, Producer, PushError},
};

/// The behaviour of callers while the journal is full. The journal is full only when the disk has
/// not kept up for millions of bytes, or refuses.
///
/// ```
/// # fn main() -> tracing_audit::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// use tracing_audit::{AuditLog, WhenFull};
///
/// let log = AuditLog::builder(dir).when_full(WhenFull::Drop).open()?;
/// assert_eq!(log.counters().dropped, 0); // watch it
/// # log.close()
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Waits for room: no event is lost, and the application stands still with its audit trail. The
    /// default. While the disk refuses, a caller waits as long as that lasts; and as with
    /// [`Drop`](Self::Drop), the kernel can hold a caller up before the journal is full.
    #[default]
    Wait,
    /// Drops the event. Dropped events are counted, and the count is written into the log as
    /// `audit.log.dropped`.
    ///
    /// A caller never waits for room then, but the kernel can still hold it up. The journal is a
    /// mapped file in the log's directory. While its file system is frozen (`fsfreeze`, some
    /// snapshots) or hangs (network storage, a failing disk), a thread that writes to a page of the
    /// journal waits in a page fault until that is over. With
    /// [`journal_dir`](crate::AuditLogBuilder::journal_dir) on a file system in memory, a caller
    /// waits for no disk, unless the machine swaps: then it may wait for a page of the journal as
    /// for any other memory (mount the file system with `noswap`, or use ramfs).
    ///
    /// Calls that are there to wait still do: `wait()`, `durable()`, opening and closing the log.
    Drop,
}

/// Where a process's events go.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    pub(crate) producer: Producer,
    pub(crate) durability: &'static Durability,
}

impl Journal {
    /// Waits for all that was pushed into the journal before.
    pub(crate) fn flush(&self) -> Result<(), NotDurable> {
        receipt::outcome(self.durability.wait(self.producer.end().0))
    }
}

/// How the log helps an intake that can't put an event into its journal.
pub(crate) trait Journals: Send + Sync {
    /// The journal of this process, a child by `fork` of the one that opened the log. If there
    /// is none, the lost event is counted and reported.
    fn of_child(&self) -> Result<&Journal, NotTaken>;

    /// Counts and reports that an event came after the log was closed.
    fn came_late(&self);
}

/// The entrance of one log.
pub(crate) struct Intake {
    /// The process that opened the log, and its journal.
    process: Process,
    journal: Journal,
    journals: Arc<dyn Journals>,
    /// `,"source":"billing"`
    pub(super) source: Box<[u8]>,
    /// The longest entry, without stream and number.
    pub(super) longest: usize,
    when_full: WhenFull,
    pub(super) plain_events: PlainEvents,
    pub(crate) hash_key: &'static CurrentKey,
    /// The names of fields that the log denies and allows.
    pub(crate) names: Option<&'static FieldNames>,
    /// The fields of spans that the log reads.
    pub(crate) span_names: SpanNames,
}

impl Intake {
    pub(crate) fn new(
        journal: Journal,
        journals: Arc<dyn Journals>,
        source: &Source,
        longest: usize,
        when_full: WhenFull,
        plain_events: PlainEvents,
        hash_key: &'static CurrentKey,
    ) -> Self {
        let longest = longest.min(journal.producer.max_payload());
        Self {
            process: Process::current(),
            journal,
            journals,
            source: source.to_field(),
            longest,
            when_full,
            plain_events,
            hash_key,
            names: None,
            span_names: SpanNames::default(),
        }
    }

    /// Puts an entry, which says that it was `made` then, into this process's journal. Inlined, as
    /// it has one caller.
    #[inline(always)]
    pub(super) fn push(
        &self,
        entry: &mut [u8],
        made: i64,
        mut make_again: impl FnMut(&mut [u8]),
    ) -> Taken {
        let journal = if self.process.is_current() {
            &self.journal
        } else {
            self.journals.of_child()?
        };
        let position = match journal.producer.push_made(entry, made, &mut make_again) {
            Ok(position) => position,
            Err(why) => {
                let again = &mut || journal.producer.push_made(entry, made, &mut make_again);
                self.push_again(journal, again, why)?
            }
        };
        if journal.producer.used() > journal.producer.capacity() / 2 {
            journal.durability.nudge();
        }
        Ok((position.0, journal.durability))
    }

    #[cold]
    fn push_again(
        &self,
        journal: &Journal,
        push: &mut dyn FnMut() -> Result<Position, PushError>,
        why: PushError,
    ) -> Result<Position, NotTaken> {
        let pushed = match why {
            PushError::Full => self.push_when_full(journal, push),
            why => Err(why),
        };
        pushed.map_err(|why| match why {
            PushError::Closed => {
                self.journals.came_late();
                NotTaken::Closed
            }
            PushError::Full | PushError::TooLong => NotTaken::NoRoom,
        })
    }

    fn push_when_full(
        &self,
        journal: &Journal,
        push: &mut dyn FnMut() -> Result<Position, PushError>,
    ) -> Result<Position, PushError> {
        if self.when_full == WhenFull::Drop {
            let now = Timestamp::now().as_micros();
            journal.producer.count_dropped(now);
            journal.durability.nudge();
            return Err(PushError::Full);
        }
        let _waiting = journal.producer.wait_for_room();
        let mut pause = Duration::from_micros(20);
        loop {
            journal.durability.nudge();
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
            match push() {
                Err(PushError::Full) => {}
                pushed => return pushed,
            }
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
