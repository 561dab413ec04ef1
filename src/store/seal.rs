//! Makes an immutable, compressed file of a live one that is finished.
//!
//! The order, each step durable before the next:
//!
//! 1. compress to `state/tmp`, sync;
//! 2. read that back and compare it with the live file, byte by byte;
//! 3. put the index in its place;
//! 4. rename the compressed file into `sealed/`, sync the folder.
//!
//! The index comes first so that no reader ever finds a sealed file without one, and reads the
//! whole file to make it. An index whose file never came is replaced when sealing is tried again;
//! readers look for an index only when they have its file. Each step can be interrupted, and all of
//! them repeated; files in `sealed/` are always complete. The live twin stays until [`verified`]
//! allows its removal.

use std::{io, panic, sync::mpsc, thread};

use sha2::{Digest, Sha256};

use super::{
    blob::{self, Blob, FileBlob},
    fs::Fs,
    gzip::{self, BLOCK_LEN, Level, Packer, Unpacker},
    index::{Block, Built, Index},
    layout::{Layout, SEALED},
    mend::set_sealed_aside,
    names::FileStem,
    rebuild::{ends_as, rebuild, write_index},
    summary::IndexBuilder,
    tmp::{TmpFile, sync_dirs},
};
use crate::error::{Error, Result};

/// How many blocks may be deflated and not yet indexed.
const INDEXED_LATER: usize = 2;

/// Seals a live file to which no process writes any longer. If it was sealed before, there is
/// nothing to do.
///
/// # Errors
///
/// [`Error::Damaged`] if a line is not an entry of the file's stream with a number above those
/// before it: someone changed the file after its writer finished it.
pub(crate) fn seal_sound(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    level: Level,
) -> Result<Index> {
    seal_if(fs, layout, stem, level, |is_sound| is_sound)
}

/// The same, whatever the lines are, as long as the last one is whole.
#[cfg(test)]
pub(crate) fn seal(fs: &dyn Fs, layout: &Layout, stem: &FileStem, level: Level) -> Result<Index> {
    seal_if(fs, layout, stem, level, |_| true)
}

fn seal_if(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    level: Level,
    may_be_sealed: impl FnOnce(bool) -> bool,
) -> Result<Index> {
    let live = open(FileBlob::open(fs, layout.live(stem)))?;
    match sealed_twin(fs, layout, stem, live.as_ref())? {
        Twin::Whole(index) => return Ok(index),
        // Compressed, the changed lines would replace the true ones.
        Twin::Changed(_) => {
            let what = "it is not what was sealed, and the sealed file is whole";
            return Err(Error::damaged(layout.live(stem), what));
        }
        Twin::Missing => {}
    }
    // There is no sealed file, or someone changed it: only the live file can mend that.
    let live = live.map_or_else(|| FileBlob::open(fs, layout.live(stem)), Ok)?;
    ends_with_a_line(&live)?;

    let tmp = TmpFile::create(fs, layout, &format!("{stem}{SEALED}"))?;
    let (built, is_sound) = compress(&tmp, &live, stem, level)?;
    if !may_be_sealed(is_sound) {
        return Err(Error::damaged(
            live.path(),
            "it has a line that is not an entry of its stream, or comes too late",
        ));
    }
    tmp.sync()?;
    compare(
        &FileBlob::open(fs, tmp.path().to_owned())?,
        &live,
        &built.index,
    )?;
    set_sealed_aside(fs, layout, stem)?;
    write_index(fs, layout, &built)?;
    tmp.publish(
        &layout.sealed_dir(),
        &layout.sealed_day(stem.day()),
        &layout.sealed(stem),
    )?;
    Ok(built.index)
}

/// A live file's twin in `sealed/`.
#[derive(Debug)]
pub(crate) enum Twin {
    /// The sealed file is not there, or is damaged: only the live file can mend that.
    Missing,
    /// The sealed file is whole and durable, and has what the live file has, which may go.
    Whole(Index),
    /// The sealed file is whole and durable. The live file has something else, because someone
    /// changed it after it was sealed.
    Changed(Index),
}

/// The index of the sealed twin, if that is there, durable, and has what the live file has, which
/// may go then.
pub(crate) fn verified(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<Index>> {
    Ok(match twin(fs, layout, stem)? {
        Twin::Whole(index) => Some(index),
        Twin::Missing | Twin::Changed(_) => None,
    })
}

/// Compares a live file with its sealed twin.
pub(crate) fn twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Twin> {
    let live = open(FileBlob::open(fs, layout.live(stem)))?;
    sealed_twin(fs, layout, stem, live.as_ref())
}

/// Looks whether the sealed twin is complete: by its index and its end, and by the length and
/// checksum of the live file. Where these don't agree, the whole sealed file is read: it alone says
/// whether it is sound, because anyone may have changed the live file. Makes a sound one durable.
fn sealed_twin(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    live: Option<&FileBlob>,
) -> Result<Twin> {
    let Some(sealed) = open(FileBlob::open(fs, layout.sealed(stem)))? else {
        return Ok(Twin::Missing);
    };
    // The process that renamed it may have died before this sync.
    let make_durable = || sync_dirs(fs, &[&layout.sealed_day(stem.day()), &layout.sealed_dir()]);
    let is_whole = |index: &Index| live.map_or(Ok(true), |live| holds(live, index));
    let noted = noted_index(fs, layout, stem)?;
    if let Some(index) = &noted
        && ends_as(&sealed, index)?
        && is_whole(index)?
    {
        make_durable()?;
        return Ok(Twin::Whole(index.clone()));
    }
    let built = match rebuild(&sealed, stem) {
        Err(Error::Damaged { .. }) if live.is_some() => return Ok(Twin::Missing),
        built => built?,
    };
    let was_changed = noted.is_some_and(|noted| noted.sha256 != built.index.sha256);
    if live.is_some() && was_changed {
        return Ok(Twin::Missing);
    }
    // The index of a file that was changed is the proof of that.
    if !was_changed {
        write_index(fs, layout, &built)?;
    }
    make_durable()?;
    Ok(match is_whole(&built.index)? {
        true => Twin::Whole(built.index),
        false => Twin::Changed(built.index),
    })
}

/// The index that was made when the file was sealed. `None` if it is lost or damaged.
fn noted_index(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<Index>> {
    match Index::read(fs, &layout.index(stem)) {
        Err(Error::Damaged { .. }) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        index => index.map(Some),
    }
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
    let mut crc = crc32fast::Hasher::new();
    let mut blocks = Blocks::new(live);
    while let Some(block) = blocks.next()? {
        crc.update(block);
    }
    Ok(crc.finalize() == index.crc)
}

fn ends_with_a_line(live: &FileBlob) -> Result<()> {
    let Some(last) = live.len().checked_sub(1) else {
        return Err(Error::damaged(live.path(), "it is empty"));
    };
    let mut byte = [0];
    blob::read_exact(live, &mut byte, last)?;
    if byte == *b"\n" {
        Ok(())
    } else {
        Err(Error::damaged(
            live.path(),
            format!("its last line is torn (byte {last})"),
        ))
    }
}

/// Deflates on this thread and makes the index on another: both take about as long at the fast
/// level, and it is when sealing is behind that time matters. Says as well whether the lines are
/// sound.
fn compress(
    tmp: &TmpFile<'_>,
    live: &FileBlob,
    stem: &FileStem,
    level: Level,
) -> Result<(Built, bool)> {
    thread::scope(|scope| {
        let (blocks, indexed) = mpsc::sync_channel::<(Vec<u8>, u32)>(INDEXED_LATER);
        let (emptied, buffers) = mpsc::channel();
        let mut builder = IndexBuilder::new(stem.clone());
        let index = helper().spawn_scoped(scope, move || {
            let mut builder = IndexBuilder::new(stem.clone());
            for (block, packed_len) in indexed {
                builder.push(&block, packed_len);
                // After the last block, the buffer is no longer needed.
                let _ = emptied.send(block);
            }
            builder
        });
        let deflated = deflate(tmp, live, level, |plain, packed_len| {
            if index.is_err() {
                // There are no more threads for now: slower, but the file is sealed.
                builder.push(plain, packed_len);
                return;
            }
            let mut block: Vec<u8> = buffers.try_recv().unwrap_or_default();
            block.clear();
            block.extend_from_slice(plain);
            // Joining fails only if that thread panicked, which is passed on below.
            let _ = blocks.send((block, packed_len));
        });
        drop(blocks);
        if let Ok(index) = index {
            builder = index
                .join()
                .unwrap_or_else(|panic| panic::resume_unwind(panic));
        }
        let (mut packed_len, mut sha256) = deflated?;
        let trailer = gzip::trailer(builder.crc(), builder.plain_len());
        sha256.update(trailer);
        packed_len += trailer.len() as u64;
        tmp.append(&trailer)?;
        let is_sound = builder.is_sound();
        let built = builder.finish(packed_len, sha256.finalize().into());
        Ok((built, is_sound))
    })
}

/// Writes everything up to the trailer; gives `done` each block and the length it was packed to.
fn deflate(
    tmp: &TmpFile<'_>,
    live: &FileBlob,
    level: Level,
    mut done: impl FnMut(&[u8], u32),
) -> Result<(u64, Sha256)> {
    let mut packer = Packer::new(level);
    let mut blocks = Blocks::new(live);
    let mut packed = gzip::HEADER.to_vec();
    let mut sha256 = Sha256::new();
    let mut packed_len = 0;
    while let Some(block) = blocks.next()? {
        let len = packer
            .block(block, &mut packed)
            .map_err(Error::io("compress", live.path()))?;
        done(block, len);
        sha256.update(&packed);
        packed_len += packed.len() as u64;
        tmp.append(&packed)?;
        packed.clear();
    }
    Ok((packed_len, sha256))
}

/// Reads the compressed file back, on two threads.
fn compare(packed: &FileBlob, live: &FileBlob, index: &Index) -> Result<()> {
    let differs = |what: &str| {
        Error::damaged(
            packed.path(),
            format!("what was read back is not what was written: {what}"),
        )
    };
    let mut header = gzip::HEADER;
    blob::read_exact(packed, &mut header, 0)?;
    if header != gzip::HEADER || !ends_as(packed, index)? {
        return Err(differs("its first or last bytes"));
    }
    let mut ends = (0, gzip::HEADER_LEN);
    for row in &index.blocks {
        if (row.plain_offset, row.packed_offset) != ends {
            return Err(differs("its blocks do not follow each other"));
        }
        ends = (
            ends.0 + u64::from(row.plain_len),
            ends.1 + u64::from(row.packed_len),
        );
    }
    if ends != (live.len(), packed.len() - gzip::TRAILER_LEN) {
        return Err(differs("its blocks are not the whole of the live file"));
    }
    let (one, other) = index.blocks.split_at(index.blocks.len() / 2);
    thread::scope(|scope| {
        let helping = helper().spawn_scoped(scope, || compare_blocks(packed, live, other));
        compare_blocks(packed, live, one)?;
        match helping {
            Ok(helping) => helping
                .join()
                .unwrap_or_else(|panic| panic::resume_unwind(panic)),
            Err(_) => compare_blocks(packed, live, other),
        }
    })
}

/// A thread that helps with a file, if there can be one.
fn helper() -> thread::Builder {
    let builder = thread::Builder::new().name("audit-sealer-2".to_owned());
    #[cfg(test)]
    if tests::ALONE.get() {
        // More than there are addresses.
        return builder.stack_size(1 << 50);
    }
    builder
}

/// Whether these blocks inflate to what the live file has in their places.
fn compare_blocks(packed: &FileBlob, live: &FileBlob, rows: &[Block]) -> Result<()> {
    let mut unpacker = Unpacker::new();
    let mut plain = Vec::new();
    let mut wanted = Vec::new();
    for row in rows {
        unpacker.block(packed, row, &mut plain)?;
        wanted.resize(row.plain_len as usize, 0);
        blob::read_exact(live, &mut wanted, row.plain_offset)?;
        if plain != wanted {
            let what = format!(
                "what was read back is not what was written: the block at byte {}",
                row.packed_offset
            );
            return Err(Error::damaged(packed.path(), what));
        }
    }
    Ok(())
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
        Self {
            live,
            at: 0,
            buffer: Vec::new(),
            given: 0,
        }
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
            blob::read_exact(
                self.live,
                self.buffer.get_mut(len..).unwrap_or_default(),
                self.at,
            )?;
            self.at += more as u64;
        };
        Ok(self
            .buffer
            .get(..self.given)
            .filter(|block| !block.is_empty()))
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
