//! Settings over HTTP: for how long entries stay, in all processes.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tracing_audit::http::RouterOptions;

use crate::http::{Answer, Served, served};

async fn patch(served: &Served, patch: &Value) -> Answer {
    let request = Request::builder()
        .method(Method::PATCH)
        .uri("/audit/settings")
        .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
        .header(header::CONTENT_TYPE, "application/merge-patch+json")
        .body(Body::from(patch.to_string()))
        .unwrap();
    served.send(request).await
}

#[tokio::test]
async fn the_retention_is_changed_with_who_did_it_and_what_it_was() {
    let served = served(1, RouterOptions::new());
    let unset = json!({"retention_days": null});
    assert_eq!(served.get("/audit/settings").await.json(), unset);
    for days in [json!(30), json!(365), json!("unlimited"), json!(null)] {
        let wanted = json!({"retention_days": days});
        assert_eq!(patch(&served, &wanted).await.json(), wanted);
        assert_eq!(served.get("/audit/settings").await.json(), wanted);
    }
    // These change nothing.
    for nothing in [json!({}), unset.clone()] {
        assert_eq!(patch(&served, &nothing).await.json(), unset);
    }
    served.log.flush().unwrap();
    let changes = served.records("audit.setting.changed");
    let details = changes.iter().map(|entry| &entry["details"]);
    let values: Vec<_> = details
        .map(|details| (details["before"].clone(), details["after"].clone()))
        .collect();
    let expected = [
        (json!(null), json!(30)),
        (json!(30), json!(365)),
        (json!(365), json!("unlimited")),
        (json!("unlimited"), json!(null)),
    ];
    assert_eq!(values, expected);
    assert_eq!(changes[0]["actor"]["name"], "admin key");
    assert_eq!(changes[0]["details"]["setting"], "retention_days");
}

#[tokio::test]
async fn nothing_else_can_be_set() {
    let served = served(1, RouterOptions::new());
    for (wanted, setting) in [
        (json!({"retention_days": 29}), "retention_days"),
        (json!({"retention_days": 366}), "retention_days"),
        (json!({"retention_days": "90"}), "retention_days"),
        (json!({"retention_days": -1}), "retention_days"),
        (json!({"dir": "/tmp"}), "dir"),
        (json!({"retention_days": 90, "mode": "0644"}), "mode"),
    ] {
        let problem = patch(&served, &wanted).await.problem(400);
        assert_eq!(problem["parameter"], setting);
    }
    let unset = json!({"retention_days": null});
    assert_eq!(served.get("/audit/settings").await.json(), unset);
    served.log.flush().unwrap();
    assert_eq!(served.records("audit.setting.refused").len(), 6);
}
