//! The way to a receiver: a request is signed, sent where the egress lets it go, and answered.
//!
//! Whatever is asked for, each attempt ends within its time limit, follows no redirect, reads at
//! most 64 KiB of the answer, and connects to no address that the webhook's egress refuses. Where a
//! proxy is named, each connection is one to the proxy. No secret of the webhook is in what is kept
//! of an answer.
//!
//! Why hyper, and not reqwest (read in its version 0.13.5): most of what is promised here could be
//! kept with reqwest as well. Its resolver hook, `redirect::Policy::none`, `no_proxy`, `no_gzip` and
//! its time limits do the same; an address in a URL, of which the hook is not told, is checked
//! before each attempt in any case; and a `connector_layer` sees whether an attempt opens a
//! connection. Two things could not be kept:
//!
//! - Linking this crate changes nothing in a program's other crates. A TLS configuration of ours
//!   needs reqwest's feature `rustls-no-provider`, which holds for the whole program: where another
//!   crate uses reqwest without TLS, `Client::new()` then panics, because the default backend has
//!   become rustls and no provider is installed. The feature `rustls` installs one, and builds
//!   aws-lc for that.
//! - An attempt that a proxy refuses says why. reqwest leaves `CONNECT` to hyper-util's `Tunnel`,
//!   whose error has the status only if that is 407; 403 and 502 both are "unsuccessful".
//!
//! reqwest would save little: it is the same hyper client, and what makes up this room (the egress,
//! the connector that asks it, signatures, the texts of failures) would stay.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod client;
pub(super) mod connect;
pub(super) mod egress;
pub(super) mod headers;
pub(super) mod look_up;
pub(super) mod proxy;
#[cfg(test)]
pub(super) mod receiver;
pub(super) mod sign;
pub(super) mod tls;
