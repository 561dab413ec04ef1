//! A file's bytes: those that are there, and those that are durable.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range, RangeBounds},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Model;
use crate::entry::Timestamp;

/// What reaches the disk whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug)]
pub(super) struct Content {
    there: There,
    durable: Vec<u8>,
    /// The sectors that a failed sync gave up, as they were then.
    given_up: BTreeMap<usize, Vec<u8>>,
    pub(super) modified: Timestamp,
    /// How many have it open, and so keep its room when it has no name.
    pub(super) handles: usize,
}

#[derive(Debug)]
enum There {
    Plain(Vec<u8>),
    /// Mapped by this process.
    Mapped(Arc<[AtomicU64]>, u64),
}

impl Default for Content {
    fn default() -> Self {
        Self::durable(Vec::new())
    }
}

impl Content {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            there: There::Plain(bytes.clone()),
            durable: bytes,
            given_up: BTreeMap::new(),
            modified: Timestamp::MIN,
            handles: 0,
        }
    }

    /// A file of zeros, which are durable, mapped by a process.
    pub(super) fn mapped(words: Arc<[AtomicU64]>, process: u64) -> Self {
        Self {
            durable: vec![0; words.len() * 8],
            there: There::Mapped(words, process),
            given_up: BTreeMap::new(),
            modified: Timestamp::MIN,
            handles: 0,
        }
    }

    pub(super) fn copy(&self) -> Self {
        Self {
            there: There::Plain(self.current()),
            durable: self.durable.clone(),
            given_up: self.given_up.clone(),
            modified: self.modified,
            handles: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match &self.there {
            There::Plain(bytes) => bytes.len() as u64,
            There::Mapped(words, _) => words.len() as u64 * 8,
        }
    }

    pub(super) fn current(&self) -> Vec<u8> {
        match &self.there {
            There::Plain(bytes) => bytes.clone(),
            There::Mapped(words, _) => words
                .iter()
                .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
                .collect(),
        }
    }

    /// The bytes of a file that is not mapped, to be changed in this range.
    pub(super) fn plain(&mut self, range: impl RangeBounds<usize>) -> &mut Vec<u8> {
        let of = |bound: Bound<&usize>| bound.map(|at| at / SECTOR);
        let (start, end) = (of(range.start_bound()), of(range.end_bound()));
        let end = match end {
            Bound::Excluded(end) => Bound::Included(end),
            end => end,
        };
        self.given_up.retain(|at, _| !(start, end).contains(at));
        self.unmap(None);
        match &mut self.there {
            There::Plain(bytes) => bytes,
            There::Mapped(..) => unreachable!("it was just unmapped"),
        }
    }

    /// The process (or, with `None`, any) does not map it any longer: later stores of it are lost.
    pub(super) fn unmap(&mut self, process: Option<u64>) {
        match self.there {
            There::Mapped(_, by) if process.is_none_or(|process| process == by) => {
                self.there = There::Plain(self.current());
            }
            _ => {}
        }
    }

    /// Makes a range durable, or all of it.
    pub(super) fn sync(&mut self, range: Option<Range<usize>>) {
        let current = self.current();
        let sectors = sectors(&range, current.len());
        self.durable.resize(current.len(), 0);
        for at in sectors {
            let now = sector(&current, at);
            // A page that a process changed in its memory is written again.
            if self.given_up.get(&at).is_none_or(|then| then != now) {
                self.given_up.remove(&at);
                let start = at * SECTOR;
                self.durable[start..start + now.len()].copy_from_slice(now);
            }
        }
    }

    /// A sync fails. The system takes what it could not write for written: a later sync says that
    /// all is well, and what was not changed since is not durable all the same.
    pub(super) fn fail_sync(&mut self, range: Option<Range<usize>>) {
        let current = self.current();
        for at in sectors(&range, current.len()) {
            let now = sector(&current, at);
            if now != sector(&self.durable, at) {
                self.given_up.insert(at, now.to_vec());
            }
        }
    }

    /// The power fails.
    pub(super) fn lose(&mut self, model: Model, keep: &mut impl FnMut() -> bool) {
        let current = self.current();
        let durable = std::mem::take(&mut self.durable);
        let len = match (current.len(), durable.len()) {
            (now, then) if now > then => {
                // Any length between.
                let more = if keep() { now - then } else { 0 };
                then + (0..6).fold(more, |more, _| if keep() { more } else { more / 2 })
            }
            (now, then) => {
                if keep() {
                    now
                } else {
                    then
                }
            }
        };
        let mut left = Vec::with_capacity(len);
        while left.len() < len {
            let start = left.len();
            let end = (start / SECTOR * SECTOR + SECTOR).min(len);
            let grown = end > durable.len() && model == Model::Ordered;
            // What was cut off is no longer in memory.
            let now = start < current.len() && (grown || keep());
            let from = if now { &current } else { &durable };
            let bytes = from.get(start..end.min(from.len())).unwrap_or_default();
            left.extend_from_slice(bytes);
            // Where nothing is durable, zeros.
            left.resize(end, 0);
        }
        self.given_up.clear();
        self.durable = left.clone();
        self.there = There::Plain(left);
    }
}

/// The sectors of a range, or of all of a file of this length.
fn sectors(range: &Option<Range<usize>>, len: usize) -> Range<usize> {
    let all = 0..len;
    let range = range.as_ref().unwrap_or(&all);
    range.start / SECTOR..range.end.min(len).div_ceil(SECTOR)
}

fn sector(bytes: &[u8], at: usize) -> &[u8] {
    let rest = bytes.get(at * SECTOR..).unwrap_or_default();
    &rest[..rest.len().min(SECTOR)]
}
