//! From the journal to immutable files.

pub(crate) mod blob;
mod bloom;
mod codec;
pub(crate) mod fs;
pub(crate) mod gzip;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod names;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod summary;
