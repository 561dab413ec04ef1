//! Pages and single entries over HTTP, and what is said about questions that can't be answered.

use crate::http::served;
use axum::http::header;
use serde_json::Value;
use tracing_audit::{
    AuditLog,
    health::{SpaceAction, Watermarks},
    http::RouterOptions,
};
use tracing_subscriber::prelude::*;

#[tokio::test]
async fn all_pages_are_all_events_byte_by_byte() {
    let served = served(2_500, RouterOptions::new());
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("/audit/entries?event_type=invoice.sent&order=asc&limit=700{next}");
        let answer = served.get(&path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header(header::CONTENT_LENGTH),
            answer.body.len().to_string()
        );
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        let page = answer.json();
        assert!(page["scanned"]["lines"].as_u64().unwrap() > 0);
        assert_eq!(page["scanned"]["problems"], serde_json::json!([]));
        let entries = page["entries"].as_array().unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        for line in crate::support::lines(served.dir.path())
            .iter()
            .filter(|line| {
                entries
                    .iter()
                    .any(|e| line.contains(e["id"].as_str().unwrap()))
            })
        {
            assert!(
                text.contains(line.as_str()),
                "stored and given differ: {line}"
            );
        }
        found.extend(entries.clone());
        if page["has_more"] == false {
            break;
        }
        next = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
    }
    let numbers: Vec<_> = found
        .iter()
        .map(|entry| entry["details"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..2_500).collect::<Vec<_>>());

    let third = served
        .get("/audit/entries?event_type=invoice.sent&order=asc&limit=1&offset=2")
        .await
        .json();
    assert_eq!(third["entries"][0], found[2]);
    let newest = served
        .get("/audit/entries?event_type=invoice.*&limit=1")
        .await
        .json();
    assert_eq!(newest["entries"][0], found[2_499]);
    let one = served
        .get(&format!(
            "/audit/entries/{}",
            found[7]["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(one.json(), found[7]);
    let by_number = served.get("/audit/entries?details.number=17").await.json();
    assert_eq!(by_number["entries"], Value::Array(vec![found[17].clone()]));
}

#[tokio::test]
async fn a_page_of_long_entries_is_shorter() {
    let served = served(0, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..200 {
            tracing_audit::audit!("report.made", number, text = "x".repeat(60_000));
        }
    });
    served.log.flush().unwrap();
    for order in ["asc", "arrival"] {
        let mut path = format!("/audit/entries?event_type=report.*&order={order}&limit=1000");
        let mut sizes = Vec::new();
        loop {
            let answer = served.get(&path).await;
            assert!(
                answer.body.len() < (8 << 20) + 70_000,
                "{}",
                answer.body.len()
            );
            let page = answer.json();
            sizes.push(page["entries"].as_array().unwrap().len());
            if page["has_more"] == false {
                break;
            }
            let cursor = page["next_cursor"].as_str().unwrap();
            path = format!(
                "/audit/entries?event_type=report.*&order={order}&limit=1000&cursor={cursor}"
            );
        }
        assert_eq!(sizes.iter().sum::<usize>(), 200, "{sizes:?}");
        assert!(sizes.len() == 2 && sizes[0] > 100, "{sizes:?}");
    }
}

#[tokio::test]
async fn the_catalogue_tells_what_there_can_be() {
    let served = served(1, RouterOptions::new());
    let types = served.get("/audit/event-types").await.json();
    let sent = types["event_types"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["event_type"] == "invoice.sent")
        .unwrap();
    // Both logs of this test are opened by one program.
    assert_eq!(
        (&sent["severities"], &sent["sources"]),
        (
            &serde_json::json!(["info"]),
            &serde_json::json!(["billing", "tracing-audit"])
        )
    );
    assert!(
        sent["fields"]["details.number"].is_string() && sent["locations"][0]["line"].is_u64(),
        "{sent}"
    );
    let schema = served.get("/audit/event-types/invoice.sent").await;
    assert_eq!(
        schema.header(header::CONTENT_TYPE),
        "application/schema+json"
    );
    assert_eq!(
        schema.json()["properties"]["event_type"]["const"],
        "invoice.sent"
    );
    served
        .get("/audit/event-types/nothing.such")
        .await
        .problem(404);
    assert!(
        served
            .get("/audit/event-types?limit=1")
            .await
            .problem(400)
            .to_string()
            .contains("limit")
    );
    let read: Vec<_> = served
        .accesses(3)
        .into_iter()
        .map(|read| {
            assert_eq!(read["event_type"], "audit.access.read");
            let details = &read["details"];
            (
                details["path"].to_string(),
                details["status"].as_u64().unwrap(),
            )
        })
        .collect();
    let path = |last: &str| format!("\"/audit/event-types{last}\"");
    assert_eq!(
        read,
        [
            (path(""), 200),
            (path("/invoice.sent"), 200),
            (path("/nothing.such"), 404)
        ]
    );
}

#[tokio::test]
async fn each_wrong_parameter_is_named() {
    let served = served(1, RouterOptions::new());
    for (question, parameter) in [
        ("entries?limit=0", "limit"),
        ("entries?limit=1001", "limit"),
        ("entries?limit=ten", "limit"),
        ("entries?limit=1&limit=2", "limit"),
        ("entries?offset=-1", "offset"),
        ("entries?offset=10001", "offset"),
        ("entries?cursor=x", "cursor"),
        ("entries?order=up", "order"),
        ("entries?colour=red", "colour"),
        ("entries?start_date=yesterday", "start_date"),
        (
            "entries?start_date=2026-02-02&end_date=2026-02-01",
            "start_date",
        ),
        ("entries?event_type=Bad", "event_type"),
        ("entries?severity=loud", "severity"),
        ("entries?outcome=maybe", "outcome"),
        ("entries?actor=", "actor"),
        ("entries?actor=!", "actor"),
        ("entries?actor=!!ann", "actor"),
        ("entries?event_type=!*", "event_type"),
        ("entries?ip_address=localhost", "ip_address"),
        ("entries?ip_address=192.0.2.0/33", "ip_address"),
        ("entries?end_date=2026-02-01T10:00+02:00", "end_date"),
        ("entries?q=%ff", "q"),
        ("entries?format=zip", "format"),
        ("entries/not-an-id", "id"),
        ("entries/%ff", "id"),
        ("entries/healthz", "id"),
        ("entries/0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11?x=1", "x"),
        ("export?format=doc", "format"),
        ("export?limit=5", "limit"),
        ("export?order=desc", "order"),
        ("export?q=a&order=desc", "order"),
        ("export?end_date=32", "end_date"),
    ] {
        let problem = served.get(&format!("/audit/{question}")).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{question}: {problem}");
    }
    let problem = served
        .get("/audit/entries?offset=1&cursor=v1.0.0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")
        .await
        .problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("cursor"));
    served.get("/audit/entries/").await.problem(404);
}

#[tokio::test]
async fn readiness_follows_the_logs_trouble() {
    let well = served(1, RouterOptions::new().open_metrics(true));
    let ready = well.get("/audit/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()["status"].as_str()),
        (200, Some("ready"))
    );

    // More space is wanted free than any disk has.
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("full")
        .watermarks(
            Watermarks::default()
                .low(u64::MAX, SpaceAction::Report)
                .very_low(u64::MAX, SpaceAction::Report),
        )
        .open()
        .unwrap();
    let app = axum::Router::new().nest("/audit", log.router(RouterOptions::new()).unwrap());
    let full = crate::http::Served { log, app, ..well };
    crate::http::record_one(&full.log);
    crate::support::until("it is in trouble", || {
        !full.log.health().problems.is_empty()
    });
    let answer = full.get("/audit/readyz").await;
    assert_eq!(answer.status.as_u16(), 503);
    let json = answer.json();
    assert_eq!(json["status"], "not ready");
    assert!(!json["problems"].as_array().unwrap().is_empty());
    assert!(!json.to_string().contains(dir.path().to_str().unwrap()));
    assert_eq!(full.get("/audit/healthz").await.status, 200);
    full.log.close().unwrap();
    assert!(
        full.get("/audit/readyz")
            .await
            .json()
            .to_string()
            .contains("the log is closed")
    );
}

/// A directory's name may have spaces in it, and what looks like the end of a path.
#[tokio::test]
async fn readiness_tells_no_directory_whatever_it_is_called() {
    let well = served(1, RouterOptions::new());
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("of the: customer/our secret, plan b");
    let log = AuditLog::builder(&dir)
        .lifecycle(false)
        .source("full")
        .open()
        .unwrap();
    let app = axum::Router::new().nest("/audit", log.router(RouterOptions::new()).unwrap());
    let broken = crate::http::Served { log, app, ..well };
    crate::http::record_one(&broken.log);
    // The live file is gone, and none can be made again.
    std::fs::rename(dir.join("live"), dir.join("away")).unwrap();
    std::fs::write(dir.join("live"), "in the way").unwrap();
    crate::support::until("it is in trouble", || {
        let layer = tracing_subscriber::registry().with(broken.log.layer());
        tracing::subscriber::with_default(
            layer,
            || tracing::info!(target: "audit", event_type = "invoice.sent"),
        );
        !broken.log.health().problems.is_empty()
    });
    let told = broken.log.health().problems.concat();
    assert!(told.contains(dir.to_str().unwrap()), "{told}");
    let answer = broken.get("/audit/readyz").await.json().to_string();
    for part in ["customer", "secret", "plan", "tmp/", "live/"] {
        assert!(!answer.contains(part), "{part}: {answer}");
    }
    assert!(
        answer.contains("audit events can't be written") && answer.contains(".jsonl: "),
        "{answer}"
    );
    std::fs::remove_file(dir.join("live")).unwrap();
    std::fs::rename(dir.join("away"), dir.join("live")).unwrap();
}

#[tokio::test]
async fn metrics_count_the_log_and_the_answers() {
    let served = served(1, RouterOptions::new().open_metrics(true));
    served.get("/audit/entries").await;
    served.get("/audit/nothing").await;
    let text = String::from_utf8(served.get("/audit/metrics").await.body).unwrap();
    for line in [
        "tracing_audit_http_responses_total{status=\"2xx\"} 1",
        "tracing_audit_http_responses_total{status=\"4xx\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("\ntracing_audit_entries_total "));
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once() {
    let served = served(1_000, RouterOptions::new().max_requests(1));
    // A page that nobody reads is in memory, so it holds the only place.
    let request = axum::http::Request::get("/audit/entries")
        .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
        .body(axum::body::Body::empty())
        .unwrap();
    let held = tower::ServiceExt::oneshot(served.app.clone(), request)
        .await
        .unwrap();
    let answer = served.get("/audit/entries").await;
    answer.problem(503);
    assert!(answer.header(header::RETRY_AFTER).parse::<u32>().is_ok());
    assert_eq!(served.get("/audit/readyz").await.status, 200);
    drop(held);
    assert_eq!(served.get("/audit/entries").await.status, 200);
}
