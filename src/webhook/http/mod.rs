//! The way to a receiver: a request is signed, sent where the egress lets it go, and answered.
//!
//! Whatever is asked for, each attempt ends within its time limit, follows no redirect, reads at
//! most 64 KiB of the answer, and connects to no address that the webhook's egress refuses. No
//! secret of the webhook is in what is kept of an answer.
//!
//! Why hyper, and not reqwest: reqwest asks no resolver for an address that stands in a URL, so the
//! egress would not see each connection. It hides whether a connection was a kept one, which a
//! receiver may have closed. And the feature by which it takes any TLS provider,
//! `rustls-no-provider`, makes each other client of the program panic that has none installed.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod client;
pub(super) mod connect;
pub(super) mod egress;
pub(super) mod headers;
pub(super) mod proxy;
#[cfg(test)]
pub(super) mod receiver;
pub(super) mod sign;
pub(super) mod tls;
