//! The data of the demo's credential manager, in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};

/// The password of the made-up people. It is never recorded.
pub(super) const PASSWORD: &str = "correct-horse-battery";
/// The account that a pipeline deploys with. Its password can be guessed.
pub(super) const DEPLOYER: &str = "deploy";
pub(super) const GUESSABLE: &str = "summer2026";
/// So many failed logins lock an account.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// The users who are there from the start, with their roles.
pub(super) const STAFF: [(&str, &str); 5] = [
    ("ann", "admin"),
    ("bela", "operator"),
    ("chidi", "operator"),
    ("dana", "auditor"),
    ("emre", "operator"),
];

/// The answer to a client.
pub(super) type Answer = (StatusCode, Json<serde_json::Value>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) role: String,
    #[serde(skip)]
    pub(super) password: String,
    #[serde(skip)]
    pub(super) failed_logins: u32,
}

/// A rule that sends an alert.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AlertRule {
    pub(super) days_before_expiry: u32,
    pub(super) channel: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<String, User>,
    /// By their secret: the user and the session's id.
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) settings: BTreeMap<String, serde_json::Value>,
    pub(super) subscriptions: BTreeMap<String, String>,
    pub(super) alert_rules: BTreeMap<String, AlertRule>,
    last_id: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) user: User,
}

/// The state, shared by all requests.
#[derive(Debug)]
pub(super) struct Model(Mutex<State>);

impl Model {
    pub(super) fn new() -> Self {
        let mut state = State::default();
        for (name, role) in STAFF {
            state.add_user(name, role, PASSWORD);
        }
        state.add_user(DEPLOYER, "operator", GUESSABLE);
        // Each instance is a process. What one makes must not have the id of what another made: a
        // search for a session would find two.
        state.last_id = u64::from(std::process::id()) * 100_000;
        state
            .settings
            .insert("scan_interval_hours".into(), 24.into());
        state
            .settings
            .insert("audit_retention_days".into(), 90.into());
        Self(Mutex::new(state))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn next_id(&mut self, kind: &str) -> String {
        self.last_id += 1;
        format!("{kind}-{}", self.last_id)
    }

    pub(super) fn add_user(&mut self, name: &str, role: &str, password: &str) -> User {
        let id = self.next_id("user");
        let user = User {
            id: id.clone(),
            name: format!("{name}@example.com"),
            role: role.to_owned(),
            password: password.to_owned(),
            failed_logins: 0,
        };
        self.users.insert(id, user.clone());
        user
    }
}

pub(super) fn ok(body: serde_json::Value) -> Answer {
    (StatusCode::OK, Json(body))
}

pub(super) fn refused(status: StatusCode, why: &str) -> Answer {
    (status, Json(serde_json::json!({ "error": why })))
}

/// The first five characters of a secret, as in `abcde…`: enough to know it by, too little to use
/// it.
pub(super) fn masked(secret: &str) -> String {
    secret.chars().take(5).chain(['…']).collect()
}
