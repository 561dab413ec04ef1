//! Parts of the log as one file to download.
//!
//! In come a range of time and the log's files; out comes a [`pieces::Download`]: a ZIP or gzip
//! file whose length, entity tag and every byte range are known before the first byte is read,
//! because whole blocks of sealed files are copied as they are. The entries that a filter on fields
//! selects, and the formats that are not lines (CSV, PDF), are made while they are found
//! (`filtered`), and their length is not known before. A file that can't have every entry that it should is not
//! finished: making it fails.

mod csv;
mod cut;
mod deflate;
mod exported;
pub(crate) mod filtered;
mod filtered_zip;
mod format;
mod gate;
mod manifest;
mod packed;
#[cfg(feature = "pdf")]
mod pdf;
pub(crate) mod pieces;
pub(crate) mod plan;
mod stored;
mod zip;

#[cfg(any(feature = "export", test))]
pub use csv::{CsvDetails, CsvOptions, CsvWriter};
#[cfg(any(feature = "export", test))]
pub use exported::{Exported, Times};
#[cfg(any(feature = "export", test))]
pub use format::ExportFormat;
#[cfg(any(feature = "export", test))]
pub use packed::{Export, ExportProgress};

#[cfg(test)]
mod tests;
