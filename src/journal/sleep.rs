//! How the writer sleeps while nothing comes, and how a push wakes it.
//!
//! The writer announces that it sleeps, looks at the ring once more, and parks. A push commits its
//! frame, or closes the ring, and then looks for the announcement. One of the two has to see the
//! other, or the event would wait until something else ends the sleep. On each side a store comes
//! before a load, and a processor may swap the two, so a full barrier has to stand between them.
//! The callers of `audit!` don't pay for theirs: the writer, which is about to sleep anyway, makes
//! the kernel execute a barrier on every processor that runs a thread of this process
//! (`membarrier`). On the side of a push there remain a load of a flag that rarely changes, and a
//! barrier for the compiler.
//!
//! Where the kernel has no `membarrier`, a push can miss the announcement, so the writer sleeps for
//! [`UNSURE`] at most.
//!
//! The flag is in the memory of this process, not in the mapped file: a child by `fork` has a copy
//! of it and no writer, and pushes into a journal of its own.

#[cfg(not(loom))]
use std::{
    sync::atomic::AtomicBool,
    thread::{self, Thread},
};
use std::{
    sync::{
        OnceLock,
        atomic::Ordering::{AcqRel, Relaxed, SeqCst},
    },
    time::Duration,
};

#[cfg(loom)]
use loom::{
    sync::atomic::AtomicBool,
    thread::{self, Thread},
};

/// The longest sleep where the kernel has no `membarrier`, so that a push may miss the
/// announcement.
const UNSURE: Duration = Duration::from_millis(50);

/// The announcement that the writer sleeps, and whom to wake.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    asleep: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Sleep {
    /// Wakes the writer if it sleeps. For a push after its commit, and for the close.
    #[inline]
    pub(super) fn end(&self) {
        pushes_side();
        if self.asleep.load(Relaxed) {
            self.wake();
        }
    }

    /// Of the pushes that find the writer asleep at once, one wakes it.
    #[cold]
    fn wake(&self) {
        if self.asleep.swap(false, AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Sleeps until a push wakes the calling thread, the writer, or another thread unparks it, or
    /// `limit` is over; not at all if the last look finds `something`. True if a push came.
    pub(super) fn sleep(
        &self,
        barrier: &mut Barrier,
        something: impl FnOnce() -> bool,
        limit: Duration,
    ) -> bool {
        self.writer.get_or_init(thread::current);
        // A swap, so that it is ordered behind the swaps of earlier pushes: loom takes a store for
        // unordered with them, and then sees a push that misses the announcement.
        self.asleep.swap(true, AcqRel);
        let limit = match barrier.writers_side() {
            true => limit,
            false => limit.min(UNSURE),
        };
        let came = something();
        if !came {
            park(limit);
        }
        !self.asleep.swap(false, AcqRel) || came
    }
}

/// The writer's half of the barrier.
#[derive(Debug, Default)]
pub(super) struct Barrier {
    /// Whether the kernel knows `membarrier`, once that was tried.
    registered: Option<bool>,
}

impl Barrier {
    /// False if a push may miss what was stored before this.
    #[cfg(all(not(loom), not(miri), target_os = "linux"))]
    fn writers_side(&mut self) -> bool {
        use rustix::thread::{MembarrierCommand as Command, membarrier};

        // On the writer's own thread, because the first call of a process takes milliseconds.
        let register = || membarrier(Command::RegisterPrivateExpedited).is_ok();
        let registered = *self.registered.get_or_insert_with(register);
        registered && membarrier(Command::PrivateExpedited).is_ok()
    }

    #[cfg(all(not(loom), any(miri, not(target_os = "linux"))))]
    fn writers_side(&mut self) -> bool {
        std::sync::atomic::fence(SeqCst);
        self.registered.is_some()
    }

    /// Loom knows no `membarrier`. What it achieves is that of a fence on both sides.
    #[cfg(loom)]
    fn writers_side(&mut self) -> bool {
        loom::sync::atomic::fence(SeqCst);
        *self.registered.insert(true)
    }
}

/// A push's half of the barrier, which costs nothing.
#[cfg(not(loom))]
#[inline]
fn pushes_side() {
    std::sync::atomic::compiler_fence(SeqCst);
}

#[cfg(loom)]
fn pushes_side() {
    loom::sync::atomic::fence(SeqCst);
}

#[cfg(not(loom))]
fn park(limit: Duration) {
    thread::park_timeout(limit);
}

/// Without a limit, so that loom finds a wake-up that is lost.
#[cfg(loom)]
fn park(_limit: Duration) {
    thread::park();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Instant;

    use super::*;

    const HANGS: Duration = Duration::from_secs(60);

    #[test]
    fn a_push_ends_the_sleep() {
        let sleep = Sleep::default();
        let begun = Instant::now();
        thread::scope(|scope| {
            let sleeping = scope.spawn(|| sleep.sleep(&mut Barrier::default(), || false, HANGS));
            while !sleeping.is_finished() {
                sleep.end();
                thread::yield_now();
            }
            assert!(sleeping.join().unwrap(), "it was a push");
        });
        assert!(begun.elapsed() < HANGS / 2);
    }

    #[test]
    fn nobody_sleeps_who_finds_something_at_the_last_look() {
        let begun = Instant::now();
        let sleep = Sleep::default();
        assert!(sleep.sleep(&mut Barrier::default(), || true, HANGS));
        assert!(begun.elapsed() < HANGS / 2);
    }

    #[test]
    fn a_sleep_that_may_be_missed_is_short() {
        let begun = Instant::now();
        let mut without = Barrier {
            registered: Some(false),
        };
        assert!(!Sleep::default().sleep(&mut without, || false, HANGS));
        assert!(begun.elapsed() < HANGS / 2);
    }
}
