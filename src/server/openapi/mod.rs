//! The description of the API: `GET /openapi.json`, OpenAPI 3.1.
//!
//! In comes nothing; out goes a document that is the same for every caller, but for the path that
//! the API is mounted at. What always holds: each route is in the document and each operation of
//! the document is served; no answer has a status, a content type, a header or a member that the
//! document doesn't name. `tests/http/the_description_is_true.rs` sends requests to see to that.
//!
//! ```text
//! described    one operation: what all of them share, and what it has of its own
//! parameters   the parameters of query strings, paths and headers
//! reading      the operations that read the log, and the probes
//! managing     tokens, holds, settings
//! webhooks     the operations on webhooks
//! problems     the answers to requests that are refused
//! schemas      the JSON of bodies, as types that only stand for it
//! entry        the JSON of an entry, from its declaration
//! examples     what is shown beside schemas
//! ```
//!
//! An operation and its types stand here and not beside its handler, because most of their text is
//! for readers of the API who know nothing of the code.

mod described;
mod entry;
mod examples;
mod managing;
mod parameters;
mod problems;
mod reading;
mod schemas;
#[cfg(feature = "webhook")]
mod webhooks;

use axum::{
    http::{header, request::Parts},
    response::{IntoResponse as _, Response},
};
use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use self::described::Described;
use super::{params, problem::Problem, state::path};

/// The name of the one security scheme.
const TOKEN: &str = "token";

/// `GET /openapi.json`. Anyone may read it, and no access is recorded: it says nothing of the log.
pub(super) async fn openapi(request: Parts) -> Result<Response, Problem> {
    if let Some((name, _)) = params::parse(request.uri.query())?.first() {
        return Err(Problem::parameter(
            name,
            "the description takes no parameters",
        ));
    }
    let mount = path(&request).trim_end_matches("/openapi.json");
    // Texts and numbers can always be written.
    let text = serde_json::to_string(&document(mount)).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The description of the API that is mounted at this path; empty if it is not.
fn document(mount: &str) -> OpenApi {
    let mut paths = Paths::new();
    for described in operations() {
        described.add_to(&mut paths);
    }
    let servers = (!mount.is_empty()).then(|| [Server::new(mount)]);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("tracing-audit")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .build(),
        )
        .servers(servers)
        .paths(paths)
        .components(Some(components()))
        .build()
}

const DESCRIPTION: &str = "An audit log: its entries as pages, as a stream and as downloads, and \
    what administrators manage. The pages of the web console, which may be served beside it, are \
    not part of this API.\n\nEvery access is recorded in the log before it is answered, so \
    a request can be refused because it can't be recorded (503). Every error is \
    application/problem+json (RFC 9457). An unknown parameter is an error. No answer may be stored \
    by a cache. The server may have a way of its own to know its callers instead of tokens; scopes \
    and tenants are the same then.";

fn operations() -> Vec<Described> {
    let operations = [reading::operations(), managing::operations()];
    #[cfg(feature = "webhook")]
    let operations = operations.into_iter().chain([webhooks::operations()]);
    operations.into_iter().flatten().collect()
}

fn components() -> Components {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("ta_<id>_<secret>")
        .description(Some(
            "A token of the log. It has a scope: `read`, `export` (which includes `read`) or \
             `admin` (everything). A token for one tenant sees that tenant's entries only, and \
             opens nothing that concerns all tenants.",
        ))
        .build();
    let components = schemas::add(problems::add(Components::builder()));
    #[cfg(feature = "webhook")]
    let components = webhooks::add_schemas(components);
    components
        .security_scheme(TOKEN, SecurityScheme::Http(token))
        .build()
}
