//! The pages of the console beside the entries: the catalogue, the health, and what administrators
//! see and change.

use axum::http::Method;
use tracing_audit::http::{RouterOptions, Scope};

use crate::{
    console_sessions::{by_cookie, key, signed_in},
    http::{Answer, Served, served},
};

async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    by_cookie(served, Method::GET, path, cookie).await
}

/// The text of a page that was answered with this status.
async fn page(served: &Served, path: &str, cookie: &str, status: u16) -> String {
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

#[tokio::test]
async fn the_catalogue_has_each_event_type_with_its_fields_and_its_place() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, None)).await;
    let all = page(&served, "/audit/catalogue", &cookie, 200).await;
    for text in [
        "<code>details.number</code>",
        "support/http.rs:",
        "billing",
        "href=\"/audit?event_type=invoice.sent&#38;range=all\"",
        "<td class=\"number\" data-label=\"Entries\">3</td>",
        "never seen",
    ] {
        assert!(all.contains(text), "{text}");
    }
    let found = page(
        &served,
        "/audit/catalogue?search=INVOICE+number",
        &cookie,
        200,
    )
    .await;
    assert!(found.contains("1 event type<"), "{found}");
    let none = page(
        &served,
        "/audit/catalogue?search=invoice+nothing%3Cb%3E",
        &cookie,
        200,
    )
    .await;
    assert!(none.contains("Nothing matches") && !none.contains("<b>"));
    page(&served, "/audit/catalogue?sarch=x", &cookie, 400).await;
    served.log.flush().unwrap();
    let read = served.records("audit.access.read");
    let of_search =
        |read: &&serde_json::Value| read["details"]["parameters"]["search"] == "INVOICE number";
    assert_eq!(read.iter().filter(of_search).count(), 1, "{read:?}");
}

#[tokio::test]
async fn a_tenants_token_counts_entries_of_its_tenant_only() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("globex"))).await;
    let all = page(
        &served,
        "/audit/catalogue?search=invoice.sent",
        &cookie,
        200,
    )
    .await;
    assert!(all.contains("data-label=\"Entries\">1</td>"), "{all}");
}

#[tokio::test]
async fn the_health_says_how_the_log_and_its_process_are_doing() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, None)).await;
    let healthy = page(&served, "/audit/health", &cookie, 200).await;
    for text in [
        "knows of no problem",
        "Complete until",
        "<dt>Sealed files</dt><dd>1</dd>",
        "<dt>Delivers webhooks</dt><dd><bdi>no process, now</bdi></dd>",
        "of 16.0 MiB",
        served.log.stream().as_str(),
        ">lives<",
    ] {
        assert!(healthy.contains(text), "{text}");
    }
    page(&served, "/audit/health?x=1", &cookie, 400).await;
    served.log.close().unwrap();
    let closed = page(&served, "/audit/health", &cookie, 200).await;
    assert!(closed.contains("the log is closed"), "{closed}");
    assert!(closed.contains("Close the log after the last event."));
}

#[tokio::test]
async fn the_navigation_offers_what_the_token_opens() {
    let served = served(1, RouterOptions::new());
    for (scope, tenant, pages) in [
        (Scope::Read, Some("acme"), &["Entries", "Catalogue"][..]),
        (Scope::Admin, Some("acme"), &["Entries", "Catalogue"]),
        (Scope::Export, None, &["Entries", "Catalogue", "Health"]),
        (Scope::Admin, None, &["Entries", "Catalogue", "Health"]),
    ] {
        let cookie = signed_in(&served, &key(&served, scope, tenant)).await;
        let home = page(&served, "/audit", &cookie, 200).await;
        assert_eq!(navigation(&home), pages, "{scope} {tenant:?}");
        let status = if tenant.is_none() { 200 } else { 403 };
        page(&served, "/audit/health", &cookie, status).await;
    }
}
