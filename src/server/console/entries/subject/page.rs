//! The pages of an actor (what it did) and of a resource (what happened to it).

use std::time::Duration;

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{Kind, Sought, Subject, Wanted, names::Names};
use crate::{
    entry::Timestamp,
    query::{Depth, Filter, Top},
    server::{
        access::Scope,
        console::{
            entries::{
                answer::{Found, Question, SEARCH_TIME, find},
                bar::RangeMenu,
                counts::{Counting, Counts},
                facets::{Facet, most_shown},
                histogram::Chart,
                results::{NOT_COUNTED, NOT_EXACT, Nothing, Notice, Table, again, shorter},
            },
            frame::Frame,
            selection::{Range, Selection},
            visit::{Visit, html},
        },
        problem::Problem,
        state::Asker,
    },
};

/// How long counting may take: the counts are what the page is for.
const COUNT_TIME: Duration = Duration::from_secs(5);
/// How long looking for the names of others may take.
const NAMES_TIME: Duration = Duration::from_millis(500);

/// `GET /actor`
pub(in crate::server::console) async fn actor(visit: Visit) -> Response {
    let page = make(&visit, Kind::Actor).await;
    visit.answer(page)
}

/// `GET /resource`
pub(in crate::server::console) async fn resource(visit: Visit) -> Response {
    let page = make(&visit, Kind::Resource).await;
    visit.answer(page)
}

async fn make(visit: &Visit, kind: Kind) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let given = visit.parameters()?;
    let selection = Selection::parse_within(Range::OF_SUBJECT, given.clone())?;
    let text = subject(kind, &selection)?;
    let now = Timestamp::now();
    let question = Question::new(&selection, &asker, now)?;
    let most = most_shown(&selection, kind.other().parameter());
    let answer = Answer::find(visit, kind, question, most).await?;
    record(visit, &asker, kind, &given, &answer)?;
    let page = SubjectPage::new(visit, &asker, (kind, text), &selection, &answer, now);
    Ok(html(answer.status(), &page))
}

/// The id or name in the URL, of the one that the page is about.
fn subject(kind: Kind, selection: &Selection) -> Result<&str, Problem> {
    let name = kind.parameter();
    if selection.search.is_some() {
        let what = "the page takes no search; search on the page of entries";
        return Err(Problem::parameter("search", what));
    }
    let mut conditions = selection.conditions();
    if let Some((other, _)) = conditions.find(|(given, _)| ![name, "include"].contains(given)) {
        let what =
            format!("the page is about one {name} and takes no other condition; leave it out");
        return Err(Problem::parameter(other, what));
    }
    let texts = selection.conditions().filter(|(given, _)| *given == name);
    let texts: Vec<_> = texts.map(|(_, text)| text).collect();
    match texts[..] {
        [text] if !text.starts_with('!') => Ok(text),
        _ => {
            let what = format!("the page is about one {name}; give one id or name");
            Err(Problem::parameter(name, what))
        }
    }
}

/// The answers of the log. `None` where the time was over.
struct Answer {
    found: Option<Found>,
    counts: Option<Counts>,
    sought: Sought,
    names: Names,
}

impl Answer {
    /// The status of the page: as in the API, 503 if the search takes too long; also if only the
    /// search for the subject does, and there are no entries to show.
    fn status(&self) -> StatusCode {
        let is_over = matches!(self.sought, Sought::TimeOver);
        match &self.found {
            Some(found) if !is_over || !found.entries.is_empty() => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// With the names of the most frequent others.
    async fn find(
        visit: &Visit,
        kind: Kind,
        question: Question,
        most: usize,
    ) -> Result<Self, Problem> {
        let Question {
            page,
            counting,
            subject,
            ..
        } = question;
        let counting = Counting {
            depth: Depth::WithMore,
            limit: COUNT_TIME,
            ..counting
        };
        let filter = page.filter.clone();
        let search = visit.read_within(SEARCH_TIME, move |reader| find(reader, page));
        let count = counting.counts(visit);
        let sought = async {
            match subject {
                Some(subject) => Wanted::find(subject, visit).await,
                None => Ok(Sought::Nothing),
            }
        };
        let (found, counts, sought) = tokio::join!(search, count, sought);
        let mut answer = Self {
            found: found?,
            counts: counts?,
            sought: sought?,
            names: Names::default(),
        };
        answer.names = answer.names_of_others(visit, kind, &filter, most).await?;
        Ok(answer)
    }

    async fn names_of_others(
        &self,
        visit: &Visit,
        kind: Kind,
        filter: &Filter,
        most: usize,
    ) -> Result<Names, Problem> {
        let counts = self.counts.as_ref();
        let Some(others) = counts.and_then(|counts| others(kind, counts).2) else {
            return Ok(Names::default());
        };
        let found = self.found.as_ref();
        let shown = found.map_or(&[][..], |found| &found.entries);
        let ids = others.values.iter().take(most);
        let ids = ids.map(|one| one.value.as_str());
        Names::find(visit, kind.other(), ids, shown, filter, NAMES_TIME).await
    }
}

fn record(
    visit: &Visit,
    asker: &Asker,
    kind: Kind,
    given: &[(String, String)],
    answer: &Answer,
) -> Result<(), Problem> {
    let description = match kind {
        Kind::Actor => "The page of an actor was read in the console",
        Kind::Resource => "The page of a resource was read in the console",
    };
    let entry = asker.record("audit.access.read", description, given);
    let shown = answer.found.as_ref().map_or(0, |found| found.entries.len());
    let counted = answer.counts.as_ref().map(|counts| counts.stats.total);
    let entry = entry
        .detail("status", answer.status().as_u16())
        .detail("entries", shown)
        .detail("counted", counted);
    visit.app.recorder.record(&entry)
}

#[derive(Template)]
#[template(path = "subject.html")]
struct SubjectPage {
    frame: Frame,
    /// The page of its entries.
    all: String,
    subject: Subject,
    range: RangeMenu,
    chart: Chart,
    facets: Vec<Facet>,
    table: Table,
    notices: Vec<Notice>,
}

impl SubjectPage {
    fn new(
        visit: &Visit,
        asker: &Asker,
        (kind, text): (Kind, &str),
        selection: &Selection,
        answer: &Answer,
        now: Timestamp,
    ) -> Self {
        let frame = visit.frame(Some(&asker.access));
        let on_entries = selection.on_entries(&frame.to(""));
        let counts = answer.counts.as_ref();
        let stats = counts.map(|counts| &counts.stats);
        let is_partial = answer.found.as_ref().is_some_and(|found| found.is_partial)
            || stats.is_some_and(|stats| !stats.exact);
        let is_uncounted = stats.is_none();
        let notices = [
            is_uncounted.then(|| Notice::new(NOT_COUNTED, shorter(selection, now))),
            is_partial.then(|| Notice::new(NOT_EXACT, Vec::new())),
        ];
        Self {
            subject: answer.sought.known().map_or_else(
                || Subject::unknown(kind, text),
                |known| Subject::new(known, now),
            ),
            all: on_entries.href(),
            range: RangeMenu::new(selection, now),
            chart: Chart::new(selection, counts, answer.found.as_ref()),
            facets: counts
                .map(|counts| facets(kind, selection, &on_entries, counts, &answer.names))
                .unwrap_or_default(),
            table: table(selection, &on_entries, kind, answer, now),
            notices: notices.into_iter().flatten().collect(),
            frame,
        }
    }
}

/// The values that its entries have, each with a link to the entries with both.
fn facets(
    kind: Kind,
    selection: &Selection,
    on_entries: &Selection,
    counts: &Counts,
    names: &Names,
) -> Vec<Facet> {
    let Counts { stats, more, .. } = counts;
    let top = &stats.top;
    let fields = [
        ("event_type", "Event types", top.event_type.as_ref()),
        ("outcome", "Outcomes", top.outcome.as_ref()),
        others(kind, counts),
        ("ip_address", "Addresses", top.ip_address.as_ref()),
        ("user_agent", "User agents", Some(&more.user_agent)),
    ];
    let counted = fields
        .into_iter()
        .filter_map(|(name, title, top)| Some((name, title, top?)));
    let facets = counted.map(|(name, title, top)| {
        let mut facet = Facet::new(selection, on_entries, (name, title), top);
        if name == kind.other().parameter() {
            names.show(&mut facet);
        }
        facet
    });
    facets.collect()
}

/// The actors of a resource, or the resources of an actor.
fn others(kind: Kind, counts: &Counts) -> (&'static str, &'static str, Option<&Top>) {
    let other = kind.other();
    let (title, top) = match other {
        Kind::Actor => ("Actors", counts.stats.top.actor.as_ref()),
        Kind::Resource => ("Resources", Some(&counts.more.resource)),
    };
    (other.parameter(), title, top)
}

fn table(
    selection: &Selection,
    on_entries: &Selection,
    kind: Kind,
    answer: &Answer,
    now: Timestamp,
) -> Table {
    match &answer.found {
        None => Table::without_rows(selection, Nothing::too_slow(selection, now)),
        Some(found) if found.entries.is_empty() => {
            Table::without_rows(selection, nothing(kind, selection, answer))
        }
        Some(found) => {
            let table = Table::with_rows(selection, on_entries, found, now);
            // The column would say the same in each row.
            table.without_column(kind.parameter())
        }
    }
}

fn nothing(kind: Kind, selection: &Selection, answer: &Answer) -> Nothing {
    let name = kind.parameter();
    let all = Range::ALL[Range::ALL.len() - 1];
    let (hint, step) = match answer.sought {
        Sought::Known(_) => (
            format!("The log has entries of this {name} from other times."),
            Some(("Show all time".to_owned(), selection.within(all).href())),
        ),
        Sought::Nothing => (
            format!("No {name} with this id or name was found. Check the spelling."),
            None,
        ),
        Sought::TimeOver => (
            format!(
                "Looking for entries of this {name} from other times took too long. Try again, or \
                 choose a range in which there may be some."
            ),
            Some(again(selection)),
        ),
    };
    Nothing {
        title: "No entries in this range".to_owned(),
        hints: vec![hint],
        steps: step.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whether_there_is_nothing_or_the_time_was_over() {
        let selection = Selection::default();
        let answer = |sought| Answer {
            found: Some(Found::default()),
            counts: None,
            sought,
            names: Names::default(),
        };
        for (sought, status, said, steps) in [
            (Sought::Nothing, 200, "Check the spelling", 0),
            (Sought::TimeOver, 503, "took too long", 1),
        ] {
            let answer = answer(sought);
            let nothing = nothing(Kind::Actor, &selection, &answer);
            assert_eq!(answer.status(), status);
            assert!(nothing.hints[0].contains(said), "{:?}", nothing.hints);
            assert_eq!(nothing.steps.len(), steps);
        }
        let unfinished = Answer {
            found: None,
            ..answer(Sought::Nothing)
        };
        assert_eq!(unfinished.status(), 503);
    }
}
