//! The receiver of the demo's webhook: another system, which takes only signed requests.
//!
//! It verifies as any receiver of Standard Webhooks does: the time within five minutes of its own,
//! the signature that of the very bytes that came. `GET /` shows what it got.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::{net::TcpListener, sync::watch};
use tracing_audit::{
    AuditLog, Timestamp,
    webhook::{SigningSecret, Webhook, sign},
};

use super::service;
use crate::failure::Failure;

/// The webhook's name, and the event types that it gets.
pub(super) const NAME: &str = "siem";
const EVENT_TYPES: [&str; 4] = [
    "auth.login.failed",
    "auth.account.locked",
    "user.*",
    "rotation.failed",
];
/// Seconds by which the clocks may differ.
const TOLERANCE: u64 = 300;
/// So many of the last events are shown.
const SHOWN: usize = 10;

#[derive(Clone, Debug)]
pub(super) struct Receiver {
    secret: SigningSecret,
    received: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) requests: u64,
    pub(super) verified: u64,
    /// A request can come twice: it is known by its id.
    ids: BTreeSet<String>,
    last: VecDeque<Value>,
}

impl Received {
    /// How many events came.
    pub(super) fn events(&self) -> usize {
        self.ids.len()
    }
}

impl Receiver {
    /// Listens on loopback, and declares itself in the log.
    pub(super) async fn start(
        log: &AuditLog,
        stop: watch::Receiver<bool>,
    ) -> Result<(Self, SocketAddr), Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let receiver = Self {
            secret: SigningSecret::random()?,
            received: Arc::default(),
        };
        let router = Router::new()
            .route("/", get(show))
            .route("/hook", post(receive))
            .with_state(receiver.clone());
        let webhook = Webhook::new(NAME, format!("http://{address}/hook"), EVENT_TYPES)
            .signing_secret(receiver.secret.reveal())
            .allow_http()
            .egress(["loopback"]);
        log.webhooks().declare(vec![webhook])?;
        tokio::spawn(service::serve(listener, router, stop));
        Ok((receiver, address))
    }

    pub(super) fn received(&self) -> MutexGuard<'_, Received> {
        // Nothing that is done under the lock can be left half done by a panic.
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a holder of the secret sent this, unchanged and within the last minutes.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let text = |name| headers.get(name)?.to_str().ok();
        let id = text("webhook-id")?;
        let timestamp = text("webhook-timestamp")?.parse::<i64>().ok()?;
        let now = Timestamp::now().as_micros() / 1_000_000;
        let expected = sign(std::slice::from_ref(&self.secret), id, timestamp, body);
        let signed = text("webhook-signature")?
            .split(' ')
            .any(|one| one.as_bytes().ct_eq(expected.as_bytes()).into());
        (signed && now.abs_diff(timestamp) <= TOLERANCE).then(|| id.to_owned())
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verified = receiver.verify(&headers, &body);
    let mut received = receiver.received();
    received.requests += 1;
    let Some(id) = verified else {
        return StatusCode::UNAUTHORIZED;
    };
    received.verified += 1;
    if received.ids.insert(id)
        && let Ok(event) = serde_json::from_slice::<Value>(&body)
    {
        let data = &event["data"];
        let shown = json!({
            "timestamp": data["timestamp"],
            "event_type": data["event_type"],
            "description": data["description"],
        });
        received.last.push_front(shown);
        received.last.truncate(SHOWN);
    }
    StatusCode::NO_CONTENT
}

async fn show(State(receiver): State<Receiver>) -> Json<Value> {
    let received = receiver.received();
    Json(json!({
        "requests": received.requests,
        "verified": received.verified,
        "events": received.events(),
        "last": received.last,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_signed_lately_and_as_it_came_is_not_believed() {
        let receiver = Receiver {
            secret: SigningSecret::random().unwrap(),
            received: Arc::default(),
        };
        let now = Timestamp::now().as_micros() / 1_000_000;
        let verify = |secret: &SigningSecret, at: i64, body: &[u8], came: &[u8]| {
            let signature = format!(
                "v1,AAAA {}",
                sign(std::slice::from_ref(secret), "msg_1", at, body)
            );
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("webhook-id", "msg_1"),
                ("webhook-timestamp", &at.to_string()),
                ("webhook-signature", &signature),
            ] {
                headers.insert(
                    name.parse::<axum::http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                );
            }
            receiver.verify(&headers, came)
        };
        assert_eq!(
            verify(&receiver.secret, now - 200, b"{}", b"{}").as_deref(),
            Some("msg_1")
        );
        assert_eq!(verify(&receiver.secret, now - 400, b"{}", b"{}"), None);
        assert_eq!(verify(&receiver.secret, now + 400, b"{}", b"{}"), None);
        assert_eq!(verify(&receiver.secret, now, b"{}", b"{ }"), None);
        assert_eq!(
            verify(&SigningSecret::random().unwrap(), now, b"{}", b"{}"),
            None
        );
        assert_eq!(receiver.verify(&HeaderMap::new(), b"{}"), None);
    }
}
