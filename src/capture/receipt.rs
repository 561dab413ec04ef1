//! What `audit!` gives back.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use uuid::Uuid;

use crate::journal::{Durability, Fate};

/// Why an event is not, or not known to be, on stable storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDurable {
    /// No log took the event: there is no [`AuditLayer`](crate::AuditLayer) in the current
    /// dispatcher and no process-wide log, or the log was closed, or it was full and set to drop
    /// events. It is not recorded.
    #[error(
        "the event was not recorded: there is no open audit log here, or it was full and drops events"
    )]
    NotRecorded,
    /// The disk is full or failing. The event is recorded, survives the end of the process and is
    /// tried again; it would not survive a power failure now.
    #[error("the event is recorded but not yet on stable storage: {0}")]
    Storage(String),
    /// The log was closed before the event was on stable storage.
    #[error("the audit log was closed before the event was on stable storage")]
    Closed,
}

/// Proof that an event was taken: free to ignore, free to copy.
///
/// Once `audit!` has returned, a [recorded](Self::is_recorded) event survives the death of the
/// process. To know that it survives a power failure as well, wait for [`durable`](Self::durable).
#[derive(Clone, Copy)]
pub struct Receipt {
    id: Uuid,
    taken: Option<(u64, &'static Durability)>,
}

impl Receipt {
    pub(super) fn new(id: Uuid, taken: Option<(u64, &'static Durability)>) -> Self {
        Self { id, taken }
    }

    /// The event's id, as in the record.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether a log took the event.
    pub fn is_recorded(&self) -> bool {
        self.taken.is_some()
    }

    /// Resolves once the event is on stable storage; usually within a few milliseconds, as many
    /// events share one fsync.
    ///
    /// Works in any async runtime. Dropping the future changes nothing: the event is recorded all
    /// the same.
    ///
    /// # Errors
    ///
    /// See [`NotDurable`]. To fail closed, refuse the operation on any of them.
    pub fn durable(&self) -> Durable {
        Durable {
            taken: self.taken,
            key: None,
        }
    }

    /// Blocks until the event is on stable storage, as [`durable`](Self::durable).
    ///
    /// # Errors
    ///
    /// See [`NotDurable`].
    pub fn wait(&self) -> Result<(), NotDurable> {
        let (position, durability) = self.taken.ok_or(NotDurable::NotRecorded)?;
        outcome(durability.wait(position))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("id", &self.id)
            .field("recorded", &self.is_recorded())
            .finish_non_exhaustive()
    }
}

fn outcome(fate: Fate) -> Result<(), NotDurable> {
    match fate {
        Fate::Durable => Ok(()),
        Fate::Failed(error) => Err(NotDurable::Storage(error.to_string())),
        Fate::Closed => Err(NotDurable::Closed),
    }
}

/// The future of [`Receipt::durable`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Durable {
    taken: Option<(u64, &'static Durability)>,
    key: Option<u64>,
}

impl Future for Durable {
    type Output = Result<(), NotDurable>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((position, durability)) = self.taken else {
            return Poll::Ready(Err(NotDurable::NotRecorded));
        };
        match durability.poll(position, &mut self.key, cx.waker()) {
            Some(fate) => Poll::Ready(outcome(fate)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let (Some((_, durability)), Some(key)) = (self.taken, self.key) {
            durability.forget(key);
        }
    }
}
