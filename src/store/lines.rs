//! The lines of a live file, one after the other, whatever stands in it.

use std::io;

use super::fs::{self, FsFile};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;
/// Longer than any entry. More bytes without a line end are one broken line.
const MAX_LINE: usize = 64 << 20;

/// Reads a file from its beginning to where it ended when this was made.
pub(super) struct Lines<'a> {
    file: &'a dyn FsFile,
    /// Where the file ended.
    len: u64,
    /// Where `buffer` begins in the file.
    at: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was given.
    given: usize,
}

/// One line: the bytes up to a line end, or what is left at the end of the file.
pub(super) struct Line<'a> {
    /// Where it begins in the file.
    pub(super) at: u64,
    /// Without its line end.
    pub(super) text: &'a [u8],
    /// Whether it has a line end.
    pub(super) ended: bool,
}

impl Line<'_> {
    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.at + self.text.len() as u64 + u64::from(self.ended)
    }
}

impl<'a> Lines<'a> {
    /// The lines of the first `len` bytes.
    pub(super) fn new(file: &'a dyn FsFile, len: u64) -> Self {
        Self {
            file,
            len,
            at: 0,
            buffer: Vec::new(),
            given: 0,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.given;
        let end = loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', rest) {
                break searched + found;
            }
            searched = self.buffer.len();
            if searched - self.given > MAX_LINE || !self.read_on(&mut searched)? {
                break searched;
            }
        };
        if end == self.given && end == self.buffer.len() {
            return Ok(None);
        }
        let line = Line {
            at: self.at + self.given as u64,
            text: self.buffer.get(self.given..end).unwrap_or_default(),
            ended: end < self.buffer.len(),
        };
        self.given = end + usize::from(line.ended);
        Ok(Some(line))
    }

    /// Reads another chunk; false at the end.
    fn read_on(&mut self, searched: &mut usize) -> io::Result<bool> {
        self.buffer.drain(..self.given);
        self.at += self.given as u64;
        *searched -= self.given;
        self.given = 0;
        let from = self.buffer.len();
        let position = self.at + from as u64;
        let more = self.len.saturating_sub(position).min(CHUNK as u64) as usize;
        self.buffer.resize(from + more, 0);
        let chunk = self.buffer.get_mut(from..).unwrap_or_default();
        let read = fs::read_full_at(self.file, chunk, position)?;
        self.buffer.truncate(from + read);
        Ok(read > 0)
    }
}
