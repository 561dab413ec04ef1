//! The pages of webhooks: all of them, and one with its attempts and dead letters.
//!
//! ```text
//! change      add, change, remove; the secrets
//! form        the fields of a webhook's settings
//! deliveries  the deliveries of a webhook, and one with its request and its answers
//! shown       webhooks, attempts and dead letters as pages show them
//! spark       the last answers as a small drawing
//! ```

pub(in crate::server::console) mod change;
pub(in crate::server::console) mod deliveries;
mod form;
mod shown;
mod spark;

use askama::Template;
use axum::{http::StatusCode, response::Response};

use self::{
    form::WebhookForm,
    shown::{Delivered, GivenUp, Row, Setting, State, settings},
};
use super::{Draft, admit_form, take_button};
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
    webhook::{self, Administrator, Attempt, LetterPage, Refusal, Replay, WebhookReport},
};

const LIST: &str = "admin/webhooks";
/// How many attempts of a webhook are shown.
const ATTEMPTS: usize = 10;
/// How many dead letters of a webhook are shown.
const LETTERS: LetterPage = LetterPage {
    skip: 0,
    most: 10,
    most_bytes: 8 << 20,
};

/// `GET /admin/webhooks`
pub(in crate::server::console) async fn all(visit: Visit, request: AdminRequest) -> Response {
    let page = match request.admit_without_parameters() {
        Ok(asker) => list(&visit, &request, &asker, &Draft::default()).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

/// The page of all webhooks, with the form for another one as it was sent and refused.
async fn list(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    draft: &Draft,
) -> Result<Response, Problem> {
    let read = request.read(|app, _| {
        let reports = app.reader.webhooks()?;
        let now = Timestamp::now();
        let row = |report: &WebhookReport| {
            let attempts = app.reader.attempts(report.webhook.name());
            Row::new(report, &attempts.unwrap_or_default(), now)
        };
        let rows: Vec<_> = reports.iter().map(row).collect();
        Ok((rows, app.reader.webhook_dispatcher()?.is_some()))
    });
    let (webhooks, is_delivered) = read.await?;
    let description = "The list of webhooks was read in the console";
    request.record_read(asker, description, &[], true)?;
    let page = ListPage {
        frame: visit.frame(Some(&asker.access)),
        webhooks,
        is_delivered,
        form: WebhookForm::new(draft),
        is_read_only: visit.app.log.is_none(),
    };
    Ok(html(draft.status(), &page))
}

/// The webhook of this name, whose reading is recorded.
async fn shown_report(
    request: &AdminRequest,
    asker: &Asker,
    name: &str,
) -> Result<WebhookReport, Problem> {
    let name = name.to_owned();
    let found = request.read(move |app, _| {
        let report = app.reader.webhook(&name)?;
        Ok(report.ok_or(Refusal::NoSuch(name)))
    });
    let found = found.await?;
    let description = "A webhook was read in the console";
    request.record_read(asker, description, &[], found.is_ok())?;
    found.map_err(refused)
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
        let reader = &app.reader;
        let Some(report) = reader.webhook(&name)? else {
            return Ok(Err(Refusal::NoSuch(name)));
        };
        let attempts = reader.attempts(&name)?;
        let letters = webhook::dead_letters(reader, &name, LETTERS)?;
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
    let act = |administrator: &Administrator<'_>, name: &str| administrator.pause(name, true);
    press(&visit, &request, &own_page(&request), act).await
}

/// `POST /admin/webhooks/{name}/resume`
pub(in crate::server::console) async fn resume(visit: Visit, request: AdminRequest) -> Response {
    let act = |administrator: &Administrator<'_>, name: &str| administrator.pause(name, false);
    press(&visit, &request, &own_page(&request), act).await
}

/// `POST /admin/webhooks/{name}/replay`: sends the dead letters again.
pub(in crate::server::console) async fn replay(visit: Visit, request: AdminRequest) -> Response {
    let act = |administrator: &Administrator<'_>, name: &str| {
        administrator.replay(name, Replay::dead_letters())
    };
    press(&visit, &request, &own_page(&request), act).await
}

/// The page of the webhook that the path names.
fn own_page(request: &AdminRequest) -> String {
    format!("{LIST}/{}", request.part(3))
}

/// Changes the webhook that the path names by a button, and leads back to a page.
async fn press(
    visit: &Visit,
    request: &AdminRequest,
    back: &str,
    act: impl FnOnce(&Administrator<'_>, &str) -> Result<(), Refusal> + Send + 'static,
) -> Response {
    let name = request.part(3);
    let change = async |asker| request.administer_named(asker, name, act).await;
    take_button(visit, request, REFUSED, back, change).await
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
    form: WebhookForm,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
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
