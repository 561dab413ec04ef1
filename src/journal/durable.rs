//! How far the journal has become durable, and who waits for it.
//!
//! The writer reports positions; callers wait for theirs, as a future or blocking. One `Durability`
//! lives as long as the process, for each log that was opened (about 200 bytes), so that a receipt
//! can be `Copy` and still ask after the log is closed.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    task::Waker,
};
#[cfg(not(loom))]
use std::{
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    thread::Thread,
};

use super::Process;
#[cfg(loom)]
use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
};

/// What became of a position.
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
    wakers: Vec<(u64, u64, Waker)>,
    next_key: u64,
    failure: Option<Arc<str>>,
    /// Nothing will become durable any more.
    over: Option<Fate>,
}

impl Waiting {
    fn wake_all(&mut self) {
        self.wakers.drain(..).for_each(|(.., waker)| waker.wake());
    }
}

/// The durable end of one log's journal.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    durable: AtomicU64,
    /// How many wait: the writer syncs sooner when any do.
    waiters: AtomicUsize,
    nudged: AtomicBool,
    #[cfg(not(loom))]
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
        // Nothing that can panic runs under the lock but wakers, after which it is still true.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The writer's side.

    /// The calling thread is the one to wake.
    #[cfg(not(loom))]
    pub(crate) fn attach_writer(&self) {
        let _ = self.writer.set(std::thread::current());
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::SeqCst) > 0
    }

    /// The writer is awake and will look at everything.
    pub(crate) fn awake(&self) {
        self.nudged.store(false, Ordering::Release);
    }

    /// Everything before `position` is durable.
    ///
    /// This stores the position and then looks for waiters; a waiter counts itself and then looks at
    /// the position. One of the two has to see the other, or the waiter sleeps for ever in a log in
    /// which nothing else happens: so all four accesses are sequentially consistent.
    pub(crate) fn advance(&self, position: u64) {
        self.durable.store(position, Ordering::SeqCst);
        if self.has_waiters() {
            let mut waiting = self.lock();
            waiting.failure = None;
            waiting
                .wakers
                .extract_if(.., |(wanted, ..)| *wanted <= position)
                .for_each(|(.., waker)| waker.wake());
            self.changed.notify_all();
        }
    }

    /// Writing or syncing failed; those who wait now are told, and what they wait for is tried
    /// again.
    pub(crate) fn fail(&self, error: &str) {
        let mut waiting = self.lock();
        waiting.failure = Some(error.into());
        waiting.wake_all();
        self.changed.notify_all();
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
        waiting.wake_all();
        self.changed.notify_all();
    }

    // The caller's side.

    /// Wakes the writer; once, until it is awake.
    pub(crate) fn nudge(&self) {
        #[cfg(not(loom))]
        if !self.nudged.load(Ordering::Relaxed)
            && !self.nudged.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    pub(crate) fn is_durable(&self, position: u64) -> bool {
        self.durable.load(Ordering::SeqCst) >= position
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
        self.waiters.fetch_add(1, Ordering::SeqCst);
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
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        fate
    }

    /// Asks for the position's fate; while it is unknown, `waker` is kept under `key` (given at the
    /// first time).
    pub(crate) fn poll(&self, position: u64, key: &mut Option<u64>, waker: &Waker) -> Option<Fate> {
        if key.is_none() && self.is_durable(position) {
            return Some(Fate::Durable);
        }
        if key.is_none() {
            self.waiters.fetch_add(1, Ordering::SeqCst);
        }
        let mut waiting = self.lock();
        let mine = *key.get_or_insert_with(|| {
            waiting.next_key += 1;
            waiting.next_key
        });
        let fate = self.fate(position, &waiting);
        waiting.wakers.retain(|(_, key, _)| *key != mine);
        if fate.is_none() {
            waiting.wakers.push((position, mine, waker.clone()));
        }
        drop(waiting);
        self.nudge();
        fate
    }

    /// Nobody polls under `key` any more.
    pub(crate) fn forget(&self, key: u64) {
        self.lock().wakers.retain(|(_, kept, _)| *kept != key);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}
