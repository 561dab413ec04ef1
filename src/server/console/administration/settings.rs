//! The page of the settings that hold in all processes of the log, and of the holds.

use askama::Template;
use axum::{body::Body, response::Response};
use serde_json::{Map, Value};

use super::{Draft, as_settings, back_to, take_button, take_form};
use crate::{
    entry::Timestamp,
    server::{
        admin::{AdminRequest, holds, settings},
        console::{
            form::Fields,
            frame::Frame,
            text::{Time, shown},
            visit::{Visit, html},
        },
        params::take,
        problem::Problem,
        state::Asker,
    },
    store::{
        Hold,
        settings::{AgeLimit, DAYS},
    },
};

const PAGE: &str = "admin/settings";

/// The forms of the page, as they were sent and refused.
#[derive(Default)]
struct Drafts {
    retention: Draft,
    hold: Draft,
}

/// `GET /admin/settings`
pub(in crate::server::console) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = match request.admit_without_parameters() {
        Ok(asker) => show(&visit, &request, &asker, Drafts::default()).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

async fn show(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    drafts: Drafts,
) -> Result<Response, Problem> {
    let settings = settings::read(request).await?;
    let holds = request.read(|app, _| app.reader.holds()).await?;
    let read = |what| request.record_read(asker, what, &[], true);
    read("The settings of the log were read in the console")?;
    read("The list of holds was read in the console")?;
    let now = Timestamp::now();
    let status = drafts.retention.status().max(drafts.hold.status());
    let page = SettingsPage {
        frame: visit.frame(Some(&asker.access)),
        retention: Retention::new(settings.retention_days, &drafts.retention),
        holds: holds.iter().map(|hold| HeldRange::new(hold, now)).collect(),
        is_read_only: visit.app.log.is_none(),
        drafts,
    };
    Ok(html(status, &page))
}

/// `POST /admin/settings/retention`
pub(in crate::server::console) async fn retention(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Response {
    let page = change(&visit, &request, body).await;
    visit.answer(page)
}

async fn change(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let change = async |asker, fields| {
        settings::change(request, asker, patch(fields)?)
            .await
            .map(drop)
    };
    let (asker, changed) = take_form(visit, request, body, settings::REFUSED, change).await?;
    let Err(retention) = changed else {
        return back_to(visit, PAGE);
    };
    let drafts = Drafts {
        retention,
        ..Drafts::default()
    };
    show(visit, request, &asker, drafts).await
}

/// The form of the retention, as a patch of the settings.
fn patch(mut fields: Fields) -> Result<Map<String, Value>, Problem> {
    let days = take(&mut fields, "retention_days")?.unwrap_or_default();
    let limit = match take(&mut fields, "limit")?.as_deref() {
        Some("own") => Value::Null,
        Some("unlimited") => "unlimited".into(),
        Some("days") => days.trim().parse::<u64>().map_or(days.into(), Value::from),
        _ => {
            let problem = "it must be own, days or unlimited";
            return Err(Problem::setting("limit", problem));
        }
    };
    let mut patch = as_settings(&fields)?;
    patch.insert("retention_days".to_owned(), limit);
    Ok(patch)
}

/// `POST /admin/settings/holds`
pub(in crate::server::console) async fn place(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Response {
    let page = hold(&visit, &request, body).await;
    visit.answer(page)
}

async fn hold(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let place = async |asker, fields: Fields| {
        let settings = as_settings(&fields)?;
        holds::make(request, asker, settings).await.map(drop)
    };
    let (asker, placed) = take_form(visit, request, body, holds::REFUSED, place).await?;
    let Err(hold) = placed else {
        return back_to(visit, PAGE);
    };
    let drafts = Drafts {
        hold,
        ..Drafts::default()
    };
    show(visit, request, &asker, drafts).await
}

/// `POST /admin/settings/holds/{name}/release`
pub(in crate::server::console) async fn release(visit: Visit, request: AdminRequest) -> Response {
    let end = async |asker| holds::end(&request, asker, request.part(4)).await;
    take_button(&visit, &request, holds::REFUSED, PAGE, end).await
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    retention: Retention,
    holds: Vec<HeldRange>,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
    drafts: Drafts,
}

/// For how long entries stay.
struct Retention {
    now: String,
    /// The choice of the form: `own`, `days` or `unlimited`.
    limit: String,
    days: String,
    least: u64,
    most: u64,
}

impl Retention {
    fn new(set: Option<AgeLimit>, draft: &Draft) -> Self {
        let (now, limit, days) = match set {
            None => (
                "as each application sets it".to_owned(),
                "own",
                String::new(),
            ),
            Some(AgeLimit::Days(days)) => (format!("{days} days"), "days", days.to_string()),
            Some(AgeLimit::Unlimited) => ("without limit".to_owned(), "unlimited", String::new()),
        };
        let (limit, days) = match draft.is_sent() {
            true => (
                draft.value("limit"),
                draft.value("retention_days").to_owned(),
            ),
            false => (limit, days),
        };
        Self {
            now,
            limit: limit.to_owned(),
            days,
            least: *DAYS.start(),
            most: *DAYS.end(),
        }
    }
}

/// A hold as the page shows it.
struct HeldRange {
    name: String,
    start: Option<Time>,
    end: Option<Time>,
    reason: String,
    placed: Option<Time>,
    placed_by: String,
}

impl HeldRange {
    fn new(hold: &Hold, now: Timestamp) -> Self {
        let time = |time: Option<Timestamp>| time.map(|time| Time::new(time, now));
        let by = hold.placed_by();
        let by = by.and_then(|actor| actor.name.as_ref().or(actor.id.as_ref()));
        Self {
            name: shown(hold.name()),
            start: time(hold.start()),
            end: time(hold.end()),
            reason: shown(hold.reason()),
            placed: time(hold.placed()),
            placed_by: by.map(|name| shown(name)).unwrap_or_default(),
        }
    }
}
