//! The page of an entry: what is around it, and where it is.

use axum::http::Method;
use tracing_audit::{
    Outcome, audit,
    http::{RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, key, signed_in},
    http::{Served, served},
};

/// Ten steps of one session, of which two are of one request, between others of nobody.
fn record(served: &Served) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..10 {
            audit!(
                "order.changed",
                actor.id = "ann",
                resource.id = format!("order-{n}"),
                tenant_id = if n == 6 { "globex" } else { "acme" },
                session_id = "s-1",
                request_id = format!("r-{}", n / 2),
                trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                "Step {}",
                n
            );
            audit!("clock.ticked", actor.r#type = "system", "Tick {}", n);
        }
    });
    served.log.flush().unwrap();
}

/// The page of the only entry with this text.
async fn page_of(served: &Served, text: &str, cookie: &str) -> String {
    let path = format!("/audit/entries?q={}", text.replace(' ', "+"));
    let found = served.get(&path).await.json();
    let id = found["entries"][0]["id"].as_str().unwrap();
    let path = format!("/audit/entry/{id}");
    let answer = by_cookie(served, Method::GET, &path, cookie).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The descriptions in the timeline with what each entry has in common, the page's own as `here`.
fn around(page: &str) -> Vec<(String, String)> {
    let list = page
        .split("<ol class=\"around\">")
        .nth(1)
        .unwrap_or_default();
    let items = list.split("</ol>").next().unwrap().split("<li").skip(1);
    let between = |text: &str, start: &str, end: &str| {
        let rest = text.split(start).nth(1).unwrap();
        rest.split(end).next().unwrap().to_owned()
    };
    let item = |item: &str| {
        let is_here = item.contains("aria-current=\"true\"");
        let common = between(item, "<span class=\"muted small\">", "</span>");
        (
            between(item, "<bdi class=\"muted\">", "</bdi>"),
            if is_here { "here".to_owned() } else { common },
        )
    };
    items.map(item).collect()
}

#[tokio::test]
async fn related_entries_are_around_an_entry() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    let page = page_of(&served, "Step 4", &cookie).await;
    let far = "same trace, session, actor";
    let near = "same request, trace, session, actor";
    let expected = [
        ("Step 1", far),
        ("Step 2", far),
        ("Step 3", far),
        ("Step 4", "here"),
        ("Step 5", near),
        ("Step 6", far),
        ("Step 7", far),
    ];
    let expected = expected.map(|(text, common)| (text.to_owned(), common.to_owned()));
    assert_eq!(around(&page), expected);
    for query in [
        "request_id=r-2",
        "trace_id=4bf92f",
        "session_id=s-1",
        "resource=order-4",
    ] {
        assert!(page.contains(query), "{query}");
    }
    // An entry that has nothing in common with others says so.
    let page = page_of(&served, "Tick 4", &cookie).await;
    assert_eq!(around(&page), []);
    assert!(page.contains("Nothing else with the same actor"));
}

#[tokio::test]
async fn a_tenant_sees_only_its_own_entries_around_one() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("acme"))).await;
    let page = page_of(&served, "Step 4", &cookie).await;
    let texts: Vec<_> = around(&page).into_iter().map(|(text, _)| text).collect();
    assert_eq!(
        texts,
        [
            "Step 1", "Step 2", "Step 3", "Step 4", "Step 5", "Step 7", "Step 8"
        ]
    );
    // A file's name says which processes there are.
    assert!(!page.contains("<bdi>File</bdi>"));
}

#[tokio::test]
async fn an_entry_says_which_file_has_it() {
    let served = served(3, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    for (text, begin) in [("Invoice 1", "sealed/dt="), ("Step 4", "live/")] {
        let page = page_of(&served, text, &cookie).await;
        let fact = page
            .split("<dt><bdi>File</bdi></dt><dd><bdi>")
            .nth(1)
            .unwrap();
        let name = fact.split('<').next().unwrap();
        assert!(name.starts_with(begin), "{name}");
        assert!(served.dir.path().join(name).is_file(), "{name}");
        assert!(!page.contains(&*served.dir.path().to_string_lossy()));
    }
}

#[tokio::test]
async fn an_outcome_is_shown_only_if_it_is_recorded() {
    let served = served(0, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!("account.locked", outcome = Outcome::success(), "Locked one").ignore();
        audit!("account.locked", "Locked two").ignore();
        let refused = Outcome::failure("authorization", "not an owner");
        audit!("account.locked", outcome = refused, "Locked three").ignore();
    });
    served.log.flush().unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let fact = "<dt><bdi>Outcome</bdi></dt><dd>";
    for (text, shown, sign) in [
        ("Locked one", "<bdi>success</bdi>", Some("#i-plain")),
        (
            "Locked two",
            "<span class=\"muted\">not recorded</span>",
            None,
        ),
        ("Locked three", "<bdi>failure</bdi>", Some("#i-failure")),
    ] {
        let page = page_of(&served, text, &cookie).await;
        assert!(page.contains(&format!("{fact}{shown}")), "{page}");
        let glance = page.split("<p class=\"line glance\">").nth(1).unwrap();
        let glance = glance.split("</p>").next().unwrap();
        assert_eq!(glance.contains("no outcome recorded"), sign.is_none());
        assert!(sign.is_none_or(|sign| glance.contains(sign)), "{glance}");
        assert!(!glance.contains("#i-success"), "{glance}");
    }
    let table = by_cookie(&served, Method::GET, "/audit", &cookie).await;
    let cells = table.text().split("<tbody>").nth(1).unwrap();
    let cells = cells.split("</tbody>").next().unwrap();
    let cells: Vec<_> = cells.split("<td class=\"out\">").skip(1).collect();
    // The newest first.
    for (cell, word) in cells.iter().zip(["failure", "not recorded", "success"]) {
        assert!(cell.split("</td>").next().unwrap().contains(word), "{cell}");
    }
    assert_eq!(cells.len(), 3);
    // A filter takes no outcome for a success.
    let path = "/audit?outcome=success";
    let page = by_cookie(&served, Method::GET, path, &cookie).await;
    assert!(page.text().contains("<h2>2 entries</h2>"));
}

#[tokio::test]
async fn values_that_are_too_long_for_a_filter_hide_no_page() {
    let served = served(0, RouterOptions::new());
    let long = "x".repeat(1500);
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..3 {
            audit!(
                "auth.failed",
                actor.id = &long,
                resource.id = &long,
                session_id = "s-1",
                "Guess {}",
                n
            );
        }
        audit!("auth.succeeded", actor.id = "ann", actor.name = "Ann", "In");
    });
    served.log.flush().unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let page = page_of(&served, "Guess 1", &cookie).await;
    let expected = [
        ("Guess 0", "same session, resource, actor"),
        ("Guess 1", "here"),
        ("Guess 2", "same session, resource, actor"),
    ];
    let expected = expected.map(|(text, common)| (text.to_owned(), common.to_owned()));
    assert_eq!(around(&page), expected);
    // The long actor is among the counts, but not on the page.
    for path in [
        "/audit?event_type=auth.*&severity=info",
        "/audit/resource?resource=r",
    ] {
        let answer = by_cookie(&served, Method::GET, path, &cookie).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let answer = by_cookie(&served, Method::GET, "/audit/suggestions", &cookie).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains(r#"["ann",1,"Ann (ann)"]"#),
        "{}",
        answer.text()
    );
}
