//! Audit trails for Rust applications: annotate the code with [`audit!`], and get a log of who did
//! what to which thing, with what outcome, that survives a crash and that anyone can read, search
//! and download by date.
//!
//! ```
//! use tracing_audit::{Actor, AuditLog, Outcome, Retention, audit};
//! use tracing_subscriber::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let log = AuditLog::builder(dir).source("billing").retention(Retention::days(90)).open()?;
//! let subscriber = tracing_subscriber::registry().with(log.layer());
//! # let _default = tracing::subscriber::set_default(subscriber);
//!
//! audit!(
//!     "auth.login.success",
//!     actor.id = "user-456",
//!     ip_address = "192.0.2.50",
//!     "User {} logged in", "ann"
//! );
//! audit!(
//!     "user.updated",
//!     actor = Actor::user("user-456").name("ann@example.com"),
//!     resource.type = "user",
//!     resource.id = 7,
//!     severity = warning,
//!     outcome = Outcome::failure("authorization", "role admin required"),
//!     changed_fields = ["role"],
//!     "Role not changed"
//! );
//! // Fail closed: only go on once the event is on stable storage.
//! audit!("payment.approved", amount = 100).wait()?;
//!
//! log.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Annotating an application
//!
//! ```
//! use tracing_audit::{Actor, AuditEvent, Outcome, audit, audit_context, audited, hashed, mask};
//! # use serde::Serialize;
//! # use tracing_subscriber::prelude::*;
//! # #[derive(Serialize)] struct Role { role: &'static str }
//! # struct User { id: u64, name: &'static str, email: &'static str }
//! # struct Vault { name: String }
//! # use std::fmt;
//! # #[derive(Debug)] struct Refused;
//! # impl fmt::Display for Refused {
//! #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("refused") }
//! # }
//! # impl std::error::Error for Refused {}
//!
//! // A function's start, success or failure, with the error and the duration.
//! #[audited("rotation", actor.id = user.id, resource.type = "vault", resource.id = vault.name)]
//! fn rotate(user: &User, vault: Vault) -> Result<(), Refused> {
//!     // …
//!     # drop(vault);
//!     # Err(Refused)
//! }
//!
//! // An event as a type.
//! #[derive(AuditEvent)]
//! #[audit("discovery.scan.completed", description = "Discovery scan completed")]
//! struct ScanCompleted<'a> {
//!     mode: &'a str,
//!     duration_seconds: u64,
//!     #[audit(actor)]
//!     by: Actor,
//!     #[audit(mask = 5)]
//!     token: &'a str,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let log = tracing_audit::AuditLog::builder(dir.path());
//! # let log = log.lifecycle(false).source("docs").open()?;
//! # let subscriber = tracing_subscriber::registry().with(log.layer());
//! # let _default = tracing::subscriber::set_default(subscriber);
//! # let admin = User { id: 7, name: "Ann", email: "ann@example.com" };
//! # let ip = std::net::Ipv4Addr::LOCALHOST;
//! # let token = "abcdefghijklmnop";
//! # let before = Role { role: "user" };
//! # let after = Role { role: "admin" };
//! // Context that events inherit, whatever filters do to spans.
//! audit_context! { tenant_id = "acme", ip_address = %ip }.run(|| {
//!     audit!(
//!         "user.updated",
//!         actor = Actor::user("user-456").name(admin.email), // a whole part at once …
//!         resource.type = "user",
//!         resource.id = admin.id,                            // … or field by field
//!         resource.prior_attributes = before,                // any Serialize
//!         resource.attributes = after,
//!         severity = warning,
//!         outcome = Outcome::failure("authorization", "not yours"),
//!         changed_fields = ["role"],                         // any other name lands in details
//!         token = mask(token, 5),                            // "abcde…"
//!         email = hashed(admin.email),                       // a keyed hash, to search by
//!         "Role of {} changed", admin.name
//!     );
//! });
//! audit!(ScanCompleted {
//!     mode: "full",
//!     duration_seconds: 45,
//!     by: Actor::service("nightly"),
//!     token,
//! });
//! let _ = rotate(&admin, Vault { name: "db".into() });
//! # log.close()?;
//! # let mut records = Vec::new();
//! # for dir in ["live", "sealed"] {
//! #     for file in std::fs::read_dir(log.dir().join(dir))? {
//! #         for line in std::fs::read_to_string(file?.path())?.lines() {
//! #             records.push(serde_json::from_str::<serde_json::Value>(line)?)
//! #         }
//! #     }
//! # }
//! # let (updated, scan, failed) = (&records[0], &records[1], &records[3]);
//! # assert_eq!(updated["tenant_id"], "acme");
//! # assert_eq!(updated["ip_address"], "127.0.0.1");
//! # assert_eq!(updated["description"], "Role of Ann changed");
//! # assert_eq!(updated["resource"]["prior_attributes"]["role"], "user");
//! # assert_eq!(updated["details"]["token"], "abcde…");
//! # let email = updated["details"]["email"].as_str().unwrap_or_default();
//! # assert!(email.starts_with("hmac-sha256:k1:"));
//! # assert_eq!(scan["details"]["token"], "abcde…");
//! # assert_eq!(scan["actor"]["id"], "nightly");
//! # assert_eq!(failed["event_type"], "rotation.failed");
//! # assert_eq!(failed["outcome"]["error"], "refused");
//! # assert!(failed["details"]["duration_ms"].is_u64());
//! # Ok(())
//! # }
//! ```
//!
//! An application learns once per request or job who acts, and from where. An [`AuditContext`]
//! carries that into every event; the guide has [recipes](guide/context/index.html) for HTTP
//! services, jobs and other threads.
//!
//! Fields are checked while compiling, with errors that say what to write instead. [`catalogue()`]
//! lists all event types of a program.
//!
//! # What it promises
//!
//! | | the process is killed | power is lost |
//! |---|---|---|
//! | `audit!` has returned | the event is kept | kept, after the next background sync (1 s by default) |
//! | [`Receipt::durable`] has returned `Ok` | kept | kept |
//!
//! Each event is in the log exactly once, numbered in its stream without a gap. No log filter can
//! lose an event. On a full disk, events wait in the journal; when that is full too, callers wait
//! (an application can choose to drop events instead, and then the log says how many). Nothing is
//! deleted before its retention. A process that forks
//! [loses nothing either](AuditLog#in-a-process-that-forks). The log says when it was open, and
//! which process [ended without closing it](AuditLogBuilder::lifecycle).
//!
//! # The API on one page
//!
//! | to | see |
//! |---|---|
//! | open a log | [`AuditLog::builder`], [`AuditLogBuilder`], [`Retention`] |
//! | connect it with `tracing` | [`AuditLog::layer`], [`AuditLog::set_global`] |
//! | report events | [`audit!`], [`#[audited]`](macro@audited), [`#[derive(AuditEvent)]`](derive@AuditEvent) |
//! | say who, what, how it ended | [`Actor`], [`Resource`], [`Outcome`], [`Severity`] |
//! | say it once for many events | [`AuditContext`], [`audit_context!`]; for HTTP services `tower` |
//! | keep secrets out | [`mask`], [`hashed`], [`unredacted`], [`redact`] |
//! | wait until an event is durable | [`Receipt::wait`], [`Receipt::durable`], [`AuditLog::flush`] |
//! | read | [`AuditLog::reader`] or [`AuditReader::open`], with a [`Filter`] or a [`Query`]; answers in [`reader`] |
//! | parse a line | [`Entry`] |
//! | keep entries longer, or remove them | [`AuditLog::holds`], [`AuditLog::prune_by`], [`retention`] |
//! | watch the log | [`AuditLog::health`], [`AuditLogBuilder::on_problem`], [`AuditLog::counters`], [`health`] |
//! | serve it over HTTP | `AuditLog::router`, `AuditLog::tokens`, `http` |
//! | notify other systems | `AuditLog::webhooks`, `webhook` |
//! | list the event types | [`catalogue()`], [`AuditReader::catalogue`], [`mod@catalogue`] |
//! | test an application's events | [`AuditLog::for_tests`], [`testing`] |
//!
//! # How it works
//!
//! `audit!` renders one line of JSON on the caller's thread and puts it into the journal, a mapped
//! file, without a lock, a system call or an allocation. A writer thread numbers the lines, appends
//! them to a plain live file and syncs it; a sealer thread compresses finished files to `.jsonl.gz`
//! with an index, reads them back, and only then removes the plain ones. The files are the
//! database: [`AuditReader`] finds entries in them, and the `server` feature serves them over HTTP.
//!
//! # The guide
//!
//! [Setting up](guide::set_up) · [context](guide/context/index.html) ·
//! [redaction](guide::redaction) · [failing closed](guide/fail_closed/index.html) · [shutting
//! down](guide::shutdown) · [testing](guide::testing) · [exports](guide/exports/index.html) ·
//! [migrating from `tracing-appender`](guide::migrating)
//!
//! # What it is not
//!
//! This crate does not ship logs elsewhere (but its files are made for shippers), it does not
//! sample, and it isn't meant for debug output. It runs on Unix only.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `macros` | yes | [`audit!`], [`#[audited]`](macro@audited), [`#[derive(AuditEvent)]`](derive@AuditEvent) |
//! | `tower` | no | `tower`: layers that fill the context of events from HTTP requests |
//! | `opentelemetry` | no | trace and span ids from `tracing-opentelemetry` |
//! | `webhook` | no | [webhooks](webhook): `AuditLog::webhooks`; TLS with the `rustls` provider that the program has installed |
//! | `webhook-tls` | no | `webhook`, with a provider of its own: `ring`, which it switches on in `rustls` |
//! | `export` | no | [`AuditReader::export`]: a part of the log as one file: ZIP, gzip, lines, JSON or CSV |
//! | `pdf` | no | `export`, also as PDF, for people; with fonts of 200 kB |
//! | `server` | no | `http`: the HTTP API as an axum router, or as a server |
//! | `console` | no | the web console, from the same router: the log in a browser |
//!
//! The `tracing-audit` program is a package of its own, `tracing-audit-cli`.

// Each item's page on docs.rs names the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "macros")]
mod attributes;
mod capture;
mod contain;
mod entry;
mod error;
#[cfg(any(feature = "export", test))]
mod export;
pub mod guide;
mod journal;
mod log;
#[cfg(feature = "macros")]
mod macros;
mod query;
pub mod reader;
#[cfg(feature = "server")]
mod server;
mod store;
pub mod testing;
mod verify;
#[cfg(feature = "webhook")]
pub mod webhook;
#[cfg(not(feature = "webhook"))]
mod webhook;

#[cfg(feature = "macros")]
pub use attributes::{AuditEvent, audited};
pub use capture::{
    AuditContext, AuditEvent, AuditFilter, AuditLayer, InAuditContext, NotDurable, Receipt,
    WhenFull, catalogue, hashed, mask, unredacted,
};
pub use entry::render::Recordable;
pub use entry::{
    Actor, Day, Entry, EventType, HashKey, Outcome, Resource, SCHEMA_VERSION, Seq, Severity,
    Source, StreamId, Timestamp,
};
pub use error::{Error, Result};
pub use log::{AuditLog, AuditLogBuilder};
pub use query::{AuditReader, Filter, Query, RawEntry};
pub use store::{Permissions, Retention};

/// The event types of a program: their fields, their JSON Schema, and whether a change breaks those
/// who read them.
///
/// [`catalogue()`] lists the event types of this program, [`AuditReader::catalogue`] those of the
/// programs that wrote a log.
pub mod catalogue {
    pub use crate::entry::{Catalogue, CatalogueEntry, FieldKind, Location, SecretForm};
}

/// Futures that other items return.
pub mod future {
    pub use crate::capture::{Durable, Scoped};
}

/// The health of a log: problems, counters, and the actions when room runs out.
///
/// [`AuditLog::health`] says whether a log takes events, [`AuditLogBuilder::on_problem`] reports
/// each problem when it begins and when it ends, [`AuditLog::counters`] is for metrics.
pub mod health {
    pub use crate::{
        capture::events_without_log,
        log::HealthReport,
        store::{Counters, Problem, SpaceAction, Watermarks},
    };
}

/// The HTTP API: a router for an application's own server, or a server; tokens and access.
///
/// [`AuditLog::router`] makes the router, [`Server`](http::Server) serves it alone, and
/// [`AuditLog::tokens`] says who may use it.
#[cfg(feature = "server")]
pub mod http {
    pub use crate::server::{
        Access, Authorizer, Denied, NewToken, RouterOptions, Scope, ServeOptions, Server,
        TokenInfo, Tokens, read_only_router,
    };
}

/// Types that keep secrets out of the log.
///
/// [`mask`], [`hashed`] and [`unredacted`] wrap a value where an event is reported.
/// [`Secret`](redact::Secret) is for a field of a struct. [The guide](guide::redaction) has a
/// chapter about them.
pub mod redact {
    pub use crate::{
        capture::{Hashed, Masked, Redactable, Secret, Unredacted},
        entry::DENIED_FIELDS,
    };
}

/// The time that entries stay: holds, pruning, and the recovery of what dead processes left.
///
/// [`Retention`] is the rule, given to [`AuditLogBuilder::retention`]. A [`Hold`](retention::Hold)
/// exempts a range of time.
pub mod retention {
    pub use crate::{
        log::Holds,
        store::{ClockWait, Hold, PruneReason, Pruned, PrunedFile, RecoveredStream},
    };
}

/// Layers for HTTP services of `tower`, such as axum's: the context of events comes from the
/// request.
///
/// These are layers of `tower`, around a service. [`AuditLayer`] is a layer of `tracing`, in a
/// subscriber.
#[cfg(feature = "tower")]
pub mod tower {
    pub use crate::capture::{
        RequestContextLayer, RequestContextService, RequestId, RequestUpdateLayer,
        RequestUpdateService,
    };
}

/// The runtime of the macros. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use linkme;

    #[cfg(feature = "macros")]
    pub use tracing_audit_macros::{audit_context_impl, audit_impl};

    #[cfg(feature = "macros")]
    pub use crate::__register as register;

    pub use crate::capture::audited::*;
    pub use crate::capture::{
        ClearDebug, ClearDisplay, ClearJson, Denied, Hidden, Redacted, SITES, Shown, Site,
        given_event_type, given_severity, record, record_dynamic, redact, site_of, whole_actor,
        whole_outcome, whole_resource,
    };
    pub use crate::entry::{
        Severity,
        render::{
            ActorParts, Argument, AsDebug, AsDisplay, ContextParts, Object, Parts, Writer, debug,
            display, json, literal,
        },
    };
    pub use tracing_audit_schema::Slot;
}
