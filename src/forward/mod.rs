//! Webhooks: tells other systems about the events they asked for.
//!
//! In come entries, read from the log behind its writer; out go signed requests that carry their
//! bytes as stored. What always holds:
//!
//! - The log is the queue. How far it was read for an endpoint, what was read and is not delivered
//!   yet, and the bounds of each batch outlive the process; so each entry arrives at least once, in
//!   spite of deaths and outages, and a retry has the same id and entries.
//! - No application thread waits for a receiver.
//! - Nothing is sent to an address that the endpoint's [`Egress`] does not allow, whatever the
//!   name, the spelling, the DNS, a redirect or the environment says.
//!
//! | file | from | to |
//! |---|---|---|
//! | `subscribe`, `administer`, `declare`, `manage`, `subscription`, `report` | settings | a prepared endpoint, and how it is doing |
//! | `forwarder` | subscriptions | a delivery for each, in one process of those that share the directory |
//! | `pulse`, `gather`, `replay` | the log, dead letters | parcels |
//! | `deliver`, `saves`, `queue`, `circuit`, `blocking` | parcels | attempts, as many at a time as the endpoint bears |
//! | `attempt`, `send`, `acks`, `outbox`, `dead_letter`, `history`, `tell` | an attempt | what became of it, kept: dead letters for 30 days |
//! | `format`, `sign` | entries | a request |
//! | `client`, `connect`, `egress`, `address`, `tls`, `headers`, `answer` | a request | an answer |
//! | `schedule` | an answer | what to do next |

mod acks;
mod address;
mod administer;
mod answer;
mod attempt;
mod blocking;
mod circuit;
mod client;
mod connect;
mod dead_letter;
mod declare;
mod deliver;
mod egress;
pub(crate) mod format;
mod forwarder;
mod gather;
mod headers;
mod history;
mod manage;
mod outbox;
mod pulse;
mod queue;
mod read;
#[cfg(test)]
mod receiver;
mod replay;
mod report;
mod saves;
mod schedule;
mod send;
pub(crate) mod sign;
mod subscribe;
mod subscription;
mod tell;
mod tls;

pub(crate) use answer::Outcome;
pub(crate) use client::{ClientOptions, EndpointClient};
pub use dead_letter::DeadLetter;
pub(crate) use egress::{Egress, Refused};
pub use forwarder::Forwarder;
pub(crate) use headers::CustomHeaders;
pub use history::DeliveryAttempt;
pub use outbox::Status as SubscriptionStatus;
pub use replay::Replay;
pub use report::SubscriptionReport;
pub(crate) use schedule::{Schedule, Verdict};
pub use subscription::{Batching, DeliveryOrder, Subscription};

// What the HTTP API administers them with.
#[cfg(feature = "server")]
pub(crate) use {
    administer::{Administrator, Refusal},
    dead_letter::letters,
    history::read as attempts,
    manage::{find, report, reports},
    subscription::OutsidePolicy,
};
