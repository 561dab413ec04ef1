//! Who tried to change webhooks over HTTP and was refused is in the log: not what they sent, and
//! not a flood of it.

use std::time::{Duration, Instant};

use crate::http::{Served, served, token};
use crate::support::HANGS;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};
use tracing_audit::http::{RouterOptions, Scope};

async fn send(served: &Served, method: &str, path: &str, body: &Value) -> StatusCode {
    send_by(&served.token, served, method, path, body).await
}

async fn send_by(
    token: &str,
    served: &Served,
    method: &str,
    path: &str,
    body: &Value,
) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(format!("/audit/webhooks{path}"));
    let request = request
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    served
        .send(
            request
                .body(Body::from(if body.is_null() {
                    String::new()
                } else {
                    body.to_string()
                }))
                .unwrap(),
        )
        .await
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_changes_are_recorded_without_what_was_sent() {
    let served = served(0, RouterOptions::new());
    // Of one caller, ten a minute are recorded.
    let callers = [(); 2].map(|()| token(served.dir.path(), Scope::Admin, None));
    let fine =
        json!({"name": "siem", "url": "https://siem.example.com/hooks", "event_types": ["auth.*"]});
    assert_eq!(send(&served, "POST", "", &fine).await, 201);
    let reached = json!({"name": "x", "url": "https://169.254.169.254/?key=secret-27182", "event_types": ["auth.*"], "api_key": "secret-31415"});
    let odd = json!({"name": "x", "secret-14142 \n": 1});
    let cases = [
        ("POST", "", &reached, 400, Some("url")),
        ("POST", "", &odd, 400, None),
        ("POST", "", &fine, 409, Some("name")),
        ("POST", "?dry=secret-17320", &fine, 400, Some("dry")),
        (
            "PATCH",
            "/siem",
            &json!({"egress": ["loopback"]}),
            400,
            Some("egress"),
        ),
        ("PATCH", "/siem", &json!([]), 400, None),
        (
            "POST",
            "/siem/replay",
            &json!({"entries": {}}),
            400,
            Some("entries"),
        ),
        ("DELETE", "/nobody", &Value::Null, 404, None),
        ("POST", "/nobody/pause", &Value::Null, 404, None),
        ("POST", "/nobody/test", &Value::Null, 404, None),
        ("POST", "/nobody/signing-secrets", &Value::Null, 404, None),
    ];
    for (n, (method, path, body, status, parameter)) in cases.into_iter().enumerate() {
        assert_eq!(
            send_by(&callers[n % 2], &served, method, path, body).await,
            status,
            "{method} {path} {body}"
        );
        let records = refused(&served, |records| records.len() > n);
        let record = &records[n];
        let details = &record["details"];
        let path = format!("/audit/webhooks{}", path.split('?').next().unwrap());
        let expected =
            json!({"method": method, "path": path, "status": status, "parameter": parameter});
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(
                details.get(name).unwrap_or(&Value::Null),
                value,
                "{method} {path} {body}: {record}"
            );
        }
        assert_eq!(
            (&record["actor"]["type"], &record["outcome"]["type"]),
            (&json!("api_key"), &json!("failure")),
            "{record}"
        );
    }
    let text = crate::support::lines(served.dir.path()).join("\n");
    assert!(!text.contains("secret-"), "{text}");

    // Of a flood, ten a minute have entries of their own. The others are only counted.
    for _ in 0..60 {
        assert_eq!(send(&served, "POST", "", &fine).await, 409);
    }
    served.log.flush().unwrap();
    assert_eq!(refused(&served, |_| true).len(), 11 + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_keeps_none_of_them_out() {
    let served = served(0, RouterOptions::new());
    let stranger = || {
        Request::builder()
            .uri("/audit/webhooks")
            .body(Body::empty())
            .unwrap()
    };
    for n in 1..=3 {
        for _ in 0..60 {
            assert_eq!(served.send(stranger()).await.status, 401);
        }
        assert_eq!(send(&served, "DELETE", "/nobody", &Value::Null).await, 404);
        refused(&served, |records| records.len() == n);
    }
}

/// The records of refusals, once they are as they should be.
fn refused(served: &Served, are_all: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let mut records = crate::support::records(served.dir.path());
        records.retain(|record| record["event_type"] == "audit.webhook.refused");
        if are_all(&records) {
            return records;
        }
        assert!(start.elapsed() < HANGS, "{records:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
