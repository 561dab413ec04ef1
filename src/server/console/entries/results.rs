//! The results: counts, entries, and links to others.

use super::{
    answer::{Answer, Found, Outside},
    counts::uncounted,
    facets::{Facet, facets},
    histogram::Chart,
    row::Row,
    subject::Subject,
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
    pub(super) notices: Vec<&'static str>,
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

const NOT_COUNTED: &str = "Counting takes too long for so much of the log, so there are no \
                           counts. A shorter range has them.";
const NOT_ALL_COUNTED: &str = "Some fields have so many different values that counting them takes \
                               too long. A shorter range has their counts.";
const HOW_TEXTS_ARE_FOUND: &str = "A text is looked for in the event type, the description, the actor \
                                   and the resource, with all its words beside each other.";
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
        let notices = [
            (stats.is_none(), NOT_COUNTED),
            (is_short, NOT_ALL_COUNTED),
            (is_partial, NOT_EXACT),
        ];
        let subject = answer.subject.as_ref();
        Self {
            subject: subject.map(|known| Subject::new(known, now)),
            chart: Chart::new(selection, counts),
            arrived: answer.arrived.clone(),
            facets: stats
                .map(|stats| facets(selection, &stats.top, &answer.actors))
                .unwrap_or_default(),
            table: Table::new(selection, answer, now),
            complete_until: found
                .and_then(|found| found.complete_until)
                .map(|time| Time::new(time, now)),
            notices: notices
                .into_iter()
                .filter_map(|(holds, notice)| holds.then_some(notice))
                .collect(),
        }
    }
}

impl Table {
    fn new(selection: &Selection, answer: &Answer, now: Timestamp) -> Self {
        let Some(found) = &answer.found else {
            return Self::without_rows(selection, Nothing::too_slow(selection));
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

    pub(super) fn too_slow(selection: &Selection) -> Self {
        let shorter = selection.within(Range::USUAL).href();
        let hint = "Conditions on the actor, the resource, the address, the session or the request \
                    are found fastest; a text takes the longest.";
        Self {
            title: "Searching takes too long for so much of the log".to_owned(),
            hints: vec![hint.to_owned()],
            steps: vec![("Search the last 24 hours".to_owned(), shorter)],
        }
    }
}
