//! An export of the entries that match a filter, packed while they are found.
//!
//! Its length is not known before, so it can't be resumed. A ZIP has all lines in `audit.jsonl`,
//! and as the last entry `manifest.json` with the filters, their number, and what could not be
//! read.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use flate2::{Compression, write::GzEncoder};

use super::{filtered_zip::FilteredZip, format::ExportFormat};
use crate::query::{AuditReader, Filter, Order, Scanned};

/// Which entries are exported, and how.
#[derive(Debug)]
pub(crate) struct Filtered {
    pub(crate) reader: AuditReader,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) format: ExportFormat,
}

impl Filtered {
    /// Writes the whole file.
    pub(crate) fn write_to(&self, mut out: impl Write) -> io::Result<Scanned> {
        match self.format {
            ExportFormat::Ndjson => self.each(|line| whole_line(&mut out, line)),
            ExportFormat::Gzip => {
                let mut packed = GzEncoder::new(out, Compression::new(6));
                let scanned = self.each(|line| whole_line(&mut packed, line))?;
                packed.finish()?;
                Ok(scanned)
            }
            ExportFormat::Zip => {
                let mut zip = FilteredZip::new(out, &self.filter)?;
                let scanned = self.each(|line| zip.line(line))?;
                zip.finish(&scanned)?;
                Ok(scanned)
            }
        }
    }

    /// Gives each line, without its LF, to `write` until that fails.
    fn each(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Scanned> {
        let mut result = Ok(());
        let scanned = self.reader.each(&self.filter, self.order, |entry| {
            result = write(entry.line());
            if result.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        result?;
        scanned.map_err(io::Error::other)
    }
}

fn whole_line(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}
