//! One entry as it is stored.

use std::{borrow::Cow, sync::OnceLock};

use serde::{Serialize, Serializer, de::DeserializeOwned};

use super::order::Key;
use crate::{
    entry::{
        Seq, Timestamp,
        json::Json,
        scan::{self, Fields, details_path, unescape},
    },
    error::{Error, Result},
};

/// One entry as it is stored: the bytes of its line, and its fields read on demand, as texts.
///
/// Cheap to make, and as long as its line. [`parse`](Self::parse) makes an [`Entry`](crate::Entry),
/// whose fields have types. A `RawEntry` serializes as the JSON object that it is, its fields in
/// the order in which they are stored.
///
/// ```
/// # use tracing_audit::{AuditLog, AuditReader, Query, audit};
/// # let log = AuditLog::for_tests();
/// # log.run(|| audit!(
/// #     "role.changed", actor.id = "ann", resource.type = "user", resource.id = 7, role = "admin"
/// # ));
/// # log.flush()?;
/// # let entry = AuditReader::open(log.dir())?.page(&Query::default())?.entries.remove(0);
/// assert_eq!((entry.actor_type(), entry.actor_id()), ("user".into(), "ann".into()));
/// println!("{} {} {}", entry.timestamp(), entry.event_type(), entry.resource_id());
///
/// // All fields, with their types:
/// let parsed: tracing_audit::Entry = entry.parse()?;
/// assert_eq!((parsed.seq, &parsed.details["role"]), (entry.seq(), &"admin".into()));
///
/// // A line of a file, as others read it:
/// let same = tracing_audit::RawEntry::from_line(entry.line()).expect("it is a line of a log");
/// assert_eq!((same.id(), same.seq()), (entry.id(), entry.seq()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RawEntry {
    key: Key,
    seq: Seq,
    line: Box<[u8]>,
    /// Where the fields are; found when one is asked for, because most entries are only passed on.
    scanned: OnceLock<Box<scan::Scanned>>,
}

impl RawEntry {
    pub(super) fn new(fields: &Fields<'_>, line: &[u8]) -> Self {
        Self {
            key: Key::of(fields),
            seq: Seq(fields.seq),
            line: line.into(),
            scanned: OnceLock::new(),
        }
    }

    /// Reads one line, given without its LF. `None` if the line isn't an entry.
    pub fn from_line(line: &[u8]) -> Option<Self> {
        let fields = scan::scan(line)?;
        u32::try_from(line.len()).ok()?;
        Some(Self::new(&fields, line))
    }

    /// The line as stored, without its LF.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The line as stored, without its LF.
    pub fn into_line(self) -> Vec<u8> {
        self.line.into()
    }

    /// The entry's id, a UUIDv7 as text.
    pub fn id(&self) -> &str {
        str::from_utf8(&self.key.id).unwrap_or_default()
    }

    /// The time at which the event was reported.
    pub fn timestamp(&self) -> Timestamp {
        self.fields().timestamp
    }

    /// The number of the entry in its stream.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Parses the whole line: into an [`Entry`](crate::Entry), a `serde_json::Value`, or a type of
    /// the application's own.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the line isn't JSON, or doesn't fit the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.line)
            .map_err(|e| Error::invalid("entry", format!("{}: {e}", self.id())))
    }

    /// The way the event came: `tracing` for an ordinary event of `tracing` with the target
    /// `audit`, which any crate in the program can write; empty for an event of `audit!` and for
    /// the log's own.
    pub fn captured(&self) -> Cow<'_, str> {
        self.of_context("captured")
    }

    /// The module that wrote an ordinary event of `tracing`; or empty.
    pub fn module(&self) -> Cow<'_, str> {
        self.of_context("module")
    }

    /// The id of the trace, or empty.
    #[cfg(feature = "console")]
    pub(crate) fn trace_id(&self) -> Cow<'_, str> {
        self.of_context("trace_id")
    }

    fn of_context(&self, name: &str) -> Cow<'_, str> {
        let value = details_path(self.fields().context, name);
        let text = value.and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        unescape(text.unwrap_or_default())
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        let scan = || {
            let scanned = scan::Scanned::of(&self.line);
            Box::new(scanned.expect("an entry is made only of a line that was scanned"))
        };
        self.scanned.get_or_init(scan).fields(&self.line)
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// The cursor of the pages before or after the entry.
    #[cfg(feature = "console")]
    pub(crate) fn cursor(&self) -> String {
        self.key.to_string()
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $field:ident,)+) => {
        impl RawEntry {
            $($(#[$doc])* pub fn $name(&self) -> Cow<'_, str> {
                unescape(self.fields().$field)
            })+
        }
    };
}

// A field that the line doesn't have is empty.
texts! {
    /// The stream that has the entry, such as `billing-7f3a9c01b2d4`.
    stream: stream,
    /// The event type.
    event_type: event_type,
    /// The severity: `info`, `warning`, `error` or `critical`.
    severity: severity,
    /// The program that reported the event.
    source: source,
    /// The tenant's id, or empty.
    tenant_id: tenant_id,
    /// The actor's type, such as `user` or `unknown`, or empty.
    actor_type: actor_type,
    /// The actor's id, or empty.
    actor_id: actor_id,
    /// The actor's name, or empty.
    actor_name: actor_name,
    /// The resource's type, or empty.
    resource_type: resource_type,
    /// The resource's id, or empty.
    resource_id: resource_id,
    /// The resource's name, or empty.
    resource_name: resource_name,
    /// `success`, `failure`, `unknown`, or empty.
    outcome: outcome_type,
    /// The description, or empty.
    description: description,
    /// The client's address, or empty.
    ip_address: ip_address,
    /// The session's id, or empty.
    session_id: session_id,
    /// The request's id, or empty.
    request_id: request_id,
}

impl Serialize for RawEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<Json>(&self.line) {
            Ok(entry) => entry.serialize(serializer),
            // A line that the scan takes and a parser refuses was damaged before it was stored:
            // shown as text, so the rest can be shown.
            Err(_) => String::from_utf8_lossy(&self.line).serialize(serializer),
        }
    }
}
