//! Fields that are not shown for the sake of their names.
//!
//! [`secret_names`](super::secret_names) knows which names look like secrets. An application can
//! deny more names and allow some, for one log: [`FieldNames`]. What a log allows is asked where a
//! value would be hidden. What it denies is hidden when its entry is rendered, see
//! [`hide`](super::hide).

use std::sync::OnceLock;

use super::secret_names::{SECRETS, Telling, has_rule, is_part, looks_secret, next_word};
use crate::{Error, Result};

/// What stands in the place of a value that is not shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// The same as JSON.
pub(crate) const REDACTED_JSON: &[u8] = b"\"[redacted]\"";

/// Names of fields whose values are not shown, in `details`, `attributes` and whatever is in them:
/// `[redacted]` stands in their place.
///
/// Each is a word or a run of words. It matches a name that has it among its words, which are what
/// stands between `_`, `-`, `.`, digits and changes of case: `user_password`, `cardNumber`, `PIN2`;
/// plurals match as well, and runs that are written together (`apikey`). A name whose last word says
/// that the value is something about the secret is shown: `token_count`, `secret_id`,
/// `password_changed_at`; and so is one that begins with `has`, `is`, `max` and the like.
///
/// A value that is [`mask`](crate::mask)ed or [`hashed`](crate::hashed) is shown so where it is the
/// field itself; [`unredacted`](crate::unredacted) shows any. An application can deny more names
/// and allow some: [`deny_fields`](crate::AuditLogBuilder::deny_fields),
/// [`allow_fields`](crate::AuditLogBuilder::allow_fields).
pub const DENIED_FIELDS: &[&str] = &SECRETS;

/// The names that a log denies or allows beside [`DENIED_FIELDS`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldNames {
    /// As rules: in small letters, the words apart.
    denied: Vec<String>,
    /// Letters of each of them, if all have as many.
    telling: Option<Telling>,
    /// In small letters, written together.
    allowed: Vec<String>,
}

impl FieldNames {
    /// `None` without any names. They stay for the process's life, so that threads can point to
    /// them.
    pub(crate) fn leak(denied: &[String], allowed: &[String]) -> Result<Option<&'static Self>> {
        for name in denied {
            check("deny_fields", name)?;
            if OWN.contains(&name.as_str()) {
                return Err(Error::invalid(
                    "deny_fields",
                    format!(
                        "`{name}` is a field of the log's own, and is recorded if an event or its context has it; only names in `details` \
                         and `attributes` can be denied"
                    ),
                ));
            }
        }
        for name in allowed {
            check("allow_fields", name)?;
            if denied
                .iter()
                .any(|denied| together(denied) == together(name))
            {
                return Err(Error::invalid(
                    "allow_fields",
                    format!("`{name}` is denied as well; leave one of the two out"),
                ));
            }
        }
        if denied.is_empty() && allowed.is_empty() {
            return Ok(None);
        }
        let denied: Vec<String> = denied.iter().map(|name| as_rule(name)).collect();
        Ok(Some(Box::leak(Box::new(Self {
            telling: telling(&denied),
            denied,
            allowed: allowed.iter().map(|name| together(name)).collect(),
        }))))
    }

    fn allows(&self, name: &[u8]) -> bool {
        let letters = || {
            let parts = name.iter().filter(|byte| is_part(**byte));
            parts.map(u8::to_ascii_lowercase)
        };
        self.allowed
            .iter()
            .any(|allowed| letters().eq(allowed.bytes()))
    }

    /// Whether the log denies any names of its own.
    pub(crate) fn denies_more(&self) -> bool {
        !self.denied.is_empty()
    }

    /// Whether it denies this one, going by those alone.
    pub(crate) fn denies_also(&self, name: &[u8]) -> bool {
        self.telling
            .as_ref()
            .is_none_or(|telling| telling.are_in(name))
            && has_rule(name, &self.denied)
            && !self.allows(name)
    }
}

/// Fields of an entry that no name in `details` is meant by.
const OWN: [&str; 10] = [
    "tenant_id",
    "ip_address",
    "user_agent",
    "description",
    "tags",
    "session_id",
    "request_id",
    "trace_id",
    "span_id",
    "details",
];

fn check(setting: &str, name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "a name is empty; leave it out".to_owned()
    } else if name.contains('.') {
        format!("`{name}` is a path; give the name of the field alone, it holds wherever that is")
    } else if let Some(character) = name.chars().find(|c| !is_of_name(*c)) {
        format!(
            "{name:?} is not the name of a field: it has a {character:?}; write letters, digits, `_` and `-`"
        )
    } else if !name.chars().any(char::is_alphabetic) {
        format!("`{name}` is not the name of a field: it has no letter")
    } else {
        return Ok(());
    };
    Err(Error::invalid(setting, wrong))
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// A name as a rule: its words.
fn as_rule(name: &str) -> String {
    let mut rest = name.as_bytes();
    let mut words = Vec::new();
    while let Some(word) = next_word(&mut rest) {
        words.push(String::from_utf8_lossy(word).to_ascii_lowercase());
    }
    words.join(" ")
}

/// A name without what is between its words.
fn together(name: &str) -> String {
    as_rule(name).replace(' ', "")
}

/// Three letters of each rule, unless one has no three that stand together.
fn telling(rules: &[String]) -> Option<Telling> {
    let mut telling = Telling::none();
    for rule in rules {
        let mut words = rule
            .split(' ')
            .filter_map(|word| word.as_bytes().first_chunk());
        telling.add(words.find(|first: &&[u8; 3]| !first.iter().any(u8::is_ascii_digit))?);
    }
    Some(telling)
}

/// Whether a field of this name is not shown, going by [`DENIED_FIELDS`] and what a log allows.
#[inline]
pub(crate) fn is_denied(name: &[u8], names: Option<&FieldNames>) -> bool {
    looks_secret(name) && !names.is_some_and(|names| names.allows(name))
}

/// How to find the names of the log that would take an event now, once a log has any.
static OF_LOG: OnceLock<fn() -> Option<&'static FieldNames>> = OnceLock::new();

/// From now on `of_log` is asked for the names of what is rendered before its entry is.
pub(crate) fn ask_log(of_log: fn() -> Option<&'static FieldNames>) {
    // It is the same function each time.
    let _ = OF_LOG.set(of_log);
}

/// The names of the log that would take an event now.
pub(crate) fn names_of_log() -> Option<&'static FieldNames> {
    OF_LOG.get().and_then(|of_log| of_log())
}

#[cfg(test)]
#[path = "denied_tests.rs"]
mod tests;
