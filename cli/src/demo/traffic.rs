//! The demo's users: each a task that sends real HTTP requests, sensible ones in sensible order,
//! with pauses.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::{sync::watch, time};

use super::model::{PASSWORD, STAFF};

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

/// One user at a browser or a shell.
struct Person {
    client: Client,
    base: String,
    address: String,
    agent: &'static str,
    pause: Duration,
    session: Option<String>,
}

/// Sends requests until `stop` says so.
pub(super) async fn run(traffic: Traffic, stop: watch::Receiver<bool>) {
    let traffic = Arc::new(traffic);
    // The last one guesses passwords.
    let people = STAFF.len() + 1;
    let pause = Duration::from_secs_f64(people as f64 / traffic.rate);
    let client = Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()
        .unwrap_or_default();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..people {
        let base = traffic
            .bases
            .get(n % traffic.bases.len().max(1))
            .cloned()
            .unwrap_or_default();
        let address = format!("192.0.2.{}", 10 + n);
        let person = Person {
            client: client.clone(),
            base,
            address,
            agent: AGENTS[n % AGENTS.len()],
            pause,
            session: None,
        };
        let mut stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = person.live(n) => {}
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

impl Person {
    async fn live(mut self, n: usize) {
        let Some((name, _)) = STAFF.get(n) else {
            return self.guess().await;
        };
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
            self.send(Method::POST, "/logout", json!({})).await;
            self.session = None;
        }
    }

    /// A person who doesn't know the password, and locks an account by trying. An administrator
    /// unlocks it in time.
    async fn guess(mut self) {
        loop {
            for password in ["letmein", "password1", "hunter2", "qwertz"] {
                self.login("emre@example.com", password).await;
            }
            self.login("root@example.com", "toor").await;
            self.unlock().await;
        }
    }

    async fn unlock(&mut self) {
        if self.login("ann@example.com", PASSWORD).await {
            // The fifth of the staff.
            self.send(
                Method::PATCH,
                "/users/user-5",
                json!({ "role": "operator" }),
            )
            .await;
            self.send(Method::POST, "/logout", json!({})).await;
        }
        self.session = None;
    }

    async fn login(&mut self, name: &str, password: &str) -> bool {
        self.session = None;
        let answer = self
            .send(
                Method::POST,
                "/login",
                json!({ "username": name, "password": password }),
            )
            .await;
        self.session = answer
            .get("token")
            .and_then(Value::as_str)
            .map(str::to_owned);
        self.session.is_some()
    }

    async fn work(&mut self) {
        let post = Method::POST;
        let put = Method::PUT;
        let patch = Method::PATCH;
        let delete = Method::DELETE;
        match fastrand::u8(..20) {
            0..=4 => {
                let mode = ["full", "incremental", "broken"][fastrand::usize(..3)];
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

    /// Sends one request, then pauses. A failed request counts as an empty answer.
    async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .json(&body);
        request = request
            .header("user-agent", self.agent)
            .header("x-forwarded-for", &self.address);
        if let Some(session) = &self.session {
            request = request.bearer_auth(session);
        }
        let answer = match request.send().await {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        };
        // Around the mean, as people do.
        time::sleep(self.pause.mul_f64(0.5 + fastrand::f64())).await;
        answer
    }
}

fn id(created: &Value) -> &str {
    created.get("id").and_then(Value::as_str).unwrap_or("none")
}
