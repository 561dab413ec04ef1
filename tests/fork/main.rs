//! A process with an open log forks.

#![cfg(all(feature = "macros", feature = "webhook"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/fork.rs"]
mod forking;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;

mod after_close;
mod child_lets_go;
mod child_outlives;
mod child_records;
mod child_without_a_stream;
mod dead_letters;
mod dispatcher;
mod receipts;
mod while_recording;
