//! Holds over HTTP: placed, listed and released, each time with who did it.

use axum::http::{Method, header};
use serde_json::json;
use tracing_audit::http::RouterOptions;

use crate::http::served;

#[tokio::test]
async fn a_hold_says_who_placed_it_until_it_is_released() {
    let served = served(1, RouterOptions::new());
    let wanted =
        json!({"name": "case-17", "start_date": "2026-10-01", "reason": "Acme v. Example"});
    let placed = served.post("/audit/holds", wanted.clone()).await;
    assert_eq!(placed.status, 201);
    assert_eq!(placed.header(header::LOCATION), "/audit/holds/case-17");
    let hold = placed.json();
    assert_eq!(hold["start"], "2026-10-01T00:00:00.000000Z");
    assert_eq!(hold["placed_by"]["type"], "api_key");
    assert_eq!(hold["placed_by"]["name"], "admin key");
    let listed = served.get("/audit/holds").await.json();
    assert_eq!(listed["holds"], json!([hold]));
    let own = served.log.holds().list().unwrap();
    assert_eq!(
        own[0].placed_by().unwrap().name.as_deref(),
        Some("admin key")
    );

    let again = served.post("/audit/holds", wanted).await;
    assert_eq!(again.problem(400)["parameter"], "name");
    let path = "/audit/holds/case-17";
    assert_eq!(served.call(Method::DELETE, path, None).await.status, 204);
    served.call(Method::DELETE, path, None).await.problem(404);
    assert!(served.log.holds().list().unwrap().is_empty());

    served.log.flush().unwrap();
    for event_type in ["audit.hold.placed", "audit.hold.released"] {
        let entry = &served.records(event_type)[0];
        assert_eq!(entry["actor"]["name"], "admin key");
        assert_eq!(entry["details"]["hold"]["reason"], "Acme v. Example");
    }
    assert_eq!(served.records("audit.hold.refused").len(), 2);
}

#[tokio::test]
async fn a_hold_that_cant_be_placed_names_the_setting() {
    let served = served(1, RouterOptions::new());
    for (wanted, setting) in [
        (json!({}), "name"),
        (json!({"name": "a b"}), "name"),
        (json!({"name": "a", "start_date": "soon"}), "start_date"),
        (
            json!({"name": "a", "start_date": "2026-10-02", "end_date": "2026-10-01"}),
            "end_date",
        ),
        (json!({"name": "a", "until": "2026-10-01"}), "until"),
    ] {
        let problem = served.post("/audit/holds", wanted).await.problem(400);
        assert_eq!(problem["parameter"], setting);
    }
}
