//! A story that happens in the demo, and can be found in its log: somebody guesses a password and
//! takes a secret, which turns up elsewhere; an administrator ends it.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::json;
use tokio::time;

use super::{
    model::{DEPLOYER, GUESSABLE, PASSWORD, STAFF},
    person::Person,
};

/// The secret that leaks.
const SECRET: &str = "db-password";

/// Where the story happens, and how fast.
pub(super) struct Story {
    pub(super) client: Client,
    pub(super) base: String,
    /// About how long a person waits after each request.
    pub(super) pause: Duration,
}

impl Story {
    pub(super) async fn play(self) {
        // First, an ordinary day.
        time::sleep(self.pause * 20).await;
        self.break_in().await;
        self.leak().await;
        self.put_right().await;
    }

    /// A program tries passwords. It locks one account, and gets into another.
    async fn break_in(&self) {
        let mut intruder = self.person("203.0.113.66", "python-requests/2.32.5");
        intruder.pause /= 4;
        for password in ["123456", "letmein", "password1", "hunter2", "qwertz"] {
            intruder.login("emre@example.com", password).await;
        }
        intruder.login("root@example.com", "toor").await;
        intruder.login("admin@example.com", "admin").await;
        let deployer = format!("{DEPLOYER}@example.com");
        for password in [DEPLOYER, "deploy123", GUESSABLE] {
            intruder.login(&deployer, password).await;
        }
        for secret in ["smtp-key", "tls-cert", "api-key", SECRET] {
            let path = format!("/secrets/{secret}");
            intruder.send(Method::GET, &path, json!({})).await;
        }
    }

    async fn leak(&self) {
        let scanner = self.person("192.0.2.40", "repository-scanner/1.4");
        let leak = json!({ "secret": SECRET, "found_at": "https://paste.example/x7Qd2" });
        scanner.send(Method::POST, "/leaks", leak).await;
    }

    /// An administrator shuts the intruder out, replaces the secret, and lets in who was locked out.
    async fn put_right(&self) {
        let mut admin = self.person("192.0.2.10", "certify-cli/2.3");
        if !admin.login("ann@example.com", PASSWORD).await {
            return;
        }
        // Ids are given in order: the deployer's comes after those of the staff.
        let deployer = format!("/users/user-{}/reset", STAFF.len() + 1);
        admin.send(Method::POST, &deployer, json!({})).await;
        let rotation = json!({ "app": "web-shop", "secret": SECRET, "reason": "leaked" });
        admin.send(Method::POST, "/rotations", rotation).await;
        let locked_out = format!("/users/user-{}/unlock", STAFF.len());
        admin.send(Method::POST, &locked_out, json!({})).await;
        admin.log_out().await;
    }

    fn person(&self, address: &str, agent: &'static str) -> Person {
        Person {
            client: self.client.clone(),
            base: self.base.clone(),
            address: address.to_owned(),
            agent,
            pause: self.pause,
            session: None,
        }
    }
}
