//! The index of a sealed file: its blocks, their times, and filters that say which values they
//! can't hold.
//!
//! One index per sealed file. It says nothing that the file doesn't say, so it is rebuilt when lost
//! or damaged, and a reader takes its "not here" at its word. Two rules follow: a block with a line
//! that can't be scanned is *opaque* (it may hold anything, of any time), and [`Index::read`] gives
//! a whole index or an error, never a part.
//!
//! ```text
//! head     magic, version, CRC-32 of what follows up to the filters; counts, sums and ends of the
//!          file; its name; the sections
//! rows     64 bytes per block
//! tally    the counts of the file's entries, see `tally`, which also says when there is none;
//!          CRC-32 in the head
//! section  one per Key: (blocks + 1) offsets of 4 bytes into the filters that follow them; CRC-32
//!          in the head
//! ```
//!
//! All numbers are little-endian. A reader that wants one key's filters reads that section only.
//!
//! Older versions are still read. Version 2 has no pairs of a tenant and a value in its filters, so
//! a question about one tenant's value reads each block that has this tenant and, for any
//! tenant, this value; and it has no tally where later versions leave out values. Version 1 also
//! has no types of actors in its filters, has addresses in them as they stand in the lines, has no
//! tally at all, and doesn't cover its version with the CRC.

use std::{fmt, path::Path};

use super::{
    blooms::Blooms,
    codec::{Decoder, Encoder},
    fs::{self, Fs},
    names::FileStem,
    tally::Tally,
};
use crate::{
    entry::{Seq, Timestamp},
    error::{Error, Result},
};

const MAGIC: &[u8; 8] = b"AUDITIDX";
pub(super) const VERSION: u32 = 3;
pub(super) const FIRST_VERSION: u32 = 1;
/// The first version with pairs of a tenant and a value in its filters, and the first whose tally
/// leaves out values rather than be too long.
const FIRST_WITH_PAIRS: u32 = 3;
/// Magic, version and CRC.
const PREFIX: usize = 16;
/// The head of the first version. Later ones end with the tally's section.
const HEAD: usize = PREFIX + 8 + 8 * 7 + 4 + 36 * 2 + 32 + Key::ALL.len() * 16 + STEM;
const STEM: usize = 128;
const SECTION: usize = 8 + 4 + 4;
const ROW: usize = 64;
const OPAQUE: u32 = 1;

/// A field with a Bloom filter in each block. An actor or resource is found by id and by name, an
/// actor also by its type, and an address by its canonical spelling. Of an entry with a tenant,
/// each value is in the filter alone and as a pair with the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Actor,
    Resource,
    Tenant,
    Address,
    Session,
    Request,
}

impl Key {
    pub(crate) const ALL: [Self; 6] = [
        Self::Actor,
        Self::Resource,
        Self::Tenant,
        Self::Address,
        Self::Session,
        Self::Request,
    ];
}

/// Some whole lines of a sealed file that can be read without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where its lines begin in the plain text, and how long they are.
    pub(crate) plain_offset: u64,
    pub(crate) plain_len: u32,
    /// Where its deflate bytes begin in the `.gz` file, and how long they are.
    pub(crate) packed_offset: u64,
    pub(crate) packed_len: u32,
    /// CRC-32 of the plain bytes.
    pub(crate) crc: u32,
    pub(crate) lines: u32,
    /// The number of its first line; 0 if no line up to it says its own.
    pub(crate) first_seq: u64,
    /// The smallest and the largest `timestamp` of its lines: events of several threads stand out
    /// of order.
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    /// The block has a line that can't be scanned, so neither times nor filters exclude it.
    pub(crate) opaque: bool,
}

/// The index of one sealed file: which entries are in which block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(super) version: u32,
    pub(crate) stem: FileStem,
    pub(crate) plain_len: u64,
    /// The length of the `.gz` file.
    pub(crate) packed_len: u64,
    /// CRC-32 of the whole plain text.
    pub(crate) crc: u32,
    pub(crate) lines: u64,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    /// The ids of the first and the last line; empty where that line can't be scanned.
    pub(crate) first_id: String,
    pub(crate) last_id: String,
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    /// SHA-256 of the `.gz` file.
    pub(crate) sha256: [u8; 32],
    pub(crate) blocks: Vec<Block>,
    pub(super) sections: [Section; Key::ALL.len()],
    /// Empty if there is none.
    pub(super) tally: Section,
}

/// Where one key's filters, or the tally, lie in the index file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

impl Index {
    /// Reads an index file. `Error::Damaged` means: rebuild it.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> Result<Self> {
        let file = fs.open_read(path).map_err(Error::io("open", path))?;
        let damaged = |what: &str| Error::damaged(path, what);
        let read = |len: usize, offset: usize| {
            let mut bytes = vec![0; len];
            let got = fs::read_full_at(&*file, &mut bytes, offset as u64)
                .map_err(Error::io("read", path))?;
            if got == len {
                Ok(bytes)
            } else {
                Err(damaged("it ends before its tables do"))
            }
        };
        let mut head = read(HEAD, 0)?;
        let mut reader = Decoder::new(&head);
        let magic = reader.array();
        let version = reader.u32().filter(|version| is_known(*version));
        let Some(version) = version.filter(|_| magic == Some(*MAGIC)) else {
            return Err(damaged("it doesn't begin as an index of this version does"));
        };
        let crc = reader.u32();
        let blocks = reader.u32().unwrap_or_default() as usize;
        // The count isn't checked yet: the file's length bounds what it can make us allocate.
        let len = file.identity().map_err(Error::io("look at", path))?.len;
        if (blocks as u64).saturating_mul(ROW as u64) > len {
            return Err(damaged("it ends before its tables do"));
        }
        head.extend(read(head_len(version) - HEAD + blocks * ROW, HEAD)?);
        if crc != Some(checksum(version, head.get(PREFIX..).unwrap_or_default())) {
            return Err(damaged("the checksum of its tables differs"));
        }
        let index = Self::decode(version, &head)
            .ok_or_else(|| damaged("its tables contradict each other"))?;
        if path
            .file_stem()
            .is_none_or(|name| name != index.stem.to_string().as_str())
        {
            return Err(damaged("it is the index of another file"));
        }
        Ok(index)
    }

    /// Reads one key's filters from the file that [`read`](Self::read) read. `Error::Damaged`
    /// means: rebuild it.
    pub(crate) fn blooms(&self, fs: &dyn Fs, path: &Path, key: Key) -> Result<Blooms> {
        let Some(section) = self
            .sections
            .get(key as usize)
            .filter(|_| self.can_ask(key))
        else {
            return Ok(Blooms::unknown());
        };
        let bytes = section.read(fs, path, format_args!("{key:?} filters"))?;
        Ok(Blooms::new(bytes, &self.blocks, has_pairs(self.version)))
    }

    /// Whether the file that [`read`](Self::read) read has a tally.
    pub(crate) fn has_tally(&self) -> bool {
        self.tally.len > 0
    }

    /// Reads the tally from the file that [`read`](Self::read) read; `None` if it has none.
    /// `Error::Damaged` means: rebuild it.
    pub(crate) fn tally(&self, fs: &dyn Fs, path: &Path) -> Result<Option<Tally>> {
        if !self.has_tally() {
            return Ok(None);
        }
        let bytes = self.tally.read(fs, path, format_args!("tally"))?;
        let tally = Tally::decode(&bytes);
        let contradicts = || Error::damaged(path, "its tally contradicts itself");
        tally.map(Some).ok_or_else(contradicts)
    }

    /// Whether the filters of this key hold all that is looked for in them.
    fn can_ask(&self, key: Key) -> bool {
        self.version > FIRST_VERSION || !matches!(key, Key::Actor | Key::Address)
    }

    /// The head and the rows.
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        let head = head_len(self.version);
        out.u32(self.blocks.len() as u32).u32(head as u32);
        out.u64(self.plain_len)
            .u64(self.packed_len)
            .u64(self.lines)
            .u64(self.first_seq.0)
            .u64(self.last_seq.0);
        out.time(self.min).time(self.max).u32(self.crc);
        out.text::<36>(&self.first_id)
            .text::<36>(&self.last_id)
            .bytes(&self.sha256);
        for section in &self.sections {
            section.encode(&mut out);
        }
        out.text::<STEM>(&self.stem.to_string());
        if self.version > FIRST_VERSION {
            self.tally.encode(&mut out);
        }
        for block in &self.blocks {
            out.u64(block.plain_offset)
                .u64(block.packed_offset)
                .u64(block.first_seq)
                .time(block.min)
                .time(block.max);
            out.u32(block.plain_len)
                .u32(block.packed_len)
                .u32(block.crc)
                .u32(block.lines);
            out.u32(if block.opaque { OPAQUE } else { 0 }).u32(0);
        }
        let tables = out.done();
        let mut file = Encoder::default();
        file.bytes(MAGIC)
            .u32(self.version)
            .u32(checksum(self.version, &tables))
            .bytes(&tables);
        file.done()
    }

    fn decode(version: u32, bytes: &[u8]) -> Option<Self> {
        let mut r = Decoder::new(bytes.get(PREFIX..)?);
        let count = r.u32()? as usize;
        if r.u32()? as usize != head_len(version) {
            return None;
        }
        let plain_len = r.u64()?;
        let packed_len = r.u64()?;
        let lines = r.u64()?;
        let first_seq = Seq(r.u64()?);
        let last_seq = Seq(r.u64()?);
        let min = r.time()?;
        let max = r.time()?;
        let crc = r.u32()?;
        let first_id = r.text::<36>()?;
        let last_id = r.text::<36>()?;
        let sha256 = r.array()?;
        let mut sections = [Section::default(); Key::ALL.len()];
        for section in &mut sections {
            *section = Section::decode(&mut r)?;
        }
        let stem = r.text::<STEM>()?.parse().ok()?;
        let tally = match version {
            FIRST_VERSION => Section::default(),
            _ => Section::decode(&mut r)?,
        };
        let mut blocks = Vec::with_capacity(count);
        for _ in 0..count {
            let (plain_offset, packed_offset, first_seq, min, max) =
                (r.u64()?, r.u64()?, r.u64()?, r.time()?, r.time()?);
            let plain_len = r.u32()?;
            let packed_len = r.u32()?;
            let crc = r.u32()?;
            let lines = r.u32()?;
            let opaque = r.u32()? & OPAQUE != 0;
            r.u32()?;
            blocks.push(Block {
                plain_offset,
                plain_len,
                packed_offset,
                packed_len,
                crc,
                lines,
                first_seq,
                min,
                max,
                opaque,
            });
        }
        Some(Self {
            version,
            stem,
            plain_len,
            packed_len,
            crc,
            lines,
            first_seq,
            last_seq,
            first_id,
            last_id,
            min,
            max,
            sha256,
            blocks,
            sections,
            tally,
        })
    }
}

impl Section {
    fn read(&self, fs: &dyn Fs, path: &Path, what: fmt::Arguments<'_>) -> Result<Vec<u8>> {
        let file = fs.open_read(path).map_err(Error::io("open", path))?;
        let len = file.identity().map_err(Error::io("look at", path))?.len;
        if self.offset.saturating_add(u64::from(self.len)) > len {
            let problem = format!("it ends before its {what} ends");
            return Err(Error::damaged(path, problem));
        }
        let mut bytes = vec![0; self.len as usize];
        let got =
            fs::read_full_at(&*file, &mut bytes, self.offset).map_err(Error::io("read", path))?;
        if got < bytes.len() || crc32fast::hash(&bytes) != self.crc {
            let problem = format!("the checksum of its {what} differs");
            return Err(Error::damaged(path, problem));
        }
        Ok(bytes)
    }

    fn encode(&self, out: &mut Encoder) {
        out.u64(self.offset).u32(self.len).u32(self.crc);
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            offset: from.u64()?,
            len: from.u32()?,
            crc: from.u32()?,
        })
    }
}

/// How long the head is.
fn head_len(version: u32) -> usize {
    match version {
        FIRST_VERSION => HEAD,
        _ => HEAD + SECTION,
    }
}

/// Whether the filters of this version have pairs of a tenant and a value.
pub(super) fn has_pairs(version: u32) -> bool {
    version >= FIRST_WITH_PAIRS
}

/// Whether the tally of this version leaves out values rather than be too long.
pub(super) fn leaves_out_values(version: u32) -> bool {
    version >= FIRST_WITH_PAIRS
}

fn is_known(version: u32) -> bool {
    (FIRST_VERSION..=VERSION).contains(&version)
}

/// The CRC-32 of the tables. A version that is damaged must not pass for another one.
fn checksum(version: u32, tables: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    if version > FIRST_VERSION {
        crc.update(&version.to_le_bytes());
    }
    crc.update(tables);
    crc.finalize()
}

/// An index with its filters, not on disk yet.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) index: Index,
    sections: [Vec<u8>; Key::ALL.len()],
    tally: Vec<u8>,
}

impl Built {
    /// Puts the tally and the filters, which follow the tables on disk, in their places.
    pub(super) fn new(
        mut index: Index,
        sections: [Vec<u8>; Key::ALL.len()],
        tally: Vec<u8>,
    ) -> Self {
        let mut offset = (head_len(index.version) + index.blocks.len() * ROW) as u64;
        let places = [&mut index.tally].into_iter().chain(&mut index.sections);
        for (place, bytes) in places.zip([&tally].into_iter().chain(&sections)) {
            *place = Section {
                offset,
                len: bytes.len() as u32,
                crc: crc32fast::hash(bytes),
            };
            offset += bytes.len() as u64;
        }
        Self {
            index,
            sections,
            tally,
        }
    }

    /// The bytes of the index file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.index.encode();
        for section in [&self.tally].into_iter().chain(&self.sections) {
            bytes.extend_from_slice(section);
        }
        bytes
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
