//! Sealed bytes: gzip in blocks.

/// The length of the gzip header we write, after which the first block begins.
pub(crate) const HEADER_LEN: u64 = 10;
