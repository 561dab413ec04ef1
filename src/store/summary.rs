//! Makes an index from the lines of a file, block by block.
//!
//! Used when sealing, when an index is rebuilt from its sealed file, and for a live file as it
//! grows. The same lines in the same blocks always give the same index.

use std::borrow::Cow;

use memchr::memchr_iter;

use super::{
    bloom::{self, Hashes},
    gzip::HEADER_LEN,
    index::{Block, Built, FIRST_VERSION, Index, Key, VERSION, has_pairs, leaves_out_values},
    names::FileStem,
    tally::TallyBuilder,
};
use crate::entry::{
    Seq, Timestamp, address,
    scan::{Fields, has_control, scan},
};

/// An index in the making.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    version: u32,
    stem: FileStem,
    blocks: Vec<Block>,
    /// Per key: each block's end in `filters`, and the filters.
    ends: [Vec<u32>; Key::ALL.len()],
    filters: [Vec<u8>; Key::ALL.len()],
    /// The hashes of each key in the current block; kept for their room.
    hashes: [Hashes; Key::ALL.len()],
    plain_len: u64,
    packed_len: u64,
    lines: u64,
    /// The number the next line should have; 0 as long as no line said its own.
    next_seq: u64,
    /// Whether each line is an entry of the file's stream, and comes after the one before it.
    sound: bool,
    first_id: String,
    last_id: String,
    crc: crc32fast::Hasher,
    /// `None` if there is to be none.
    tally: Option<TallyBuilder>,
}

impl IndexBuilder {
    pub(crate) fn new(stem: FileStem) -> Self {
        Self::of_version(VERSION, stem)
    }

    /// Makes the index that this version of the format has.
    pub(super) fn of_version(version: u32, stem: FileStem) -> Self {
        Self {
            version,
            stem,
            blocks: Vec::new(),
            ends: Default::default(),
            filters: Default::default(),
            hashes: Default::default(),
            plain_len: 0,
            packed_len: HEADER_LEN,
            lines: 0,
            next_seq: 0,
            sound: true,
            first_id: String::new(),
            last_id: String::new(),
            crc: crc32fast::Hasher::new(),
            tally: (version > FIRST_VERSION).then(|| TallyBuilder::new(leaves_out_values(version))),
        }
    }

    /// Without a tally: the file is still growing, and its index isn't kept.
    pub(super) fn without_tally(self) -> Self {
        Self {
            tally: None,
            ..self
        }
    }

    /// Takes the next block: whole lines, each with its LF, and the length of its deflate bytes (0
    /// in a live file).
    pub(crate) fn push(&mut self, plain: &[u8], packed_len: u32) -> Block {
        let mut block = Block {
            plain_offset: self.plain_len,
            plain_len: plain.len() as u32,
            packed_offset: self.packed_len,
            packed_len,
            crc: 0,
            lines: 0,
            first_seq: 0,
            min: Timestamp::MAX,
            max: Timestamp::MIN,
            opaque: false,
        };
        let mut first = None;
        let mut last = None;
        for line in lines(plain) {
            let fields = scan(line);
            self.sound &= fields.is_some_and(|fields| self.follows(line, &fields));
            self.number(&mut block, fields.as_ref());
            last = fields.map(|f| f.id);
            first = first.or(Some(last));
            match fields {
                Some(fields) => {
                    block.min = block.min.min(fields.timestamp);
                    block.max = block.max.max(fields.timestamp);
                    self.note(&fields);
                    self.tally.take_if(|tally| !tally.add(&fields));
                }
                None => {
                    block.opaque = true;
                    self.tally = None;
                }
            }
        }
        let text = |id: Option<&[u8]>| String::from_utf8_lossy(id.unwrap_or_default()).into_owned();
        if self.blocks.is_empty() {
            self.first_id = text(first.flatten());
        }
        self.last_id = text(last);
        if block.opaque {
            block.min = Timestamp::MIN;
            block.max = Timestamp::MAX;
        }
        for ((hashes, filters), ends) in self
            .hashes
            .iter_mut()
            .zip(&mut self.filters)
            .zip(&mut self.ends)
        {
            if block.opaque {
                hashes.clear();
            } else {
                hashes.build(filters);
            }
            ends.push(filters.len() as u32);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(plain);
        self.crc.combine(&crc);
        block.crc = crc.finalize();
        self.plain_len += plain.len() as u64;
        self.packed_len += u64::from(packed_len);
        self.blocks.push(block);
        block
    }

    fn follows(&self, line: &[u8], fields: &Fields<'_>) -> bool {
        let ours = fields.stream == self.stem.stream.as_str().as_bytes();
        // A page that never reached the disk reads as zeros.
        ours && fields.seq >= self.next_seq.max(1) && !has_control(line)
    }

    fn number(&mut self, block: &mut Block, fields: Option<&Fields<'_>>) {
        let seq = fields.map_or(self.next_seq, |f| f.seq);
        if block.lines == 0 {
            block.first_seq = seq;
        }
        self.next_seq = if seq == 0 { 0 } else { seq.saturating_add(1) };
        block.lines += 1;
        self.lines += 1;
    }

    fn note(&mut self, f: &Fields<'_>) {
        let (actor_type, address) = match self.version {
            FIRST_VERSION => (&[][..], Cow::Borrowed(f.ip_address)),
            _ => (f.actor_type, address::canonical(f.ip_address)),
        };
        let values: [[&[u8]; 3]; Key::ALL.len()] = [
            [f.actor_id, f.actor_name, actor_type],
            [f.resource_id, f.resource_name, &[]],
            [f.tenant_id, &[], &[]],
            [&address, &[], &[]],
            [f.session_id, &[], &[]],
            [f.request_id, &[], &[]],
        ];
        let tenant = (has_pairs(self.version) && !f.tenant_id.is_empty())
            .then(|| bloom::tenant(f.tenant_id));
        for ((hashes, values), key) in self.hashes.iter_mut().zip(values).zip(Key::ALL) {
            // The tenant itself needs no pair.
            let tenant = tenant.filter(|_| key != Key::Tenant);
            for value in values.into_iter().filter(|value| !value.is_empty()) {
                let value = bloom::hash(value);
                hashes.add(value);
                if let Some(tenant) = tenant {
                    hashes.add_pair(tenant, value);
                }
            }
        }
    }

    /// Whether each line so far is an entry of the file's stream, and comes after the one before
    /// it.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound
    }

    /// The blocks so far.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many bytes of plain text the blocks so far hold.
    pub(crate) fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// CRC-32 of that text.
    pub(crate) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// Whether a block so far may hold a line with this value, of this tenant if one is given, as
    /// in [`Blooms`](super::blooms::Blooms).
    pub(crate) fn may_contain(
        &self,
        block: usize,
        key: Key,
        tenant: Option<&[u8]>,
        value: &[u8],
    ) -> bool {
        let Some(filter) = self.filter(block, key) else {
            return true;
        };
        let value = bloom::hash(value);
        match tenant.filter(|_| has_pairs(self.version)) {
            Some(tenant) => bloom::may_contain_pair(filter, bloom::tenant(tenant), value),
            None => bloom::may_contain(filter, value),
        }
    }

    /// The filter of a block; `None` if the block may hold everything.
    fn filter(&self, block: usize, key: Key) -> Option<&[u8]> {
        if self.blocks.get(block)?.opaque {
            return None;
        }
        let ends = self.ends.get(key as usize)?;
        let before = block.checked_sub(1).and_then(|before| ends.get(before));
        let start = before.copied().unwrap_or(0) as usize;
        let end = *ends.get(block)? as usize;
        self.filters.get(key as usize)?.get(start..end)
    }

    /// How much memory it holds, about.
    pub(crate) fn memory(&self) -> usize {
        let ends = self.ends.iter().map(|ends| ends.len() * 4).sum::<usize>();
        self.blocks.len() * size_of::<Block>()
            + ends
            + self.filters.iter().map(Vec::len).sum::<usize>()
    }

    /// The index of a `.gz` file of this length and SHA-256 that has the blocks pushed.
    pub(crate) fn finish(self, packed_len: u64, sha256: [u8; 32]) -> Built {
        let first_seq = self.blocks.first().map_or(0, |block| block.first_seq);
        let index = Index {
            version: self.version,
            stem: self.stem,
            plain_len: self.plain_len,
            packed_len,
            crc: self.crc.finalize(),
            lines: self.lines,
            first_seq: Seq(first_seq),
            last_seq: Seq(self.next_seq.saturating_sub(1)),
            first_id: self.first_id,
            last_id: self.last_id,
            min: self
                .blocks
                .iter()
                .map(|block| block.min)
                .min()
                .unwrap_or(Timestamp::MIN),
            max: self
                .blocks
                .iter()
                .map(|block| block.max)
                .max()
                .unwrap_or(Timestamp::MAX),
            sha256,
            blocks: self.blocks,
            sections: Default::default(),
            tally: Default::default(),
        };
        let mut sections: [Vec<u8>; Key::ALL.len()] = Default::default();
        for ((section, ends), filters) in sections.iter_mut().zip(self.ends).zip(self.filters) {
            section.extend_from_slice(&0u32.to_le_bytes());
            section.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
            section.extend_from_slice(&filters);
        }
        let tally = self.tally.map(TallyBuilder::encode);
        Built::new(index, sections, tally.unwrap_or_default())
    }
}

/// The lines of a block, without their LF.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let whole = memchr_iter(b'\n', block).map(move |end| {
        let line = block.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    });
    let torn = memchr::memrchr(b'\n', block).map_or(0, |end| end + 1);
    whole.chain(block.get(torn..).filter(|rest| !rest.is_empty()))
}
