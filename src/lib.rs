//! Audit trails for Rust applications.

#![allow(dead_code, unused_imports)] // while the rooms are being furnished

mod error;
mod export;
mod journal;
mod query;
mod record;
mod store;

pub use error::{Error, Result};
pub use query::{AuditReader, Entry, Filter, Order, Page, PageStart, Problem, Query, Scanned, Tail, TailStart};
pub use record::{Day, Seq, Source, StreamId, Timestamp};
