//! The event types that a filter names.

use crate::error::{Error, Result};

/// Some event types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventTypes {
    One(Vec<u8>),
    /// Event types that begin with this text, which ends in a dot.
    Below(Vec<u8>),
}

impl EventTypes {
    fn parse(text: &str) -> Result<Self> {
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

    /// Whether it has all the event types of the other.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(prefix), Self::One(name) | Self::Below(name)) => name.starts_with(prefix),
            (Self::One(one), Self::One(other)) => one == other,
            (Self::One(_), Self::Below(_)) => false,
        }
    }

    /// The bytes with which the field begins.
    pub(super) fn beginning_of_field(&self) -> Vec<u8> {
        match self {
            Self::One(name) => [&b"\"event_type\":\""[..], name, b"\""].concat(),
            Self::Below(prefix) => [&b"\"event_type\":\""[..], prefix].concat(),
        }
    }

    pub(super) fn matches(&self, event_type: &[u8]) -> bool {
        match self {
            Self::One(name) => event_type == name,
            Self::Below(prefix) => event_type.starts_with(prefix),
        }
    }
}

/// The texts of event types in one form, without those that others have in them. `*` has all, for
/// which there is no text.
pub(super) fn canonical(mut texts: Vec<String>) -> Result<Vec<String>> {
    let count = texts.len();
    texts.retain(|text| text != "*");
    let all = texts.len() < count;
    let types = parse(&texts)?;
    if all {
        return Ok(Vec::new());
    }
    let is_covered = |one: &EventTypes| types.iter().any(|other| other != one && other.covers(one));
    let kept = texts
        .into_iter()
        .zip(&types)
        .filter(|(_, one)| !is_covered(one));
    Ok(kept.map(|(text, _)| text).collect())
}

/// Reads the texts, of which none is `*`.
pub(super) fn parse(texts: &[String]) -> Result<Vec<EventTypes>> {
    texts.iter().map(|text| EventTypes::parse(text)).collect()
}
