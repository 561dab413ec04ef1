//! A condition that an entry must meet.

use std::borrow::Cow;

use regex::bytes::Regex;

use super::needle::{self, Needle};
use crate::{
    entry::scan::{Fields, details_path, escape},
    error::{Error, Result},
    store::index::Key,
};

/// A condition on an entry. Texts are escaped, as they stand in a line.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The field is one of these.
    Exact(Field, Vec<Vec<u8>>),
    /// The event type is one of these.
    EventType(Vec<Types>),
    /// One of the texts that people read contains this, whatever its case.
    Text {
        text: String,
        escaped: Regex,
        plain: Regex,
    },
    /// A value in `details` is this.
    Detail { path: String, value: Vec<u8> },
}

/// A field that is compared as a whole. Of actor and resource, either the id or the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Category,
    Action,
    Actor,
    Resource,
    Tenant,
    Severity,
    Outcome,
    Source,
    Address,
    Session,
    Request,
}

/// Some event types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Types {
    All,
    One(Vec<u8>),
    /// Event types that begin with this text, which ends in a dot.
    Below(Vec<u8>),
}

impl Types {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text == "*" {
            return Ok(Self::All);
        }
        let (name, below) = text
            .strip_suffix(".*")
            .map_or((text, false), |name| (name, true));
        let dotted = name.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        match (dotted, below) {
            (true, true) => Ok(Self::Below(format!("{name}.").into_bytes())),
            (true, false) if name.contains('.') => Ok(Self::One(name.into())),
            (true, false) => Err(Error::invalid(
                "event_type",
                format!("{text:?} has only one part; write \"{text}.*\" for all below it"),
            )),
            (false, _) => {
                let like = "like auth.login.success, or auth.* for all below auth, or * for all";
                Err(Error::invalid(
                    "event_type",
                    format!("{text:?} must be lower case and dotted, {like}"),
                ))
            }
        }
    }

    fn matches(&self, event_type: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => event_type == name,
            Self::Below(prefix) => event_type.starts_with(prefix),
        }
    }
}

impl Condition {
    pub(super) fn text(text: &str) -> Result<Self> {
        // Escaping makes ASCII of ASCII and leaves the rest, so what was text stays text.
        let escaped = String::from_utf8_lossy(&escape(text)).into_owned();
        let find = |text| {
            needle::ignoring_case(text)
                .ok_or_else(|| Error::invalid("q", "it is too long; give a shorter text"))
        };
        Ok(Self::Text {
            escaped: find(&escaped)?,
            plain: find(text)?,
            text: escaped,
        })
    }

    pub(super) fn detail(path: &str, value: &str) -> Self {
        Self::Detail {
            path: path.to_owned(),
            value: escape(value),
        }
    }

    pub(super) fn matches(&self, fields: &Fields<'_>) -> bool {
        match self {
            Self::Exact(field, values) => {
                let [a, b] = field.of(fields);
                values.iter().any(|value| a == value || b == value)
            }
            Self::EventType(types) => types.iter().any(|types| types.matches(fields.event_type)),
            Self::Text { escaped, plain, .. } => {
                let f = fields;
                let texts = [
                    f.description,
                    f.event_type,
                    f.actor_id,
                    f.actor_name,
                    f.resource_id,
                    f.resource_name,
                ];
                texts.into_iter().any(|text| match unescape(text) {
                    Cow::Borrowed(text) => escaped.is_match(text),
                    Cow::Owned(text) => plain.is_match(&text),
                })
            }
            Self::Detail { path, value } => {
                details_path(fields.details, path).is_some_and(|found| match found {
                    [b'"', text @ .., b'"'] => text == value,
                    [b'{' | b'[', ..] => false,
                    scalar => scalar == value,
                })
            }
        }
    }

    /// Bytes that every matching line contains.
    pub(super) fn needle(&self) -> Option<Needle> {
        match self {
            Self::Exact(field, values) => Needle::any(
                values
                    .iter()
                    .map(|value| [field.before_value().as_bytes(), b"\"", value, b"\""].concat())
                    .collect(),
            ),
            Self::EventType(types) => Needle::any(
                types
                    .iter()
                    .map(|types| match types {
                        Types::All => Vec::new(),
                        Types::One(name) => [&b"\"event_type\":\""[..], name, b"\""].concat(),
                        Types::Below(prefix) => [&b"\"event_type\":\""[..], prefix].concat(),
                    })
                    .collect(),
            ),
            Self::Text { text, escaped, .. } => Some(Needle::ignoring_case(text, escaped)),
            Self::Detail { path, value } => {
                // A key may have dots in it, but whatever the keys are, the last ends as the path
                // does.
                let key = escape(path.rsplit('.').next().unwrap_or(path));
                Needle::any(vec![
                    [&key[..], b"\":\"", value, b"\""].concat(),
                    [&key[..], b"\":", value].concat(),
                ])
            }
        }
    }

    /// A guess how rare its needle is: the lowest is looked for first.
    pub(super) fn rarity(&self) -> u8 {
        match self {
            Self::Exact(Field::Id | Field::Request | Field::Session, _) => 0,
            Self::Exact(Field::Actor | Field::Resource | Field::Address, _) => 1,
            Self::Detail { .. } => 2,
            Self::EventType(_) => 3,
            // Seldom in a line, but slower to look for.
            Self::Text { .. } => 4,
            Self::Exact(Field::Action | Field::Category | Field::Tenant | Field::Source, _) => 5,
            Self::Exact(Field::Severity | Field::Outcome, _) => 6,
        }
    }

    /// The value for which a block's Bloom filter can be asked.
    pub(super) fn key(&self) -> Option<(Key, Vec<u8>)> {
        let Self::Exact(field, values) = self else {
            return None;
        };
        let key = match field {
            Field::Actor => Key::Actor,
            Field::Resource => Key::Resource,
            Field::Tenant => Key::Tenant,
            Field::Address => Key::Address,
            Field::Session => Key::Session,
            Field::Request => Key::Request,
            _ => return None,
        };
        Some((key, values.first().filter(|_| values.len() == 1)?.clone()))
    }
}

impl Field {
    fn of<'a>(self, f: &Fields<'a>) -> [&'a [u8]; 2] {
        let one = match self {
            Self::Actor => return [f.actor_id, f.actor_name],
            Self::Resource => return [f.resource_id, f.resource_name],
            Self::Id => f.id,
            Self::Category => f.category,
            Self::Action => f.action,
            Self::Tenant => f.tenant_id,
            Self::Severity => f.severity,
            Self::Outcome => f.outcome_type,
            Self::Source => f.source,
            Self::Address => f.ip_address,
            Self::Session => f.session_id,
            Self::Request => f.request_id,
        };
        [one, one]
    }

    /// The bytes right before its value in a line.
    fn before_value(self) -> &'static str {
        match self {
            Self::Id => "\"id\":",
            Self::Category => "\"category\":",
            Self::Action => "\"action\":",
            // Either of two fields.
            Self::Actor | Self::Resource => ":",
            Self::Tenant => "\"tenant_id\":",
            Self::Severity => "\"severity\":",
            Self::Outcome => "\"type\":",
            Self::Source => "\"source\":",
            Self::Address => "\"ip_address\":",
            Self::Session => "\"session_id\":",
            Self::Request => "\"request_id\":",
        }
    }
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
