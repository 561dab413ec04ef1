//! Links to other selections, and their URLs.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Range, Selection, Split, Start, is_time};
use crate::{entry::Timestamp, query::Filter};

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

impl Selection {
    /// The same with a range, from its newest entry on.
    pub(in crate::server::console) fn within(&self, range: Range) -> Self {
        let mut within = self.at_newest();
        within.filter.retain(|(name, _)| !is_time(name));
        within.range = Some(range);
        within
    }

    /// The same between these times.
    pub(in crate::server::console) fn between(&self, start: Timestamp, end: Timestamp) -> Self {
        let mut between = self.at_newest();
        between.range = None;
        between.filter.retain(|(name, _)| !is_time(name));
        for (name, time) in [("start_date", start), ("end_date", end)] {
            between.filter.push((name.to_owned(), time.to_string()));
        }
        between
    }

    /// The same with the ranges that are shorter and end where this one does, the longest first.
    pub(in crate::server::console) fn shorter(&self, now: Timestamp) -> Vec<(Range, Self)> {
        let filter = Filter::parse(self.times()).unwrap_or_default();
        let end = filter.end().unwrap_or(now).min(now);
        let start = match self.range() {
            Some(range) => range.start(now),
            None => filter.start(),
        };
        let is_shorter = |range: &Range| {
            let part = range.start(end);
            part.is_some_and(|part| start.is_none_or(|start| part > start))
        };
        let part = |range: Range| match (self.range(), range.start(end)) {
            (None, Some(start)) => (range, self.between(start, end)),
            _ => (range, self.within(range)),
        };
        let ranges = Range::ALL.into_iter().rev();
        ranges.filter(is_shorter).map(part).collect()
    }

    /// The same with the times alone.
    pub(in crate::server::console) fn without_conditions(&self) -> Self {
        let mut without = self.at_newest();
        without.filter.retain(|(name, _)| is_time(name));
        without
    }

    /// The same with bars divided by this.
    pub(in crate::server::console) fn split_by(&self, split: Split) -> Self {
        Self {
            split,
            ..self.clone()
        }
    }

    /// The same with more values of this field, or with as few of each.
    pub(in crate::server::console) fn opening(&self, facet: Option<&'static str>) -> Self {
        Self {
            facet,
            ..self.clone()
        }
    }

    /// The same from another entry on.
    pub(in crate::server::console) fn starting(&self, start: Start) -> Self {
        Self {
            start,
            ..self.clone()
        }
    }

    fn at_newest(&self) -> Self {
        self.starting(Start::Newest)
    }

    /// The same for entries with this value too; it is no longer excluded.
    pub(in crate::server::console) fn with(&self, name: &str, value: &str) -> Self {
        let value = Filter::literal(value);
        self.without(name, &format!("!{value}")).and(name, &value)
    }

    /// The same for entries without this value; it is no longer wanted.
    pub(in crate::server::console) fn excluding(&self, name: &str, value: &str) -> Self {
        let value = Filter::literal(value);
        self.without(name, &value).and(name, &format!("!{value}"))
    }

    /// The same without this value, whether that is wanted or not.
    pub(in crate::server::console) fn without_value(&self, name: &str, value: &str) -> Self {
        self.without(name, &Filter::literal(value))
    }

    /// The same without this text of a parameter.
    pub(in crate::server::console) fn without(&self, name: &str, text: &str) -> Self {
        let mut without = self.at_newest();
        without
            .filter
            .retain(|(n, t)| (n.as_str(), t.as_str()) != (name, text));
        without
    }

    /// The same for entries with any word of the texts of several words; `None` without such a text.
    pub(in crate::server::console) fn any_word(&self) -> Option<Self> {
        let has_words = |(name, text): &(&str, &str)| {
            *name == "q"
                && !text.starts_with(['!', '\\'])
                && text.trim().contains(char::is_whitespace)
        };
        let texts = self.conditions().filter(has_words);
        let texts: Vec<_> = texts.map(|(name, text)| (name, text.to_owned())).collect();
        let with_words = |any: Self, (name, text): &(&str, String)| {
            let words = text.split_whitespace();
            words.fold(any.without(name, text), |any, word| any.with(name, word))
        };
        (!texts.is_empty()).then(|| texts.iter().fold(self.at_newest(), with_words))
    }

    fn and(mut self, name: &str, text: &str) -> Self {
        if !self.has(name, text) {
            self.filter.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// The same on the page of entries, which has this path, from its newest entry on. Its links
    /// lead there from any page.
    pub(in crate::server::console) fn on_entries(&self, home: &str) -> Self {
        Self {
            range: self.range(),
            usual: Range::USUAL,
            home: home.to_owned(),
            facet: None,
            ..self.at_newest()
        }
    }

    /// The link to the page; relative if it is on the page itself.
    pub(in crate::server::console) fn href(&self) -> String {
        match self.query() {
            // Empty, it would be the page with the query that it has.
            query if query.is_empty() && self.home.is_empty() => "?".to_owned(),
            query => format!("{}{query}", self.home),
        }
    }

    /// The parameters of the URL but for those of the page's beginning.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let filter = self.filter.iter();
        let mut pairs: Vec<_> = filter.map(|(name, value)| (&**name, &**value)).collect();
        let range = self.range.filter(|range| *range != self.usual);
        pairs.extend(range.map(|range| ("range", range.name)));
        if self.split == Split::Outcome {
            pairs.push(("split", "outcome"));
        }
        pairs.extend(self.columns.iter().map(|column| ("columns", *column)));
        pairs.extend(self.facet.map(|facet| ("facet", facet)));
        pairs
    }

    /// The parameters that stay when a form sends others in the place of these.
    pub(in crate::server::console) fn kept_beside(
        &self,
        is_sent: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let kept = self.pairs().into_iter().filter(|(name, _)| !is_sent(name));
        kept.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The URL's query, with the `?`; empty if all is as usual.
    pub(in crate::server::console) fn query(&self) -> String {
        let start = match &self.start {
            Start::Newest => None,
            Start::Older(cursor) => Some(("cursor", cursor.as_str())),
            Start::Newer(cursor) => Some(("newer", cursor.as_str())),
        };
        query(self.pairs().into_iter().chain(start))
    }
}

/// Parameters as a URL's query, with the `?`; empty without any.
pub(in crate::server::console) fn query<'a>(
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
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

#[cfg(test)]
mod tests {
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
    fn a_text_of_several_words_leads_to_the_entries_with_any_of_them() {
        let any = |query| of(query).any_word().map(|any| any.query());
        assert_eq!(
            any("q=lost+!key&actor=ann&cursor=c").as_deref(),
            Some("?actor=ann&q=lost&q=%5C!key")
        );
        assert_eq!(any("q=a+b&q=b+c&q=d").as_deref(), Some("?q=d&q=a&q=b&q=c"));
        for query in ["q=lost", "q=!lost+key", "actor=Ann+Lee", ""] {
            assert_eq!(any(query), None, "{query}");
        }
    }

    #[test]
    fn shorter_ranges_end_where_the_range_does() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let shorter = |query| -> Vec<String> {
            let parts = of(query).shorter(now).into_iter();
            parts.map(|(_, part)| part.query()).collect()
        };
        assert_eq!(
            shorter("actor=ann&range=7d&cursor=c"),
            ["?actor=ann", "?actor=ann&range=1h", "?actor=ann&range=15m"]
        );
        assert_eq!(shorter("range=all")[0], "?range=90d");
        assert_eq!(shorter("range=15m"), [""; 0]);
        let times = "start_date=2026-11-01&end_date=2026-11-01T02:00:00Z";
        assert_eq!(
            shorter(times)[0],
            "?start_date=2026-11-01T01:00:00.000000Z&end_date=2026-11-01T02:00:00.000000Z"
        );
        assert_eq!(shorter(times).len(), 2);
        // A range that goes on beyond now ends now.
        let open = "start_date=2026-11-29T11:30:00Z&end_date=2027-01-01";
        assert_eq!(
            shorter(open),
            ["?start_date=2026-11-29T11:45:00.000000Z&end_date=2026-11-29T12:00:00.000000Z"]
        );
    }
}
