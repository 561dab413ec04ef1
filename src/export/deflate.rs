//! One deflate stream out of parts: blocks copied from sealed files, and text as it is.
//!
//! Every part begins and ends at a byte boundary and refers to nothing before it, so parts can
//! follow each other in any order, and the CRC-32 of the whole follows from theirs. Text becomes
//! *stored* blocks (RFC 1951, 3.2.4): their bytes depend on the text alone and not on any encoder,
//! so the same range makes the same file today and after an upgrade.

use std::sync::Arc;

use crc32fast::Hasher;

use super::pieces::{Download, Pieces, Stored};
use crate::store::gzip;

/// The longest stored block.
const STORED_MAX: u64 = 65_535;

/// A deflate stream being joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    packed: Pieces,
    plain_len: u64,
    crc: Hasher,
}

impl Joined {
    /// Appends whole blocks of a sealed file: `len` bytes from `offset`, which inflate to
    /// `plain_len` bytes with this CRC-32.
    ///
    /// They must begin after a full flush (or at the stream's start) and end with one.
    pub(crate) fn copy(
        &mut self,
        file: &Arc<dyn Stored>,
        offset: u64,
        len: u64,
        plain_len: u64,
        crc: u32,
    ) {
        self.packed.slice(file, offset, len);
        self.count(plain_len, crc);
    }

    /// Appends text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        for part in text.chunks(STORED_MAX as usize) {
            self.packed.bytes(&stored_header(part.len() as u16));
            self.packed.bytes(part);
        }
        self.count(text.len() as u64, crc32fast::hash(text));
    }

    /// Appends text that a file holds: `len` bytes from `offset` with this CRC-32.
    pub(crate) fn text_of(&mut self, file: &Arc<dyn Stored>, offset: u64, len: u64, crc: u32) {
        let mut done = 0;
        while done < len {
            let part = (len - done).min(STORED_MAX);
            self.packed.bytes(&stored_header(part as u16));
            self.packed.slice(file, offset + done, part);
            done += part;
        }
        self.count(len, crc);
    }

    /// Appends another stream.
    pub(crate) fn append(&mut self, other: Self) {
        self.packed.append(other.packed);
        self.plain_len += other.plain_len;
        self.crc.combine(&other.crc);
    }

    /// The length of the text that it inflates to.
    pub(crate) fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// The CRC-32 of the text that it inflates to.
    pub(crate) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// The stream with its end.
    pub(crate) fn finish(mut self) -> Pieces {
        self.packed.bytes(&gzip::END);
        self.packed
    }

    /// The stream as a gzip file of one member.
    pub(crate) fn into_gzip(self) -> Download {
        let trailer = gzip::trailer(self.crc(), self.plain_len);
        let mut file = Pieces::default();
        file.bytes(&gzip::HEADER);
        file.append(self.packed);
        file.bytes(&trailer);
        file.into_download()
    }

    fn count(&mut self, plain_len: u64, crc: u32) {
        self.plain_len += plain_len;
        self.crc
            .combine(&Hasher::new_with_initial_len(crc, plain_len));
    }
}

/// Not the last block, stored; then the length, and its complement.
fn stored_header(len: u16) -> [u8; 5] {
    let ([low, high], [not_low, not_high]) = (len.to_le_bytes(), (!len).to_le_bytes());
    [0, low, high, not_low, not_high]
}
