//! The page of the event types.

use tracing_audit::http::{RouterOptions, Scope};

use super::page;
use crate::{
    console_sessions::{key, signed_in},
    http::served,
};

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
    served.log.flush().unwrap();
    let sent = served.records("invoice.sent");
    for (which, entry) in [("first", &sent[0]), ("last", &sent[2])] {
        let time = entry["timestamp"].as_str().unwrap();
        let text = format!("{which}</span> <time datetime=\"{time}\"");
        assert!(all.contains(&text), "{text}: {all}");
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
    let sent = served.records("invoice.sent");
    let own = sent.iter().find(|entry| entry["tenant_id"] == "globex");
    let own = own.unwrap()["timestamp"].as_str().unwrap();
    assert_eq!(all.matches(own).count(), 2, "first and last: {all}");
}
