//! What the parameters of `GET /entries` find, as the documents of other systems write them and as
//! `curl` sends them.

use std::fmt::Write as _;

use axum::http::header;
use serde_json::{Value, json};
use tracing_audit::{Actor, audit, http::RouterOptions};
use tracing_subscriber::prelude::*;

use crate::http::{Served, served};

/// A log with one entry for each of the names that `find` gives.
fn log() -> Served {
    let served = served(0, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let ann = Actor::user("user-456").name("admin@company.com");
        audit!(
            "auth.login.success",
            actor = &ann,
            ip_address = "192.0.2.50",
            name = "login"
        );
        audit!(
            "auth.login.failed",
            actor = Actor::user("user-7").name("eve"),
            severity = warning,
            outcome.type = "failure",
            ip_address = "2001:db8::1",
            name = "failure",
            attempts = 1.0
        );
        audit!(
            "discovery.scan.completed",
            actor = Actor::new("system", "scheduler"),
            resource.type = "scan",
            resource.id = "scan-789",
            outcome.type = "success",
            name = "scan",
            mode = "full",
            vaults_scanned = 12
        );
        let last = audit!(
            "rotation.failed",
            actor = Actor::new("robot", "!important"),
            resource.type = "secret",
            resource.name = "vault-key",
            severity = error,
            outcome.type = "unknown",
            ip_address = "::ffff:198.51.100.7",
            name = "rotation",
            attempts = "1"
        );
        last.wait().unwrap();
    });
    served
}

/// The query string that `curl -G --data-urlencode` makes.
fn urlencoded(parameters: &[&str]) -> String {
    let mut query = String::new();
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap();
        let _ = write!(query, "&{name}=");
        for byte in value.bytes() {
            let _ = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(query, "{}", char::from(byte))
                }
                _ => write!(query, "%{byte:02X}"),
            };
        }
    }
    query.trim_start_matches('&').to_owned()
}

async fn page(served: &Served, query: &str) -> Value {
    let path = format!("/audit/entries?event_type=!audit.*&order=asc&{query}");
    let answer = served.get(&path).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.json());
    answer.json()
}

fn names(page: &Value) -> Vec<&str> {
    let entries = page["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["details"]["name"].as_str().unwrap())
        .collect()
}

const ALL: [&str; 4] = ["login", "failure", "scan", "rotation"];

#[tokio::test]
async fn the_calls_of_other_systems_find_what_they_ask_for() {
    let served = log();
    for (query, found) in [
        // Get recent audit entries.
        (&["limit=100", "offset=0"][..], &ALL[..]),
        (&["limit=1", "offset=2"], &["scan"]),
        // Filter audit logs by: date range, event type, actor (specific user or "system"),
        // severity.
        (&["start_date=2025-01-01", "end_date=2025-01-31"], &[]),
        (&["start_date=2025-01-01"], &ALL),
        (&["event_type=auth.login.failed"], &["failure"]),
        (&["event_type=auth.*"], &["login", "failure"]),
        (&["actor=system"], &["scan"]),
        (&["actor=user"], &["login", "failure"]),
        (&["actor=user-456"], &["login"]),
        (&["actor=admin@company.com"], &["login"]),
        (&["severity=info"], &["login", "scan"]),
        (
            &["severity=warning", "severity=error"],
            &["failure", "rotation"],
        ),
        // Search across audit entries by: event type, actor name, description text, resource name.
        (&["q=DISCOVERY.scan"], &["scan"]),
        (&["q=Admin@"], &["login"]),
        (&["q=vault-KEY"], &["rotation"]),
        // By action, tenant, kind of resource, outcome, address, session.
        (&["category=discovery", "action=completed"], &["scan"]),
        (&["resource_type=scan"], &["scan"]),
        (&["resource=scan-789"], &["scan"]),
        (&["resource=vault-key"], &["rotation"]),
        (&["outcome=success"], &["login", "scan"]),
        (
            &["outcome=unknown", "outcome=failure"],
            &["failure", "rotation"],
        ),
        (&["ip_address=192.0.2.50"], &["login"]),
        (&["ip_address=2001:DB8::1"], &["failure"]),
        (&["ip_address=198.51.100.7"], &["rotation"]),
        (&["ip_address=::ffff:198.51.100.7"], &["rotation"]),
        (
            &["ip_address=192.0.2.0/24", "ip_address=2001:db8::/32"],
            &["login", "failure"],
        ),
        (&["session_id=8a83187f-40cb-4bd2-a0fc-8dd3987a771a"], &[]),
        (
            &["details.mode=full", "details.vaults_scanned=12"],
            &["scan"],
        ),
        (&["details.attempts=1"], &["failure", "rotation"]),
        // Several, and none.
        (&["actor=!system"], &["login", "failure", "rotation"]),
        (&["actor_type=robot"], &["rotation"]),
        (&["actor=robot"], &["rotation"]),
        (&["actor=\\!important"], &["rotation"]),
        (&["actor=!\\!important", "actor=!user"], &["scan"]),
        (
            &["resource_type=!scan", "outcome=!failure"],
            &["login", "rotation"],
        ),
        (
            &["ip_address=!192.0.2.0/24"],
            &["failure", "scan", "rotation"],
        ),
        (&["q=vault", "q=scan"], &["scan", "rotation"]),
        (&["details.mode=!full"], &["login", "failure", "rotation"]),
    ] {
        let page = page(&served, &urlencoded(query)).await;
        assert_eq!(names(&page), found, "{query:?}");
    }
}

#[tokio::test]
async fn instants_are_taken_with_and_without_a_zone() {
    let served = log();
    let all = page(&served, "").await;
    let time = all["entries"][2]["timestamp"].as_str().unwrap();
    // The same instant, an hour later on the clock, one hour ahead of UTC.
    let utc: tracing_audit::Timestamp = time.parse().unwrap();
    let later = tracing_audit::Timestamp::from_micros(utc.as_micros() + 3_600_000_000).to_string();
    let ahead = later.replace('Z', "+01:00");
    for start in [
        time,
        time.trim_end_matches('Z'),
        &time.replace('Z', "0000Z"),
        &ahead,
    ] {
        let query = urlencoded(&[&format!("start_date={start}")]);
        assert_eq!(names(&page(&served, &query).await), ALL[2..], "{query}");
        let query = urlencoded(&[&format!("end_date={start}")]);
        assert_eq!(names(&page(&served, &query).await), ALL[..2], "{query}");
    }
    let between = time.replace('Z', "5Z");
    let query = urlencoded(&[&format!("start_date={between}")]);
    assert_eq!(names(&page(&served, &query).await), ALL[3..], "{query}");

    let problem = served
        .get("/audit/entries?start_date=2026-11-21T10:00:00+02:00")
        .await
        .problem(400);
    assert_eq!(problem["parameter"], "start_date");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("write %2B02:00"), "{detail}");
}

#[tokio::test]
async fn an_event_type_that_there_cannot_be_is_answered_with_a_hint() {
    let served = log();
    let none = page(&served, "event_type=auth.login").await;
    let hint = "no event type is named auth.login; there are auth.login.failed and auth.login.success: \
                write auth.login.*";
    assert_eq!(
        (&none["entries"], &none["hints"]),
        (&json!([]), &json!([hint]))
    );
    for query in [
        "event_type=auth.*",
        "actor=nobody",
        "event_type=audit.log.pruned",
    ] {
        assert_eq!(page(&served, query).await.get("hints"), None, "{query}");
    }
}

#[tokio::test]
async fn an_access_is_recorded_with_all_its_parameters() {
    let served = log();
    let answer = served.get("/audit/entries?actor=!system&actor=eve").await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    let access = served.accesses(1).remove(0);
    assert_eq!(
        access["details"]["parameters"]["actor"],
        json!(["!system", "eve"])
    );
}
