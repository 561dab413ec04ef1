//! A sealed file's bytes: one gzip member that can be read from many places.
//!
//! ```text
//! header   10 bytes, always the same
//! block    deflate bytes of whole lines, flushed: it ends on 00 00 FF FF, and nothing after it
//!          refers back into it
//! …
//! end      03 00 (an empty last block), CRC-32 and length of the plain text
//! ```
//!
//! So any gzip program reads the whole, [`Unpacker`] reads one block by its row in the index, and
//! blocks of several files make a new file when put one after the other. A block ends with the
//! first line that reaches [`BLOCK_LEN`] bytes, which is how [`Walk`] finds the blocks without an
//! index: the four bytes can also occur by chance, but not there.

use std::io;

use memchr::memmem;
use sha2::{Digest, Sha256};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::{
    blob::{self, Blob},
    index::Block,
};
use crate::error::{Error, Result};

/// How much plain text a block has, at least, unless it is the last. A part of the format: where an
/// index is lost, or is checked, the ends of the blocks are found by this length. With another one,
/// `verify` would call older files damaged.
pub(crate) const BLOCK_LEN: usize = 256 * 1024;
/// The header of a file: deflate, no name, no time, no operating system.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The length of [`HEADER`], after which the first block begins.
pub(crate) const HEADER_LEN: u64 = HEADER.len() as u64;
/// The end of the deflate stream: a last block, empty.
pub(crate) const END: [u8; 2] = [0x03, 0x00];
/// The length of what follows the last block.
pub(crate) const TRAILER_LEN: u64 = 10;
/// The end of a full flush: an empty stored block.
const MARK: [u8; 4] = [0, 0, 0xff, 0xff];
/// Deflate can't do better than this.
const MAX_RATIO: u64 = 1032;
/// More than any line's length. A line that inflates to more isn't ours.
const MAX_BLOCK_LEN: usize = 1 << 30;

/// How hard to compress: 1 (fast) to 9 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(i32);

impl Level {
    /// When sealing falls behind.
    pub(crate) const FASTEST: Self = Self(1);

    #[cfg(test)]
    pub(crate) const DEFAULT: Self = Self(6);

    pub(crate) fn new(level: u32) -> Option<Self> {
        let level = i32::try_from(level).ok()?;
        (1..=9).contains(&level).then_some(Self(level))
    }
}

/// The bytes after the last block.
pub(crate) fn trailer(crc: u32, plain_len: u64) -> [u8; TRAILER_LEN as usize] {
    let ([a, b, c, d], [e, f, g, h]) = (crc.to_le_bytes(), (plain_len as u32).to_le_bytes());
    let [end0, end1] = END;
    [end0, end1, a, b, c, d, e, f, g, h]
}

/// Where the first block of this text ends, if all of that block is here.
pub(crate) fn cut(plain: &[u8]) -> Option<usize> {
    let rest = plain.get(BLOCK_LEN - 1..)?;
    memchr::memchr(b'\n', rest).map(|at| BLOCK_LEN + at)
}

/// How far back deflate refers: 32 KiB, as bits.
const WINDOW: u8 = 15;

/// Compresses block after block of one file.
pub(crate) struct Packer(Deflate);

impl Packer {
    pub(crate) fn new(level: Level) -> Self {
        Self(Deflate::new(level.0, false, WINDOW))
    }

    /// Appends the block's deflate bytes to `packed`; says how many they are.
    pub(crate) fn block(&mut self, plain: &[u8], packed: &mut Vec<u8>) -> io::Result<u32> {
        let (start, before) = (self.0.total_in(), packed.len());
        loop {
            let rest = plain
                .get((self.0.total_in() - start) as usize..)
                .unwrap_or_default();
            // More than even random bytes need, so there is one round.
            let room = rest.len() + rest.len() / 128 + 1024;
            let full = append(packed, room, |out| {
                let before = self.0.total_out();
                self.0
                    .compress(rest, out, DeflateFlush::FullFlush)
                    .map_err(|error| io::Error::other(error.as_str()))?;
                Ok::<_, io::Error>((self.0.total_out() - before) as usize)
            })?;
            if self.0.total_in() - start == plain.len() as u64 && !full {
                return u32::try_from(packed.len() - before).map_err(io::Error::other);
            }
        }
    }
}

/// Has `write` write into so much room behind what there is, and keeps as much as it says. Says
/// whether that was all of the room.
fn append<E>(
    out: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut [u8]) -> std::result::Result<usize, E>,
) -> std::result::Result<bool, E> {
    let before = out.len();
    out.resize(before + room, 0);
    let written = write(out.get_mut(before..).unwrap_or_default());
    out.truncate(before + written.as_ref().map_or(0, |written| *written));
    written.map(|written| written == room)
}

/// Reads single blocks.
pub(crate) struct Unpacker {
    inflate: Inflate,
    packed: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn new() -> Self {
        Self {
            inflate: Inflate::new(false, WINDOW),
            packed: Vec::new(),
        }
    }

    /// Puts the block's lines into `plain`, in the place of what was there. The lines are checked
    /// against the index.
    pub(crate) fn block(
        &mut self,
        blob: &dyn Blob,
        block: &Block,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        // The old bytes are overwritten, which is faster than to make room anew.
        let read = self.inflate(blob, block, plain);
        if read.is_err() {
            plain.clear();
        }
        read
    }

    fn inflate(&mut self, blob: &dyn Blob, block: &Block, plain: &mut Vec<u8>) -> Result<()> {
        let damaged = |what: &str| {
            let Block {
                packed_offset,
                lines,
                first_seq,
                ..
            } = block;
            Error::damaged(
                blob.path(),
                format!(
                    "the block of {lines} lines from number {first_seq} at byte {packed_offset} \
                     {what}"
                ),
            )
        };
        let packed_len = u64::from(block.packed_len);
        let plain_len = u64::from(block.plain_len);
        if block.packed_offset.saturating_add(packed_len) > blob.len() {
            return Err(damaged("lies beyond the file's end"));
        }
        if plain_len > packed_len * MAX_RATIO {
            return Err(damaged("can't hold what the index says"));
        }
        self.packed.resize(block.packed_len as usize, 0);
        blob::read_exact(blob, &mut self.packed, block.packed_offset)?;
        self.inflate.reset(false);
        // Some room more than it should need, to see when it is more.
        plain.resize(block.plain_len as usize + 64, 0);
        let status = self
            .inflate
            .decompress(&self.packed, plain, InflateFlush::SyncFlush);
        plain.truncate(self.inflate.total_out() as usize);
        match status {
            Ok(Status::Ok | Status::BufError)
                if self.inflate.total_in() == packed_len && plain.len() as u64 == plain_len => {}
            Err(_) => return Err(damaged("is not deflate")),
            Ok(_) => return Err(damaged("has another length than the index says")),
        }
        if crc32fast::hash(plain) == block.crc {
            Ok(())
        } else {
            Err(damaged("has another checksum than the index says"))
        }
    }
}

/// Reads a whole file from its first byte to its last, without an index, and checks all there is to
/// check.
pub(crate) struct Walk<'a> {
    blob: &'a dyn Blob,
    inflate: Inflate,
    /// Bytes from the next block on.
    packed: Vec<u8>,
    /// Where the next block begins.
    at: u64,
    lines: u64,
    plain_len: u64,
    crc: crc32fast::Hasher,
    sha256: Sha256,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(blob: &'a dyn Blob) -> Result<Self> {
        let mut header = [0; HEADER.len()];
        blob::read_exact(blob, &mut header, 0)?;
        if header != HEADER {
            return Err(Error::damaged(
                blob.path(),
                "its first 10 bytes are not those of a sealed file",
            ));
        }
        if blob.len() <= HEADER_LEN + TRAILER_LEN {
            return Err(Error::damaged(
                blob.path(),
                format!(
                    "it is cut off at byte {}, before its first line",
                    blob.len()
                ),
            ));
        }
        let mut sha256 = Sha256::new();
        sha256.update(header);
        let inflate = Inflate::new(false, WINDOW);
        let crc = crc32fast::Hasher::new();
        Ok(Self {
            blob,
            inflate,
            packed: Vec::new(),
            at: HEADER_LEN,
            lines: 0,
            plain_len: 0,
            crc,
            sha256,
        })
    }

    /// Puts the next block's lines into `plain`, in the place of what was there, and gives the
    /// length of its deflate bytes; `None` after the last, when the file's end was found right.
    pub(crate) fn next(&mut self, plain: &mut Vec<u8>) -> Result<Option<u32>> {
        plain.clear();
        let end = self.blob.len() - TRAILER_LEN;
        if self.at == end {
            return self.trailer().map(|()| None);
        }
        self.inflate.reset(false);
        let mut fed = 0;
        let mut searched = 0;
        loop {
            let found = self
                .packed
                .get(searched..)
                .and_then(|rest| memmem::find(rest, &MARK));
            let Some(mark) = found.map(|at| searched + at + MARK.len()) else {
                // The mark may lie across what was read and what is read next.
                searched = self.packed.len().saturating_sub(MARK.len() - 1).max(fed);
                let read = self.read_more(end);
                read.map_err(|error| self.or_behind_end(error, fed, plain))?;
                continue;
            };
            let unpacked = self.feed(fed..mark, plain);
            unpacked.map_err(|error| self.or_behind_end(error, fed, plain))?;
            fed = mark;
            searched = mark;
            let last = self.at + mark as u64 == end;
            if last || cut(plain) == Some(plain.len()) {
                return self.take(mark, plain).map(Some);
            }
            if plain.len() > MAX_BLOCK_LEN {
                return Err(self.damaged(mark, "goes on without an end"));
            }
        }
    }

    fn read_more(&mut self, end: u64) -> Result<()> {
        const STEP: u64 = 64 * 1024;
        let from = self.at + self.packed.len() as u64;
        let step = STEP.min(end - from);
        if step == 0 {
            return Err(self.damaged(
                self.packed.len(),
                "doesn't end before the file does: it is cut off or overwritten",
            ));
        }
        let len = self.packed.len();
        self.packed.resize(len + step as usize, 0);
        blob::read_exact(
            self.blob,
            self.packed.get_mut(len..).unwrap_or_default(),
            from,
        )
    }

    fn feed(&mut self, range: std::ops::Range<usize>, plain: &mut Vec<u8>) -> Result<()> {
        let end = range.end as u64;
        while self.inflate.total_in() < end {
            let rest = self
                .packed
                .get(self.inflate.total_in() as usize..range.end)
                .unwrap_or_default();
            let before = (self.inflate.total_in(), plain.len());
            let mut status = Ok(Status::Ok);
            let _ = append(plain, BLOCK_LEN / 4, |out| {
                let before = self.inflate.total_out();
                status = self.inflate.decompress(rest, out, InflateFlush::SyncFlush);
                Ok::<_, ()>((self.inflate.total_out() - before) as usize)
            });
            let stuck = before == (self.inflate.total_in(), plain.len());
            if stuck
                || plain.len() > MAX_BLOCK_LEN
                || !matches!(status, Ok(Status::Ok | Status::BufError))
            {
                return Err(self.damaged(self.inflate.total_in() as usize, "is not deflate"));
            }
        }
        Ok(())
    }

    fn take(&mut self, packed_len: usize, plain: &[u8]) -> Result<u32> {
        if plain.last() != Some(&b'\n') {
            return Err(self.damaged(packed_len, "doesn't end with a line"));
        }
        self.sha256
            .update(self.packed.get(..packed_len).unwrap_or_default());
        self.packed.drain(..packed_len);
        self.crc.update(plain);
        self.at += packed_len as u64;
        self.lines += memchr::memchr_iter(b'\n', plain).count() as u64;
        self.plain_len += plain.len() as u64;
        u32::try_from(packed_len).map_err(|_| self.damaged(0, "is too long"))
    }

    fn trailer(&mut self) -> Result<()> {
        let mut found = [0; TRAILER_LEN as usize];
        blob::read_exact(self.blob, &mut found, self.at)?;
        self.sha256.update(found);
        let wanted = trailer(self.crc.clone().finalize(), self.plain_len);
        if found == wanted {
            return Ok(());
        }
        let what = match (
            found.get(..2) == wanted.get(..2),
            found.get(2..6) == wanted.get(2..6),
        ) {
            (false, _) => "the mark of its end is not there",
            (_, false) => "its checksum is not that of its lines",
            _ => "its length is not that of its lines",
        };
        Err(Error::damaged(
            self.blob.path(),
            format!(
                "{what} (last 10 bytes, from byte {}, after line {})",
                self.at, self.lines
            ),
        ))
    }

    /// The error about a block. If the file's own trailer stands after these bytes and lines,
    /// data was added after it, and the error says that instead.
    fn or_behind_end(&self, error: Error, packed_len: usize, plain: &[u8]) -> Error {
        let at = self.at + packed_len as u64;
        let mut found = [0; TRAILER_LEN as usize];
        let mut crc = self.crc.clone();
        crc.update(plain);
        let wanted = trailer(crc.finalize(), self.plain_len + plain.len() as u64);
        if blob::read_exact(self.blob, &mut found, at).is_err() || found != wanted {
            return error;
        }
        let (from, to) = (at + TRAILER_LEN, self.blob.len());
        Error::damaged(
            self.blob.path(),
            format!("data was added after its end, from byte {from} to byte {to}"),
        )
    }

    /// Whether every block was given: what is wrong then is the end of the file, or some block
    /// before it.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.blob.len() - TRAILER_LEN
    }

    /// The SHA-256 of the file, after [`next`](Self::next) gave `None`.
    pub(crate) fn sha256(self) -> [u8; 32] {
        self.sha256.finalize().into()
    }

    fn damaged(&self, offset: usize, what: &str) -> Error {
        let from = self.at;
        let at = self.at + offset as u64;
        let lines = self.lines;
        Error::damaged(
            self.blob.path(),
            format!("the block from byte {from}, after line {lines}, {what} (byte {at})"),
        )
    }
}

#[cfg(test)]
#[path = "gzip_tests.rs"]
mod tests;
