//! How far the journal has become durable, and who waits for it.
//!
//! The writer reports positions; callers wait for theirs, as a future or blocking. One `Durability`
//! lives as long as the process, for each log that was opened (about 200 bytes), so that a receipt
//! can be `Copy` and still ask after the log is closed.

use std::{
    mem,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    },
    task::Waker,
};
#[cfg(not(loom))]
use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, fence},
    },
    thread::{self, Thread},
};

use super::Process;
use crate::contain::contain;
#[cfg(loom)]
use loom::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, fence},
    },
    thread::{self, Thread},
};

/// The state of a position.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Durable,
    /// The disk refused, or the writer died; the event is still in the journal and will be tried
    /// again, by the next process if need be.
    Failed(Arc<str>),
    /// The log was closed without reaching it.
    Closed,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Position, key, waker.
    wakers: Vec<(u64, u64, Waker)>,
    next_key: u64,
    failure: Option<Arc<str>>,
    /// No later position becomes durable.
    over: Option<Fate>,
}

impl Waiting {
    fn take(&mut self, key: u64) -> Option<Waker> {
        let at = self.wakers.iter().position(|(_, kept, _)| *kept == key)?;
        Some(self.wakers.swap_remove(at).2)
    }
}

/// Wakes each of them, whatever another does.
///
/// A waker is the application's code, so no lock may be held: it may ask for a position at once, or
/// drop a future that waits for one.
fn wake(wakers: Vec<(u64, u64, Waker)>) {
    for (.., waker) in wakers {
        // A panic was shown by the panic hook.
        contain(|| waker.wake());
    }
}

/// The durable end of one log's journal.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    durable: AtomicU64,
    /// How many wait: the writer syncs sooner when any do.
    waiters: AtomicUsize,
    nudged: AtomicBool,
    writer: OnceLock<Thread>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    process: Option<Process>,
}

impl Durability {
    /// A new one, for the rest of the process's life.
    pub(crate) fn leak() -> &'static Self {
        Box::leak(Box::new(Self {
            process: Some(Process::current()),
            ..Self::default()
        }))
    }

    /// Whether the writer is in this process. In a child by `fork` it is not: nothing will be
    /// reported there, and a lock of the parent's may be held for ever.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process.is_some_and(Process::is_current)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing of the application's runs under the lock, and nothing that panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The writer's side.

    /// The calling thread is the one to wake.
    pub(crate) fn attach_writer(&self) {
        let _ = self.writer.set(thread::current());
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.load(Relaxed) > 0
    }

    /// The writer is awake and will look at everything.
    ///
    /// The fence pairs with that of [`count_waiter`](Self::count_waiter): a waiter who finds that
    /// the writer was nudged before, and leaves it at that, is seen by the writer's next look.
    pub(crate) fn awake(&self) {
        self.nudged.store(false, Release);
        fence(SeqCst);
    }

    /// Everything before `position` is durable.
    ///
    /// This stores the position and then looks for waiters; a waiter counts itself and then looks
    /// at the position. One of the two has to see the other, or the waiter sleeps for ever in a log
    /// in which nothing else happens. So a fence stands between the two steps, on both sides.
    pub(crate) fn advance(&self, position: u64) {
        self.durable.store(position, Release);
        fence(SeqCst);
        if self.has_waiters() {
            let mut waiting = self.lock();
            waiting.failure = None;
            let due = waiting
                .wakers
                .extract_if(.., |(wanted, ..)| *wanted <= position)
                .collect();
            self.changed.notify_all();
            drop(waiting);
            wake(due);
        }
    }

    /// Writing or syncing failed; the callers that wait now get the error, and their events are
    /// tried again.
    pub(crate) fn fail(&self, error: &str) {
        let mut waiting = self.lock();
        waiting.failure = Some(error.into());
        self.tell_all(waiting);
    }

    /// Writing works again.
    pub(crate) fn recovered(&self) {
        self.lock().failure = None;
    }

    /// The writer has stopped.
    pub(crate) fn close(&self) {
        self.end(Fate::Closed);
    }

    /// The writer has died: what it was to make durable stays in the journal.
    pub(crate) fn die(&self, why: &str) {
        self.end(Fate::Failed(why.into()));
    }

    fn end(&self, fate: Fate) {
        let mut waiting = self.lock();
        waiting.over.get_or_insert(fate);
        self.tell_all(waiting);
    }

    fn tell_all(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let all = mem::take(&mut waiting.wakers);
        self.changed.notify_all();
        drop(waiting);
        wake(all);
    }

    // The caller's side.

    /// Wakes the writer; once, until it is awake.
    #[cold]
    pub(crate) fn nudge(&self) {
        if !self.nudged.load(Relaxed)
            && !self.nudged.swap(true, AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    pub(crate) fn is_durable(&self, position: u64) -> bool {
        self.durable.load(Acquire) >= position
    }

    /// Counts one who waits, and only then looks at the position; see [`advance`](Self::advance).
    fn count_waiter(&self) {
        self.waiters.fetch_add(1, Relaxed);
        fence(SeqCst);
    }

    fn fate(&self, position: u64, waiting: &Waiting) -> Option<Fate> {
        if self.is_durable(position) {
            Some(Fate::Durable)
        } else if let Some(failure) = &waiting.failure {
            Some(Fate::Failed(failure.clone()))
        } else {
            waiting.over.clone()
        }
    }

    /// Blocks until the position's fate is known.
    pub(crate) fn wait(&self, position: u64) -> Fate {
        if self.is_durable(position) {
            return Fate::Durable;
        }
        self.count_waiter();
        self.nudge();
        let mut waiting = self.lock();
        let fate = loop {
            match self.fate(position, &waiting) {
                Some(fate) => break fate,
                None => {
                    waiting = self
                        .changed
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        };
        drop(waiting);
        self.waiters.fetch_sub(1, Relaxed);
        fate
    }

    /// Asks for the position's fate; while it is unknown, `waker` is kept under `key` (given at the
    /// first time).
    pub(crate) fn poll(&self, position: u64, key: &mut Option<u64>, waker: &Waker) -> Option<Fate> {
        if key.is_none() && self.is_durable(position) {
            return Some(Fate::Durable);
        }
        let waker = waker.clone();
        if key.is_none() {
            self.count_waiter();
        }
        let mut waiting = self.lock();
        let mine = *key.get_or_insert_with(|| {
            waiting.next_key += 1;
            waiting.next_key
        });
        let fate = self.fate(position, &waiting);
        let _earlier = waiting.take(mine);
        if fate.is_none() {
            waiting.wakers.push((position, mine, waker));
        }
        // The wakers that are not kept are dropped later, when the lock is free.
        drop(waiting);
        self.nudge();
        fate
    }

    /// The waiter under `key` no longer polls.
    pub(crate) fn forget(&self, key: u64) {
        self.waiters.fetch_sub(1, Relaxed);
        // Dropped when the lock is free.
        let _waker = self.lock().take(key);
    }
}
