//! Downloads that are made while they are sent: what a filter wants, in the order of time.
//!
//! Their length is not known before, so they can't be resumed. A ZIP has all lines in `audit.jsonl`, and as the last entry
//! `manifest.json` with the filters, their number, and what could not be read.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    str::FromStr,
    sync::{Arc, atomic::Ordering},
};

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    body::{BodyWriter, body},
    state::{Slot, State},
};
use crate::{
    error::{Error, Result},
    query::{AuditReader, Filter, Order, Scanned},
};

/// What a download looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Zip,
    Gz,
    Ndjson,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = [Self::Zip, Self::Gz, Self::Ndjson].into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| Error::invalid("format", format!("{text:?} is none of zip, gz, ndjson")))
    }
}

impl Format {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gz => "gz",
            Self::Ndjson => "ndjson",
        }
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gz => "jsonl.gz",
            Self::Ndjson => "jsonl",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Zip => "application/zip",
            Self::Gz => "application/gzip",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The body of such a download.
pub(super) fn stream(app: &State, slots: [Slot; 2], filter: Filter, order: Order, format: Format) -> Body {
    let lines = Lines { reader: app.reader.clone(), filter, order };
    let cut = Arc::clone(&app.counts.cut_exports);
    body(app, slots, move |writer| {
        let scanned = match format {
            Format::Ndjson => lines.write(writer)?.1,
            Format::Gz => {
                let mut packed = GzEncoder::new(writer, Compression::default());
                let scanned = lines.write(&mut packed)?.1;
                packed.finish()?;
                scanned
            }
            Format::Zip => lines.zip(writer)?,
        };
        if !scanned.problems.is_empty() {
            // Only a ZIP has a place to say so.
            cut.fetch_add(1, Ordering::Relaxed);
            let problems = &scanned.problems;
            tracing::warn!(target: "tracing_audit", "something is missing from a download, as it could not be read: {problems:?}");
        }
        Ok(())
    })
}

struct Lines {
    reader: AuditReader,
    filter: Filter,
    order: Order,
}

impl Lines {
    /// Writes the lines; says how many they were.
    fn write(&self, out: &mut impl Write) -> io::Result<(u64, Scanned)> {
        let (mut count, mut result) = (0, Ok(()));
        let scanned = self.reader.each(&self.filter, self.order, |entry| {
            let mut line = entry.into_line();
            line.push(b'\n');
            match out.write_all(&line) {
                Ok(()) => {
                    count += 1;
                    ControlFlow::Continue(())
                }
                Err(e) => {
                    result = Err(e);
                    ControlFlow::Break(())
                }
            }
        });
        result?;
        Ok((count, scanned.map_err(io::Error::other)?))
    }

    fn zip(&self, out: &mut BodyWriter) -> io::Result<Scanned> {
        let mut zip = ZipWriter::new_stream(out);
        // It may be longer than 4 GiB, and only the end of it will tell.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o600);
        zip.start_file("audit.jsonl", options.large_file(true))?;
        let (count, scanned) = self.write(&mut zip)?;
        let mut filters = serde_json::Map::new();
        for (name, value) in self.filter.params() {
            let values = filters.entry(name).or_insert_with(|| json!([]));
            values.as_array_mut().expect("each was made an array").push(value.into());
        }
        let problems: Vec<_> = scanned.problems.iter().map(|problem| json!({"file": problem.file, "problem": problem.what})).collect();
        let manifest = json!({
            "filters": filters,
            "entries": [{"name": "audit.jsonl", "count": count}],
            "problems": problems,
            "more_problems": scanned.more_problems,
        });
        zip.start_file("manifest.json", options)?;
        zip.write_all(&serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?)?;
        zip.finish()?;
        Ok(scanned)
    }
}
