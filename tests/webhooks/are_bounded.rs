//! A log has a hundred webhooks at most: each costs memory, a delivery of its own and a place that
//! retention waits for.

use crate::http::served;
use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::json;
use tracing_audit::{Error, RouterOptions, webhook::Subscription};

fn hook(n: usize) -> Subscription {
    Subscription::new(
        format!("hook-{n}"),
        "https://siem.example.com/hooks",
        ["auth.*"],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_is_refused_everywhere() {
    let served = served(0, RouterOptions::new());
    let log = &served.log;
    log.declare_subscriptions((0..99).map(hook).collect())
        .unwrap();
    log.subscribe(hook(99)).unwrap();

    let says = "there are 100 webhooks already";
    let refused = log.subscribe(hook(100)).unwrap_err();
    assert!(
        matches!(&refused, Error::Conflict(problem) if problem.contains(says)),
        "{refused}"
    );
    let refused = log
        .declare_subscriptions((1..102).map(hook).collect())
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
        .subscriptions()
        .unwrap()
        .iter()
        .map(|report| report.subscription.name().to_owned())
        .collect();
    assert_eq!(
        names,
        (0..100).map(|n| format!("hook-{n}")).collect::<Vec<_>>(),
        "nothing was changed"
    );
    // Whoever removes one can add another, and declaring a hundred others in place of those that
    // were is no more than a hundred.
    assert!(log.unsubscribe("hook-99").unwrap());
    log.subscribe(hook(100)).unwrap();
    log.declare_subscriptions((200..299).map(hook).collect())
        .unwrap();
    assert_eq!(log.subscriptions().unwrap().len(), 100);
}
