//! A Bloom filter whose bytes are part of the index format.
//!
//! A filter is sized for what it holds: 14.4 bits a value and 10 probes give one false "maybe" in a
//! thousand. A value is hashed once, by XXH3-64; the ten probes walk on from it by a second number
//! derived from the first (double hashing), each scaled to the filter's bits.
//!
//! A filter holds values, and pairs of a tenant and a value. Whether a pair is found depends on
//! that pair, and not on whether the value is there for another tenant. A pair takes 10.1 bits and
//! 7 probes, which give one false "maybe" in 128 and leave half of the bits unset, as values do.
//! Changing any of this changes the format: raise the index's version.

use xxhash_rust::xxh3::xxh3_64;

/// ln(1/p) / ln(2)² for p = 0.001, in tenths of a bit.
const TENTH_BITS_PER_VALUE: usize = 144;
/// log2(1/p).
const PROBES: u32 = 10;
/// The same for a pair, where p = 1/128.
const TENTH_BITS_PER_PAIR: usize = 101;
const PROBES_OF_PAIR: u32 = 7;

/// The hashes of what a filter is to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashes {
    values: Vec<u64>,
    pairs: Vec<u64>,
}

impl Hashes {
    pub(crate) fn add(&mut self, value: u64) {
        push(&mut self.values, value);
    }

    /// Adds a pair, given by [`tenant`] and the hash of the value.
    pub(crate) fn add_pair(&mut self, tenant: u64, value: u64) {
        push(&mut self.pairs, pair(tenant, value));
    }

    /// Appends a filter of these hashes to `out`; of none, nothing. Forgets the hashes, and keeps
    /// their room.
    pub(crate) fn build(&mut self, out: &mut Vec<u8>) {
        let Self { values, pairs } = self;
        for hashes in [&mut *values, &mut *pairs] {
            hashes.sort_unstable();
            hashes.dedup();
        }
        let start = out.len();
        let words = words(values, TENTH_BITS_PER_VALUE) + words(pairs, TENTH_BITS_PER_PAIR);
        out.resize(start + words * 8, 0);
        let filter = out.get_mut(start..).unwrap_or_default();
        set(filter, values, PROBES);
        set(filter, pairs, PROBES_OF_PAIR);
        self.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.pairs.clear();
    }
}

/// How many words these take. A filter of fewer bits than a word could give many more false
/// "maybes" than expected.
fn words(hashes: &[u64], tenth_bits_each: usize) -> usize {
    (hashes.len() * tenth_bits_each / 10).div_ceil(64)
}

/// Neighbours often share their id, name and type; the rest is sorted out when the filter is built.
fn push(hashes: &mut Vec<u64>, hash: u64) {
    if !hashes.iter().rev().take(3).any(|last| *last == hash) {
        hashes.push(hash);
    }
}

fn set(filter: &mut [u8], hashes: &[u64], count: u32) {
    for &hash in hashes {
        for bit in probes(hash, filter.len(), count) {
            if let Some(byte) = filter.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// The hash under which a value goes into a filter.
pub(crate) fn hash(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// A tenant's part in the hashes of its pairs.
pub(crate) fn tenant(tenant: &[u8]) -> u64 {
    mix(hash(tenant))
}

/// The hash under which a pair goes into a filter.
fn pair(tenant: u64, value: u64) -> u64 {
    mix(value.wrapping_add(tenant))
}

/// Whether a value of this hash may be in the filter. An empty filter holds nothing.
pub(crate) fn may_contain(filter: &[u8], value: u64) -> bool {
    has_all(filter, value, PROBES)
}

/// The same for a pair, given by [`tenant`] and the hash of the value.
pub(crate) fn may_contain_pair(filter: &[u8], tenant: u64, value: u64) -> bool {
    has_all(filter, pair(tenant, value), PROBES_OF_PAIR)
}

fn has_all(filter: &[u8], hash: u64, count: u32) -> bool {
    let is_set = |bit: usize| {
        let byte = filter.get(bit / 8);
        byte.is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    };
    !filter.is_empty() && probes(hash, filter.len(), count).all(is_set)
}

fn probes(hash: u64, bytes: usize, count: u32) -> impl Iterator<Item = usize> {
    let bits = bytes as u128 * 8;
    // Odd, so no step is zero.
    let step = mix(hash) | 1;
    (0..count).map(move |i| {
        let probe = hash.wrapping_add(step.wrapping_mul(u64::from(i)));
        // Scaled by multiplying, as the upper bits are as random as the lower ones and a division
        // costs more.
        ((u128::from(probe) * bits) >> 64) as usize
    })
}

/// The finalizer of MurmurHash3: its result has no visible relation to what went in.
fn mix(hash: u64) -> u64 {
    let mut mixed = hash ^ (hash >> 33);
    mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(kind: &str, filter: usize, n: usize) -> u64 {
        hash(format!("{kind}-{filter}-{n}").as_bytes())
    }

    /// The share of those that are not in a filter for which it says "maybe": of values, and of
    /// pairs. Each filter holds so many of both.
    fn false_maybes(values: usize, pairs: usize) -> [f64; 2] {
        let filters = 20_000 / (values + pairs) + 3;
        let asked = 200_000 / filters;
        let mut wrong = [0, 0];
        let tenant = tenant(b"acme");
        for n in 0..filters {
            let mut hashes = Hashes::default();
            (0..values).for_each(|i| hashes.add(hash_of("user", n, i)));
            (0..pairs).for_each(|i| hashes.add_pair(tenant, hash_of("user", n, i)));
            let mut filter = Vec::new();
            hashes.build(&mut filter);
            let holds = |i| may_contain(&filter, hash_of("user", n, i));
            let holds_pair = |i| may_contain_pair(&filter, tenant, hash_of("user", n, i));
            assert!((0..values).all(holds) && (0..pairs).all(holds_pair));
            for i in 0..asked {
                let other = hash_of("other", n, i);
                wrong[0] += usize::from(may_contain(&filter, other));
                wrong[1] += usize::from(may_contain_pair(&filter, tenant, other));
            }
        }
        wrong.map(|wrong| wrong as f64 / (asked * filters) as f64)
    }

    #[test]
    fn one_false_maybe_in_a_thousand_and_of_pairs_in_a_hundred() {
        for held in [1, 2, 5, 20, 100, 600, 5_000] {
            let [rate, _] = false_maybes(held, 0);
            assert!(rate < 0.0015, "{held} values: {rate}");
            let [rate, of_pairs] = false_maybes(held, held);
            assert!(rate < 0.0015, "{held} values and pairs: {rate}");
            assert!(of_pairs < 0.01, "{held} values and pairs: {of_pairs}");
        }
    }

    #[test]
    fn a_pair_is_found_by_both_and_no_more_often_if_others_have_the_value() {
        let mut wrong = 0;
        for n in 0..2_000 {
            let mut hashes = Hashes::default();
            for i in 0..20 {
                hashes.add(hash_of("user", n, i));
                hashes.add_pair(tenant(b"globex"), hash_of("user", n, i));
            }
            let mut filter = Vec::new();
            hashes.build(&mut filter);
            for i in 0..20 {
                wrong += usize::from(may_contain_pair(
                    &filter,
                    tenant(b"acme"),
                    hash_of("user", n, i),
                ));
            }
        }
        assert!(f64::from(wrong as u32) / 40_000.0 < 0.01, "{wrong}");
    }

    fn filter(add: impl FnOnce(&mut Hashes)) -> Vec<u8> {
        let mut hashes = Hashes::default();
        add(&mut hashes);
        let mut filter = Vec::new();
        hashes.build(&mut filter);
        filter
    }

    #[test]
    fn the_format_stays() {
        let values = |hashes: &mut Hashes| {
            hashes.add(hash(b"user-456"));
            hashes.add(hash(b"admin@company.com"));
            hashes.add(hash(b"user-456"));
        };
        assert_eq!(filter(values), [84, 10, 234, 0, 60, 64, 21, 40]);
        let pair = |hashes: &mut Hashes| hashes.add_pair(tenant(b"acme"), hash(b"user-456"));
        assert_eq!(filter(pair), [1, 0, 130, 32, 0, 64, 16, 4]);
    }

    #[test]
    fn nothing_held_nothing_found() {
        let filter = filter(|_| {});
        assert!(filter.is_empty() && !may_contain(&filter, hash(b"")));
        assert!(!may_contain_pair(&filter, tenant(b""), hash(b"")));
    }
}
