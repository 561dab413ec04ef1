//! The sealed files that a reader of the log has not finished: retention waits for them.
//!
//! Only the rooms above know these readers and their cursors. The store asks for them through
//! [`Readers`], a function that it is given when the log is opened.

use std::collections::{BTreeMap, BTreeSet};

use super::{fs::Fs, layout::Layout, names::FileStem};
use crate::error::Result;

/// Finds out how far each reader of a log is. After an error, the cursors are unknown, and nothing
/// is pruned.
pub(crate) type Readers = fn(&dyn Fs, &Layout) -> Result<Vec<Reading>>;

/// How far a reader is.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The reader's name, for the entry about files that are pruned although it needs them.
    pub(crate) name: String,
    /// By the stream's name, the file that is being read; and whether not all of it was read yet.
    pub(crate) cursor: BTreeMap<String, (FileStem, bool)>,
    /// The files that are needed although they were read.
    pub(crate) needed: BTreeSet<FileStem>,
}

impl Reading {
    /// Whether this reader has not got all of a file yet.
    pub(super) fn needs(&self, stem: &FileStem) -> bool {
        self.needed.contains(stem)
            || self
                .cursor
                .get(stem.stream.as_str())
                .is_none_or(|(at, has_more)| {
                    // Files are read in the order of their numbers, and another one of the same
                    // number as well.
                    stem.number > at.number || stem.number == at.number && (stem != at || *has_more)
                })
    }
}
