//! `/openapi.json` says what is served: each route, each parameter, each answer.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};
use tracing_audit::{
    Filter,
    http::{RouterOptions, Scope},
};

use crate::{
    compared::{Compared, JSON, Sent},
    description::Description,
    every_route_has_its_rule::api_routes,
    http::{served, token},
};

/// Whatever asks for them may add parameters of its own, and must have an answer.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// A path about things that don't exist.
fn filled(path: &str) -> String {
    path.replace("{id}", "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")
        .replace("{name}", "nothing")
        .replace("{event_type}", "nothing.known")
}

#[tokio::test]
async fn each_route_is_described_and_nothing_else() {
    let served = served(0, RouterOptions::new());
    let description = Description::of(&served).await;
    let described = description.operations().into_iter().collect();
    assert_eq!(api_routes(), described);
    assert_eq!(description.json["openapi"], "3.1.0");
    assert_eq!(description.json["servers"], json!([{"url": "/audit"}]));
}

#[tokio::test]
async fn anyone_may_read_it_and_nothing_is_recorded() {
    let served = served(1, RouterOptions::new());
    let request = Request::get("/audit/openapi.json").body(Body::empty());
    let answer = served.send(request.unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    served.get("/audit/entries").await;
    // Entries keep the order of the accesses.
    let accesses = served.accesses(1);
    assert_eq!(accesses[0]["details"]["path"], "/audit/entries");
}

#[tokio::test]
async fn each_example_has_the_form_that_it_is_an_example_of() {
    let served = served(0, RouterOptions::new());
    let description = Description::of(&served).await;
    let examples = description.examples();
    assert!(examples.len() > 50, "{}", examples.len());
    for (at, schema, example) in examples {
        description.check_schema(&at, schema, example);
    }
}

#[tokio::test]
async fn each_refusal_is_as_described() {
    let compared = Compared::new().await;
    let of_tenant = token(compared.served.dir.path(), Scope::Read, Some("acme"));
    for (method, of) in compared.description.operations() {
        for (status, sent) in refused(&compared, &method, &of) {
            let what = format!("{method} {} {:?}", sent.path, sent.body);
            assert_eq!(compared.send(&of, sent).await.status, status, "{what}");
        }
        // Some of these may be answered; `every_route_has_its_rule` says which.
        let path = filled(&of);
        let mut by_tenant = Sent::new(&compared.served, &method, &path);
        by_tenant.token = Some(&of_tenant);
        compared.send(&of, by_tenant).await;
    }
    let statuses = ["400", "401", "413", "414", "415", "421"];
    assert_eq!(compared.description.unseen(&statuses), [""; 0]);
}

/// Requests for an operation that are refused, and how.
fn refused<'a>(compared: &'a Compared, method: &'a str, of: &str) -> Vec<(u16, Sent<'a>)> {
    let operation = compared.description.operation(method, of);
    let takes_body = operation["requestBody"].is_object();
    let path = filled(of);
    let sent = || Sent::new(&compared.served, method, &path);
    let with_query = |query: &str| Sent {
        path: format!("{path}?{query}"),
        ..sent()
    };
    let with_body = |body: String| Sent {
        body: Some(body),
        headers: &JSON,
        ..sent()
    };
    let large = " ".repeat(if takes_body { 70_000 } else { 1 });
    let mut all = vec![
        (414, with_query(&format!("q={}", "x".repeat(25_000)))),
        (413, with_body(large)),
    ];
    if !PROBES.contains(&of) {
        let elsewhere = Sent {
            headers: &[(header::HOST, "elsewhere.example")],
            ..sent()
        };
        all.extend([(400, with_query("unknown=1")), (421, elsewhere)]);
    }
    if takes_body {
        all.push((415, sent()));
        all.extend(["", "[]", "{"].map(|body| (400, with_body(body.to_owned()))));
    } else if of.contains('{') {
        all.push((404, sent()));
    }
    if operation["security"].is_array() {
        all.push((
            401,
            Sent {
                token: None,
                ..sent()
            },
        ));
    }
    all
}

#[tokio::test]
async fn what_reads_the_log_is_answered_as_described() {
    let compared = Compared::new().await;
    let page = compared.get("/entries", "/entries?limit=3").await.json();
    let id = page["entries"][0]["id"].as_str().unwrap();
    for query in [
        "order=asc",
        "offset=5",
        "actor=nobody",
        "order=arrival&cursor=now",
        "include=access&event_type=audit.*",
        "event_type=no.such",
        "limit=0",
        "offset=100000",
        "cursor=wrong",
        "ip_address=wrong",
        "q=%ff",
    ] {
        compared.get("/entries", &format!("/entries?{query}")).await;
    }
    for query in [
        "",
        "step=hour&top=3",
        "actor=user-1",
        "event_type=no.such",
        "step=second",
        "top=0",
        "top=-1",
        "fields=event_type,actor",
        "fields=tenant_id",
    ] {
        compared.get("/stats", &format!("/stats?{query}")).await;
    }
    compared
        .get("/entries/{id}", &format!("/entries/{id}"))
        .await;
    compared.get("/entries/{id}", "/entries/wrong").await;
    compared.get("/stream", "/stream").await;
    compared.get("/stream", "/stream?limit=1").await;
    let catalogue = compared.get("/event-types", "/event-types").await.json();
    assert_ne!(catalogue["event_types"], json!([]));
    let known = "/event-types/invoice.sent";
    assert_eq!(
        compared
            .get("/event-types/{event_type}", known)
            .await
            .status,
        200
    );
    for path in ["/metrics", "/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(compared.get(path, path).await.status, 200);
    }
    downloads(&compared).await;
    let unseen = compared.description.unseen(&["2", "3", "416", "412"]);
    let (managing, reading): (Vec<_>, Vec<_>) = unseen.into_iter().partition(|what| {
        let managed = ["/tokens", "/holds", "/settings", "/webhooks"];
        managed.iter().any(|path| what.contains(path))
    });
    assert!(!managing.is_empty());
    assert_eq!(reading, [""; 0]);
}

async fn downloads(compared: &Compared) {
    for query in [
        "format=zip",
        "format=gz",
        "format=ndjson&order=desc",
        "format=json",
        "format=csv&details=columns&bom=true",
        "format=gz&actor=user-1",
        "format=pdf",
        "format=xlsx",
        "order=desc",
        "bom=true",
        "format=csv&bom=yes",
    ] {
        compared.get("/export", &format!("/export?{query}")).await;
    }
    let path = "/export?start_date=2020-01-01&end_date=2099-12-31";
    let tag = compared.get("/export", path).await;
    let tag = tag.header(header::ETAG);
    for (name, value, status) in [
        (header::IF_MATCH, "\"other\"", 412),
        (header::IF_NONE_MATCH, tag, 304),
        (header::IF_NONE_MATCH, "*", 304),
        (header::RANGE, "bytes=5-", 206),
        (header::RANGE, "bytes=99999999-", 416),
    ] {
        let headers = [(name, value), (header::IF_RANGE, tag)];
        let sent = Sent {
            headers: &headers,
            ..Sent::new(&compared.served, "GET", path)
        };
        assert_eq!(
            compared.send("/export", sent).await.status,
            status,
            "{value}"
        );
    }
    let streamed = Sent {
        headers: &[(header::IF_NONE_MATCH, "*")],
        ..Sent::new(&compared.served, "GET", "/export?format=csv")
    };
    assert_eq!(compared.send("/export", streamed).await.status, 304);
}

#[tokio::test]
async fn each_parameter_that_is_described_is_taken() {
    let compared = Compared::new().await;
    for path in ["/entries", "/stream", "/export"] {
        let described = compared.description.parameters("GET", path, "query");
        for name in Filter::NAMES {
            let is_described = described.iter().any(|one| one["name"] == name);
            assert!(is_described, "{path} {name}");
        }
    }
    for (method, of) in compared.description.operations() {
        for parameter in compared.description.parameters(&method, &of, "query") {
            let name = parameter["name"].as_str().unwrap();
            let mut path = format!("{of}?{}", query(name, &parameter["example"]));
            path = path.replace("{name}", "siem");
            path += match (of.as_str(), name) {
                ("/entries", "cursor") => "&order=arrival",
                ("/export", "order" | "details" | "bom") => "&format=csv",
                _ => "",
            };
            let answer = compared.get(&of, &path).await;
            assert_ne!(answer.status, 400, "{path}: {:?}", answer.body);
        }
    }
}

/// A parameter with its example: a list gives several values, and each member of an object is a
/// parameter of its own.
fn query(name: &str, example: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    match example {
        Value::Array(values) => values
            .iter()
            .map(|value| format!("{name}={}", text(value)))
            .collect::<Vec<_>>()
            .join("&"),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)))
            .collect::<Vec<_>>()
            .join("&"),
        value => format!("{name}={}", text(value)),
    }
}

#[tokio::test]
async fn what_administrators_manage_is_answered_as_described() {
    let compared = Compared::new().await;
    let new = json!({"name": "auditors", "scope": "export", "expires": "2099-01-01"});
    let made = compared.act("POST", "/tokens", "/tokens", Some(new)).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    compared.get("/tokens", "/tokens").await;
    let path = format!("/tokens/{id}");
    compared.act("DELETE", "/tokens/{id}", &path, None).await;
    compared.act("DELETE", "/tokens/{id}", &path, None).await;

    for hold in [
        json!({"name": "case-17", "start_date": "2026-10-01", "reason": "Acme v. Example"}),
        json!({"name": "case-17"}),
        json!({"name": "a b"}),
    ] {
        compared.act("POST", "/holds", "/holds", Some(hold)).await;
    }
    compared.get("/holds", "/holds").await;
    for _ in 0..2 {
        compared
            .act("DELETE", "/holds/{name}", "/holds/case-17", None)
            .await;
    }

    for value in [json!(90), json!("unlimited"), Value::Null, json!(1)] {
        let patch = json!({"retention_days": value});
        compared
            .act("PATCH", "/settings", "/settings", Some(patch))
            .await;
        compared.get("/settings", "/settings").await;
    }
    let unseen = compared.description.unseen(&["2", "404", "409"]);
    let managed = ["/tokens", "/holds", "/settings"];
    let is_managed = |what: &&String| managed.iter().any(|path| what.contains(path));
    let unseen: Vec<_> = unseen.iter().filter(is_managed).collect();
    // A thousand tokens would have to be made.
    assert_eq!(unseen, ["POST /tokens 409"]);
}
