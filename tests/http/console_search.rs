//! Names and values that complete the line of the search, and the span that the bars show.

use axum::http::Method;
use serde_json::Value;
use tracing_audit::{
    Timestamp, audit,
    http::{RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, key, signed_in},
    http::{Served, served},
};

fn values(suggestions: &Value, name: &str) -> Vec<(String, u64)> {
    let values = suggestions["values"][name].as_array().unwrap().iter();
    values
        .map(|one| {
            (
                one[0].as_str().unwrap().to_owned(),
                one[1].as_u64().unwrap(),
            )
        })
        .collect()
}

fn has(suggestions: &Value, name: &str, value: &str) -> bool {
    values(suggestions, name)
        .iter()
        .any(|(one, _)| one == value)
}

async fn suggestions(served: &Served, query: &str, cookie: &str) -> Value {
    let path = format!("/audit/suggestions{query}");
    let answer = by_cookie(served, Method::GET, &path, cookie).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn values_of_the_catalogue_and_of_the_range_are_suggested() {
    let served = served(20, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    // The conditions don't matter: another value is an alternative.
    let found = suggestions(&served, "?actor=user-1&cursor=x&split=outcome", &cookie).await;
    assert_eq!(
        values(&found, "event_type")[0],
        ("invoice.sent".to_owned(), 20)
    );
    assert_eq!(values(&found, "actor").len(), 10);
    assert_eq!(values(&found, "actor")[3], ("user-3".to_owned(), 2));
    assert_eq!(values(&found, "outcome")[0], ("success".to_owned(), 20));
    for (name, value) in [
        ("outcome", "failure"),
        ("severity", "critical"),
        // This test's own event type, which no entry has.
        ("event_type", "search.test.never_recorded"),
        ("source", "billing"),
        ("include", "access"),
    ] {
        assert!(has(&found, name, value), "{name} {value}: {found}");
    }
    let names = found["names"].as_array().unwrap();
    assert!(names.iter().any(|name| name[0] == "trace_id"));
    assert!(
        found["details"]
            .as_array()
            .unwrap()
            .contains(&"details.number".into())
    );
    // Another range has other values.
    let query = "?start_date=2020-01-01&end_date=2020-01-02";
    let found = suggestions(&served, query, &cookie).await;
    assert_eq!(values(&found, "actor"), []);
    assert!(has(&found, "event_type", "invoice.sent"));
    let read = served.records("audit.access.read");
    let read = read.last().unwrap();
    assert_eq!(
        read["description"],
        "Values for the search were read in the console"
    );
    assert_eq!(read["details"]["counted"], 0);
}

#[allow(dead_code, reason = "it is in the catalogue, and never recorded")]
fn never_recorded() {
    audit!("search.test.never_recorded", "Nothing").ignore();
}

#[tokio::test]
async fn a_tenant_is_suggested_its_own_values() {
    let served = served(20, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("acme"))).await;
    let found = suggestions(&served, "", &cookie).await;
    assert_eq!(
        values(&found, "event_type")[0],
        ("invoice.sent".to_owned(), 10)
    );
    assert!(has(&found, "actor", "user-2") && !has(&found, "actor", "user-3"));
}

#[tokio::test]
async fn an_actor_is_suggested_by_the_name_too() {
    let served = served(1, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!("door.opened", actor.id = "u-17", actor.name = "Ann Lee").ignore();
    });
    served.log.flush().unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let found = suggestions(&served, "", &cookie).await;
    let expected = serde_json::json!([["u-17", 1, "Ann Lee (u-17)"], ["user-0", 1]]);
    assert_eq!(found["values"]["actor"], expected);
}

#[tokio::test]
async fn resources_of_the_newest_entries_are_suggested() {
    let served = served(1, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for (id, tenant) in [("s-1", "acme"), ("s-2", "globex"), ("s-2", "globex")] {
            audit!(
                "secret.read",
                resource.r#type = "secret",
                resource.id = id,
                resource.name = format!("Key {id}"),
                tenant_id = tenant
            )
            .ignore();
        }
        audit!("door.opened", resource.name = "Front door").ignore();
    });
    served.log.flush().unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let found = suggestions(&served, "?actor=nobody", &cookie).await;
    let expected = serde_json::json!([
        ["s-2", 0, "Key s-2 (s-2)"],
        ["Front door", 0],
        ["s-1", 0, "Key s-1 (s-1)"]
    ]);
    assert_eq!(found["values"]["resource"], expected);
    let types = serde_json::json!([["secret", 0]]);
    assert_eq!(found["values"]["resource_type"], types);
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("acme"))).await;
    let found = suggestions(&served, "", &cookie).await;
    let expected = serde_json::json!([["s-1", 0, "Key s-1 (s-1)"]]);
    assert_eq!(found["values"]["resource"], expected);
}

#[tokio::test]
async fn how_several_words_are_found_is_said_below_the_line() {
    let served = served(12, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let page = async |query: &str| {
        let path = format!("/audit?{query}");
        let page = by_cookie(&served, Method::GET, &path, &cookie).await;
        page.text().replace("&#38;", "&")
    };
    // "Invoice 11 sent" has both words, and not beside each other.
    let both = page("q=invoice+sent&range=7d").await;
    assert!(both.contains("Nothing matches"), "{both}");
    assert!(both.contains("aria-describedby=\"search-words\""));
    let any = "?q=invoice&q=sent&range=7d";
    // Below the line, and in the place of the entries.
    assert_eq!(
        both.matches(&format!("href=\"{any}\"")).count(),
        2,
        "{both}"
    );
    assert!(page(&any[1..]).await.contains("<h2>12 entries</h2>"));
    for query in ["q=invoice", "actor=user+1", ""] {
        assert!(!page(query).await.contains("search-words\""), "{query}");
    }
}

#[tokio::test]
async fn what_can_not_be_answered_is_a_problem_as_of_the_api() {
    let served = served(0, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit/suggestions?range=1y";
    by_cookie(&served, Method::GET, path, &cookie)
        .await
        .problem(400);
}

/// The bars of a page's drawing: where each begins and the last one ends, in seconds; and whether a
/// note says that they begin later than the range.
async fn drawing(served: &Served, query: &str) -> (Vec<i64>, bool) {
    let cookie = signed_in(served, &served.token).await;
    let page = by_cookie(served, Method::GET, &format!("/audit{query}"), &cookie).await;
    let times = page.text().split("data-times=\"").nth(1).unwrap();
    let times = times.split('"').next().unwrap().split(' ');
    (
        times.map(|time| time.parse().unwrap()).collect(),
        page.text().contains("the range has no entries before"),
    )
}

#[tokio::test]
async fn the_bars_of_a_young_log_begin_with_it_and_are_seconds() {
    let served = served(5, RouterOptions::new());
    let first = served.get("/audit/entries?order=asc&limit=1").await.json();
    let first: Timestamp = first["entries"][0]["timestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let first = first.as_micros() / 1_000_000;
    for query in [
        "",
        "?range=30d",
        "?actor=user-1",
        "?range=15m",
        "?range=all",
    ] {
        let (times, is_narrowed) = drawing(&served, query).await;
        // A minute at least, and so many bars that something can be seen in it.
        let [begin, end] = [times[0], times[times.len() - 1]];
        assert!(end - begin >= 60, "{query}: {times:?}");
        assert!(begin <= first && first - begin <= 80, "{query}: {times:?}");
        assert!(times[2] - times[1] < 60, "{query}: {times:?}");
        assert!((20..=92).contains(&times.len()), "{query}: {times:?}");
        assert!(is_narrowed || query == "?range=all", "{query}");
    }
    // A range of seconds is shown, and can be changed, in seconds.
    let times = "start_date=2026-11-29T12:00:40Z&end_date=2026-11-29T12:00:55Z";
    let cookie = signed_in(&served, &served.token).await;
    let page = by_cookie(&served, Method::GET, &format!("/audit?{times}"), &cookie).await;
    for field in [
        "name=\"start_date\" value=\"2026-11-29T12:00:40\" step=\"1\"",
        "name=\"end_date\" value=\"2026-11-29T12:00:55\" step=\"1\"",
    ] {
        assert!(page.text().contains(field), "{}", page.text());
    }
}

#[tokio::test]
async fn the_bars_of_an_old_log_are_those_of_the_range() {
    let served = served(5, RouterOptions::new());
    // Lines that another process wrote half a day ago, and a quarter of an hour ago.
    let before =
        |seconds: i64| Timestamp::from_micros(Timestamp::now().as_micros() - seconds * 1_000_000);
    let line = |(seq, time): (u8, Timestamp)| {
        format!(
            r#"{{"stream":"old-7f3a9c04d1e2","seq":{seq},"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c1{seq}","timestamp":"{time}","schema_version":"1.0","event_type":"old.event","severity":"info","source":"old"}}"#
        ) + "\n"
    };
    let born = before(12 * 3600);
    let lines: String = [(1, born), (2, before(14 * 60))].map(line).concat();
    let born: String = born.to_string().replace(['-', ':'], "");
    let name = format!("live/{born}-old-7f3a9c04d1e2-00000001.jsonl");
    std::fs::write(served.dir.path().join(name), lines).unwrap();
    // Also if the selected entries are new: that can be seen so.
    for query in ["", "?actor=user-1"] {
        let (times, is_narrowed) = drawing(&served, query).await;
        let bars = times.len() - 1;
        assert!((144..=145).contains(&bars), "{query}: {bars}");
        assert!(!is_narrowed, "{query}");
    }
    for query in ["?range=15m", "?range=15m&actor=user-1"] {
        let (times, is_narrowed) = drawing(&served, query).await;
        assert_eq!(times[2] - times[1], 10, "{query}");
        assert!((91..=92).contains(&times.len()), "{query}: {times:?}");
        assert!(!is_narrowed, "{query}");
    }
}
