//! The web console: the log for people, in a browser.
//!
//! In comes a request of a browser; out goes a page, made whole on the server. Always true:
//!
//! - A page shows what the API gives for the same access, and is recorded as such a read.
//! - Reading works without scripts; these add the live tail, and make it quicker to use.
//! - A text from an entry is shown as text, whatever it contains: templates escape it, and the
//!   content security policy lets no page run or load anything but the console's own files.
//! - The URL is the whole state of a page, with the parameters of the API and a few of its own.
//! - Nothing is loaded from elsewhere, and every link begins with the path of the mount.
//!
//! ```text
//! session    who has signed in; code: one-time codes; origin: whether a page of ours asks
//! sign_in    signing in and out
//! visit      one request for a page, from its head to its answer; form: the fields that one sends
//! frame      the parts that all pages have: header, navigation, theme
//! assets     styles and scripts
//! selection  what the URL asks for; search: the same as a line that people write
//! entries    the page of entries: facets, histogram, table; and those of an actor and a resource
//! entry      the page of one entry
//! suggestions  what can be written in the line of the search, for a script
//! views      saved views: names for what the URL of the page of entries asks for
//! catalogue  the page of the event types
//! health     the page of the health
//! administration  the pages of administrators: tokens, settings, holds, webhooks
//! text       texts, times and numbers as pages show them
//! ```
//!
//! A new page has a template in `pages/`, a handler that takes a [`visit::Visit`], a row in
//! `frame::PAGES` if the navigation names it, and its rule in
//! `tests/http/every_route_has_its_rule.rs`. A form's path is named in [`takes_body`] too; that the form
//! comes from a page of ours is checked where a request of a session is admitted.

mod administration;
mod assets;
mod catalogue;
pub(super) mod code;
mod entries;
mod entry;
mod form;
mod frame;
mod health;
pub(super) mod origin;
mod search;
mod selection;
pub(super) mod session;
mod sign_in;
mod suggestions;
mod text;
mod views;
mod visit;

use axum::{
    Router,
    extract::Request,
    http::{Method, request::Parts},
    response::Response,
    routing::{get, post},
};
use tower_http::{CompressionLevel, compression::CompressionLayer};

#[cfg(feature = "webhook")]
use self::administration::webhooks;
use self::administration::{settings, tokens};
use super::{problem::Problem, state::State};

/// The routes of the console.
pub(super) fn routes() -> Router<State> {
    let routes = Router::new();
    #[cfg(feature = "webhook")]
    let routes = routes.merge(of_webhooks());
    routes
        .route("/", get(entries::page))
        .route("/actor", get(entries::actor))
        .route("/resource", get(entries::resource))
        .route("/entry/{id}", get(entry::page))
        .route("/suggestions", get(suggestions::suggestions))
        .route("/views", get(views::page).post(views::save))
        .route("/views/{id}/remove", post(views::remove))
        .route("/catalogue", get(catalogue::page))
        .route("/health", get(health::page))
        .route("/admin/tokens", get(tokens::page).post(tokens::create))
        .route("/admin/tokens/{id}/revoke", post(tokens::revoke))
        .route("/admin/settings", get(settings::page))
        .route("/admin/settings/retention", post(settings::retention))
        .route("/admin/settings/holds", post(settings::place))
        .route(
            "/admin/settings/holds/{name}/release",
            post(settings::release),
        )
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/assets/{name}", get(assets::asset))
        // A site elsewhere can't have a page compressed beside a guess of its own (BREACH): the cookie
        // of a session doesn't come with its requests.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

/// The routes of the pages of webhooks.
#[cfg(feature = "webhook")]
fn of_webhooks() -> Router<State> {
    use webhooks::{change, deliveries};

    Router::new()
        .route("/admin/webhooks", get(webhooks::all).post(change::add))
        .route("/admin/webhook-check", post(change::check_new))
        .route("/admin/webhooks/{name}", get(webhooks::page))
        .route(
            "/admin/webhooks/{name}/settings",
            get(change::page).post(change::change),
        )
        .route(
            "/admin/webhooks/{name}/settings/check",
            post(change::check_change),
        )
        .route("/admin/webhooks/{name}/rotate", post(change::rotate))
        .route("/admin/webhooks/{name}/retire", post(change::retire))
        .route("/admin/webhooks/{name}/remove", post(change::remove))
        .route("/admin/webhooks/{name}/pause", post(webhooks::pause))
        .route("/admin/webhooks/{name}/resume", post(webhooks::resume))
        .route("/admin/webhooks/{name}/test", post(webhooks::test))
        .route("/admin/webhooks/{name}/replay", post(webhooks::replay))
        .route("/admin/webhooks/{name}/deliveries", get(deliveries::list))
        .route(
            "/admin/webhooks/{name}/deliveries/{id}",
            get(deliveries::page),
        )
        .route(
            "/admin/webhooks/{name}/deliveries/{id}/resend",
            post(deliveries::resend),
        )
        .route(
            "/admin/webhooks/{name}/deliveries/{id}/skip",
            post(deliveries::skip),
        )
}

/// The head of a request for a page. Whatever refuses the request answers with a page then.
pub(super) fn head_of_page(request: &Request) -> Option<Parts> {
    let path = request.uri().path();
    let is_page = matches!(
        path,
        "/" | "/actor" | "/resource" | "/sign-in" | "/catalogue" | "/health" | "/views"
    ) || path.starts_with("/entry/")
        || path.starts_with("/admin/");
    if !is_page || request.method() != Method::GET {
        return None;
    }
    let (mut head, ()) = axum::http::Request::new(()).into_parts();
    head.uri = request.uri().clone();
    head.headers = request.headers().clone();
    head.extensions = request.extensions().clone();
    Some(head)
}

/// The answer to a request for a page that was refused before the page was asked for.
pub(super) fn refused(app: &State, head: &Parts, problem: &Problem) -> Response {
    visit::problem_page(frame::Frame::new(app, head, None), problem)
}

/// Whether the request is a form, whose body is read.
pub(super) fn takes_body(method: &Method, path: &str) -> bool {
    let signs = *method == Method::POST && matches!(path, "/sign-in" | "/sign-out");
    let is_view = *method == Method::POST && path == "/views";
    signs || is_view || administration::takes_body(method, path)
}
