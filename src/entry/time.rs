//! Instants and days, always UTC.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};

use super::text::serde_as_text;
use crate::error::Error;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An instant in UTC with microseconds, as in an entry's `timestamp`. In JSON an RFC 3339 text.
///
/// ```
/// use tracing_audit::{Day, Timestamp};
///
/// let time: Timestamp = "2026-11-21T12:15:00+02:00".parse()?;
/// assert_eq!(time.to_string(), "2026-11-21T10:15:00.000000Z");
/// assert_eq!(time.day(), "2026-11-21".parse::<Day>()?);
/// assert_eq!(time.day().next().to_string(), "2026-11-22");
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be written (year 0).
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// The latest instant that can be written (end of year 9999).
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Now, by the system's clock.
    pub fn now() -> Self {
        // A clock outside the years 0 to 9999 reads as the nearest of them: it can't be written
        // otherwise.
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Self::from_micros(micros)
    }

    /// The instant this many microseconds after 1970-01-01T00:00:00Z; clamped to [`MIN`](Self::MIN)
    /// and [`MAX`](Self::MAX).
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The UTC day of the instant.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(MICROS_PER_DAY) as i32)
    }

    /// As in file names: `20261121T101500.123456Z`.
    pub(crate) fn compact(self) -> impl fmt::Display {
        self.datetime().format("%Y%m%dT%H%M%S%.6fZ")
    }

    /// Reads what [`compact`](Self::compact) writes, and nothing else.
    pub(crate) fn parse_compact(text: &str) -> Option<Self> {
        if text.len() != 23 || !text.is_ascii() {
            return None;
        }
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S%.6fZ").ok()?;
        let time = Self::from_micros(naive.and_utc().timestamp_micros());
        (time.compact().to_string() == text).then_some(time)
    }

    fn datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

/// RFC 3339 with six digits and `Z`: `2026-11-21T10:15:00.123456Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.datetime().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Any RFC 3339 instant, whatever its offset; digits below the microsecond are cut off.
    fn from_str(text: &str) -> Result<Self, Error> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::from_micros(time.timestamp_micros()))
            .map_err(|e| {
                Error::invalid(
                    "timestamp",
                    format!("{text:?} is not an RFC 3339 instant like 2026-11-21T10:15:00Z ({e})"),
                )
            })
    }
}

/// A UTC day, such as `2026-11-21`. In JSON a text.
///
/// ```
/// use tracing_audit::Day;
///
/// let day: Day = "2026-11-21".parse()?;
/// assert_eq!(day.start().to_string(), "2026-11-21T00:00:00.000000Z");
/// assert_eq!(day.end(), day.next().start());
/// assert_eq!(day.plus(-21).to_string(), "2026-10-31");
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// The day's first instant.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0) * MICROS_PER_DAY)
    }

    /// The first instant of the next day.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The day after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The day before.
    pub fn previous(self) -> Self {
        Self(self.0 - 1)
    }

    /// This many days later (or earlier, if negative).
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

/// `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.start().datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}",
            date.year(),
            date.month(),
            date.day()
        )
    }
}

impl FromStr for Day {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("date", format!("{text:?} is not a date like 2026-11-21"));
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| wrong())?;
        let day = Timestamp::from_micros(
            date.and_hms_opt(0, 0, 0)
                .ok_or_else(wrong)?
                .and_utc()
                .timestamp_micros(),
        )
        .day();
        if day.to_string() == text {
            Ok(day)
        } else {
            Err(wrong())
        }
    }
}

serde_as_text! {
    Timestamp: "an RFC 3339 instant like 2026-11-21T10:15:00Z",
    Day: "a date like 2026-11-21",
}

/// For `#[serde(with)]`: an instant that is stored as microseconds since 1970.
#[cfg(feature = "webhook")]
pub(crate) mod timestamp_micros {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Timestamp;

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::as_micros).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::deserialize(from)?.map(Timestamp::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_utc() {
        let day: Day = "2026-11-21".parse().unwrap();
        assert_eq!(day.start().to_string(), "2026-11-21T00:00:00.000000Z");
        assert_eq!(Timestamp::from_micros(day.end().as_micros() - 1).day(), day);
        assert_eq!(Timestamp::from_micros(-1).day().to_string(), "1969-12-31");
        assert!("2026-1-2".parse::<Day>().is_err());
    }

    #[test]
    fn instants_and_days_are_texts_in_json() {
        let text = r#"["2026-11-21T10:15:00.123456Z"]"#;
        let times: Vec<Timestamp> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&times).unwrap(), text);
        let days: Vec<Day> = serde_json::from_str(r#"["2026-11-21"]"#).unwrap();
        assert_eq!(serde_json::to_string(&days).unwrap(), r#"["2026-11-21"]"#);
        let error = serde_json::from_str::<Timestamp>(r#""yesterday""#).unwrap_err();
        assert!(
            error.to_string().contains("is not an RFC 3339 instant"),
            "{error}"
        );
    }

    #[test]
    fn the_compact_form_is_read_strictly() {
        let text = "20261121T101500.123456Z";
        assert_eq!(
            Timestamp::parse_compact(text)
                .unwrap()
                .compact()
                .to_string(),
            text
        );
        for wrong in [
            "20261121T101500.123456",
            "20261321T101500.123456Z",
            "20261121T101560.123456Z",
            "2026112T1101500.123456Z",
            "20261121T101500.12345éZ",
        ] {
            assert_eq!(Timestamp::parse_compact(wrong), None, "{wrong}");
        }
    }
}
