//! The selection that the URL of the page of entries asks for.
//!
//! The parameters are those of the API, and a few of the page's own: `range`, a time up to now,
//! which `start_date` and `end_date` take the place of; `split`, what the histogram's bars are
//! divided by; `columns`, those of the table that are shown; `facet`, the field of which more values
//! are shown; `newer`, a cursor as `cursor` is, in the other direction; and `search`, a line that is
//! turned into parameters.
//!
//! ```text
//! range      the times up to now that can be chosen
//! links      other selections that a page leads to, and their URLs
//! ```

mod links;
mod range;

pub(super) use self::{links::query, range::Range};
use super::search;
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::Filter,
    server::params::take,
};

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

/// The fields whose values are counted, of which one can be opened.
const FACETS: [&str; 7] = [
    "severity",
    "outcome",
    "event_type",
    "actor",
    "resource",
    "ip_address",
    "user_agent",
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
    /// The range of a URL that has none.
    usual: Range,
    /// The path of the page that links lead to; empty if that is the page that has them.
    home: String,
    pub(super) split: Split,
    /// The names of the columns that are shown; without any, all are.
    columns: Vec<&'static str>,
    /// The field of which more values are shown.
    facet: Option<&'static str>,
    pub(super) start: Start,
    /// A line that was written, and takes the place of all of the filter but the times.
    pub(super) search: Option<String>,
}

impl Selection {
    pub(super) fn parse(given: Vec<(String, String)>) -> Result<Self> {
        Self::parse_within(Range::USUAL, given)
    }

    /// The same for a page that shows this range unless it is asked for another one.
    pub(super) fn parse_within(usual: Range, mut given: Vec<(String, String)>) -> Result<Self> {
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
        let facet = take(&mut given, "facet")?;
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
            usual,
            home: String::new(),
            split,
            columns,
            facet: facet.as_deref().map(field).transpose()?,
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
            ..self.clone()
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

    /// Whether a text is searched for.
    pub(super) fn wants_text(&self) -> bool {
        self.conditions().any(|(name, _)| name == "q")
    }

    /// The range, unless the URL has times.
    pub(super) fn range(&self) -> Option<Range> {
        match self.filter.iter().any(|(name, _)| is_time(name)) {
            true => None,
            false => Some(self.range.unwrap_or(self.usual)),
        }
    }

    /// A time that the URL has.
    pub(super) fn time(&self, name: &str) -> &str {
        let found = self.times().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The times that the URL has.
    pub(super) fn times(&self) -> impl Iterator<Item = (&str, &str)> {
        let times = self.filter.iter().filter(|(name, _)| is_time(name));
        times.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameters for the API.
    pub(super) fn parameters(&self, now: Timestamp) -> Vec<(String, String)> {
        let mut parameters = self.filter.clone();
        if let Some(start) = self.range().and_then(|range| range.start(now)) {
            parameters.push(("start_date".to_owned(), start.to_string()));
        }
        parameters
    }

    /// Whether this value is wanted.
    pub(super) fn wants(&self, name: &str, value: &str) -> bool {
        let value = Filter::literal(value);
        self.has(name, &value)
    }

    fn has(&self, name: &str, text: &str) -> bool {
        self.conditions().any(|one| one == (name, text))
    }

    /// The field of which more values are shown.
    pub(super) fn opened(&self) -> Option<&'static str> {
        self.facet
    }

    /// Whether a column is shown.
    pub(super) fn shows(&self, column: &str) -> bool {
        self.columns.is_empty() || self.columns.contains(&column)
    }
}

/// Whether a parameter of the filter, but not of a time, has this name.
pub(super) fn is_condition(name: &str) -> bool {
    !is_time(name) && !matches!(name, "range" | "split" | "columns" | "facet")
}

/// Whether a parameter of the range has this name.
pub(super) fn is_range(name: &str) -> bool {
    is_time(name) || name == "range"
}

fn column(given: &str) -> Result<&'static str> {
    one_of("columns", &COLUMNS.map(|(name, _)| name), given)
}

fn field(given: &str) -> Result<&'static str> {
    one_of("facet", &FACETS, given)
}

fn one_of(parameter: &str, names: &[&'static str], given: &str) -> Result<&'static str> {
    let found = names.iter().copied().find(|name| *name == given);
    found.ok_or_else(|| {
        let problem = format!("{given:?} must be one of {}", names.join(", "));
        Error::invalid(parameter, problem)
    })
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
            "facet=door",
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
            let own = ["range", "split", "columns", "facet", "cursor", "newer", "search"];
            prop_assume!(params.iter().all(|(name, _)| !own.contains(&&**name)));
            let selection = Selection {
                filter: params,
                split: Split::Outcome,
                columns: vec!["actor"],
                facet: Some("actor"),
                ..Selection::default()
            };
            let query = selection.query();
            prop_assert!(query.is_ascii());
            prop_assert_eq!(of(&query[1..]), selection, "{}", query);
        }
    }
}
