//! Downloads that are made while they are sent: what a filter wants, in the order of time.
//!
//! Their length is not known before, so they can't be resumed. A ZIP has all lines in
//! `audit.jsonl`, and as the last entry `manifest.json` with the filters, their number, and what
//! could not be read.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    str::FromStr,
    sync::{Arc, atomic::Ordering},
};

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};

use super::{
    body::body,
    state::{Slot, State},
};
use crate::{
    error::{Error, Result},
    export::filtered_zip::FilteredZip,
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
        let known = [Self::Zip, Self::Gz, Self::Ndjson]
            .into_iter()
            .find(|format| format.as_str() == text);
        known.ok_or_else(|| {
            Error::invalid("format", format!("{text:?} is not one of zip, gz, ndjson"))
        })
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
pub(super) fn stream(
    app: &State,
    slots: [Slot; 2],
    filter: Filter,
    order: Order,
    format: Format,
) -> Body {
    let reader = app.reader.clone();
    let cut = Arc::clone(&app.counts.cut_exports);
    body(app, slots, move |writer| {
        // A filter that finds nothing writes nothing, so it would never notice.
        let lines = Lines {
            reader: reader.cancelled_by(&writer.cancel()),
            filter,
            order,
        };
        let scanned = match format {
            Format::Ndjson => lines.each(|line| whole_line(writer, line))?,
            Format::Gz => {
                let mut packed = GzEncoder::new(writer, Compression::default());
                let scanned = lines.each(|line| whole_line(&mut packed, line))?;
                packed.finish()?;
                scanned
            }
            Format::Zip => {
                let mut zip = FilteredZip::new(writer, &lines.filter)?;
                let scanned = lines.each(|line| zip.line(line))?;
                zip.finish(&scanned)?;
                scanned
            }
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
