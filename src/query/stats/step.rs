//! The steps into which time is divided.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike as _, NaiveDate};
use serde::{Serialize, Serializer};

use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The length of the steps in which entries are counted over time. Steps begin at round times of
/// UTC, and a longer step is made of whole shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// One second: `second`.
    Second,
    /// Five seconds: `5-seconds`.
    FiveSeconds,
    /// Ten seconds: `10-seconds`.
    TenSeconds,
    /// Thirty seconds: `30-seconds`.
    ThirtySeconds,
    /// One minute: `minute`.
    Minute,
    /// Ten minutes: `10-minutes`.
    TenMinutes,
    /// One hour: `hour`.
    Hour,
    /// Six hours: `6-hours`.
    SixHours,
    /// One day: `day`.
    Day,
    /// One month of the calendar: `month`.
    Month,
    /// One year of the calendar: `year`.
    Year,
}

impl Step {
    /// All of them, the shortest first.
    pub const ALL: [Self; 11] = [
        Self::Second,
        Self::FiveSeconds,
        Self::TenSeconds,
        Self::ThirtySeconds,
        Self::Minute,
        Self::TenMinutes,
        Self::Hour,
        Self::SixHours,
        Self::Day,
        Self::Month,
        Self::Year,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::FiveSeconds => "5-seconds",
            Self::TenSeconds => "10-seconds",
            Self::ThirtySeconds => "30-seconds",
            Self::Minute => "minute",
            Self::TenMinutes => "10-minutes",
            Self::Hour => "hour",
            Self::SixHours => "6-hours",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The next longer one.
    pub(super) fn longer(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step > self)
    }

    /// The number of the step that an instant is in. Steps are numbered without gaps.
    pub(in crate::query) fn number(self, time: Timestamp) -> i64 {
        let micros = time.as_micros();
        match self.micros() {
            Some(len) => micros.div_euclid(len),
            None => {
                // Every timestamp is one that chrono has.
                let date = DateTime::from_timestamp_micros(micros).unwrap_or_default();
                let year = i64::from(date.year());
                match self {
                    Self::Month => year * 12 + i64::from(date.month0()),
                    _ => year,
                }
            }
        }
    }

    /// The first instant of the step with this number.
    pub(super) fn start(self, number: i64) -> Timestamp {
        if let Some(len) = self.micros() {
            return Timestamp::from_micros(number.saturating_mul(len));
        }
        let (year, month) = match self {
            Self::Month => (number.div_euclid(12), number.rem_euclid(12) + 1),
            _ => (number, 1),
        };
        let date = i32::try_from(year)
            .ok()
            .zip(u32::try_from(month).ok())
            .and_then(|(year, month)| NaiveDate::from_ymd_opt(year, month, 1))
            .and_then(|date| date.and_hms_opt(0, 0, 0));
        date.map_or(Timestamp::MAX, |date| {
            Timestamp::from_micros(date.and_utc().timestamp_micros())
        })
    }

    /// How long it is, if all are equally long.
    fn micros(self) -> Option<i64> {
        let seconds = match self {
            Self::Second => 1,
            Self::FiveSeconds => 5,
            Self::TenSeconds => 10,
            Self::ThirtySeconds => 30,
            Self::Minute => 60,
            Self::TenMinutes => 10 * 60,
            Self::Hour => 60 * 60,
            Self::SixHours => 6 * 60 * 60,
            Self::Day => 24 * 60 * 60,
            Self::Month | Self::Year => return None,
        };
        Some(seconds * MICROS_PER_SECOND)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|step| step.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid("step", format!("{text:?} must be one of {names}"))
        })
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(step: Step, time: &str) -> String {
        let time: Timestamp = time.parse().unwrap();
        step.start(step.number(time)).to_string()
    }

    #[test]
    fn steps_begin_at_round_times() {
        let time = "2028-02-29T16:47:09.123456Z";
        for (step, start) in [
            (Step::Second, "2028-02-29T16:47:09.000000Z"),
            (Step::FiveSeconds, "2028-02-29T16:47:05.000000Z"),
            (Step::TenSeconds, "2028-02-29T16:47:00.000000Z"),
            (Step::ThirtySeconds, "2028-02-29T16:47:00.000000Z"),
            (Step::Minute, "2028-02-29T16:47:00.000000Z"),
            (Step::TenMinutes, "2028-02-29T16:40:00.000000Z"),
            (Step::Hour, "2028-02-29T16:00:00.000000Z"),
            (Step::SixHours, "2028-02-29T12:00:00.000000Z"),
            (Step::Day, "2028-02-29T00:00:00.000000Z"),
            (Step::Month, "2028-02-01T00:00:00.000000Z"),
            (Step::Year, "2028-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(first(step, time), start);
            assert_eq!(step.to_string().parse::<Step>().unwrap(), step);
        }
        assert_eq!(
            first(Step::Day, "1969-12-31T01:00:00Z"),
            "1969-12-31T00:00:00.000000Z"
        );
        let error = "week".parse::<Step>().unwrap_err().to_string();
        assert!(
            error.contains(
                "must be one of second, 5-seconds, 10-seconds, 30-seconds, minute, 10-minutes"
            ),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn an_instant_is_in_one_step_and_a_longer_step_has_whole_shorter_ones(
            micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
        ) {
            let time = Timestamp::from_micros(micros);
            for step in Step::ALL {
                let number = step.number(time);
                let start = step.start(number);
                prop_assert!(start <= time, "{step}");
                let next = step.start(number + 1);
                prop_assert!(time < next || next == Timestamp::MAX, "{step}");
                if let Some(longer) = step.longer() {
                    prop_assert_eq!(longer.number(start), longer.number(time));
                }
            }
        }
    }
}
