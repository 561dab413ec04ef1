//! The parts of an entry that are built as values: who acted, on what, with what outcome, and how
//! grave it is.

use std::{
    cell::Cell,
    fmt::{self, Display},
};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tracing_audit_schema::{
    Field,
    fields::{ACTOR_PARTS, OUTCOME_PARTS, RESOURCE_PARTS},
    severity,
};

use super::{
    buffer::Buffer,
    denied::names_of_log,
    json::{self, Presence},
};

/// The severity of an event.
///
/// ```
/// use tracing_audit::{Severity, audit};
///
/// fn severity_of(attempts: u32) -> Severity {
///     if attempts > 3 { Severity::Warning } else { Severity::Info }
/// }
///
/// # let attempts = 4;
/// audit!("auth.login.failed", severity = severity_of(attempts), attempts);
/// assert_eq!("critical".parse::<Severity>()?, Severity::Critical);
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Business as usual. The default.
    #[default]
    Info,
    /// Worth a look: a failed login, a setting made weaker.
    Warning,
    /// Something that should have worked failed.
    Error,
    /// Someone should act now.
    Critical,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; severity::NAMES.len()] =
        [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// As in an entry: `info`, `warning`, `error` or `critical`.
    pub const fn as_str(self) -> &'static str {
        severity::NAMES[self as usize]
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Severity {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, crate::Error> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| {
                crate::Error::invalid(
                    "severity",
                    format!("{text:?} is not one of {}", severity::NAMES.join(", ")),
                )
            })
    }
}

/// The fields of one part, rendered as JSON when they are given. 128 bytes are held in place, so a
/// usual part allocates nothing.
#[derive(Clone)]
pub(crate) struct PartJson<const N: usize> {
    json: SmallVec<[u8; 128]>,
    /// Where each field's value lies in `json`; empty if it was not given.
    fields: [(u32, u32); N],
}

impl<const N: usize> Default for PartJson<N> {
    fn default() -> Self {
        Self {
            json: SmallVec::new(),
            fields: [(0, 0); N],
        }
    }
}

impl<const N: usize> PartJson<N> {
    fn set(&mut self, field: usize, write: impl FnOnce(&mut Buffer) -> Presence) {
        thread_local! {
            /// Taken while it is written to, so that a part inside a part's value has another.
            static KEPT: Cell<Buffer> = const { Cell::new(Buffer::new()) };
        }
        const KEPT_CAPACITY: usize = 16 * 1024;
        let mut value = KEPT.try_with(Cell::take).unwrap_or_default();
        value.clear();
        value.set_names(names_of_log());
        if write(&mut value) == Presence::Present {
            self.put(field, &value);
        }
        if value.capacity() <= KEPT_CAPACITY {
            // At the thread's end there may be no place for it.
            let _ = KEPT.try_with(|kept| kept.set(value));
        }
    }

    fn set_str(&mut self, field: usize, text: &str) {
        // The usual string needs no escape and goes straight to its place.
        if text.len() <= Buffer::LONGEST
            && text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\')
        {
            let start = self.json.len();
            self.json.push(b'"');
            self.json.extend_from_slice(text.as_bytes());
            self.json.push(b'"');
            self.fields[field] = (start as u32, self.json.len() as u32);
        } else {
            self.set(field, |out| {
                json::write_str(out, text);
                Presence::Present
            });
        }
    }

    fn set_display(&mut self, field: usize, value: impl Display) {
        self.set(field, |out| {
            json::write_display(out, value);
            Presence::Present
        });
    }

    fn put(&mut self, field: usize, value: &[u8]) {
        let start = self.json.len();
        self.json.extend_from_slice(value);
        self.fields[field] = (start as u32, self.json.len() as u32);
    }

    pub(crate) fn field(&self, field: usize) -> Option<&[u8]> {
        let (start, end) = self.fields[field];
        (start < end).then(|| &self.json[start as usize..end as usize])
    }
}

/// The places of the fields in their tables. Those of a resource are those of an actor, and one
/// more.
mod field {
    use tracing_audit_schema::fields::{
        OUTCOME_ERROR, OUTCOME_PARTS, OUTCOME_REASON, RESOURCE_ATTRIBUTES, RESOURCE_ID,
        RESOURCE_NAME, RESOURCE_PARTS, RESOURCE_PRIOR_ATTRIBUTES, RESOURCE_TYPE, place,
    };

    pub(super) const TYPE: usize = place(&RESOURCE_PARTS, &RESOURCE_TYPE);
    pub(super) const ID: usize = place(&RESOURCE_PARTS, &RESOURCE_ID);
    pub(super) const NAME: usize = place(&RESOURCE_PARTS, &RESOURCE_NAME);
    pub(super) const ATTRIBUTES: usize = place(&RESOURCE_PARTS, &RESOURCE_ATTRIBUTES);
    pub(super) const PRIOR_ATTRIBUTES: usize = place(&RESOURCE_PARTS, &RESOURCE_PRIOR_ATTRIBUTES);
    pub(super) const REASON: usize = place(&OUTCOME_PARTS, &OUTCOME_REASON);
    pub(super) const ERROR: usize = place(&OUTCOME_PARTS, &OUTCOME_ERROR);
}

/// The one who acted: `actor` in an entry. Ids and names are whatever has a text: strings, numbers,
/// UUIDs.
///
/// ```
/// use tracing_audit::Actor;
///
/// let admin = Actor::user("user-456").name("admin@company.com");
/// let by_number = Actor::user(7_u64);
/// let job = Actor::service("nightly-scan").attributes(serde_json::json!({"host": "worker-3"}));
/// ```
#[derive(Clone)]
pub struct Actor(pub(crate) PartJson<4>);

impl Actor {
    /// An actor of any type: `user`, `service`, `system`, `api_key`, `anonymous`, or the
    /// application's own word.
    pub fn new(kind: &str, id: impl Display) -> Self {
        let mut part = PartJson::default();
        part.set_str(field::TYPE, kind);
        part.set_display(field::ID, id);
        Self(part)
    }

    /// A person.
    pub fn user(id: impl Display) -> Self {
        Self::new("user", id)
    }

    /// Another service.
    pub fn service(id: impl Display) -> Self {
        Self::new("service", id)
    }

    /// The system itself: a timer, a migration. It is recorded only where somebody says so; where
    /// nothing names the actor, its type is `unknown`.
    pub fn system(id: impl Display) -> Self {
        Self::new("system", id)
    }

    /// The holder of an API key, by the key's id (never the key).
    pub fn api_key(id: impl Display) -> Self {
        Self::new("api_key", id)
    }

    /// Somebody who did not say who they are, such as a visitor who is not logged in.
    pub fn anonymous() -> Self {
        let mut part = PartJson::default();
        part.set_str(field::TYPE, "anonymous");
        Self(part)
    }

    /// Its type, id and name; a text that wasn't given is empty.
    pub(crate) fn texts(&self) -> [String; 3] {
        [field::TYPE, field::ID, field::NAME].map(|field| {
            let json = self.0.field(field);
            json.and_then(|json| serde_json::from_slice(json).ok())
                .unwrap_or_default()
        })
    }

    /// The name by which people know the actor: an e-mail address, a login name.
    #[must_use]
    pub fn name(mut self, name: impl Display) -> Self {
        self.0.set_display(field::NAME, name);
        self
    }

    /// More about it: a map or struct.
    #[must_use]
    pub fn attributes(mut self, attributes: impl Serialize) -> Self {
        self.0
            .set(field::ATTRIBUTES, |out| json::write_value(out, &attributes));
        self
    }
}

/// The thing that was acted on: `resource` in an entry. Ids and names are as those of an [`Actor`].
///
/// ```
/// use tracing_audit::Resource;
///
/// let user = Resource::new("user", "user-7")
///     .name("bob")
///     .prior_attributes(["viewer"])
///     .attributes(["editor"]);
/// ```
#[derive(Clone)]
pub struct Resource(pub(crate) PartJson<5>);

impl Resource {
    /// The thing of this type with this id.
    pub fn new(kind: &str, id: impl Display) -> Self {
        let mut part = PartJson::default();
        part.set_str(field::TYPE, kind);
        part.set_display(field::ID, id);
        Self(part)
    }

    /// The name by which people know the resource.
    #[must_use]
    pub fn name(mut self, name: impl Display) -> Self {
        self.0.set_display(field::NAME, name);
        self
    }

    /// The state after the event: a map or struct.
    #[must_use]
    pub fn attributes(mut self, attributes: impl Serialize) -> Self {
        self.0
            .set(field::ATTRIBUTES, |out| json::write_value(out, &attributes));
        self
    }

    /// The state before the event: a map or struct.
    #[must_use]
    pub fn prior_attributes(mut self, attributes: impl Serialize) -> Self {
        self.0.set(field::PRIOR_ATTRIBUTES, |out| {
            json::write_value(out, &attributes)
        });
        self
    }
}

/// The outcome of an event: `outcome` in an entry.
///
/// ```
/// use tracing_audit::Outcome;
///
/// let denied = Outcome::failure("authorization", "role admin required");
/// ```
#[derive(Clone)]
pub struct Outcome(pub(crate) PartJson<3>);

impl Outcome {
    fn new(kind: &str) -> Self {
        let mut part = PartJson::default();
        part.set_str(field::TYPE, kind);
        Self(part)
    }

    /// The action succeeded.
    pub fn success() -> Self {
        Self::new("success")
    }

    /// The action failed. The reason is `authentication`, `authorization`, `validation`, `unknown`,
    /// or the application's own word; the error is text for people.
    pub fn failure(reason: &str, error: impl Display) -> Self {
        let mut outcome = Self::new("failure");
        outcome.0.set_str(field::REASON, reason);
        outcome.0.set_display(field::ERROR, error);
        outcome
    }

    /// The outcome is unknown.
    pub fn unknown() -> Self {
        Self::new("unknown")
    }

    /// Success or failure of a result, whose error is the text. The reason of a failure is
    /// `unknown`.
    pub fn of<T, E: Display>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::success(),
            Err(error) => Self::failure("unknown", error),
        }
    }
}

fn debug_fields<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    part: &PartJson<N>,
    fields: &[Field; N],
) -> fmt::Result {
    let mut debug = f.debug_struct(name);
    for (index, field) in fields.iter().enumerate() {
        if let Some(value) = part.field(index) {
            debug.field(
                field.name,
                &format_args!("{}", String::from_utf8_lossy(value)),
            );
        }
    }
    debug.finish()
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields(f, "Actor", &self.0, &ACTOR_PARTS)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields(f, "Resource", &self.0, &RESOURCE_PARTS)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields(f, "Outcome", &self.0, &OUTCOME_PARTS)
    }
}
