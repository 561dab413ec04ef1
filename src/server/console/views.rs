//! Saved views: names for what the URL of the page of entries asks for.
//!
//! A visitor with a tenant's token sees the views of that tenant; a visitor with access to all
//! tenants sees the views that were saved with such access. Only administrators save and remove
//! views, because others see these. A view is checked when it is saved, as the URL of the page is:
//! the link to a view can't be broken, and leads nowhere else.
//!
//! ```text
//! store   the views of a tenant, in the log's directory
//! ```

mod store;

use askama::Template;
use axum::{body::Body, response::Response};

use self::store::{NewView, View};
use super::{
    administration::{Draft, back_to, take_fields},
    entries::question,
    form::Fields,
    frame::Frame,
    selection::{Selection, Start},
    text::{Time, shown},
    visit::{Visit, html},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::AuditReader,
    server::{
        access::Scope,
        admin::{AdminRequest, RefusedChange, not_changed},
        params::{self, take},
        problem::Problem,
        state::Asker,
    },
};

/// How a refused change is recorded.
const REFUSED: RefusedChange = RefusedChange {
    event_type: "audit.view.refused",
    description: "A change of the saved views was refused",
};

/// The menu on the page of entries.
pub(super) struct ViewMenu {
    /// The views that can be opened.
    pub(super) views: Vec<Link>,
    /// How many views are saved; `None` if they can't be read.
    pub(super) saved: Option<usize>,
    /// The query of the page, to be saved under a name.
    pub(super) here: String,
    pub(super) may_save: bool,
}

/// A link to a view.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) is_here: bool,
}

impl ViewMenu {
    /// `None` for views that can't be read.
    pub(super) fn new(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        views: Option<&[View]>,
    ) -> Self {
        let here = selection.starting(Start::Newest).query();
        let views_that_open = views.unwrap_or_default().iter().filter(|view| opens(view));
        let link = |view: &View| Link {
            name: shown(&view.name),
            query: view.query.clone(),
            is_here: view.query == here,
        };
        Self {
            views: views_that_open.map(link).collect(),
            saved: views.map(<[View]>::len),
            may_save: may_change(visit, asker),
            here,
        }
    }
}

/// Whether the visitor may save and remove views, and this server can record that.
fn may_change(visit: &Visit, asker: &Asker) -> bool {
    asker.access.scope >= Scope::Admin && visit.app.log.is_some()
}

/// The views that a visitor sees, by their names.
pub(super) fn read(reader: &AuditReader, tenant: Option<&str>) -> Result<Vec<View>> {
    let mut views = store::read(reader.layout(), tenant)?;
    views.sort_by_cached_key(|view| view.name.to_lowercase());
    Ok(views)
}

/// Whether there can be a link to the view: a later program, or somebody who changed the file, may
/// have written what this one doesn't understand.
fn opens(view: &View) -> bool {
    checked(&view.query).is_ok_and(|query| query == view.query)
}

/// The query of a page, in the one form that the console itself gives it.
fn checked(query: &str) -> Result<String> {
    Ok(selected(query)?.query())
}

fn selected(query: &str) -> Result<Selection> {
    let given = params::parse(Some(query.trim_start_matches('?')))?;
    let selection = Selection::parse(given)?;
    match selection.search {
        // A line is turned into parameters before there is a page of it.
        Some(_) => {
            let problem = "it can't be saved; search first, then save the view";
            Err(Error::invalid("search", problem))
        }
        None => Ok(selection.starting(Start::Newest)),
    }
}

/// `GET /views`
pub(super) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = admit_and_list(&visit, &request).await;
    visit.answer(page)
}

async fn admit_and_list(visit: &Visit, request: &AdminRequest) -> Result<Response, Problem> {
    let asker = visit.admit(Scope::Read)?;
    request.refuse_parameters()?;
    list(visit, request, &asker, Draft::default()).await
}

async fn list(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    draft: Draft,
) -> Result<Response, Problem> {
    let tenant = asker.access.tenant.clone();
    let views = request.read(move |app, _| read(&app.reader, tenant.as_deref()));
    let views = views.await?;
    let description = "The list of saved views was read in the console";
    request.record_read(asker, description, &[], true)?;
    let now = Timestamp::now();
    let page = ViewsPage {
        frame: visit.frame(Some(&asker.access)),
        views: views.iter().map(|view| Row::new(view, now)).collect(),
        may_change: may_change(visit, asker),
        most_of_name: store::MOST_OF_NAME,
        draft,
    };
    Ok(html(page.draft.status(), &page))
}

/// `POST /views`
pub(super) async fn save(visit: Visit, request: AdminRequest, body: Body) -> Response {
    let page = keep(&visit, &request, body).await;
    visit.answer(page)
}

async fn keep(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let asker = admit(visit)?;
    let save = async |asker: Asker, fields: Fields| {
        let view = new_view(&asker, fields)?;
        let query = view.query.clone();
        let log = request.log()?.clone();
        let saved = request.read(move |_, _| Ok(store::save(&log, view, &asker.author())));
        saved.await?.map_err(not_changed)?;
        Ok(query)
    };
    match take_fields(request, asker.clone(), body, REFUSED, save).await? {
        Ok(query) => back_to(visit, &query),
        Err(draft) => list(visit, request, &asker, draft).await,
    }
}

/// The view that a form asks for, if the page of entries takes its query from this visitor.
fn new_view(asker: &Asker, mut fields: Fields) -> Result<NewView, Problem> {
    let name = take(&mut fields, "name")?.unwrap_or_default();
    let query = take(&mut fields, "query")?.unwrap_or_default();
    if let Some((name, _)) = fields.first() {
        return Err(Problem::setting(name, "there is no such field"));
    }
    let selection = selected(&query)?;
    question(&selection, asker, Timestamp::now())?;
    Ok(NewView {
        name: name.trim().to_owned(),
        query: selection.query(),
        tenant: asker.access.tenant.clone(),
        by: asker.access.name.to_string(),
    })
}

/// `POST /views/{id}/remove`
pub(super) async fn remove(visit: Visit, request: AdminRequest) -> Response {
    let removed = match admit(&visit) {
        Ok(asker) => {
            let removed =
                request.change_by(asker, REFUSED, async |asker| forget(&request, asker).await);
            removed.await
        }
        Err(problem) => Err(problem),
    };
    visit.answer(removed.and_then(|()| back_to(&visit, "views")))
}

async fn forget(request: &AdminRequest, asker: Asker) -> Result<(), Problem> {
    let id = request.part(2);
    let log = request.log()?.clone();
    let tenant = asker.access.tenant.clone();
    let removed =
        request.read(move |_, _| Ok(store::remove(&log, tenant.as_deref(), &id, &asker.author())));
    match removed.await?.map_err(not_changed)? {
        true => Ok(()),
        false => Err(Problem::not_found("there is no view with this id")),
    }
}

/// Lets a visitor in who may change views, by a form of a page of this server.
fn admit(visit: &Visit) -> Result<Asker, Problem> {
    let asker = visit.admit(Scope::Admin)?;
    visit.app.check_same_origin(&asker.caller, &visit.head)?;
    Ok(asker)
}

#[derive(Template)]
#[template(path = "views.html")]
struct ViewsPage {
    frame: Frame,
    views: Vec<Row>,
    may_change: bool,
    most_of_name: usize,
    draft: Draft,
}

/// A view as the page shows it.
struct Row {
    id: String,
    name: String,
    /// `None` if the view can't be opened.
    opened: Option<Opened>,
    saved: Time,
    by: String,
}

/// The page that a view leads to.
struct Opened {
    query: String,
    /// The conditions, as a line.
    line: String,
    range: String,
}

impl Row {
    fn new(view: &View, now: Timestamp) -> Self {
        Self {
            id: shown(&view.id),
            name: shown(&view.name),
            opened: Opened::by(view),
            saved: Time::new(view.saved, now),
            by: shown(&view.by),
        }
    }
}

impl Opened {
    fn by(view: &View) -> Option<Self> {
        let selection = selected(&view.query).ok().filter(|_| opens(view))?;
        let range = match selection.range() {
            Some(range) => range.title.to_owned(),
            None => {
                let time = |name| match selection.time(name) {
                    "" => "…",
                    time => time,
                };
                format!("{} – {}", time("start_date"), time("end_date"))
            }
        };
        Some(Self {
            query: view.query.clone(),
            line: shown(&selection.line()),
            range: shown(&range),
        })
    }
}
