//! The numbers and faults of the lines of one file.

use super::accounted;
use crate::{entry::scan::scan, store::names::FileStem};

/// The lines of a file, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The numbers of the file's entries as they follow each other: the first and the last of each
    /// run without a gap.
    pub(super) runs: Vec<(u64, u64)>,
    pub(super) entries: u64,
    /// Entries that account for what is missing elsewhere.
    pub(super) accounts: Vec<Vec<u8>>,
    /// How many lines are not entries, and the first of them.
    pub(super) no_entries: Option<(u64, u64)>,
    /// How many lines are entries of another stream, the first of them, and its stream.
    pub(super) strange: Option<(u64, u64, String)>,
    /// Whether the file ends within a line.
    pub(super) torn: bool,
    line: u64,
}

impl Lines {
    /// Takes the next line, without its line end.
    pub(super) fn take(&mut self, stem: &FileStem, line: &[u8]) {
        self.line += 1;
        let Some(fields) = scan(line) else {
            self.no_entries.get_or_insert((0, self.line)).0 += 1;
            return;
        };
        if fields.stream != stem.stream.as_str().as_bytes() {
            let stream = || String::from_utf8_lossy(fields.stream).into_owned();
            let new = || (0, self.line, stream());
            self.strange.get_or_insert_with(new).0 += 1;
            return;
        }
        self.entries += 1;
        if accounted::matters(&fields) {
            self.accounts.push(line.to_owned());
        }
        match self.runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(fields.seq) => *last = fields.seq,
            _ => self.runs.push((fields.seq, fields.seq)),
        }
    }

    /// The number of the last entry.
    pub(super) fn last(&self) -> Option<u64> {
        self.runs.last().map(|(_, last)| *last)
    }

    /// Whether each line follows the one before, to the end of the file.
    pub(super) fn are_whole(&self) -> bool {
        self.runs.len() <= 1 && self.no_entries.is_none() && self.strange.is_none() && !self.torn
    }
}

/// Whether a line is the entry of this stream with the number after `last`.
pub(super) fn follows(stem: &FileStem, line: &[u8], last: u64) -> bool {
    scan(line).is_some_and(|fields| {
        fields.stream == stem.stream.as_str().as_bytes() && last.checked_add(1) == Some(fields.seq)
    })
}
