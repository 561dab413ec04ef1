//! Webhooks over HTTP: who may, what is refused, what arrives, and that no secret is told.

#![cfg(all(feature = "server", feature = "webhook"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "support/endpoint.rs"]
mod endpoint;
#[path = "support/http.rs"]
mod http;
mod support;

use std::os::unix::fs::PermissionsExt as _;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use endpoint::Receiver;
use http::{Answer, Served, record_one, served, token};
use serde_json::{Value, json};
use tracing_audit::{
    AuditLog, RouterOptions, Scope, read_only_router,
    webhook::{SigningSecret, Subscription},
};

const HOOKS: &str = "/audit/webhooks";

async fn send(served: &Served, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {}", served.token));
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    served.send(request.body(body).unwrap()).await
}

async fn post(served: &Served, path: &str, body: Value) -> Answer {
    send(served, Method::POST, path, Some(&body)).await
}

async fn act(served: &Served, path: &str) -> Answer {
    send(served, Method::POST, path, None).await
}

/// To a receiver on loopback, which the operator allows.
fn allowing() -> Served {
    served(0, RouterOptions::new().webhook_egress(["loopback"]).webhook_allow_http(true))
}

fn to(receiver: &Receiver) -> Value {
    json!({
        "name": "siem", "url": receiver.url, "event_types": ["invoice.*"], "allow_http": true, "egress": ["loopback"],
        "schedule_seconds": [0],
    })
}

fn https(name: &str) -> Value {
    json!({ "name": name, "url": "https://siem.example.com/hooks", "event_types": ["auth.*"] })
}

fn records(served: &Served, event_type: &str) -> Vec<Value> {
    support::records(served.dir.path()).into_iter().filter(|record| record["event_type"] == event_type).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_looked_at_changed_and_removed() {
    let served = served(0, RouterOptions::new());
    let mut wanted = https("siem");
    wanted["url"] = "https://siem.example.com/hooks?key=query-1414213562".into();
    wanted["api_key"] = "key-3141592653".into();
    wanted["headers"] = json!({"x-team": "header-2718281828"});
    let added = post(&served, HOOKS, wanted).await;
    assert_eq!((added.status.as_u16(), added.header(header::LOCATION)), (201, "/audit/webhooks/siem"));
    let added = added.json();
    let secret = added["signing_secret"].as_str().unwrap().to_owned();
    secret.parse::<SigningSecret>().unwrap();

    let one = served.get("/audit/webhooks/siem").await.json();
    let all = served.get(HOOKS).await.json();
    for told in [&added, &one, &all["webhooks"][0]] {
        assert_eq!((&told["name"], &told["state"], &told["declared"]), (&json!("siem"), &json!("active"), &json!(false)));
        assert_eq!(told["api_key"], json!({"set": true}));
        assert_eq!(told["signing_secrets"], json!([{"set": true}]));
        assert_eq!(told["headers"], json!({"x-team": {"set": true}}));
        assert_eq!((&told["waiting_requests"], &told["oldest_waiting"]), (&json!(0), &Value::Null));
        assert_eq!((&told["lag_seconds"], &told["status"]["delivered"]), (&json!(0.0), &json!(0)));
        assert!(told.get("id").is_none() && told.get("revision").is_none() && told.get("paused").is_none(), "{told}");
    }
    assert!(one.get("signing_secret").is_none());
    post(&served, HOOKS, https("siem")).await.problem(409);

    let patch = |body: Value| {
        let request = Request::patch("/audit/webhooks/siem")
            .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
            .header(header::CONTENT_TYPE, "application/merge-patch+json; charset=utf-8");
        served.send(request.body(Body::from(body.to_string())).unwrap())
    };
    let changed = patch(json!({"event_types": ["auth.*", "user.deleted"], "api_key": null, "tenant_id": "acme"})).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!((&changed["event_types"][1], &changed["tenant_id"]), (&json!("user.deleted"), &json!("acme")));
    assert!(changed.get("api_key").is_none());
    assert_eq!(changed["signing_secrets"], json!([{"set": true}]), "what is not named stays");
    assert_eq!(patch(json!({"name": "other"})).await.problem(400)["parameter"], "name");
    assert_eq!(patch(json!({"signing_secrets": changed["signing_secrets"]})).await.problem(400)["parameter"], "signing_secrets");

    assert_eq!(act(&served, "/audit/webhooks/siem/pause").await.json()["state"], "paused");
    assert_eq!(act(&served, "/audit/webhooks/siem/resume").await.json()["state"], "active");
    assert_eq!(served.get("/audit/webhooks/siem/deliveries").await.json(), json!({"deliveries": []}));
    assert_eq!(served.get("/audit/webhooks/siem/dead-letters?limit=5").await.json(), json!({"dead_letters": [], "total": 0}));
    let removed = send(&served, Method::DELETE, "/audit/webhooks/siem", None).await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    served.get("/audit/webhooks/siem").await.problem(404);
    for unsigned in [json!({"unsigned": true}), json!({"signing_secrets": []})] {
        let mut wanted = https("plain");
        wanted.as_object_mut().unwrap().extend(unsigned.as_object().unwrap().clone());
        let added = post(&served, HOOKS, wanted).await;
        assert_eq!(added.status, 201);
        let added = added.json();
        assert!(added.get("signing_secret").is_none() && added.get("signing_secrets").is_none(), "{added}");
        send(&served, Method::DELETE, "/audit/webhooks/plain", None).await;
    }

    // Who did it is in the log, and no secret is.
    served.log.close().unwrap();
    for (event_type, count) in [("added", 3), ("changed", 1), ("paused", 1), ("resumed", 1), ("removed", 3)] {
        let found = records(&served, &format!("audit.subscription.{event_type}"));
        assert_eq!(found.len(), count, "{event_type}");
        assert_eq!((&found[0]["actor"]["type"], &found[0]["actor"]["name"]), (&json!("api_key"), &json!("admin key")));
        assert_eq!((&found[0]["ip_address"], &found[0]["details"]["endpoint"]), (&json!("192.0.2.7"), &json!("siem")));
    }
    assert_eq!(records(&served, "audit.subscription.changed")[0]["details"]["settings"], json!(["event_types", "tenant_id", "api_key"]));
    assert!(records(&served, "audit.access.read").len() >= 4, "each look is recorded");
    let all = support::lines(served.dir.path()).join("\n");
    assert!(all.contains("https://siem.example.com/hooks?") && !all.contains("query-1414213562"));
    for secret in ["key-3141592653", "header-2718281828", &secret[6..]] {
        assert!(!all.contains(secret));
        for told in [&added, &one, &changed] {
            let mut told = told.clone();
            told.as_object_mut().unwrap().remove("signing_secret");
            assert!(!told.to_string().contains(secret), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_with_secrets_are_the_owners_alone() {
    let served = served(0, RouterOptions::new());
    let secret = post(&served, HOOKS, https("siem")).await.json()["signing_secret"].as_str().unwrap().to_owned();
    let mut found = 0;
    for file in support::files(served.dir.path()) {
        if String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains(&secret) {
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
            found += 1;
        }
    }
    assert_eq!(found, 1, "it is kept in one place");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_of_all_tenants_gets_in() {
    let served = served(0, RouterOptions::new());
    let keys = [
        (token(served.dir.path(), Scope::Read, None), 403),
        (token(served.dir.path(), Scope::Export, None), 403),
        (token(served.dir.path(), Scope::Admin, Some("acme")), 403),
        ("ta_00000000_x".to_owned(), 401),
    ];
    post(&served, HOOKS, https("siem")).await;
    let routes = [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/siem"),
        ("PATCH", "/siem"),
        ("DELETE", "/siem"),
        ("POST", "/siem/pause"),
        ("POST", "/siem/resume"),
        ("POST", "/siem/test"),
        ("POST", "/siem/replay"),
        ("POST", "/siem/signing-secrets"),
        ("POST", "/siem/signing-secrets/retire"),
        ("GET", "/siem/deliveries"),
        ("GET", "/siem/dead-letters"),
    ];
    for (method, route) in routes {
        for (key, expected) in &keys {
            let request =
                Request::builder().method(method).uri(format!("{HOOKS}{route}")).header(header::AUTHORIZATION, format!("Bearer {key}"));
            let answer = served.send(request.body(Body::empty()).unwrap()).await;
            answer.problem(*expected);
        }
        // A browser that is logged in is no tool for another site.
        if method != "GET" {
            let request = Request::builder().method(method).uri(format!("{HOOKS}{route}")).header("sec-fetch-site", "cross-site");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", served.token));
            served.send(request.body(Body::empty()).unwrap()).await.problem(403);
        }
        let missing = route.replace("/siem", "/nobody");
        if missing != route {
            let method = method.parse().unwrap();
            let body = match (&method, route) {
                (&Method::PATCH, _) => Some(json!({})),
                (_, "/siem/replay") => Some(json!({"dead_letters": true})),
                _ => None,
            };
            send(&served, method, &format!("{HOOKS}{missing}"), body.as_ref()).await.problem(404);
        }
    }
    assert_eq!(served.get("/audit/webhooks/siem").await.json()["state"], "active", "nothing of it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_set_is_named() {
    let served = served(0, RouterOptions::new());
    for (setting, value) in [
        ("name", json!("a/b")),
        ("url", json!("no url")),
        ("url", json!("http://siem.example.com/")),
        ("url", json!("https://10.0.0.1/")),
        ("event_types", json!([])),
        ("event_types", json!("auth.*")),
        ("colour", json!("red")),
        ("id", json!("x")),
        ("revision", json!(7)),
        ("declared", json!({"by": "a", "place": "b"})),
        ("paused", json!(true)),
        ("unsigned", json!("yes")),
        ("api_key", json!("env:HOME")),
        ("signing_secrets", json!(["file:/etc/passwd"])),
        ("extra_ca", json!("/etc/passwd")),
        ("identity", json!("/etc/passwd")),
        ("egress", json!(["loopback"])),
        ("allow_http", json!(true)),
        ("batch", json!({"max_entries": 5, "colour": "red"})),
        ("batch", json!({"max_entries": 5000})),
        ("event_types", json!(["Auth.*"])),
        ("exclude", json!(["Auth.*"])),
        ("headers", json!({"host": "a.example.com"})),
        ("format_options", json!({"index": "audit"})),
        ("schedule_seconds", json!([])),
        ("timeout_ms", json!(0)),
    ] {
        let mut body = https("siem");
        body[setting] = value;
        let problem = post(&served, HOOKS, body).await.problem(400);
        assert_eq!(problem["parameter"].as_str().unwrap().split('.').next(), Some(setting), "{problem}");
        let option = match setting {
            "egress" => "webhook_egress",
            "allow_http" => "webhook_allow_http",
            _ => continue,
        };
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(option) && detail.contains(&format!("--{}", option.replace('_', "-"))), "{problem}");
    }
    let raw = |kind: &str, body: String| {
        let request = Request::post(HOOKS).header(header::AUTHORIZATION, format!("Bearer {}", served.token));
        served.send(request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap())
    };
    let malformed = raw("application/json", "{\"name\":\n \"siem\",}".to_owned()).await.problem(400);
    assert!(malformed["detail"].as_str().unwrap().contains("line 2 column"), "{malformed}");
    raw("application/json", "[]".to_owned()).await.problem(400);
    raw("application/json", String::new()).await.problem(400);
    raw("text/plain", https("siem").to_string()).await.problem(415);
    raw("application/json", format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024))).await.problem(413);
    let stream = Body::from_stream(tokio_stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024]))));
    let endless = Request::post(HOOKS).header(header::AUTHORIZATION, format!("Bearer {}", served.token));
    served.send(endless.header(header::CONTENT_TYPE, "application/json").body(stream).unwrap()).await.problem(413);
    post(&served, "/audit/webhooks/siem/pause", json!({"x": 1})).await.problem(413);
    send(&served, Method::PUT, "/audit/webhooks/siem", None).await.problem(405);
    send(&served, Method::POST, &format!("{HOOKS}?dry_run=1"), Some(&https("siem"))).await.problem(400);
    assert_eq!(served.get(HOOKS).await.json(), json!({"webhooks": []}), "none of them was added");

    post(&served, HOOKS, https("siem")).await;
    for body in
        [json!({}), json!({"entries": {}}), json!({"dead_letters": false}), json!({"entries": {"colour": "red"}}), json!({"all": true})]
    {
        post(&served, "/audit/webhooks/siem/replay", body).await.problem(400);
    }
    served.get("/audit/webhooks/siem/deliveries?limit=0").await.problem(400);
    served.get("/audit/webhooks/siem/dead-letters?colour=red").await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_recorded_is_not_done() {
    let served = allowing();
    post(&served, HOOKS, https("siem")).await;
    let app = Router::new().nest("/audit", read_only_router(served.dir.path(), RouterOptions::new().unrecorded_reads(true)).unwrap());
    let Served { log, app: _, token, dir } = served;
    let reading = Served { log, app, token, dir };
    assert_eq!(reading.get("/audit/webhooks/siem").await.status, 200);
    post(&reading, HOOKS, https("other")).await.problem(503);
    act(&reading, "/audit/webhooks/siem/pause").await.problem(503);
    act(&reading, "/audit/webhooks/siem/test").await.problem(503);

    reading.log.close().unwrap();
    let app = Router::new().nest("/audit", reading.log.router(RouterOptions::new().unrecorded_reads(true)).unwrap());
    let closed = Served { app, ..reading };
    post(&closed, HOOKS, https("other")).await.problem(503);
    send(&closed, Method::PATCH, "/audit/webhooks/siem", Some(&json!({"tenant_id": "a"}))).await.problem(503);
    send(&closed, Method::DELETE, "/audit/webhooks/siem", None).await.problem(503);
    post(&closed, "/audit/webhooks/siem/replay", json!({"dead_letters": true})).await.problem(503);
    let all = closed.get(HOOKS).await.json();
    assert_eq!(all["webhooks"].as_array().unwrap().len(), 1);
    assert!(all["webhooks"][0].get("tenant_id").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_a_gap() {
    let (served, receiver) = (allowing(), Receiver::new());
    let old = post(&served, HOOKS, to(&receiver)).await.json()["signing_secret"].as_str().unwrap().to_owned();
    let tested = act(&served, "/audit/webhooks/siem/test").await;
    assert_eq!((tested.status.as_u16(), &tested.json()["delivered"]), (200, &json!(true)), "{}", tested.json());
    let rotated = act(&served, "/audit/webhooks/siem/signing-secrets").await;
    assert_eq!(rotated.status, 201);
    let new = rotated.json()["signing_secret"].as_str().unwrap().to_owned();
    assert_eq!(rotated.json()["signing_secrets"].as_array().unwrap().len(), 2);
    let _forwarder = served.log.forward().unwrap();
    record_one(&served.log);
    receiver.wait_for("a delivery", |came| came.iter().any(|came| came.event_type() == "invoice.sent").then_some(()));
    let retired = act(&served, "/audit/webhooks/siem/signing-secrets/retire").await.json();
    assert_eq!(retired["signing_secrets"], json!([{"set": true}]));
    act(&served, "/audit/webhooks/siem/test").await;

    let signed: Vec<_> = {
        let came = receiver.came.lock().unwrap();
        came.iter().map(|came| (came.is_signed_with(&old), came.is_signed_with(&new))).collect()
    };
    assert_eq!(signed, [(true, false), (true, true), (false, true)]);
    for _ in 0..4 {
        assert_eq!(act(&served, "/audit/webhooks/siem/signing-secrets").await.status, 201);
    }
    act(&served, "/audit/webhooks/siem/signing-secrets").await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_tells_what_came_of_it() {
    let (served, receiver) = (allowing(), Receiver::new());
    post(&served, HOOKS, to(&receiver)).await;
    act(&served, "/audit/webhooks/siem/pause").await;
    receiver.answer(StatusCode::IM_A_TEAPOT);
    let failed = act(&served, "/audit/webhooks/siem/test").await.json();
    assert_eq!((&failed["delivered"], &failed["status"]), (&json!(false), &json!(418)));
    assert_eq!(failed["answer"], "what the receiver says");
    let came = receiver.wait_for("the test", |came| Some(came.first()?.data()));
    assert_eq!((&came["event_type"], &came["actor"]["name"]), (&json!("audit.subscription.tested"), &json!("admin key")));
    assert_eq!(came["id"], failed["first_entry_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_or_sent_long_ago_is_sent_again_under_the_same_ids() {
    let (served, receiver) = (allowing(), Receiver::new());
    post(&served, HOOKS, to(&receiver)).await;
    let _forwarder = served.log.forward().unwrap();
    record_one(&served.log);
    receiver.wait_for("a delivery", |came| came.iter().any(|came| came.status.is_success()).then_some(()));
    let delivered = receiver.accepted("invoice.sent");
    receiver.answer(StatusCode::NOT_FOUND);
    record_one(&served.log);
    let letters = "/audit/webhooks/siem/dead-letters";
    let mut dead = json!({});
    for _ in 0..500 {
        dead = served.get(letters).await.json();
        if dead["total"] == 1 && served.get("/audit/webhooks/siem").await.json()["status"]["dead_lettered"] == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let letter = &dead["dead_letters"][0];
    assert_eq!((&dead["total"], &letter["entries"][0]["event_type"]), (&json!(1), &json!("invoice.sent")), "{dead}");
    assert_eq!(served.get(&format!("{letters}?offset=1")).await.json()["dead_letters"], json!([]));
    let attempts = served.get("/audit/webhooks/siem/deliveries?limit=1").await.json();
    let status = served.get("/audit/webhooks/siem").await.json();
    assert_eq!(status["status"]["dead_lettered"], 1);
    assert!(status["status"]["last_attempt"].as_str().unwrap().ends_with('Z'), "{status}");
    assert!(attempts["deliveries"].as_array().unwrap().len() <= 1);
    let metrics = String::from_utf8(served.get("/audit/metrics").await.body).unwrap();
    for line in [
        "# TYPE tracing_audit_webhook_delivered_total counter",
        "tracing_audit_webhook_delivered_total{endpoint=\"siem\"} 1",
        "tracing_audit_webhook_dead_lettered_total{endpoint=\"siem\"} 1",
        "tracing_audit_webhook_waiting_requests{endpoint=\"siem\"} 0",
        "tracing_audit_webhook_lag_seconds{endpoint=\"siem\"} 0",
        "tracing_audit_webhook_up{endpoint=\"siem\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }

    receiver.answer(StatusCode::OK);
    let asked = post(&served, "/audit/webhooks/siem/replay", json!({"dead_letters": true})).await;
    assert_eq!(asked.status, 202);
    let id = letter["webhook_id"].as_str().unwrap().to_owned();
    receiver.wait_for("the dead letter", |came| {
        came.iter().any(|came| came.status.is_success() && came.header("webhook-id") == id).then_some(())
    });
    let before = receiver.came.lock().unwrap().len();
    let range = json!({"entries": {"event_type": ["invoice.sent", "invoice.paid"], "start_date": "2020-01-01"}});
    assert_eq!(post(&served, "/audit/webhooks/siem/replay", range).await.status, 202);
    receiver.wait_for("the range", |came| (came.len() >= before + 2).then_some(()));
    let all: std::collections::BTreeSet<_> = delivered.into_iter().chain([id]).collect();
    assert_eq!(receiver.accepted("invoice.sent"), all, "the same ids again");
    let replayed = records(&served, "audit.subscription.replayed");
    assert_eq!((replayed.len(), &replayed[0]["actor"]["name"]), (2, &json!("admin key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_changed_where_it_is_declared() {
    let served = served(0, RouterOptions::new());
    let declared = || Subscription::new("siem", "https://siem.example.com/hooks", ["auth.*"]);
    let chat = || Subscription::new("chat", "https://chat.example.com/hooks", ["auth.*"]);
    served.log.declare_subscriptions(vec![declared(), chat()]).unwrap();
    let told = served.get("/audit/webhooks/siem").await.json();
    assert_eq!((&told["declared"], &told["declared_in"]), (&json!(true), &json!("the application tracing-audit")));
    let refused = send(&served, Method::PATCH, "/audit/webhooks/siem", Some(&json!({"tenant_id": "a"}))).await.problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("the application tracing-audit"), "{refused}");
    send(&served, Method::DELETE, "/audit/webhooks/siem", None).await.problem(409);
    act(&served, "/audit/webhooks/siem/signing-secrets").await.problem(409);
    assert!(served.log.unsubscribe("siem").unwrap_err().to_string().contains("is declared in"));
    assert!(served.log.update_subscription(declared()).is_err());
    assert_eq!(act(&served, "/audit/webhooks/siem/pause").await.status, 200);

    // Again, by a new start: what is the same stays, paused as well; what changed goes on; what is gone goes.
    let other = AuditLog::builder(served.dir.path()).source("billing").open().unwrap();
    let error = other.declare_subscriptions(vec![declared()]).unwrap_err().to_string();
    assert!(error.contains("siem: ") && error.contains("the application tracing-audit"), "{error}");
    other.subscribe(Subscription::new("by-hand", "https://hand.example.com/", ["*"])).unwrap();
    other.declare_subscriptions(vec![]).unwrap();
    other.close().unwrap();
    for _ in 0..2 {
        served.log.declare_subscriptions(vec![declared().tenant_id("acme")]).unwrap();
    }
    let all = served.get(HOOKS).await.json();
    let all: Vec<_> =
        all["webhooks"].as_array().unwrap().iter().map(|one| (one["name"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    assert_eq!(all, [("siem", "paused"), ("by-hand", "active")]);
    for wrong in [vec![declared(), declared()], vec![declared(), Subscription::new("x", "http://x/", ["*"])]] {
        served.log.declare_subscriptions(wrong).unwrap_err();
        assert_eq!(served.log.subscriptions().unwrap().len(), 2, "nothing was changed");
    }
    let counts = ["added", "changed", "removed"].map(|what| records(&served, &format!("audit.subscription.{what}")).len());
    assert_eq!(counts, [3, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_webhook_goes_on_where_it_was() {
    let (served, first, second) = (allowing(), Receiver::new(), Receiver::new());
    post(&served, HOOKS, to(&first)).await;
    let _forwarder = served.log.forward().unwrap();
    record_one(&served.log);
    first.wait_for("a delivery", |came| (came.len() == 1).then_some(()));
    act(&served, "/audit/webhooks/siem/pause").await;
    std::thread::sleep(std::time::Duration::from_millis(1500));
    record_one(&served.log);
    let patch = json!({"url": second.url, "signing_secrets": []});
    assert_eq!(send(&served, Method::PATCH, "/audit/webhooks/siem", Some(&patch)).await.status, 200);
    act(&served, "/audit/webhooks/siem/resume").await;
    second.wait_for("what was recorded before the change", |came| (came.len() == 1).then_some(()));
    // Also while it runs.
    let patch = json!({"url": first.url});
    assert_eq!(send(&served, Method::PATCH, "/audit/webhooks/siem", Some(&patch)).await.status, 200);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    record_one(&served.log);
    first.wait_for("what was recorded after the change", |came| (came.len() == 2).then_some(()));
    assert_eq!(second.came.lock().unwrap().len(), 1);
}

#[test]
fn two_processes_that_change_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let logs: Vec<_> = ["a", "b", "c"].map(|source| AuditLog::builder(dir.path()).source(source).open().unwrap()).into();
    std::thread::scope(|scope| {
        for log in &logs {
            scope.spawn(move || {
                for n in 0..5 {
                    let name = format!("{}-{n}", log.stream().source());
                    log.subscribe(Subscription::new(&name, "https://siem.example.com/", ["*"])).unwrap();
                    assert!(log.rotate_signing_secret(&name).unwrap().is_some());
                    assert!(log.pause_subscription(&name, true).unwrap());
                }
            });
        }
    });
    let all = logs[0].subscriptions().unwrap();
    assert_eq!((all.len(), all.iter().filter(|one| one.subscription.is_paused()).count()), (15, 15));
    assert!(logs[1].rotate_signing_secret("nobody").unwrap().is_none() && !logs[1].retire_signing_secrets("nobody").unwrap());
    assert!(!logs[1].update_subscription(Subscription::new("nobody", "https://a.example.com/", ["*"])).unwrap());
    let debug = format!("{all:?}");
    assert!(!debug.contains("whsec_"), "{debug}");
}
