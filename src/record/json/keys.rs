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

use crate::record::buffer::{Buffer, word};

/// Up to so many keys each is compared with each; more are sorted.
const FEW: usize = 16;

/// Where a key is, with its quotes.
#[derive(Clone, Copy)]
pub(in crate::record) struct Key {
    hash: u64,
    start: usize,
    end: usize,
}

impl Key {
    pub(super) fn is_before(&self, place: usize) -> bool {
        self.end <= place
    }

    fn text<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        out.get(self.start..self.end).unwrap_or_default()
    }
}

/// Notes the key that begins at `start` and that nothing follows yet.
#[inline]
pub(super) fn note(out: &mut Buffer, start: usize) {
    let end = out.len();
    let hash = hash(out.get(start..).unwrap_or_default());
    out.keys.push(Key { hash, start, end });
}

/// Of equal texts the same; of others mostly not. Both ends and the length are enough to tell the
/// keys of one object apart.
#[inline]
fn hash(text: &[u8]) -> u64 {
    let ends = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
        }
        _ => word(text),
    };
    ends.wrapping_add(text.len() as u64)
}

/// Ends the object whose keys are noted from `first` on, before its closing brace.
#[inline]
pub(super) fn end(out: &mut Buffer, first: usize) {
    let mut keys = mem::take(&mut out.keys);
    let own = keys.get_mut(first..).unwrap_or_default();
    if has_twins(out, own) {
        leave_last(out, own);
    }
    keys.truncate(first);
    out.keys = keys;
}

/// Whether two of the keys are equal. Their order may change.
#[inline]
fn has_twins(out: &[u8], keys: &mut [Key]) -> bool {
    if keys.len() > FEW {
        return many_have_twins(out, keys);
    }
    let mut rest = &*keys;
    while let [key, others @ ..] = rest {
        let is_twin = |other: &Key| other.hash == key.hash && other.text(out) == key.text(out);
        if others.iter().any(is_twin) {
            return true;
        }
        rest = others;
    }
    false
}

fn many_have_twins(out: &[u8], keys: &mut [Key]) -> bool {
    // By their bytes where the hashes are equal, because a client can choose keys so that all are.
    keys.sort_unstable_by(|a, b| {
        a.hash
            .cmp(&b.hash)
            .then_with(|| a.text(out).cmp(b.text(out)))
    });
    let equal = |a: &Key, b: &Key| a.hash == b.hash && a.text(out) == b.text(out);
    keys.windows(2)
        .any(|pair| matches!(pair, [a, b] if equal(a, b)))
}

/// Writes the members again: each key once, in the place of its first value, with its last.
#[cold]
fn leave_last(out: &mut Buffer, keys: &mut [Key]) {
    keys.sort_unstable_by_key(|key| key.start);
    let Some(start) = keys.first().map(|key| key.start) else {
        return;
    };
    let commas = keys.iter().skip(1).map(|next| next.start - 1);
    let mut members: Vec<&[u8]> = Vec::with_capacity(keys.len());
    let mut places = HashMap::with_capacity(keys.len());
    for (key, end) in keys.iter().zip(commas.chain([out.len()])) {
        let member = &out[key.start..end];
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
