//! What the log says about itself: losses, recoveries, prunings, the disk.

use serde_json::{Map, Value};

use super::{Instant, SCHEMA_VERSION, Severity, Source, TimestampWriter, json};

/// A record that the log itself writes. Its event type begins with `audit.`, which no application's can.
#[derive(Clone, Debug)]
pub(crate) struct OwnRecord {
    event_type: &'static str,
    severity: Severity,
    description: String,
    details: Map<String, Value>,
}

impl OwnRecord {
    pub(crate) fn new(event_type: &'static str, severity: Severity, description: impl Into<String>) -> Self {
        Self { event_type, severity, description: description.into(), details: Map::new() }
    }

    pub(crate) fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// As `audit!` would render it, now: without stream and number.
    pub(crate) fn render(&self, source: &Source) -> Vec<u8> {
        let at = Instant::now();
        let mut out = format!("\"id\":\"{}\",\"timestamp\":\"", at.uuid(fastrand::u64(..))).into_bytes();
        TimestampWriter::default().write(&mut out, at);
        let mut segments = self.event_type.split('.');
        let (category, action) = (segments.next().unwrap_or_default(), segments.next_back().unwrap_or_default());
        let head = format!(
            "\",\"schema_version\":\"{SCHEMA_VERSION}\",\"event_type\":\"{}\",\"category\":\"{category}\",\"action\":\"{action}\",\
             \"severity\":\"{}\",\"source\":\"{source}\",\"actor\":{{\"type\":\"system\",\"id\":\"{source}\"}},\"description\":",
            self.event_type, self.severity
        );
        out.extend_from_slice(head.as_bytes());
        json::write_str(&mut out, &self.description);
        if !self.details.is_empty() {
            out.extend_from_slice(b",\"details\":");
            json::write_value(&mut out, &self.details);
        }
        out.push(b'}');
        out
    }
}
