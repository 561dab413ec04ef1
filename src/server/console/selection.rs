//! The selection that the URL of the page of entries asks for.
//!
//! The parameters are those of the API, and a few of the page's own: `range`, a time up to now,
//! which `start_date` and `end_date` take the place of; `split`, what the histogram's bars are
//! divided by; `columns`, those of the table that are shown; `newer`, a cursor as `cursor` is, in the
//! other direction; and `search`, a line that is turned into parameters.

use std::{fmt::Write as _, time::Duration};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::search;
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::Filter,
    server::params::take,
};

/// The characters that have a meaning in a query, or none in a URL.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

const DAY: u64 = 24 * 60 * 60;

/// A time up to now: as a parameter, as people say it, and its seconds. `None` for all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    seconds: Option<u64>,
}

impl Range {
    const fn new(name: &'static str, title: &'static str, seconds: Option<u64>) -> Self {
        Self {
            name,
            title,
            seconds,
        }
    }

    pub(super) const ALL: [Self; 7] = [
        Self::new("15m", "Last 15 minutes", Some(15 * 60)),
        Self::new("1h", "Last hour", Some(60 * 60)),
        Self::new("24h", "Last 24 hours", Some(DAY)),
        Self::new("7d", "Last 7 days", Some(7 * DAY)),
        Self::new("30d", "Last 30 days", Some(30 * DAY)),
        Self::new("90d", "Last 90 days", Some(90 * DAY)),
        Self::new("all", "All time", None),
    ];

    /// The range of a page that is asked for without one: a look at it must not cost more, the
    /// longer the log is.
    pub(super) const USUAL: Self = Self::ALL[2];

    fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|range| range.name == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|range| range.name).join(", ");
            let problem = format!("{text:?} must be one of {names}");
            Error::invalid("range", problem)
        })
    }

    /// The first instant, if now is then.
    pub(super) fn start(self, now: Timestamp) -> Option<Timestamp> {
        let before = |seconds| {
            let micros = Duration::from_secs(seconds).as_micros();
            Timestamp::from_micros(now.as_micros() - i64::try_from(micros).unwrap_or(i64::MAX))
        };
        self.seconds.map(before)
    }
}

/// The field by which a histogram's bars are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Split {
    #[default]
    Severity,
    Outcome,
}

/// The columns of the table that can be left out: as parameters, and as people say them.
pub(super) const COLUMNS: [(&str, &str); 7] = [
    ("severity", "Severity"),
    ("event_type", "Event type"),
    ("actor", "Actor"),
    ("resource", "Resource"),
    ("outcome", "Outcome"),
    ("address", "Address"),
    ("description", "Description"),
];

/// The beginning of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    #[default]
    Newest,
    /// After this cursor, in the order that is shown.
    Older(String),
    /// Before it.
    Newer(String),
}

/// The selection that a URL asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// The parameters of the filter, `include` among them.
    filter: Vec<(String, String)>,
    range: Option<Range>,
    pub(super) split: Split,
    /// The names of the columns that are shown; without any, all are.
    columns: Vec<&'static str>,
    pub(super) start: Start,
    /// A line that was written, and takes the place of all of the filter but the times.
    pub(super) search: Option<String>,
}

impl Selection {
    pub(super) fn parse(mut given: Vec<(String, String)>) -> Result<Self> {
        let range = take(&mut given, "range")?;
        // A form sends the fields that nobody filled in as well.
        given.retain(|(name, value)| !is_time(name) || !value.is_empty());
        let split = match take(&mut given, "split")?.as_deref() {
            None | Some("severity") => Split::Severity,
            Some("outcome") => Split::Outcome,
            Some(_) => {
                let problem = "it must be severity or outcome";
                return Err(Error::invalid("split", problem));
            }
        };
        let columns = given.extract_if(.., |(name, _)| name == "columns");
        let columns = columns
            .map(|(_, name)| column(&name))
            .collect::<Result<_>>()?;
        let older = take(&mut given, "cursor")?;
        let newer = take(&mut given, "newer")?;
        let start = match (older, newer) {
            (None, None) => Start::Newest,
            (Some(cursor), None) => Start::Older(cursor),
            (None, Some(cursor)) => Start::Newer(cursor),
            (Some(_), Some(_)) => {
                let problem = "cursor and newer are both given; give one";
                return Err(Error::invalid("newer", problem));
            }
        };
        let search = take(&mut given, "search")?;
        let has_times = given.iter().any(|(name, _)| is_time(name));
        let range = range.filter(|text| !text.is_empty() && !has_times);
        Ok(Self {
            filter: given,
            range: range.as_deref().map(Range::parse).transpose()?,
            split,
            columns,
            start,
            search,
        })
    }

    /// The selection after the line that was written is read.
    pub(super) fn searched(&self, line: &str) -> Result<Self> {
        let found = search::parse(line)?;
        let has_times = found.iter().any(|(name, _)| is_time(name));
        let kept = self
            .filter
            .iter()
            .filter(|(name, _)| is_time(name) && !has_times);
        let filter: Vec<_> = kept.cloned().chain(found).collect();
        Ok(Self {
            range: self.range.filter(|_| !has_times),
            filter,
            start: Start::Newest,
            search: None,
            split: self.split,
            columns: self.columns.clone(),
        })
    }

    /// The filter but for the times, as a line.
    pub(super) fn line(&self) -> String {
        search::line(self.conditions())
    }

    /// The parameters of the filter but for the times.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (&str, &str)> {
        let filter = self.filter.iter().filter(|(name, _)| !is_time(name));
        filter.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The range, unless the URL has times.
    pub(super) fn range(&self) -> Option<Range> {
        match self.filter.iter().any(|(name, _)| is_time(name)) {
            true => None,
            false => Some(self.range.unwrap_or(Range::USUAL)),
        }
    }

    /// A time that the URL has.
    pub(super) fn time(&self, name: &str) -> &str {
        let found = self.filter.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The parameters for the API.
    pub(super) fn parameters(&self, now: Timestamp) -> Vec<(String, String)> {
        let mut parameters = self.filter.clone();
        if let Some(start) = self.range().and_then(|range| range.start(now)) {
            parameters.push(("start_date".to_owned(), start.to_string()));
        }
        parameters
    }

    /// The same with a range, from its newest entry on.
    pub(super) fn within(&self, range: Range) -> Self {
        let mut within = self.at_newest();
        within.filter.retain(|(name, _)| !is_time(name));
        within.range = Some(range);
        within
    }

    /// The same between these times.
    pub(super) fn between(&self, start: Timestamp, end: Timestamp) -> Self {
        let mut between = self.at_newest();
        between.range = None;
        between.filter.retain(|(name, _)| !is_time(name));
        for (name, time) in [("start_date", start), ("end_date", end)] {
            between.filter.push((name.to_owned(), time.to_string()));
        }
        between
    }

    /// The same with the times alone.
    pub(super) fn without_conditions(&self) -> Self {
        let mut without = self.at_newest();
        without.filter.retain(|(name, _)| is_time(name));
        without
    }

    /// The same with bars divided by this.
    pub(super) fn split_by(&self, split: Split) -> Self {
        Self {
            split,
            ..self.clone()
        }
    }

    /// The same from another entry on.
    pub(super) fn starting(&self, start: Start) -> Self {
        Self {
            start,
            ..self.clone()
        }
    }

    fn at_newest(&self) -> Self {
        self.starting(Start::Newest)
    }

    /// Whether this value is wanted.
    pub(super) fn wants(&self, name: &str, value: &str) -> bool {
        let value = Filter::literal(value);
        self.has(name, &value)
    }

    fn has(&self, name: &str, text: &str) -> bool {
        self.conditions().any(|one| one == (name, text))
    }

    /// The same for entries with this value too; it is no longer excluded.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let value = Filter::literal(value);
        self.without(name, &format!("!{value}")).and(name, &value)
    }

    /// The same for entries without this value; it is no longer wanted.
    pub(super) fn excluding(&self, name: &str, value: &str) -> Self {
        let value = Filter::literal(value);
        self.without(name, &value).and(name, &format!("!{value}"))
    }

    /// The same without this value, whether that is wanted or not.
    pub(super) fn without_value(&self, name: &str, value: &str) -> Self {
        self.without(name, &Filter::literal(value))
    }

    /// The same without this text of a parameter.
    pub(super) fn without(&self, name: &str, text: &str) -> Self {
        let mut without = self.at_newest();
        without
            .filter
            .retain(|(n, t)| (n.as_str(), t.as_str()) != (name, text));
        without
    }

    fn and(mut self, name: &str, text: &str) -> Self {
        if !self.has(name, text) {
            self.filter.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// The link to the page, relative to it.
    pub(super) fn href(&self) -> String {
        match self.query() {
            // Empty, it would be the page with the query that it has.
            query if query.is_empty() => "?".to_owned(),
            query => query,
        }
    }

    /// Whether a column is shown.
    pub(super) fn shows(&self, column: &str) -> bool {
        self.columns.is_empty() || self.columns.contains(&column)
    }

    /// The parameters of the URL but for those of the page's beginning.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let filter = self.filter.iter();
        let mut pairs: Vec<_> = filter.map(|(name, value)| (&**name, &**value)).collect();
        let range = self.range.filter(|range| *range != Range::USUAL);
        pairs.extend(range.map(|range| ("range", range.name)));
        if self.split == Split::Outcome {
            pairs.push(("split", "outcome"));
        }
        pairs.extend(self.columns.iter().map(|column| ("columns", *column)));
        pairs
    }

    /// The parameters that stay when a form sends others in the place of these.
    pub(super) fn kept_beside(&self, is_sent: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let kept = self.pairs().into_iter().filter(|(name, _)| !is_sent(name));
        kept.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The URL's query, with the `?`; empty if all is as usual.
    pub(super) fn query(&self) -> String {
        let start = match &self.start {
            Start::Newest => None,
            Start::Older(cursor) => Some(("cursor", cursor.as_str())),
            Start::Newer(cursor) => Some(("newer", cursor.as_str())),
        };
        query(self.pairs().into_iter().chain(start))
    }
}

/// Whether a parameter of the filter, but not of a time, has this name.
pub(super) fn is_condition(name: &str) -> bool {
    !is_time(name) && !matches!(name, "range" | "split" | "columns")
}

/// Whether a parameter of the range has this name.
pub(super) fn is_range(name: &str) -> bool {
    is_time(name) || name == "range"
}

fn column(given: &str) -> Result<&'static str> {
    let names = COLUMNS.map(|(name, _)| name);
    let found = names.into_iter().find(|name| *name == given);
    found.ok_or_else(|| {
        let problem = format!("{given:?} must be one of {}", names.join(", "));
        Error::invalid("columns", problem)
    })
}

/// Parameters as a URL's query, with the `?`; empty without any.
pub(super) fn query<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in params {
        let sign = if query.is_empty() { '?' } else { '&' };
        // Writing to a String can't fail.
        let _ = write!(query, "{sign}{}={}", encoded(name), encoded(value));
    }
    query
}

/// A text as a part of a URL's query.
fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, RESERVED)
}

fn is_time(name: &str) -> bool {
    matches!(name, "start_date" | "end_date")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::params;

    fn of(query: &str) -> Selection {
        Selection::parse(params::parse(Some(query)).unwrap()).unwrap()
    }

    #[test]
    fn a_value_is_added_excluded_and_taken_away() {
        let selection = of("actor=ann&range=7d&cursor=c");
        assert_eq!(
            selection.with("actor", "bob").query(),
            "?actor=ann&actor=bob&range=7d"
        );
        let without = selection.excluding("actor", "ann");
        assert_eq!(without.query(), "?actor=!ann&range=7d");
        assert_eq!(without.with("actor", "ann").query(), "?actor=ann&range=7d");
        assert_eq!(
            selection.with("actor", "!x").query(),
            "?actor=ann&actor=%5C!x&range=7d"
        );
        assert!(selection.wants("actor", "ann") && !without.wants("actor", "ann"));
        assert_eq!(selection.without_value("actor", "ann").query(), "?range=7d");
        assert_eq!(selection.without_conditions().query(), "?range=7d");
    }

    #[test]
    fn times_take_the_place_of_a_range() {
        let selection = of("range=7d&start_date=2026-11-01&end_date=");
        assert_eq!(selection.range(), None);
        assert_eq!(selection.query(), "?start_date=2026-11-01");
        assert_eq!(selection.within(Range::USUAL).query(), "");
        assert_eq!(of("").range(), Some(Range::USUAL));
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        assert_eq!(
            of("actor=ann").parameters(now),
            [
                ("actor".to_owned(), "ann".to_owned()),
                (
                    "start_date".to_owned(),
                    "2026-11-28T12:00:00.000000Z".to_owned()
                ),
            ]
        );
        assert_eq!(of("range=all").parameters(now), []);
        for wrong in [
            "range=1y",
            "split=actor",
            "cursor=a&newer=b",
            "range=1h&range=7d",
        ] {
            let given = params::parse(Some(wrong)).unwrap();
            assert!(Selection::parse(given).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_and_other_parameters_stay_beside_what_a_form_sends() {
        let selection = of("actor=ann&range=7d&columns=actor&columns=outcome&split=outcome");
        assert!(selection.shows("actor") && !selection.shows("address"));
        assert!(of("").shows("address"));
        let names = |kept: Vec<(String, String)>| -> Vec<String> {
            kept.into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        assert_eq!(
            names(selection.kept_beside(is_condition)),
            [
                "range=7d",
                "split=outcome",
                "columns=actor",
                "columns=outcome"
            ]
        );
        assert_eq!(
            names(selection.kept_beside(is_range)),
            [
                "actor=ann",
                "split=outcome",
                "columns=actor",
                "columns=outcome"
            ]
        );
        assert_eq!(
            names(selection.kept_beside(|name| name == "columns")),
            ["actor=ann", "range=7d", "split=outcome"]
        );
    }

    #[test]
    fn a_line_takes_the_place_of_the_filter_but_for_its_times() {
        let selection = of("actor=ann&start_date=2026-11-01&split=outcome");
        let searched = selection.searched("outcome:failure").unwrap();
        assert_eq!(
            searched.query(),
            "?start_date=2026-11-01&outcome=failure&split=outcome"
        );
        let searched = selection.searched("start_date:2026-11-02").unwrap();
        assert_eq!(searched.query(), "?start_date=2026-11-02&split=outcome");
        assert_eq!(searched.line(), "");
    }

    proptest! {
        #[test]
        fn the_query_has_the_whole_state(
            params in proptest::collection::vec(("[a-z.]{1,5}|details.\\PC{1,4}", "\\PC{1,9}"), 0..5),
        ) {
            let own = ["range", "split", "columns", "cursor", "newer", "search"];
            prop_assume!(params.iter().all(|(name, _)| !own.contains(&&**name)));
            let selection = Selection {
                filter: params,
                split: Split::Outcome,
                columns: vec!["actor"],
                ..Selection::default()
            };
            let query = selection.query();
            prop_assert!(query.is_ascii());
            prop_assert_eq!(of(&query[1..]), selection, "{}", query);
        }
    }
}
