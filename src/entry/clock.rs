//! The instant of an event, and the id made from it.

use std::{
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Buffer, Timestamp};

/// One reading of the clock, from which both the timestamp and the id come, so that ids sort as
/// timestamps do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant {
    seconds: i64,
    nanos: u32,
}

impl Instant {
    pub(crate) fn now() -> Self {
        #[cfg(test)]
        if let Some(set) = SET.get() {
            return set;
        }
        // Before 1970 a UUIDv7 has no representation; such a clock reads as its beginning.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        }
    }

    /// In microseconds since 1970.
    #[inline]
    pub(crate) fn as_micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1000)
    }

    /// A UUIDv7 (RFC 9562, 5.7) with 12 bits of sub-millisecond time (6.2, method 3) and 62 random
    /// bits.
    pub(crate) fn uuid(self, random: u64) -> uuid::Uuid {
        let millis = (self.seconds as u64).wrapping_mul(1000) + u64::from(self.nanos / 1_000_000);
        let fraction = (u64::from(self.nanos % 1_000_000) << 12) / 1_000_000;
        uuid::Uuid::from_u64_pair(millis << 16 | 7 << 12 | fraction, 0b10 << 62 | random >> 2)
    }
}

#[cfg(test)]
thread_local! {
    static SET: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// For tests: what this thread records from now on is of this time; without one, of the clock's.
#[cfg(test)]
pub(crate) fn set_now(now: Option<Timestamp>) {
    replace_now(now);
}

/// [`set_now`], giving the time that was set before.
#[cfg(test)]
pub(crate) fn replace_now(now: Option<Timestamp>) -> Option<Timestamp> {
    let before = SET.replace(now.map(|now| Instant {
        seconds: now.as_micros().div_euclid(1_000_000),
        nanos: now.as_micros().rem_euclid(1_000_000) as u32 * 1000,
    }));
    before.map(|at| Timestamp::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos / 1000)))
}

/// Writes the beginning of an entry, `"id":"…","timestamp":"…",`; the part down to the second is
/// kept from one to the next.
#[derive(Debug)]
pub(crate) struct Stamp {
    second: Option<i64>,
    text: [u8; TEXT.len()],
}

const TEXT: &[u8; 86] =
    br#""id":"00000000-0000-0000-0000-000000000000","timestamp":"0000-00-00T00:00:00.000000Z","#;
/// Where the id lies in what a [`Stamp`] writes.
pub(crate) const ID: Range<usize> = 6..42;
/// Where the timestamp lies in it. As texts, timestamps are in the order of time.
pub(crate) const TIMESTAMP: Range<usize> = 57..84;
const SECONDS: Range<usize> = 57..77;
const MICROS: Range<usize> = 77..83;

/// When an entry that begins with a [`Stamp`] was made, in microseconds since 1970.
pub(crate) fn made(entry: &[u8]) -> Option<i64> {
    let text = str::from_utf8(entry.get(TIMESTAMP)?).ok()?;
    Some(text.parse::<Timestamp>().ok()?.as_micros())
}

/// Gives an entry that begins with a [`Stamp`] another time and the id that goes with it.
#[cold]
pub(crate) fn make_again(entry: &mut [u8], at: Instant, id: uuid::Uuid) {
    let mut stamp = Buffer::with_capacity(TEXT.len());
    Stamp::default().write(&mut stamp, at, id);
    if let Some(place) = entry.get_mut(..TEXT.len()) {
        place.copy_from_slice(&stamp);
    }
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            second: None,
            text: *TEXT,
        }
    }
}

impl Stamp {
    /// Appends the id and the timestamp of one event.
    pub(crate) fn write(&mut self, out: &mut Buffer, at: Instant, id: uuid::Uuid) {
        if self.second != Some(at.seconds) {
            self.set_second(at.seconds);
        }
        let (high, low) = id.as_u64_pair();
        let [a, b, c, d] = [
            (high >> 32) as u32,
            high as u32,
            (low >> 32) as u32,
            low as u32,
        ]
        .map(hex);
        // Copied first and filled where it goes: wide loads from bytes just stored one by one would
        // wait for them.
        let Some(text) = out.room(TEXT.len()).first_chunk_mut::<{ TEXT.len() }>() else {
            return;
        };
        *text = self.text;
        let id = &mut text[ID];
        // The hyphens stay: they lie between these.
        id[..8].copy_from_slice(&a);
        id[9..13].copy_from_slice(&b[..4]);
        id[14..18].copy_from_slice(&b[4..]);
        id[19..23].copy_from_slice(&c[..4]);
        id[24..28].copy_from_slice(&c[4..]);
        id[28..].copy_from_slice(&d);
        let micros = at.nanos / 1000;
        let digits = &mut text[MICROS];
        digits[..2].copy_from_slice(&pair(micros / 10_000));
        digits[2..4].copy_from_slice(&pair(micros / 100 % 100));
        digits[4..].copy_from_slice(&pair(micros % 100));
        out.advance(TEXT.len());
    }

    #[cold]
    fn set_second(&mut self, second: i64) {
        self.second = Some(second);
        let text = Timestamp::from_micros(second.saturating_mul(1_000_000)).to_string();
        if let Some(seconds) = text.as_bytes().get(..SECONDS.len()) {
            self.text[SECONDS].copy_from_slice(seconds);
        }
    }
}

/// The two digits of a number below 100.
#[inline]
fn pair(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// Eight hexadecimal digits, all at once.
#[inline]
pub(super) fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Spreads the digits, one to a byte.
    let mut x = u64::from(number);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & (ONES * 0x0f);
    let above_nine = (x + ONES * 6) >> 4 & ONES;
    (x + ONES * u64::from(b'0') + above_nine * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_and_timestamps_say_the_same_instant() {
        let at = Instant {
            seconds: 1_763_720_100,
            nanos: 123_456_789,
        };
        let id = at.uuid(u64::MAX);
        assert_eq!(
            (id.get_version_num(), id.get_variant()),
            (7, uuid::Variant::RFC4122)
        );
        assert_eq!(
            id.get_timestamp().unwrap().to_unix(),
            (1_763_720_100, 123_000_000)
        );
        let later = Instant {
            nanos: at.nanos + 1000,
            ..at
        };
        assert!(later.uuid(0) > id, "ids sort by the microsecond");

        let mut out = Buffer::default();
        Stamp::default().write(&mut out, at, id);
        assert_eq!(out[ID], *id.to_string().as_bytes());
        assert_eq!(
            String::from_utf8(out.into_vec()).unwrap(),
            format!(r#""id":"{id}","timestamp":"2025-11-21T10:15:00.123456Z","#)
        );
    }

    proptest! {
        #[test]
        fn a_stamp_says_what_it_is_given(stamps in prop::collection::vec((0i64..5_000_000_000, 0u32..1_000_000_000, any::<u128>()), 1..4)) {
            let mut stamp = Stamp::default();
            for (seconds, nanos, id) in stamps {
                let mut out = Buffer::default();
                let id = uuid::Uuid::from_u128(id);
                stamp.write(&mut out, Instant { seconds, nanos }, id);
                let timestamp = Timestamp::from_micros(seconds * 1_000_000 + i64::from(nanos / 1000));
                let expected = format!(r#""id":"{id}","timestamp":"{timestamp}","#);
                prop_assert_eq!(String::from_utf8(out.into_vec()).unwrap(), expected);
            }
        }
    }
}
