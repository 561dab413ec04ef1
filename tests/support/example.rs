//! What the tests of the examples need: an example's log, searched through the crate's public
//! interface only.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{collections::BTreeSet, error::Error, ops::ControlFlow, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use tracing_audit::{AuditReader, Filter, catalogue, reader::Order};

/// What an example wrote.
pub(crate) struct Written<T> {
    pub(crate) dir: TempDir,
    /// What its run gave.
    pub(crate) given: T,
    pub(crate) reader: AuditReader,
}

impl<T> Written<T> {
    /// Runs an example in a directory of its own.
    pub(crate) fn by(run: impl FnOnce(&Path) -> Result<T, Box<dyn Error>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let given = run(dir.path()).unwrap();
        let reader = AuditReader::open(dir.path()).unwrap();
        Self { dir, given, reader }
    }

    /// The entries that a search finds, in the order in which they were written.
    pub(crate) fn found(&self, search: &[(&str, &str)]) -> Vec<Value> {
        self.matching(&Filter::parse(search.iter().copied()).unwrap())
    }

    pub(crate) fn matching(&self, filter: &Filter) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        let scanned = self
            .reader
            .each(filter, Order::Asc, |entry| {
                found.push(entry.parse().unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(scanned.problems, []);
        found.sort_by_key(|entry| entry["seq"].as_u64());
        found
    }

    /// All entries but those that the log was opened and closed.
    pub(crate) fn all(&self) -> Vec<Value> {
        let mut all = self.matching(&Filter::new());
        let is_own = |one: &Value| {
            one["event_type"]
                .as_str()
                .unwrap()
                .starts_with("audit.log.")
        };
        all.retain(|entry| !is_own(entry));
        all
    }

    /// The event types in the log, without the log's own.
    pub(crate) fn event_types(&self) -> BTreeSet<String> {
        types(&self.all())
            .into_iter()
            .filter(|event_type| !event_type.starts_with("audit."))
            .map(str::to_owned)
            .collect()
    }

    /// Checks that a text is in no file of the log, compressed or not.
    pub(crate) fn has_nowhere(&self, text: &str) {
        assert!(text.len() > 4, "{text:?} says nothing");
        for path in super::support::files(self.dir.path()) {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                memchr::memmem::find(&bytes, text.as_bytes()).is_none(),
                "{text:?} is in {}",
                path.display()
            );
        }
        for line in super::support::lines(self.dir.path()) {
            assert!(!line.contains(text), "{text:?} is in {line}");
        }
    }
}

/// The event types of entries, in their order.
pub(crate) fn types(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["event_type"].as_str().unwrap())
        .collect()
}

/// The event types of the program that runs, which is the example and its test.
pub(crate) fn known() -> BTreeSet<String> {
    catalogue()
        .iter()
        .map(|entry| entry.event_type().to_owned())
        .collect()
}

/// The texts at these places (JSON pointers) of an entry.
pub(crate) fn at<'a, const N: usize>(entry: &'a Value, places: [&str; N]) -> [&'a str; N] {
    places.map(|place| {
        let found = entry
            .pointer(place)
            .unwrap_or_else(|| panic!("no {place} in {entry}"));
        found
            .as_str()
            .unwrap_or_else(|| panic!("{place} is no text in {entry}"))
    })
}
