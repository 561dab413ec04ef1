//! Audit trails for Rust applications.

#![allow(dead_code, unused_imports)] // while the rooms are being furnished

mod error;
mod export;
mod journal;
#[cfg(feature = "macros")]
mod macros;
mod query;
mod record;
mod store;

pub use error::{Error, Result};
pub use record::{Actor, Day, Outcome, Resource, SCHEMA_VERSION, Seq, Severity, Source, StreamId, Timestamp};
