//! The `tracing-audit` program, as a shell sees it.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

mod agrees;
mod cli;
#[path = "../../../tests/support/fork.rs"]
mod forking;
#[path = "../../../tests/support/receiver.rs"]
mod receiver;
#[path = "../../../tests/support/mod.rs"]
mod support;
#[path = "../../../tests/support/user.rs"]
mod user;

mod another_user_runs_commands;
mod commands;
mod demo;
mod described;
mod documents;
mod errors;
mod exports;
mod filters;
mod followed_through_kills;
mod keep;
mod query;
mod serving;
mod shell;
mod stats;
mod tail;
mod tokens;
mod verify;
mod webhook_secrets;
mod webhooks;
