//! The receipt that `audit!` returns.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use uuid::Uuid;

use crate::journal::{Durability, Fate};

/// The reason why an event is not, or not known to be, on stable storage. Each variant says what
/// became of the event.
///
/// ```
/// use tracing_audit::{NotDurable, audit};
///
/// # let log = tracing_audit::AuditLog::for_tests();
/// # log.run(|| -> Result<(), NotDurable> {
/// let receipt = audit!("key.deleted", resource.id = 7);
/// match receipt.wait() {
///     Ok(()) => {}
///     // Recorded, and written once the disk takes it again.
///     Err(NotDurable::Storage(why)) => tracing::warn!("{why}"),
///     // Not recorded, or not known to be.
///     Err(why) => return Err(why),
/// }
/// # Ok(())
/// # })?;
/// # Ok::<(), NotDurable>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDurable {
    /// The event is not recorded, because no log took it: there is no
    /// [`AuditLayer`](crate::AuditLayer) in the current dispatcher and no process-wide log, or the
    /// log's journal was full and the log drops events, or this process is a child by `fork` that
    /// could not open a stream of its own.
    #[error(
        "the event was not recorded: there is no audit log here, or it was full and drops events, \
         or this is a forked process that could not open a stream of its own"
    )]
    NotRecorded,
    /// The disk is full or failing. The event is recorded and survives the end of the process, and
    /// the log goes on trying to write it. At the moment, it would not survive a loss of power.
    #[error("the event is recorded but not yet on stable storage: {0}")]
    Storage(String),
    /// The log was closed before the event was on stable storage, or before the event came, which
    /// is then not [recorded](Receipt::is_recorded). Close the log after the last event. A log
    /// whose writer has died ([`Problem::ThreadDied`](crate::health::Problem::ThreadDied)) takes no
    /// more events either.
    #[error("the audit log was closed before the event was on stable storage")]
    Closed,
    /// The event was recorded by the parent from which this process was forked, and only the parent
    /// learns when the event is on stable storage. Wait in the parent, or before the fork.
    #[error("the event was recorded by another process, of which this one is a child by fork")]
    OtherProcess,
}

/// Why no log took an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is none.
    NoLog,
    /// Its journal is full, and it drops events then.
    NoRoom,
    /// The log was closed.
    Closed,
    /// This is a child by `fork` that could not open a stream of its own.
    NoStream,
    /// The process was forked while the event was rendered, and the parent records it.
    OtherProcess,
}

/// Where in a journal an event is, and how to learn when that is durable.
pub(super) type Taken = Result<(u64, &'static Durability), NotTaken>;

impl From<NotTaken> for NotDurable {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::NoLog | NotTaken::NoRoom | NotTaken::NoStream => Self::NotRecorded,
            NotTaken::Closed => Self::Closed,
            NotTaken::OtherProcess => Self::OtherProcess,
        }
    }
}

/// An event's place, for callers that may wait for it: in a child by `fork` the writer is not
/// there, and its locks may be held for ever.
fn to_wait_for(taken: Taken) -> Result<(u64, &'static Durability), NotDurable> {
    let (position, durability) = taken?;
    if durability.is_of_this_process() {
        Ok((position, durability))
    } else {
        Err(NotDurable::OtherProcess)
    }
}

/// Proof that an event was taken: free to ignore, free to copy.
///
/// Once `audit!` has returned, a [recorded](Self::is_recorded) event survives the death of the
/// process. To know that it survives a power failure as well, wait for [`durable`](Self::durable):
/// so an operation is refused (*fails closed*) unless its event is on stable storage.
///
/// ```
/// use tracing_audit::{NotDurable, audit};
///
/// struct Payment { id: u64, cents: u64 }
///
/// // A handler: without an entry there is no payment.
/// async fn approve(payment: Payment) -> Result<(), NotDurable> {
///     audit!("payment.approved", resource.id = payment.id, cents = payment.cents)
///         .durable()
///         .await?;
///     // … pay …
///     Ok(())
/// }
/// # let _ = approve;
/// ```
///
/// Where a call of `audit!` is the last expression of a block, a closure or an arm whose value is
/// `()`, as it may be with `tracing::info!`, [`ignore`](Self::ignore) gives the receipt up.
#[derive(Clone, Copy)]
pub struct Receipt {
    id: Uuid,
    taken: Taken,
}

impl Receipt {
    pub(super) fn new(id: Uuid, taken: Taken) -> Self {
        Self { id, taken }
    }

    /// The event's id, as in the entry.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether a log took the event.
    pub fn is_recorded(&self) -> bool {
        self.taken.is_ok()
    }

    pub(super) fn met_no_log(&self) -> bool {
        matches!(self.taken, Err(NotTaken::NoLog))
    }

    /// Gives the receipt up: `audit!(…).ignore()` has the value `()`, for places where an
    /// expression of that type is needed. Nothing changes for the event.
    ///
    /// ```
    /// use tracing_audit::audit;
    ///
    /// fn login(user: Result<u64, &str>) {
    ///     match user {
    ///         Ok(id) => audit!("auth.login.success", actor.id = id).ignore(),
    ///         Err(why) => tracing::warn!(why, "no login"),
    ///     }
    /// }
    ///
    /// login(Ok(7));
    /// [1, 2].iter().for_each(|page| audit!("page.opened", page).ignore());
    /// ```
    #[inline]
    pub fn ignore(self) {}

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
        let (position, durability) = to_wait_for(self.taken)?;
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

pub(super) fn outcome(fate: Fate) -> Result<(), NotDurable> {
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
    taken: Taken,
    key: Option<u64>,
}

impl Future for Durable {
    type Output = Result<(), NotDurable>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (position, durability) = match to_wait_for(self.taken) {
            Ok(taken) => taken,
            Err(why) => return Poll::Ready(Err(why)),
        };
        match durability.poll(position, &mut self.key, cx.waker()) {
            Some(fate) => Poll::Ready(outcome(fate)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let (Ok((_, durability)), Some(key)) = (to_wait_for(self.taken), self.key) {
            durability.forget(key);
        }
    }
}
