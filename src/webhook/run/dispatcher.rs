//! The handle on a dispatcher that an application holds.

use std::{
    mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime, sync::watch};

use super::{
    delivering::Delivering,
    stop::{STOP_WITHIN, Stopper, attempts_end},
};
use crate::{
    error::{Error, Result},
    journal::Process,
    log::AuditLog,
    webhook::{queue::memory::Memory, settings::stored::MOST_WEBHOOKS},
};

/// Threads that a webhook needs for disks at most: one reads the log, one saves the queue, one the
/// last attempts, one writes dead letters.
const THREADS_EACH: usize = 4;
/// Threads for work that is done for all webhooks, and for attempts that read their entries.
const THREADS_FOR_ALL: usize = 32;

/// Delivers events to webhooks for as long as it lives. Made by
/// [`Webhooks::run`](crate::webhook::Webhooks::run).
///
/// Dropping it lets attempts under way end, and saves their outcomes. An attempt that takes longer
/// than [`stop_within`](Self::stop_within) allows is cut off: it counts as not made, and the next
/// dispatcher makes it again under the same id.
#[derive(Debug)]
pub struct Dispatcher {
    process: Process,
    stop_within: Duration,
    memory: Arc<Memory>,
    /// Until it is dropped.
    thread: Option<(Stopper, JoinHandle<()>)>,
}

impl Dispatcher {
    pub(in crate::webhook) fn start(log: &AuditLog) -> Result<Self> {
        let memory = Arc::<Memory>::default();
        let delivering = Delivering::new(log.clone(), Arc::clone(&memory))?;
        let root = log.layout().root();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            // Enough for all work on disk that can be under way at once, so that no webhook waits
            // for another's.
            .max_blocking_threads(MOST_WEBHOOKS * THREADS_EACH + THREADS_FOR_ALL)
            .build()
            .map_err(Error::io("start delivering from", root))?;
        let (stop, stopped) = watch::channel(None);
        let thread = thread::Builder::new()
            .name("audit-webhooks".into())
            .spawn(move || {
                runtime.block_on(delivering.run(stopped));
                // A read of a long log may be under way, but nobody waits for it now.
                runtime.shutdown_timeout(Duration::from_millis(200));
            })
            .map_err(Error::io("start a thread for", root))?;
        Ok(Self {
            process: Process::current(),
            stop_within: STOP_WITHIN,
            memory,
            thread: Some((stop, thread)),
        })
    }

    /// How long dropping it takes at most. Default: 5 seconds.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use std::time::Duration;
    ///
    /// let dispatcher = log.webhooks().run()?.stop_within(Duration::from_secs(2));
    /// drop(dispatcher);
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn stop_within(mut self, limit: Duration) -> Self {
        self.stop_within = limit;
        self
    }

    /// The most memory, in bytes, that the requests of all webhooks take together, with the entries
    /// that are read for them. Default: 64 MiB.
    ///
    /// Half of it belongs to the webhooks in equal shares, so a receiver that accepts nothing
    /// leaves the others theirs. A body that its share has no room for is made again when its turn
    /// comes, and its attempt waits for others of the same webhook. A small limit makes deliveries
    /// slower, and loses nothing. A single entry whose body is longer than the limit is sent all
    /// the same.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// let dispatcher = log.webhooks().run()?.memory_bytes(16 << 20);
    /// # drop(dispatcher);
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn memory_bytes(self, limit: usize) -> Self {
        self.memory.limit(limit);
        self
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let Some((stop, thread)) = self.thread.take() else {
            return;
        };
        if !self.process.is_current() {
            // In a child by `fork` there is no such thread, and its locks may be held for ever.
            mem::forget((stop, thread));
            return;
        }
        let _ = stop.send(Some(attempts_end(self.stop_within)));
        let _ = thread.join();
    }
}
