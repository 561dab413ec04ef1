//! An export of the entries that match a filter, packed while they are found.
//!
//! Its length is not known before, so it can't be resumed. It is whole or fails: what can't be read,
//! or is removed meanwhile, ends it with an error.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::{Compression, write::GzEncoder};

use super::{filtered_zip, format::ExportFormat};
use crate::query::{AuditReader, Filter, Order};

/// Which entries are exported, and how.
#[derive(Debug)]
pub(crate) struct Filtered {
    pub(crate) reader: AuditReader,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) format: ExportFormat,
    /// How many entries were written so far.
    pub(crate) entries: Arc<AtomicU64>,
}

impl Filtered {
    /// Writes the whole file.
    pub(crate) fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        match self.format {
            ExportFormat::Ndjson => self.each(|line| whole_line(&mut out, line)),
            ExportFormat::Gzip => {
                let mut packed = GzEncoder::new(out, Compression::new(6));
                self.each(|line| whole_line(&mut packed, line))?;
                packed.finish().map(drop)
            }
            ExportFormat::Zip => filtered_zip::write(self, out),
        }
    }

    /// Gives each line, without its LF, to `write` until that fails.
    fn each(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut written = Ok(());
        let read = self.reader.each_or_fail(&self.filter, self.order, |entry| {
            self.count(1);
            written = write(entry.line());
            go_on_if(&written)
        });
        written?;
        read.map_err(io::Error::other)
    }

    pub(super) fn count(&self, entries: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }
}

/// Lets a reader go on until writing fails.
pub(super) fn go_on_if(written: &io::Result<()>) -> ControlFlow<()> {
    match written {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

fn whole_line(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}
