//! What a filter picks out, as a ZIP file written while it is found: `entries.jsonl`, and `manifest.json` with the filter and the count.

use std::io::{self, Write};

use serde_json::json;
use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions, write::StreamWriter};

use crate::query::Filter;

pub(super) struct FilteredZip<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
    filter: Vec<(String, String)>,
    count: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl<W: Write> FilteredZip<W> {
    pub(super) fn new(out: W, filter: &Filter) -> io::Result<Self> {
        let mut zip = ZipWriter::new_stream(out);
        zip.start_file("entries.jsonl", options()).map_err(as_io)?;
        Ok(Self { zip, filter: filter.params(), count: 0, bytes: 0, crc: crc32fast::Hasher::new() })
    }

    /// Adds one entry.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.zip.write_all(line)?;
        self.zip.write_all(b"\n")?;
        self.crc.update(line);
        self.crc.update(b"\n");
        self.count += 1;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// Adds the manifest and ends the file.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let filter: Vec<_> = self.filter.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let crc32 = format!("{:08x}", self.crc.finalize());
        let entry = json!({ "name": "entries.jsonl", "count": self.count, "bytes": self.bytes, "crc32": crc32 });
        let manifest = json!({ "filter": filter, "entries": [entry] });
        self.zip.start_file("manifest.json", options()).map_err(as_io)?;
        serde_json::to_writer_pretty(&mut self.zip, &manifest)?;
        Ok(self.zip.finish().map_err(as_io)?.into_inner())
    }
}

/// It may become longer than 4 GiB, which must be said before.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true).unix_permissions(0o600)
}

fn as_io(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        error => io::Error::other(error),
    }
}
