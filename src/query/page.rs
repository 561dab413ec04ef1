//! The question and the answer of a page.

use serde::Serialize;

use super::{
    arrival,
    entry::RawEntry,
    filter::Filter,
    order::{Key, Order},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

/// How many problems are reported one by one.
const MAX_PROBLEMS: usize = 100;

/// The most entries that [`Query::parse`] lets a page have.
const MAX_LIMIT: usize = 1000;

/// The parameters of a page that are not the filter's.
const OWN: [&str; 5] = ["limit", "order", "cursor", "offset", "include"];

/// A question for one page of entries.
///
/// ```
/// use tracing_audit::{Filter, Query, reader::Order};
///
/// let query = Query::parse([("actor", "ann"), ("order", "asc"), ("limit", "50")])?;
///
/// // The same without texts:
/// let same = Query {
///     filter: Filter::parse([("actor", "ann")])?,
///     order: Order::Asc,
///     limit: 50,
///     ..Query::default()
/// };
/// assert_eq!(query.filter.params(), same.filter.params());
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    /// The entries that are wanted.
    pub filter: Filter,
    /// The order of the entries.
    pub order: Order,
    /// The most entries of a page. [`Query::parse`] allows 1 to 1000; here any number is allowed,
    /// and all entries of a page are in memory at once.
    pub limit: usize,
    /// The most bytes that the lines of a page have together; an entry that is longer is a page of
    /// its own. `usize::MAX` by default; over HTTP, 8 MiB.
    pub max_bytes: usize,
    /// The beginning of the page.
    pub start: PageStart,
    /// Whether entries about reads of the log are wanted as well. Default: no
    /// ([`Filter::without_access`]), because otherwise each read of a quiet log would find the read
    /// before it.
    pub include_access: bool,
}

/// The beginning of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageStart {
    /// At the first entry.
    #[default]
    First,
    /// After the page that gave this as its `next_cursor`. Costs the same for any page.
    Cursor(String),
    /// After this many entries, which are read and left out. Not in the order of arrival.
    Offset(usize),
    /// Now, only in the order of arrival: a page without entries, whose cursor leads to the entries
    /// that come from now on.
    Now,
}

impl Query {
    /// Makes a query of text parameters: `limit` (1 to 1000; default 100), `order` (`desc`, the
    /// default, `asc` or `arrival`), `cursor` (in the order of arrival also `now`) or `offset`,
    /// `include` (`access`), and the parameters of the filter. An `event_type` that names reads of
    /// the log includes them too.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the parameter that is wrong, and says what to write instead.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let mut query = Self::default();
        let mut filter = Vec::new();
        let mut given = Vec::new();
        for (name, value) in params {
            let (known, text) = (name.as_ref(), value.as_ref());
            let wrong = |problem: &str| Error::invalid(known, problem);
            if !OWN.contains(&known) {
                filter.push((name, value));
                continue;
            }
            if given.iter().any(|before| before == known) {
                return Err(wrong("it is given twice; give it once"));
            }
            given.push(known.to_owned());
            match known {
                "limit" => {
                    let limit = text
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    query.limit =
                        limit.ok_or_else(|| wrong("it must be a number from 1 to 1000"))?;
                }
                "order" => query.order = text.parse()?,
                "include" if text == "access" => query.include_access = true,
                "include" => return Err(wrong("it must be \"access\", or be left out")),
                _ if query.start != PageStart::First => {
                    return Err(wrong("cursor and offset are both given; give one"));
                }
                "cursor" if text == "now" => query.start = PageStart::Now,
                "cursor" => {
                    query.start = PageStart::Cursor(text.to_owned());
                }
                _ => {
                    query.start = PageStart::Offset(
                        text.parse()
                            .map_err(|_| wrong("it must be a number, 0 or more"))?,
                    )
                }
            }
        }
        query.filter = Filter::parse_beside(&OWN, filter)?;
        query.check_start()?;
        Ok(query)
    }

    fn check_start(&self) -> Result<()> {
        match (&self.start, self.order.by_time()) {
            (PageStart::Cursor(cursor), Some(_)) => cursor.parse::<Key>().map(drop),
            (PageStart::Now, Some(_)) => Err(only_by_arrival()),
            (start, None) => arrival::check_start(start),
            _ => Ok(()),
        }
    }

    /// The filter, without entries about reads of the log unless they are wanted.
    pub(super) fn whole_filter(&self) -> Filter {
        match self.include_access {
            true => self.filter.clone(),
            false => self.filter.clone().without_access(),
        }
    }
}

/// The error about a beginning that only the order of arrival has.
pub(super) fn only_by_arrival() -> Error {
    let what = "now is a cursor of the order of arrival; give order=arrival as well, or leave the \
                cursor out";
    Error::invalid("cursor", what)
}

impl Default for Query {
    /// The newest 100.
    fn default() -> Self {
        Self {
            filter: Filter::new(),
            order: Order::Desc,
            limit: 100,
            max_bytes: usize::MAX,
            start: PageStart::First,
            include_access: false,
        }
    }
}

/// Some entries in order.
///
/// ```
/// # use tracing_audit::{AuditLog, audit};
/// # let log = AuditLog::for_tests();
/// # log.run(|| (0..5).for_each(|page| audit!("page.read", page).ignore()));
/// # log.flush()?;
/// # let dir = log.dir();
/// use tracing_audit::{AuditReader, Query, reader::PageStart};
///
/// let reader = AuditReader::open(dir)?;
/// let mut query = Query { limit: 2, ..Query::default() };
/// let mut count = 0;
/// loop {
///     let page = reader.page(&query)?;
///     count += page.entries.len();
///     assert!(page.scanned.problems.is_empty(), "some entries can't be read");
///     if !page.has_more {
///         break;
///     }
///     query.start = PageStart::Cursor(page.next_cursor);
/// }
/// assert_eq!(count, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// At most as many as asked for.
    pub entries: Vec<RawEntry>,
    /// The cursor of the next page. The last page has one too, which leads to the entries that will
    /// be added.
    pub next_cursor: String,
    /// Whether the next page may have entries already. The next page can still turn out to be
    /// empty.
    pub has_more: bool,
    /// The instant up to which the log was complete before the page was read
    /// ([`AuditReader::complete_until`](crate::AuditReader::complete_until)).
    pub complete_until: Option<Timestamp>,
    /// The work that the page took, and the files that could not be read.
    pub scanned: Scanned,
}

/// The work that an answer took, and the files that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Blocks of some 256 KiB.
    pub blocks: u64,
    /// Lines in these blocks.
    pub lines: u64,
    /// Bytes of these lines, uncompressed.
    pub bytes: u64,
    /// The number of files that have these blocks.
    pub files: u64,
    /// The first 100 parts of the log that could not be read: their entries may be missing in the
    /// answer.
    pub problems: Vec<Problem>,
    /// The number of problems beyond these.
    pub more_problems: u64,
}

/// A part of the log that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, below the log's directory.
    pub file: String,
    /// The problem, in a sentence.
    pub what: String,
    /// Whether the next read may succeed.
    #[serde(skip)]
    is_passing: bool,
    /// Whether all entries were found in spite of it.
    #[serde(skip)]
    hides_nothing: bool,
}

impl Problem {
    pub(crate) fn new(file: String, what: String) -> Self {
        Self {
            file,
            what,
            is_passing: false,
            hides_nothing: false,
        }
    }

    /// A problem that hides no entry, because its entries were found in another way.
    pub(crate) fn hiding_nothing(file: String, what: String) -> Self {
        Self {
            hides_nothing: true,
            ..Self::new(file, what)
        }
    }

    /// A problem that the next read may not have.
    pub(super) fn passing(file: String, what: String) -> Self {
        Self {
            is_passing: true,
            ..Self::new(file, what)
        }
    }

    /// Whether entries may be missing because of it.
    pub(super) fn hides_entries(&self) -> bool {
        !self.hides_nothing
    }

    /// The error of an answer that must be whole.
    pub(crate) fn not_whole(&self) -> Error {
        Error::NotWhole {
            file: self.file.clone(),
            what: self.what.clone(),
        }
    }

    /// The error of a read. Damage stays; a read that fails now may succeed later.
    pub(super) fn of(file: String, error: &Error) -> Self {
        Self {
            is_passing: matches!(error, Error::Io { .. }),
            ..Self::new(file, error.without_path())
        }
    }
}

impl Scanned {
    /// The first problem that may hide entries.
    pub(crate) fn hiding_problem(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.hides_entries())
    }

    /// The first problem that the next read may not have.
    pub(super) fn passing_problem(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.is_passing)
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        if self.problems.contains(&problem) {
        } else if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
            // A look-up asks whether there was a passing one, and an export whether there was one
            // that hides entries, however many others there are.
            let is_first_passing = problem.is_passing && self.passing_problem().is_none();
            let is_first_hiding = problem.hides_entries() && self.hiding_problem().is_none();
            if (is_first_passing || is_first_hiding)
                && let Some(last) = self.problems.last_mut()
            {
                *last = problem;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_problem_is_kept_among_many_others() {
        let mut scanned = Scanned::default();
        for n in 0..MAX_PROBLEMS + 5 {
            scanned.problem(Problem::new(format!("{n}"), "it is damaged".into()));
        }
        assert!(scanned.passing_problem().is_none());
        scanned.problem(Problem::passing("last".into(), "it was removed".into()));
        assert_eq!(
            scanned.passing_problem().map(|one| &*one.file),
            Some("last")
        );
        assert_eq!(
            (scanned.problems.len(), scanned.more_problems),
            (MAX_PROBLEMS, 6)
        );
    }
}
