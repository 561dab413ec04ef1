//! The HTTP API for deliveries and replays: what it answers, and that each change is an entry with
//! the caller.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};
use tracing_audit::{http::RouterOptions, webhook::Webhook};

use crate::shop::emit;
use crate::{
    http::{Served, served},
    receiver::Receiver,
    support::{HANGS, records},
};

async fn send(served: &Served, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/audit/webhooks{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
        .header(header::CONTENT_TYPE, "application/json");
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let answer = served.send(request.body(Body::from(body)).unwrap()).await;
    (
        answer.status.as_u16(),
        serde_json::from_slice(&answer.body).unwrap(),
    )
}

/// Asks until the answer is as wanted.
async fn until(served: &Served, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let (_, found) = send(served, "GET", path, Value::Null).await;
        if holds(&found) {
            return found;
        }
        assert!(begun.elapsed() < HANGS, "{path}: {found}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_replays_are_managed_over_http() {
    let served = served(0, RouterOptions::new());
    let receiver = Receiver::saying(500);
    let webhook = Webhook::new("siem", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .schedule([0, 3600]);
    served.log.webhooks().add(webhook).unwrap();
    emit(&served.log, 1..2);
    served.log.flush().unwrap();
    let dry_run = json!({"entries": {"event_type": "order.*"}, "dry_run": true});
    let (status, counted) = send(&served, "POST", "/siem/replay", dry_run).await;
    assert_eq!(
        (status, &counted["entries"], &counted["deliveries"]),
        (200, &json!(1), &json!(1))
    );
    for (method, path, body, status, parameter) in [
        (
            "POST",
            "/siem/replay",
            json!({"dry_run": 1}),
            400,
            json!("dry_run"),
        ),
        ("DELETE", "/siem/replay", Value::Null, 409, json!("replay")),
        ("POST", "/siem/skip", Value::Null, 409, json!("delivery_id")),
        (
            "POST",
            "/siem/deliveries/msg_1/skip",
            Value::Null,
            404,
            Value::Null,
        ),
        (
            "POST",
            "/siem/deliveries/msg_1/resend",
            Value::Null,
            404,
            Value::Null,
        ),
        (
            "GET",
            "/siem/deliveries/msg_1",
            Value::Null,
            404,
            Value::Null,
        ),
        (
            "GET",
            "/other/deliveries/msg_1",
            Value::Null,
            404,
            Value::Null,
        ),
        ("POST", "/other/skip", Value::Null, 404, Value::Null),
    ] {
        let (found, problem) = send(&served, method, path, body).await;
        assert_eq!(
            (found, &problem["parameter"]),
            (status, &parameter),
            "{path}: {problem}"
        );
    }

    let replay = json!({"entries": {"event_type": "none.*"}});
    let (status, asked) = send(&served, "POST", "/siem/replay", replay).await;
    assert_eq!(
        (status, &asked["dispatcher"]),
        (202, &Value::Null),
        "nobody delivers: {asked}"
    );
    let (status, _) = send(&served, "DELETE", "/siem/replay", Value::Null).await;
    assert_eq!(status, 202);
    let dispatcher = served.log.webhooks().run().unwrap();
    until(&served, "/siem", |shown| {
        shown["replay"]["state"] == "cancelled"
    })
    .await;
    until(&served, "/siem", |shown| {
        shown["status"]["failed_attempts"] == 1
    })
    .await;
    let (status, skipped) = send(&served, "POST", "/siem/skip", Value::Null).await;
    assert_eq!(status, 202);
    assert!(skipped["dispatcher"]["pid"].is_u64(), "{skipped}");
    let delivery = format!(
        "/siem/deliveries/{}",
        skipped["delivery_id"].as_str().unwrap()
    );
    let shown = until(&served, &delivery, |shown| shown["state"] == "dead_letter").await;
    assert!(
        shown["request"]["body"]
            .as_str()
            .unwrap()
            .contains("order.placed"),
        "{shown}"
    );
    receiver.say(200);
    let resend = format!("{delivery}/resend");
    assert_eq!(send(&served, "POST", &resend, Value::Null).await.0, 202);
    until(&served, &delivery, |shown| shown["state"] == "delivered").await;
    drop(dispatcher);

    for event_type in ["replayed", "replay_cancelled", "skipped", "resent"] {
        let event_type = format!("audit.webhook.{event_type}");
        let all = records(served.dir.path());
        let found = all
            .iter()
            .find(|record| record["event_type"] == event_type.as_str());
        let found = found.unwrap_or_else(|| panic!("{event_type}"));
        assert_eq!(found["actor"]["type"], "api_key", "{found}");
    }
}
