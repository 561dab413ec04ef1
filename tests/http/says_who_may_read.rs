//! Who gets in, what it sees, and that all of it is in the log.

use crate::http::{Answer, Served, served, token};
use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tracing_audit::http::{Access, Denied, RouterOptions, Scope, read_only_router};

async fn with(served: &Served, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    served.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn each_scope_opens_its_doors() {
    let served = served(4, RouterOptions::new());
    let keys = [Scope::Read, Scope::Export, Scope::Admin]
        .map(|scope| format!("Bearer {}", token(served.dir.path(), scope, None)));
    for (path, expected) in [
        ("/audit/entries", [401, 200, 200, 200]),
        (
            "/audit/entries/0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
            [401, 404, 404, 404],
        ),
        ("/audit/stats", [401, 200, 200, 200]),
        ("/audit/export?format=zip", [401, 403, 200, 200]),
        ("/audit/export?format=ndjson", [401, 403, 200, 200]),
        ("/audit/metrics", [401, 200, 200, 200]),
        ("/audit/healthz", [200; 4]),
        ("/audit/readyz", [200; 4]),
        ("/audit/nothing", [404; 4]),
    ] {
        for (key, expected) in [None, Some(&keys[0]), Some(&keys[1]), Some(&keys[2])]
            .into_iter()
            .zip(expected)
        {
            let answer = with(&served, path, key.map(String::as_str)).await;
            assert_eq!(answer.status.as_u16(), expected, "{path} {key:?}");
            if expected >= 400 {
                answer.problem(expected);
            }
            if expected == 401 || expected == 403 {
                assert!(
                    answer
                        .header(header::WWW_AUTHENTICATE)
                        .starts_with("Bearer")
                );
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    let served = served(1, RouterOptions::new());
    let good = served.token.clone();
    let other = format!(
        "{}{}",
        &good[..good.len() - 1],
        if good.ends_with('x') { 'y' } else { 'x' }
    );
    for wrong in [
        &format!("Bearer {other}"),
        "Bearer",
        "Bearer ",
        &good,
        &format!("Basic {good}"),
        &format!("Bearer {good} x"),
    ] {
        with(&served, "/audit/entries", Some(wrong))
            .await
            .problem(401);
    }
    assert_eq!(
        with(&served, "/audit/entries", Some(&format!("bearer {good}")))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_tenants_token_sees_its_own() {
    let served = served(20, RouterOptions::new());
    let key = format!(
        "Bearer {}",
        token(served.dir.path(), Scope::Export, Some("acme"))
    );
    let all = served
        .get("/audit/entries?event_type=invoice.sent")
        .await
        .json();
    assert_eq!(all["entries"].as_array().unwrap().len(), 20);
    let own = with(
        &served,
        "/audit/entries?event_type=invoice.sent",
        Some(&key),
    )
    .await
    .json();
    let own = own["entries"].as_array().unwrap();
    assert_eq!(own.len(), 10);
    for entry in all["entries"].as_array().unwrap() {
        let mine = entry["tenant_id"] == "acme";
        assert_eq!(own.contains(entry), mine);
        let answer = with(
            &served,
            &format!("/audit/entries/{}", entry["id"].as_str().unwrap()),
            Some(&key),
        )
        .await;
        if mine {
            assert_eq!(answer.json(), *entry)
        } else {
            drop(answer.problem(404))
        }
    }
    for format in ["ndjson", "gz", "zip"] {
        let answer = with(
            &served,
            &format!("/audit/export?format={format}"),
            Some(&key),
        )
        .await;
        let text = match format {
            "ndjson" => String::from_utf8(answer.body).unwrap(),
            "gz" => {
                std::io::read_to_string(flate2::read::GzDecoder::new(&answer.body[..])).unwrap()
            }
            _ => {
                let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
                let manifest = zip.by_name("manifest.json").unwrap();
                let manifest: Value = serde_json::from_reader(manifest).unwrap();
                let entries = manifest["entries"].as_array().unwrap().iter();
                let texts = entries.map(|entry| {
                    assert_eq!(entry["files"], json!([]), "files are of all tenants");
                    let file = zip.by_name(entry["name"].as_str().unwrap()).unwrap();
                    std::io::read_to_string(file).unwrap()
                });
                texts.collect()
            }
        };
        assert!(text.lines().count() >= 10, "{format}: {text}");
        assert!(
            text.lines()
                .all(|line| line.contains("\"tenant_id\":\"acme\"")),
            "{format}: {text}"
        );
    }
    let problem = with(&served, "/audit/entries?tenant_id=globex", Some(&key))
        .await
        .problem(400);
    assert_eq!(problem["parameter"], "tenant_id");
    assert_eq!(
        with(&served, "/audit/entries?tenant_id=acme", Some(&key))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_tenants_name_excludes_no_other_tenant() {
    let served = served(4, RouterOptions::new());
    let token = token(served.dir.path(), Scope::Read, Some("!globex"));
    let key = format!("Bearer {token}");
    let own = with(&served, "/audit/entries", Some(&key)).await.json();
    assert_eq!(own["entries"], serde_json::json!([]));
    for (tenant, status) in [("!globex", 400), ("acme", 400), (r"\!globex", 200)] {
        let path = format!("/audit/entries?tenant_id={tenant}");
        let answer = with(&served, &path, Some(&key)).await;
        assert_eq!(answer.status.as_u16(), status, "{tenant}");
    }
}

#[tokio::test]
async fn every_access_is_in_the_log() {
    let served = served(3, RouterOptions::new());
    let read = format!("Bearer {}", token(served.dir.path(), Scope::Read, None));
    let request = Request::get("/audit/entries?event_type=invoice.sent&limit=2")
        .header(header::AUTHORIZATION, &read)
        .header(header::USER_AGENT, "auditor \"1\"")
        .header("x-request-id", "req-1")
        .body(Body::empty())
        .unwrap();
    let page = served.send(request).await;
    assert_eq!(page.headers["x-request-id"], "req-1");
    let id = page.json()["entries"][0]["id"].as_str().unwrap().to_owned();
    with(&served, &format!("/audit/entries/{id}"), Some(&read)).await;
    with(&served, "/audit/export", Some(&read))
        .await
        .problem(403);
    with(&served, "/audit/entries", None).await.problem(401);
    served.get("/audit/export?format=gz").await;
    for probe in ["healthz", "readyz", "metrics"] {
        served.get(&format!("/audit/{probe}")).await;
    }
    served.get("/audit/entries?limit=0").await.problem(400);

    let records = served.accesses(6);
    let types: Vec<_> = records
        .iter()
        .map(|record| {
            record["event_type"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
        })
        .collect();
    let expected = [
        "read",
        "read",
        "denied",
        "denied",
        "exported",
        "export_ended",
    ];
    assert_eq!(types, expected);
    let first = &records[0];
    assert_eq!(first["actor"]["type"], "api_key");
    assert_eq!(first["actor"]["id"], read["Bearer ta_".len()..][..8]);
    assert_eq!(first["actor"]["name"], "read key");
    assert_eq!(first["ip_address"], "192.0.2.7");
    assert_eq!(first["user_agent"], "auditor \"1\"");
    assert_eq!(first["context"]["request_id"], "req-1");
    assert_eq!(first["outcome"]["type"], "success");
    assert_eq!(first["details"]["path"], "/audit/entries");
    assert_eq!(first["details"]["parameters"]["limit"], "2");
    assert_eq!(first["details"]["entries"], 2);
    assert_eq!(records[2]["outcome"]["reason"], "authorization");
    assert_eq!(
        records[3]["actor"],
        serde_json::json!({"type": "anonymous"})
    );
    assert_eq!(records[3]["outcome"]["reason"], "authentication");
    assert_eq!(records[4]["details"]["status"], 200);
    // None of them has the token.
    let secrets = [&read[20..], &served.token[12..]];
    assert!(
        crate::support::lines(served.dir.path())
            .iter()
            .all(|line| secrets.iter().all(|secret| !line.contains(secret)))
    );
}

#[tokio::test]
async fn what_cant_be_recorded_is_not_given() {
    let closed = served(3, RouterOptions::new());
    closed.log.close().unwrap();
    for path in [
        "/audit/entries",
        "/audit/export",
        "/audit/export?format=ndjson",
    ] {
        let answer = closed.get(path).await;
        assert!(
            answer.problem(503)["detail"]
                .as_str()
                .unwrap()
                .contains("closed")
        );
    }
    let app = read_only_router(closed.dir.path(), RouterOptions::new()).unwrap();
    let refusing = Served {
        app: axum::Router::new().nest("/audit", app),
        ..closed
    };
    refusing.get("/audit/entries").await.problem(503);
    let app = read_only_router(
        refusing.dir.path(),
        RouterOptions::new().unrecorded_reads(true),
    )
    .unwrap();
    let giving = Served {
        app: axum::Router::new().nest("/audit", app),
        ..refusing
    };
    assert_eq!(
        giving.get("/audit/entries").await.json()["entries"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_no_flood_of_entries() {
    let served = served(1, RouterOptions::new());
    for _ in 0..500 {
        with(&served, "/audit/entries", Some("Bearer ta_00000000_x"))
            .await
            .problem(401);
    }
    let Served { log, app, dir, .. } = served;
    // What is left to be counted is recorded when the server ends.
    drop(app);
    log.close().unwrap();
    let mut denied = crate::support::records(dir.path());
    denied.retain(|record| record["event_type"] == "audit.access.denied");
    // Ten in each minute of an address, and one that counts the others.
    assert!(denied.len() <= 22, "{}", denied.len());
    let counts = denied.iter().map(|record| &record["details"]);
    let counted = |details: &serde_json::Value| details["unrecorded"].as_u64().unwrap_or(1);
    assert_eq!(counts.clone().map(counted).sum::<u64>(), 500);
    let by_caller: u64 = counts
        .filter_map(|details| details["unrecorded_by_caller"]["192.0.2.7"].as_u64())
        .sum();
    assert!(by_caller >= 480, "{by_caller}");
}

#[tokio::test]
async fn each_text_of_a_request_is_recorded_up_to_256_bytes() {
    let served = served(1, RouterOptions::new());
    let long = "ä".repeat(6000);
    let request = Request::get(format!("/audit/entries/{}", "x".repeat(20_000)))
        .header(header::USER_AGENT, long.as_bytes())
        .header("x-request-id", long.as_bytes())
        .body(Body::empty())
        .unwrap();
    served.send(request).await.problem(401);
    let entry = &served.accesses(1)[0];
    for text in [
        &entry["user_agent"],
        &entry["details"]["path"],
        &entry["context"]["request_id"],
    ] {
        assert!(text.as_str().unwrap().len() <= 256, "{text}");
    }
    assert!(entry.to_string().len() < 1500, "{entry}");
}

#[tokio::test]
async fn a_tenants_token_learns_nothing_of_others() {
    let served = served(20, RouterOptions::new());
    let key = token(served.dir.path(), Scope::Export, Some("acme"));
    let key = Some(format!("Bearer {key}"));
    // The one exists at another tenant, the other nowhere.
    let there = "/audit/entries?actor=user-1&order=asc";
    let nowhere = "/audit/entries?actor=nobody&order=asc";
    assert_ne!(
        served.get(there).await.json()["entries"],
        serde_json::json!([])
    );
    let there = with(&served, there, key.as_deref()).await.json();
    let nowhere = with(&served, nowhere, key.as_deref()).await.json();
    assert_eq!(there, nowhere);
    with(&served, "/audit/metrics", key.as_deref())
        .await
        .problem(403);

    for asked in ["entries", "export"] {
        let path = format!("/audit/{asked}?tenant_id=globex");
        with(&served, &path, key.as_deref()).await.problem(400);
    }
    let mut denied = served.accesses(6);
    denied.retain(|record| record["event_type"] == "audit.access.denied");
    let paths: Vec<_> = denied.iter().map(|one| &one["details"]["path"]).collect();
    assert_eq!(paths, ["/audit/metrics", "/audit/entries", "/audit/export"]);
    assert_eq!(denied[1]["details"]["wanted_tenant_id"], "globex");
    assert_eq!(denied[1]["tenant_id"], "acme");
    for entry in denied {
        assert_eq!(entry["actor"]["name"], "export key");
        assert_eq!(entry["outcome"]["reason"], "authorization");
    }
}

#[tokio::test]
async fn the_application_decides_itself() {
    let authorizer = |request: &axum::http::request::Parts| match request
        .headers
        .get("x-user")
        .map(|user| user.to_str().unwrap())
    {
        None => Err(Denied::Unauthenticated("nobody".to_owned())),
        Some("guest") => Err(Denied::Forbidden("guests don't read".to_owned())),
        Some(user) => Ok(Access {
            actor_type: "user".to_owned(),
            id: user.to_owned(),
            name: String::new(),
            scope: Scope::Read,
            tenant: Some("acme".to_owned()),
        }),
    };
    let served = served(4, RouterOptions::new().authorizer(authorizer));
    served.get("/audit/entries").await.problem(401);
    let as_user = async |user: &str| {
        let headers = [(header::HeaderName::from_static("x-user"), user)];
        served
            .get_with("/audit/entries?event_type=*", &headers)
            .await
    };
    assert_eq!(
        as_user("guest").await.problem(403)["detail"],
        "guests don't read"
    );
    assert_eq!(
        as_user("ann").await.json()["entries"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    served.log.close().unwrap();
    let read = served
        .accesses(1)
        .into_iter()
        .find(|record| record["event_type"] == "audit.access.read")
        .unwrap();
    assert_eq!(
        read["actor"],
        serde_json::json!({"type": "user", "id": "ann"})
    );
}

#[tokio::test]
async fn other_methods_and_bodies_are_refused() {
    let served = served(1, RouterOptions::new());
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        let request = Request::builder()
            .method(method)
            .uri("/audit/entries")
            .body(Body::empty())
            .unwrap();
        let answer = served.send(request).await;
        answer.problem(405);
        assert!(answer.header(header::ALLOW).contains("GET"));
    }
    served
        .send(
            Request::get("/audit/entries")
                .body(Body::from("{}"))
                .unwrap(),
        )
        .await
        .problem(413);
    served
        .get(&format!("/audit/entries?q={}", "x".repeat(25 * 1024)))
        .await
        .problem(414);
}

#[tokio::test]
async fn the_client_is_who_a_trusted_proxy_says() {
    // Requests of these tests come from 192.0.2.7.
    for (options, header, value, client) in [
        (
            RouterOptions::new(),
            "x-forwarded-for",
            "198.51.100.9",
            "192.0.2.7",
        ),
        (
            RouterOptions::new().trusted_proxies(["192.0.2.0/24"]),
            "x-forwarded-for",
            "203.0.113.5, 198.51.100.9, 192.0.2.8",
            "198.51.100.9",
        ),
        (
            RouterOptions::new()
                .trusted_proxies(["192.0.2.7"])
                .forwarded_header(true),
            "forwarded",
            "for=198.51.100.9",
            "198.51.100.9",
        ),
    ] {
        let served = served(1, options);
        let request = Request::get("/audit/entries")
            .header(header, value)
            .body(Body::empty())
            .unwrap();
        served.send(request).await.problem(401);
        assert_eq!(served.accesses(1)[0]["ip_address"], client, "{value}");
    }
    let wrong = RouterOptions::new().trusted_proxies(["10.0.0.0/40"]);
    let dir = tempfile::tempdir().unwrap();
    let error = crate::http::open(dir.path()).router(wrong).unwrap_err();
    assert!(error.to_string().contains("trusted_proxies"), "{error}");
}

#[tokio::test]
async fn a_request_for_another_host_is_refused_and_recorded() {
    let served = served(1, RouterOptions::new().hosts(["audit.example.com"]));
    for (host, path, status) in [
        ("audit.example.com:8443", "/audit/entries", 200),
        ("evil.example.com", "/audit/entries", 421),
        ("evil.example.com", "/audit/nothing", 421),
        // Probes come by address.
        ("10.1.2.3", "/audit/healthz", 200),
        ("10.1.2.3", "/audit/readyz", 200),
    ] {
        let answer = served.get_with(path, &[(header::HOST, host)]).await;
        assert_eq!(answer.status, status, "{host} {path}");
    }
    let denied: Vec<_> = served
        .accesses(3)
        .into_iter()
        .filter(|entry| entry["outcome"]["reason"] == "host")
        .collect();
    assert_eq!(denied.len(), 2);
    assert_eq!(denied[0]["details"]["status"], 421);
}
