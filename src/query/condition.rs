//! A condition on entries: the values of one parameter, of which an entry has one.

use std::borrow::Cow;

use ipnet::IpNet;
use regex::bytes::Regex;

use super::{
    address,
    detail::DetailValue,
    event_types::{self, EventTypes},
    needle::{self, Needle},
    parameters::DETAILS,
};
use crate::{
    entry::scan::{Fields, SUCCESS, details_path, escape},
    error::{Error, Result},
    store::index::Key,
};

/// A condition on an entry. Texts are escaped, as they stand in a line.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The field is one of these.
    Exact(Field, Vec<Vec<u8>>),
    /// The event type is one of these.
    EventType(Vec<EventTypes>),
    /// The address is in one of these networks.
    Address(Vec<IpNet>),
    /// One of the texts that people read contains one of these, whatever its case.
    Text(Vec<Text>),
    /// The value at this path in `details` is one of these.
    Detail {
        path: String,
        values: Vec<DetailValue>,
    },
}

/// A text that is looked for in others.
#[derive(Clone, Debug)]
pub(super) struct Text {
    text: String,
    escaped: Regex,
    plain: Regex,
}

/// A field that is compared as a whole: of an actor the id, the name or the type, of a resource the
/// id or the name. An entry without an outcome is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Category,
    Action,
    Actor,
    ActorType,
    Resource,
    ResourceType,
    Tenant,
    Severity,
    Outcome,
    Source,
    UserAgent,
    Session,
    Request,
    Trace,
}

/// The values of a parameter in one form: those of the same meaning have the same. There are none
/// if one of them, `*`, is all.
pub(super) fn canonical(name: &str, texts: Vec<String>) -> Result<Vec<String>> {
    match name {
        "event_type" => event_types::canonical(texts),
        "ip_address" => {
            let networks = networks(&texts)?;
            let networks = IpNet::aggregate(&networks);
            Ok(networks.iter().map(address::text).collect())
        }
        "severity" => one_of(name, texts, &["info", "warning", "error", "critical"]),
        "outcome" => one_of(name, texts, &["success", "failure", "unknown"]),
        _ => Ok(texts),
    }
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    texts.iter().map(|text| address::parse(text)).collect()
}

fn one_of(name: &str, texts: Vec<String>, known: &[&str]) -> Result<Vec<String>> {
    match texts.iter().find(|text| !known.contains(&text.as_str())) {
        Some(text) => {
            let problem = format!("{text:?} must be one of {}", known.join(", "));
            Err(Error::invalid(name, problem))
        }
        None => Ok(texts),
    }
}

impl Condition {
    /// The condition that a parameter with these values makes.
    pub(super) fn new(name: &str, texts: &[String]) -> Result<Self> {
        if let Some(path) = name.strip_prefix(DETAILS) {
            let values = texts.iter().map(|text| DetailValue::new(text)).collect();
            let path = path.to_owned();
            return Ok(Self::Detail { path, values });
        }
        let field = match name {
            "event_type" => return event_types::parse(texts).map(Self::EventType),
            "ip_address" => return networks(texts).map(Self::Address),
            "q" => {
                let texts = texts.iter().map(|text| Text::new(text));
                return texts.collect::<Result<_>>().map(Self::Text);
            }
            "category" => Field::Category,
            "action" => Field::Action,
            "actor" => Field::Actor,
            "actor_type" => Field::ActorType,
            "resource" => Field::Resource,
            "resource_type" => Field::ResourceType,
            "tenant_id" => Field::Tenant,
            "severity" => Field::Severity,
            "outcome" => Field::Outcome,
            "source" => Field::Source,
            "user_agent" => Field::UserAgent,
            "session_id" => Field::Session,
            "request_id" => Field::Request,
            _ => Field::Trace,
        };
        let values = texts.iter().map(|text| escape(text)).collect();
        Ok(Self::Exact(field, values))
    }

    pub(super) fn matches(&self, fields: &Fields<'_>) -> bool {
        match self {
            Self::Exact(field, values) => {
                let texts = field.of(fields);
                values.iter().any(|value| texts.contains(&value.as_slice()))
            }
            Self::EventType(types) => types.iter().any(|types| types.matches(fields.event_type)),
            Self::Address(networks) => address::is_in(networks, fields.ip_address),
            Self::Text(texts) => texts.iter().any(|text| text.is_in_one_of(fields)),
            Self::Detail { path, values } => details_path(fields.details, path)
                .is_some_and(|found| values.iter().any(|value| value.is(found))),
        }
    }

    /// Bytes that every matching line contains.
    pub(super) fn needle(&self) -> Option<Needle> {
        match self {
            Self::Exact(field, values) => field.needle(values),
            Self::EventType(types) => {
                Needle::any(types.iter().map(EventTypes::beginning_of_field).collect())
            }
            Self::Address(networks) => {
                let patterns: Vec<_> = networks.iter().map(address::pattern).collect();
                Needle::pattern(&format!("\"ip_address\":\"(?:{})", patterns.join("|")))
            }
            Self::Text(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| text.text.as_str()).collect();
                Needle::ignoring_case(&texts)
            }
            Self::Detail { path, values } => {
                // A key may have dots in it, but whatever the keys are, the last ends as the path
                // does.
                let key = escape(path.rsplit('.').next().unwrap_or(path));
                DetailValue::needle(&key, values)
            }
        }
    }

    /// Whether it wants certain tenants.
    pub(super) fn is_of_tenants(&self) -> bool {
        matches!(self, Self::Exact(Field::Tenant, _))
    }

    /// A guess how rare its needle is: the lowest is looked for first.
    pub(super) fn rarity(&self) -> u8 {
        match self {
            Self::Exact(Field::Id | Field::Request | Field::Session | Field::Trace, _) => 0,
            Self::Exact(Field::Actor | Field::Resource, _) | Self::Address(_) => 1,
            Self::Detail { .. } => 2,
            Self::EventType(_) => 3,
            // Seldom in a line, but slower to look for.
            Self::Text { .. } => 4,
            Self::Exact(Field::Severity | Field::Outcome, _) => 6,
            Self::Exact(..) => 5,
        }
    }

    /// The values for which a block's Bloom filter can be asked: a matching entry has one of them.
    pub(super) fn key(&self) -> Option<(Key, Vec<Vec<u8>>)> {
        let (field, values) = match self {
            Self::Exact(field, values) => (field, values),
            Self::Address(networks) => {
                return address::all(networks).map(|texts| (Key::Address, texts));
            }
            _ => return None,
        };
        let key = match field {
            Field::Actor => Key::Actor,
            Field::Resource => Key::Resource,
            Field::Tenant => Key::Tenant,
            Field::Session => Key::Session,
            Field::Request => Key::Request,
            _ => return None,
        };
        Some((key, values.clone()))
    }
}

impl Text {
    fn new(text: &str) -> Result<Self> {
        // Escaping makes ASCII of ASCII and leaves the rest, so what was text stays text.
        let escaped = String::from_utf8_lossy(&escape(text)).into_owned();
        let find = |text| {
            needle::ignoring_case(text)
                .ok_or_else(|| Error::invalid("q", "it is too long; give a shorter text"))
        };
        Ok(Self {
            escaped: find(&escaped)?,
            plain: find(text)?,
            text: escaped,
        })
    }

    fn is_in_one_of(&self, f: &Fields<'_>) -> bool {
        let texts = [
            f.description,
            f.event_type,
            f.actor_id,
            f.actor_name,
            f.resource_id,
            f.resource_name,
        ];
        texts.into_iter().any(|text| match unescape(text) {
            Cow::Borrowed(text) => self.escaped.is_match(text),
            Cow::Owned(text) => self.plain.is_match(&text),
        })
    }
}

impl Field {
    /// The texts that may be the value.
    fn of<'a>(self, f: &Fields<'a>) -> [&'a [u8]; 3] {
        let one = match self {
            Self::Actor => return [f.actor_id, f.actor_name, f.actor_type],
            Self::Resource => return [f.resource_id, f.resource_name, f.resource_name],
            Self::Outcome => f.outcome_or_success(),
            Self::Id => f.id,
            Self::Category => f.category,
            Self::Action => f.action,
            Self::ActorType => f.actor_type,
            Self::ResourceType => f.resource_type,
            Self::Tenant => f.tenant_id,
            Self::Severity => f.severity,
            Self::Source => f.source,
            Self::UserAgent => f.user_agent,
            Self::Session => f.session_id,
            Self::Request => f.request_id,
            Self::Trace => trace(f),
        };
        [one; 3]
    }

    /// Bytes of every line in which the field is one of these.
    fn needle(self, values: &[Vec<u8>]) -> Option<Needle> {
        let says_nothing = |value: &Vec<u8>| self == Self::Outcome && value == SUCCESS;
        if values.iter().any(says_nothing) {
            return None;
        }
        let before = self.before_value().as_bytes();
        let quoted = |value: &Vec<u8>| [before, b"\"", value, b"\""].concat();
        Needle::any(values.iter().map(quoted).collect())
    }

    /// The bytes right before its value in a line.
    fn before_value(self) -> &'static str {
        match self {
            Self::Id => "\"id\":",
            Self::Category => "\"category\":",
            Self::Action => "\"action\":",
            // One of several fields.
            Self::Actor | Self::Resource => ":",
            Self::ActorType | Self::ResourceType | Self::Outcome => "\"type\":",
            Self::Tenant => "\"tenant_id\":",
            Self::Severity => "\"severity\":",
            Self::Source => "\"source\":",
            Self::UserAgent => "\"user_agent\":",
            Self::Session => "\"session_id\":",
            Self::Request => "\"request_id\":",
            Self::Trace => "\"trace_id\":",
        }
    }
}

/// The id of the trace, which few questions are about: the scan of a line doesn't look for it.
fn trace<'a>(f: &Fields<'a>) -> &'a [u8] {
    let value = details_path(f.context, "trace_id");
    let text = value.and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
    text.unwrap_or_default()
}

/// A text of a line as it was before it was escaped.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice::<String>(&quoted)
        .map_or(Cow::Borrowed(text), |plain| Cow::Owned(plain.into_bytes()))
}
