//! Parts of the log as one file to download.
//!
//! In come a range of time and the log's files; out comes a [`pieces::Download`]: a ZIP or gzip
//! file whose length, entity tag and every byte range are known before the first byte is read,
//! because whole blocks of sealed files are copied as they are.

mod cut;
mod deflate;
#[cfg(feature = "server")]
pub(crate) mod filtered_zip;
pub(crate) mod manifest;
pub(crate) mod pieces;
pub(crate) mod plan;
mod stored;
mod zip;

#[cfg(test)]
mod tests;
