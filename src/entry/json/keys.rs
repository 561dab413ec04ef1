//! No object has a key twice, though a `Serialize` may write one again: a flattened field does, or
//! a list of pairs that is written as a map. Readers differ in which of the two they take. Here the
//! last value stands, in the place of the first: what `serde_json`, jq and most others read.
//!
//! Each object notes where its keys are. The notes of all objects that are open are kept in the
//! buffer, one behind the other, so that they need no memory of their own. When an object ends, its
//! keys are compared by their hashes, and only equal ones by their bytes. Nothing in the text moves
//! unless there is a key twice.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
};

use crate::entry::{
    buffer::{Buffer, word},
    scan,
};

/// Up to so many keys each is compared with each; more are sorted.
const FEW: usize = 16;

/// A key: its hash, and below that where in the buffer it begins, with its quote. One word, so that
/// sorting keys is sorting numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::entry) struct Key(u64);

/// How many bits of a key say where it begins: more than any memory has.
const START: u32 = 40;

impl Key {
    /// The key that begins at `start`. `text` is what is between its quotes, or what that was
    /// before it was escaped: for all keys of an object the one, or for all the other.
    #[inline]
    pub(super) fn new(start: usize, text: &[u8]) -> Self {
        Self(hash(text) << START | start as u64)
    }

    #[inline]
    fn start(self) -> usize {
        (self.0 & ((1 << START) - 1)) as usize
    }

    #[inline]
    fn has_hash_of(self, other: Self) -> bool {
        (self.0 ^ other.0) >> START == 0
    }

    pub(super) fn is_before(self, place: usize) -> bool {
        self.start() < place
    }

    /// Between its quotes.
    fn text(self, out: &[u8]) -> &[u8] {
        scan::string(out, self.start()).unwrap_or_default()
    }
}

/// Of equal texts the same; of others mostly not. Both ends and the length are enough to know the
/// keys of one object apart.
#[inline]
fn hash(text: &[u8]) -> u64 {
    let ends = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
        }
        _ => word(text),
    };
    // The upper bits of a product depend on all bits of its factors.
    (ends.wrapping_add(text.len() as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> START
}

/// Does for members that were written without notes what [`end`] does: the members from `start` on,
/// each with a comma before it.
pub(crate) fn leave_last(out: &mut Buffer, start: usize) {
    let first = out.keys.len();
    let mut at = start;
    while out.get(at) == Some(&b',') {
        let Some(text) = scan::string(out, at + 1) else {
            break;
        };
        let key = Key::new(at + 1, text);
        let value = at + text.len() + 4;
        out.keys.push(key);
        at = scan::value_end(out, value).unwrap_or(out.len());
    }
    let len = out.len();
    end(out, first);
    if out.len() != len {
        out.forget_shown(start);
    }
}

/// Ends the object whose keys are noted from `first` on, before its closing brace.
#[inline]
pub(super) fn end(out: &mut Buffer, first: usize) {
    if has_equal_hashes(out.keys.get_mut(first..).unwrap_or_default()) {
        leave_last_noted(out, first);
    }
    out.keys.truncate(first);
}

/// Whether two of the keys have one hash. Their order may change.
#[inline]
fn has_equal_hashes(keys: &mut [Key]) -> bool {
    if keys.len() > FEW {
        keys.sort_unstable();
        return keys
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.has_hash_of(*b)));
    }
    let mut rest = &*keys;
    while let [key, others @ ..] = rest {
        if others.iter().any(|other| other.has_hash_of(*key)) {
            return true;
        }
        rest = others;
    }
    false
}

/// If one of the keys is there twice, writes the members again: each key once, in the place of its
/// first value, with its last.
#[cold]
fn leave_last_noted(out: &mut Buffer, first: usize) {
    let mut keys = mem::take(&mut out.keys);
    let own = keys.get_mut(first..).unwrap_or_default();
    own.sort_unstable();
    if own
        .chunk_by_mut(|a, b| a.has_hash_of(*b))
        .any(|alike| has_twins(out, alike))
    {
        own.sort_unstable_by_key(|key| key.start());
        write_last(out, own);
    }
    out.keys = keys;
}

/// Whether two of the keys are equal. Their order may change.
fn has_twins(out: &[u8], keys: &mut [Key]) -> bool {
    // Sorted, because a client can choose keys so that the hashes of all are equal.
    keys.sort_unstable_by_key(|key| key.text(out));
    keys.windows(2)
        .any(|pair| matches!(pair, [a, b] if a.text(out) == b.text(out)))
}

fn write_last(out: &mut Buffer, keys: &[Key]) {
    let Some(start) = keys.first().map(|key| key.start()) else {
        return;
    };
    let commas = keys.iter().skip(1).map(|next| next.start() - 1);
    let mut members: Vec<&[u8]> = Vec::with_capacity(keys.len());
    let mut places = HashMap::with_capacity(keys.len());
    for (key, end) in keys.iter().zip(commas.chain([out.len()])) {
        let member = &out[key.start()..end];
        match places.entry(key.text(out)) {
            Entry::Vacant(place) => {
                place.insert(members.len());
                members.push(member);
            }
            Entry::Occupied(place) => members[*place.get()] = member,
        }
    }
    let members = members.join(&b',');
    out.truncate(start);
    out.append(&members);
}
