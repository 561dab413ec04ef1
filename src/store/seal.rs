//! Makes an immutable, compressed file of a live one that is finished.
//!
//! The order, each step durable before the next:
//!
//! 1. compress to `state/tmp`, sync;
//! 2. read that back and compare it with the live file, byte by byte;
//! 3. put the index in its place;
//! 4. rename the compressed file into `sealed/`, sync the folder.
//!
//! The index comes first so that no reader ever meets a sealed file without it and reads the whole to make one. An index whose
//! file never came is replaced by the next try: nobody looks for an index but from its file. Each step can be cut short and all of
//! them repeated; what is in `sealed/` is complete, always. The live twin stays: it goes when [`verified`] says so.

use std::io;

use sha2::{Digest, Sha256};

use super::{
    blob::{self, Blob, FileBlob},
    fs::Fs,
    gzip::{self, BLOCK_LEN, Level, Packer, Unpacker},
    index::{Built, Index},
    layout::{Layout, SEALED},
    names::FileStem,
    rebuild::{ends_as, read_index, rebuild, write_index},
    summary::IndexBuilder,
    tmp::{TmpFile, sync_dirs},
};
use crate::error::{Error, Result};

/// Seals a live file that nobody writes to any more and whose last line is whole. If it was sealed before, there is nothing to do.
pub(crate) fn seal(fs: &dyn Fs, layout: &Layout, stem: &FileStem, level: Level) -> Result<Index> {
    let live = open(FileBlob::open(fs, layout.live(stem)))?;
    if let Some(index) = sealed_twin(fs, layout, stem, live.as_ref())? {
        return Ok(index);
    }
    // Neither is there, or what is in `sealed/` is not what was put there: only the live file can mend that.
    let live = live.map_or_else(|| FileBlob::open(fs, layout.live(stem)), Ok)?;
    ends_with_a_line(&live)?;

    let tmp = TmpFile::create(fs, layout, stem, SEALED)?;
    let built = compress(&tmp, &live, stem, level)?;
    tmp.sync()?;
    compare(&FileBlob::open(fs, tmp.path().to_owned())?, &live, &built.index)?;
    write_index(fs, layout, &built)?;
    tmp.publish(&layout.sealed_dir(), &layout.sealed_day(stem.day()), &layout.sealed(stem))?;
    Ok(built.index)
}

/// Whether the sealed twin is there, durable, and has what the live file has, which may go then.
pub(crate) fn verified(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<bool> {
    let live = open(FileBlob::open(fs, layout.live(stem)))?;
    sealed_twin(fs, layout, stem, live.as_ref()).map(|index| index.is_some())
}

/// The index of the sealed twin if that is complete: by its index, made again if need be, and its end; and by the length and checksum
/// of the live file, if that is still there. Makes it durable.
fn sealed_twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem, live: Option<&FileBlob>) -> Result<Option<Index>> {
    let Some(sealed) = open(FileBlob::open(fs, layout.sealed(stem)))? else { return Ok(None) };
    let index = match read_index(fs, layout, &sealed, stem)? {
        Some(index) => index,
        None => match rebuild(&sealed, stem) {
            Ok(built) => {
                write_index(fs, layout, &built)?;
                built.index
            }
            Err(Error::Damaged { .. }) if live.is_some() => return Ok(None),
            Err(e) => return Err(e),
        },
    };
    let whole = ends_as(&sealed, &index)? && live.map_or(Ok(true), |live| holds(live, &index))?;
    // Who renamed it may have died before this.
    sync_dirs(fs, &[&layout.sealed_day(stem.day()), &layout.sealed_dir()])?;
    Ok(whole.then_some(index))
}

/// `None` if it isn't there.
fn open(file: Result<FileBlob>) -> Result<Option<FileBlob>> {
    match file {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

/// Whether a live file has the length and the checksum of this index.
fn holds(live: &FileBlob, index: &Index) -> Result<bool> {
    if live.len() != index.plain_len {
        return Ok(false);
    }
    let (mut crc, mut blocks) = (crc32fast::Hasher::new(), Blocks::new(live));
    while let Some(block) = blocks.next()? {
        crc.update(block);
    }
    Ok(crc.finalize() == index.crc)
}

fn ends_with_a_line(live: &FileBlob) -> Result<()> {
    let Some(last) = live.len().checked_sub(1) else { return Err(Error::damaged(live.path(), "it is empty")) };
    let mut byte = [0];
    blob::read_exact(live, &mut byte, last)?;
    if byte == *b"\n" { Ok(()) } else { Err(Error::damaged(live.path(), format!("its last line is torn (byte {last})"))) }
}

fn compress(tmp: &TmpFile<'_>, live: &FileBlob, stem: &FileStem, level: Level) -> Result<Built> {
    let (mut packer, mut builder, mut blocks) = (Packer::new(level), IndexBuilder::new(stem.clone()), Blocks::new(live));
    let (mut packed, mut sha256, mut packed_len) = (gzip::HEADER.to_vec(), Sha256::new(), 0);
    let mut write = |bytes: &[u8]| {
        sha256.update(bytes);
        packed_len += bytes.len() as u64;
        tmp.append(bytes)
    };
    while let Some(block) = blocks.next()? {
        let len = packer.block(block, &mut packed).map_err(Error::io("compress", live.path()))?;
        builder.push(block, len);
        write(&packed)?;
        packed.clear();
    }
    write(&gzip::trailer(builder.crc(), builder.plain_len()))?;
    let sha256 = sha256.finalize().into();
    Ok(builder.finish(packed_len, sha256))
}

/// Reads the compressed file back.
fn compare(packed: &FileBlob, live: &FileBlob, index: &Index) -> Result<()> {
    let differs = |what: String| Error::damaged(packed.path(), format!("what was read back is not what was written: {what}"));
    let mut header = gzip::HEADER;
    blob::read_exact(packed, &mut header, 0)?;
    if header != gzip::HEADER || !ends_as(packed, index)? {
        return Err(differs("its first or last bytes".into()));
    }
    let (mut unpacker, mut plain, mut blocks, mut rows) = (Unpacker::new(), Vec::new(), Blocks::new(live), index.blocks.iter());
    while let Some(block) = blocks.next()? {
        let row = rows.next().ok_or_else(|| differs("the live file grew".into()))?;
        unpacker.block(packed, row, &mut plain)?;
        if plain != block {
            return Err(differs(format!("the block at byte {}", row.packed_offset)));
        }
    }
    if rows.next().is_some() { Err(differs("the live file shrank".into())) } else { Ok(()) }
}

/// The blocks of a live file: where sealing cuts it.
struct Blocks<'a> {
    live: &'a FileBlob,
    at: u64,
    buffer: Vec<u8>,
    given: usize,
}

impl<'a> Blocks<'a> {
    fn new(live: &'a FileBlob) -> Self {
        Self { live, at: 0, buffer: Vec::new(), given: 0 }
    }

    fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.drain(..self.given);
        self.given = loop {
            if let Some(end) = gzip::cut(&self.buffer) {
                break end;
            }
            let more = (self.live.len() - self.at).min(BLOCK_LEN as u64) as usize;
            if more == 0 {
                break self.buffer.len();
            }
            let len = self.buffer.len();
            self.buffer.resize(len + more, 0);
            blob::read_exact(self.live, self.buffer.get_mut(len..).unwrap_or_default(), self.at)?;
            self.at += more as u64;
        };
        Ok(self.buffer.get(..self.given).filter(|block| !block.is_empty()))
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
