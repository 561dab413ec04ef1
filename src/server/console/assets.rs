//! The styles and scripts of the pages, which are part of the program.
//!
//! The URL of each has a hash of its text, so a browser stores it for good and never has an old one.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::server::{guard, problem::Problem};

/// A file: its name, its type, its text.
struct Asset(&'static str, &'static str, &'static str);

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset("admin.js", JS, include_str!("assets/admin.js")),
    Asset("console.css", CSS, include_str!("assets/console.css")),
    Asset("console.js", JS, include_str!("assets/console.js")),
    Asset("live.js", JS, include_str!("assets/live.js")),
];

/// The hashes of the files, in their order.
static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hash = |asset: &Asset| HEXLOWER.encode(&Sha256::digest(asset.2)[..8]);
    ASSETS.iter().map(hash).collect()
});

/// The path of a file below the mount: `assets/console.css?v=<hash>`.
pub(super) fn path(name: &str) -> String {
    let at = ASSETS.iter().position(|asset| asset.0 == name);
    let hash = at.and_then(|at| HASHES.get(at));
    format!("assets/{name}?v={}", hash.map_or("", String::as_str))
}

/// `GET /assets/{name}`. Anyone may load them, and no access is recorded: they say nothing of the
/// log.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|asset| asset.0 == name);
    let Asset(_, kind, text) = found.ok_or_else(guard::nothing_here)?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    let mut response = (headers, *text).into_response();
    response.extensions_mut().insert(guard::NeverChanges);
    Ok(response)
}
