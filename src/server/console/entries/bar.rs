//! The line of the search with the conditions that it has, and the range.

use crate::{
    entry::Timestamp,
    query::Filter,
    server::console::{
        selection::{Range, Selection, is_condition, is_range},
        text::{format, shown},
    },
};

/// The line of the search.
pub(super) struct SearchBar {
    pub(super) line: String,
    /// The mistake in it.
    pub(super) problem: Option<String>,
    pub(super) chips: Vec<Chip>,
    /// The link to the entries with any of the words, if a text of several is searched for.
    pub(super) any_word: Option<String>,
    /// The link to the page without conditions.
    pub(super) clear: String,
    /// The parameters that stay when another line is sent.
    pub(super) kept: Vec<(String, String)>,
}

/// A condition of the filter, with the link that takes it away.
pub(super) struct Chip {
    pub(super) name: String,
    pub(super) is_excluded: bool,
    pub(super) value: String,
    pub(super) without: String,
}

/// The menu of the range.
pub(super) struct RangeMenu {
    pub(super) title: String,
    pub(super) choices: Vec<Choice>,
    /// The ends of the range, as the fields of a form have them.
    pub(super) start: String,
    pub(super) end: String,
    /// Whether these have seconds.
    pub(super) has_seconds: bool,
    /// The parameters that stay when other ends are sent.
    pub(super) kept: Vec<(String, String)>,
}

/// A link in a menu.
pub(super) struct Choice {
    pub(super) title: &'static str,
    pub(super) href: String,
    pub(super) is_chosen: bool,
}

impl SearchBar {
    pub(super) fn new(selection: &Selection) -> Self {
        let chip = |(name, text): (&str, &str)| {
            let excluded = text.strip_prefix('!');
            let value = excluded.unwrap_or(text);
            let is_escaped = value.trim_start_matches('\\').starts_with('!');
            let value = value
                .strip_prefix('\\')
                .filter(|_| is_escaped)
                .unwrap_or(value);
            Chip {
                name: match name {
                    "q" => "text".to_owned(),
                    name => shown(name),
                },
                is_excluded: excluded.is_some(),
                value: shown(value),
                without: selection.without(name, text).href(),
            }
        };
        Self {
            line: selection.search.clone().unwrap_or_else(|| selection.line()),
            problem: None,
            chips: selection.conditions().map(chip).collect(),
            any_word: selection.any_word().map(|any| any.href()),
            clear: selection.without_conditions().href(),
            kept: selection.kept_beside(is_condition),
        }
    }
}

impl RangeMenu {
    pub(super) fn new(selection: &Selection, now: Timestamp) -> Self {
        let chosen = selection.range();
        let choice = |range: Range| Choice {
            title: range.title,
            href: selection.within(range).href(),
            is_chosen: chosen == Some(range),
        };
        let filter = Filter::parse(selection.times()).unwrap_or_default();
        let start = chosen.and_then(|range| range.start(now)).or(filter.start());
        let end = filter.end().or(chosen.map(|_| now));
        let has_seconds = chosen.is_none() && [start, end].into_iter().flatten().any(has_seconds);
        let form = match has_seconds {
            true => "%Y-%m-%dT%H:%M:%S",
            false => "%Y-%m-%dT%H:%M",
        };
        let field = |time| format(time, form);
        Self {
            title: match chosen {
                Some(range) => range.title.to_owned(),
                None => between(filter.start(), filter.end(), now),
            },
            choices: Range::ALL.map(choice).into(),
            start: start.map(field).unwrap_or_default(),
            end: end.map(field).unwrap_or_default(),
            has_seconds,
            kept: selection.kept_beside(is_range),
        }
    }
}

fn has_seconds(time: Timestamp) -> bool {
    time.as_micros() % 60_000_000 != 0
}

/// A range in words: `Nov 28, 14:00 – Nov 29, 15:00`, with the years unless both are the present one.
fn between(start: Option<Timestamp>, end: Option<Timestamp>, now: Timestamp) -> String {
    let year = |time: Timestamp| format(time, "%Y");
    let mut ends = [start, end].into_iter().flatten();
    let day = match ends.all(|time| year(time) == year(now)) {
        true => "%b %-d",
        false => "%b %-d, %Y",
    };
    let form = |time: Timestamp| {
        let clock = if has_seconds(time) {
            "%H:%M:%S"
        } else {
            "%H:%M"
        };
        format(time, &format!("{day}, {clock}"))
    };
    match (start.map(form), end.map(form)) {
        (Some(start), Some(end)) => format!("{start} – {end}"),
        (Some(start), None) => format!("Since {start}"),
        (None, Some(end)) => format!("Before {end}"),
        (None, None) => Range::ALL[Range::ALL.len() - 1].title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_in_words_has_the_years_that_it_needs() {
        let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let now = time("2026-11-29T12:00:00Z").unwrap();
        for (start, end, said) in [
            (
                time("2026-11-28T14:00:00Z"),
                time("2026-11-29T15:00:01Z"),
                "Nov 28, 14:00 – Nov 29, 15:00:01",
            ),
            (
                time("2025-12-31T00:00:00Z"),
                time("2026-01-01T00:00:00Z"),
                "Dec 31, 2025, 00:00 – Jan 1, 2026, 00:00",
            ),
            (time("2026-01-01T00:00:00Z"), None, "Since Jan 1, 00:00"),
            (
                None,
                time("2027-01-01T00:00:00Z"),
                "Before Jan 1, 2027, 00:00",
            ),
            (None, None, "All time"),
        ] {
            assert_eq!(between(start, end, now), said);
        }
    }
}
