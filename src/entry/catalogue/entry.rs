//! One event type of the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing_audit_schema::fields::FIELDS;

use super::{
    DYNAMIC,
    field::{FieldKind, SecretForm},
};
use crate::entry::{Severity, denied::FieldNames};

/// A place in the source where an event is recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Location {
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The module.
    pub module: String,
}

/// An event type: its fields, its severity, its places in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    pub(super) event_type: String,
    pub(super) severities: BTreeSet<Severity>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) descriptions: BTreeSet<String>,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, FieldKind>,
    /// Of those, the ones that look like secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) looks_secret: BTreeMap<String, SecretForm>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) sources: BTreeSet<String>,
    pub(super) locations: BTreeSet<Location>,
}

impl CatalogueEntry {
    /// The event type; `*` stands for those that are only known at run time, of all calls like
    /// `audit!(dyn kind, …)`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Whether the event type is only known at run time.
    pub fn is_dynamic(&self) -> bool {
        self.event_type == DYNAMIC
    }

    /// The severities it is recorded with; one, if all calls agree.
    pub fn severities(&self) -> impl Iterator<Item = Severity> {
        self.severities.iter().copied()
    }

    /// The message, as it is written in the source; of several, the first in alphabetical order.
    pub fn description(&self) -> Option<&str> {
        self.descriptions.first().map(String::as_str)
    }

    /// The fields that calls set, by their paths in the entry: `details.mode`. A call may leave
    /// some out.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldKind)> {
        self.fields
            .iter()
            .map(|(path, kind)| (path.as_str(), *kind))
    }

    /// The form in which a field is recorded whose name looks like that of a secret; `None` for any
    /// other field.
    /// Where calls differ, what shows the most.
    ///
    /// ```
    /// # use tracing_audit::{audit, catalogue, mask, catalogue::SecretForm};
    /// # let token = "abcdefghijklmno";
    /// audit!("key.used", token = mask(token, 5), pin = 1234, pin_attempts = 1);
    ///
    /// let catalogue = catalogue();
    /// let used = catalogue.get("key.used").expect("it is in the program");
    /// assert_eq!(used.looks_secret("details.token"), Some(SecretForm::Masked));
    /// assert_eq!(used.looks_secret("details.pin"), Some(SecretForm::Redacted));
    /// assert_eq!(used.looks_secret("details.pin_attempts"), None);
    /// ```
    pub fn looks_secret(&self, path: &str) -> Option<SecretForm> {
        self.looks_secret.get(path).copied()
    }

    /// The sources that record it, in a catalogue that was read from a log's directory.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(String::as_str)
    }

    /// The places where the event is recorded.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.locations.iter()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.severities.extend(&other.severities);
        self.descriptions.extend(other.descriptions.iter().cloned());
        for (path, kind) in &other.fields {
            self.fields
                .entry(path.clone())
                .and_modify(|known| *known = known.or(*kind))
                .or_insert(*kind);
        }
        for (path, form) in &other.looks_secret {
            self.looks_secret
                .entry(path.clone())
                .and_modify(|known| *known = (*known).max(*form))
                .or_insert(*form);
        }
        self.sources.extend(other.sources.iter().cloned());
        self.locations.extend(other.locations.iter().cloned());
    }

    pub(super) fn add_fields(&mut self, lines: &str, names: Option<&FieldNames>) {
        for line in lines.lines() {
            let mut words = line.split(' ');
            let (Some(path), Some(kind)) = (words.next(), words.next()) else {
                continue;
            };
            let form = SecretForm::of(path, words.next(), names);
            let kind = if form == Some(SecretForm::Redacted) {
                FieldKind::Text
            } else {
                FieldKind::parse(kind)
            };
            self.fields.insert(path.to_owned(), kind);
            if let Some(form) = form {
                self.looks_secret.insert(path.to_owned(), form);
            }
        }
    }

    /// The JSON Schema (2020-12) of this event type's entries, as far as the source shows it. A
    /// field that looks like a secret has the annotation `"looks_secret": true`, and `recorded`
    /// says how (`redacted`, `hashed`, `masked` or `clear`).
    pub fn json_schema(&self) -> Value {
        let required = FIELDS.iter().filter(|field| field.required);
        let required: Vec<_> = required.map(|field| field.name).collect();
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.event_type,
            "type": "object",
            "required": required,
            "properties": {
                "event_type": if self.is_dynamic() {
                    json!({"type": "string"})
                } else {
                    json!({"const": self.event_type})
                },
                "severity": {"enum": self.severities},
                "context": {
                    "type": "object",
                    "properties": {
                        "captured": {
                            "const": "tracing",
                            "description": "Only of an ordinary event of tracing, which any crate \
                                            in the program can write.",
                        },
                        "module": {
                            "type": "string",
                            "description": "The module that wrote it. Only with captured.",
                        },
                    },
                },
            },
        });
        if let Some(description) = self.description() {
            schema["description"] = description.into();
        }
        for (path, kind) in &self.fields {
            let mut at = &mut schema;
            let mut segments = path.split('.').peekable();
            while let Some(segment) = segments.next() {
                let properties = at.as_object_mut().map(|object| {
                    object
                        .entry("properties")
                        .or_insert_with(|| Map::new().into())
                });
                let Some(properties) = properties.and_then(Value::as_object_mut) else {
                    break;
                };
                let last = segments.peek().is_none();
                let place = properties.entry(segment).or_insert_with(|| {
                    if last {
                        kind.schema()
                    } else {
                        json!({"type": "object"})
                    }
                });
                at = place;
                if last && let Some(form) = self.looks_secret(path) {
                    at["looks_secret"] = true.into();
                    at["recorded"] = form.to_string().into();
                }
            }
        }
        schema
    }
}
