//! The memory of answers that are read before they are sent: pages, and events of streams.
//!
//! Before such an answer is read, it gets room for its greatest length; then it gives back what it
//! doesn't need, and holds the rest until its client has taken it. Always true: whatever clients ask
//! for, and however slowly they read, these answers together have no more bytes than there is room
//! for. Downloads have chunks of their own (`body`).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

use super::{limits::within, options::RouterOptions, problem::Problem};
use crate::error::Result;

/// How long a page waits for room. Reading takes milliseconds, so room that takes longer is held by
/// slow clients.
const PATIENCE: Duration = Duration::from_secs(5);
/// Room is counted in KiB, because a semaphore has no more than 2³² permits to give at once.
const UNIT: usize = 1024;
const MIB: usize = 1 << 20;

/// The room for all such answers of one router.
#[derive(Debug)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    units: usize,
    patience: Duration,
}

/// Room that an answer has, until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    permit: OwnedSemaphorePermit,
    /// All that there is.
    most: usize,
}

impl Memory {
    /// # Errors
    ///
    /// `Error::Invalid` if the option is out of its bounds.
    pub(super) fn new(options: &RouterOptions) -> Result<Self> {
        let bytes = options.page_memory_bytes;
        within("page_memory_bytes", bytes, 16 * MIB..=1024 * 1024 * MIB)?;
        let units = bytes / UNIT;
        Ok(Self {
            free: Arc::new(Semaphore::new(units)),
            units,
            patience: PATIENCE,
        })
    }

    /// Room for so many bytes, for a client that waits for its answer.
    ///
    /// # Errors
    ///
    /// 503 if there is none within some seconds.
    pub(super) async fn room(&self, bytes: usize) -> std::result::Result<Room, Problem> {
        let room = time::timeout(self.patience, self.room_in_time(bytes)).await;
        room.map_err(|_| busy())
    }

    /// The same, however long that takes.
    pub(super) async fn room_in_time(&self, bytes: usize) -> Room {
        let permit = Arc::clone(&self.free).acquire_many_owned(units(bytes, self.units));
        Room {
            permit: permit.await.expect("nobody closes the semaphore"),
            most: self.units,
        }
    }
}

impl Room {
    /// Makes it as large as the answer is.
    ///
    /// # Errors
    ///
    /// 503 if it has to be larger, and there is no more room.
    pub(super) fn fit(&mut self, bytes: usize) -> std::result::Result<(), Problem> {
        let wanted = units(bytes, self.most) as usize;
        let has = self.permit.num_permits();
        if wanted <= has {
            drop(self.permit.split(has - wanted));
            return Ok(());
        }
        let free = Arc::clone(self.permit.semaphore());
        let more = free.try_acquire_many_owned((wanted - has) as u32);
        self.permit.merge(more.map_err(|_| busy())?);
        Ok(())
    }
}

/// Not more than there is: an entry may be longer than all room.
fn units(bytes: usize, most: usize) -> u32 {
    bytes.div_ceil(UNIT).min(most) as u32
}

fn busy() -> Problem {
    Problem::busy(
        "too many answers wait to be taken by their clients; try again soon, or ask for less with \
         limit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(memory: &Memory) -> usize {
        memory.free.available_permits() * UNIT
    }

    fn memory(patience: Duration) -> Memory {
        let options = RouterOptions::new().page_memory_bytes(16 * MIB);
        let memory = Memory::new(&options).unwrap();
        Memory { patience, ..memory }
    }

    #[tokio::test]
    async fn an_answer_has_the_room_that_it_needs_until_it_was_taken() {
        let memory = memory(Duration::from_millis(10));
        let mut first = memory.room(8 * MIB).await.unwrap();
        let second = memory.room(8 * MIB).await.unwrap();
        assert_eq!(memory.room(1).await.unwrap_err().status(), 503);
        first.fit(MIB).unwrap();
        assert_eq!(free(&memory), 7 * MIB);
        // An entry that is longer than a page gets what it needs, as long as there is some.
        first.fit(2 * MIB).unwrap();
        assert_eq!(first.fit(9 * MIB).unwrap_err().status(), 503);
        drop(second);
        first.fit(usize::MAX).unwrap();
        assert_eq!(free(&memory), 0);
        drop(first);
        assert_eq!(free(&memory), 16 * MIB);
    }

    #[tokio::test]
    async fn an_answer_waits_for_another_to_be_taken() {
        let memory = memory(Duration::MAX);
        let all = memory.room(16 * MIB).await.unwrap();
        let mut waiting = std::pin::pin!(memory.room(8 * MIB));
        let waits = std::future::poll_fn(|context| {
            std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
        });
        assert!(waits.await);
        drop(all);
        assert!(waiting.await.is_ok());
    }
}
