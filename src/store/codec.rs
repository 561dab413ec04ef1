//! Numbers and texts of fixed size in a binary file, little-endian.

use crate::entry::Timestamp;

/// Writes one after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn time(&mut self, time: Timestamp) -> &mut Self {
        self.bytes(&time.as_micros().to_le_bytes())
    }

    /// A text in `N` bytes, cut off there, filled up with zeros.
    pub(super) fn text<const N: usize>(&mut self, text: &str) -> &mut Self {
        let mut field = [0; N];
        for (place, byte) in field.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        self.bytes(&field)
    }

    pub(super) fn done(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads one after the other; `None` at the end.
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// The bytes that were not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        self.array()
            .map(|bytes| Timestamp::from_micros(i64::from_le_bytes(bytes)))
    }

    pub(super) fn text<const N: usize>(&mut self) -> Option<String> {
        let field: [u8; N] = self.array()?;
        let text = field.split(|b| *b == 0).next()?;
        String::from_utf8(text.to_vec()).ok()
    }
}
