//! One caller can't keep others out: what one caller may have is limited.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{HeaderName, Request, Response, header, request::Parts},
};
use tower::ServiceExt as _;
use tracing_audit::{
    audit,
    http::{Access, RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::{
    compared::{Compared, Sent},
    http::{Answer, Served, served, token},
    support::{HANGS, until},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

fn request(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

async fn by(served: &Served, token: &str, path: &str) -> Answer {
    served.send(request(path, token)).await
}

/// The seconds to wait, if an answer says so.
fn retry_after(answer: &Answer) -> u64 {
    answer.header(header::RETRY_AFTER).parse().unwrap()
}

#[tokio::test]
async fn a_caller_has_so_many_requests_in_a_minute() {
    let served = served(1, RouterOptions::new().max_requests_per_minute(3));
    let other = token(served.dir.path(), Scope::Read, Some("acme"));
    for left in [2, 1, 0] {
        let answer = served.get("/audit/entries?limit=1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(RATE_LIMIT_POLICY), "\"requests\";q=3;w=60");
        let begin = format!("\"requests\";r={left};t=");
        assert!(answer.header(RATE_LIMIT).starts_with(&begin));
    }
    // Whatever the caller asks for.
    for path in [
        "/audit/entries",
        "/audit/tokens",
        "/audit/metrics",
        "/audit/entries/x",
    ] {
        let refused = served.get(path).await;
        let problem = refused.problem(429);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("more than 3 requests in a minute"),
            "{detail}"
        );
        let seconds = retry_after(&refused);
        assert!((1..=20).contains(&seconds), "{seconds}");
        assert!(
            detail.ends_with(&format!("try again in {seconds} s")),
            "{detail}"
        );
        let limit = format!("\"requests\";r=0;t={seconds}");
        assert_eq!(refused.header(RATE_LIMIT), limit);
    }
    assert_eq!(by(&served, &other, "/audit/entries").await.status, 200);
    for open in ["/audit/healthz", "/audit/readyz", "/audit/openapi.json"] {
        let answer = served.get(open).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key(RATE_LIMIT));
    }
    // Without a token nobody is known, and nothing is said of limits.
    let unknown = by(&served, "nobody", "/audit/entries").await;
    unknown.problem(401);
    assert!(!unknown.headers.contains_key(RATE_LIMIT));
}

#[tokio::test]
async fn refusals_are_recorded_and_counted() {
    let served = served(
        1,
        RouterOptions::new()
            .max_requests_per_minute(1)
            .open_metrics(true),
    );
    for _ in 0..50 {
        served.get("/audit/entries").await;
    }
    served.log.flush().unwrap();
    let refused = served.records("audit.access.denied");
    assert_eq!(
        refused.len(),
        10,
        "the others are counted at the end of the minute"
    );
    let entry = &refused[0];
    assert_eq!(entry["actor"]["name"], "admin key");
    assert_eq!(entry["outcome"]["reason"], "limit");
    assert_eq!(entry["details"]["status"], 429);
    assert_eq!(entry["details"]["path"], "/audit/entries");
    let metrics = served.get("/audit/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(
        metrics.contains("\ntracing_audit_http_limited_total 49\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_user_of_the_application_is_a_caller_by_type_and_id() {
    let options = RouterOptions::new()
        .max_requests_per_minute(1)
        .authorizer(|request: &Parts| {
            let of = |name: &str| request.headers[name].to_str().unwrap().to_owned();
            Ok(Access {
                actor_type: of("x-type"),
                id: of("x-id"),
                name: of("x-name"),
                scope: Scope::Read,
                tenant: None,
            })
        });
    let served = served(1, options);
    for (kind, id, name, status) in [
        ("user", "1", "ann", 200),
        ("user", "1", "ann", 429),
        ("user", "1", "ann@example.com", 429),
        ("user", "2", "ann", 200),
        ("service", "1", "ann", 200),
        ("service", "1", "ann", 429),
    ] {
        let request = Request::get("/audit/entries")
            .header("x-type", kind)
            .header("x-id", id)
            .header("x-name", name);
        let answer = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{kind} {id} {name}");
    }
}

/// An answer whose body nobody takes yet.
async fn begun(served: &Served, token: &str, path: &str) -> Response<Body> {
    let app = served.app.clone();
    app.oneshot(request(path, token)).await.unwrap()
}

async fn begun_at_last(served: &Served, token: &str, path: &str) -> Response<Body> {
    let start = Instant::now();
    loop {
        let response = begun(served, token, path).await;
        if response.status() == 200 {
            return response;
        }
        assert!(start.elapsed() < HANGS);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_has_so_many_downloads_and_streams_at_once() {
    let options = RouterOptions::new()
        .max_downloads(3)
        .max_downloads_per_caller(2)
        .max_streams(3)
        .max_streams_per_caller(2);
    // More than what waits for a client that takes nothing.
    let served = served(2000, options);
    let other = token(served.dir.path(), Scope::Export, None);
    for (name, path) in [
        ("downloads", "/audit/export?format=ndjson"),
        ("downloads", "/audit/export?format=json"),
        ("streams", "/audit/stream"),
    ] {
        // What was dropped before is free a moment later.
        let first = begun_at_last(&served, &served.token, path).await;
        let second = begun_at_last(&served, &served.token, path).await;
        let refused = served.get(path).await;
        let detail = refused.problem(429)["detail"].to_string();
        assert!(
            detail.contains(&format!("you have 2 {name} already")),
            "{detail}"
        );
        assert!(retry_after(&refused) > 0);
        let said = |header: HeaderName, part: &str| {
            let mut values = refused.headers.get_all(&header).iter();
            assert!(
                values.any(|value| value == part),
                "{part}: {:?}",
                refused.headers
            );
        };
        said(RATE_LIMIT, &format!("\"{name}\";r=0"));
        said(
            RATE_LIMIT_POLICY,
            &format!("\"{name}\";q=2;qu=\"concurrent-requests\""),
        );
        // Another caller has the one that is left, and then there are too many for the server.
        let third = begun_at_last(&served, &other, path).await;
        let busy = by(&served, &other, path).await;
        busy.problem(503);
        assert!(retry_after(&busy) > 0);
        drop((first, second, third));
    }
    until("the refusals are recorded", || {
        served.records("audit.access.denied").len() >= 3
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_does_not_read_its_pages_gets_no_more() {
    let served = served(0, RouterOptions::new().page_memory_bytes(32 << 20));
    let other = token(served.dir.path(), Scope::Read, None);
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let text = "x".repeat(60_000);
        (0..200).for_each(|_| audit!("report.made", text = text).ignore());
    });
    served.log.flush().unwrap();
    let path = "/audit/entries?limit=1000";
    let first = begun(&served, &served.token, path).await;
    let second = begun(&served, &served.token, path).await;
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    let refused = served.get(path).await;
    let detail = refused.problem(429)["detail"].to_string();
    assert!(detail.contains("more than 16777216 bytes"), "{detail}");
    assert!(retry_after(&refused) > 0);
    assert_eq!(by(&served, &other, path).await.status, 200);
    let len = axum::body::to_bytes(first.into_body(), usize::MAX)
        .await
        .unwrap()
        .len();
    assert!((7 << 20..9 << 20).contains(&len), "{len}");
    assert_eq!(served.get(path).await.status, 200);
}

#[tokio::test]
async fn each_operation_that_needs_a_token_refuses_one_that_has_none_left() {
    let options = RouterOptions::new().max_requests_per_minute(1);
    let compared = Compared::with(options).await;
    compared.get("/entries", "/entries").await;
    for (method, of) in compared.description.operations() {
        if !compared.description.operation(&method, &of)["security"].is_array() {
            continue;
        }
        let path = of.replace(['{', '}'], "");
        let sent = Sent::new(&compared.served, &method, &path);
        assert_eq!(compared.send(&of, sent).await.status, 429, "{method} {of}");
    }
    assert_eq!(compared.description.unseen(&["429"]), [""; 0]);
}

#[test]
fn a_limit_out_of_its_bounds_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = tracing_audit::AuditLog::builder(dir.path()).source("a");
    let log = log.open().unwrap();
    let new = RouterOptions::new;
    for (options, option) in [
        (new().max_requests_per_minute(0), "max_requests_per_minute"),
        (
            new().max_requests_per_minute(u32::MAX),
            "max_requests_per_minute",
        ),
        (
            new().max_downloads_per_caller(0),
            "max_downloads_per_caller",
        ),
        (
            new().max_downloads_per_caller(usize::MAX),
            "max_downloads_per_caller",
        ),
        (new().max_streams_per_caller(0), "max_streams_per_caller"),
        (
            new().max_streams_per_caller(usize::MAX),
            "max_streams_per_caller",
        ),
    ] {
        let error = log.router(options).unwrap_err().to_string();
        assert!(error.starts_with(option), "{error}");
        assert!(error.contains("must be a number from 1 to 10"), "{error}");
    }
    for bytes in [0, usize::MAX] {
        let error = log
            .router(new().page_memory_bytes(bytes))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("page_memory_bytes"), "{error}");
        assert!(
            error.contains("must be a number from 16777216 to"),
            "{error}"
        );
    }
}
