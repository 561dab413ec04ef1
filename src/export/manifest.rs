//! The manifest of an archive, `manifest.json`.
//!
//! The manifest names the range, what is in each entry and which stored files that came from, and
//! what is strange in it. It says nothing about when or where the archive was made, so asking for
//! the same again gives the same bytes.

use std::{collections::BTreeMap, fmt::Display, ops::Range};

use serde::{Serialize, Serializer};

use crate::{
    entry::{Day, Seq, StreamId, Timestamp},
    query::Filter,
};

/// The manifest's place in the archive.
pub(crate) const NAME: &str = "manifest.json";

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Manifest {
    range: ManifestRange,
    /// Filters on fields, by their parameter's name; empty if the range of time was the only one.
    pub(crate) filters: BTreeMap<String, Vec<String>>,
    pub(crate) entries: Vec<ManifestEntry>,
    /// What is strange in files of the log. An archive that is given away misses nothing.
    pub(crate) problems: Vec<ManifestProblem>,
}

/// From `start` until just before `end`.
#[derive(Clone, Debug, Serialize)]
struct ManifestRange {
    #[serde(serialize_with = "text")]
    start: Timestamp,
    #[serde(serialize_with = "text")]
    end: Timestamp,
}

/// One entry of the archive: what one stream wrote on one day.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ManifestEntry {
    pub(crate) name: String,
    #[serde(serialize_with = "text")]
    pub(crate) stream: StreamId,
    #[serde(serialize_with = "text")]
    pub(crate) day: Day,
    /// How many lines.
    pub(crate) count: u64,
    /// Their length, unpacked.
    pub(crate) bytes: u64,
    /// Their CRC-32, as 8 hexadecimal digits.
    pub(crate) crc32: String,
    /// The first and the last record; absent if no line is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<ManifestPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<ManifestPlace>,
    pub(crate) files: Vec<ManifestFile>,
}

/// The entry that is the first or the last of an archive entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ManifestPlace {
    pub(crate) id: String,
    #[serde(serialize_with = "number")]
    pub(crate) seq: Seq,
}

/// A file of the log that lines were taken from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ManifestFile {
    /// Where it lies below the log's directory.
    pub(crate) name: String,
    /// How many of its lines are in the archive.
    pub(crate) count: u64,
    /// The SHA-256 of the sealed file; absent for one that was still being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// A file with a problem.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ManifestProblem {
    pub(crate) file: String,
    pub(crate) problem: String,
    /// Whether entries are missing because of it.
    #[serde(skip)]
    pub(crate) hides_entries: bool,
}

impl Manifest {
    /// The manifest of an archive of `range`, without entries yet.
    pub(crate) fn new(range: &Range<Timestamp>) -> Self {
        Self {
            range: ManifestRange {
                start: range.start,
                end: range.end,
            },
            filters: BTreeMap::new(),
            entries: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The manifest of an archive of what this filter wants, without entries yet.
    pub(crate) fn of(filter: &Filter) -> Self {
        let start = filter.start().unwrap_or(Timestamp::MIN);
        let end = filter.end().unwrap_or(Timestamp::MAX);
        let mut manifest = Self::new(&(start..end));
        for (name, value) in filter.params() {
            // The range says it.
            if !matches!(name.as_str(), "start_date" | "end_date") {
                manifest.filters.entry(name).or_default().push(value);
            }
        }
        manifest
    }

    /// As JSON that people can read.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self)
            .expect("texts and numbers are always JSON, and a Vec takes it");
        json.push(b'\n');
        json
    }
}

/// The name of the archive's entry of what a stream wrote on a day.
pub(crate) fn entry_name(day: Day, stream: &StreamId) -> String {
    format!("{day}/{stream}.jsonl")
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn number<S: Serializer>(seq: &Seq, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(seq.0)
}
