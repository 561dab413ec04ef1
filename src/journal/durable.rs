//! How far the journal has become durable, and who waits for it.
//!
//! The writer reports positions; callers wait for theirs, as a future or blocking. One `Durability`
//! lives as long as the process, for each log that was opened (about 200 bytes), so that a receipt
//! can be `Copy` and still ask after the log is closed.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    thread::Thread,
};

use super::Process;

/// What became of a position.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Durable,
    /// The disk refused; the event is still in the journal and will be tried again.
    Failed(Arc<str>),
    /// The log was closed without reaching it.
    Closed,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<(u64, u64, Waker)>,
    next_key: u64,
    failure: Option<Arc<str>>,
    closed: bool,
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
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The writer's side.

    /// The calling thread is the one to wake.
    pub(crate) fn attach_writer(&self) {
        let _ = self.writer.set(std::thread::current());
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::Acquire) > 0
    }

    /// The writer is awake and will look at everything.
    pub(crate) fn awake(&self) {
        self.nudged.store(false, Ordering::Release);
    }

    /// Everything before `position` is durable.
    pub(crate) fn advance(&self, position: u64) {
        self.durable.store(position, Ordering::Release);
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
        waiting
            .wakers
            .drain(..)
            .for_each(|(.., waker)| waker.wake());
        self.changed.notify_all();
    }

    /// Writing works again.
    pub(crate) fn recovered(&self) {
        self.lock().failure = None;
    }

    /// The writer has stopped.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting
            .wakers
            .drain(..)
            .for_each(|(.., waker)| waker.wake());
        self.changed.notify_all();
    }

    // The caller's side.

    /// Wakes the writer; once, until it is awake.
    pub(crate) fn nudge(&self) {
        if !self.nudged.load(Ordering::Relaxed)
            && !self.nudged.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    pub(crate) fn is_durable(&self, position: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= position
    }

    fn fate(&self, position: u64, waiting: &Waiting) -> Option<Fate> {
        if self.is_durable(position) {
            Some(Fate::Durable)
        } else if let Some(failure) = &waiting.failure {
            Some(Fate::Failed(failure.clone()))
        } else {
            waiting.closed.then_some(Fate::Closed)
        }
    }

    /// Blocks until the position's fate is known.
    pub(crate) fn wait(&self, position: u64) -> Fate {
        if self.is_durable(position) {
            return Fate::Durable;
        }
        self.waiters.fetch_add(1, Ordering::AcqRel);
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
        self.waiters.fetch_sub(1, Ordering::AcqRel);
        fate
    }

    /// Asks for the position's fate; while it is unknown, `waker` is kept under `key` (given at the
    /// first time).
    pub(crate) fn poll(&self, position: u64, key: &mut Option<u64>, waker: &Waker) -> Option<Fate> {
        if key.is_none() && self.is_durable(position) {
            return Some(Fate::Durable);
        }
        if key.is_none() {
            self.waiters.fetch_add(1, Ordering::AcqRel);
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
        self.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}
