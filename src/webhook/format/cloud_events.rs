//! `cloudevents…`: CloudEvents 1.0 over HTTP, in its three content modes.
//!
//! The data of an event is the stored line; its attributes are the same in each mode. In the binary
//! mode they are headers, percent-encoded to visible ASCII. An attribute is left out rather than
//! cut when it would be long: a cut identity is another one, and the whole of it is in the data.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Batch, Encoded, Format, JSON, Unencodable, add, array, checked, source, span_id, trace_id,
};
use crate::{
    entry::scan::{Fields, escape, unescape},
    error::{Error, Result},
    query::RawEntry,
};

/// Servers take about 8 KiB of headers in all.
const LONGEST: usize = 1024;

/// How CloudEvents put an event into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudEventsMode {
    /// The attributes are headers, the body is the stored line. One event a request.
    Binary,
    /// The body is a JSON object of attributes and `data`. One event a request.
    Structured,
    /// The body is a JSON array of such objects. The specification allows it only to a receiver
    /// that asked for it.
    Batch,
}

/// CloudEvents 1.0 with these attributes:
///
/// | | |
/// |---|---|
/// | `id`, `type`, `time` | the entry's id, event type and timestamp |
/// | `source` | as configured, or `urn:tracing-audit:` and the entry's source |
/// | `subject` | the resource: `type/id`, or what there is of it |
/// | `stream`, `sequence` | the entry's stream, and its number there with leading zeros |
/// | `severitytext`, `severitynumber` | `INFO` 9, `WARN` 13, `ERROR` 17, `FATAL` 21 (for `critical`) |
/// | `authtype`, `authid` | the actor: `app_user`, `service_account`, `api_key`, `system`, `unauthenticated` or `unknown`, and its id |
/// | `traceparent` | if the entry has a trace and a span id; whether it was sampled is not known, so that flag is off |
#[derive(Clone, Debug)]
pub struct CloudEvents {
    mode: CloudEventsMode,
    source: Option<String>,
}

impl CloudEvents {
    /// Events in this mode.
    pub fn new(mode: CloudEventsMode) -> Self {
        Self { mode, source: None }
    }

    /// The `source` of all events, a URI reference such as `https://billing.example.com/audit`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is empty, longer than 1024 bytes, or has characters that no URI
    /// has.
    pub fn source(mut self, source: impl Into<String>) -> Result<Self> {
        let source = source.into();
        if source.is_empty() || source.len() > LONGEST || !source.bytes().all(in_uri) {
            return Err(Error::invalid(
                "source",
                format!("{source:?} is not a URI like https://billing.example.com/audit"),
            ));
        }
        self.source = Some(source);
        Ok(self)
    }

    fn attributes(&self, fields: &Fields<'_>, batch: &Batch<'_>) -> Attributes {
        let mut attributes = Attributes(Vec::with_capacity(14));
        let source = self.source.clone().unwrap_or_else(|| {
            let source = source(fields, batch);
            format!(
                "urn:tracing-audit:{}",
                utf8_percent_encode(&source, &OUTSIDE_URN)
            )
        });
        attributes.required("specversion", "1.0");
        attributes.required("id", &unescape(fields.id));
        attributes.required("source", &source);
        attributes.required("type", &unescape(fields.event_type));
        attributes.required("time", &fields.timestamp.to_string());
        match (
            &*unescape(fields.resource_type),
            &*unescape(fields.resource_id),
        ) {
            (kind, "") => attributes.text("subject", kind),
            ("", id) => attributes.text("subject", id),
            (kind, id) => attributes.text("subject", &format!("{kind}/{id}")),
        }
        attributes.required("stream", &unescape(fields.stream));
        attributes.required("sequence", &format!("{:020}", fields.seq));
        let severity = match fields.severity {
            b"info" => Some(("INFO", 9)),
            b"warning" => Some(("WARN", 13)),
            b"error" => Some(("ERROR", 17)),
            b"critical" => Some(("FATAL", 21)),
            _ => None,
        };
        if let Some((text, number)) = severity {
            attributes.text("severitytext", text);
            attributes.0.push(("severitynumber", Value::Number(number)));
        }
        attributes.text("authtype", auth_type(fields.actor_type));
        attributes.text("authid", &unescape(fields.actor_id));
        if let (Some(trace), Some(span)) = (trace_id(fields), span_id(fields)) {
            attributes.text("traceparent", &format!("00-{trace}-{span}-00"));
        }
        attributes
    }

    fn write_object(
        &self,
        entry: &RawEntry,
        batch: &Batch<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let (fields, line) = checked(entry)?;
        body.push(b'{');
        for (name, value) in self.attributes(&fields, batch).0 {
            match value {
                Value::Text(text) => {
                    let text = escape(&text);
                    add(body, [b"\"", name.as_bytes(), b"\":\"", &text, b"\","]);
                }
                Value::Number(number) => body.extend(format!("\"{name}\":{number},").as_bytes()),
            }
        }
        let kind = b"\"datacontenttype\":\"";
        add(body, [kind, JSON.as_bytes(), b"\",\"data\":", line, b"}"]);
        Ok(())
    }
}

impl Format for CloudEvents {
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
        match self.mode {
            CloudEventsMode::Binary => {
                let (fields, line) = checked(batch.single()?)?;
                let headers = self
                    .attributes(&fields, batch)
                    .0
                    .into_iter()
                    .map(|(name, value)| match value {
                        Value::Text(text) => (format!("ce-{name}").into(), header_value(&text)),
                        Value::Number(number) => (format!("ce-{name}").into(), number.to_string()),
                    });
                Ok(Encoded {
                    content_type: JSON.into(),
                    headers: headers.collect(),
                    body: line.to_vec(),
                })
            }
            CloudEventsMode::Structured => {
                let mut body = Vec::new();
                self.write_object(batch.single()?, batch, &mut body)?;
                Ok(Encoded {
                    content_type: "application/cloudevents+json".into(),
                    headers: Vec::new(),
                    body,
                })
            }
            CloudEventsMode::Batch => {
                let body = array(batch.several()?, |entry, body| {
                    self.write_object(entry, batch, body)
                })?;
                Ok(Encoded {
                    content_type: "application/cloudevents-batch+json".into(),
                    headers: Vec::new(),
                    body,
                })
            }
        }
    }

    fn takes_several(&self) -> bool {
        self.mode == CloudEventsMode::Batch
    }
}

struct Attributes(Vec<(&'static str, Value)>);

enum Value {
    Text(String),
    Number(u8),
}

impl Attributes {
    /// Adds a text. Characters that no attribute may have become U+FFFD.
    fn required(&mut self, name: &'static str, text: &str) {
        let allowed = |c: char| {
            !c.is_control()
                && !('\u{fdd0}'..='\u{fdef}').contains(&c)
                && u32::from(c) & 0xfffe != 0xfffe
        };
        let text = text.chars().map(|c| {
            if allowed(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        });
        self.0.push((name, Value::Text(text.collect())));
    }

    /// Adds a text unless it is empty or too long.
    fn text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() && header_value(text).len() <= LONGEST {
            self.required(name, text);
        }
    }
}

fn auth_type(actor_type: &[u8]) -> &'static str {
    match actor_type {
        b"user" => "app_user",
        b"service" => "service_account",
        b"api_key" => "api_key",
        b"system" => "system",
        b"anonymous" => "unauthenticated",
        _ => "unknown",
    }
}

fn header_value(text: &str) -> String {
    utf8_percent_encode(text, &OUTSIDE_HEADER).to_string()
}

/// The characters that are encoded in a header's value: the binding to HTTP, section 3.1.3.2.
const OUTSIDE_HEADER: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'%');
/// The characters that are encoded in a name within a URN.
const OUTSIDE_URN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// RFC 3986, section 2: reserved and unreserved characters, and `%`.
fn in_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}
