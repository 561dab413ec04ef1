//! A receiver of webhooks on loopback, for tests of what is sent.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; what goes wrong here fails the test")]

use std::{
    collections::BTreeMap,
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

/// What arrived: the headers and the body of each request, and what was answered.
pub(crate) type Arrived = Arc<Mutex<Vec<(HeaderMap, Bytes, StatusCode)>>>;

/// A receiver on loopback; `answer` decides by the number of the request.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) arrived: Arrived,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub(crate) fn new(answer: impl Fn(usize, &Bytes) -> StatusCode + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let arrived = Arrived::default();
        let (seen, answer) = (Arc::clone(&arrived), Arc::new(answer));
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            let mut seen = seen.lock().unwrap();
            let status = answer(seen.len(), &body);
            seen.push((headers, body, status));
            status
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, Router::new().route("/hook", post(handler))).await });
        Self { url, arrived, _runtime: runtime }
    }

    /// The numbers in the events that were accepted, with the ids they came under.
    pub(crate) fn accepted(&self) -> BTreeMap<u64, Vec<String>> {
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (headers, body, _) in self.arrived.lock().unwrap().iter().filter(|(.., status)| status.is_success()) {
            let id = headers["webhook-id"].to_str().unwrap().to_owned();
            let body: Value = serde_json::from_slice(body).unwrap();
            for event in body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]) {
                found.entry(event["data"]["details"]["n"].as_u64().unwrap()).or_default().push(id.clone());
            }
        }
        found
    }

    pub(crate) fn wait_for(&self, count: usize) -> BTreeMap<u64, Vec<String>> {
        let start = Instant::now();
        while self.accepted().len() < count {
            assert!(start.elapsed() < Duration::from_secs(30), "{} of {count} arrived", self.accepted().len());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.accepted()
    }
}
