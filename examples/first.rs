//! The smallest program with an audit trail.
use tracing_audit::{Actor, AuditLog, Outcome, audit};
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "./audit".to_owned());
    let log = AuditLog::builder(dir).source("first").open()?;
    tracing_subscriber::registry()
        .with(log.layer())
        .with(tracing_subscriber::fmt::layer())
        .init();

    let span = tracing::info_span!("request", request_id = "r-1", client.address = "192.0.2.50");
    let _entered = span.enter();
    audit!(
        "auth.login.success",
        actor.id = "user-456",
        actor.name = "admin@company.com",
        "User {} logged in",
        "admin"
    );
    let receipt = audit!(
        "user.updated",
        actor = Actor::user("user-456").name("admin@company.com"),
        resource.type = "user",
        resource.id = 7,
        severity = warning,
        outcome = Outcome::failure("authorization", "role admin required"),
        changed_fields = ["role"],
        "Role changed"
    );
    tracing::info!(target: "audit", event_type = "plain.event", actor.id = 5, order.total = 17.5, "plain");
    receipt.wait()?;
    log.close()?;
    Ok(())
}
