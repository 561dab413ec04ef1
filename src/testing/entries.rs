//! Entries of a test's log, and assertions on them.

use std::{fmt, ops::Index, slice, sync::Arc, vec};

use serde::Serialize;
use serde_json::Value;

use crate::{RawEntry, Result};

/// Entries of a [`TestLog`](super::TestLog), in the order in which the log took them.
///
/// Each question narrows the list down, and an assertion that fails shows what the log has:
///
/// ```should_panic
/// # use tracing_audit::{AuditLog, audit};
/// # let log = AuditLog::for_tests();
/// log.run(|| audit!("payment.approved", actor.id = "ann", amount = 90));
/// // Panics: expected 1 entry of type payment.approved with details.amount = 100, found 0; the log has
/// //   payment.approved {"actor":{"type":"user","id":"ann"},"details":{"amount":90}}
/// log.entries().of_type("payment.approved").with("details.amount", 100).only();
/// ```
#[derive(Clone)]
pub struct TestEntries {
    all: Arc<[TestEntry]>,
    found: Vec<TestEntry>,
    /// The questions so far, for the message of an assertion that fails.
    asked: String,
}

impl TestEntries {
    pub(super) fn new(all: Vec<TestEntry>) -> Self {
        Self {
            found: all.clone(),
            all: all.into(),
            asked: String::new(),
        }
    }

    fn narrow(mut self, asked: &str, wanted: impl FnMut(&TestEntry) -> bool) -> Self {
        self.found.retain(wanted);
        self.asked.push(' ');
        self.asked.push_str(asked);
        self
    }

    /// The entries of this event type.
    #[must_use]
    pub fn of_type(self, event_type: &str) -> Self {
        self.narrow(&format!("of type {event_type}"), |entry| {
            entry.event_type() == event_type
        })
    }

    /// The entries of an actor with this id or this name.
    #[must_use]
    pub fn by_actor(self, actor: impl fmt::Display) -> Self {
        let actor = actor.to_string();
        self.narrow(&format!("by {actor}"), |entry| {
            entry.actor_id() == actor || entry.actor_name() == actor
        })
    }

    /// The entries on a resource of this type with this id.
    #[must_use]
    pub fn on_resource(self, resource_type: &str, id: impl fmt::Display) -> Self {
        let id = id.to_string();
        self.narrow(&format!("on {resource_type} {id}"), |entry| {
            entry.resource_type() == resource_type && entry.resource_id() == id
        })
    }

    /// The entries that have this value at this path, as in `.with("details.amount", 100)` or
    /// `.with("outcome.type", "failure")`. A number in the path is a place in a list.
    ///
    /// # Panics
    ///
    /// If the value can't be turned into JSON.
    #[must_use]
    #[track_caller]
    pub fn with(self, path: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value)
            .unwrap_or_else(|error| panic!("the value for {path} can't be made JSON: {error}"));
        let pointer = format!("/{}", path.replace('.', "/"));
        self.narrow(&format!("with {path} = {value}"), |entry| {
            entry.value.pointer(&pointer) == Some(&value)
        })
    }

    /// The one entry of the list.
    ///
    /// # Panics
    ///
    /// If there is none, or more than one.
    #[track_caller]
    pub fn only(self) -> TestEntry {
        self.exactly(1)[0].clone()
    }

    /// Asserts that the list is empty.
    ///
    /// # Panics
    ///
    /// If there is one.
    #[track_caller]
    pub fn none(self) {
        self.exactly(0);
    }

    /// Asserts the number of entries.
    ///
    /// # Panics
    ///
    /// If there are fewer or more.
    #[track_caller]
    pub fn exactly(self, count: usize) -> Self {
        let noun = if count == 1 { "entry" } else { "entries" };
        let (asked, found) = (&self.asked, self.found.len());
        assert!(
            found == count,
            "expected {count} {noun}{asked}, found {self:?}"
        );
        self
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Their event types in order, to be compared with `["job.started", "job.failed"]`.
    pub fn types(&self) -> Vec<String> {
        self.iter()
            .map(|entry| entry.event_type().into_owned())
            .collect()
    }

    /// All of them in order.
    pub fn iter(&self) -> slice::Iter<'_, TestEntry> {
        self.found.iter()
    }
}

impl<'a> IntoIterator for &'a TestEntries {
    type Item = &'a TestEntry;
    type IntoIter = slice::Iter<'a, TestEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for TestEntries {
    type Item = TestEntry;
    type IntoIter = vec::IntoIter<TestEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

impl Index<usize> for TestEntries {
    type Output = TestEntry;

    #[track_caller]
    fn index(&self, index: usize) -> &TestEntry {
        self.found
            .get(index)
            .unwrap_or_else(|| panic!("there is no entry {index}{}, found {self:?}", self.asked))
    }
}

/// Their number and what they say; where there is none, what the log has instead.
impl fmt::Debug for TestEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.found.len())?;
        let shown: &[TestEntry] = match self.found.as_slice() {
            [] if self.all.is_empty() => return f.write_str("; the log has no entries"),
            [] => {
                f.write_str("; the log has")?;
                &self.all
            }
            found => {
                f.write_str(":")?;
                found
            }
        };
        shown
            .iter()
            .try_for_each(|entry| write!(f, "\n  {entry:?}"))
    }
}

/// An entry of a [`TestLog`](super::TestLog): an [`RawEntry`] whose JSON can be indexed, as in
/// `entry["details"]["amount"]`. A missing value is `null`.
#[derive(Clone)]
pub struct TestEntry {
    entry: Arc<RawEntry>,
    value: Arc<Value>,
}

impl TestEntry {
    pub(super) fn parse(entry: RawEntry) -> Result<Self> {
        Ok(Self {
            value: Arc::new(entry.parse()?),
            entry: Arc::new(entry),
        })
    }

    /// Its JSON.
    pub fn json(&self) -> &Value {
        &self.value
    }
}

impl std::ops::Deref for TestEntry {
    type Target = RawEntry;

    fn deref(&self) -> &RawEntry {
        &self.entry
    }
}

impl Index<&str> for TestEntry {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.value[field]
    }
}

/// The event type, and of the JSON what a test can have asked for.
impl fmt::Debug for TestEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEFT_OUT: [&str; 9] = [
            "stream",
            "seq",
            "id",
            "timestamp",
            "schema_version",
            "event_type",
            "category",
            "action",
            "source",
        ];
        let fields = self.value.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
        let fields: serde_json::Map<_, _> = fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        write!(f, "{} {}", self.event_type(), Value::Object(fields))
    }
}
