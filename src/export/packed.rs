//! An export as one stream of bytes, to be written to a file or sent.

use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use super::{
    exported::Exported, filtered::Filtered, format::ExportFormat, pieces::Download, plan::Plan,
};
use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, cancel::Cancel, counter::Counter},
};

/// A part of the log, ready to be written as one file; see [`AuditReader::export`].
#[derive(Debug)]
pub struct Export {
    content: Content,
    cancel: Cancel,
}

#[derive(Debug)]
enum Content {
    /// Put together of blocks that are packed already.
    Copied(Arc<Download>, Exported),
    Filtered(Box<Filtered>),
}

/// How far an export has come in the log; see [`Export::progress`].
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// # log.run(|| tracing_audit::audit!("user.created").ignore());
/// # log.flush()?;
/// # let reader = tracing_audit::AuditReader::open(log.dir())?;
/// use tracing_audit::{Filter, reader::ExportFormat};
///
/// let mut export = reader.export(&Filter::new(), ExportFormat::Json)?;
/// let progress = export.progress()?.expect("its length isn't known");
/// let shown = progress.clone();
/// let export = export.cancel_when(move || {
///     println!("{} of {}", shown.passed(), shown.total());
///     false
/// });
/// export.write_to(std::io::sink())?;
/// assert_eq!(progress.passed(), progress.total());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExportProgress {
    counter: Counter,
    total: u64,
}

impl ExportProgress {
    /// How many bytes of the log were read, or ruled out by an index, so far.
    pub fn passed(&self) -> u64 {
        self.counter.passed().min(self.total)
    }

    /// How many bytes the log had in the range when the export began. A log that grows has more at
    /// the end of the export.
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl AuditReader {
    /// The entries that match the filter as one file, the oldest first.
    ///
    /// A ZIP or gzip file without filters on fields is put together from the compressed blocks of
    /// the sealed files, without compressing them again, so it is about as fast as copying. With
    /// filters on fields, and in the other formats, entries are written one by one as they are
    /// found. Memory stays bounded, however many entries there are.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # log.run(|| tracing_audit::audit!("user.created").ignore());
    /// # log.flush()?;
    /// # let dir = log.dir();
    /// use std::fs::File;
    /// use tracing_audit::{AuditReader, Filter, reader::ExportFormat};
    ///
    /// let november = Filter::parse([("start_date", "2026-11-01"), ("end_date", "2026-11-30")])?;
    /// let export = AuditReader::open(dir)?.export(&november, ExportFormat::Zip)?;
    /// # let path = dir.join("november.zip");
    /// # let bytes = export.bytes();
    /// export.write_to(File::create(&path)?)?; // an error if an entry would be missing
    /// # assert_eq!(Some(path.metadata()?.len()), bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotWhole`](crate::Error::NotWhole) if a part of the log can't be read, and another
    /// error if the directories of the log can't be listed. Damage that is found only while the
    /// file is written is an error of [`write_to`](Export::write_to).
    pub fn export(&self, filter: &Filter, format: ExportFormat) -> Result<Export> {
        let content = if !format.is_copied() || filter.has_field_filters() {
            Content::Filtered(Box::new(Filtered {
                reader: self.clone(),
                filter: filter.clone(),
                order: Order::Asc,
                format,
                names_files: true,
                #[cfg(feature = "pdf")]
                requested_by: None,
                entries: Arc::default(),
                times: Mutex::default(),
            }))
        } else {
            self.copied(filter, format)?
        };
        Ok(Export {
            content,
            cancel: Cancel::default(),
        })
    }

    fn copied(&self, filter: &Filter, format: ExportFormat) -> Result<Content> {
        let start = filter.start().unwrap_or(Timestamp::MIN);
        let end = filter.end().unwrap_or(Timestamp::MAX);
        // Live files are read to their last line: the log is another process's, which doesn't say
        // how much of it is durable.
        let plan = Plan::new(self.files(), start..end)?;
        plan.check_whole()?;
        let exported = plan.exported();
        let download = match format {
            ExportFormat::Zip => plan.into_zip()?,
            _ => plan.into_gzip(),
        };
        Ok(Content::Copied(Arc::new(download), exported))
    }
}

impl Export {
    /// The length of the file in bytes; `None` if that is known only when it is written.
    pub fn bytes(&self) -> Option<u64> {
        match &self.content {
            Content::Copied(download, _) => Some(download.len()),
            Content::Filtered(_) => None,
        }
    }

    /// How far [`write_to`](Self::write_to) has come; `None` for a file whose length is known.
    ///
    /// # Errors
    ///
    /// If the directories of the log can't be listed.
    pub fn progress(&mut self) -> Result<Option<ExportProgress>> {
        let Content::Filtered(filtered) = &mut self.content else {
            return Ok(None);
        };
        let counter = Counter::new();
        filtered.reader = filtered.reader.counted_by(&counter);
        let once = filtered.reader.bytes_to_pass(&filtered.filter)?;
        Ok(Some(ExportProgress {
            counter,
            total: once.saturating_mul(filtered.format.passes()),
        }))
    }

    /// Names the person or program who asks for the export. A PDF shows the name on its title page;
    /// the other formats don't have it.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # log.run(|| tracing_audit::audit!("user.created").ignore());
    /// # log.flush()?;
    /// # let reader = tracing_audit::AuditReader::open(log.dir())?;
    /// use tracing_audit::{Filter, reader::ExportFormat};
    ///
    /// let mut pdf = Vec::new();
    /// let export = reader.export(&Filter::new(), ExportFormat::Pdf)?;
    /// export.requested_by("Ann Ames, internal audit").write_to(&mut pdf)?;
    /// assert!(pdf.starts_with(b"%PDF-1.7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "pdf")]
    #[must_use]
    pub fn requested_by(mut self, name: impl Into<String>) -> Self {
        if let Content::Filtered(filtered) = &mut self.content {
            filtered.requested_by = Some(name.into());
        }
        self
    }

    /// Ends [`write_to`](Self::write_to) with an error as soon as `cancelled` says so. It is asked
    /// about once for each 256 KiB that are read.
    #[must_use]
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancel = Cancel::when(cancelled);
        self
    }

    /// Writes the whole file. Returns the number of its entries, the times of the first and the
    /// last one, and the problems of the log that hide no entry.
    ///
    /// # Errors
    ///
    /// The errors of `out`, unchanged. Also an error if a part of the log can't be read, changes or
    /// is removed while it is read, or if the export is [cancelled](Self::cancel_when). The file is
    /// then not whole: throw it away. An error of the log contains an [`Error`](crate::Error),
    /// which [`io::Error::downcast`] gives.
    pub fn write_to(self, mut out: impl Write) -> io::Result<Exported> {
        match self.content {
            Content::Copied(download, exported) => {
                let len = download.len();
                for chunk in download.read_range(0..len).chunks() {
                    if self.cancel.is_cancelled() {
                        return Err(io::Error::other("the export was cancelled"));
                    }
                    out.write_all(&chunk?)?;
                }
                out.flush()?;
                Ok(exported)
            }
            Content::Filtered(mut filtered) => {
                filtered.reader = filtered.reader.cancelled_by(&self.cancel);
                let mut out = BufWriter::with_capacity(128 * 1024, out);
                filtered.write_to(&mut out)?;
                out.flush()?;
                let times = filtered.times.into_inner();
                Ok(Exported {
                    entries: filtered.entries.load(Ordering::Relaxed),
                    times: times.unwrap_or_else(PoisonError::into_inner),
                    problems: Vec::new(),
                })
            }
        }
    }
}
