//! `/openapi.json` says what is answered about webhooks.

use serde_json::{Value, json};

use crate::{compared::Compared, http::record_one, receiver::Receiver};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_webhooks_is_answered_as_described() {
    let compared = Compared::new().await;
    let receiver = Receiver::saying(500);
    let dispatcher = compared.served.log.webhooks().run().unwrap();
    let new = |name: &str, schedule: Value| {
        json!({
            "name": name, "url": receiver.url, "event_types": ["invoice.*"], "allow_http": true,
            "egress": ["loopback"], "schedule_seconds": schedule, "api_key": "key",
            "headers": {"x-team": "audit"}, "batch": {"max_entries": 1},
        })
    };
    let add = async |webhook| {
        compared
            .act("POST", "/webhooks", "/webhooks", Some(webhook))
            .await
    };
    assert_eq!(add(new("failed", json!([0]))).await.status, 201);
    assert_eq!(add(new("waits", json!([0, 3600]))).await.status, 201);
    assert_eq!(add(new("waits", json!([0]))).await.status, 409);
    assert_eq!(add(json!({"name": "siem"})).await.status, 400);
    record_one(&compared.served.log);
    record_one(&compared.served.log);
    dead_letters(&compared).await;
    waiting(&compared).await;
    changes(&compared).await;
    drop(dispatcher);
    let unseen = compared.description.unseen(&["2"]);
    let unseen: Vec<_> = unseen
        .iter()
        .filter(|what| what.contains("/webhooks"))
        .collect();
    assert_eq!(unseen, [""; 0]);
}

/// Of the webhook whose deliveries have all failed.
async fn dead_letters(compared: &Compared) {
    let of = "/webhooks/{name}/dead-letters";
    let path = "/webhooks/failed/dead-letters";
    let letters = compared.until(of, path, |told| told["total"] == 2).await;
    let id = letters["dead_letters"][0]["delivery_id"].as_str().unwrap();
    compared
        .get(
            "/webhooks/{name}/attempts",
            "/webhooks/failed/attempts?limit=1",
        )
        .await;
    let delivery = "/webhooks/{name}/deliveries/{id}";
    let path = format!("/webhooks/failed/deliveries/{id}");
    compared.get(delivery, &path).await;
    let resend = format!("{delivery}/resend");
    compared
        .act("POST", &resend, &format!("{path}/resend"), None)
        .await;
    let replay = "/webhooks/{name}/replay";
    for wanted in [
        json!({"dead_letters": true, "dry_run": true}),
        json!({"entries": {"event_type": "invoice.*"}, "dry_run": true}),
        json!({"entries": {"event_type": ["invoice.*"], "q": "x"}}),
        json!({"dead_letters": false}),
        json!({"entries": {"unknown": 1}}),
        json!({}),
    ] {
        compared
            .act("POST", replay, "/webhooks/failed/replay", Some(wanted))
            .await;
    }
}

/// Of the webhook whose deliveries wait for their next attempt.
async fn waiting(compared: &Compared) {
    let of = "/webhooks/{name}";
    let path = "/webhooks/waits";
    compared
        .until(of, path, |told| told["waiting_deliveries"] == 2)
        .await;
    let skip = "/webhooks/{name}/skip";
    let first = compared
        .act("POST", skip, "/webhooks/waits/skip", None)
        .await;
    assert_eq!(first.status, 202);
    compared
        .until(of, path, |told| told["waiting_deliveries"] == 1)
        .await;
    let attempts = "/webhooks/waits/attempts";
    let attempts = compared
        .get("/webhooks/{name}/attempts", attempts)
        .await
        .json();
    let skipped = &first.json()["delivery_id"];
    let attempts = attempts["attempts"].as_array().unwrap();
    let other = attempts.iter().find(|one| one["delivery_id"] != *skipped);
    let other = other.unwrap()["delivery_id"].as_str().unwrap();
    let of = "/webhooks/{name}/deliveries/{id}/skip";
    let path = format!("/webhooks/waits/deliveries/{other}/skip");
    compared.act("POST", of, &path, None).await;
}

async fn changes(compared: &Compared) {
    for name in ["pause", "test", "signing-secrets", "signing-secrets/retire"] {
        let of = format!("/webhooks/{{name}}/{name}");
        compared
            .act("POST", &of, &format!("/webhooks/waits/{name}"), None)
            .await;
    }
    compared.get("/webhooks", "/webhooks").await;
    let of = "/webhooks/{name}";
    let patch = json!({"tenant_id": "acme", "batch": null, "order": "strict"});
    compared
        .act("PATCH", of, "/webhooks/waits", Some(patch))
        .await;
    // It is paused, so that the replay waits until it is cancelled.
    let replay = "/webhooks/{name}/replay";
    let wanted = json!({"entries": {"event_type": "invoice.*"}});
    compared
        .act("POST", replay, "/webhooks/waits/replay", Some(wanted))
        .await;
    compared.get(of, "/webhooks/waits").await;
    compared
        .act("DELETE", replay, "/webhooks/waits/replay", None)
        .await;
    let of_resume = "/webhooks/{name}/resume";
    compared
        .act("POST", of_resume, "/webhooks/waits/resume", None)
        .await;
    compared.act("DELETE", of, "/webhooks/waits", None).await;
}
