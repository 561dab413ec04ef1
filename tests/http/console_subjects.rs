//! The pages of an actor and of a resource.

use std::fs;

use axum::http::Method;
use tracing_audit::{
    Outcome, audit,
    http::{RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, key, signed_in},
    http::{Answer, Served, served},
    support::files,
};

async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    by_cookie(served, Method::GET, path, cookie).await
}

/// The deeds of two people with two secrets, one of which belongs to a tenant.
fn record(served: &Served) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..60 {
            let actor = if n % 3 == 0 { "ann" } else { "bob" };
            audit!(
                "secret.read",
                severity = warning,
                actor.r#type = "user",
                actor.id = actor,
                actor.name = format!("{actor}@example.com"),
                resource.r#type = "secret",
                resource.id = "secret-1",
                resource.name = "Payment key",
                ip_address = "192.0.2.4",
                user_agent = "curl/8.14.1",
                "Read {}",
                n
            );
        }
        audit!(
            "secret.rotated",
            actor.r#type = "user",
            actor.id = "ann",
            actor.name = "ann@example.com",
            resource.r#type = "secret",
            resource.id = "secret-2",
            outcome = Outcome::failure("validation", "too short"),
            tenant_id = "acme",
            ip_address = "192.0.2.9",
            "Rotated"
        );
    });
    served.log.flush().unwrap();
}

/// The facet with this title: its texts and counts, and the links of the values.
fn facet(page: &Answer, title: &str) -> Vec<(String, String, String)> {
    let facet = page.text().split("<section class=\"facet\"");
    let facet = facet
        .into_iter()
        .find(|facet| facet.contains(&format!("<h3>{title}</h3>")));
    let values = facet.unwrap_or_default().split("<li>").skip(1);
    let between = |text: &str, start: &str, end: &str| {
        let rest = text.split(start).nth(1).unwrap();
        rest.split(end).next().unwrap().replace("&#38;", "&")
    };
    let value = |text: &str| {
        (
            between(text, "<bdi class=\"text\">", "</bdi>"),
            between(text, "<span class=\"count\">", "</span>"),
            between(text, "href=\"", "\""),
        )
    };
    values.map(value).collect()
}

#[tokio::test]
async fn a_page_says_what_an_actor_did() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    let page = get(&served, "/audit/actor?actor=ann", &cookie).await;
    assert_eq!(page.status, 200, "{}", page.text());
    for text in [
        "<h1><bdi>ann@example.com</bdi></h1>",
        "Actor · user",
        "<bdi>ann</bdi>",
        "First seen",
        "Last seen",
        "21 entries",
        "Last 30 days",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    let link = |rest: &str| format!("/audit?actor=ann&{rest}&range=30d");
    for (title, values) in [
        (
            "Event types",
            vec![
                ("secret.read", "20", "event_type=secret.read"),
                ("secret.rotated", "1", "event_type=secret.rotated"),
            ],
        ),
        (
            "Outcomes",
            vec![
                ("success", "20", "outcome=success"),
                ("failure", "1", "outcome=failure"),
            ],
        ),
        (
            "Resources",
            vec![
                ("Payment key", "20", "resource=secret-1"),
                ("secret-2", "1", "resource=secret-2"),
            ],
        ),
        (
            "Addresses",
            vec![
                ("192.0.2.4", "20", "ip_address=192.0.2.4"),
                ("192.0.2.9", "1", "ip_address=192.0.2.9"),
            ],
        ),
        (
            "User agents",
            vec![("curl/8.14.1", "20", "user_agent=curl/8.14.1")],
        ),
    ] {
        let expected: Vec<_> = values
            .into_iter()
            .map(|(text, count, rest)| (text.to_owned(), count.to_owned(), link(rest)))
            .collect();
        assert_eq!(facet(&page, title), expected, "{title}");
        for (_, count, href) in expected {
            let list = get(&served, &href, &cookie).await;
            let entries = if count == "1" { "entry" } else { "entries" };
            let total = format!("<h2>{count} {entries}</h2>");
            assert!(list.text().contains(&total), "{href}");
        }
    }
    let rows = page.text().matches("<td class=\"time\">").count();
    assert_eq!(rows, 21);
    assert!(page.text().contains("no-actor"));
    // Its resources have pages of their own.
    assert!(page.text().contains("/audit/resource?resource=secret-2"));
}

#[tokio::test]
async fn a_page_says_what_happened_to_a_resource() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    let page = get(&served, "/audit/resource?resource=secret-1", &cookie).await;
    assert!(page.text().contains("<h1><bdi>Payment key</bdi></h1>"));
    assert!(page.text().contains("60 entries"));
    let actors = facet(&page, "Actors");
    let actors: Vec<_> = actors
        .iter()
        .map(|(text, count, _)| (&**text, &**count))
        .collect();
    assert_eq!(
        actors,
        [("bob@example.com", "40"), ("ann@example.com", "20")]
    );
    // Its timeline is in pages, the newest entry first.
    let texts = |page: &Answer| -> Vec<String> {
        let cells = page.text().split("<td class=\"description\"><bdi>").skip(1);
        let text = |cell: &str| cell.split('<').next().unwrap().to_owned();
        cells.map(text).collect()
    };
    let all: Vec<_> = (0..60).rev().map(|n| format!("Read {n}")).collect();
    assert_eq!(texts(&page), all[..50]);
    let older = page.text().split("rel=\"next\" href=\"").nth(1).unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&");
    assert!(older.starts_with("?resource=secret-1&cursor="), "{older}");
    let older = get(&served, &format!("/audit/resource{older}"), &cookie).await;
    assert_eq!(texts(&older), all[50..]);
    assert!(older.text().contains("60 entries"));
}

#[tokio::test]
async fn the_page_of_a_subject_has_a_range_and_is_recorded() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit/actor?actor=bob&start_date=2020-01-01&end_date=2020-01-02";
    let page = get(&served, path, &cookie).await;
    assert!(page.text().contains("No entries in this range"));
    assert!(page.text().contains("href=\"?actor=bob&#38;range=all\""));
    // It is known all the same, by its last entry.
    assert!(page.text().contains("<h1><bdi>bob@example.com</bdi></h1>"));
    let page = get(&served, "/audit/actor?actor=nobody", &cookie).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text()
            .contains("No actor with this id or name was found")
    );
    let read = &served.accesses(3)[1..];
    assert_eq!(read[0]["event_type"], "audit.access.read");
    assert_eq!(
        read[0]["description"],
        "The page of an actor was read in the console"
    );
    assert_eq!(read[0]["details"]["parameters"]["actor"], "bob");
    assert_eq!(read[1]["details"]["counted"], 0);
}

#[tokio::test]
async fn a_field_of_the_page_of_a_subject_is_opened_there() {
    let served = served(0, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..12 {
            let secret = format!("secret-{n}");
            audit!("secret.read", actor.id = "ann", resource.id = secret).ignore();
        }
    });
    served.log.flush().unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let page = get(&served, "/audit/actor?actor=ann", &cookie).await;
    assert_eq!(facet(&page, "Resources").len(), 8);
    let link = "href=\"?actor=ann&#38;facet=resource#facet-resource\"";
    assert!(page.text().contains(link), "{}", page.text());
    let opened = get(&served, "/audit/actor?actor=ann&facet=resource", &cookie).await;
    let resources = facet(&opened, "Resources");
    assert_eq!(resources.len(), 12);
    // The page of entries has no such field.
    let mut links = resources.iter().map(|(_, _, href)| href);
    assert!(links.all(|href| !href.contains("facet")), "{resources:?}");
}

#[tokio::test]
async fn the_page_of_a_subject_is_about_one() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    for (path, said) in [
        ("actor", "actor: the page is about one actor"),
        ("actor?actor=", "actor: it is empty"),
        ("actor?actor=!ann", "actor: the page is about one actor"),
        (
            "actor?actor=ann&actor=bob",
            "actor: the page is about one actor",
        ),
        (
            "actor?actor=ann&outcome=failure",
            "outcome: the page is about one actor and takes",
        ),
        (
            "resource?actor=ann",
            "actor: the page is about one resource and takes",
        ),
        ("actor?actor=ann&search=x", "the page takes no search"),
        ("actor?actor=ann&range=1y", "range: "),
        ("actor?actor=ann&cursor=x", "cursor: "),
    ] {
        let page = get(&served, &format!("/audit/{path}"), &cookie).await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.text().contains(said), "{path}: {}", page.text());
    }
}

#[tokio::test]
async fn the_page_of_a_subject_shows_a_tenant_its_own() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("acme"))).await;
    let page = get(&served, "/audit/actor?actor=ann", &cookie).await;
    assert!(page.text().contains("1 entry"), "{}", page.text());
    for text in ["secret-1", "192.0.2.4", "curl", "secret.read"] {
        assert!(!page.text().contains(text), "{text}");
    }
    let page = get(&served, "/audit/actor?actor=bob", &cookie).await;
    assert!(
        page.text()
            .contains("No actor with this id or name was found")
    );
    assert!(!page.text().contains("bob@example.com"));
}

#[tokio::test]
async fn subjects_are_linked_from_the_table_the_card_and_the_entry() {
    let served = served(0, RouterOptions::new());
    record(&served);
    let cookie = signed_in(&served, &served.token).await;
    let actor = "href=\"/audit/actor?actor=ann\"";
    let resource = "href=\"/audit/resource?resource=secret-2\"";
    let page = get(&served, "/audit", &cookie).await;
    assert!(page.text().contains(actor) && page.text().contains(resource));
    let page = get(&served, "/audit?event_type=secret.rotated", &cookie).await;
    let entry = page.text().split("class=\"open\" href=\"").nth(1).unwrap();
    let entry = entry.split('"').next().unwrap().replace("&#38;", "&");
    let entry = get(&served, &entry, &cookie).await;
    assert!(entry.text().contains(actor) && entry.text().contains(resource));
    let page = get(&served, "/audit?actor=ann", &cookie).await;
    let card = page.text().split("card subject").nth(1).unwrap();
    assert!(card.split("</section>").next().unwrap().contains(actor));
}

#[tokio::test]
async fn a_damaged_file_makes_nobody_seen_later_than_that_was() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!("invoice.sent", actor.id = "user-0", "Another");
    });
    served.log.flush().unwrap();
    let sealed = files(&served.dir.path().join("sealed"));
    let mut bytes = fs::read(&sealed[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&sealed[0], bytes).unwrap();
    let page = get(&served, "/audit/actor?actor=user-0", &cookie).await;
    assert!(!page.text().contains("First seen"), "{}", page.text());
    let catalogue = get(&served, "/audit/catalogue", &cookie).await;
    let row = catalogue.text().split("invoice.sent").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    assert!(!row.contains(">first</span>"), "{row}");
}
