//! The catalogue: which event types there are, with their fields, and where in the source they are
//! recorded.

mod entry;
mod field;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::{
    entry::{CatalogueEntry, Location},
    field::{FieldKind, SecretForm},
};
use super::{Severity, denied::FieldNames};

/// The event type, in the catalogue, of the events whose own one is only known at run time.
pub(crate) const DYNAMIC: &str = "*";

/// The description of one call of `audit!`.
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
/// let mut fields = created.fields();
/// assert!(fields.any(|(path, kind)| path == "details.invited" && kind.to_string() == "boolean"));
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
    /// The event types that the sites record, into a log with these names.
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

    /// The catalogue of several sources.
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

    /// The changes in `newer` that break readers of this catalogue: an event type or a field
    /// that is gone, a field of another kind. One sentence each; empty if nothing does.
    /// Additions break nobody.
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
mod tests;
