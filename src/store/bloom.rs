//! A Bloom filter whose bytes are part of the index format.
//!
//! A filter is sized for what it holds: 14.4 bits a value and 10 probes give one false "maybe" in a
//! thousand. A value is hashed once, by XXH3-64; the ten probes walk on from it by a second number
//! derived from the first (double hashing), each scaled to the filter's bits. Changing any of this
//! changes the format: raise the index's version.

use xxhash_rust::xxh3::xxh3_64;

/// ln(1/p) / ln(2)² for p = 0.001, in tenths of a bit.
const TENTH_BITS_PER_VALUE: usize = 144;
/// log2(1/p).
const PROBES: u32 = 10;

/// The hash under which a value goes into a filter.
pub(crate) fn hash(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// Appends a filter of these hashes to `out`; of none, nothing. Sorts and dedups them on the way.
pub(crate) fn build(hashes: &mut Vec<u64>, out: &mut Vec<u8>) {
    hashes.sort_unstable();
    hashes.dedup();
    let start = out.len();
    // Whole words: with fewer bits than that, chance has its way.
    out.resize(
        start + (hashes.len() * TENTH_BITS_PER_VALUE / 10).div_ceil(64) * 8,
        0,
    );
    let filter = out.get_mut(start..).unwrap_or_default();
    for &hash in hashes.iter() {
        for bit in probes(hash, filter.len()) {
            if let Some(byte) = filter.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// Whether a value of this hash may be in the filter. An empty filter holds nothing.
pub(crate) fn may_contain(filter: &[u8], hash: u64) -> bool {
    !filter.is_empty()
        && probes(hash, filter.len()).all(|bit| {
            filter
                .get(bit / 8)
                .is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
        })
}

fn probes(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = bytes as u128 * 8;
    // The finalizer of MurmurHash3: its result has no visible relation to what went in. Odd, so no
    // step is zero.
    let mut step = hash ^ (hash >> 33);
    step = step.wrapping_mul(0xff51_afd7_ed55_8ccd);
    step ^= step >> 33;
    step = step.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    step = (step ^ (step >> 33)) | 1;
    (0..PROBES).map(move |i| {
        let probe = hash.wrapping_add(step.wrapping_mul(u64::from(i)));
        // Scaled by multiplying, as the upper bits are as random as the lower ones and a division
        // costs more.
        ((u128::from(probe) * bits) >> 64) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_false_maybe_in_a_thousand() {
        for held in [1, 2, 5, 20, 100, 600, 5_000] {
            let filters = 20_000 / held + 3;
            let mut wrong = 0;
            let mut asked = 0;
            for n in 0..filters {
                let mut filter = Vec::new();
                let mut hashes = (0..held)
                    .map(|i| hash(format!("user-{n}-{i}").as_bytes()))
                    .collect::<Vec<_>>();
                let all = hashes.clone();
                build(&mut hashes, &mut filter);
                assert!(all.iter().all(|h| may_contain(&filter, *h)));
                for i in 0..200_000 / filters {
                    asked += 1;
                    wrong += u32::from(may_contain(
                        &filter,
                        hash(format!("other-{n}-{i}").as_bytes()),
                    ));
                }
            }
            let rate = f64::from(wrong) / f64::from(asked);
            assert!(rate < 0.0015, "{held} values: {rate}");
        }
    }

    #[test]
    fn the_format_stays() {
        let mut filter = Vec::new();
        build(
            &mut vec![
                hash(b"user-456"),
                hash(b"admin@company.com"),
                hash(b"user-456"),
            ],
            &mut filter,
        );
        assert_eq!(filter, [84, 10, 234, 0, 60, 64, 21, 40]);
    }

    #[test]
    fn nothing_held_nothing_found() {
        let mut filter = Vec::new();
        build(&mut Vec::new(), &mut filter);
        assert!(filter.is_empty() && !may_contain(&filter, hash(b"")));
    }
}
