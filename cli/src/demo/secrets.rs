//! Secrets that are read, and reports of secrets that have turned up elsewhere.

use axum::{Json, extract::Path};
use serde::Deserialize;
use serde_json::json;
use tracing_audit::{Actor, audit};

use super::{
    model::{Answer, ok},
    request::LoggedIn,
};

pub(super) async fn read(LoggedIn(_): LoggedIn, Path(name): Path<String>) -> Answer {
    audit!(
        "secret.read",
        resource.type = "secret",
        resource.name = name,
        "Secret {name} read"
    );
    ok(json!({ "value": format!("{:032x}", fastrand::u128(..)) }))
}

#[derive(Deserialize)]
pub(super) struct Leak {
    secret: String,
    found_at: String,
}

/// A scanner of public repositories reports what it found.
pub(super) async fn report(Json(leak): Json<Leak>) -> Answer {
    audit!(
        "secret.leaked",
        actor = Actor::new("service", "repository-scanner"),
        resource.type = "secret",
        resource.name = leak.secret,
        severity = critical,
        found_at = leak.found_at,
        "Secret {} found at {}",
        leak.secret,
        leak.found_at
    );
    ok(json!({}))
}
