//! The instant of an event, and the id made from it.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use super::Timestamp;

/// One reading of the clock, from which both the timestamp and the id come, so that ids sort as timestamps do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant {
    seconds: i64,
    nanos: u32,
}

impl Instant {
    pub(crate) fn now() -> Self {
        // Before 1970 a UUIDv7 has no representation; such a clock reads as its beginning.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().try_into().unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
    }

    /// A UUIDv7 (RFC 9562, 5.7) with 12 bits of sub-millisecond time (6.2, method 3) and 62 random bits.
    pub(crate) fn uuid(self, random: u64) -> uuid::Uuid {
        let millis = (self.seconds as u64).wrapping_mul(1000) + u64::from(self.nanos / 1_000_000);
        let fraction = (u64::from(self.nanos % 1_000_000) << 12) / 1_000_000;
        uuid::Uuid::from_u64_pair(millis << 16 | 7 << 12 | fraction, 0b10 << 62 | random >> 2)
    }
}

/// Writes timestamps; the part down to the second is kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct TimestampWriter {
    second: Option<i64>,
    text: String,
}

impl TimestampWriter {
    /// Appends `2026-11-21T10:15:00.123456Z`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, at: Instant) {
        /// Where the digits of the fraction begin.
        const FRACTION: usize = 20;
        if self.second != Some(at.seconds) {
            self.second = Some(at.seconds);
            self.text.clear();
            // Writing to a `String` doesn't fail.
            let _ = write!(self.text, "{}", Timestamp::from_micros(at.seconds.saturating_mul(1_000_000)));
        }
        let mut micros = at.nanos / 1000;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += (micros % 10) as u8;
            micros /= 10;
        }
        out.extend_from_slice(&self.text.as_bytes()[..FRACTION]);
        out.extend_from_slice(&digits);
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_timestamps_say_the_same_instant() {
        let at = Instant { seconds: 1_763_720_100, nanos: 123_456_789 };
        let id = at.uuid(u64::MAX);
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_763_720_100, 123_000_000));
        let later = Instant { nanos: at.nanos + 1000, ..at };
        assert!(later.uuid(0) > id, "ids sort by the microsecond");

        let mut writer = TimestampWriter::default();
        let mut out = Vec::new();
        writer.write(&mut out, at);
        assert_eq!(String::from_utf8(out).unwrap(), "2025-11-21T10:15:00.123456Z");
    }
}
