//! The results: counts, entries, and links to others.

use super::{
    answer::{Answer, Found, Outside},
    counts::uncounted,
    facets::{Facet, facets},
    histogram::Chart,
    row::Row,
    subject::{Sought, Subject},
};
use crate::{
    entry::Timestamp,
    server::console::{
        selection::{COLUMNS, Range, Selection, Start},
        text::Time,
    },
};

pub(super) struct Results {
    pub(super) subject: Option<Subject>,
    pub(super) chart: Chart,
    pub(super) facets: Vec<Facet>,
    pub(super) table: Table,
    pub(super) complete_until: Option<Time>,
    pub(super) notices: Vec<Notice>,
    /// The cursor from which a stream goes on after the page.
    pub(super) arrived: Option<String>,
}

/// A column that can be left out.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) is_shown: bool,
}

/// The entries, and what is said in their place if there are none.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// The parameters that stay when other columns are chosen.
    pub(super) kept: Vec<(String, String)>,
    pub(super) rows: Vec<Row>,
    pub(super) nothing: Option<Nothing>,
    pub(super) newest: Option<String>,
    pub(super) newer: Option<String>,
    pub(super) older: Option<String>,
}

/// The text in the place of entries.
pub(super) struct Nothing {
    pub(super) title: String,
    pub(super) hints: Vec<String>,
    /// The next step: a text and a link.
    pub(super) steps: Vec<(String, String)>,
}

/// A sentence about the whole page, with links that help.
pub(super) struct Notice {
    pub(super) text: &'static str,
    pub(super) links: Vec<(String, String)>,
}

pub(super) const NOT_COUNTED: &str = "There are no counts and no bars, because counting this range \
                                      takes too long. The entries are those of the whole range.";
const NOT_ALL_COUNTED: &str = "Some fields have no counts, because they have so many different values \
                               that counting them takes too long for this range.";
/// How many shorter ranges are offered.
const MOST_SHORTER: usize = 4;
const HOW_TEXTS_ARE_FOUND: &str = "A text is looked for in the event type, the description, the actor \
                                   and the resource, with all its words next to each other.";
pub(super) const NOT_EXACT: &str = "A part of the log can't be read, so there may be more entries than are \
                         shown. The server's own messages say why.";

impl Results {
    pub(super) fn new(selection: &Selection, answer: &Answer, now: Timestamp) -> Self {
        let counts = answer.counts.as_ref();
        let stats = counts.map(|counts| &counts.stats);
        let found = answer.found.as_ref();
        let is_partial =
            found.is_some_and(|found| found.is_partial) || stats.is_some_and(|stats| !stats.exact);
        let is_short = stats.is_some_and(|stats| !uncounted(&stats.top).is_empty());
        let shorter = || shorter(selection, now);
        let notices = [
            stats.is_none().then(|| Notice::new(NOT_COUNTED, shorter())),
            is_short.then(|| Notice::new(NOT_ALL_COUNTED, shorter())),
            is_partial.then(|| Notice::new(NOT_EXACT, Vec::new())),
        ];
        let subject = answer.subject.as_ref().and_then(Sought::known);
        Self {
            subject: subject.map(|known| Subject::new(known, now)),
            chart: Chart::new(selection, counts, found),
            arrived: answer.arrived.clone(),
            facets: stats
                .map(|stats| facets(selection, &stats.top, &answer.actors))
                .unwrap_or_default(),
            table: Table::new(selection, answer, now),
            complete_until: found
                .and_then(|found| found.complete_until)
                .map(|time| Time::new(time, now)),
            notices: notices.into_iter().flatten().collect(),
        }
    }
}

impl Notice {
    pub(super) fn new(text: &'static str, links: Vec<(String, String)>) -> Self {
        Self { text, links }
    }
}

/// The links to shorter ranges that end where this one does, the longest first.
pub(super) fn shorter(selection: &Selection, now: Timestamp) -> Vec<(String, String)> {
    let link = |(range, part): (Range, Selection)| {
        let title = match selection.range() {
            Some(_) => range.title.to_owned(),
            None => format!("{} of it", range.title),
        };
        (title, part.href())
    };
    let parts = selection.shorter(now).into_iter();
    parts.take(MOST_SHORTER).map(link).collect()
}

impl Table {
    fn new(selection: &Selection, answer: &Answer, now: Timestamp) -> Self {
        let Some(found) = &answer.found else {
            return Self::without_rows(selection, Nothing::too_slow(selection, now));
        };
        let is_first = selection.start == Start::Newest;
        if found.entries.is_empty() {
            let mut table =
                Self::without_rows(selection, Nothing::new(selection, answer, found, now));
            table.newest = (!is_first).then(|| selection.starting(Start::Newest).href());
            return table;
        }
        Self::with_rows(selection, selection, found, now)
    }

    /// The entries that were found. The values in them lead to the entries of `others` that have
    /// these too.
    pub(super) fn with_rows(
        selection: &Selection,
        others: &Selection,
        found: &Found,
        now: Timestamp,
    ) -> Self {
        let link = |start| selection.starting(start).href();
        let rows = found.entries.iter();
        let first = rows.clone().next().filter(|_| found.has_newer);
        let last = rows.clone().last().filter(|_| found.has_older);
        Self {
            rows: rows.map(|entry| Row::new(others, entry, now)).collect(),
            newest: first.map(|_| link(Start::Newest)),
            newer: first.map(|entry| link(Start::Newer(entry.cursor()))),
            older: last.map(|entry| link(Start::Older(entry.cursor()))),
            ..Self::empty(selection)
        }
    }

    /// Whether a column is shown. The cells of others are left out.
    pub(super) fn shows(&self, name: &str) -> bool {
        let mut columns = self.columns.iter();
        columns.any(|column| column.name == name && column.is_shown)
    }

    pub(super) fn without_column(mut self, name: &str) -> Self {
        for column in &mut self.columns {
            column.is_shown &= column.name != name;
        }
        self
    }

    pub(super) fn without_rows(selection: &Selection, nothing: Nothing) -> Self {
        Self {
            nothing: Some(nothing),
            ..Self::empty(selection)
        }
    }

    fn empty(selection: &Selection) -> Self {
        let column = |(name, title)| Column {
            name,
            title,
            is_shown: selection.shows(name),
        };
        Self {
            columns: COLUMNS.into_iter().map(column).collect(),
            kept: selection.kept_beside(|name| name == "columns"),
            rows: Vec::new(),
            nothing: None,
            newest: None,
            newer: None,
            older: None,
        }
    }
}

impl Nothing {
    fn new(selection: &Selection, answer: &Answer, found: &Found, now: Timestamp) -> Self {
        let has_conditions = selection.conditions().next().is_some();
        let mut steps = Vec::new();
        if let Outside::Newest(outside) = answer.outside {
            let Time {
                day, clock, ago, ..
            } = Time::new(outside, now);
            let title = format!("Show the newest one, from {day} at {clock} ({ago})");
            steps.push((
                title,
                selection.within(Range::ALL[Range::ALL.len() - 1]).href(),
            ));
        }
        if let Some(any) = selection.any_word() {
            steps.push(("Search for any of the words".to_owned(), any.href()));
        }
        if has_conditions {
            let clear = selection.without_conditions().href();
            steps.push(("Remove all conditions".to_owned(), clear));
        }
        let is_all = matches!(answer.outside, Outside::Nothing);
        let title = match (has_conditions, is_all) {
            (true, _) => "Nothing matches in this range",
            (false, true) => "No entries yet",
            (false, false) => "No entries in this range",
        };
        let mut hints = found.hints.clone();
        hints.extend(
            selection
                .wants_text()
                .then(|| HOW_TEXTS_ARE_FOUND.to_owned()),
        );
        hints.extend(is_all.then(|| {
            let hint = match has_conditions {
                true => {
                    "Nothing matches at any other time either. Check the spelling, or remove a \
                     condition."
                }
                false => {
                    "Entries appear here as soon as an application records an event with audit!."
                }
            };
            hint.to_owned()
        }));
        Self {
            title: title.to_owned(),
            hints,
            steps,
        }
    }

    pub(super) fn too_slow(selection: &Selection, now: Timestamp) -> Self {
        let hint = "Choose a shorter range, or try again. Conditions on the actor, the resource, the \
                    address, the session or the request are found fastest; a text takes the longest.";
        let mut steps = shorter(selection, now);
        steps.push(again(selection));
        Self {
            title: "Searching so much of the log takes too long".to_owned(),
            hints: vec![hint.to_owned()],
            steps,
        }
    }
}

/// The link to the same page.
pub(super) fn again(selection: &Selection) -> (String, String) {
    ("Try again".to_owned(), selection.href())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query::RawEntry, server::console::entries::subject::Names};

    fn results(found: Option<Found>) -> Results {
        let answer = Answer {
            found,
            counts: None,
            actors: Names::default(),
            outside: Outside::Unknown,
            subject: None,
            arrived: None,
        };
        let selection = Selection::default().within(Range::ALL[Range::ALL.len() - 1]);
        Results::new(&selection, &answer, Timestamp::now())
    }

    fn titles(links: &[(String, String)]) -> Vec<&str> {
        links.iter().map(|(title, _)| title.as_str()).collect()
    }

    const SHORTER: [&str; 4] = [
        "Last 90 days",
        "Last 30 days",
        "Last 7 days",
        "Last 24 hours",
    ];

    #[test]
    fn a_page_without_counts_says_what_is_known_and_leads_to_shorter_ranges() {
        let line = br#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
        let page = |has_older| Found {
            entries: vec![RawEntry::from_line(line).unwrap()],
            has_older,
            ..Found::default()
        };
        for (has_older, total) in [(false, "1 entry"), (true, "More than 1 entry")] {
            let results = results(Some(page(has_older)));
            assert_eq!(results.chart.total, total);
            assert_eq!(results.table.rows.len(), 1);
            assert_eq!(results.notices.len(), 1);
            assert_eq!(results.notices[0].text, NOT_COUNTED);
            assert_eq!(titles(&results.notices[0].links), SHORTER);
        }
    }

    #[test]
    fn a_search_that_takes_too_long_leads_to_shorter_ranges_and_can_be_tried_again() {
        let nothing = results(None).table.nothing.unwrap();
        assert_eq!(titles(&nothing.steps)[..4], SHORTER);
        assert_eq!(
            nothing.steps[4],
            ("Try again".to_owned(), "?range=all".to_owned())
        );
    }
}
