//! Telling other systems about the events they asked for.
//!
//! In come stored entries; out go signed requests that carry their bytes as stored. The same entries, id and settings always
//! make the same body, so a retry after a crash is the same request with a new signature. Nothing here writes to the log.

pub(crate) mod format;
pub(crate) mod sign;
