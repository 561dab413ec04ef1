//! The crash-safe ring between application threads and the writer.
//!
//! Any number of [`Producer`]s push rendered entries; one [`Consumer`], the writer thread, takes
//! them out in order. The ring is a file mapped into memory, so what was pushed survives the death
//! of the process by any signal: the kernel keeps the pages and writes them back. The next process
//! reads the file with [`Leftover`]. Pushing takes no lock and no memory from the allocator, and no
//! system call unless the writer sleeps ([`sleep`]).
//!
//! # The file
//!
//! ```text
//!      0  identity: magic, version, capacity, key, stream, CRC        written once, before the first push
//!    256  head | limit                                                one cache line, producers write it
//!    272  bar: payloads made before it are made again                 the consumer writes it; µs since 1970
//!    384  tail                                                        the consumer writes it
//!    512  dropped: total, since            640  of these reported
//!    768  release slot 0                   896  release slot 1        (generation, tail, seq of the frame at tail, CRC)
//!   1024  files: how many the stream has begun                       the consumer writes it; 0 where nobody did
//!   1032  alive: when the process last lived, in µs since 1970       likewise
//!   1040  complete: all payloads made before it are released         likewise
//!   4096  data: `capacity` bytes, a power of two
//!
//!         tail             cursor                       head               tail + capacity
//!  ───────┼────────────────┼────────────────────────────┼──────────────────┼───────▶ position
//!   freed │ returned, kept │ committed, or being filled │ free             │ not yet
//!
//!  a frame, 16-byte aligned:  [commit 8][length 4][CRC-32 4][payload][padding to 16]
//! ```
//!
//! A *position* counts bytes from the ring's creation and never wraps (at 10 GB/s it would take 29
//! years to reach bit 63, which marks the closed ring). Its place in the file is
//! `4096 + position % capacity`. A frame's sixteen leading bytes never wrap around the end, its
//! payload may. Numbers are in the machine's own byte order; the magic number tells a foreign one.
//!
//! # What is always true
//!
//! 1. `tail ≤ cursor ≤ head ≤ tail + capacity`, and none of them ever goes down (but for `rewind`,
//!    which takes the cursor back to the tail).
//! 2. *A reservation has one owner.* `head` moves only by compare-and-swap, so the ranges
//!    `[start, end)` that producers take are disjoint and without gaps. The owner writes its range
//!    and nothing else, and only until it has stored the commit word.
//! 3. *No range is reserved before its space is free.* A producer moves `head` to `end` only when
//!    `end ≤ tail + capacity` for a tail that was really stored: `limit` is the greatest such sum a
//!    producer has seen and spares it the consumer's cache line.
//! 4. *A frame is committed when its first word equals a keyed hash of its position.* The word of
//!    an earlier lap belongs to another position, and bytes of a payload can't be made to match
//!    without the key, which is random for each ring and never leaves the header. So nothing stale,
//!    half-written or forged looks committed (but by a chance of 2⁻⁶³), and nothing is ever zeroed.
//! 5. *Commit is last.* It is a release store after the length, the CRC and the payload; the
//!    consumer's acquire load of it makes all of them visible.
//! 6. *The pair (tail, seq) is never torn.* `release` fills the slot that is not the current one:
//!    it first voids its generation, writes the fields and the CRC, and stores the new generation
//!    last. The valid slot of the higher generation counts. Only then does it store `tail`, on
//!    which producers act.
//!
//! 7. *The bar.* A push reserves, and then looks at the bar; the consumer sets the bar, and then
//!    looks at `head`. Both are sequentially consistent, so either the consumer sees the
//!    reservation, or the push sees the bar, and says no time before it.
//!
//! # Why no two threads touch a byte at once
//!
//! *Reuse.* Let P fill a range of lap n, and Q the same bytes in lap n+1. P's writes come before
//! its commit store (release), which the consumer's load (acquire) reads; the consumer's reads come
//! before its store of `tail` (release), which some producer's load (acquire) reads; that one is Q,
//! or a producer that passed the sum on through `limit` (release, acquire; it is only ever raised
//! by read-modify-write, so the chain of releases is not cut). So P's writes and the consumer's
//! reads both happen before Q's writes. All of the ordering hangs on the tail which Q's own check
//! used, none of it on `head`: the compare-and-swap decides who owns which range and passes no data
//! on. (It is sequentially consistent for the sake of the bar, invariant 7.) A stale tail or limit
//! is too small and only refuses more.
//!
//! *The poll.* The consumer loads the commit word at its cursor, a word which in other laps may be
//! in the middle of a payload and be written without atomics. A write to it from an earlier lap
//! happened before (above); one of a later lap can't begin before `tail` has passed the cursor; in
//! this lap the word is a frame's first and only ever stored atomically. So the two never meet.
//!
//! *The slice.* [`Consumer::next`] lends bytes of the mapping. They lie before the cursor and not
//! before the tail; only [`Consumer::release`] frees them, and it needs the consumer exclusively,
//! so not while the slice lives.
//!
//! *Other processes* don't have the file open for writing: it is created exclusively, for its owner
//! alone to write, by the process that holds the stream's lock. No process truncates it, and its
//! blocks are allocated when it is created, so no access raises SIGBUS on a full disk. (A file
//! system that allocates anew on every write, as ZFS does and btrfs after a snapshot, can't promise
//! the latter.) A child of `fork` shares the mapping, but neither pushes nor closes: what it pushed
//! after its parent's end would be lost. [`Process`] tells it that the ring is not its own.
//!
//! # What a kill leaves
//!
//! A thread killed at any instruction has executed a prefix of its stores, in program order,
//! because the compiler moves none of them past the release store or fence after it and a processor
//! retires in order. So of each reservation either the commit word is there and with it the whole
//! frame, or it is a *hole*, whose length may be unknown. A push that returned is never a hole.
//! [`Leftover`] takes the pair of invariant 6 and looks through one lap from its tail, sixteen
//! bytes at a time in a hole, and by invariant 4 finds exactly the committed frames. The consumer
//! stops before a hole, so frames that were numbered by it all lie before the first.
//!
//! After a power loss, pages may be of different ages. The frames that are found are then still
//! whole (each payload has a CRC), but some may be missing, and the pair may be older than the live
//! file; `Leftover` says how many frames lie before the first hole.

#![allow(
    unsafe_code,
    reason = "the one place for it: shared memory is written and read through pointers"
)]

mod at_exit;
mod consumer;
mod durable;
mod fork;
mod layout;
mod memory;
mod per_process;
mod producer;
mod recover;
mod region;
mod sleep;

#[cfg(test)]
mod killed;
#[cfg(test)]
#[cfg(loom)]
mod loom_model;
#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc};

pub(crate) use at_exit::at_exit;
pub(crate) use consumer::Consumer;
pub(crate) use durable::{Durability, Fate};
pub(crate) use fork::{Process, UnsharedFile};
pub(crate) use layout::{DEFAULT_CAPACITY, check_capacity};
pub(crate) use per_process::PerProcess;
pub(crate) use producer::{Producer, PushError};
pub(crate) use recover::Leftover;
pub(crate) use region::Region;

use crate::{
    entry::StreamId,
    error::{Error, Result},
};
use producer::Ring;

/// A place in the ring, counted in bytes since its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(pub(crate) u64);

/// Events that callers gave up on because the ring was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// How many since the ring's creation.
    pub(crate) total: u64,
    /// How many of them no entry counts yet.
    pub(crate) unreported: u64,
    /// When the first unreported one was dropped, in microseconds since 1970; never later than
    /// that, perhaps earlier.
    pub(crate) since_micros: Option<i64>,
}

impl Dropped {
    fn new(total: u64, reported: u64, since: u64) -> Self {
        let unreported = total.saturating_sub(reported);
        let since_micros = (unreported > 0 && since != 0).then_some(since.cast_signed());
        Self {
            total,
            unreported,
            since_micros,
        }
    }
}

/// How long the file of a journal with this capacity is.
///
/// # Errors
///
/// [`Error::Invalid`] for a capacity that no journal can have.
pub(crate) fn file_len(capacity: usize) -> Result<usize> {
    layout::check_capacity(capacity)?;
    Ok(layout::PAGE + capacity)
}

/// More bytes than that no journal's file has.
pub(crate) const LONGEST_FILE: u64 = layout::PAGE as u64 + (1 << 31);

/// An error if a file of `len` bytes, which begins with `page`, can't be a journal by that alone.
pub(crate) fn check_len(path: &Path, len: u64, page: &[u8]) -> Result<()> {
    if len > LONGEST_FILE {
        let what = format!("it has {len} bytes, which no journal has");
        return Err(Error::damaged(path, what));
    }
    let header = page.first_chunk().map(layout::Header::parse);
    match header {
        Some(Ok(header)) => header.check_len(path, len),
        _ => Ok(()),
    }
}

/// How far a stream has come, as its journal's header says while its process lives or after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Each payload that was or will be pushed, and that says it was made before this (in
    /// microseconds since 1970), was released. `None` where nobody notes it.
    pub(crate) complete: Option<i64>,
    /// The number of the first frame that was not released.
    pub(crate) next_seq: u64,
}

impl Progress {
    /// Reads the first page of a journal's file. `None` if it is none.
    pub(crate) fn parse(page: &[u8]) -> Option<Self> {
        let page = page.first_chunk()?;
        layout::Header::parse(page).ok()?;
        let complete = layout::word(page, layout::at::COMPLETE).cast_signed();
        Some(Self {
            complete: (complete != 0).then_some(complete),
            next_seq: layout::Slot::newest(page)?.next_seq,
        })
    }
}

/// Whether the journal whose file begins with this page has or had a payload; not so where the page
/// is not written yet.
pub(crate) fn was_pushed_to(page: &[u8]) -> bool {
    page.first_chunk::<{ layout::PAGE }>()
        .is_some_and(|page| layout::word(page, layout::at::HEAD) != 0)
}

/// Begins the journal of `stream` in a region of [`file_len`] zeros, and gives its two ends. Its
/// header is durable on return; making the file's name durable is the caller's part. No payload in
/// it will say that it was made before `born`, in microseconds since 1970.
pub(crate) fn create(
    region: Region,
    stream: &StreamId,
    born: i64,
) -> io::Result<(Producer, Consumer)> {
    let mut key = [0; 8];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let capacity = region.len().saturating_sub(layout::PAGE);
    let header =
        layout::Header::new(capacity, stream, u64::from_ne_bytes(key)).map_err(io::Error::other)?;
    region.begin(&header, born)?;
    Ok(ends(region, &header))
}

fn ends<M: memory::Memory>(memory: M, header: &layout::Header) -> (Producer<M>, Consumer<M>) {
    let ring = Arc::new(Ring::new(memory, header));
    (Producer::new(Arc::clone(&ring)), Consumer::new(ring))
}
