//! From the journal to immutable files.
//!
//! In come events that callers pushed into a journal. Out come numbered entries, first in a plain
//! live file, then in an immutable, compressed and indexed one. No other room of the crate changes
//! files of the log; the other rooms only read them.
//!
//! ```text
//!  callers      writer thread                    sealer thread
//!  ───────      ─────────────                    ─────────────
//!  journal ──▶  batch ──▶ live file ──┐     ┌──▶ tmp ──▶ sealed file + index
//!     ▲         read      append      │ end │     ▲          │
//!     │                     │         └─────┘     │          ▼
//!     └──── release ◀──── sync        (a stem)    │     live twin goes after a grace
//!                                                 │          │
//!  a dead process's journal ──▶ recovery ──▶ its live files  ▼
//!                                                       pruning, by retention and holds
//! ```
//!
//! # What is where
//!
//! `layout` draws the directory. Each *stream* (one process that has the log open) has a lock, a
//! journal, at most one live file that grows, and a reserve of 2 MiB for the moment when the disk
//! is full. Files of a stream count 1, 2, 3 … in their names, and no number is given twice, because
//! followers of the log go by these numbers. A process changes a stream's files only under that
//! stream's lock.
//!
//! Queries, downloads, followers, webhooks and retention ask `files` which files there are, and
//! what is in them. Recovery and `verify` use only its listings (`files::dirs`), and rely on
//! nothing that `files` remembers.
//!
//! The journal may lie in another directory, in memory for instance. Then a pointer in
//! `state/journal` leads to it (`pointer`), for recovery and for `verify` (`journal_place`).
//!
//! # What is always true
//!
//! 1. *An event is in the journal, or durable in a file, or both.* The journal releases an event
//!    only against a `Synced`, which only a sync of the file that has the event makes (`live`). So
//!    a failed write, a failed sync, a full disk, and a live file that someone else deleted or cut,
//!    lose nothing that the journal has.
//! 2. *An event is in one file at most.* Lines that are written again elsewhere were cut off
//!    before, durably. Lines that a dead process wrote and did not release are known by their ids,
//!    and compared byte by byte with the journal.
//! 3. *Numbers have no gap* within a stream, except where someone else destroyed durable entries:
//!    their numbers stay free, and `audit.log.lost` names them.
//! 4. *A finished file has no events in the journal*, durably, so recovery never looks into a
//!    sealed file for events.
//! 5. *Each file in `sealed/` is whole*, was read back and compared, and never changes. Its live
//!    twin is removed only after a second comparison.
//! 6. *A file is removed only after the log says so*, durably (`prune`).
//! 7. *Nothing counts as damaged without proof.* A read that fails is made again later. Damaged
//!    files, and foreign files in the place of ours, are moved to `state/aside`, never deleted.
//! 8. *A missing journal doesn't count as empty.* Its pointer says whether events may be in it. If
//!    they may, and the journal is proven to be gone, an entry says that an unknown number of
//!    events may be lost (`gone_journal`).
//! 9. *A stream that records the opening of its log also records its end, once*: that the log was
//!    closed, or that the process died (`lifecycle`).
//!
//! # The order of the fsyncs
//!
//! | step | durable before the next one |
//! |---|---|
//! | a log is opened | the directory and those above it; `state/format`; the journal's blocks, its header, its name |
//! | a live file begins | its name |
//! | entries are released | their lines |
//! | a live file ends | the cut behind its last line, if there is one; the journal's header |
//! | a file is sealed | the compressed file; its index and that one's name; then the sealed file's name |
//! | the live twin goes | the sealed file's name, once more: who renamed it may have died |
//! | a journal elsewhere is created | the pointer that names it |
//! | the first event is taken | the journal, and the pointer's line `begun` |
//! | a journal elsewhere is removed | as below, and the pointer's line `closed`; the pointer goes after that, durably |
//! | a journal is removed | when closing: its header, which says that nothing is in it. In recovery: all that is kept and appended, and the live directory; what may not be durable is written again first, because a sync may have failed before |
//! | a recovered file is sealed | that the journal is gone: brought back by a power loss, its events would be written again |
//! | files are pruned | the entry that names them, in the log or in `state/pruning`; that their live twins and their indexes are gone |
//!
//! A name is durable when its directory was synced; the order of two names proves nothing. The
//! crash oracle (`oracle`) plays deaths and power losses at every step, on a disk that promises no
//! more than POSIX does, and on one that behaves like ext4.

pub(crate) mod blob;
pub(crate) mod bloom;
pub(crate) mod blooms;
pub(crate) mod catalogue;
mod codec;
pub(crate) mod document;
mod drops;
pub(crate) mod files;
mod finished;
pub(crate) mod fs;
pub(crate) mod gzip;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod living;
pub(crate) mod names;
pub(crate) mod numbers;
#[cfg(test)]
mod oracle;
mod rebuild;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod seal;
#[cfg(test)]
pub(crate) mod set_clock;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod summary;
pub(crate) mod tmp;
pub(crate) mod verify;

pub(crate) mod access;
pub(crate) mod assemble;
mod batch;
pub(crate) mod clock;
mod clock_guard;
pub(crate) mod complete;
pub(crate) mod count_map;
pub(crate) mod gone_journal;
mod health;
pub(crate) mod hold;
pub(crate) mod journal_place;
mod lifecycle;
mod lines;
mod live;
pub(crate) mod lock;
mod maintain;
mod mend;
mod open;
mod own_journal;
mod planted;
mod pointer;
mod prepare;
mod prune;
mod prune_entry;
pub(crate) mod prune_intent;
mod prune_remove;
mod prune_watch;
mod recover;
pub(crate) mod removed;
mod repair;
mod reserve;
mod rest;
mod retention;
mod retry;
mod room;
mod root;
mod rotate;
mod sealer;
pub(crate) mod settings;
mod sound;
mod space;
pub(crate) mod survey;
mod take_over;
pub(crate) mod tally;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod test_options;
mod trusted_time;
mod twins;
pub(crate) mod unread;
mod watch;
mod writer;

pub use access::Permissions;
pub(crate) use gzip::Level;
pub(crate) use health::{Callback, Health};
pub use health::{Counters, Problem};
pub use hold::Hold;
pub(crate) use lifecycle::Settings;
pub use maintain::RecoveredStream;
pub(crate) use maintain::{prune_preview, recover_all};
pub(crate) use open::{Store, StoreOptions};
pub use prune::Pruned;
pub use prune_watch::ClockWait;
pub use retention::{PruneReason, PrunedFile, Retention};
pub(crate) use sealer::SealerOptions;
pub use space::{SpaceAction, Watermarks};
pub(crate) use writer::WriterOptions;
