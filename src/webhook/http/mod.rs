//! The way to a receiver: a request is signed, sent where the egress lets it go, and answered.
//!
//! Whatever is asked for, each attempt ends within its time limit, follows no redirect, reads at
//! most 64 KiB of the answer, and connects to no address that the webhook's egress refuses. No
//! secret of the webhook is in what is kept of an answer.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod client;
pub(super) mod connect;
pub(super) mod egress;
pub(super) mod headers;
#[cfg(test)]
pub(super) mod receiver;
pub(super) mod sign;
pub(super) mod tls;
