//! Fields whose values are not recorded because of their names.
//!
//! `tracing_audit_schema::secret_names` knows which names look like secrets. An application can
//! deny more names and allow some for one log, see [`FieldNames`]. Whether the log allows a name is
//! asked at the moment when its value would be hidden. Names that only the log denies are hidden
//! after an entry has been rendered, see [`hide`](super::hide).

use std::sync::OnceLock;

use tracing_audit_schema::{
    Kind, fields,
    secret_names::{
        SECRETS, Telling, has_rule, has_rule_across, has_secret_name, is_part, looks_secret,
        looks_secret_in, may_end_secret, next_word,
    },
};

use crate::{Error, Result};

/// The text in place of a value that is not shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// The same as JSON.
pub(crate) const REDACTED_JSON: &[u8] = b"\"[redacted]\"";

/// The field names whose values are not recorded in `details` and `attributes`, at any depth:
/// `[redacted]` stands in their place.
///
/// Each entry of the list is a word or a run of words, and denies every name that has it among its
/// words. A name is split into words at `_`, `-` and `.`, after digits and at changes of case, so
/// `token` denies `refresh_token`, `userToken`, `tokens` and `TOKEN2`, and `pin` does not deny
/// `spin`. A run of words also matches when it is written together (`apikey`), and when its first
/// words end the name of an object and the others begin that of a member: `api.key = …`, or the
/// field `number` of a `card`.
///
/// A name passes if its last word says that the value is something about the secret, and not the
/// secret: `token_count`, `secret_id`, `password_changed_at`, `secrets_found`. So does a name that
/// begins with a word such as `has`, `is`, `max` or `total`: `has_password`, `max_tokens`.
///
/// A field that is a [`mask`](crate::mask)ed or a [`hashed`](crate::hashed) value is recorded so
/// whatever its name, and an [`unredacted`](crate::unredacted) value is recorded as it is. A log
/// can deny more names and allow some: [`deny_fields`](crate::AuditLogBuilder::deny_fields),
/// [`allow_fields`](crate::AuditLogBuilder::allow_fields).
pub const DENIED_FIELDS: &[&str] = &SECRETS;

/// The names that a log denies and allows in addition to [`DENIED_FIELDS`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldNames {
    /// As rules: in lower case, with a space between two words.
    denied: Vec<String>,
    /// Letters of each denied name; `None` if a name is too short for that.
    telling: Option<Telling>,
    /// In lower case, without anything between the words.
    allowed: Vec<String>,
}

impl FieldNames {
    /// `None` if there are no names. The names are kept as long as the process runs, so that each
    /// thread can refer to them without counting.
    pub(crate) fn leak(denied: &[String], allowed: &[String]) -> Result<Option<&'static Self>> {
        for name in denied {
            check("deny_fields", name)?;
            if is_own(name) {
                return Err(Error::invalid(
                    "deny_fields",
                    format!(
                        "`{name}` is one of an entry's own fields, and only details and attributes \
                         can be denied; leave it out here, and give events and contexts no `{name}`"
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
                    format!(
                        "`{name}` is given to `deny_fields` as well; leave it out of one of the two"
                    ),
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
        self.allows_in(b"", name)
    }

    /// Whether it allows the name that an object's and a member's name are together.
    fn allows_in(&self, object: &[u8], member: &[u8]) -> bool {
        let letters = || {
            let names = object.iter().chain(member);
            let parts = names.filter(|byte| is_part(**byte));
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

    /// Whether the log denies this name itself, whatever [`DENIED_FIELDS`] says.
    pub(crate) fn denies_also(&self, name: &[u8]) -> bool {
        self.telling
            .as_ref()
            .is_none_or(|telling| telling.are_in(name))
            && has_rule(name, &self.denied)
            && !self.allows(name)
    }

    /// Whether the log denies a member of an object itself because of both names together.
    pub(crate) fn denies_also_in(&self, object: &[u8], member: &[u8]) -> bool {
        has_rule_across(object, member, &self.denied) && !self.allows_either(object, member)
    }

    /// Whether the log denies a field at this path itself: because of one of its names, or of two
    /// neighbours together.
    pub(crate) fn denies_path_also(&self, path: &str) -> bool {
        let names = || path.split('.').map(str::as_bytes);
        names().any(|name| self.denies_also(name))
            || names()
                .zip(names().skip(1))
                .any(|(object, member)| self.denies_also_in(object, member))
    }

    fn allows_either(&self, object: &[u8], member: &[u8]) -> bool {
        self.allows(member) || self.allows_in(object, member)
    }
}

/// Whether a name is one of an entry's own fields, which are recorded whatever the log denies.
fn is_own(name: &str) -> bool {
    let mut own = fields::of_one_word().filter(|field| field.kind != Kind::Object);
    own.any(|field| field.name == name)
}

fn check(setting: &str, name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "a name is empty; leave it out".to_owned()
    } else if let Some((_, last)) = name.rsplit_once('.') {
        format!("`{name}` is a path, and a name holds at any depth; write `{last}`")
    } else if let Some(character) = name.chars().find(|c| !is_of_name(*c)) {
        format!(
            "{name:?} is not a field's name, because it has {character:?} in it; use letters, \
             digits, `_` and `-`"
        )
    } else if !name.chars().any(char::is_alphabetic) {
        format!("`{name}` is not a field's name, because it has no letter")
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

/// Three letters of each rule; `None` if a rule has no word of three letters.
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

/// Whether [`DENIED_FIELDS`] denies a name that the log does not allow.
#[inline]
pub(crate) fn is_denied(name: &[u8], names: Option<&FieldNames>) -> bool {
    looks_secret(name) && !names.is_some_and(|names| names.allows(name))
}

/// Whether [`DENIED_FIELDS`] denies a member of an object, by its own name or together with that of
/// the object, and the log does not allow it.
#[inline]
pub(crate) fn is_member_denied<'a>(
    member: &[u8],
    names: Option<&FieldNames>,
    object: impl FnOnce() -> &'a [u8],
) -> bool {
    if is_denied(member, names) {
        return true;
    }
    if !may_end_secret(member) {
        return false;
    }
    let object = object();
    looks_secret_in(object, member)
        && !names.is_some_and(|names| names.allows_either(object, member))
}

/// Whether [`DENIED_FIELDS`] denies a field at this path, because of one of its names or of two
/// neighbours together that the log does not allow.
pub(crate) fn is_path_denied(path: &str, names: Option<&FieldNames>) -> bool {
    has_secret_name(path, |name| {
        names.is_some_and(|names| names.allows(name.as_bytes()))
    })
}

/// Finds the names of the log that would take an event now. Set by the first log that has names.
static OF_LOG: OnceLock<fn() -> Option<&'static FieldNames>> = OnceLock::new();

/// From now on `of_log` says which names hold for values that are rendered before their entry.
pub(crate) fn ask_log(of_log: fn() -> Option<&'static FieldNames>) {
    // The function is the same each time.
    let _ = OF_LOG.set(of_log);
}

/// The names of the log that would take an event now.
pub(crate) fn names_of_log() -> Option<&'static FieldNames> {
    OF_LOG.get().and_then(|of_log| of_log())
}

#[cfg(test)]
#[path = "denied_tests.rs"]
mod tests;
