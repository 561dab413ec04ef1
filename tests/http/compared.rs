//! Requests whose answers are compared with the description of the API.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{HeaderName, Method, Request, header},
};
use serde_json::Value;
use tower::ServiceExt as _;
use tracing_audit::http::RouterOptions;

use crate::{
    description::Description,
    http::{Answer, Served, served},
    support::HANGS,
};

const ENTRIES: usize = 20;
pub(crate) const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

fn options(more: RouterOptions) -> RouterOptions {
    more.webhook_egress(["loopback"])
        .webhook_allow_http(true)
        .hosts(["localhost"])
}

/// One request, and whose token it has.
pub(crate) struct Sent<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: String,
    pub(crate) token: Option<&'a str>,
    pub(crate) headers: &'a [(HeaderName, &'a str)],
    pub(crate) body: Option<String>,
}

impl<'a> Sent<'a> {
    pub(crate) fn new(served: &'a Served, method: &'a str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            token: Some(&served.token),
            headers: &[],
            body: None,
        }
    }

    /// The answer; of a stream, which would never end, its head.
    pub(crate) async fn answer(&self, served: &Served) -> Answer {
        let mut request = Request::builder()
            .method(self.method.parse::<Method>().unwrap())
            .uri(format!("/audit{}", self.path));
        let is_given = |name| self.headers.iter().any(|(given, _)| given == name);
        if !is_given(header::HOST) {
            request = request.header(header::HOST, "localhost");
        }
        if let Some(token) = self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in self.headers {
            request = request.header(name, *value);
        }
        let body = self.body.clone().map_or_else(Body::empty, Body::from);
        let request = request.body(body).unwrap();
        if !self.path.starts_with("/stream") {
            return served.send(request).await;
        }
        let (head, body) = served
            .app
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = match head.status.as_u16() {
            200 => Vec::new(),
            _ => axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap()
                .to_vec(),
        };
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }
}

/// A server, and the description that its answers are compared with.
pub(crate) struct Compared {
    pub(crate) served: Served,
    pub(crate) description: Description,
}

impl Compared {
    pub(crate) async fn new() -> Self {
        Self::with(RouterOptions::new()).await
    }

    /// With these options, too.
    pub(crate) async fn with(more: RouterOptions) -> Self {
        let served = served(ENTRIES, options(more));
        let description = Description::of(&served).await;
        Self {
            served,
            description,
        }
    }

    /// Sends a request to this path, of an operation with that one.
    pub(crate) async fn send(&self, of: &str, sent: Sent<'_>) -> Answer {
        let answer = sent.answer(&self.served).await;
        self.description.check(sent.method, of, &answer);
        answer
    }

    pub(crate) async fn get(&self, of: &str, path: &str) -> Answer {
        self.send(of, Sent::new(&self.served, "GET", path)).await
    }

    /// With a body of JSON, or with none.
    pub(crate) async fn act(
        &self,
        method: &str,
        of: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let sent = Sent {
            headers: if body.is_some() { &JSON } else { &[] },
            body: body.map(|body| body.to_string()),
            ..Sent::new(&self.served, method, path)
        };
        self.send(of, sent).await
    }

    pub(crate) async fn until(
        &self,
        of: &str,
        path: &str,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let start = Instant::now();
        loop {
            let told = self.get(of, path).await.json();
            if is_wanted(&told) {
                return told;
            }
            assert!(start.elapsed() < HANGS, "{told}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
