//! The demo's users: each a task that sends real HTTP requests, sensible ones in sensible order,
//! with pauses.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    model::{PASSWORD, STAFF},
    person::Person,
    story::Story,
};

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.4 Safari/605.1.15",
    "certify-cli/2.3",
    "curl/8.14.1",
];

/// Where requests go, and how fast.
#[derive(Debug)]
pub(super) struct Traffic {
    /// The instances of the service.
    pub(super) bases: Vec<String>,
    /// Requests in a second, of all users together.
    pub(super) rate: f64,
}

/// Sends requests until `stop` says so.
pub(super) async fn run(traffic: Traffic, stop: watch::Receiver<bool>) {
    let pause = Duration::from_secs_f64(STAFF.len() as f64 / traffic.rate);
    let client = Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()
        .unwrap_or_default();
    let mut bases = traffic.bases.iter().cycle().cloned();
    let mut tasks = tokio::task::JoinSet::new();
    for (n, (name, _)) in STAFF.into_iter().enumerate() {
        let person = Person {
            client: client.clone(),
            base: bases.next().unwrap_or_default(),
            address: format!("192.0.2.{}", 10 + n),
            agent: AGENTS[n % AGENTS.len()],
            pause,
            session: None,
        };
        tasks.spawn(until(stop.clone(), person.live(name)));
    }
    let story = Story {
        client,
        // Each instance has accounts of its own; the one who is locked out works at the first.
        base: traffic.bases.into_iter().next().unwrap_or_default(),
        pause,
    };
    tasks.spawn(until(stop, story.play()));
    while tasks.join_next().await.is_some() {}
}

/// Goes on until `stop` says so.
async fn until(mut stop: watch::Receiver<bool>, what: impl Future<Output = ()>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = what => {}
    }
}

impl Person {
    async fn live(mut self, name: &str) {
        let name = format!("{name}@example.com");
        loop {
            if fastrand::u8(..8) == 0 {
                self.login(&name, "correct-horse-batery").await;
            }
            if !self.login(&name, PASSWORD).await {
                continue;
            }
            for _ in 0..fastrand::u8(4..12) {
                self.work().await;
            }
            self.log_out().await;
        }
    }

    async fn work(&mut self) {
        let post = Method::POST;
        let put = Method::PUT;
        let patch = Method::PATCH;
        let delete = Method::DELETE;
        match fastrand::u8(..20) {
            0..=4 => {
                let mode = ["full", "full", "incremental", "broken"][fastrand::usize(..4)];
                self.send(
                    post,
                    "/scans",
                    json!({ "mode": mode, "subscriptions": ["sub-prod", "sub-test"] }),
                )
                .await;
            }
            5..=9 => {
                let secret =
                    ["db-password", "smtp-key", "tls-cert", "api-key"][fastrand::usize(..4)];
                self.send(
                    post,
                    "/rotations",
                    json!({ "app": "web-shop", "secret": secret }),
                )
                .await;
            }
            10..=12 => {
                self.send(
                    post,
                    "/syncs",
                    json!({ "source": "azure:kv-shop", "target": "aws:secretsmanager" }),
                )
                .await;
            }
            13 => {
                self.send(Method::GET, "/secrets/smtp-key", json!({})).await;
                let hours = [6, 12, 24][fastrand::usize(..3)];
                self.send(put, "/settings/scan_interval_hours", json!(hours))
                    .await;
            }
            14..=15 => {
                let name = format!("guest{}", fastrand::u16(..));
                let user = self
                    .send(post, "/users", json!({ "name": name, "role": "viewer" }))
                    .await;
                let path = format!("/users/{}", id(&user));
                self.send(patch, &path, json!({ "role": "operator" })).await;
                self.send(delete, &path, json!({})).await;
            }
            16..=17 => {
                let path = format!("/subscriptions/sub-{:04x}", fastrand::u16(..));
                self.send(put, &path, json!({})).await;
                self.send(delete, &path, json!({})).await;
            }
            _ => {
                let rule = self
                    .send(
                        post,
                        "/alert-rules",
                        json!({ "days_before_expiry": 30, "channel": "mail" }),
                    )
                    .await;
                let path = format!("/alert-rules/{}", id(&rule));
                self.send(
                    put,
                    &path,
                    json!({ "days_before_expiry": 14, "channel": "chat" }),
                )
                .await;
                self.send(delete, &path, json!({})).await;
            }
        }
    }
}

fn id(created: &Value) -> &str {
    created.get("id").and_then(Value::as_str).unwrap_or("none")
}
