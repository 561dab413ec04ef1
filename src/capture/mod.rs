//! From a call of `audit!` to a frame in the journal, on the caller's thread.
//!
//! In comes a call site with its arguments; out goes one rendered entry, without its `stream` and
//! `seq`. The way of a call:
//!
//! | file | does |
//! |---|---|
//! | `site` | what is known of the call while compiling |
//! | `current_log` | finds the log that takes the event here, and gathers what the event inherits |
//! | `take` | renders the event in a buffer of the thread, and pushes it into the journal |
//! | `emit` | has these three do their work, and the mirror |
//! | `mirror` | sends the event to the other layers |
//!
//! An ordinary event of `tracing` comes to `layer`, is read by `plain`, and goes on with `take`. No
//! file of these uses one that uses it; only `scope` and `scoped` name each other, because a
//! context makes a future that runs in it.
//!
//! Always true:
//!
//! - No filter has a say. [`record`] finds the [`AuditLayer`] in the current dispatcher and hands
//!   it the event itself; only without one does it turn to the process-wide log, and only without
//!   either does it depend on the event that it sends through `tracing`.
//! - After the first call on a thread nothing is allocated, no lock is shared between threads and
//!   no system call is made (the clock is read through the vDSO). The exceptions are a full
//!   journal, an entry that is too long, and the first event after a pause of a tenth of a second,
//!   which wakes the writer with one system call.
//! - An event of a call site is recorded once by each log, though its mirror passes through
//!   `tracing` as well.

pub(crate) mod audited;
mod current_log;
mod emit;
mod ending;
mod event;
#[cfg(any(feature = "server", feature = "tower"))]
mod forwarded;
mod hash;
mod in_force;
mod intake;
mod layer;
mod mirror;
mod nowhere;
mod of_span;
mod once;
#[cfg(feature = "opentelemetry")]
mod otel;
mod plain;
mod plain_events;
#[cfg(any(feature = "server", feature = "tower"))]
mod proxies;
mod receipt;
mod redact;
#[cfg(feature = "tower")]
mod request;
mod scope;
mod scoped;
mod shorten;
mod site;
mod span_names;
mod take;
#[cfg(feature = "tower")]
mod update_layer;
mod whole;

pub(crate) use current_log::{names_of_log, set_global};
pub use emit::{record, record_dynamic};
pub use event::AuditEvent;
pub(crate) use hash::CurrentKey;
pub use intake::WhenFull;
pub(crate) use intake::{Intake, Journal, Journals};
pub use layer::{AuditFilter, AuditLayer};
pub use nowhere::events_without_log;
pub(crate) use plain_events::PlainEvents;
#[cfg(feature = "server")]
pub(crate) use proxies::Proxies;
pub(crate) use receipt::NotTaken;
pub use receipt::{Durable, NotDurable, Receipt};
pub use redact::{
    ClearDebug, ClearDisplay, ClearJson, Denied, Hashed, Hidden, Masked, Redactable, Redacted,
    Secret, Shown, Unredacted, hashed, mask, redact, unredacted,
};
#[cfg(feature = "tower")]
pub use request::{RequestContextLayer, RequestContextService, RequestId};
pub use scope::AuditContext;
pub use scoped::{InAuditContext, Scoped};
pub(crate) use site::catalogue_of_log;
pub use site::{SITES, Site, catalogue, site_of};
pub(crate) use span_names::SpanNames;
#[cfg(feature = "tower")]
pub use update_layer::{RequestUpdateLayer, RequestUpdateService};
pub use whole::{given_event_type, given_severity, whole_actor, whole_outcome, whole_resource};
