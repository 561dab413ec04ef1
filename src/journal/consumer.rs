//! The writer's end of the ring: take frames in order, then release their space.
//!
//! A frame that was taken stays in the ring until it is released, so that what the live file lost
//! can be taken again. There is one consumer; everything that changes goes through `&mut self`.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{
            Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
            compiler_fence,
        },
    },
    time::Duration,
};

use super::{
    Dropped, Position,
    layout::{self, CLOSED, FRAME_HEADER, PAGE, Slot, at},
    memory::{Memory, Word as _},
    producer::Ring,
    region::Region,
    sleep::Barrier,
};

/// The end that the writer thread takes frames from.
pub(crate) struct Consumer<M = Region> {
    ring: Arc<Ring<M>>,
    /// The end of the last frame returned.
    cursor: u64,
    /// The last release; its tail is what the shared `tail` says.
    released: Slot,
    /// Holds a payload that wraps around the ring's end.
    scratch: Vec<u8>,
    barrier: Barrier,
}

impl<M> fmt::Debug for Consumer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("cursor", &self.cursor)
            .field("released", &self.released)
            .finish_non_exhaustive()
    }
}

impl<M: Memory> Consumer<M> {
    /// The consumer of a new ring; there must be no other.
    pub(super) fn new(ring: Arc<Ring<M>>) -> Self {
        Self {
            ring,
            cursor: 0,
            released: Slot::FIRST,
            scratch: Vec::new(),
            barrier: Barrier::default(),
        }
    }

    /// The next payload, if it is there. A frame still being filled holds back those after it.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if !is_committed(&self.ring, self.cursor) {
            return None;
        }
        let frame = self.ring.place(self.cursor);
        // SAFETY: the frame is committed (invariant 4) and not released, so no producer writes to
        // it (invariants 2 and 3).
        let len = layout::described_len(unsafe { self.ring.memory().read_word(frame + 8) });
        assert!(
            len <= self.ring.max_payload(),
            "a committed frame has the length that its producer checked"
        );
        let body = self.ring.place(self.cursor + FRAME_HEADER as u64);
        self.cursor += layout::frame_size(len) as u64;

        let memory = self.ring.memory();
        let first = len.min(self.ring.end() - body);
        if first == len {
            // SAFETY: as above, as long as the slice lives, because releasing needs `&mut self`.
            // The range lies before the end.
            if let Some(payload) = unsafe { memory.slice(body, len) } {
                return Some(payload);
            }
        }
        self.scratch.clear();
        // SAFETY: as above; the two parts lie before the end and, `len` being within the capacity,
        // don't overlap.
        unsafe {
            memory.read(body, first, &mut self.scratch);
            memory.read(PAGE, len - first, &mut self.scratch);
        }
        Some(&self.scratch)
    }

    /// Parks the calling thread until something is pushed, the ring is closed, another thread
    /// unparks it, or `limit` is over. True if something was pushed, or the ring closed.
    pub(crate) fn sleep(&mut self, limit: Duration) -> bool {
        let (ring, cursor) = (&self.ring, self.cursor);
        let is_closed = || ring.word(at::HEAD).load(Relaxed) & CLOSED != 0;
        let something = || is_committed(ring, cursor) || is_closed();
        ring.sleep().sleep(&mut self.barrier, something, limit)
    }

    /// The end of the last frame that [`next`](Self::next) returned.
    pub(crate) fn position(&self) -> Position {
        Position(self.cursor)
    }

    /// Whether the ring is closed and everything in it was returned.
    pub(crate) fn drained(&self) -> bool {
        self.ring.word(at::HEAD).load(Relaxed) == self.cursor | CLOSED
    }

    /// Whether the ring was closed: nothing more will come than what is reserved.
    pub(crate) fn closed(&self) -> bool {
        self.ring.word(at::HEAD).load(Relaxed) & CLOSED != 0
    }

    /// How many bytes were returned and are not released.
    pub(crate) fn unreleased(&self) -> u64 {
        self.cursor - self.released.tail
    }

    /// Frees the space of the frames up to `upto`, the end of one that was returned. The frame
    /// there has the number `next_seq`.
    ///
    /// # Panics
    ///
    /// If `upto` lies before the last release or after the cursor.
    pub(crate) fn release(&mut self, upto: Position, next_seq: u64) {
        assert!(
            (self.released.tail..=self.cursor).contains(&upto.0),
            "only what was returned can be released"
        );
        self.released = Slot {
            generation: self.released.generation + 1,
            tail: upto.0,
            next_seq,
        };
        let slot = at::SLOTS[(self.released.generation & 1 ^ 1) as usize];
        let [generation, tail, seq, crc] = self.released.words();
        // No process reads the slots while this process lives, so only program order counts: what a
        // kill leaves behind.
        self.ring.word(slot).store(0, Relaxed);
        compiler_fence(Release);
        self.ring.word(slot + 8).store(tail, Relaxed);
        self.ring.word(slot + 16).store(seq, Relaxed);
        self.ring.word(slot + 24).store(crc, Relaxed);
        self.ring.word(slot).store(generation, Release);
        self.ring.word(at::TAIL).store(tail, Release);
    }

    /// Notes that the stream begins its file of this number, so that no other gets it, whatever
    /// becomes of this one.
    pub(crate) fn note_file(&mut self, number: u32) {
        self.ring.word(at::FILES).store(number.into(), Relaxed);
    }

    /// Notes that the process is alive at `now_micros` since 1970. Survives the process, as a push
    /// does.
    pub(crate) fn note_alive(&mut self, now_micros: i64) {
        let now = now_micros.max(1).cast_unsigned();
        self.ring.word(at::ALIVE).store(now, Relaxed);
    }

    /// From now on, no payload is pushed that says it was made before `bar`, in microseconds since
    /// 1970. Gives the position before which those lie that may say so.
    pub(crate) fn set_bar(&mut self, bar: i64) -> Position {
        // In one order with what a push does, which reserves and then looks at the bar: either its
        // reservation is seen here, or the bar there.
        self.ring.word(at::BAR).store(bar.cast_unsigned(), SeqCst);
        #[cfg(loom)]
        loom::sync::atomic::fence(SeqCst);
        Position(self.ring.word(at::HEAD).load(SeqCst) & !CLOSED)
    }

    /// Notes for others that every payload which says that it was made before `until`, in
    /// microseconds since 1970, was released, whether it was pushed yet or not.
    pub(crate) fn note_complete(&mut self, until: i64) {
        let until = until.cast_unsigned();
        self.ring.word(at::COMPLETE).store(until, Release);
    }

    /// Whether a caller waits for room.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.ring.waiting() > 0
    }

    /// Goes back to the last release: the frames from there are returned again.
    pub(crate) fn rewind(&mut self) {
        self.cursor = self.released.tail;
    }

    /// The events that were dropped.
    pub(crate) fn dropped(&self) -> Dropped {
        let total = self.ring.word(at::DROPPED_TOTAL).load(Acquire);
        let reported = self.ring.word(at::DROPPED_REPORTED).load(Relaxed);
        Dropped::new(
            total,
            reported,
            self.ring.word(at::DROPPED_SINCE).load(Acquire),
        )
    }

    /// Notes that an entry counts the first `total` dropped events.
    pub(crate) fn mark_dropped_reported(&mut self, total: u64) {
        self.ring.word(at::DROPPED_REPORTED).store(total, Relaxed);
        let since = self.ring.word(at::DROPPED_SINCE);
        let earlier = since.swap(0, AcqRel);
        if self.ring.word(at::DROPPED_TOTAL).load(Acquire) > total && earlier != 0 {
            // More were dropped after the caller looked. When the first of them was is not known,
            // but not before this. If another has set a time since, that time may be too late for
            // the first; the earlier one never is.
            since.store(earlier, Release);
        }
    }

    /// How many bytes the ring holds, frame headers included.
    pub(crate) fn capacity(&self) -> u64 {
        self.ring.capacity()
    }
}

/// Whether a whole frame begins at `position`.
#[inline]
fn is_committed<M: Memory>(ring: &Ring<M>, position: u64) -> bool {
    let word = ring.word(ring.place(position)).load(Acquire);
    word == ring.commit_word(position)
}

impl Consumer {
    /// Makes the header durable: what was released, what was dropped and reported, and which files
    /// were begun.
    pub(crate) fn sync_header(&self) -> io::Result<()> {
        self.ring.memory().sync_header()
    }
}
