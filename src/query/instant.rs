//! The dates and instants of a filter.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::{
    entry::{Day, Timestamp},
    error::{Error, Result},
};

/// An ISO 8601 instant: date, time, seconds, digits of a second, zone.
static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    let date = "([0-9]{4}-[0-9]{2}-[0-9]{2})";
    let time = "([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?";
    let zone = "([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?";
    Regex::new(&format!("^{date}[Tt ]{time}{zone}$")).expect("the pattern is right")
});

/// An instant whose zone has a space in the place of its `+`.
static SPACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^(.*[0-9]{2}:[0-9]{2}[0-9:.,]*) ([0-9]{2}(?::?[0-9]{2})?)$")
        .expect("the pattern is right")
});

/// The first microsecond that isn't before the instant of this text; of a day, the one that
/// `of_day` says.
pub(super) fn parse(name: &str, text: &str, of_day: fn(Day) -> Timestamp) -> Result<Timestamp> {
    if let Ok(day) = text.parse::<Day>() {
        return Ok(of_day(day));
    }
    let found = INSTANT.captures(text);
    found
        .and_then(|parts| instant(&parts))
        .ok_or_else(|| Error::invalid(name, problem(text)))
}

fn instant(parts: &Captures<'_>) -> Option<Timestamp> {
    let part = |n: usize| parts.get(n).map_or("", |part| part.as_str());
    let second = if part(3).is_empty() { "00" } else { part(3) };
    let (micros, finer) = part(4).split_at(part(4).len().min(6));
    let zone = match part(5) {
        "" => "Z".to_owned(),
        hours if hours.len() == 3 => format!("{hours}:00"),
        digits if digits.len() == 5 => format!("{}:{}", &digits[..3], &digits[3..]),
        whole => whole.to_owned(),
    };
    let text = format!("{}T{}:{second}.{micros:0<6}{zone}", part(1), part(2));
    let time: Timestamp = text.parse().ok()?;
    // An entry at this very microsecond is before the instant, if that has finer digits.
    let is_between = finer.bytes().any(|digit| digit != b'0');
    Some(Timestamp::from_micros(
        time.as_micros() + i64::from(is_between),
    ))
}

fn problem(text: &str) -> String {
    if let Some(parts) = SPACE.captures(text) {
        return format!(
            "{text:?} has a space where the + of its zone was, because + means a space in a URL; \
             write %2B{} there, or an instant in UTC like 2026-11-21T10:15:00Z",
            &parts[2]
        );
    }
    format!(
        "{text:?} must be a date like 2026-11-21 or an ISO 8601 instant like 2026-11-21T10:15:00Z"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        parse("start_date", text, Day::start).unwrap().to_string()
    }

    #[test]
    fn instants_are_read_in_every_precision_and_zone() {
        for (text, instant) in [
            ("2026-11-21", "2026-11-21T00:00:00.000000Z"),
            ("2026-11-21T10:15", "2026-11-21T10:15:00.000000Z"),
            ("2026-11-21T10:15:07", "2026-11-21T10:15:07.000000Z"),
            ("2026-11-21 10:15:07", "2026-11-21T10:15:07.000000Z"),
            ("2026-11-21t10:15:07z", "2026-11-21T10:15:07.000000Z"),
            ("2026-11-21T10:15:07.4Z", "2026-11-21T10:15:07.400000Z"),
            ("2026-11-21T10:15:07,489Z", "2026-11-21T10:15:07.489000Z"),
            ("2026-11-21T10:15:07.489123", "2026-11-21T10:15:07.489123Z"),
            (
                "2026-11-21T10:15:07.4890000Z",
                "2026-11-21T10:15:07.489000Z",
            ),
            (
                "2026-11-21T10:15:07.4890001Z",
                "2026-11-21T10:15:07.489001Z",
            ),
            (
                "2026-11-21T10:15:07.48900000000000000001Z",
                "2026-11-21T10:15:07.489001Z",
            ),
            (
                "2026-11-21T23:59:59.9999999Z",
                "2026-11-22T00:00:00.000000Z",
            ),
            ("2026-11-21T10:15+02:00", "2026-11-21T08:15:00.000000Z"),
            ("2026-11-21T10:15:07-0230", "2026-11-21T12:45:07.000000Z"),
            ("2026-11-21T10:15:07.5+02", "2026-11-21T08:15:07.500000Z"),
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(read(text), instant, "{text}");
        }
    }

    #[test]
    fn a_wrong_instant_is_refused_and_a_lost_plus_is_explained() {
        let refused = |text| parse("end_date", text, Day::end).unwrap_err().to_string();
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10Z",
            "2026-11-21T10:15:00.Z",
            "2026-1-2T3:4:5Z",
            "2026-11-21T10:15:00+25:00",
            "2026-11-21T10:15:00 UTC",
            "!2026-11-21",
        ] {
            let error = refused(text);
            assert!(error.contains("must be a date like 2026-11-21"), "{error}");
        }
        for text in [
            "2026-11-21T10:00:00 02:00",
            "2026-11-21T10:00:00.489 02:00",
            "2026-11-21T10:00 0200",
            "2026-11-21 10:00 02",
        ] {
            let error = refused(text);
            assert!(
                error.contains("has a space where the +") && error.contains("write %2B02"),
                "{error}"
            );
        }
    }
}
