//! From the journal to immutable files.

pub(crate) mod fs;
pub(crate) mod layout;
pub(crate) mod names;
