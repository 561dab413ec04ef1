//! A directory that an earlier version wrote is opened, and nothing in it is lost.
//!
//! `tests/fixtures/format_1` holds the directory as an archive, and `contents.json`, which says
//! what has to be in it; its `README.md` says how both came to be. `generate` makes them anew.

#![cfg(all(feature = "macros", feature = "server", feature = "webhook-tls"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/http.rs"]
mod http;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;

mod fixture;
mod generate;
mod it_delivers;
mod it_is_read;
