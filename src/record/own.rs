//! What the log says about itself: losses, recoveries, prunings, the disk.

use std::borrow::Cow;

use serde::Serialize;

use super::{Buffer, Instant, SCHEMA_VERSION, Severity, Source, Stamp, json};

/// A record that the log itself writes. Its event type begins with `audit.`, which no application's
/// can.
#[derive(Clone, Debug)]
pub(crate) struct OwnRecord {
    event_type: &'static str,
    severity: Severity,
    description: String,
    details: json::Members,
    caller: Option<Caller>,
    failure: Option<String>,
}

/// Someone outside who made the log do something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// `api_key`, `user` …, or `anonymous` with an empty id and name.
    pub(crate) kind: Cow<'static, str>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tenant: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: String,
}

impl OwnRecord {
    pub(crate) fn new(
        event_type: &'static str,
        severity: Severity,
        description: impl Into<String>,
    ) -> Self {
        Self {
            event_type,
            severity,
            description: description.into(),
            details: json::Members::default(),
            caller: None,
            failure: None,
        }
    }

    pub(crate) fn detail(mut self, key: &str, value: impl Serialize) -> Self {
        self.details.add(key, &value);
        self
    }

    /// Who made the log do it; without, it is the log itself.
    #[cfg(any(feature = "server", feature = "webhook"))]
    pub(crate) fn caller(mut self, caller: Caller) -> Self {
        self.caller = Some(caller);
        self
    }

    /// That it was refused: `outcome.reason`.
    #[cfg(feature = "server")]
    pub(crate) fn failed(mut self, reason: impl Into<String>) -> Self {
        self.failure = Some(reason.into());
        self
    }

    /// As `audit!` would render it, now: without stream and number.
    pub(crate) fn render(&self, source: &Source) -> Vec<u8> {
        let at = Instant::now();
        let mut out = Buffer::with_capacity(512);
        Stamp::default().write(&mut out, at, at.uuid(fastrand::u64(..)));
        let mut segments = self.event_type.split('.');
        let (category, action) = (
            segments.next().unwrap_or_default(),
            segments.next_back().unwrap_or_default(),
        );
        let head = format!(
            "\"schema_version\":\"{SCHEMA_VERSION}\",\"event_type\":\"{}\",\"category\":\"{category}\",\"action\":\"{action}\",\
             \"severity\":\"{}\",\"source\":\"{source}\"",
            self.event_type, self.severity
        );
        out.extend_from_slice(head.as_bytes());
        let mut text = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            json::write_str(&mut out, value);
        };
        let caller = self.caller.as_ref();
        if let Some(tenant) = caller.and_then(|caller| caller.tenant.as_ref()) {
            text(",\"tenant_id\":", tenant);
        }
        match caller {
            None => {
                text(",\"actor\":{\"type\":", "system");
                text(",\"id\":", source.as_str());
            }
            Some(caller) => {
                text(",\"actor\":{\"type\":", &caller.kind);
                for (name, value) in [(",\"id\":", &caller.id), (",\"name\":", &caller.name)] {
                    if !value.is_empty() {
                        text(name, value);
                    }
                }
            }
        }
        match (&self.failure, caller) {
            (Some(reason), _) => {
                text("},\"outcome\":{\"type\":", "failure");
                text(",\"reason\":", reason);
                text("},\"description\":", &self.description);
            }
            (None, Some(_)) => {
                text("},\"outcome\":{\"type\":", "success");
                text("},\"description\":", &self.description);
            }
            (None, None) => text("},\"description\":", &self.description),
        }
        if !self.details.is_empty() {
            out.extend_from_slice(b",\"details\":");
            json::write_value(&mut out, &self.details);
        }
        if let Some(caller) = caller {
            let mut text = |name: &str, value: &str| {
                out.extend_from_slice(name.as_bytes());
                json::write_str(&mut out, value);
            };
            for (name, value) in [
                (",\"ip_address\":", &caller.ip_address),
                (",\"user_agent\":", &caller.user_agent),
            ] {
                if let Some(value) = value {
                    text(name, value);
                }
            }
            text(",\"context\":{\"request_id\":", &caller.request_id);
            out.push(b'}');
        }
        out.push(b'}');
        out.into_vec()
    }
}
