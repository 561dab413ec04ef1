//! The bytes of an entry while it is rendered.
//!
//! A `Vec<u8>` copies what it appends by calling `memmove`, for three bytes as for three thousand;
//! an entry is some fifty short pieces. This buffer always holds initialised bytes beyond its end,
//! so a short piece is one or two stores of a fixed width, which may run over the piece's end into
//! what the next piece will overwrite. No unsafe code is needed for that, only room.

use std::{
    io,
    ops::{Deref, DerefMut, Range},
};

use super::{denied::FieldNames, json::Key};

/// A growing string of bytes. Its content is read as a slice.
pub struct Buffer {
    /// All of it is initialised; what counts are the first `len` bytes.
    bytes: Vec<u8>,
    len: usize,
    longest: usize,
    /// The keys of the objects that are being written.
    pub(super) keys: Vec<Key>,
    /// The names that the log denies and allows.
    names: Option<&'static FieldNames>,
    /// Where the values begin that are recorded whatever their names.
    shown: Vec<usize>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    /// The longest text, for what is rendered before its entry is: an eighth of the default
    /// journal, the longest that an entry can be there.
    pub(crate) const LONGEST: usize = 2 << 20;

    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            len: 0,
            longest: Self::LONGEST,
            keys: Vec::new(),
            names: None,
            shown: Vec::new(),
        }
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            ..Self::new()
        }
    }

    /// From now on no text is taken beyond this many bytes; short ones always are.
    #[inline]
    pub(crate) fn limit_texts(&mut self, longest: usize) {
        self.longest = longest.max(SHORT);
    }

    /// The longest text that is taken. One that is longer than the whole entry may be is cut there
    /// in any case; this way it takes no memory before.
    #[inline]
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// From now on the names of this log are denied and allowed.
    #[inline]
    pub(crate) fn set_names(&mut self, names: Option<&'static FieldNames>) {
        self.names = names;
    }

    #[inline]
    pub(crate) fn names(&self) -> Option<&'static FieldNames> {
        self.names
    }

    /// Notes that the value which begins here is recorded whatever its name.
    pub(crate) fn note_shown(&mut self) {
        if self.names.is_some() {
            self.shown.push(self.len);
        }
    }

    /// Forgets what was noted of the values from `start` on, because they have moved or are gone.
    pub(crate) fn forget_shown(&mut self, start: usize) {
        self.shown.retain(|shown| *shown < start);
    }

    /// Whether the value that began at `start` is recorded whatever its name.
    pub(crate) fn is_shown(&self, start: usize) -> bool {
        self.shown.contains(&start)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.shown.clear();
    }

    /// Drops what lies beyond `len`, if anything does.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if !self.shown.is_empty() {
            self.forget_shown(len);
        }
    }

    /// At least `count` bytes beyond the end, to be written to; [`advance`](Self::advance) makes
    /// them count.
    #[inline]
    pub(crate) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < count {
            self.grow(count);
        }
        &mut self.bytes[self.len..]
    }

    /// The next `N` bytes beyond the end, if there are as many.
    #[inline(always)]
    pub(crate) fn chunk<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.bytes
            .get_mut(self.len..)
            .and_then(<[u8]>::first_chunk_mut)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        let needed = self.len + count;
        self.bytes
            .resize(needed.max(self.bytes.len() * 2).next_multiple_of(64), 0);
    }

    /// Takes over the first `count` bytes beyond the end, which were written through
    /// [`room`](Self::room).
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.bytes.len() - self.len, "the bytes are there");
        self.len += count;
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(self.len) {
            Some(next) => *next = byte,
            None => self.room(1)[0] = byte,
        }
        self.len += 1;
    }

    /// The byte at `at`, if it is before the end.
    #[inline]
    pub(crate) fn at(&mut self, at: usize) -> Option<&mut u8> {
        if at < self.len {
            self.bytes.get_mut(at)
        } else {
            None
        }
    }

    /// Appends bytes; inlined, so that of a constant only a store or two is left.
    #[inline(always)]
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        match self.chunk() {
            Some(room) if bytes.len() <= SHORT => {
                copy_short(room, bytes);
                self.len += bytes.len();
            }
            _ => self.append_long(bytes),
        }
    }

    /// As [`extend_from_slice`](Self::extend_from_slice), but a call.
    #[inline(never)]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline(never)]
    fn append_long(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        self.room(len)[..len].copy_from_slice(bytes);
        self.len += len;
    }

    /// Inserts bytes before the one at `at`.
    pub(crate) fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.extend_from_slice(bytes);
        self[at..].rotate_right(bytes.len());
    }

    /// Replaces some of the bytes by others.
    pub(crate) fn replace(&mut self, place: Range<usize>, bytes: &[u8]) {
        let len = self.len;
        let behind = place.start + bytes.len();
        self.room(bytes.len());
        self.bytes.copy_within(place.end..len, behind);
        self.bytes[place.start..behind].copy_from_slice(bytes);
        self.len = behind + len - place.end;
    }

    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

/// Pieces up to this length are copied without a call.
pub(crate) const SHORT: usize = 32;

/// Copies up to [`SHORT`] bytes to the beginning of `room`.
#[inline(always)]
fn copy_short(room: &mut [u8; SHORT], bytes: &[u8]) {
    let len = bytes.len();
    // Each pair overlaps where the piece is shorter than both together.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        room[..16].copy_from_slice(first);
        room[len - 16..len].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        room[..8].copy_from_slice(first);
        room[len - 8..len].copy_from_slice(last);
    } else {
        room[..8].copy_from_slice(&word(bytes).to_le_bytes());
    }
}

/// Up to seven bytes as the low bytes of a word; the others are 0.
#[inline(always)]
pub(super) fn word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        u64::from(*first)
            | u64::from(bytes[len / 2]) << (8 * (len / 2))
            | u64::from(*last) << (8 * (len - 1))
    } else {
        0
    }
}

/// How much longer than a text the room for it is: it is copied in words.
pub(crate) const SLACK: usize = 8;

/// Copies a text of up to [`SHORT`] bytes to the beginning of `room`, unless JSON must escape some
/// of it: then it says `false`, and what it wrote means nothing.
#[inline(always)]
pub(crate) fn copy_short_plain(room: &mut [u8], text: &[u8]) -> bool {
    let len = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        room[..16].copy_from_slice(first);
        room[len - 16..len].copy_from_slice(last);
        !(special(first) | special(last))
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        room[..8].copy_from_slice(first);
        room[len - 8..len].copy_from_slice(last);
        special_in(u64::from_le_bytes(*first)) | special_in(u64::from_le_bytes(*last)) == 0
    } else {
        let word = word(text);
        room[..8].copy_from_slice(&word.to_le_bytes());
        // The bytes that are not the text's count as spaces.
        special_in(word | (ONES * 0x20) << (8 * len)) == 0
    }
}

/// As [`copy_short_plain`], of a text of any length.
pub(crate) fn copy_plain(room: &mut [u8], text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<16>() else {
        return copy_short_plain(room, text);
    };
    let mut found = special(last);
    for (from, to) in text
        .as_chunks::<16>()
        .0
        .iter()
        .zip(room.as_chunks_mut::<16>().0)
    {
        found |= special(from);
        *to = *from;
    }
    room[text.len() - 16..text.len()].copy_from_slice(last);
    !found
}

/// Whether JSON must escape one of these bytes in a string.
#[inline(always)]
fn special(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(false, |found, &byte| {
        found | (byte < 0x20) | (byte == b'"') | (byte == b'\\')
    })
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// The high bit of each byte that JSON must escape in a string; above such a byte, maybe of others.
#[inline(always)]
pub(crate) fn special_in(word: u64) -> u64 {
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    below(word, 0x20)
        | below(word ^ (ONES * u64::from(b'"')), 1)
        | below(word ^ (ONES * u64::from(b'\\')), 1)
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({:?})", String::from_utf8_lossy(self))
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A buffer with `filled` bytes in it, in room for hardly more.
    fn filled(filled: usize) -> Buffer {
        let mut buffer = Buffer::default();
        for n in 0..filled {
            buffer.push(n as u8);
        }
        buffer
    }

    #[test]
    fn every_short_piece_is_copied_whole_whatever_is_already_there() {
        let piece: Vec<u8> = (100..200).collect();
        for before in 0..130 {
            for len in 0..piece.len() {
                let mut buffer = filled(before);
                let mut expected = buffer.to_vec();
                buffer.extend_from_slice(&piece[..len]);
                expected.extend_from_slice(&piece[..len]);
                assert_eq!(*buffer, *expected, "{len} bytes after {before}");
            }
        }
    }

    #[test]
    fn what_must_be_escaped_is_seen_at_every_place_of_every_length() {
        for len in 0..70 {
            let mut text = vec![b'~'; len];
            let mut room = vec![0; len + SLACK];
            assert!(copy_plain(&mut room, &text), "{len}");
            assert_eq!(room[..len], text);
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    text[at] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(
                        copy_plain(&mut room, &text),
                        !special,
                        "{byte} at {at} of {len}"
                    );
                    assert!(special || room[..len] == text);
                }
                text[at] = b'~';
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_vector_does(pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 0u8..7, any::<prop::sample::Index>()), 0..40)) {
            let mut buffer = Buffer::default();
            let mut vector = Vec::new();
            for (piece, what, place) in pieces {
                let at = place.index(vector.len() + 1);
                match what {
                    0 => {
                        buffer.truncate(at);
                        vector.truncate(at);
                    }
                    1 => {
                        buffer.insert(at, &piece);
                        vector.splice(at..at, piece);
                    }
                    3 => {
                        let end = at + (vector.len() - at) / 2;
                        buffer.replace(at..end, &piece);
                        vector.splice(at..end, piece);
                    }
                    2 => {
                        buffer.push(7);
                        vector.push(7);
                    }
                    _ => {
                        buffer.extend_from_slice(&piece);
                        vector.extend_from_slice(&piece);
                    }
                }
                prop_assert_eq!(&*buffer, &*vector);
            }
            prop_assert_eq!(buffer.into_vec(), vector);
        }
    }
}
