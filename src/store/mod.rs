//! From the journal to immutable files.

pub(crate) mod blob;
pub(crate) mod bloom;
mod codec;
pub(crate) mod fs;
pub(crate) mod gzip;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod names;
mod rebuild;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod seal;
pub(crate) mod sealed;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod summary;
mod tmp;
pub(crate) mod verify;
