//! The page of entries.
//!
//! ```text
//! answer     what the log has for the page, within a bounded time
//! bar        the line of the search, and the range
//! results    all below it: counts, entries, links to others
//! export     the menu of downloads
//! facets     the most frequent values, each with its count
//! counts     counts over a span of time that shows them well
//! histogram  counts over time
//! row        an entry in the table
//! subject    the actor or the resource that the entries are about, and its page
//! ```

mod answer;
mod bar;
mod counts;
mod export;
mod facets;
mod histogram;
mod results;
mod row;
mod subject;

use std::time::Duration;

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};

pub(super) use self::subject::{Kind, Names, actor, resource};
use self::{
    answer::{Answer, Question},
    bar::{RangeMenu, SearchBar},
    counts::Counting,
    export::ExportMenu,
    results::Results,
};
use super::{
    frame::Frame,
    selection::Selection,
    views::{self, ViewMenu},
    visit::{Visit, below, html, words},
};
use crate::{
    entry::Timestamp,
    query::Query,
    server::{access::Scope, problem::Problem, state::Asker},
};

/// How long a page may read the saved views.
const VIEW_TIME: Duration = Duration::from_secs(1);

/// `GET /`
pub(super) async fn page(visit: Visit) -> Response {
    let page = make(&visit).await;
    visit.answer(page)
}

async fn make(visit: &Visit) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    let given = visit.parameters()?;
    let now = Timestamp::now();
    let (selection, made) = match Selection::parse(given.clone()) {
        Err(error) => (Selection::default(), Err(error.into())),
        Ok(selection) => {
            let made = match &selection.search {
                Some(line) => searched(visit, &asker, &selection, line, now),
                None => found(visit, &asker, &selection, &given, now).await,
            };
            (selection, made)
        }
    };
    match made {
        // Shown beside the line that it is about, with what was written there.
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            let mut page = EntriesPage::new(visit, &asker, &selection, now).await;
            page.search.problem = Some(words(&problem));
            Ok(html(problem.status(), &page))
        }
        made => made,
    }
}

/// The page with what was found, which is recorded.
async fn found(
    visit: &Visit,
    asker: &Asker,
    selection: &Selection,
    given: &[(String, String)],
    now: Timestamp,
) -> Result<Response, Problem> {
    let question = Question::new(selection, asker, now)?;
    let answer = question.answer(visit, asker).await?;
    record(visit, asker, given, &answer)?;
    let export = ExportMenu::new(visit, asker, selection, &answer, now).await?;
    let mut page = EntriesPage::new(visit, asker, selection, now).await;
    page.export = export;
    page.results = Some(Results::new(selection, &answer, now));
    Ok(html(answer.status(), &page))
}

#[derive(Template)]
#[template(path = "entries.html")]
struct EntriesPage {
    frame: Frame,
    search: SearchBar,
    range: RangeMenu,
    views: ViewMenu,
    export: Option<ExportMenu>,
    results: Option<Results>,
}

impl EntriesPage {
    async fn new(visit: &Visit, asker: &Asker, selection: &Selection, now: Timestamp) -> Self {
        let tenant = asker.access.tenant.clone();
        let views = visit.read_within(VIEW_TIME, move |reader| {
            views::read(reader, tenant.as_deref())
        });
        // The server's own messages say why they can't be read.
        let views = views.await.ok().flatten();
        Self {
            views: ViewMenu::new(visit, asker, selection, views.as_deref()),
            frame: visit.frame(Some(&asker.access)),
            search: SearchBar::new(selection),
            range: RangeMenu::new(selection, now),
            export: None,
            results: None,
        }
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

/// The question for the values of what is selected, so many of each field.
pub(super) fn counting(
    selection: &Selection,
    asker: &Asker,
    now: Timestamp,
    values: usize,
) -> Result<Counting, Problem> {
    let mut counting = Question::new(selection, asker, now)?.counting;
    counting.query.top = values;
    counting.is_drawn = false;
    Ok(counting)
}

/// Leads to the page that a line asks for, if the API takes that.
fn searched(
    visit: &Visit,
    asker: &Asker,
    selection: &Selection,
    line: &str,
    now: Timestamp,
) -> Result<Response, Problem> {
    let searched = selection.searched(line)?;
    Question::new(&searched, asker, now)?;
    let to = below(&visit.mount(), &searched.query());
    Ok(Redirect::to(&to).into_response())
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
    let counted = answer.counts.as_ref().map(|counts| counts.stats.total);
    let entry = entry
        .detail("status", answer.status().as_u16())
        .detail("entries", shown)
        .detail("counted", counted);
    visit.app.recorder.record(&entry)
}
