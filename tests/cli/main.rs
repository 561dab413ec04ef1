//! The `tracing-audit` program, as a shell sees it.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/cli.rs"]
mod cli;
#[path = "../support/fork.rs"]
mod forking;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/user.rs"]
mod user;

mod another_user_runs_commands;
mod commands;
mod webhooks;
