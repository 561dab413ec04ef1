//! Webhooks over HTTP: who may manage them, what is refused, and that no secret is told.

use std::os::unix::fs::PermissionsExt as _;

use crate::http::{Served, served, token};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tracing_audit::{
    AuditLog,
    http::{RouterOptions, Scope, read_only_router},
    webhook::{SigningSecret, Webhook},
};

const HOOKS: &str = "/audit/webhooks";

fn https(name: &str) -> Value {
    json!({ "name": name, "url": "https://siem.example.com/hooks", "event_types": ["auth.*"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_looked_at_changed_and_removed() {
    let served = served(0, RouterOptions::new());
    let mut wanted = https("siem");
    wanted["url"] = "https://siem.example.com/hooks?key=query-1414213562".into();
    wanted["api_key"] = "key-3141592653".into();
    wanted["headers"] = json!({"x-team": "header-2718281828"});
    let added = served.post(HOOKS, wanted).await;
    assert_eq!(
        (added.status.as_u16(), added.header(header::LOCATION)),
        (201, "/audit/webhooks/siem")
    );
    let added = added.json();
    let secret = added["signing_secret"].as_str().unwrap().to_owned();
    secret.parse::<SigningSecret>().unwrap();

    let one = served.get("/audit/webhooks/siem").await.json();
    let all = served.get(HOOKS).await.json();
    for told in [&added, &one, &all["webhooks"][0]] {
        assert_eq!(
            (&told["name"], &told["state"], &told["declared"]),
            (&json!("siem"), &json!("active"), &json!(false))
        );
        assert_eq!(told["api_key"], json!({"set": true}));
        assert_eq!(told["signing_secrets"], json!([{"set": true}]));
        assert_eq!(told["headers"], json!({"x-team": {"set": true}}));
        assert_eq!(
            (&told["waiting_deliveries"], &told["oldest_waiting"]),
            (&json!(0), &Value::Null)
        );
        assert_eq!(
            (&told["lag_seconds"], &told["status"]["delivered"]),
            (&json!(0.0), &json!(0))
        );
        assert!(
            told.get("id").is_none()
                && told.get("revision").is_none()
                && told.get("paused").is_none(),
            "{told}"
        );
    }
    assert!(one.get("signing_secret").is_none());
    served.post(HOOKS, https("siem")).await.problem(409);

    let patch = |body: Value| {
        let request = Request::patch("/audit/webhooks/siem")
            .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
            .header(
                header::CONTENT_TYPE,
                "application/merge-patch+json; charset=utf-8",
            );
        served.send(request.body(Body::from(body.to_string())).unwrap())
    };
    let changed = patch(
        json!({"event_types": ["auth.*", "user.deleted"], "api_key": null, "tenant_id": "acme"}),
    )
    .await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!(
        (&changed["event_types"][1], &changed["tenant_id"]),
        (&json!("user.deleted"), &json!("acme"))
    );
    assert!(changed.get("api_key").is_none());
    assert_eq!(
        changed["signing_secrets"],
        json!([{"set": true}]),
        "what is not named stays"
    );
    assert_eq!(
        patch(json!({"name": "other"})).await.problem(400)["parameter"],
        "name"
    );
    assert_eq!(
        patch(json!({"signing_secrets": changed["signing_secrets"]}))
            .await
            .problem(400)["parameter"],
        "signing_secrets"
    );

    assert_eq!(
        served.act("/audit/webhooks/siem/pause").await.json()["state"],
        "paused"
    );
    assert_eq!(
        served.act("/audit/webhooks/siem/resume").await.json()["state"],
        "active"
    );
    assert_eq!(
        served.get("/audit/webhooks/siem/attempts").await.json(),
        json!({"attempts": []})
    );
    assert_eq!(
        served
            .get("/audit/webhooks/siem/dead-letters?limit=5")
            .await
            .json(),
        json!({"dead_letters": [], "total": 0, "has_more": false})
    );
    let removed = served
        .call(Method::DELETE, "/audit/webhooks/siem", None)
        .await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    served.get("/audit/webhooks/siem").await.problem(404);
    for unsigned in [json!({"unsigned": true}), json!({"signing_secrets": []})] {
        let mut wanted = https("plain");
        wanted
            .as_object_mut()
            .unwrap()
            .extend(unsigned.as_object().unwrap().clone());
        let added = served.post(HOOKS, wanted).await;
        assert_eq!(added.status, 201);
        let added = added.json();
        assert!(
            added.get("signing_secret").is_none() && added.get("signing_secrets").is_none(),
            "{added}"
        );
        served
            .call(Method::DELETE, "/audit/webhooks/plain", None)
            .await;
    }

    // Who did it is in the log, and no secret is.
    served.log.close().unwrap();
    for (event_type, count) in [
        ("added", 3),
        ("changed", 1),
        ("paused", 1),
        ("resumed", 1),
        ("removed", 3),
    ] {
        let found = served.records(&format!("audit.webhook.{event_type}"));
        assert_eq!(found.len(), count, "{event_type}");
        assert_eq!(
            (&found[0]["actor"]["type"], &found[0]["actor"]["name"]),
            (&json!("api_key"), &json!("admin key"))
        );
        assert_eq!(
            (&found[0]["ip_address"], &found[0]["details"]["webhook"]),
            (&json!("192.0.2.7"), &json!("siem"))
        );
    }
    assert_eq!(
        served.records("audit.webhook.changed")[0]["details"]["settings"],
        json!(["event_types", "tenant_id", "api_key"])
    );
    assert!(
        served.records("audit.access.read").len() >= 4,
        "each look is recorded"
    );
    let all = crate::support::lines(served.dir.path()).join("\n");
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
    let secret = served.post(HOOKS, https("siem")).await.json()["signing_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut found = 0;
    for file in crate::support::files(served.dir.path()) {
        if String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains(&secret) {
            assert_eq!(
                std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                file.display()
            );
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
    served.post(HOOKS, https("siem")).await;
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
        ("GET", "/siem/attempts"),
        ("GET", "/siem/dead-letters"),
    ];
    for (method, route) in routes {
        for (key, expected) in &keys {
            let request = Request::builder()
                .method(method)
                .uri(format!("{HOOKS}{route}"))
                .header(header::AUTHORIZATION, format!("Bearer {key}"));
            let answer = served.send(request.body(Body::empty()).unwrap()).await;
            answer.problem(*expected);
        }
        // A browser that is logged in is no tool for another site.
        if method != "GET" {
            let request = Request::builder()
                .method(method)
                .uri(format!("{HOOKS}{route}"))
                .header("sec-fetch-site", "cross-site");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", served.token));
            served
                .send(request.body(Body::empty()).unwrap())
                .await
                .problem(403);
        }
        let missing = route.replace("/siem", "/nobody");
        if missing != route {
            let method = method.parse().unwrap();
            let body = match (&method, route) {
                (&Method::PATCH, _) => Some(json!({})),
                (_, "/siem/replay") => Some(json!({"dead_letters": true})),
                _ => None,
            };
            served
                .call(method, &format!("{HOOKS}{missing}"), body.as_ref())
                .await
                .problem(404);
        }
    }
    assert_eq!(
        served.get("/audit/webhooks/siem").await.json()["state"],
        "active",
        "nothing of it was done"
    );
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
        let problem = served.post(HOOKS, body).await.problem(400);
        assert_eq!(
            problem["parameter"].as_str().unwrap().split('.').next(),
            Some(setting),
            "{problem}"
        );
        let option = match setting {
            "egress" => "webhook_egress",
            "allow_http" => "webhook_allow_http",
            _ => continue,
        };
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(option) && detail.contains(&format!("--{}", option.replace('_', "-"))),
            "{problem}"
        );
    }
    let raw = |kind: &str, body: String| {
        let request =
            Request::post(HOOKS).header(header::AUTHORIZATION, format!("Bearer {}", served.token));
        served.send(
            request
                .header(header::CONTENT_TYPE, kind)
                .body(Body::from(body))
                .unwrap(),
        )
    };
    let malformed = raw("application/json", "{\"name\":\n \"siem\",}".to_owned())
        .await
        .problem(400);
    assert!(
        malformed["detail"]
            .as_str()
            .unwrap()
            .contains("line 2 column"),
        "{malformed}"
    );
    raw("application/json", "[]".to_owned()).await.problem(400);
    raw("application/json", String::new()).await.problem(400);
    raw("text/plain", https("siem").to_string())
        .await
        .problem(415);
    raw(
        "application/json",
        format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024)),
    )
    .await
    .problem(413);
    let stream = Body::from_stream(tokio_stream::iter(
        (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])),
    ));
    let endless =
        Request::post(HOOKS).header(header::AUTHORIZATION, format!("Bearer {}", served.token));
    served
        .send(
            endless
                .header(header::CONTENT_TYPE, "application/json")
                .body(stream)
                .unwrap(),
        )
        .await
        .problem(413);
    served
        .post("/audit/webhooks/siem/pause", json!({"x": 1}))
        .await
        .problem(413);
    served
        .call(Method::PUT, "/audit/webhooks/siem", None)
        .await
        .problem(405);
    served
        .call(
            Method::POST,
            &format!("{HOOKS}?dry_run=1"),
            Some(&https("siem")),
        )
        .await
        .problem(400);
    assert_eq!(
        served.get(HOOKS).await.json(),
        json!({"webhooks": [], "dispatcher": null}),
        "none of them was added"
    );

    served.post(HOOKS, https("siem")).await;
    for body in [
        json!({}),
        json!({"entries": {}}),
        json!({"dead_letters": false}),
        json!({"entries": {"colour": "red"}}),
        json!({"all": true}),
    ] {
        served
            .post("/audit/webhooks/siem/replay", body)
            .await
            .problem(400);
    }
    served
        .get("/audit/webhooks/siem/attempts?limit=0")
        .await
        .problem(400);
    served
        .get("/audit/webhooks/siem/dead-letters?colour=red")
        .await
        .problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_recorded_is_not_done() {
    let served = served(0, RouterOptions::new());
    served.post(HOOKS, https("siem")).await;
    let app = Router::new().nest(
        "/audit",
        read_only_router(
            served.dir.path(),
            RouterOptions::new().unrecorded_reads(true),
        )
        .unwrap(),
    );
    let Served {
        log,
        app: _,
        token,
        dir,
    } = served;
    let reading = Served {
        log,
        app,
        token,
        dir,
    };
    assert_eq!(reading.get("/audit/webhooks/siem").await.status, 200);
    reading.post(HOOKS, https("other")).await.problem(503);
    reading.act("/audit/webhooks/siem/pause").await.problem(503);
    reading.act("/audit/webhooks/siem/test").await.problem(503);

    reading.log.close().unwrap();
    let app = Router::new().nest(
        "/audit",
        reading
            .log
            .router(RouterOptions::new().unrecorded_reads(true))
            .unwrap(),
    );
    let closed = Served { app, ..reading };
    closed.post(HOOKS, https("other")).await.problem(503);
    closed
        .call(
            Method::PATCH,
            "/audit/webhooks/siem",
            Some(&json!({"tenant_id": "a"})),
        )
        .await
        .problem(503);
    closed
        .call(Method::DELETE, "/audit/webhooks/siem", None)
        .await
        .problem(503);
    closed
        .post("/audit/webhooks/siem/replay", json!({"dead_letters": true}))
        .await
        .problem(503);
    let all = closed.get(HOOKS).await.json();
    assert_eq!(all["webhooks"].as_array().unwrap().len(), 1);
    assert!(all["webhooks"][0].get("tenant_id").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_changed_where_it_is_declared() {
    let served = served(0, RouterOptions::new());
    let declared = || Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]);
    let chat = || Webhook::new("chat", "https://chat.example.com/hooks", ["auth.*"]);
    served
        .log
        .webhooks()
        .declare(vec![declared(), chat()])
        .unwrap();
    let told = served.get("/audit/webhooks/siem").await.json();
    assert_eq!(
        (&told["declared"], &told["declared_in"]),
        (&json!(true), &json!("the application tracing-audit"))
    );
    let refused = served
        .call(
            Method::PATCH,
            "/audit/webhooks/siem",
            Some(&json!({"tenant_id": "a"})),
        )
        .await
        .problem(409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("the application tracing-audit"),
        "{refused}"
    );
    served
        .call(Method::DELETE, "/audit/webhooks/siem", None)
        .await
        .problem(409);
    served
        .act("/audit/webhooks/siem/signing-secrets")
        .await
        .problem(409);
    assert!(
        served
            .log
            .webhooks()
            .remove("siem")
            .unwrap_err()
            .to_string()
            .contains("is declared in")
    );
    assert!(served.log.webhooks().set(declared()).is_err());
    assert_eq!(served.act("/audit/webhooks/siem/pause").await.status, 200);

    // Again, by a new start: what is the same stays, paused as well; what changed goes on; what is
    // gone goes.
    let other = AuditLog::builder(served.dir.path())
        .lifecycle(false)
        .source("billing")
        .open()
        .unwrap();
    let error = other
        .webhooks()
        .declare(vec![declared()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"siem\"") && error.contains("the application tracing-audit"),
        "{error}"
    );
    other
        .webhooks()
        .add(Webhook::new("by-hand", "https://hand.example.com/", ["*"]))
        .unwrap();
    other.webhooks().declare(vec![]).unwrap();
    other.close().unwrap();
    for _ in 0..2 {
        served
            .log
            .webhooks()
            .declare(vec![declared().tenant_id("acme")])
            .unwrap();
    }
    let all = served.get(HOOKS).await.json();
    let all: Vec<_> = all["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(all, [("siem", "paused"), ("by-hand", "active")]);
    for wrong in [
        vec![declared(), declared()],
        vec![declared(), Webhook::new("x", "http://x/", ["*"])],
    ] {
        served.log.webhooks().declare(wrong).unwrap_err();
        assert_eq!(
            served.log.webhooks().list().unwrap().len(),
            2,
            "nothing was changed"
        );
    }
    let counts = ["added", "changed", "removed"]
        .map(|what| served.records(&format!("audit.webhook.{what}")).len());
    assert_eq!(counts, [3, 1, 1]);
}

#[test]
fn two_processes_that_change_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let logs: Vec<_> = ["a", "b", "c"]
        .map(|source| {
            AuditLog::builder(dir.path())
                .lifecycle(false)
                .source(source)
                .open()
                .unwrap()
        })
        .into();
    std::thread::scope(|scope| {
        for log in &logs {
            scope.spawn(move || {
                for n in 0..5 {
                    let name = format!("{}-{n}", log.stream().source());
                    log.webhooks()
                        .add(Webhook::new(&name, "https://siem.example.com/", ["*"]))
                        .unwrap();
                    assert!(log.webhooks().rotate_secret(&name).unwrap().is_some());
                    assert!(log.webhooks().pause(&name).unwrap());
                }
            });
        }
    });
    let all = logs[0].webhooks().list().unwrap();
    assert_eq!(
        (all.len(), all.iter().filter(|one| one.is_paused()).count()),
        (15, 15)
    );
    assert!(
        logs[1]
            .webhooks()
            .rotate_secret("nobody")
            .unwrap()
            .is_none()
            && logs[1]
                .webhooks()
                .retire_secrets("nobody")
                .unwrap()
                .is_none()
    );
    assert!(
        !logs[1]
            .webhooks()
            .set(Webhook::new("nobody", "https://a.example.com/", ["*"]))
            .unwrap()
    );
    let debug = format!("{all:?}");
    assert!(!debug.contains("whsec_"), "{debug}");
}
