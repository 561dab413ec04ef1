//! A file's bytes: those that are there, and those that are durable.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Model;
use crate::record::Timestamp;

/// What reaches the disk whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug)]
pub(super) struct Content {
    there: There,
    durable: Vec<u8>,
    /// What a failed sync threw away: it can be read, but no later sync writes it.
    thrown_away: Range<usize>,
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
            thrown_away: 0..0,
            modified: Timestamp::MIN,
            handles: 0,
        }
    }

    /// A file of zeros, which are durable, mapped by a process.
    pub(super) fn mapped(words: Arc<[AtomicU64]>, process: u64) -> Self {
        Self {
            durable: vec![0; words.len() * 8],
            there: There::Mapped(words, process),
            thrown_away: 0..0,
            modified: Timestamp::MIN,
            handles: 0,
        }
    }

    pub(super) fn copy(&self) -> Self {
        Self {
            there: There::Plain(self.current()),
            durable: self.durable.clone(),
            thrown_away: self.thrown_away.clone(),
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

    /// The bytes of a file that is not mapped.
    pub(super) fn plain(&mut self) -> &mut Vec<u8> {
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
        let mut current = self.current();
        match range {
            None => {
                for at in self.thrown_away.clone() {
                    if let Some(byte) = current.get_mut(at) {
                        *byte = self.durable.get(at).copied().unwrap_or(0);
                    }
                }
                self.durable = current;
            }
            Some(range) => {
                let whole = self.durable.get_mut(range.clone());
                if let (Some(to), Some(from)) = (whole, current.get(range)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }

    /// A sync failed: the pages that it was to write count as written now, although they are not.
    pub(super) fn lose_writes(&mut self) {
        let current = self.current();
        let same = current.iter().zip(&self.durable);
        let start = same.take_while(|(now, then)| now == then).count();
        if start < current.len() {
            self.thrown_away = start..current.len();
        }
    }

    /// Cuts the file, or fills it up with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        self.plain().resize(len, 0);
        self.thrown_away.end = self.thrown_away.end.min(len);
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
        self.thrown_away = 0..0;
        self.durable = left.clone();
        self.there = There::Plain(left);
    }
}
