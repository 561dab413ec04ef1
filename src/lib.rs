//! Audit trails for Rust applications.

#![allow(dead_code, unused_imports)] // while the rooms are being furnished

mod capture;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod error;
mod export;
mod journal;
mod log;
#[cfg(feature = "macros")]
mod macros;
mod query;
mod record;
#[cfg(feature = "server")]
mod server;
mod store;

pub use capture::{AuditLayer, Durable, NotDurable, Receipt, WhenFull};
pub use error::{Error, Result};
pub use log::{AuditLog, AuditLogBuilder};
pub use query::{AuditReader, Entry, Filter, Order, Page, PageStart, Problem as ReadProblem, Query, Scanned, Tail, TailStart};
pub use record::{Actor, Day, Outcome, Resource, SCHEMA_VERSION, Seq, Severity, Source, StreamId, Timestamp};
#[cfg(feature = "server")]
pub use server::{
    Access, Authorizer, Denied, NewToken, RouterOptions, Scope, ServeOptions, Server, TokenInfo, TokenStore, read_only_router,
};
pub use store::{Counters, Problem, Retention};

/// What the macros expand to. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use core::format_args;

    pub use tracing;
    #[cfg(feature = "macros")]
    pub use tracing_audit_macros::audit_impl;

    pub use crate::capture::{
        ActorParts, Argument, ContextParts, Fields, Mirror, OutcomeParts, ResourceParts, Site, Writer, debug, display, json, record,
    };
    pub use crate::record::Severity;
}
