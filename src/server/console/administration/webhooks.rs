//! The pages of webhooks: all of them, and one with its attempts and dead letters.

mod shown;

use askama::Template;
use axum::{http::StatusCode, response::Response};

use self::shown::{Delivered, GivenUp, Row, Setting, State, settings};
use super::{admit_form, take_button};
use crate::{
    entry::Timestamp,
    server::{
        admin::AdminRequest,
        console::{
            frame::Frame,
            visit::{Visit, html},
        },
        problem::Problem,
        state::Asker,
        webhooks::{REFUSED, refused},
    },
    webhook::{self, Administrator, Attempt, LetterPage, Refusal, Replay},
};

/// How many attempts of a webhook are shown.
const ATTEMPTS: usize = 20;
/// How many dead letters of a webhook are shown.
const LETTERS: LetterPage = LetterPage {
    skip: 0,
    most: 20,
    most_bytes: 8 << 20,
};

/// `GET /admin/webhooks`
pub(in crate::server::console) async fn list(visit: Visit, request: AdminRequest) -> Response {
    let page = all(&visit, &request).await;
    visit.answer(page)
}

async fn all(visit: &Visit, request: &AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let read = request.read(|app, _| {
        let reports = webhook::reports(&app.layout, &app.reader)?;
        let now = Timestamp::now();
        let row = |report: &webhook::WebhookReport| {
            let attempts = webhook::attempts(&app.layout, report.webhook.name());
            Row::new(report, &attempts.unwrap_or_default(), now)
        };
        let rows: Vec<_> = reports.iter().map(row).collect();
        Ok((rows, webhook::dispatcher(&app.layout)?.is_some()))
    });
    let (webhooks, is_delivered) = read.await?;
    let description = "The list of webhooks was read in the console";
    request.record_read(&asker, description, &[], true)?;
    let page = ListPage {
        frame: visit.frame(Some(&asker.access)),
        webhooks,
        is_delivered,
    };
    Ok(html(StatusCode::OK, &page))
}

/// `GET /admin/webhooks/{name}`
pub(in crate::server::console) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = match request.admit_without_parameters() {
        Ok(asker) => one(&visit, &request, &asker, None).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

/// The page of a webhook, with the attempt of a test that was just made.
async fn one(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    tested: Option<&Attempt>,
) -> Result<Response, Problem> {
    let name = request.part(3);
    let found = request.read(move |app, _| {
        let (layout, reader) = (&app.layout, &app.reader);
        let Some(report) = webhook::report(layout, reader, &name)? else {
            return Ok(Err(Refusal::NoSuch(name)));
        };
        let attempts = webhook::attempts(layout, &name)?;
        let letters = webhook::dead_letters(layout, reader, &name, LETTERS)?;
        Ok(Ok((report, attempts, letters)))
    });
    let found = found.await?;
    for description in [
        "A webhook was read in the console",
        "Attempts of a webhook were read in the console",
        "Dead letters of a webhook were read in the console",
    ] {
        request.record_read(asker, description, &[], found.is_ok())?;
    }
    let (report, attempts, (total, letters)) = found.map_err(refused)?;
    let now = Timestamp::now();
    let page = WebhookPage {
        frame: visit.frame(Some(&asker.access)),
        row: Row::new(&report, &attempts, now),
        state: State::new(&report, now),
        settings: settings(&report),
        tested: tested.map(|attempt| Delivered::new(attempt, now)),
        attempts: attempts
            .iter()
            .take(ATTEMPTS)
            .map(|attempt| Delivered::new(attempt, now))
            .collect(),
        more_letters: total.saturating_sub(letters.len()),
        letters: letters
            .iter()
            .map(|letter| GivenUp::new(letter, now))
            .collect(),
        is_read_only: visit.app.log.is_none(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// `POST /admin/webhooks/{name}/pause`
pub(in crate::server::console) async fn pause(visit: Visit, request: AdminRequest) -> Response {
    change(visit, request, |administrator, name| {
        administrator.pause(name, true)
    })
    .await
}

/// `POST /admin/webhooks/{name}/resume`
pub(in crate::server::console) async fn resume(visit: Visit, request: AdminRequest) -> Response {
    change(visit, request, |administrator, name| {
        administrator.pause(name, false)
    })
    .await
}

/// `POST /admin/webhooks/{name}/replay`: sends the dead letters again.
pub(in crate::server::console) async fn replay(visit: Visit, request: AdminRequest) -> Response {
    change(visit, request, |administrator, name| {
        administrator.replay(name, Replay::dead_letters())
    })
    .await
}

/// Changes something about the webhook that the path names, and leads back to its page.
async fn change(
    visit: Visit,
    request: AdminRequest,
    act: impl FnOnce(&Administrator<'_>, &str) -> Result<(), Refusal> + Send + 'static,
) -> Response {
    let name = request.part(3);
    let back = format!("admin/webhooks/{name}");
    let change = async |asker| request.administer_named(asker, name, act).await;
    take_button(&visit, &request, REFUSED, &back, change).await
}

/// `POST /admin/webhooks/{name}/test`: the answer shows the attempt, so it doesn't lead elsewhere.
pub(in crate::server::console) async fn test(visit: Visit, request: AdminRequest) -> Response {
    let page = match admit_form(&visit) {
        Ok(asker) => try_out(&visit, &request, &asker).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

async fn try_out(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
) -> Result<Response, Problem> {
    let attempt = request.change_by(asker.clone(), REFUSED, async |asker| {
        let log = request.log()?;
        let administrator = Administrator::outside(log, asker.caller, &asker.path);
        let attempt = administrator.test(&request.part(3)).await;
        attempt.map_err(refused)
    });
    let attempt = attempt.await?;
    one(visit, request, asker, Some(&attempt)).await
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct ListPage {
    frame: Frame,
    webhooks: Vec<Row>,
    /// Whether a process delivers now.
    is_delivered: bool,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    row: Row,
    state: State,
    settings: Vec<Setting>,
    tested: Option<Delivered>,
    attempts: Vec<Delivered>,
    letters: Vec<GivenUp>,
    /// How many dead letters aren't shown.
    more_letters: usize,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
}
