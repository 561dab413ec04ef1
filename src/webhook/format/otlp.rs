//! `otlp`: logs of OpenTelemetry over HTTP with JSON, for `/v1/logs`.
//!
//! The attributes follow OpenTelemetry's draft for audit records: no severity (the body has it), an
//! empty scope. Integers of 64 bits are decimal strings, ids hexadecimal, as OTLP's JSON differs
//! from that of Protocol Buffers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

use super::{Batch, Encoded, Format, Unencodable, Verdict, checked, source, span_id, trace_id};
use crate::{
    entry::{
        json::{Json, Members},
        scan::unescape,
    },
    query::RawEntry,
};

/// Readers of Protocol Buffers stop at 100 nested messages, and each level of a record is three.
/// What is deeper is sent as JSON text.
const DEEPEST: usize = 24;

/// Bytes that are kept of what a receiver says.
const LONGEST_MESSAGE: usize = 2048;

/// `ExportLogsServiceRequest`: a log record for each entry, under one resource for each stream.
///
/// | | |
/// |---|---|
/// | resource | `service.name`: the source; `service.instance.id`: the stream |
/// | `timeUnixNano`, `observedTimeUnixNano` | the timestamp |
/// | `eventName`, `traceId`, `spanId` | the event type, and the ids if there are any |
/// | attributes | `audit.record.id`, `audit.actor.id` and `.type`, `audit.action` (upper case), `audit.outcome`, `audit.target.id` and `.type`, `audit.schema.version`, `audit.sequence.number` |
/// | body | the record, its fields in their order |
#[derive(Clone, Copy, Debug, Default)]
pub struct Otlp;

impl Format for Otlp {
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
        let mut streams: Vec<Stream<'_>> = Vec::new();
        for entry in batch.several()? {
            let (name, instance, record) = log_record(entry, batch)?;
            match streams
                .iter_mut()
                .find(|stream| stream.name == name && stream.instance == instance)
            {
                Some(stream) => stream.records.push(record),
                None => streams.push(Stream {
                    name,
                    instance,
                    records: vec![record],
                }),
            }
        }
        let request = Request {
            resource_logs: streams
                .into_iter()
                .map(Stream::into_resource_logs)
                .collect(),
        };
        serde_json::to_vec(&request)
            .map(Encoded::json)
            .map_err(|e| Unencodable::batch(e.to_string()))
    }

    /// [`Verdict::Rejected`] if there is a `partialSuccess` that says anything.
    fn read_answer(&self, body: &[u8]) -> Verdict {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            partial_success: PartialSuccess,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PartialSuccess {
            rejected_log_records: Option<Value>,
            error_message: Option<String>,
        }
        let Ok(Answer {
            partial_success:
                PartialSuccess {
                    rejected_log_records,
                    error_message,
                },
        }) = serde_json::from_slice(body)
        else {
            return Verdict::Accepted;
        };
        // A string by the specification, a number by some who don't follow it.
        let count = rejected_log_records.and_then(|count| {
            count
                .as_str()
                .map_or_else(|| count.as_u64(), |text| text.parse().ok())
        });
        let (count, mut message) = (count.unwrap_or(0), error_message.unwrap_or_default());
        if count == 0 && message.is_empty() {
            return Verdict::Accepted;
        }
        if let Some(end) = (0..=LONGEST_MESSAGE)
            .rev()
            .find(|at| message.is_char_boundary(*at))
        {
            message.truncate(end);
        }
        Verdict::Rejected { count, message }
    }
}

struct Stream<'a> {
    name: Cow<'a, str>,
    instance: Cow<'a, str>,
    records: Vec<LogRecord<'a>>,
}

impl<'a> Stream<'a> {
    fn into_resource_logs(self) -> ResourceLogs<'a> {
        let attributes = attributes([
            ("service.name", self.name),
            ("service.instance.id", self.instance),
        ]);
        ResourceLogs {
            resource: Resource { attributes },
            scope_logs: [ScopeLogs {
                scope: Scope {},
                log_records: self.records,
            }],
        }
    }
}

fn log_record<'a>(
    entry: &'a RawEntry,
    batch: &Batch<'a>,
) -> Result<(Cow<'a, str>, Cow<'a, str>, LogRecord<'a>), Unencodable> {
    let (fields, line) = checked(entry)?;
    let record: Members =
        serde_json::from_slice(line).map_err(|e| Unencodable::entry(entry, e.to_string()))?;
    let version = record
        .get("schema_version")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    let outcome = if fields.outcome_type.is_empty() {
        "unknown".into()
    } else {
        unescape(fields.outcome_type)
    };
    let mut attributes = attributes([
        ("audit.record.id", unescape(fields.id)),
        ("audit.actor.id", unescape(fields.actor_id)),
        ("audit.actor.type", unescape(fields.actor_type)),
        (
            "audit.action",
            unescape(fields.action).to_uppercase().into(),
        ),
        ("audit.outcome", outcome),
        ("audit.target.id", unescape(fields.resource_id)),
        ("audit.target.type", unescape(fields.resource_type)),
        ("audit.schema.version", version.into()),
    ]);
    attributes.push(KeyValue {
        key: "audit.sequence.number",
        value: AnyValue::Int(fields.seq.to_string()),
    });
    let nanos = u64::try_from(fields.timestamp.as_micros())
        .unwrap_or(0)
        .saturating_mul(1000)
        .to_string();
    let log_record = LogRecord {
        time_unix_nano: nanos.clone(),
        observed_time_unix_nano: nanos,
        event_name: unescape(fields.event_type),
        trace_id: trace_id(&fields),
        span_id: span_id(&fields),
        attributes,
        body: AnyValue::Record(Json::Object(record)),
    };
    Ok((source(&fields, batch), unescape(fields.stream), log_record))
}

/// Those that have a text.
fn attributes<'a, const N: usize>(texts: [(&'static str, Cow<'a, str>); N]) -> Vec<KeyValue<'a>> {
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    texts
        .map(|(key, text)| KeyValue {
            key,
            value: AnyValue::Text(text),
        })
        .collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    resource: Resource<'a>,
    scope_logs: [ScopeLogs<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    scope: Scope,
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Serialize)]
struct Scope {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    time_unix_nano: String,
    observed_time_unix_nano: String,
    event_name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    attributes: Vec<KeyValue<'a>>,
    body: AnyValue<'a>,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'static str,
    value: AnyValue<'a>,
}

enum AnyValue<'a> {
    Text(Cow<'a, str>),
    Int(String),
    Record(Json),
}

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => one(serializer, "stringValue", text),
            Self::Int(digits) => one(serializer, "intValue", digits),
            Self::Record(record) => Nested(record, 0).serialize(serializer),
        }
    }
}

/// A JSON value, this deep in the record.
struct Nested<'a>(&'a Json, usize);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, depth) = *self;
        match value {
            Json::Null => serializer.serialize_map(Some(0))?.end(),
            Json::Bool(bool) => one(serializer, "boolValue", bool),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => one(serializer, "intValue", &int.to_string()),
                (None, Some(double)) if !number.is_u64() => one(serializer, "doubleValue", &double),
                // Beyond an int64; a double would be another number.
                _ => one(serializer, "stringValue", &number.to_string()),
            },
            Json::Text(text) => one(serializer, "stringValue", text),
            deep if depth == DEEPEST => one(serializer, "stringValue", &deep.to_string()),
            Json::List(values) => one(serializer, "arrayValue", &Values(values, depth + 1)),
            Json::Object(members) => one(serializer, "kvlistValue", &Pairs(members, depth + 1)),
        }
    }
}

/// `{"values":[…]}` of an array.
struct Values<'a>(&'a [Json], usize);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        one(
            serializer,
            "values",
            &List(|| self.0.iter().map(|value| Nested(value, self.1))),
        )
    }
}

/// `{"values":[{"key":…,"value":…}]}` of an object.
struct Pairs<'a>(&'a Members, usize);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Member<'a> {
            key: &'a str,
            value: Nested<'a>,
        }
        one(
            serializer,
            "values",
            &List(|| {
                self.0.iter().map(|(key, value)| Member {
                    key,
                    value: Nested(value, self.1),
                })
            }),
        )
    }
}

/// What an iterator gives.
struct List<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// An object of one member.
fn one<S: Serializer>(
    serializer: S,
    name: &str,
    value: &(impl Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> String {
        serde_json::to_string(&Nested(&serde_json::from_str(json).unwrap(), 0)).unwrap()
    }

    #[test]
    fn values_keep_their_kind_and_order() {
        for (json, any_value) in [
            ("null", "{}"),
            ("true", r#"{"boolValue":true}"#),
            (
                "-9223372036854775808",
                r#"{"intValue":"-9223372036854775808"}"#,
            ),
            (
                "18446744073709551615",
                r#"{"stringValue":"18446744073709551615"}"#,
            ),
            ("1.5", r#"{"doubleValue":1.5}"#),
            (
                r#"[1,"x"]"#,
                r#"{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}"#,
            ),
            (
                r#"{"b":{},"a":[]}"#,
                r#"{"kvlistValue":{"values":[{"key":"b","value":{"kvlistValue":{"values":[]}}},{"key":"a","value":{"arrayValue":{"values":[]}}}]}}"#,
            ),
        ] {
            assert_eq!(value(json), any_value);
        }
    }

    #[test]
    fn what_is_too_deep_is_text() {
        let deep = format!("{}{}", "[".repeat(DEEPEST + 3), "]".repeat(DEEPEST + 3));
        let value = value(&deep);
        assert_eq!(value.matches("arrayValue").count(), DEEPEST);
        assert!(value.contains(r#"{"stringValue":"[[[]]]"}"#), "{value}");
    }

    #[test]
    fn a_partial_success_tells_what_was_refused() {
        let verdict = |body: &str| Otlp.read_answer(body.as_bytes());
        let rejected = |count, message: &str| Verdict::Rejected {
            count,
            message: message.to_owned(),
        };
        for accepted in [
            "",
            "{}",
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":null}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#,
        ] {
            assert_eq!(verdict(accepted), Verdict::Accepted, "{accepted}");
        }
        assert_eq!(
            verdict(r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#),
            rejected(3, "too old")
        );
        assert_eq!(
            verdict(r#"{"partialSuccess":{"rejectedLogRecords":2}}"#),
            rejected(2, "")
        );
        assert_eq!(
            verdict(r#"{"partialSuccess":{"errorMessage":"use gzip"}}"#),
            rejected(0, "use gzip")
        );
        let long = format!(
            r#"{{"partialSuccess":{{"errorMessage":"{}"}}}}"#,
            "é".repeat(4000)
        );
        assert_eq!(verdict(&long), rejected(0, &"é".repeat(1024)));
    }
}
