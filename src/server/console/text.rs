//! Texts, times and numbers as pages show them.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _};

use crate::entry::Timestamp;

/// A text from an entry as it is shown. A character that has no place of its own, or that changes
/// how others are shown, appears as its number: nobody should take a text for another one.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a String can't fail.
            let _ = write!(shown, "\u{27e8}U+{:04X}\u{27e9}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The same for text of several lines.
pub(super) fn shown_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The beginning of a text, for a place with little room.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number of bytes: `3.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = count.saturating_mul(10) / 1024;
    let mut units = UNITS.iter();
    while tenths >= 10_240 && units.len() > 1 {
        tenths /= 1024;
        units.next();
    }
    let unit = units.next().copied().unwrap_or_default();
    format!("{}.{} {unit}", number(tenths / 10), tenths % 10)
}

/// `1 entry`, `2 entries`.
pub(super) fn entries(count: u64) -> String {
    match count {
        1 => "1 entry".to_owned(),
        count => format!("{} entries", number(count)),
    }
}

/// A time as pages show it, in UTC.
#[derive(Clone, Debug)]
pub(super) struct Time {
    /// RFC 3339, as it is stored.
    pub(super) exact: String,
    /// `Nov 29`, with the year unless that is the present one.
    pub(super) day: String,
    /// `23:01:25`
    pub(super) clock: String,
    /// `3 minutes ago`
    pub(super) ago: String,
}

impl Time {
    pub(super) fn new(time: Timestamp, now: Timestamp) -> Self {
        let date = date(time);
        let form = if date.year() == self::date(now).year() {
            "%b %-d"
        } else {
            "%b %-d, %Y"
        };
        Self {
            exact: time.to_string(),
            day: date.format(form).to_string(),
            clock: date.format("%H:%M:%S").to_string(),
            ago: ago(now.as_micros().saturating_sub(time.as_micros())),
        }
    }
}

/// A time in the form of chrono's `format`.
pub(super) fn format(time: Timestamp, form: &str) -> String {
    date(time).format(form).to_string()
}

fn date(time: Timestamp) -> DateTime<chrono::Utc> {
    // Every timestamp is one that chrono has.
    DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default()
}

/// How much later or earlier one time is than another: `2 s later`, `5 min earlier`.
pub(super) fn apart(micros: i64) -> String {
    let count = micros.unsigned_abs();
    let (length, unit) = match count {
        0 => return "at the same time".to_owned(),
        1..1000 => (1, "µs"),
        1000..1_000_000 => (1000, "ms"),
        1_000_000..60_000_000 => (1_000_000, "s"),
        60_000_000..3_600_000_000 => (60_000_000, "min"),
        _ => (3_600_000_000, "h"),
    };
    let count = count / length;
    let side = if micros < 0 { "earlier" } else { "later" };
    format!("{count} {unit} {side}")
}

fn ago(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (count, unit) = match seconds {
        ..0 => return "in the future".to_owned(),
        0..5 => return "just now".to_owned(),
        5..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_hides_or_turns_others() {
        assert_eq!(
            shown("a\u{202e}b\n\u{7}\u{200b}ä<b>"),
            "a⟨U+202E⟩b⟨U+000A⟩⟨U+0007⟩⟨U+200B⟩ä<b>"
        );
        assert_eq!(shown_lines("a\n b\u{2066}"), "a\n b⟨U+2066⟩");
        assert_eq!(shown("שלום 👩\u{200d}💻"), "שלום 👩\u{200d}💻");
    }

    #[test]
    fn numbers_and_times_are_read_at_a_glance() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(entries(1), "1 entry");
        assert_eq!(
            [0, 1023, 1536, 18 << 20, (3 << 30) - 1, 5000 << 40].map(bytes),
            [
                "0 B",
                "1023 B",
                "1.5 KiB",
                "18.0 MiB",
                "2.9 GiB",
                "5,000.0 TiB"
            ]
        );
        let now: Timestamp = "2026-11-29T23:01:25.5Z".parse().unwrap();
        for (time, day, ago) in [
            ("2026-11-29T23:01:24Z", "Nov 29", "just now"),
            ("2026-11-29T23:00:24Z", "Nov 29", "1 minute ago"),
            ("2026-11-28T22:00:00Z", "Nov 28", "1 day ago"),
            ("2025-11-09T22:00:00Z", "Nov 9, 2025", "385 days ago"),
            ("2026-11-30T22:00:00Z", "Nov 30", "in the future"),
        ] {
            let shown = Time::new(time.parse().unwrap(), now);
            assert_eq!((&*shown.day, &*shown.ago), (day, ago), "{time}");
        }
    }

    #[test]
    fn times_are_apart_by_what_matters() {
        for (micros, said) in [
            (0, "at the same time"),
            (-999, "999 µs earlier"),
            (340_900, "340 ms later"),
            (-59_999_999, "59 s earlier"),
            (61_000_000, "1 min later"),
            (-7_200_000_000, "2 h earlier"),
        ] {
            assert_eq!(apart(micros), said);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö…");
    }
}
