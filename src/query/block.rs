//! Finds what is wanted in one block.

use std::sync::Arc;

use super::{
    entry::RawEntry,
    needle::Haystack,
    order::{ByTime, Key},
    page::Problem,
    plan::{BlockFile, Pass, Piece, Wanted},
};
use crate::{
    entry::{
        Timestamp,
        scan::{Fields, scan},
    },
    error::{Error, Result},
    store::{
        blob::Blob, files::Files, gzip::Unpacker, index::Block, names::FileStem, summary::lines,
    },
};

/// The entries that were found in one block.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order, the first last: it is taken from the end.
    pub(super) entries: Vec<RawEntry>,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// The problems of the block, and of files that were opened meanwhile.
    pub(super) problems: Vec<Problem>,
    pub(super) file: Option<BlockFile>,
    /// The block, to be read again in its place.
    pub(super) again: Option<Piece>,
}

impl Found {
    /// Of a block that could not be read.
    fn unread(piece: &Piece, error: &Error) -> Self {
        let name = piece.of.name();
        let problem = if error.is_not_found() {
            Problem::passing(name, "it was removed while it was read".into())
        } else {
            Problem::of(name, error)
        };
        Self {
            problems: vec![problem],
            ..Self::default()
        }
    }
}

/// Reads blocks, one after the other; keeps its buffers and the file it read last.
pub(super) struct BlockReader<'a> {
    files: &'a Files,
    wanted: &'a Wanted,
    /// How many entries of a block are needed at most: one more than are wanted shows that there
    /// are more.
    keep: usize,
    unpacker: Unpacker,
    plain: Vec<u8>,
    lower: Vec<u8>,
    open: Option<(Arc<FileStem>, Arc<dyn Blob>)>,
}

impl<'a> BlockReader<'a> {
    pub(super) fn new(files: &'a Files, wanted: &'a Wanted, keep: usize) -> Self {
        Self {
            files,
            wanted,
            keep,
            unpacker: Unpacker::new(),
            plain: Vec::new(),
            lower: Vec::new(),
            open: None,
        }
    }

    /// Reads a block. Damage in it becomes a problem of the answer.
    pub(super) fn find(&mut self, piece: Piece) -> Found {
        let mut found = match self.read(&piece) {
            Ok(()) => match piece.pass {
                Pass::Only => self.search(&piece),
                Pass::First => self.look(&piece),
                // The damage was reported before.
                Pass::Second => Found {
                    problems: Vec::new(),
                    ..self.search(&piece)
                },
            },
            Err(e) => Found::unread(&piece, &e),
        };
        found.file = Some(piece.of);
        found
    }

    /// Reads a block and gives the fields of each wanted entry, in the order of the lines. Damage
    /// in it becomes a problem of the answer, which has no entries.
    pub(super) fn each<'b>(&'b mut self, piece: Piece, give: &mut dyn FnMut(&Fields<'b>)) -> Found {
        let mut found = match self.read(&piece) {
            Ok(()) => self.each_wanted(&piece, &mut |fields, _| give(fields)),
            Err(e) => Found::unread(&piece, &e),
        };
        found.file = Some(piece.of);
        found
    }

    fn read(&mut self, piece: &Piece) -> Result<()> {
        let stem = match &piece.of {
            BlockFile::Live(file) => return file.block(&piece.block, &mut self.plain),
            BlockFile::Sealed(stem) => stem,
        };
        let blob = match &self.open {
            Some((open, blob)) if open == stem => Arc::clone(blob),
            _ => {
                let blob = self.files.open_sealed(stem)?;
                self.open = Some((Arc::clone(stem), Arc::clone(&blob)));
                blob
            }
        };
        self.unpacker.block(&*blob, &piece.block, &mut self.plain)
    }

    /// Finds which times the wanted entries of an opaque block have.
    fn look(&mut self, piece: &Piece) -> Found {
        let keep = std::mem::replace(&mut self.keep, usize::MAX);
        let found = self.search(piece);
        self.keep = keep;
        let times = |entry: &RawEntry| entry.timestamp();
        let again = found
            .entries
            .iter()
            .map(times)
            .min()
            .zip(found.entries.iter().map(times).max())
            .map(|(min, max)| {
                let block = Block {
                    min,
                    max,
                    ..piece.block
                };
                Piece {
                    of: piece.of.clone(),
                    block,
                    pass: Pass::Second,
                }
            });
        Found {
            entries: Vec::new(),
            again,
            ..found
        }
    }

    fn search(&mut self, piece: &Piece) -> Found {
        let mut entries = Vec::new();
        let found = self.each_wanted(piece, &mut |fields, line| {
            entries.push(RawEntry::new(fields, line));
        });
        let after = |a: &RawEntry, b: &RawEntry| match self.wanted.order {
            ByTime::Desc => a.key().cmp(&b.key()),
            ByTime::Asc => b.key().cmp(&a.key()),
        };
        entries.sort_unstable_by(after);
        entries.drain(..entries.len().saturating_sub(self.keep));
        Found { entries, ..found }
    }

    /// Gives each wanted entry of the block that was read: its fields and its line.
    fn each_wanted<'b>(
        &'b mut self,
        piece: &Piece,
        give: &mut dyn FnMut(&Fields<'b>, &'b [u8]),
    ) -> Found {
        self.lower.clear();
        if self.wanted.filter.needs_lower() {
            self.lower.extend_from_slice(&self.plain);
            self.lower.make_ascii_lowercase();
        }
        let this = &*self;
        let plain = &this.plain[..];
        let mut count = u64::from(piece.block.lines);
        let mut problem_at = None;
        if piece.block.opaque {
            count = 0;
            // A line that isn't an entry has no time, and counts as being of its neighbour's.
            let first = lines(plain).find_map(scan);
            let mut time = first.map_or(piece.of.stem().born, |fields| fields.timestamp);
            for line in lines(plain) {
                count += 1;
                match this.take(line, give) {
                    Some(of_line) => time = of_line,
                    None if this.wanted.filter.covers(time) => {
                        problem_at.get_or_insert(count);
                    }
                    None => {}
                }
            }
        } else {
            let lower = &this.lower;
            let lines = Haystack { plain, lower };
            this.wanted.filter.each_candidate(lines, &mut |line| {
                this.take(line, give);
            });
        }
        let what = |n| {
            format!(
                "line {n} after byte {} of its text is not an entry",
                piece.block.plain_offset
            )
        };
        let problem = problem_at.map(|n| Problem::new(piece.of.name(), what(n)));
        let problems = problem.into_iter().collect();
        Found {
            lines: count,
            bytes: plain.len() as u64,
            problems,
            ..Found::default()
        }
    }

    /// Gives a line if it is wanted; says its time, or `None` if it isn't an entry.
    fn take<'b>(
        &self,
        line: &'b [u8],
        give: &mut dyn FnMut(&Fields<'b>, &'b [u8]),
    ) -> Option<Timestamp> {
        let fields = scan(line)?;
        if self.wanted.filter.matches(&fields) && self.is_ahead(&Key::of(&fields)) {
            give(&fields, line);
        }
        Some(fields.timestamp)
    }

    fn is_ahead(&self, key: &Key) -> bool {
        self.wanted
            .after
            .is_none_or(|after| match self.wanted.order {
                ByTime::Desc => *key < after,
                ByTime::Asc => *key > after,
            })
    }
}
