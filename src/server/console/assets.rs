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
    Asset("search.js", JS, include_str!("assets/search.js")),
    Asset("chart.js", JS, include_str!("assets/chart.js")),
];

/// The texts of the files as they are sent, and their hashes, in their order.
static SENT: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let sent = |asset: &Asset| {
        let text = without_comments(asset.2);
        let hash = HEXLOWER.encode(&Sha256::digest(&text)[..8]);
        (text, hash)
    };
    ASSETS.iter().map(sent).collect()
});

/// The text without what is there for those who change it: lines that are comments, and indentation.
fn without_comments(text: &str) -> String {
    let is_comment = |line: &&str| {
        let is_closed = line.starts_with("/*") && line.find("*/") == line.len().checked_sub(2);
        line.is_empty() || line.starts_with("//") || is_closed
    };
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !is_comment(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The path of a file below the mount: `assets/console.css?v=<hash>`.
pub(super) fn path(name: &str) -> String {
    let at = ASSETS.iter().position(|asset| asset.0 == name);
    let sent = at.and_then(|at| SENT.get(at));
    format!("assets/{name}?v={}", sent.map_or("", |(_, hash)| hash))
}

/// `GET /assets/{name}`. Anyone may load them, and no access is recorded: they say nothing of the
/// log.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let mut files = ASSETS.iter().zip(SENT.iter());
    let found = files.find(|(asset, _)| asset.0 == name);
    let (Asset(_, kind, _), (text, _)) = found.ok_or_else(guard::nothing_here)?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    let mut response = (headers, text.as_str()).into_response();
    response.extensions_mut().insert(guard::NeverChanges);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_sent_and_the_rest_is() {
        let text = "/* All of it */\n/* a */ a { b: c; } /* why */\n\n// A line\n  if (x) { // so\n    y();\n  }\n";
        let sent = "/* a */ a { b: c; } /* why */\nif (x) { // so\ny();\n}\n";
        assert_eq!(without_comments(text), sent);
        // A text over several lines would lose its indentation.
        for Asset(name, _, text) in ASSETS {
            let is_even = |line: &str| line.matches('`').count().is_multiple_of(2);
            assert!(text.lines().all(is_even), "{name}");
        }
    }
}
