//! A receiver of webhooks on loopback that looks at signatures.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; what goes wrong here fails the test")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use tracing_audit::webhook::{SigningSecret, sign};

/// One request that came.
pub(crate) struct Came {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) status: StatusCode,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn data(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).unwrap()["data"].clone()
    }

    pub(crate) fn event_type(&self) -> String {
        self.data()["event_type"].as_str().unwrap().to_owned()
    }

    /// Whether one of its signatures is that of this secret, as a receiver looks.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let secret: SigningSecret = secret.parse().unwrap();
        let expected = sign(&[secret], self.header("webhook-id"), self.header("webhook-timestamp").parse().unwrap(), &self.body);
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// It answers what it is told to.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) came: Arc<Mutex<Vec<Came>>>,
    answer: Arc<Mutex<StatusCode>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (came, answer) = (Arc::<Mutex<Vec<Came>>>::default(), Arc::new(Mutex::new(StatusCode::OK)));
        let (seen, say) = (Arc::clone(&came), Arc::clone(&answer));
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            let status = *say.lock().unwrap();
            seen.lock().unwrap().push(Came { headers, body, status });
            (status, "what the receiver says")
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().route("/hook", post(handler))).await
        });
        Self { url, came, answer, runtime: Some(runtime) }
    }

    pub(crate) fn answer(&self, status: StatusCode) {
        *self.answer.lock().unwrap() = status;
    }

    /// Waits until something of what came is as wanted.
    pub(crate) fn wait_for<T>(&self, what: &str, found: impl Fn(&[Came]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = found(&self.came.lock().unwrap()) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{what} did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The ids under which events of this type were accepted.
    pub(crate) fn accepted(&self, event_type: &str) -> BTreeSet<String> {
        let came = self.came.lock().unwrap();
        let accepted = came.iter().filter(|came| came.status.is_success() && came.event_type() == event_type);
        accepted.map(|came| came.header("webhook-id").to_owned()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Within an async test it must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
