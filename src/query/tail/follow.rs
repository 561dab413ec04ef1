//! How far one stream was read, and which of its files come next.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::END;
use crate::{
    entry::{StreamId, Timestamp},
    store::names::FileStem,
};

/// How far one stream was read.
#[derive(Clone, Debug)]
pub(in crate::query) struct Follow {
    pub(in crate::query) stem: FileStem,
    /// Where the next line begins in the file's text.
    pub(super) offset: u64,
    /// The number of the last entry.
    pub(super) seq: u64,
    /// How long the live file was when it was seen last.
    pub(super) seen: u64,
    pub(super) catch_up: Option<CatchUp>,
    /// The stream's files after this one.
    pub(super) ahead: Ahead,
    /// The births of other files with the same number, which were read before this one.
    pub(super) left: Vec<Timestamp>,
    /// Why the last read of this stream failed.
    pub(super) refused: Option<String>,
}

/// The end of what was there before the tail began. Up to this place, only entries from this
/// millisecond on are given.
#[derive(Clone, Debug)]
pub(super) struct CatchUp {
    pub(super) since: i64,
    pub(super) number: u32,
    pub(super) offset: u64,
}

/// Files of one stream by number, and when each was born, without the stream's name: there can be
/// many.
pub(in crate::query) type Ahead = BTreeSet<(u32, Timestamp)>;

/// The files of each stream.
pub(in crate::query) type ByStream = BTreeMap<StreamId, Ahead>;

impl Follow {
    /// From the beginning of the first of these files.
    pub(super) fn from_the_first(stream: &StreamId, mut files: Ahead) -> Option<Self> {
        let (number, born) = files.pop_first()?;
        let stem = FileStem {
            born,
            stream: stream.clone(),
            number,
        };
        Some(Self {
            ahead: files,
            ..Self::at(stem, 0, 0)
        })
    }

    /// From a place in a file on, behind the entry with this number.
    pub(in crate::query) fn at(stem: FileStem, offset: u64, seq: u64) -> Self {
        Self {
            stem,
            offset,
            seq,
            seen: 0,
            catch_up: None,
            ahead: Ahead::new(),
            left: Vec::new(),
            refused: None,
        }
    }

    /// Turns to the beginning of the next file, if there is one. If `blind`, some folders could not
    /// be read, so a missing number may be in one of them: then no number is skipped.
    pub(super) fn turn_over(&mut self, blind: bool) -> bool {
        let next = |(number, _): &(u32, Timestamp)| {
            !blind || *number <= self.stem.number.saturating_add(1)
        };
        let Some((number, born)) = self.ahead.first().copied().filter(next) else {
            return false;
        };
        self.ahead.pop_first();
        if number == self.stem.number {
            self.left.push(self.stem.born)
        } else {
            self.left.clear()
        }
        self.stem.number = number;
        self.stem.born = born;
        self.offset = 0;
        self.seen = 0;
        true
    }

    /// Whether this file is known: it was read, is being read, or is still to be read.
    pub(super) fn knows(&self, stem: &FileStem) -> bool {
        let ahead = || self.ahead.contains(&(stem.number, stem.born));
        match stem.number.cmp(&self.stem.number) {
            Ordering::Less => true,
            Ordering::Equal => {
                stem.born == self.stem.born || self.left.contains(&stem.born) || ahead()
            }
            Ordering::Greater => ahead(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.offset == END && self.ahead.is_empty()
    }
}
