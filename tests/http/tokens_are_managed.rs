//! Tokens over HTTP: made, shown once, listed and revoked, each time with who did it; and a file of
//! tokens that can't be read is an alarm.

use std::{fs, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tracing_audit::http::{NewToken, RouterOptions, Scope};

use crate::{
    http::{Answer, Served, served, token},
    support::until,
};

/// So long only something that hangs takes.
const HANGS: Duration = Duration::from_secs(30);

async fn as_holder(served: &Served, token: &str, method: Method, path: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    served.send(request).await
}

async fn entries(served: &Served, token: &str) -> u16 {
    let answer = as_holder(served, token, Method::GET, "/audit/entries").await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_token_is_made_shown_once_and_revoked_at_once() {
    let served = served(2, RouterOptions::new());
    let wanted = json!({
        "name": "siem", "scope": "export", "tenant_id": "acme", "expires": "2099-12-31",
    });
    let made = served.post("/audit/tokens", wanted).await;
    assert_eq!(made.status, 201);
    let shown = made.json();
    let (id, text) = (
        shown["id"].as_str().unwrap(),
        shown["token"].as_str().unwrap(),
    );
    assert_eq!(made.header(header::LOCATION), format!("/audit/tokens/{id}"));
    assert_eq!(shown["expires"], "2099-12-31T00:00:00.000000Z");
    assert_eq!(entries(&served, text).await, 200);

    let listed = served.get("/audit/tokens").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&text[12..]));
    let listed = listed.json();
    let found = listed["tokens"].as_array().unwrap();
    let found: Vec<_> = found.iter().filter(|one| one["id"] == id).collect();
    assert_eq!(found.len(), 1, "{listed}");
    for (name, value) in [("name", "siem"), ("scope", "export"), ("tenant_id", "acme")] {
        assert_eq!(found[0][name], value);
    }

    let path = format!("/audit/tokens/{id}");
    let revoked = served.call(Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(entries(&served, text).await, 401);
    let again = served.call(Method::DELETE, &path, None).await;
    again.problem(404);

    served.log.flush().unwrap();
    for event_type in ["audit.token.created", "audit.token.revoked"] {
        let entry = &served.records(event_type)[0];
        assert_eq!(entry["actor"]["type"], "api_key");
        assert_eq!(entry["actor"]["name"], "admin key");
        assert_eq!(entry["details"]["token_id"], id);
        assert_eq!(entry["ip_address"], "192.0.2.7");
        assert!(!entry.to_string().contains(&text[12..]));
    }
    assert_eq!(served.records("audit.token.refused").len(), 1);
}

#[tokio::test]
async fn what_the_application_changes_holds_at_once_in_its_own_server() {
    let served = served(1, RouterOptions::new());
    let new = NewToken {
        name: "auditor".to_owned(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    };
    let (info, text) = served.log.tokens().create(new).unwrap();
    assert_eq!(entries(&served, &text).await, 200);
    served.log.tokens().revoke(&info.id).unwrap();
    assert_eq!(entries(&served, &text).await, 401);
}

#[tokio::test]
async fn a_token_that_cant_be_made_is_refused_with_the_setting() {
    let served = served(1, RouterOptions::new());
    for (wanted, setting) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"name": "a", "scope": "root"}), "scope"),
        (json!({"name": "a", "tenant_id": ""}), "tenant_id"),
        (json!({"name": "a", "expires": "soon"}), "expires"),
        (json!({"name": "a", "expires": "2025-01-01"}), "expires"),
        (json!({"name": "a", "tenant": "acme"}), "tenant"),
    ] {
        let problem = served.post("/audit/tokens", wanted).await.problem(400);
        assert_eq!(problem["parameter"], setting);
    }
    assert_eq!(served.log.tokens().list().unwrap().len(), 1);
    served.log.flush().unwrap();
    let refused = served.records("audit.token.refused");
    assert_eq!(refused.len(), 8);
    assert_eq!(refused[3]["details"]["parameter"], "scope");
    assert_eq!(refused[3]["actor"]["name"], "admin key");
}

#[tokio::test]
async fn a_tenants_administrator_makes_no_tokens() {
    let served = served(1, RouterOptions::new());
    let own = token(served.dir.path(), Scope::Admin, Some("acme"));
    let request = Request::post("/audit/tokens")
        .header(header::AUTHORIZATION, format!("Bearer {own}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{\"name\":\"a\",\"tenant_id\":\"acme\"}"))
        .unwrap();
    served.send(request).await.problem(403);
    let denied = served.accesses(1);
    assert_eq!(denied[0]["details"]["path"], "/audit/tokens");
}

#[tokio::test]
async fn tokens_that_cant_be_read_are_an_alarm() {
    let served = served(1, RouterOptions::new().open_metrics(true));
    assert_eq!(entries(&served, &served.token).await, 200);
    let path = served.dir.path().join("state/tokens.json");
    let good = fs::read(&path).unwrap();
    let damages: [fn(&std::path::Path); 2] = [
        |path| fs::write(path, "{\"version\": 1, \"tok").unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        damage(&path);
        // Within a second: the tokens that are known stay for so long.
        let alarm = tokio::time::timeout(HANGS, wait_for_alarm(&served)).await;
        let problem = alarm.expect("an alarm");
        assert!(
            problem.starts_with("every token is refused: tokens.json is damaged: "),
            "{problem}"
        );
        let answer = as_holder(&served, &served.token, Method::GET, "/audit/entries").await;
        answer.problem(503);
        assert!(metric(&served).await.ends_with(" 1"));
        fs::write(&path, &good).unwrap();
        assert_eq!(entries(&served, &served.token).await, 200);
        assert_eq!(served.get("/audit/readyz").await.status, 200);
        assert!(metric(&served).await.ends_with(" 0"));
    }
}

async fn wait_for_alarm(served: &Served) -> String {
    loop {
        let ready: Value = served.get("/audit/readyz").await.json();
        if let Some(problem) = ready["problems"][0].as_str() {
            return problem.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metric(served: &Served) -> String {
    let metrics = served.get("/audit/metrics").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    let mut lines = metrics.lines();
    let found = lines.find(|line| line.starts_with("tracing_audit_http_tokens_unreadable"));
    found.unwrap().to_owned()
}

#[test]
fn what_another_process_revokes_is_refused_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    crate::http::write(dir.path(), 1);
    let log = crate::http::open(dir.path());
    let text = token(dir.path(), Scope::Read, None);
    let router = log.router(RouterOptions::new()).unwrap();
    let served = Served {
        app: axum::Router::new().nest("/audit", router),
        token: text.clone(),
        log,
        dir,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let status = || runtime.block_on(entries(&served, &text));
    assert_eq!(status(), 200);
    // As another process does it: by replacing the file.
    let path = served.dir.path().join("state/tokens.json");
    let empty = path.with_extension("new");
    fs::write(&empty, "{\"version\": 1, \"tokens\": []}").unwrap();
    fs::rename(&empty, &path).unwrap();
    until("the token is refused", || status() == 401);
}
