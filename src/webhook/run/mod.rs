//! The dispatcher: the thread and the tasks that send deliveries, for as long as an application
//! holds a [`Dispatcher`].
//!
//! In come the webhooks as `settings` keeps them, the entries of the log, and the requests of
//! administrators; out go HTTP requests. `queue` has what must outlive the process.
//!
//! ```text
//! Dispatcher          the handle that the application holds; dropping it stops everything below
//!  └─ Delivering      the loop of the thread `audit-webhooks`: once a second, it looks for changed
//!      │              webhooks, requests of administrators, and tasks that have ended
//!      ├─ Tasks       at most one for each webhook, which prepares itself first
//!      │   └─ DeliveryTask    (`task`) for each webhook: has the log read, makes deliveries,
//!      │       │              has attempts made, and notes their outcomes in its queue;
//!      │       │              `served` is what its parts share
//!      │       ├─ read        new entries and replays become deliveries and their bodies
//!      │       ├─ attempt     one request and its outcome; `send` is the HTTP part
//!      │       ├─ acks        deliveries that a receiver took but has not acknowledged
//!      │       ├─ count       how many entries a replay will send
//!      │       └─ reporter    entries about the webhook: `audit.delivery.*`
//!      ├─ Tidying     removes dead letters that have arrived since, once a minute
//!      └─ Presence    shows other processes who delivers, and which webhooks can't be served:
//!                     `state/dispatcher.json`
//! pulse               the thread `audit-pulse`: wakes the tasks when the log has grown
//! ```
//!
//! Invariants:
//!
//! - Of the processes that share a directory, one delivers: the process that holds `forward.lock`.
//!   The dispatchers of the others try to take the lock once a second.
//! - A webhook has one task at a time. When its settings change, the old task ends before a new one
//!   begins.
//! - Tasks share one thread, so none of them touches a disk there: `blocking` moves such work to a
//!   thread of its own. A slow disk or receiver holds up its own webhook only.
//! - Stopping takes a bounded time. An attempt that is cut off counts as not made.

pub(in crate::webhook) mod acks;
pub(in crate::webhook) mod attempt;
pub(in crate::webhook) mod blocking;
pub(in crate::webhook) mod count;
mod delivering;
mod dispatcher;
mod live_watch;
pub(in crate::webhook) mod presence;
pub(in crate::webhook) mod pulse;
pub(in crate::webhook) mod read;
mod read_times;
pub(in crate::webhook) mod reporter;
pub(in crate::webhook) mod send;
pub(in crate::webhook) mod served;
mod stop;
pub(in crate::webhook) mod task;
mod tasks;
mod tidying;

pub use self::dispatcher::Dispatcher;
use self::stop::Stop;
