//! The entries that match a filter, as a ZIP file that is written while they are found:
//! `audit.jsonl`, and `manifest.json` with the filters, the count, and what could not be read.

use std::io::{self, Write};

use zip::{
    CompressionMethod, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

use crate::{
    entry::json::{Json, Members, members},
    query::{Filter, Scanned},
};

/// All lines are in this file.
const NAME: &str = "audit.jsonl";

/// A ZIP file being written.
pub(crate) struct FilteredZip<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
    filter: Vec<(String, String)>,
    count: u64,
}

impl<W: Write> FilteredZip<W> {
    pub(crate) fn new(out: W, filter: &Filter) -> io::Result<Self> {
        let mut zip = ZipWriter::new_stream(out);
        zip.start_file(NAME, options()).map_err(as_io)?;
        Ok(Self {
            zip,
            filter: filter.params(),
            count: 0,
        })
    }

    /// Adds one line, given without its LF.
    pub(crate) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.zip.write_all(line)?;
        self.zip.write_all(b"\n")?;
        self.count += 1;
        Ok(())
    }

    /// Adds the manifest and ends the file.
    pub(crate) fn finish(mut self, scanned: &Scanned) -> io::Result<W> {
        let mut filters = Members::default();
        for (name, value) in self.filter {
            let value = Json::Text(value);
            match filters.get_mut(&name) {
                Some(Json::List(values)) => values.push(value),
                _ => drop(filters.insert(name, Json::List(vec![value]))),
            }
        }
        let problems: Vec<_> = scanned
            .problems
            .iter()
            .map(|problem| members! { "file": problem.file, "problem": problem.what })
            .collect();
        let manifest = members! {
            "filters": filters,
            "entries": [members! { "name": NAME, "count": self.count }],
            "problems": problems,
            "more_problems": scanned.more_problems,
        };
        self.zip
            .start_file("manifest.json", options())
            .map_err(as_io)?;
        serde_json::to_writer_pretty(&mut self.zip, &manifest)?;
        Ok(self.zip.finish().map_err(as_io)?.into_inner())
    }
}

/// The entry may become longer than 4 GiB, which its header must say.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true)
        .unix_permissions(0o600)
}

fn as_io(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        error => io::Error::other(error),
    }
}
