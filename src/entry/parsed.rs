//! An entry as a value: every field parsed, for programs that read the log's lines.
//!
//! In comes the JSON of a line, out goes an [`Entry`]. Always true: the lines of a log parse,
//! also those that an older or a newer version wrote, because fields that this version doesn't know
//! are kept as they are.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{EventType, Seq, Severity, Source, StreamId, Timestamp};
use crate::error::Error;

/// An entry of the log, parsed: one line of a file, one item of the HTTP API.
///
/// Parse a line with [`str::parse`], [`Entry::from_slice`] or serde, or an entry that a reader
/// found with [`RawEntry::parse`](crate::RawEntry::parse). Serialized again, an entry has the same
/// fields in the same order; the members of `details` and of attributes come in the order of their
/// names. [`RawEntry::line`](crate::RawEntry::line) has the very bytes.
///
/// ```
/// use tracing_audit::{Entry, Seq, Severity};
///
/// let line = r#"{"stream":"billing-7f3a9c01b2d4","seq":1042,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
///     "timestamp":"2025-01-15T10:30:00.123456Z","schema_version":"1.0",
///     "event_type":"user.updated","category":"user","action":"updated","severity":"warning",
///     "source":"billing","actor":{"type":"user","id":"ann"},"resource":{"type":"user","id":"7"},
///     "outcome":{"type":"failure","reason":"authorization"},"details":{"changed":["role"]}}"#;
///
/// let entry: Entry = line.parse()?;
/// assert_eq!((entry.seq, entry.severity), (Seq(1042), Severity::Warning));
/// assert_eq!(entry.event_type, "user.updated");
/// assert_eq!(entry.actor.id.as_deref(), Some("ann"));
/// assert_eq!(entry.details["changed"][0], "role");
/// assert!(entry.outcome.is_some_and(|outcome| outcome.is_failure()));
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// The stream that has the entry: one writer's.
    pub stream: StreamId,
    /// The number of the entry in its stream.
    pub seq: Seq,
    /// The entry's id, a UUIDv7, made when the event was reported.
    pub id: Uuid,
    /// The time at which the event was reported.
    pub timestamp: Timestamp,
    /// The version of the form that the entry has: [`SCHEMA_VERSION`](crate::SCHEMA_VERSION) of the
    /// crate that wrote it.
    pub schema_version: String,
    /// The kind of event.
    pub event_type: EventType,
    /// The subject area; the event type's first segment unless the event says otherwise.
    pub category: String,
    /// The kind of action; the event type's last segment unless the event says otherwise.
    pub action: String,
    /// The severity of the event.
    pub severity: Severity,
    /// The program that reported the event.
    pub source: Source,
    /// The tenant, if the event has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The one who acted.
    #[serde(default)]
    pub actor: EntryActor,
    /// The thing that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<EntryResource>,
    /// The outcome. An entry without one counts as a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<EntryOutcome>,
    /// The message, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The event's own fields.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// The tags: texts, unless the application gave other values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Value>,
    /// The client's address, usually; an application may write another text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The client's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The request, session or trace that the event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<EntryContext>,
    /// The paths of values that were cut because the entry was too long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The one who acted, in an [`Entry`]. [`Actor`](crate::Actor) is what an event is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryActor {
    /// `user`, `service`, `system`, `api_key`, `anonymous`, a word of the application's own, or
    /// `unknown` where nothing named the actor.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The actor's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The actor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More about the actor.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Parts that this version doesn't know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The thing that was acted on, in an [`Entry`]. [`Resource`](crate::Resource) is what an event is
/// given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryResource {
    /// The kind of thing.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The thing's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The thing's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The state after the event, or more about the thing.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// The state before the event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub prior_attributes: Map<String, Value>,
    /// Parts that this version doesn't know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The outcome, in an [`Entry`]. [`Outcome`](crate::Outcome) is what an event is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryOutcome {
    /// `success`, `failure` or `unknown`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The reason of a failure: `authentication`, `authorization`, `validation`, `unknown`, or a
    /// word of the application's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Parts that this version doesn't know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl EntryOutcome {
    /// Whether the action failed.
    pub fn is_failure(&self) -> bool {
        self.kind.as_deref() == Some("failure")
    }
}

/// The request, session or trace that an event belongs to, in an [`Entry`].
/// [`AuditContext`](crate::AuditContext) is what events inherit it from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryContext {
    /// `tracing` for an ordinary event of `tracing`; absent for an event of `audit!`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// The module that wrote an ordinary event of `tracing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The deployment, such as `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The protocol of the request, such as `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The host that the request was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The OpenTelemetry trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The OpenTelemetry span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Parts that this version doesn't know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Entry {
    /// Parses one line of a log's file, with or without its line end.
    ///
    /// ```no_run
    /// use std::io::{BufRead as _, BufReader};
    /// use tracing_audit::Entry;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let file = std::fs::File::open("export.ndjson")?;
    /// for line in BufReader::new(file).split(b'\n') {
    ///     let entry = Entry::from_slice(&line?)?;
    ///     println!("{} {}", entry.timestamp, entry.event_type);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the line isn't an entry; the message says which field is wrong, and at
    /// which column.
    pub fn from_slice(line: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(line)
            .map_err(|error| Error::invalid("entry", format!("the line isn't an entry: {error}")))
    }
}

impl FromStr for Entry {
    type Err = Error;

    /// As [`from_slice`](Self::from_slice).
    fn from_str(line: &str) -> Result<Self, Error> {
        Self::from_slice(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing_audit_schema::{Field, fields, fields::Kind};

    use super::*;

    /// A value for each field of the schema.
    fn full(fields: &[Field]) -> Map<String, Value> {
        let value = |field: &Field| match (field.path, field.kind) {
            ("stream", _) => json!("billing-7f3a9c01b2d4"),
            ("id", _) => json!("0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11"),
            ("timestamp", _) => json!("2025-01-15T10:30:00.123456Z"),
            ("event_type", _) => json!("user.updated"),
            ("severity", _) => json!("warning"),
            (_, Kind::Text) => json!(field.name),
            (_, Kind::Number) => json!(7),
            (_, Kind::List) => json!([field.name]),
            (_, Kind::Map) => json!({"a": [1, null], "b": {"c": 0.5}}),
            (_, Kind::Object) => Value::Object(full(field.parts)),
        };
        fields
            .iter()
            .map(|field| (field.name.to_owned(), value(field)))
            .collect()
    }

    #[test]
    fn each_field_of_the_schema_has_a_place_and_its_order() {
        let all = Value::Object(full(&fields::FIELDS));
        let entry: Entry = serde_json::from_value(all.clone()).unwrap();
        assert!(entry.other.is_empty(), "{:?}", entry.other);
        assert!(entry.actor.other.is_empty() && entry.context.as_ref().unwrap().other.is_empty());
        assert!(entry.resource.as_ref().unwrap().other.is_empty());
        assert!(entry.outcome.as_ref().unwrap().other.is_empty());
        assert_eq!(serde_json::to_value(&entry).unwrap(), all);
        let text = serde_json::to_string(&entry).unwrap();
        let mut at = 0;
        for field in &fields::FIELDS {
            let key = format!("\"{}\":", field.name);
            let found = text[at..].find(&key);
            at += found.unwrap_or_else(|| panic!("{key} is not in its place in {text}"));
        }
    }

    #[test]
    fn a_field_of_a_newer_version_is_kept() {
        let mut all = full(&fields::FIELDS);
        all.insert("proof".to_owned(), json!({"leaf": 3}));
        let entry: Entry = Value::Object(all.clone()).to_string().parse().unwrap();
        assert_eq!(entry.other["proof"]["leaf"], 3);
        assert_eq!(serde_json::to_value(&entry).unwrap(), Value::Object(all));
    }

    #[test]
    fn what_is_no_entry_is_an_error_that_names_the_field() {
        let mut all = full(&fields::FIELDS);
        all.insert("severity".to_owned(), json!("loud"));
        let error = Value::Object(all).to_string().parse::<Entry>().unwrap_err();
        assert!(error.to_string().contains("loud"), "{error}");
        assert!("{}".parse::<Entry>().is_err() && "".parse::<Entry>().is_err());
    }
}
