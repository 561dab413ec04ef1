//! The memory that deliveries take, for all webhooks together.
//!
//! In come the expected lengths of bodies, out go permissions to hold them. The limit has three
//! parts:
//!
//! - Half of it belongs to the webhooks in equal shares. No webhook can take anything of another's
//!   share, so a receiver that hangs holds up only its own webhook. While a share is full, the next
//!   attempt of its webhook waits, but its body doesn't wait in memory: the body is made from the
//!   log when its turn comes.
//! - A quarter is for single bodies that are longer than a share. They take turns.
//! - A quarter is for entries that are read and aren't a body yet. Reads take turns as well.
//!   Webhooks that fail have few turns of their own, and take none of the others'.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::webhook::settings::stored::MOST_WEBHOOKS;

/// The limit by default.
const MOST: usize = 64 << 20;
/// The number of webhooks that read at once: of those that work, and of those that fail. A read is
/// short, because it waits for no receiver.
const READERS: usize = 6;
const FAILING_READERS: usize = 2;
/// The number of units in which the memory for long bodies is given out.
const PARTS: usize = 256;

/// The limit, and what is shared of it.
#[derive(Debug)]
pub(in crate::webhook) struct Memory {
    most: AtomicUsize,
    webhooks: AtomicUsize,
    long: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    failing_readers: Arc<Semaphore>,
}

/// The share of one webhook.
#[derive(Debug)]
pub(in crate::webhook) struct Share {
    memory: Arc<Memory>,
    held: AtomicUsize,
    /// Whether the webhook fails.
    fails: AtomicBool,
    /// The length of the last body, in hundredths of the length of its entries' lines.
    expansion: AtomicUsize,
}

/// Memory of a share that is taken, until this is dropped.
#[derive(Debug)]
pub(in crate::webhook) struct Held {
    share: Arc<Share>,
    bytes: usize,
    /// The turn of a long body.
    _long: Option<OwnedSemaphorePermit>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            most: AtomicUsize::new(MOST),
            webhooks: AtomicUsize::new(0),
            long: Arc::new(Semaphore::new(PARTS)),
            readers: Arc::new(Semaphore::new(READERS)),
            failing_readers: Arc::new(Semaphore::new(FAILING_READERS)),
        }
    }
}

impl Memory {
    /// Changes the limit, for what is held from now on.
    pub(in crate::webhook) fn limit(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The share of one more webhook; those of the others become smaller.
    pub(in crate::webhook) fn share(self: &Arc<Self>) -> Arc<Share> {
        self.webhooks.fetch_add(1, Ordering::Relaxed);
        Arc::new(Share {
            memory: Arc::clone(self),
            held: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            expansion: AtomicUsize::new(150),
        })
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Share {
    /// How many bytes it is.
    pub(in crate::webhook) fn size(&self) -> usize {
        let webhooks = self.memory.webhooks.load(Ordering::Relaxed);
        self.memory.most() / 2 / webhooks.clamp(1, 2 * MOST_WEBHOOKS)
    }

    /// How many bytes are taken of it.
    pub(in crate::webhook) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(in crate::webhook) fn has_room(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.size()
    }

    /// Takes so many bytes, if there is room.
    pub(in crate::webhook) fn try_hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        self.has_room(bytes).then(|| self.hold(bytes))
    }

    /// Takes so many bytes. The caller has seen that there is room, or that nothing else is held.
    pub(in crate::webhook) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Held {
            share: Arc::clone(self),
            bytes,
            _long: None,
        }
    }

    /// Notes whether the webhook fails, so that nothing can be delivered to it now.
    pub(in crate::webhook) fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// Waits for a turn to read. The turn lasts until it is dropped.
    pub(in crate::webhook) async fn reading(&self) -> Option<OwnedSemaphorePermit> {
        let readers = match self.fails.load(Ordering::Relaxed) {
            true => &self.memory.failing_readers,
            false => &self.memory.readers,
        };
        Arc::clone(readers).acquire_owned().await.ok()
    }

    /// How many bytes a body of so many bytes of lines is expected to have.
    pub(in crate::webhook) fn expected(&self, lines: usize) -> usize {
        lines.saturating_mul(self.expansion.load(Ordering::Relaxed)) / 100
    }

    /// How many bytes of lines make a body of so many bytes, by what was seen last.
    pub(in crate::webhook) fn lines_for(&self, body: usize) -> usize {
        body * 100 / self.expansion.load(Ordering::Relaxed).max(1)
    }

    /// Notes how long a body of so many bytes of lines became.
    pub(in crate::webhook) fn saw(&self, lines: usize, body: usize) {
        let expansion = body.saturating_mul(100).div_ceil(lines.max(1));
        self.expansion
            .store(expansion.clamp(1, 100_000), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.webhooks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Held {
    /// Waits for the turn of a body that is longer than the whole share; others need none.
    pub(in crate::webhook) async fn wait_if_long(&mut self) {
        if self._long.is_some() || self.bytes <= self.share.size() {
            return;
        }
        let memory = &self.share.memory;
        let part = (memory.most() / 4 / PARTS).max(1);
        let parts = self.bytes.div_ceil(part).clamp(1, PARTS);
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        self._long = Arc::clone(&memory.long)
            .acquire_many_owned(parts)
            .await
            .ok();
    }

    /// It takes so many bytes now.
    pub(in crate::webhook) fn resize(&mut self, bytes: usize) {
        let held = &self.share.held;
        if bytes > self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);

    #[test]
    fn a_webhook_takes_nothing_of_anothers_share() {
        let memory = Arc::<Memory>::default();
        memory.limit(8 << 20);
        let shares: Vec<_> = (0..4).map(|_| memory.share()).collect();
        let (hung, others) = shares.split_first().unwrap();
        let held: Vec<_> = std::iter::from_fn(|| hung.try_hold(10_000)).collect();
        assert!(hung.held() <= 1 << 20, "{} of half the limit", hung.held());
        assert!(!hung.has_room(10_000));
        for other in others {
            assert!(other.has_room(1 << 20));
        }
        drop(held);
        assert_eq!(hung.held(), 0);
        drop(shares);
        assert_eq!(memory.share().size(), 4 << 20, "it is alone");
    }

    #[tokio::test]
    async fn long_bodies_take_turns_and_short_ones_wait_for_none() {
        let memory = Arc::<Memory>::default();
        memory.limit(8 << 20);
        let shares: Vec<_> = (0..4).map(|_| memory.share()).collect();
        let mut first = shares[0].hold(1_500_000);
        timeout(SOON, first.wait_if_long()).await.unwrap();
        let mut second = shares[1].hold(1_500_000);
        assert!(timeout(SOON, second.wait_if_long()).await.is_err());
        let mut short = shares[2].hold(1 << 20);
        timeout(SOON, short.wait_if_long()).await.unwrap();
        drop(first);
        timeout(SOON, second.wait_if_long()).await.unwrap();
        // Longer than there is room for at all: alone, but not never.
        drop(second);
        let mut huge = shares[3].hold(100 << 20);
        timeout(SOON, huge.wait_if_long()).await.unwrap();
    }

    #[tokio::test]
    async fn webhooks_that_fail_take_no_turn_to_read_of_others() {
        let memory = Arc::<Memory>::default();
        let failing = memory.share();
        let other = memory.share();
        failing.fails(true);
        let mut turns = Vec::new();
        while let Ok(turn) = timeout(SOON, failing.reading()).await {
            turns.push(turn.unwrap());
        }
        assert_eq!(turns.len(), FAILING_READERS);
        drop(timeout(SOON, other.reading()).await.unwrap());
        failing.fails(false);
        drop(timeout(SOON, failing.reading()).await.unwrap());
    }

    #[test]
    fn what_is_held_is_what_a_body_has_become() {
        let share = Arc::<Memory>::default().share();
        let mut held = share.hold(1000);
        held.resize(4000);
        assert_eq!(share.held(), 4000);
        held.resize(10);
        drop(held);
        assert_eq!(share.held(), 0);
        share.saw(1000, 4500);
        assert_eq!((share.expected(2000), share.lines_for(9000)), (9000, 2000));
    }
}
