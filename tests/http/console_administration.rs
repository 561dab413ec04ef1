//! The pages of the console beside the entries: the catalogue, the health, and what administrators
//! see and change. What all of these tests share is here, and who may open and change what; each
//! file below has the tests of one page.

mod catalogue;
mod health;
mod settings;
mod tokens;
mod webhook_deliveries;
mod webhook_forms;
mod webhooks;

use axum::http::Method;
use tracing_audit::http::{RouterOptions, Scope};

use crate::{
    console_sessions::{by_cookie, form, key, signed_in},
    http::{Answer, Served, served},
};

async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    by_cookie(served, Method::GET, path, cookie).await
}

/// The text of a page that was answered with this status.
pub(crate) async fn page(served: &Served, path: &str, cookie: &str, status: u16) -> String {
    let answer = get(served, path, cookie).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert_eq!(
        answer.header(axum::http::header::CONTENT_TYPE),
        "text/html; charset=utf-8"
    );
    answer.text().to_owned()
}

/// The names of the pages in the navigation.
fn navigation(page: &str) -> Vec<String> {
    let nav = page.split("<nav aria-label=\"Pages\">").nth(1).unwrap();
    let nav = nav.split("</nav>").next().unwrap();
    let names = nav.split("</a>").filter_map(|link| link.rsplit_once('>'));
    names
        .map(|(_, name)| name.to_owned())
        .filter(|name| !name.trim().is_empty())
        .collect()
}
/// A form that a page sends, and the answer to which leads back to a page.
pub(crate) async fn sent(served: &Served, path: &str, body: &str, cookie: &str, back: &str) {
    let answer = form(served, path, body, Some(cookie)).await;
    assert_eq!(answer.status, 303, "{path}: {}", answer.text());
    assert_eq!(answer.header(axum::http::header::LOCATION), back);
}

/// A form that is refused with this status, and the page that says why.
pub(crate) async fn refused(
    served: &Served,
    path: &str,
    body: &str,
    cookie: &str,
    status: u16,
) -> String {
    let answer = form(served, path, body, Some(cookie)).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    answer.text().to_owned()
}

pub(crate) const HOSTILE: &str = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE";

pub(crate) fn check_is_text(page: &str) {
    for forbidden in ["<script>", "\u{202e}"] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
}

#[tokio::test]
async fn the_navigation_offers_what_the_token_opens() {
    let served = served(1, RouterOptions::new());
    for (scope, tenant, pages) in [
        (Scope::Read, Some("acme"), &["Entries", "Catalogue"][..]),
        (Scope::Admin, Some("acme"), &["Entries", "Catalogue"]),
        (Scope::Export, None, &["Entries", "Catalogue", "Health"]),
        (
            Scope::Admin,
            None,
            &[
                "Entries",
                "Catalogue",
                "Health",
                "Tokens",
                "Settings",
                "Webhooks",
            ],
        ),
    ] {
        let cookie = signed_in(&served, &key(&served, scope, tenant)).await;
        let home = page(&served, "/audit", &cookie, 200).await;
        assert_eq!(navigation(&home), pages, "{scope} {tenant:?}");
        let status = if tenant.is_none() { 200 } else { 403 };
        page(&served, "/audit/health", &cookie, status).await;
    }
}

#[tokio::test]
async fn a_change_needs_a_page_of_this_server_and_an_administrator() {
    let served = served(1, RouterOptions::new());
    let before = served.log.tokens().list().unwrap().len();
    let cookie = signed_in(&served, &served.token).await;
    let request = axum::http::Request::post("/audit/admin/tokens")
        .header("cookie", &cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body("name=evil&scope=admin".into());
    assert_eq!(served.send(request.unwrap()).await.status, 403);
    for (scope, tenant) in [(Scope::Export, None), (Scope::Admin, Some("acme"))] {
        let token = key(&served, scope, tenant);
        let cookie = signed_in(&served, &token).await;
        for path in ["tokens", "settings", "webhooks"] {
            let path = format!("/audit/admin/{path}");
            let page = page(&served, &path, &cookie, 403).await;
            assert!(page.contains("Not allowed") && !page.contains("<th>"));
        }
        let path = "/audit/admin/tokens";
        refused(&served, path, "name=evil&scope=admin", &cookie, 403).await;
    }
    let after = served.log.tokens().list().unwrap();
    assert_eq!(after.len(), before + 2);
    assert!(after.iter().all(|token| token.name != "evil"));
}

#[tokio::test]
async fn a_server_that_only_reads_offers_no_change() {
    let served = served(1, RouterOptions::new());
    let options = RouterOptions::new().unrecorded_reads(true);
    let app = tracing_audit::http::read_only_router(served.dir.path(), options).unwrap();
    let served = Served {
        app: axum::Router::new().nest("/audit", app),
        ..served
    };
    let cookie = signed_in(&served, &served.token).await;
    for path in ["tokens", "settings", "webhooks"] {
        let path = format!("/audit/admin/{path}");
        let page = page(&served, &path, &cookie, 200).await;
        assert!(page.contains("nothing can be changed here"));
        assert_eq!(page.matches("<form").count(), 1, "only that to sign out");
    }
    for path in [
        "/audit/admin/tokens",
        "/audit/admin/webhooks",
        "/audit/views",
    ] {
        refused(&served, path, "name=a", &cookie, 503).await;
    }
    let home = page(&served, "/audit", &cookie, 200).await;
    assert!(!home.contains("action=\"/audit/views\""));
    let health = page(&served, "/audit/health", &cookie, 200).await;
    assert!(health.contains("only reads the log") && !health.contains("This process<"));
}
