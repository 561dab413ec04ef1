//! The line that `export` prints on stderr when it is done.

use tracing_audit::{Timestamp, reader::Exported};

use super::output;

/// As in `40 entries, 2026-11-30 07:18 to 07:26 UTC, in november.pdf`.
pub(super) fn summary(exported: &Exported, has_filters: bool, name: &str) -> String {
    match exported.times {
        Some(times) if exported.entries > 0 => format!(
            "{}, {} UTC, in {name}",
            output::count(exported.entries, "entry"),
            range(times.first, times.last)
        ),
        _ if has_filters => format!("no entries match; {name} has none"),
        _ => format!("no entries in this range; {name} has none"),
    }
}

/// The first and the last minute: a common day, or a common minute, stands there once.
fn range(first: Timestamp, last: Timestamp) -> String {
    let from = minute(first);
    let to = minute(last);
    let day = from.split_once(' ').map_or("", |(day, _)| day);
    match to.strip_prefix(day) {
        _ if from == to => from,
        Some(time) => format!("{from} to{time}"),
        None => format!("{from} to {to}"),
    }
}

/// As in `2026-11-30 07:18`.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_its_day_once_and_a_minute_once() {
        let time = |text: &str| format!("2026-11-{text}.5Z").parse::<Timestamp>().unwrap();
        for (first, last, text) in [
            (
                "29T07:18:01",
                "30T07:26:02",
                "2026-11-29 07:18 to 2026-11-30 07:26",
            ),
            ("30T07:18:01", "30T07:26:02", "2026-11-30 07:18 to 07:26"),
            ("30T07:18:01", "30T07:18:02", "2026-11-30 07:18"),
        ] {
            assert_eq!(range(time(first), time(last)), text);
        }
    }
}
