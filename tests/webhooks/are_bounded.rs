//! A log has a hundred webhooks at most: each costs memory, a delivery of its own and a place that
//! retention waits for.

use crate::http::served;
use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::json;
use tracing_audit::{Error, http::RouterOptions, webhook::Webhook};

fn hook(n: usize) -> Webhook {
    Webhook::new(
        format!("hook-{n}"),
        "https://siem.example.com/hooks",
        ["auth.*"],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_is_refused_everywhere() {
    let served = served(0, RouterOptions::new());
    let log = &served.log;
    log.webhooks().declare((0..99).map(hook).collect()).unwrap();
    log.webhooks().add(hook(99)).unwrap();

    let says = "there are 100 webhooks already";
    let refused = log.webhooks().add(hook(100)).unwrap_err();
    assert!(
        matches!(&refused, Error::Conflict(problem) if problem.contains(says)),
        "{refused}"
    );
    let refused = log
        .webhooks()
        .declare((1..102).map(hook).collect())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("100 webhooks"), "{refused}");

    let body = json!({"name": "hook-100", "url": "https://siem.example.com/hooks", "event_types": ["auth.*"]});
    let request = Request::post("/audit/webhooks")
        .header(header::AUTHORIZATION, format!("Bearer {}", served.token));
    let request = request
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let problem = served.send(request).await.problem(409);
    assert!(
        problem["detail"].as_str().unwrap().contains(says),
        "{problem}"
    );

    let names: Vec<String> = log
        .webhooks()
        .list()
        .unwrap()
        .iter()
        .map(|report| report.webhook.name().to_owned())
        .collect();
    assert_eq!(
        names,
        (0..100).map(|n| format!("hook-{n}")).collect::<Vec<_>>(),
        "nothing was changed"
    );
    // Whoever removes one can add another, and declaring a hundred others in place of those that
    // were is no more than a hundred.
    assert!(log.webhooks().remove("hook-99").unwrap());
    log.webhooks().add(hook(100)).unwrap();
    log.webhooks()
        .declare((200..299).map(hook).collect())
        .unwrap();
    assert_eq!(log.webhooks().list().unwrap().len(), 100);
}
