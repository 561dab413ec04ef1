//! How long a PDF file can be. These limits are the format's: a reader may refuse a longer file.

use std::io;

/// How many objects a PDF/A file may have (ISO 19005-2, 6.1.13). A page has two, so there is room
/// for 4 million pages.
pub(super) const OBJECTS: usize = 8_388_607;

/// The last place in the file at which an object can begin, because its offset is written in 10
/// digits.
pub(super) const OFFSET: u64 = 9_999_999_999;

/// The error for an export that needs more.
pub(super) fn too_long() -> io::Error {
    io::Error::other(
        "the export is longer than a PDF file can be (10 GB, or 4 million pages); give a shorter \
         range of time, or take another format",
    )
}
