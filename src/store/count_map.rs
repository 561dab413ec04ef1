//! How often texts are there: a map for counts of millions of short texts.
//!
//! The texts come from users, so the hash has a seed that they don't know. The standard library's
//! hash has one as well, and takes several times as long for texts of this length.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Texts, and how often each is there.
#[derive(Debug, Default)]
pub(crate) struct CountMap(HashMap<Box<[u8]>, u64, Seeded>);

impl CountMap {
    /// Counts a text so many times more. Says whether it is new.
    pub(crate) fn add(&mut self, text: &[u8], count: u64) -> bool {
        if let Some(known) = self.0.get_mut(text) {
            *known += count;
            return false;
        }
        self.0.insert(text.into(), count);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for CountMap {
    type Item = (Box<[u8]>, u64);
    type IntoIter = std::collections::hash_map::IntoIter<Box<[u8]>, u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[derive(Clone, Copy, Debug)]
struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(fastrand::u64(..))
    }
}

impl BuildHasher for Seeded {
    type Hasher = OneText;

    fn build_hasher(&self) -> OneText {
        OneText(self.0)
    }
}

/// Hashes a text that comes in one piece, behind its length.
struct OneText(u64);

impl Hasher for OneText {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // A text's length is hashed with its bytes already.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
