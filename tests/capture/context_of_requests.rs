//! The context of an HTTP request, and the actor that becomes known in the middle of it: by an
//! extractor, a middleware, or a layer after the authentication.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service as _;
use tracing::{Instrument as _, field::Empty, info_span};
use tracing_audit::{
    Actor, AuditContext, AuditLog, audit, audit_context,
    tower::{RequestContextLayer, RequestUpdateLayer},
};
use tracing_subscriber::prelude::*;

#[derive(Clone)]
struct User(String);

fn user_of(parts: &Parts) -> Option<User> {
    let token = parts.headers.get("authorization")?.to_str().ok()?;
    Some(User(token.strip_prefix("Bearer ")?.to_owned()))
}

fn known(user: &User) -> AuditContext {
    let actor = Actor::user(&user.0).attributes(json!({"role": "editor"}));
    audit_context! { actor = actor, tenant_id = "acme" }
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        tokio::task::yield_now().await;
        let user = user_of(parts).ok_or(StatusCode::UNAUTHORIZED)?;
        AuditContext::update(known(&user));
        Ok(user)
    }
}

/// The requests of all these users at once, and what is recorded of them.
fn served(app: Router, users: &[Option<&'static str>]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("requests")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&subscriber.into(), || {
        runtime.block_on(async {
            let local = tokio::task::LocalSet::new();
            for (n, user) in users.iter().enumerate() {
                let mut request = Request::builder().uri("/").header("x-request-id", n);
                if let Some(user) = user {
                    request = request.header("authorization", format!("Bearer {user}"));
                }
                let request = request.body(Body::empty()).unwrap();
                let mut app = app.clone();
                local.spawn_local(async move { app.call(request).await.unwrap() });
            }
            local.await;
        });
    });
    log.close().unwrap();
    crate::support::records(dir.path())
}

const USERS: [Option<&str>; 4] = [Some("ann"), None, Some("bob"), Some("ann")];

/// Every event is of the user of its request.
#[track_caller]
fn each_of_its_user(records: &[Value], events: &[(&str, bool)]) {
    for (event_type, is_known) in events {
        let of_type: Vec<_> = records
            .iter()
            .filter(|record| record["event_type"] == *event_type)
            .collect();
        assert!(!of_type.is_empty(), "{event_type}");
        for record in of_type {
            let n: usize = record["context"]["request_id"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let expected = match USERS[n].filter(|_| *is_known) {
                Some(user) => {
                    json!({"type": "user", "id": user, "attributes": {"role": "editor"}})
                }
                None => json!({"type": "unknown"}),
            };
            assert_eq!(record["actor"], expected, "{record}");
        }
    }
}

#[test]
fn an_extractor_makes_the_actor_known_for_the_rest_of_the_request() {
    async fn work(_: User) {
        audit!("work.begun");
        tokio::task::yield_now().await;
        audit!("work.ended");
    }
    async fn around(request: Request, next: Next) -> Response {
        audit!("request.begun");
        let response = next.run(request).await;
        audit!("request.ended", status = response.status().as_u16());
        response
    }
    let app = Router::new()
        .route("/", get(work))
        .layer(middleware::from_fn(around))
        .layer(RequestContextLayer::new());
    let records = served(app, &USERS);
    each_of_its_user(
        &records,
        &[
            ("request.begun", false),
            ("work.begun", true),
            ("work.ended", true),
            ("request.ended", true),
        ],
    );
    assert_eq!(records.len(), 2 * 4 + 2 * 3);
}

#[test]
fn a_layer_after_the_authentication_makes_it_known() {
    async fn work() {
        tokio::task::yield_now().await;
        audit!("work.done");
    }
    async fn authenticate(request: Request, next: Next) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Some(user) = user_of(&parts) {
            parts.extensions.insert(user);
        }
        audit!("request.begun");
        let response = next.run(Request::from_parts(parts, body)).await;
        audit!("request.ended");
        response
    }
    let inner = || {
        Router::new()
            .route("/", get(work))
            .layer(RequestUpdateLayer::new(|request| {
                request.extensions.get::<User>().map(known)
            }))
            .layer(middleware::from_fn(authenticate))
    };
    let records = served(inner().layer(RequestContextLayer::new()), &USERS);
    each_of_its_user(
        &records,
        &[
            ("request.begun", false),
            ("work.done", true),
            ("request.ended", true),
        ],
    );
    assert_eq!(records.len(), 3 * 4);
    // Without a context around it, it is one by itself.
    let records = served(inner(), &[Some("ann")]);
    let of = |event_type: &str| {
        let mut found = records.iter().filter(|r| r["event_type"] == event_type);
        found.next().unwrap()["actor"]["id"].as_str()
    };
    assert_eq!((of("work.done"), of("request.ended")), (Some("ann"), None));
}

#[test]
fn the_hook_of_the_layer_keeps_all_of_the_actor() {
    async fn work() {
        audit!("work.done");
    }
    let hook = |request: &Parts| {
        let user = user_of(request)?;
        Some(Actor::user(user.0).attributes(json!({"role": "editor"})))
    };
    let app = Router::new()
        .route("/", get(work))
        .layer(RequestContextLayer::new().actor(hook));
    each_of_its_user(&served(app, &USERS), &[("work.done", true)]);
}

/// As tower-http's `TraceLayer` does: a span of the request, whose fields are recorded later.
#[test]
fn a_span_between_the_layer_and_the_handler_hides_nothing() {
    async fn in_span(request: Request, next: Next) -> Response {
        let span = info_span!("request", actor.id = Empty, user.id = "victim");
        next.run(request).instrument(span).await
    }
    async fn work(_: User) {
        audit!("work.done");
        let task = async { audit!("work.continued") };
        tokio::spawn(AuditContext::current().scope(task))
            .await
            .unwrap();
    }
    let app = Router::new()
        .route("/", get(work))
        .layer(middleware::from_fn(in_span))
        .layer(RequestContextLayer::new());
    each_of_its_user(
        &served(app, &USERS),
        &[("work.done", true), ("work.continued", true)],
    );
}

/// A service may do its work in `call`, before there is a future.
#[test]
fn what_a_service_learns_in_its_call_holds_for_its_future() {
    #[derive(Clone)]
    struct Early;
    impl tower_service::Service<http::Request<()>> for Early {
        type Response = ();
        type Error = std::convert::Infallible;
        type Future = std::pin::Pin<Box<dyn Future<Output = Result<(), Self::Error>>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            AuditContext::update(known(&User("ann".to_owned())));
            Box::pin(async {
                audit!("work.done");
                Ok(())
            })
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("requests")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&subscriber.into(), || {
        let mut service = RequestContextLayer::new().layer(Early);
        let mut made = [
            pin!(service.call(http::Request::new(()))),
            pin!(service.call(http::Request::new(()))),
        ];
        for future in &mut made {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_ready());
        }
        audit!("work.outside");
    });
    log.close().unwrap();
    let records = crate::support::records(dir.path());
    let of = |event_type: &str| {
        let of_type = records.iter().filter(|r| r["event_type"] == event_type);
        of_type
            .map(|r| r["actor"]["id"].as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("work.done"), [Some("ann"), Some("ann")]);
    assert_eq!(of("work.outside"), [None]);
}
