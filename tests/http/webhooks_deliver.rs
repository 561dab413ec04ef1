//! Webhooks over HTTP: what arrives while they are managed.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use crate::http::{Served, record_one, served};
use crate::receiver::{Receiver, SAYS};
use crate::support::HANGS;
use axum::http::Method;
use serde_json::{Value, json};
use tracing_audit::http::RouterOptions;

const HOOKS: &str = "/audit/webhooks";

/// To receivers on loopback, which the operator allows.
fn allowing() -> Served {
    served(
        0,
        RouterOptions::new()
            .webhook_egress(["loopback"])
            .webhook_allow_http(true),
    )
}

fn to(receiver: &Receiver) -> Value {
    json!({
        "name": "siem", "url": receiver.url, "event_types": ["invoice.*"], "allow_http": true, "egress": ["loopback"],
        "schedule_seconds": [0],
    })
}

/// Looks until what is told is as wanted.
async fn until(served: &Served, path: &str, is_wanted: impl Fn(&Value) -> bool) {
    let start = Instant::now();
    loop {
        let told = served.get(path).await.json();
        if is_wanted(&told) {
            return;
        }
        assert!(start.elapsed() < HANGS, "{told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns when the dispatcher has seen what was changed before: it serves a webhook that was added
/// after that.
async fn noticed(served: &Served, name: &str) {
    let witness = Receiver::new();
    let mut wanted = to(&witness);
    (wanted["name"], wanted["event_types"]) = (name.into(), json!(["audit.access.read"]));
    assert_eq!(served.post(HOOKS, wanted).await.status, 201);
    assert_eq!(served.get(HOOKS).await.status, 200);
    witness.wait_for("what the log says of that", |came| came.first().map(|_| ()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_a_gap() {
    let (served, receiver) = (allowing(), Receiver::new());
    let old = served.post(HOOKS, to(&receiver)).await.json()["signing_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let tested = served.act("/audit/webhooks/siem/test").await;
    assert_eq!(
        (tested.status.as_u16(), &tested.json()["delivered"]),
        (200, &json!(true)),
        "{}",
        tested.json()
    );
    let rotated = served.act("/audit/webhooks/siem/signing-secrets").await;
    assert_eq!(rotated.status, 201);
    let new = rotated.json()["signing_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        rotated.json()["signing_secrets"].as_array().unwrap().len(),
        2
    );
    let _dispatcher = served.log.webhooks().run().unwrap();
    record_one(&served.log);
    receiver.wait_for("a delivery", |came| {
        came.iter()
            .any(|came| came.request.event_type() == "invoice.sent")
            .then_some(())
    });
    let retired = served
        .act("/audit/webhooks/siem/signing-secrets/retire")
        .await
        .json();
    assert_eq!(retired["signing_secrets"], json!([{"set": true}]));
    served.act("/audit/webhooks/siem/test").await;

    let signed = |secret: &str| {
        receiver.look(|came| {
            came.iter()
                .map(|came| came.request.is_signed_with(secret))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        (signed(&old), signed(&new)),
        (vec![true, true, false], vec![false, true, true])
    );
    for _ in 0..4 {
        assert_eq!(
            served
                .act("/audit/webhooks/siem/signing-secrets")
                .await
                .status,
            201
        );
    }
    served
        .act("/audit/webhooks/siem/signing-secrets")
        .await
        .problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_tells_what_came_of_it() {
    let (served, receiver) = (allowing(), Receiver::new());
    served.post(HOOKS, to(&receiver)).await;
    served.act("/audit/webhooks/siem/pause").await;
    receiver.say(418);
    let failed = served.act("/audit/webhooks/siem/test").await.json();
    assert_eq!(
        (&failed["delivered"], &failed["status"]),
        (&json!(false), &json!(418))
    );
    assert_eq!(failed["answer"], SAYS);
    let came = receiver.wait_for("the test", |came| Some(came.first()?.request.entry()));
    assert_eq!(
        (&came["event_type"], &came["actor"]["name"]),
        (&json!("audit.webhook.tested"), &json!("admin key"))
    );
    assert_eq!(came["id"], failed["first_entry_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_or_sent_long_ago_is_sent_again_under_the_same_ids() {
    let (served, receiver) = (allowing(), Receiver::new());
    served.post(HOOKS, to(&receiver)).await;
    let _dispatcher = served.log.webhooks().run().unwrap();
    record_one(&served.log);
    let delivered = receiver.wait_for("a delivery", |came| {
        Some(came.first()?.request.id().to_owned())
    });
    receiver.say(404);
    record_one(&served.log);
    let letters = "/audit/webhooks/siem/dead-letters";
    until(&served, "/audit/webhooks/siem", |told| {
        told["status"]["dead_lettered"] == 1
    })
    .await;
    let dead = served.get(letters).await.json();
    let letter = &dead["dead_letters"][0];
    assert_eq!(
        (&dead["total"], &letter["entries"][0]["event_type"]),
        (&json!(1), &json!("invoice.sent")),
        "{dead}"
    );
    assert_eq!(
        served.get(&format!("{letters}?offset=1")).await.json()["dead_letters"],
        json!([])
    );
    let status = served.get("/audit/webhooks/siem").await.json();
    assert_eq!(status["status"]["dead_lettered"], 1);
    assert!(
        status["status"]["last_attempt"]
            .as_str()
            .unwrap()
            .ends_with('Z'),
        "{status}"
    );
    until(&served, "/audit/webhooks/siem/attempts?limit=1", |told| {
        told["attempts"].as_array().unwrap().len() == 1
    })
    .await;
    let metrics = String::from_utf8(served.get("/audit/metrics").await.body).unwrap();
    for line in [
        "# TYPE tracing_audit_webhook_delivered_total counter",
        "tracing_audit_webhook_delivered_total{webhook=\"siem\"} 1",
        "tracing_audit_webhook_dead_lettered_total{webhook=\"siem\"} 1",
        "tracing_audit_webhook_waiting_deliveries{webhook=\"siem\"} 0",
        "tracing_audit_webhook_lag_seconds{webhook=\"siem\"} 0",
        "tracing_audit_webhook_up{webhook=\"siem\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }

    receiver.say(200);
    let asked = served
        .post("/audit/webhooks/siem/replay", json!({"dead_letters": true}))
        .await;
    assert_eq!(asked.status, 202);
    let id = letter["delivery_id"].as_str().unwrap().to_owned();
    receiver.wait_for("the dead letter", |came| {
        came.iter()
            .any(|came| came.was_taken() && came.request.id() == id)
            .then_some(())
    });
    let before = receiver.count();
    let range = json!({"entries": {"event_type": ["invoice.sent", "invoice.paid"], "start_date": "2020-01-01"}});
    assert_eq!(
        served
            .post("/audit/webhooks/siem/replay", range)
            .await
            .status,
        202
    );
    receiver.wait_for("the range", |came| (came.len() >= before + 2).then_some(()));
    assert_eq!(
        receiver.taken_of("invoice.sent"),
        BTreeSet::from([delivered, id]),
        "the same ids again"
    );
    let replayed = served.records("audit.webhook.replayed");
    assert_eq!(
        (replayed.len(), &replayed[0]["actor"]["name"]),
        (2, &json!("admin key"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_webhook_goes_on_where_it_was() {
    let (served, first, second) = (allowing(), Receiver::new(), Receiver::new());
    served.post(HOOKS, to(&first)).await;
    let _dispatcher = served.log.webhooks().run().unwrap();
    record_one(&served.log);
    first.wait_for("a delivery", |came| (came.len() == 1).then_some(()));
    served.act("/audit/webhooks/siem/pause").await;
    noticed(&served, "after-pause").await;
    record_one(&served.log);
    let patch = json!({"url": second.url, "signing_secrets": []});
    assert_eq!(
        served
            .call(Method::PATCH, "/audit/webhooks/siem", Some(&patch))
            .await
            .status,
        200
    );
    served.act("/audit/webhooks/siem/resume").await;
    second.wait_for("what was recorded before the change", |came| {
        (came.len() == 1).then_some(())
    });
    // Also while it runs.
    let patch = json!({"url": first.url});
    assert_eq!(
        served
            .call(Method::PATCH, "/audit/webhooks/siem", Some(&patch))
            .await
            .status,
        200
    );
    noticed(&served, "after-change").await;
    record_one(&served.log);
    first.wait_for("what was recorded after the change", |came| {
        (came.len() == 2).then_some(())
    });
    assert_eq!(second.count(), 1);
}

/// Gives the webhook so many dead letters of two entries each, with a detail of this length. They
/// have the form in which an older version kept them, which is read without a log that has the
/// entries.
fn bury(served: &Served, count: usize, len: usize) {
    let state = served.dir.path().join("state");
    let webhooks = fs::read(state.join("webhooks.json")).unwrap();
    let webhooks: Value = serde_json::from_slice(&webhooks).unwrap();
    let id = webhooks["webhooks"][0]["id"].as_str().unwrap();
    let text = "x".repeat(len);
    let entry = |n: usize| {
        json!({
            "stream": "a-1", "seq": n + 1, "id": format!("0193f2a4-7c1e-7d31-9f65-{n:012x}"),
            "timestamp": "2025-01-15T10:30:00.123456Z", "event_type": "invoice.sent",
            "details": {"number": n, "text": text},
        })
    };
    let letter = |n: usize| {
        let letter = json!({
            "webhook_id": format!("msg_{n}"), "endpoint": "siem", "attempts": 1, "why": "404",
            "given_up": "2025-01-15T10:30:00Z", "entries": [entry(2 * n), entry(2 * n + 1)],
        });
        format!("{letter}\n")
    };
    let letters: String = (0..count).map(letter).collect();
    fs::create_dir_all(state.join("dead-letters")).unwrap();
    let file = format!("dead-letters/siem.{id}.jsonl");
    fs::write(state.join(file), letters).unwrap();
}

#[tokio::test]
async fn an_answer_with_dead_letters_ends_before_its_entries_have_more_than_eight_mebibytes() {
    const COUNT: usize = 90;
    let (served, receiver) = (allowing(), Receiver::new());
    assert_eq!(served.post(HOOKS, to(&receiver)).await.status, 201);
    bury(&served, COUNT, 60_000);
    let mut numbers = BTreeSet::new();
    let (mut offset, mut answers) = (0, 0);
    loop {
        let path = format!("{HOOKS}/siem/dead-letters?limit=100&offset={offset}");
        let answer = served.get(&path).await;
        assert!(answer.body.len() < 9 << 20, "{}", answer.body.len());
        let told = answer.json();
        let letters = told["dead_letters"].as_array().unwrap();
        let entries = letters.iter().filter_map(|one| one["entries"].as_array());
        numbers.extend(
            entries
                .flatten()
                .map(|entry| entry["details"]["number"].as_u64()),
        );
        offset += letters.len();
        answers += 1;
        assert_eq!(
            (&told["total"], &told["has_more"]),
            (&json!(COUNT), &json!(offset < COUNT))
        );
        if offset >= COUNT {
            break;
        }
    }
    assert_eq!((numbers.len(), answers), (2 * COUNT, 2));
    bury(&served, 2, 9 << 19);
    let told = served
        .get(&format!("{HOOKS}/siem/dead-letters"))
        .await
        .json();
    assert_eq!(
        told["dead_letters"].as_array().unwrap().len(),
        1,
        "one is given, however long"
    );
}
