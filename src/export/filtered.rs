//! An export of the entries that match a filter, packed while they are found.
//!
//! Its length is not known before, so it can't be resumed. It is whole or fails: what can't be read,
//! or is removed meanwhile, ends it with an error.

use std::{
    cell::Cell,
    io::{self, Write},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::{Compression, write::GzEncoder};

#[cfg(feature = "pdf")]
use super::pdf;
use super::{csv, exported::Times, filtered_zip, format::ExportFormat, gate::Gate};
use crate::{
    entry::json,
    query::{AuditReader, Filter, Order, RawEntry},
};

/// Which entries are exported, and how.
#[derive(Debug)]
pub(crate) struct Filtered {
    pub(crate) reader: AuditReader,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) format: ExportFormat,
    /// Whether the manifest of a ZIP names the files of the log. Their numbers say how much there
    /// is in all, which concerns no single tenant.
    pub(crate) names_files: bool,
    /// The name of the caller who asked for the export, if that is known.
    #[cfg(feature = "pdf")]
    pub(crate) requested_by: Option<String>,
    /// How many entries were written so far.
    pub(crate) entries: Arc<AtomicU64>,
    /// The times of these entries.
    pub(crate) times: Mutex<Option<Times>>,
}

impl Filtered {
    /// Writes the whole file.
    pub(crate) fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        match self.format {
            ExportFormat::Ndjson => self.each(|entry| whole_line(&mut out, entry)),
            ExportFormat::Json => self.write_list(out),
            ExportFormat::Csv(options) => csv::write(self, options, out),
            #[cfg(feature = "pdf")]
            ExportFormat::Pdf => pdf::write(self, out),
            ExportFormat::Gzip => self.write_packed(out),
            ExportFormat::Zip => filtered_zip::write(self, out),
        }
    }

    fn write_packed(&self, out: impl Write) -> io::Result<()> {
        let is_open = Cell::new(true);
        let mut packed = GzEncoder::new(Gate::new(out, &is_open), Compression::new(6));
        let written = self.each(|entry| whole_line(&mut packed, entry));
        is_open.set(written.is_ok());
        written?;
        packed.finish().map(drop)
    }

    /// One JSON list, an entry a line.
    fn write_list(&self, mut out: impl Write) -> io::Result<()> {
        let mut before = "[\n";
        self.each(|entry| {
            // One line that isn't JSON would spoil the whole list.
            json::check(entry.line())
                .map_err(|error| io::Error::other(format!("the entry {}: {error}", entry.id())))?;
            out.write_all(before.as_bytes())?;
            before = ",\n";
            out.write_all(entry.line())
        })?;
        let end = if before == "[\n" { "[]\n" } else { "\n]\n" };
        out.write_all(end.as_bytes())
    }

    /// Gives each entry to `write` until that fails, and counts them.
    pub(super) fn each(
        &self,
        mut write: impl FnMut(&RawEntry) -> io::Result<()>,
    ) -> io::Result<()> {
        self.read(|entry| {
            self.count(entry);
            write(entry)
        })
    }

    /// The same without counting.
    pub(super) fn read(&self, mut give: impl FnMut(&RawEntry) -> io::Result<()>) -> io::Result<()> {
        let mut given = Ok(());
        let read = self.reader.each_or_fail(&self.filter, self.order, |entry| {
            given = give(&entry);
            go_on_if(&given)
        });
        given?;
        read.map_err(io::Error::other)
    }

    pub(super) fn count(&self, entry: &RawEntry) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        let time = entry.timestamp();
        let times = Times {
            first: time,
            last: time,
        };
        // Nothing that can panic holds the lock.
        let mut so_far = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *so_far = Some(times.and(*so_far));
    }
}

/// Lets a reader go on until writing fails.
pub(super) fn go_on_if(written: &io::Result<()>) -> ControlFlow<()> {
    match written {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

fn whole_line(out: &mut impl Write, entry: &RawEntry) -> io::Result<()> {
    out.write_all(entry.line())?;
    out.write_all(b"\n")
}
