//! The catalogue: which event types there are, with their fields, and where in the source they are
//! recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing_audit_schema::{
    fields::{FIELDS, in_map},
    secret_names::path_looks_secret,
};

use super::{
    Severity,
    denied::{FieldNames, is_path_denied},
};

/// The event type, in the catalogue, of the events whose own one is only known at run time.
pub(crate) const DYNAMIC: &str = "*";

/// What one call of `audit!` says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) severity: Severity,
    pub(crate) description: &'a str,
    /// A line for each field: its path, its kind and, if it is masked, hashed or insisted on, that,
    /// with spaces between them.
    pub(crate) fields: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) module: &'a str,
}

/// The kind of values of a field, as far as the source tells.
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
    /// Nothing is known: the source doesn't tell the type.
    Any,
}

impl FieldKind {
    fn parse(text: &str) -> Self {
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

    /// What a value of either kind is.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Any,
        }
    }

    /// Whether each value of `other` is one of these.
    fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other || (self, other) == (Self::Number, Self::Integer)
    }

    fn schema(self) -> Value {
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

/// The form in which a field that looks like a secret is recorded, as far as the source tells.
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
    fn of(path: &str, how: Option<&str>, names: Option<&FieldNames>) -> Option<Self> {
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
    event_type: String,
    severities: BTreeSet<Severity>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    descriptions: BTreeSet<String>,
    #[serde(default)]
    fields: BTreeMap<String, FieldKind>,
    /// Of those, the ones that look like secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    looks_secret: BTreeMap<String, SecretForm>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sources: BTreeSet<String>,
    locations: BTreeSet<Location>,
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

    fn merge(&mut self, other: &Self) {
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

    fn add_fields(&mut self, lines: &str, names: Option<&FieldNames>) {
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

    /// The JSON Schema (2020-12) of this event type's entries, as far as the source tells. A field
    /// that looks like a secret has the annotation `"looks_secret": true`, and `recorded` says how
    /// (`redacted`, `hashed`, `masked` or `clear`).
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
                            "description": "Only of an ordinary event of tracing, which any crate in the program can write.",
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

/// The event types of a program, or of all that write into one directory, in alphabetical order.
///
/// As JSON (`serde`) it is a list of entries.
///
/// ```
/// use tracing_audit::{audit, catalogue};
///
/// # fn create() {
/// audit!("user.created", resource.type = "user", invited = true, "User created");
/// # }
/// let catalogue = catalogue(); // no call has to run for it
/// let created = catalogue.get("user.created").expect("a call above records it");
/// assert_eq!(created.description(), Some("User created"));
/// assert!(created.fields().any(|(path, kind)| path == "details.invited" && kind.to_string() == "boolean"));
/// for place in created.locations() {
///     println!("{}:{}", place.file, place.line);
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<CatalogueEntry>", into = "Vec<CatalogueEntry>")]
pub struct Catalogue {
    /// In order, each type once.
    entries: Vec<CatalogueEntry>,
}

/// In whatever order a file has them.
impl From<Vec<CatalogueEntry>> for Catalogue {
    fn from(entries: Vec<CatalogueEntry>) -> Self {
        Self::merge(entries)
    }
}

impl From<Catalogue> for Vec<CatalogueEntry> {
    fn from(catalogue: Catalogue) -> Self {
        catalogue.entries
    }
}

impl Catalogue {
    /// What the sites record, into a log with these names.
    pub(crate) fn gather<'a>(
        sites: impl Iterator<Item = Described<'a>>,
        names: Option<&FieldNames>,
    ) -> Self {
        Self::merge(sites.map(|site| {
            let mut entry = CatalogueEntry {
                event_type: site.event_type.to_owned(),
                severities: BTreeSet::from([site.severity]),
                descriptions: Some(site.description.to_owned())
                    .filter(|text| !text.is_empty())
                    .into_iter()
                    .collect(),
                fields: BTreeMap::new(),
                looks_secret: BTreeMap::new(),
                sources: BTreeSet::new(),
                locations: BTreeSet::from([Location {
                    file: site.file.to_owned(),
                    line: site.line,
                    module: site.module.to_owned(),
                }]),
            };
            entry.add_fields(site.fields, names);
            entry
        }))
    }

    fn merge(entries: impl IntoIterator<Item = CatalogueEntry>) -> Self {
        let mut merged: BTreeMap<String, CatalogueEntry> = BTreeMap::new();
        for entry in entries {
            match merged.get_mut(&entry.event_type) {
                Some(known) => known.merge(&entry),
                None => drop(merged.insert(entry.event_type.clone(), entry)),
            }
        }
        Self {
            entries: merged.into_values().collect(),
        }
    }

    /// One of several sources'.
    pub(crate) fn of_sources(sources: BTreeMap<String, Self>) -> Self {
        Self::merge(sources.into_iter().flat_map(|(source, catalogue)| {
            catalogue.entries.into_iter().map(move |mut entry| {
                entry.sources.insert(source.clone());
                entry
            })
        }))
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = &CatalogueEntry> {
        self.entries.iter()
    }

    /// The number of event types.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of an event type.
    pub fn get(&self, event_type: &str) -> Option<&CatalogueEntry> {
        self.entries
            .binary_search_by(|entry| entry.event_type.as_str().cmp(event_type))
            .ok()
            .and_then(|at| self.entries.get(at))
    }

    /// What in `newer` breaks those who read entries by this catalogue: an event type or a field
    /// that is gone, a field of another kind. One sentence each; empty if nothing does. What was
    /// added breaks nobody.
    ///
    /// ```
    /// # use tracing_audit::{catalogue, catalogue::Catalogue};
    /// # let committed: Catalogue = serde_json::from_str("[]").unwrap();
    /// // In a test of the application, against a file in its repository:
    /// assert_eq!(committed.breaking_changes(&catalogue()), Vec::<String>::new());
    /// ```
    pub fn breaking_changes(&self, newer: &Self) -> Vec<String> {
        let mut breaking = Vec::new();
        for entry in &self.entries {
            let event_type = &entry.event_type;
            let Some(now) = newer.get(event_type) else {
                breaking.push(format!("{event_type}: the event type is gone"));
                continue;
            };
            for (path, kind) in &entry.fields {
                match now.fields.get(path) {
                    None => breaking.push(format!("{event_type}: the field {path} is gone")),
                    Some(now) if !kind.covers(*now) => breaking.push(format!(
                        "{event_type}: the field {path} was {kind} and is {now}"
                    )),
                    Some(_) => {}
                }
            }
        }
        breaking
    }

    /// A table in Markdown.
    pub fn to_markdown(&self) -> String {
        // Only a bar, a line end and what Markdown reads as HTML can leave a cell.
        let cell = |text: &str| {
            text.replace('|', "\\|")
                .replace('<', "&lt;")
                .replace(['\n', '\r'], " ")
        };
        let mut text = String::from(
            "| event type | severity | description | fields | where |\n|---|---|---|---|---|\n",
        );
        for entry in &self.entries {
            let severities: Vec<_> = entry
                .severities
                .iter()
                .map(|severity| severity.as_str())
                .collect();
            let fields: Vec<_> = entry
                .fields
                .iter()
                .map(|(path, kind)| match entry.looks_secret(path) {
                    None => format!("`{path}` {kind}"),
                    Some(form) => format!("`{path}` {kind} (looks secret: {form})"),
                })
                .collect();
            let places: Vec<_> = entry
                .locations
                .iter()
                .map(|place| format!("{}:{}", place.file, place.line))
                .collect();
            let row = [
                format!("`{}`", entry.event_type),
                severities.join(", "),
                entry.description().unwrap_or_default().to_owned(),
                fields.join(", "),
                places.join(", "),
            ];
            text.push_str(&format!(
                "| {} |\n",
                row.map(|text| cell(&text)).join(" | ")
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site<'a>(event_type: &'a str, fields: &'a str) -> Described<'a> {
        Described {
            event_type,
            severity: Severity::Info,
            description: "Did <it> | so",
            fields,
            file: "src/a.rs",
            line: 7,
            module: "a",
        }
    }

    #[test]
    fn calls_of_one_type_are_one_entry() {
        let warning = Described {
            severity: Severity::Warning,
            description: "",
            line: 9,
            ..site("a.b", "details.n number\ndetails.x list")
        };
        let sites = [
            site("b.c", ""),
            site("a.b", "details.n integer\nactor.id text\ndetails.x text"),
            warning,
        ];
        let catalogue = Catalogue::gather(sites.into_iter(), None);
        assert_eq!(
            catalogue
                .iter()
                .map(CatalogueEntry::event_type)
                .collect::<Vec<_>>(),
            ["a.b", "b.c"]
        );
        let entry = catalogue.get("a.b").unwrap();
        assert_eq!(
            entry.severities().collect::<Vec<_>>(),
            [Severity::Info, Severity::Warning]
        );
        let fields: Vec<_> = entry.fields().collect();
        assert_eq!(
            fields,
            [
                ("actor.id", FieldKind::Text),
                ("details.n", FieldKind::Number),
                ("details.x", FieldKind::Any)
            ]
        );
        assert_eq!(
            entry
                .locations()
                .map(|place| place.line)
                .collect::<Vec<_>>(),
            [7, 9]
        );
        let read: Catalogue =
            serde_json::from_str(&serde_json::to_string(&catalogue).unwrap()).unwrap();
        assert_eq!(read, catalogue);
        assert!(catalogue.to_markdown().contains(
            "| `a.b` | info, warning | Did &lt;it> \\| so | `actor.id` text, `details.n` number"
        ));
    }

    #[test]
    fn what_breaks_readers_is_said() {
        let of = |sites: &[(&'static str, &'static str)]| {
            Catalogue::gather(sites.iter().map(|(kind, fields)| site(kind, fields)), None)
        };
        let old = of(&[
            ("a.gone", ""),
            (
                "a.b",
                "details.n integer\ndetails.any any\ndetails.gone text\ndetails.num number",
            ),
        ]);
        let new = of(&[
            (
                "a.b",
                "details.n text\ndetails.any text\ndetails.new text\ndetails.num integer",
            ),
            ("a.new", ""),
        ]);
        let expected = [
            "a.b: the field details.gone is gone",
            "a.b: the field details.n was integer and is text",
            "a.gone: the event type is gone",
        ];
        assert_eq!(old.breaking_changes(&new), expected);
        assert!(new.breaking_changes(&new).is_empty());
    }

    #[test]
    fn a_schema_has_the_fields_where_they_are() {
        let catalogue = Catalogue::gather(
            [site(
                "a.b",
                "details.a.b integer\ndetails.a.c text\ntags list",
            )]
            .into_iter(),
            None,
        );
        let schema = catalogue.get("a.b").unwrap().json_schema();
        assert_eq!(schema["properties"]["event_type"], json!({"const": "a.b"}));
        assert_eq!(
            schema["properties"]["details"]["properties"]["a"]["properties"]["b"],
            json!({"type": "integer"})
        );
        assert_eq!(schema["properties"]["tags"], json!({"type": "array"}));
    }

    #[test]
    fn a_field_that_looks_like_a_secret_is_marked() {
        let fields = [
            "actor.name text hashed",
            "actor.attributes.pin integer",
            "details.email text masked",
            "details.jwt any clear",
            "details.note any",
            "details.note_id any",
            "details.password.length integer",
            "details.token text masked",
            "details.token_count integer",
        ]
        .join("\n");
        let gather = |names| {
            Catalogue::gather(
                [site("a.b", &fields), site("b.c", &fields)].into_iter(),
                names,
            )
        };
        let forms = |catalogue: &Catalogue| {
            let entry = catalogue.get("a.b").unwrap();
            let forms = entry.looks_secret.iter();
            forms
                .map(|(path, form)| format!("{path} {} {form}", entry.fields[path]))
                .collect::<Vec<_>>()
        };
        let plain = gather(None);
        assert_eq!(
            forms(&plain),
            [
                "actor.attributes.pin text redacted",
                "details.jwt any clear",
                "details.password.length text redacted",
                "details.token text masked",
            ]
        );
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let names = FieldNames::leak(&owned(&["note", "email", "name"]), &owned(&["pin"])).unwrap();
        assert_eq!(
            forms(&gather(names)),
            [
                "actor.attributes.pin integer clear",
                "details.email text masked",
                "details.jwt any clear",
                "details.note text redacted",
                "details.password.length text redacted",
                "details.token text masked",
            ]
        );
        // Where calls differ, the mark says what shows the most.
        let both = [
            site("a.b", "details.pin any"),
            site("a.b", "details.pin text hashed"),
        ];
        let both = Catalogue::gather(both.into_iter(), None);
        assert_eq!(forms(&both), ["details.pin text hashed"]);

        let schema = plain.get("a.b").unwrap().json_schema();
        let details = &schema["properties"]["details"]["properties"];
        assert_eq!(
            details["token"],
            json!({"type": "string", "looks_secret": true, "recorded": "masked"})
        );
        assert_eq!(details["token_count"], json!({"type": "integer"}));
        let row = plain.to_markdown();
        assert!(
            row.contains("`details.token` text (looks secret: masked), "),
            "{row}"
        );
        let read: Catalogue = serde_json::from_value(json!(plain)).unwrap();
        assert_eq!(read, plain);
        assert_eq!(json!(plain)[0]["looks_secret"]["details.jwt"], "clear");
    }
}
