//! Reading live files while they grow.
//!
//! A live file is read up to its last whole line. [`LiveIndex`] cuts it where sealing will and
//! remembers what is in each block, so that the next reader pays for what was appended since, and
//! for nothing before it. The lines behind the last whole block, the *rest*, are read anew each
//! time.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{
        blob::Blob,
        fs::{self, Fs, FsFile, Identity},
        gzip::{self, BLOCK_LEN},
        index::Block,
        layout::Layout,
        names::FileStem,
        summary::IndexBuilder,
    },
};

/// More than any line's length.
const MAX_REST: usize = 64 << 20;

/// An index of the whole blocks of one live file.
#[derive(Debug)]
pub(crate) struct LiveIndex {
    stem: FileStem,
    /// Device and inode: a file that was deleted and made again is another.
    file: Option<(u64, u64)>,
    builder: IndexBuilder,
}

/// A live file as long as it was when it was looked at. It stays readable when it is removed.
#[derive(Debug)]
pub(crate) struct LiveFile {
    pub(crate) stem: FileStem,
    path: PathBuf,
    file: Box<dyn FsFile>,
    identity: Identity,
    /// Where it ended; its last line, if [`LiveIndex::refresh`] gave it.
    pub(crate) len: u64,
}

impl LiveIndex {
    pub(crate) fn new(stem: FileStem) -> Self {
        Self {
            builder: IndexBuilder::new(stem.clone()).without_tally(),
            file: None,
            stem,
        }
    }

    /// Opens the file and reads the lines that were appended since. `None` if the file is gone.
    pub(crate) fn refresh(&mut self, fs: &dyn Fs, layout: &Layout) -> Result<Option<LiveFile>> {
        let Some(mut live) = LiveFile::open(fs, layout, &self.stem)? else {
            return Ok(None);
        };
        let inode = (live.identity.device, live.identity.inode);
        if self.file.replace(inode) != Some(inode) || live.len < self.builder.plain_len() {
            self.builder = IndexBuilder::new(self.stem.clone()).without_tally();
        }
        let mut rest = Vec::new();
        let mut chunk = Vec::new();
        loop {
            while let Some(end) = gzip::cut(&rest) {
                self.builder.push(rest.get(..end).unwrap_or_default(), 0);
                rest.drain(..end);
            }
            if rest.len() > MAX_REST {
                return Err(Error::damaged(
                    &live.path,
                    format!(
                        "the line from byte {} doesn't end",
                        self.builder.plain_len()
                    ),
                ));
            }
            let from = self.builder.plain_len() + rest.len() as u64;
            let more = (live.len - from).min(BLOCK_LEN as u64) as usize;
            if more == 0 {
                break;
            }
            live.read(from, more, &mut chunk)?;
            rest.extend_from_slice(&chunk);
        }
        let whole = memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1) as u64;
        live.len = self.builder.plain_len() + whole;
        Ok(Some(live))
    }

    /// The index of the whole blocks.
    pub(crate) fn blocks(&self) -> &IndexBuilder {
        &self.builder
    }

    /// The rest after them, in a file that [`refresh`](Self::refresh) gave, as a block that may
    /// hold anything.
    pub(crate) fn rest(&self, file: &LiveFile) -> Option<Block> {
        let plain_offset = self.builder.plain_len();
        let plain_len = u32::try_from(file.len.checked_sub(plain_offset)?)
            .ok()
            .filter(|len| *len > 0)?;
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let unknown = Block {
            plain_offset,
            plain_len,
            packed_offset: 0,
            packed_len: 0,
            crc: 0,
            lines: 0,
            first_seq: 0,
            min,
            max,
            opaque: true,
        };
        Some(unknown)
    }
}

impl LiveFile {
    /// Opens a live file; its last line may be incomplete. `None` if the file is gone.
    pub(crate) fn open(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<Self>> {
        let path = layout.live(stem);
        let file = match fs.open_read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", &path))?,
        };
        let identity = file.identity().map_err(Error::io("look at", &path))?;
        Ok(Some(Self {
            stem: stem.clone(),
            path,
            file,
            identity,
            len: identity.len,
        }))
    }

    /// Puts these bytes of the file into `plain`, in the place of what was there.
    pub(crate) fn read(&self, offset: u64, len: usize, plain: &mut Vec<u8>) -> Result<()> {
        plain.clear();
        plain.resize(len, 0);
        let got =
            fs::read_full_at(&*self.file, plain, offset).map_err(Error::io("read", &self.path))?;
        if got == len {
            Ok(())
        } else {
            Err(Error::damaged(
                &self.path,
                format!("it ends at byte {}, too early", offset + got as u64),
            ))
        }
    }

    /// Makes its bytes durable, whichever process wrote them.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn make_durable(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("sync", &self.path))
    }

    /// Reads a block as [`read`](Self::read); what is known of its bytes is checked.
    pub(crate) fn block(&self, block: &Block, plain: &mut Vec<u8>) -> Result<()> {
        self.read(block.plain_offset, block.plain_len as usize, plain)?;
        if block.lines > 0 && crc32fast::hash(plain) != block.crc {
            return Err(Error::damaged(
                &self.path,
                format!("the lines from byte {} on were changed", block.plain_offset),
            ));
        }
        Ok(())
    }
}

impl Blob for LiveFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}
