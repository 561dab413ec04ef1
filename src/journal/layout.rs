//! Where everything lies in a ring's file, and how a frame is marked as committed.
//!
//! Shared by both ends of the live ring and by recovery, so that they can't disagree.

use std::path::Path;

use crate::{
    entry::StreamId,
    error::{Error, Result},
};

/// The default capacity of a ring.
pub(crate) const DEFAULT_CAPACITY: usize = 16 << 20;
/// The smallest capacity of a ring in a file.
pub(crate) const MIN_CAPACITY: usize = 4096;

/// The header's length; the data begin here.
pub(super) const PAGE: usize = 4096;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 16;
/// Before the payload: commit word, length, CRC.
pub(super) const FRAME_HEADER: usize = 16;
/// Set in `head` when the ring is closed.
pub(super) const CLOSED: u64 = 1 << 63;

/// Where the header's changing words lie.
pub(super) mod at {
    pub(in crate::journal) const HEAD: usize = 256;
    pub(in crate::journal) const LIMIT: usize = 264;
    pub(in crate::journal) const BAR: usize = 272;
    pub(in crate::journal) const TAIL: usize = 384;
    pub(in crate::journal) const DROPPED_TOTAL: usize = 512;
    pub(in crate::journal) const DROPPED_SINCE: usize = 520;
    pub(in crate::journal) const DROPPED_REPORTED: usize = 640;
    pub(in crate::journal) const SLOTS: [usize; 2] = [768, 896];
    pub(in crate::journal) const FILES: usize = 1024;
    pub(in crate::journal) const ALIVE: usize = 1032;
    pub(in crate::journal) const COMPLETE: usize = 1040;
}

const MAGIC: u64 = u64::from_le_bytes(*b"AUDITJR1");
const VERSION: u32 = 2;
/// The identity's fields: magic, version and the stream's length, capacity, key, stream, CRC.
const STREAM: usize = 32;

/// How many bytes a journal of this version has for the stream's name; the CRC follows.
fn stream_max(version: u32) -> Option<usize> {
    match version {
        1 => Some(72),
        VERSION => Some(96),
        _ => None,
    }
}

const IDENTITY_CRC: usize = STREAM + 96;

/// An error unless a journal can have this capacity.
pub(crate) fn check_capacity(capacity: usize) -> Result<()> {
    if capacity.is_power_of_two() && capacity >= MIN_CAPACITY && u32::try_from(capacity).is_ok() {
        return Ok(());
    }
    let problem = format!(
        "{capacity} must be a power of two from {MIN_CAPACITY} to {}, like {DEFAULT_CAPACITY}",
        1u64 << 31
    );
    Err(Error::invalid("journal_bytes", problem))
}

/// The properties of a ring, fixed when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) capacity: usize,
    pub(super) key: u64,
    pub(super) stream: StreamId,
}

impl Header {
    pub(super) fn new(capacity: usize, stream: &StreamId, key: u64) -> Result<Self> {
        check_capacity(capacity)?;
        Ok(Self {
            capacity,
            key,
            stream: stream.clone(),
        })
    }

    /// The header page of a new ring: nothing pushed, nothing released, 1 the first number, and no
    /// payload made before `born`, in microseconds since 1970.
    pub(super) fn page(&self, born: i64) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let name = self.stream.as_str().as_bytes();
        put(&mut page, 0, &MAGIC.to_ne_bytes());
        put(&mut page, 8, &VERSION.to_ne_bytes());
        put(&mut page, 12, &(name.len() as u32).to_ne_bytes());
        put(&mut page, 16, &(self.capacity as u64).to_ne_bytes());
        put(&mut page, 24, &self.key.to_ne_bytes());
        put(&mut page, 32, name);
        let crc = crc32fast::hash(&page[..IDENTITY_CRC]);
        put(&mut page, IDENTITY_CRC, &crc.to_ne_bytes());

        put(&mut page, at::LIMIT, &(self.capacity as u64).to_ne_bytes());
        for word in [at::BAR, at::COMPLETE] {
            put(&mut page, word, &born.to_ne_bytes());
        }
        for (word, value) in Slot::FIRST.words().into_iter().enumerate() {
            put(&mut page, at::SLOTS[0] + 8 * word, &value.to_ne_bytes());
        }
        page
    }

    /// An error unless the file at `path` has the length that this says.
    pub(super) fn check_len(&self, path: &Path, len: u64) -> Result<()> {
        let ours = (PAGE + self.capacity) as u64;
        if len == ours {
            return Ok(());
        }
        let what = format!("it has {len} bytes, its header says {ours}");
        Err(Error::damaged(path, what))
    }

    /// Reads the identity; the error says in words what is wrong with it.
    pub(super) fn parse(page: &[u8; PAGE]) -> Result<Self, String> {
        if word(page, 0) != MAGIC {
            return Err(
                "it does not begin like the journal of an audit log on this kind of machine".into(),
            );
        }
        let version = half(page, 8);
        let Some(max) = stream_max(version) else {
            return Err(format!(
                "it is a journal of version {version}, this is version {VERSION}"
            ));
        };
        let crc = STREAM + max;
        if half(page, crc) != crc32fast::hash(&page[..crc]) {
            return Err(format!(
                "the checksum of its header, at byte {crc}, is wrong"
            ));
        }
        let name = page[STREAM..crc]
            .get(..half(page, 12) as usize)
            .and_then(|name| std::str::from_utf8(name).ok());
        let stream = name
            .and_then(|name| name.parse().ok())
            .ok_or("its header names no stream")?;
        Self::new(word(page, 16) as usize, &stream, word(page, 24))
            .map_err(|error| error.to_string())
    }
}

/// A consistent pair: up to where space was released, and the number of the frame that begins
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Counts releases; 0 marks a slot being written.
    pub(super) generation: u64,
    pub(super) tail: u64,
    pub(super) next_seq: u64,
}

impl Slot {
    pub(super) const FIRST: Self = Self {
        generation: 1,
        tail: 0,
        next_seq: 1,
    };

    pub(super) fn words(self) -> [u64; 4] {
        [self.generation, self.tail, self.next_seq, self.crc()]
    }

    fn crc(self) -> u64 {
        let mut hasher = crc32fast::Hasher::new();
        for field in [self.generation, self.tail, self.next_seq] {
            hasher.update(&field.to_ne_bytes());
        }
        hasher.finalize().into()
    }

    /// The newer of the header's two slots that are whole.
    pub(super) fn newest(page: &[u8; PAGE]) -> Option<Self> {
        let read = |at: usize| {
            let slot = Self {
                generation: word(page, at),
                tail: word(page, at + 8),
                next_seq: word(page, at + 16),
            };
            (slot.generation != 0 && slot.crc() == word(page, at + 24)).then_some(slot)
        };
        at::SLOTS
            .into_iter()
            .filter_map(read)
            .max_by_key(|slot| slot.generation)
    }
}

/// The commit word of the frame at `position`: splitmix64's finalizer over position and key, and
/// never the 0 of an untouched block.
#[inline]
pub(super) fn commit_word(key: u64, position: u64) -> u64 {
    let mut x = key.wrapping_add(position);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31) | 1
}

/// How much of the ring a payload of this length takes.
#[inline]
pub(super) fn frame_size(payload: usize) -> usize {
    (FRAME_HEADER + payload).next_multiple_of(ALIGN)
}

/// A frame's second word: the payload's length and checksum.
///
/// The checksum is gzip's CRC-32, which crc32fast takes of 450 bytes in two thirds of the time
/// crc32c needs for a CRC-32C.
#[inline]
pub(super) fn describe(payload: &[u8]) -> u64 {
    u64::from(crc32fast::hash(payload)) << 32 | payload.len() as u64
}

/// The length in a frame's second word.
#[inline]
pub(super) fn described_len(description: u64) -> usize {
    description as u32 as usize
}

/// The aligned word at `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u64::from_ne_bytes(*word))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |half| u32::from_ne_bytes(*half))
}

fn put(page: &mut [u8; PAGE], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}
