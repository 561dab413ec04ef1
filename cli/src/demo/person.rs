//! One user of the demo's service, at a browser or a shell.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time;

pub(super) struct Person {
    pub(super) client: Client,
    pub(super) base: String,
    pub(super) address: String,
    pub(super) agent: &'static str,
    /// About how long this person waits after each request.
    pub(super) pause: Duration,
    pub(super) session: Option<String>,
}

impl Person {
    pub(super) async fn login(&mut self, name: &str, password: &str) -> bool {
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

    pub(super) async fn log_out(&mut self) {
        self.send(Method::POST, "/logout", json!({})).await;
        self.session = None;
    }

    /// Sends one request, then pauses. A failed request counts as an empty answer.
    pub(super) async fn send(&self, method: Method, path: &str, body: Value) -> Value {
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
