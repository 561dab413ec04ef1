//! `otlp`: logs of OpenTelemetry over HTTP with JSON, for `/v1/logs`.
//!
//! The attributes follow OpenTelemetry's draft for audit records: no severity (the body has it), an
//! empty scope. Integers of 64 bits are decimal strings, ids hexadecimal, as OTLP's JSON differs
//! from that of Protocol Buffers.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Batch, Encoded, Format, Unencodable, Verdict, checked, source, span_id, trace_id};
use crate::{
    entry::{
        json::{Json, Members},
        scan::{Fields, unescape},
    },
    webhook::http::answer::cut,
};

/// Readers of Protocol Buffers stop at 100 nested messages, and each level of a record is three.
/// Values at a greater depth are sent as JSON text.
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

/// The source and the stream of some records.
type Stream<'a> = (Cow<'a, str>, Cow<'a, str>);

impl Format for Otlp {
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
        let mut streams: Vec<(Stream<'_>, Vec<Json>)> = Vec::new();
        for entry in batch.several()? {
            let (fields, line) = checked(entry)?;
            let record = log_record(&fields, line).map_err(|e| Unencodable::entry(entry, e))?;
            let of = (source(&fields, batch), unescape(fields.stream));
            match streams.iter_mut().find(|(known, _)| *known == of) {
                Some((_, records)) => records.push(record),
                None => streams.push((of, vec![record])),
            }
        }
        let resource_logs = streams.into_iter().map(|((name, instance), records)| {
            let attributes =
                attributes([("service.name", name), ("service.instance.id", instance)]);
            let resource = object([("attributes", Json::List(attributes))]);
            let logs = object([("scope", object([])), ("logRecords", Json::List(records))]);
            object([
                ("resource", resource),
                ("scopeLogs", Json::List(vec![logs])),
            ])
        });
        let request = object([("resourceLogs", Json::List(resource_logs.collect()))]);
        Ok(Encoded::json(request.to_string().into_bytes()))
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
        let Ok(Answer { partial_success }) = serde_json::from_slice(body) else {
            return Verdict::Accepted;
        };
        // A string by the specification; some receivers send a number all the same.
        let count = partial_success.rejected_log_records.and_then(|count| {
            count
                .as_str()
                .map_or_else(|| count.as_u64(), |text| text.parse().ok())
        });
        let count = count.unwrap_or(0);
        let mut message = partial_success.error_message.unwrap_or_default();
        if count == 0 && message.is_empty() {
            return Verdict::Accepted;
        }
        cut(&mut message, LONGEST_MESSAGE);
        Verdict::Rejected { count, message }
    }
}

fn log_record(fields: &Fields<'_>, line: &[u8]) -> Result<Json, String> {
    let record: Members = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let version = record.get("schema_version").and_then(Json::as_str);
    let version = version.unwrap_or_default().to_owned();
    let outcome = match fields.outcome_type {
        [] => "unknown".into(),
        outcome => unescape(outcome),
    };
    let action = unescape(fields.action).to_uppercase();
    let mut attributes = attributes([
        ("audit.record.id", unescape(fields.id)),
        ("audit.actor.id", unescape(fields.actor_id)),
        ("audit.actor.type", unescape(fields.actor_type)),
        ("audit.action", action.into()),
        ("audit.outcome", outcome),
        ("audit.target.id", unescape(fields.resource_id)),
        ("audit.target.type", unescape(fields.resource_type)),
        ("audit.schema.version", version.into()),
    ]);
    let sequence = object([("intValue", text(fields.seq.to_string()))]);
    attributes.push(key_value("audit.sequence.number", sequence));
    let micros = u64::try_from(fields.timestamp.as_micros()).unwrap_or(0);
    let nanos = text(micros.saturating_mul(1000).to_string());
    let ids = [("traceId", trace_id(fields)), ("spanId", span_id(fields))];
    let ids = ids
        .into_iter()
        .filter_map(|(name, id)| Some((name, text(id?))));
    let members = [
        ("timeUnixNano", nanos.clone()),
        ("observedTimeUnixNano", nanos),
        ("eventName", text(unescape(fields.event_type))),
    ];
    let members = members.into_iter().chain(ids).chain([
        ("attributes", Json::List(attributes)),
        ("body", any_value(Json::Object(record), 0)),
    ]);
    Ok(object(members))
}

/// Attributes of these names; a name without a text is left out.
fn attributes<const N: usize>(texts: [(&'static str, Cow<'_, str>); N]) -> Vec<Json> {
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    texts
        .map(|(key, value)| key_value(key, object([("stringValue", text(value))])))
        .collect()
}

/// A JSON value, this deep in the record, as an `AnyValue`.
fn any_value(value: Json, depth: usize) -> Json {
    let (kind, value) = match value {
        Json::Null => return object([]),
        Json::Bool(bool) => ("boolValue", Json::Bool(bool)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => ("intValue", text(int.to_string())),
            (None, Some(_)) if !number.is_u64() => ("doubleValue", Json::Number(number)),
            // Beyond an int64; a double would be another number.
            _ => ("stringValue", text(number.to_string())),
        },
        Json::Text(text) => ("stringValue", Json::Text(text)),
        deep if depth == DEEPEST => ("stringValue", text(deep.to_string())),
        Json::List(values) => {
            let values = values.into_iter().map(|value| any_value(value, depth + 1));
            (
                "arrayValue",
                object([("values", Json::List(values.collect()))]),
            )
        }
        Json::Object(members) => {
            let values = members
                .into_iter()
                .map(|(key, value)| key_value(key, any_value(value, depth + 1)));
            (
                "kvlistValue",
                object([("values", Json::List(values.collect()))]),
            )
        }
    };
    object([(kind, value)])
}

fn key_value(key: impl Into<String>, value: Json) -> Json {
    object([("key", text(key)), ("value", value)])
}

fn text(text: impl Into<String>) -> Json {
    Json::Text(text.into())
}

fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let members = members.into_iter();
    Json::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> String {
        any_value(serde_json::from_str(json).unwrap(), 0).to_string()
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
