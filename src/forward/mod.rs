//! Webhooks: tells other systems about the events they asked for.
//!
//! In come entries, read from the log behind its writer; out go signed requests that carry their bytes as stored. What always holds:
//!
//! - The log is the queue. How far it was read for an endpoint, and what was read and is not delivered yet, is durable before anything
//!   is sent; so each entry arrives at least once, in spite of deaths and outages, and a retry has the same id and entries.
//! - No application thread waits for a receiver.
//! - Nothing is sent to an address that the endpoint's [`Egress`] does not allow, whatever the name, the spelling, the DNS, a redirect or
//!   the environment says.
//!
//! | file | from | to |
//! |---|---|---|
//! | `subscription` | settings | a prepared endpoint |
//! | `forwarder` | subscriptions | a delivery for each, in one process of those that share the directory |
//! | `deliver`, `outbox`, `dead_letter` | the log | parcels, attempts, what became of them |
//! | `format`, `sign` | entries | a request |
//! | `client`, `connect`, `egress`, `address`, `tls`, `headers`, `answer` | a request | an answer |
//! | `schedule` | an answer | what to do next |

mod address;
mod answer;
mod client;
mod connect;
mod dead_letter;
mod deliver;
mod egress;
pub(crate) mod format;
mod forwarder;
mod headers;
mod outbox;
#[cfg(test)]
mod receiver;
mod schedule;
pub(crate) mod sign;
mod subscription;
mod tls;

pub(crate) use answer::Outcome;
pub(crate) use client::{ClientOptions, EndpointClient};
pub(crate) use egress::{Egress, Refused};
pub use forwarder::Forwarder;
#[cfg(feature = "cli")]
pub(crate) use forwarder::{dead_letters, subscriptions};
pub(crate) use headers::CustomHeaders;
pub use outbox::Status as SubscriptionStatus;
pub(crate) use schedule::{Schedule, Verdict};
pub use subscription::{Batching, DeliveryOrder, Subscription};
