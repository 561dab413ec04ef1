//! The page of entries.
//!
//! ```text
//! answer     what the log has for the page, within a bounded time
//! bar        the line of the search, and the range
//! results    all below it: counts, entries, links to others
//! facets     the most frequent values, each with its count
//! histogram  counts over time
//! row        an entry in the table
//! subject    the actor or the resource that the entries are about
//! ```

mod answer;
mod bar;
mod facets;
mod histogram;
mod results;
mod row;
mod subject;

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};

use self::{
    answer::{Answer, Question},
    bar::{RangeMenu, SearchBar},
    results::Results,
};
use super::{
    frame::Frame,
    selection::Selection,
    visit::{Visit, below, html},
};
use crate::{
    entry::Timestamp,
    query::Query,
    server::{access::Scope, problem::Problem, state::Asker},
};

/// `GET /`
pub(super) async fn page(visit: Visit) -> Response {
    let page = make(&visit).await;
    visit.answer(page)
}

async fn make(visit: &Visit) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let given = visit.parameters()?;
    let now = Timestamp::now();
    let (selection, found) = match Selection::parse(given.clone()) {
        Err(error) => (Selection::default(), Err(error.into())),
        Ok(selection) => match &selection.search {
            Some(line) => match searched(&selection, line, &asker, now) {
                Ok(found) => return Ok(redirect(visit, &found)),
                Err(problem) => (selection, Err(problem)),
            },
            None => {
                let found = answer(visit, &selection, &asker, now).await;
                (selection, found)
            }
        },
    };
    let mut page = EntriesPage {
        frame: visit.frame(Some(&asker.access)),
        search: SearchBar::new(&selection),
        range: RangeMenu::new(&selection, now),
        results: None,
    };
    match found {
        // Shown beside the line that it is about, with what was written there.
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            page.search.problem = Some(words(&problem));
            Ok(html(problem.status(), &page))
        }
        Err(problem) => Err(problem),
        Ok(answer) => {
            record(visit, &asker, &given, &answer)?;
            page.results = Some(Results::new(&selection, &answer, now));
            Ok(html(StatusCode::OK, &page))
        }
    }
}

#[derive(Template)]
#[template(path = "entries.html")]
struct EntriesPage {
    frame: Frame,
    search: SearchBar,
    range: RangeMenu,
    results: Option<Results>,
}

/// What is wrong, in the words of the API.
fn words(problem: &Problem) -> String {
    match problem.about() {
        Some("search") | None => problem.detail().to_owned(),
        Some(name) => format!("{name}: {}", problem.detail()),
    }
}

/// The query of the page that is selected.
pub(super) fn question(
    selection: &Selection,
    asker: &Asker,
    now: Timestamp,
) -> Result<Query, Problem> {
    Ok(Question::new(selection, asker, now)?.page)
}

/// What a line asks for, if the API takes that.
fn searched(
    selection: &Selection,
    line: &str,
    asker: &Asker,
    now: Timestamp,
) -> Result<Selection, Problem> {
    let searched = selection.searched(line)?;
    Question::new(&searched, asker, now)?;
    Ok(searched)
}

fn redirect(visit: &Visit, to: &Selection) -> Response {
    Redirect::to(&below(&visit.mount(), &to.query())).into_response()
}

async fn answer(
    visit: &Visit,
    selection: &Selection,
    asker: &Asker,
    now: Timestamp,
) -> Result<Answer, Problem> {
    Question::new(selection, asker, now)?.answer(visit).await
}

fn record(
    visit: &Visit,
    asker: &Asker,
    given: &[(String, String)],
    answer: &Answer,
) -> Result<(), Problem> {
    let entry = asker.record(
        "audit.access.read",
        "Entries of the audit log were read in the console",
        given,
    );
    let shown = answer.found.as_ref().map_or(0, |found| found.entries.len());
    let counted = answer.stats.as_ref().map(|stats| stats.total);
    let entry = entry
        .detail("status", 200)
        .detail("entries", shown)
        .detail("counted", counted);
    visit.app.recorder.record(&entry)
}
