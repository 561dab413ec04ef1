//! From the journal to immutable files.

mod bloom;
mod codec;
pub(crate) mod fs;
pub(crate) mod gzip;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod names;
pub(crate) mod summary;
