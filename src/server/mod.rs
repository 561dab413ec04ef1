//! The log over HTTP: pages, single entries, downloads, and how the server is doing.
//!
//! In comes a request; out goes what the caller's token lets it see, as the bytes that were stored.
//! Always true:
//!
//! - Each read of the log, and each refused one, is recorded in the log first; if that fails,
//!   nothing is answered from the log.
//! - Disks are read on blocking threads, and what they read goes through a channel of a few chunks:
//!   a slow client makes its own download slow, and nothing else. Memory is bounded by the limits,
//!   not by the log or the clients.
//! - The numbers of requests and downloads at a time are limited. One more is refused at once,
//!   never queued. A page waits some seconds for room in memory, and is refused then.
//! - Every error is `application/problem+json` (RFC 9457), and names no path of the server.
//!
//! ```text
//! serve      sockets: limits on heads and stalls, stopping in order
//! connections  how many there are, and which is closed when there are too many
//! guard      limits, the request id, the headers of every answer
//! hosts      the names by which the server may be asked for
//! access     the caller and its rights: by the log's tokens (token), or the application's own
//! limits     what one caller may have: requests a minute (allowance), downloads and streams at once
//! memory     the room that pages have in memory until they are taken
//! recorder   records the access in the log
//! refusals   which refused requests are recorded one by one, and which are counted
//! entries    pages and single entries
//! cursors    the cursors of tenants, which say nothing of others
//! stats      counts of entries
//! stream     entries as they arrive, page by page
//! download   whole ranges of days, with byte ranges
//! asked      the parameters of a download, and its name
//! plans      the last downloads, so that each is resumed with the same file
//! filtered   the entries that match a filter, packed while they are found (body)
//! ending     records how a download ended
//! probes     health, readiness, metrics
//! openapi    the description of all this
//! admin      what administrators ask for and change: tokens, holds, settings
//! webhooks   webhooks: their settings, and how they are doing
//! console    all this for people: pages, and the sessions of their browsers
//! ```

mod access;
mod admin;
mod allowance;
mod asked;
mod body;
mod catalogue;
mod connections;
#[cfg(feature = "console")]
mod console;
mod cursors;
mod download;
mod ending;
mod entries;
mod filtered;
mod guard;
mod hosts;
mod json_body;
mod limits;
mod memory;
mod openapi;
mod options;
mod params;
mod plans;
mod probes;
mod problem;
mod range;
mod recorder;
mod refusals;
mod serve;
mod state;
mod stats;
mod stream;
mod token;
mod tokens;
#[cfg(feature = "webhook")]
mod webhooks;

use axum::{
    Router, middleware,
    routing::{delete, get},
};

pub use access::{Access, Authorizer, Denied, Scope};
pub use options::RouterOptions;
pub use serve::{ServeOptions, Server};
pub use token::{NewToken, TokenInfo};
pub use tokens::Tokens;

use crate::{error::Result, log::AuditLog};
use state::{App, State};

impl AuditLog {
    /// The log's HTTP API as a router, to be mounted with `nest`. It keeps a handle of the log.
    ///
    /// | route | scope | |
    /// |---|---|---|
    /// | `GET /entries` | `read` | a page: the parameters of [`Filter`](crate::Filter), `limit` (100, at most 1000), `order` (`desc`, `asc` or `arrival`), `cursor` or `offset`, and `include=access`; an empty page may have `hints`, sentences that say why nothing can match |
    /// | `GET /entries/{id}` | `read` | one entry |
    /// | `GET /stats` | `read` | [`Stats`](crate::reader::Stats): counts over time and by values. The parameters of a filter, `step` (`minute`, `10-minutes`, `hour`, `6-hours`, `day`, `month` or `year`; chosen from the range if not given; at most 1000 steps), `top` (10 values of each field, at most 100), and `include` |
    /// | `GET /stream` | `read` | entries as they arrive, as server-sent events: the parameters of a filter, `include=access`, and `cursor` or the header `Last-Event-ID` |
    /// | `GET /export?format=zip` | `export` | a download (`zip`, `gz`, `ndjson`, `json`, `csv` or, with the feature `pdf`, `pdf`) with the parameters of a filter; see below |
    /// | `GET /event-types` | `read` | the [`Catalogue`](crate::catalogue::Catalogue) of all sources |
    /// | `GET /event-types/{event_type}` | `read` | the JSON Schema of its entries |
    /// | `GET /metrics` | `read` of all tenants | Prometheus text |
    /// | `GET /openapi.json` | none | this API as OpenAPI 3.1; the accesses are not recorded |
    /// | `GET /healthz`, `/readyz` | none | whether the process answers; whether the log takes events |
    ///
    /// For the scope `admin` of all tenants:
    ///
    /// | route | |
    /// |---|---|
    /// | `GET /tokens` | all tokens, without their secrets |
    /// | `POST /tokens` | creates a token: `name`, `scope` (`read`, the default; `export` or `admin`), and if wanted `tenant_id` and `expires`, a date or an RFC 3339 instant. The answer has the secret text as `token`, only this once |
    /// | `DELETE /tokens/{id}` | revokes a token, at once in this process, within a second in others |
    /// | `GET /holds` | all holds, with who placed them |
    /// | `POST /holds` | places a hold: `name`, and if wanted `reason`, `start_date` and `end_date`, each a date or an RFC 3339 instant |
    /// | `DELETE /holds/{name}` | releases a hold |
    /// | `GET /settings` | the settings that hold in all processes; `null` where each application's own setting holds |
    /// | `PATCH /settings` | changes settings: a JSON merge patch. `retention_days` is a number from 30 to 365, `"unlimited"`, or `null` for the applications' own. Processes that have the log open follow the change within a minute; a process that opened the log [`for_maintenance`](crate::AuditLogBuilder::for_maintenance), such as `tracing-audit serve`, prunes nothing |
    ///
    /// With the feature `webhook` these too, all for the scope `admin` of all tenants. Settings are
    /// `name`, `url`, `event_types`, `exclude`, `severity`, `tenant_id`, `format`,
    /// `format_options`, `api_key`, `api_key_header`, `signing_secrets`, `headers`, `allow_http`,
    /// `egress`, `order`, `batch`, `timeout_ms`, `concurrency`, `max_requests_per_second` and
    /// `schedule_seconds`, as the methods of [`Webhook`](crate::webhook::Webhook) describe; answers
    /// have no secrets.
    ///
    /// | route | |
    /// |---|---|
    /// | `GET /webhooks`, `GET /webhooks/{name}` | settings, and how they are doing |
    /// | `POST /webhooks` | adds one, of 100 at most; the answer has the `signing_secret` that was made, this once, unless `signing_secrets` or `"unsigned": true` was sent |
    /// | `PATCH /webhooks/{name}` | changes settings: a JSON merge patch |
    /// | `DELETE /webhooks/{name}` | removes it; entries that wait for it are not sent |
    /// | `POST /webhooks/{name}/pause`, `/resume` | pauses deliveries, or resumes them |
    /// | `POST /webhooks/{name}/test` | sends a test event in one attempt, and answers with the result |
    /// | `POST /webhooks/{name}/replay` | sends again: `{"dead_letters": true}`, or `{"entries": {…}}` with the parameters of a filter; with `"dry_run": true` it only counts the entries and deliveries |
    /// | `DELETE /webhooks/{name}/replay` | cancels the replay that is under way, and those that wait |
    /// | `POST /webhooks/{name}/skip`, `…/deliveries/{id}/skip` | gives up the first delivery that waits, or this one: it becomes a dead letter |
    /// | `GET /webhooks/{name}/deliveries/{id}` | one delivery: its state, its request without secrets, its last attempts with their answers |
    /// | `POST /webhooks/{name}/deliveries/{id}/resend` | sends one delivery again, under its id |
    /// | `POST /webhooks/{name}/signing-secrets` | makes a new secret; older ones sign as well until `…/retire` removes them |
    /// | `GET /webhooks/{name}/attempts`, `/dead-letters` | the last attempts; the dead letters. `limit` and `offset` |
    ///
    /// The process that delivers carries out the requests about deliveries and replays: the answer
    /// is 202, and its `dispatcher` is that process, or `null` if none delivers now and the request
    /// waits.
    ///
    /// Each change is recorded as `audit.webhook.*`, with the caller, before it is made. A refused
    /// change is recorded as `audit.webhook.refused`, with the setting that it was refused for, but
    /// without anything from the request's body.
    ///
    /// A download is whole, or it is refused or breaks off: when a part of the log can't be read,
    /// or when retention removes a part meanwhile. All formats but `zip` and `gz` take an `order`,
    /// and `csv` takes `details=json` or `details=columns`, and `bom=true`, as
    /// [`CsvOptions`](crate::reader::CsvOptions) describes. A PDF names the caller on its title
    /// page. A ZIP or gzip file without filters on
    /// fields has a length, an entity tag and byte ranges, so the download can be resumed: with
    /// `If-Range` or `If-Match`, or without them as long as this server has sent one version of the
    /// file and no other. All other downloads are made while they are sent, and have none of these.
    ///
    /// Requests need a token of the log's [`Tokens`], unless the options give an [`Authorizer`].
    /// Each access is recorded as `audit.access.read`, `audit.access.exported` or
    /// `audit.access.denied` before it is granted, and the end of each download as
    /// `audit.access.export_ended`, with its `bytes`, its `entries` and its `result`: `complete`
    /// (all was handed to the connection), `broken` (with the `reason`) or `client_gone`. Of the
    /// refused requests of each kind, ten a minute of each caller and thirty of all callers are
    /// recorded one by one; another entry counts the others (`details.unrecorded`). For the
    /// caller's address in these entries, serve the application with axum's
    /// `into_make_service_with_connect_info::<SocketAddr>()`, and name the proxies in front of it
    /// ([`RouterOptions::trusted_proxies`]).
    ///
    /// A caller, which is a token or a user of the authorizer by type and id, has 600 requests a minute,
    /// 3 downloads and 8 streams at once, and half of the memory of pages
    /// ([`RouterOptions::max_requests_per_minute`] and the options beside it). More is refused with
    /// 429, `Retry-After` and a sentence that names the limit. All answers to a known caller have
    /// `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers-11 describes them.
    /// A request that is too much for the server is refused with 503.
    ///
    /// With the feature `console`, the same router serves the web console at the path of the mount,
    /// for people with a browser. A person signs in with a token; the session's cookie then opens
    /// what the token opens, here as well. The [guide](crate::guide::console) has the details.
    ///
    /// Changes are recorded as `audit.token.created` and `.revoked`, `audit.hold.placed` and
    /// `.released`, and `audit.setting.changed`. Refused changes are recorded as
    /// `audit.token.refused`, `audit.hold.refused` and `audit.setting.refused`.
    ///
    /// ```no_run
    /// # fn main() -> tracing_audit::Result<()> {
    /// use tracing_audit::{AuditLog, http::RouterOptions};
    ///
    /// let log = AuditLog::builder("./audit").source("billing").open()?;
    /// let api = log.router(RouterOptions::new())?;
    /// let app: axum::Router = axum::Router::new().nest("/audit", api);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the log's directory or its tokens can't be read.
    pub fn router(&self, options: RouterOptions) -> Result<Router> {
        Ok(routes(App::new(self.dir(), Some(self.clone()), options)?))
    }
}

/// The same API for a log that this process does not write. Such an API can't record its reads, so
/// it answers 503 unless the options allow [`unrecorded_reads`](RouterOptions::unrecorded_reads).
/// Better open an [`AuditLog`] of your own in the directory.
///
/// # Errors
///
/// If there is no log, or its tokens can't be read.
pub fn read_only_router(
    dir: impl AsRef<std::path::Path>,
    options: RouterOptions,
) -> Result<Router> {
    Ok(routes(App::new(dir.as_ref(), None, options)?))
}

fn routes(app: State) -> Router {
    let routes = Router::new();
    #[cfg(feature = "webhook")]
    let routes = routes.merge(webhooks::routes());
    #[cfg(feature = "console")]
    let routes = routes.merge(console::routes());
    routes
        .route("/entries", get(entries::page))
        .route("/entries/{id}", get(entries::one))
        .route("/stats", get(stats::stats))
        .route("/stream", get(stream::stream))
        .route("/export", get(download::export))
        .route("/event-types", get(catalogue::event_types))
        .route("/event-types/{event_type}", get(catalogue::schema))
        .route(
            "/tokens",
            get(admin::tokens::list).post(admin::tokens::create),
        )
        .route("/tokens/{id}", delete(admin::tokens::revoke))
        .route("/holds", get(admin::holds::list).post(admin::holds::place))
        .route("/holds/{name}", delete(admin::holds::release))
        .route(
            "/settings",
            get(admin::settings::get).patch(admin::settings::patch),
        )
        .route("/openapi.json", get(openapi::openapi))
        .route("/metrics", get(probes::metrics))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .fallback(guard::no_route)
        .method_not_allowed_fallback(guard::wrong_method)
        .layer(middleware::from_fn_with_state(
            State::clone(&app),
            guard::guard,
        ))
        .with_state(app)
}
