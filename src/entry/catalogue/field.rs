//! A field in the catalogue: its kind, and how it is recorded if it looks like a secret.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing_audit_schema::{fields::in_map, secret_names::path_looks_secret};

use crate::entry::denied::{FieldNames, is_path_denied};

/// The kind of values of a field, as far as the source shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FieldKind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array.
    List,
    /// An object.
    Object,
    /// Unknown: the source doesn't show the type.
    Any,
}

impl FieldKind {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "list" => Self::List,
            "object" => Self::Object,
            _ => Self::Any,
        }
    }

    /// The kind of a value that is of one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Any,
        }
    }

    /// Whether each value of `other` is one of these.
    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other || (self, other) == (Self::Number, Self::Integer)
    }

    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::List => json!({"type": "array"}),
            Self::Object => json!({"type": "object"}),
            Self::Any => json!({}),
        }
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Object => "object",
            Self::Any => "any",
        })
    }
}

/// The form in which a field that looks like a secret is recorded, as far as the source shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SecretForm {
    /// As `[redacted]`.
    Redacted,
    /// As a keyed hash: [`hashed`](crate::hashed).
    Hashed,
    /// As its first characters: [`mask`](crate::mask).
    Masked,
    /// As it is: [`unredacted`](crate::unredacted), or because the log allows the name.
    Clear,
}

impl SecretForm {
    /// That of a field whose name is denied, here or by a log's names; `None` of another field.
    pub(super) fn of(path: &str, how: Option<&str>, names: Option<&FieldNames>) -> Option<Self> {
        let denied_by_log =
            names.is_some_and(|names| in_map(path).is_some_and(|own| names.denies_path_also(own)));
        if !denied_by_log && !path_looks_secret(path) {
            return None;
        }
        Some(match how {
            Some("hashed") => Self::Hashed,
            Some("masked") => Self::Masked,
            None if denied_by_log || is_path_denied(path, names) => Self::Redacted,
            _ => Self::Clear,
        })
    }
}

impl fmt::Display for SecretForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redacted => "redacted",
            Self::Hashed => "hashed",
            Self::Masked => "masked",
            Self::Clear => "clear",
        })
    }
}
