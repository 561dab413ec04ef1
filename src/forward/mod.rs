//! Webhooks: what leaves this machine, where it may go, and when it is tried again.
//!
//! In come the bytes of one delivery and the address of an endpoint; out go an [`Answer`] and, from it, a [`Verdict`].
//! Nothing is ever sent to an address that the endpoint's [`Egress`] does not allow, whatever the name, the spelling, the DNS, a
//! redirect or the environment says.

mod address;
mod answer;
mod client;
mod connect;
mod egress;
mod headers;
#[cfg(test)]
mod receiver;
mod schedule;
mod tls;

pub(crate) use answer::{Answer, Failure, FailureKind, Outcome};
pub(crate) use client::{ClientOptions, EndpointClient};
pub(crate) use egress::{Egress, Refused};
pub(crate) use headers::CustomHeaders;
pub(crate) use schedule::{Schedule, Verdict};
