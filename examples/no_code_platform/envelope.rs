//! Another encoding of the log's entries: the envelope that readers of this platform's logs know.
//!
//! In comes an [`RawEntry`], out goes one JSON object of theirs. Every element is always there,
//! empty if the entry says nothing, so that who reads it by position or by a fixed schema can; only
//! the prior attributes and the reason of a failure come and go.
//!
//! | theirs | ours |
//! |---|---|
//! | `date`, `timestamp` | `timestamp`, in whole seconds and in milliseconds |
//! | `eventType` | the first segment of `event_type`, as in `designer-action` |
//! | `category`, `action`, `source` | the same |
//! | `tags` | `tags`, each a `name:value` |
//! | `object` | `resource`, by its id or else its name |
//! | `object.outcome`, `object.actor`, `object.context` | `outcome`, `actor`, `context` with `ip_address` and `user_agent` |

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing_audit::{RawEntry, Result, Timestamp};

/// The version of the envelope, whatever that of our record is.
const SCHEMA_VERSION: &str = "1.0";

/// What we read of an entry.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    event_type: String,
    category: String,
    action: String,
    source: String,
    actor: Part,
    resource: Part,
    outcome: OutcomePart,
    tags: Vec<String>,
    ip_address: String,
    user_agent: String,
    context: ContextPart,
}

/// An actor or a resource.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    r#type: String,
    id: Option<String>,
    name: Option<String>,
    attributes: Map<String, Value>,
    prior_attributes: Option<Map<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContextPart {
    environment: String,
    session_id: String,
    protocol: String,
    host: String,
}

/// The same here and there.
#[derive(Default, Deserialize, Serialize)]
struct OutcomePart {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One event as their readers know it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    date: String,
    message_type: &'static str,
    schema_version: &'static str,
    timestamp: String,
    event_type: String,
    category: String,
    action: String,
    source: String,
    tags: Map<String, Value>,
    object: Object,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    r#type: String,
    identifier: Identifier,
    attributes: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior_attributes: Option<Map<String, Value>>,
    outcome: OutcomePart,
    actor: Requestor,
    context: Context,
}

#[derive(Serialize)]
struct Identifier {
    r#type: String,
    value: String,
}

#[derive(Serialize)]
struct Requestor {
    r#type: String,
    identifier: Identifier,
    attributes: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    environment: String,
    session_id: String,
    client_ip: String,
    protocol: String,
    host: String,
    user_agent: String,
}

impl Part {
    /// By which of its marks it is known: `user-id`, or `name`.
    fn identifier(&mut self) -> Identifier {
        match (self.id.take(), self.name.take()) {
            (Some(value), _) => Identifier {
                r#type: format!("{}-id", self.r#type),
                value,
            },
            (None, name) => Identifier {
                r#type: "name".to_owned(),
                value: name.unwrap_or_default(),
            },
        }
    }
}

impl Envelope {
    /// Reads an entry. One without an outcome is of something that has happened, so it is a
    /// success.
    ///
    /// # Errors
    ///
    /// If the entry isn't one of this platform's: its attributes aren't a map.
    pub(crate) fn of(entry: &RawEntry) -> Result<Self> {
        let Record {
            event_type,
            category,
            action,
            source,
            mut actor,
            mut resource,
            mut outcome,
            tags,
            ip_address,
            user_agent,
            context,
        } = entry.parse()?;
        if outcome.r#type.is_empty() {
            outcome.r#type = "success".to_owned();
        }
        let tag = |tag: String| match tag.split_once(':') {
            Some((name, value)) => (name.to_owned(), Value::from(value)),
            None => (tag, Value::from(true)),
        };
        let (date, timestamp) = times(entry.timestamp());
        Ok(Self {
            date,
            message_type: "system-event",
            schema_version: SCHEMA_VERSION,
            timestamp,
            event_type: format!(
                "{}-action",
                event_type.split('.').next().unwrap_or_default()
            ),
            category,
            action,
            source,
            tags: tags.into_iter().map(tag).collect(),
            object: Object {
                identifier: resource.identifier(),
                r#type: resource.r#type,
                attributes: resource.attributes,
                prior_attributes: resource.prior_attributes,
                outcome,
                actor: Requestor {
                    identifier: actor.identifier(),
                    r#type: actor.r#type,
                    attributes: actor.attributes,
                },
                context: Context {
                    environment: context.environment,
                    session_id: context.session_id,
                    client_ip: ip_address,
                    protocol: context.protocol,
                    host: context.host,
                    user_agent,
                },
            },
        })
    }
}

/// The whole second, written with six digits after it, and the millisecond.
fn times(time: Timestamp) -> (String, String) {
    let text = time.to_string();
    let (second, fraction) = text
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((&text, ""));
    (
        format!("{second}.000000Z"),
        format!("{second}.{:0<3}Z", fraction.get(..3).unwrap_or(fraction)),
    )
}
