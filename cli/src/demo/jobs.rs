//! Long work that a request begins and that goes on after its answer: scans, rotations, syncs.
//!
//! The work runs in the request's span, so its events still name the user who asked for it.

use std::time::Duration;

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use tracing::Instrument as _;
use tracing_audit::{Outcome, audit, unredacted};

use super::{
    model::{Answer, masked},
    request::LoggedIn,
};

const VAULTS: [&str; 4] = ["kv-payments", "kv-shop", "kv-internal", "kv-legacy"];

/// Goes on with the work; the request is answered meanwhile.
fn go_on(work: impl Future<Output = ()> + Send + 'static) -> Answer {
    tokio::spawn(work.in_current_span());
    (StatusCode::ACCEPTED, Json(json!({})))
}

async fn take_time() -> u64 {
    let millis = fastrand::u64(20..200);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    millis
}

#[derive(Deserialize)]
pub(super) struct Scan {
    mode: String,
    subscriptions: Vec<String>,
}

pub(super) async fn scan(LoggedIn(by): LoggedIn, Json(scan): Json<Scan>) -> Answer {
    let id = format!("scan-{:06x}", fastrand::u32(..0x100_0000));
    audit!(
        "discovery.scan.started",
        resource.type = "scan",
        resource.id = id,
        mode = scan.mode,
        subscriptions = scan.subscriptions,
        initiated_by = by.name,
        "Discovery scan started"
    );
    go_on(async move {
        let duration_ms = take_time().await;
        let failed: Vec<_> = VAULTS
            .into_iter()
            .filter(|_| fastrand::u8(..) < 20)
            .collect();
        for vault in &failed {
            audit!(
                "discovery.vault.error",
                resource.type = "vault",
                resource.id = vault,
                severity = warning,
                vault_name = vault,
                error_details = "403 Forbidden: the managed identity may not list secrets",
                scan_id = id,
                "Vault {vault} can't be read"
            );
        }
        if failed.len() > 1 || scan.mode == "broken" {
            let error = "too many vaults could not be read";
            audit!(
                "discovery.scan.failed",
                resource.type = "scan",
                resource.id = id,
                severity = error,
                outcome = Outcome::failure("authorization", error),
                error_message = error,
                affected_vaults = failed,
                duration_ms,
                "Discovery scan failed"
            );
            return;
        }
        let vaults = VAULTS.len() - failed.len();
        audit!(
            "discovery.scan.completed",
            resource.type = "scan",
            resource.id = id,
            outcome = Outcome::success(),
            mode = scan.mode,
            duration_ms,
            vaults_scanned = vaults,
            secrets_found = vaults * 17,
            "Discovery scan completed successfully"
        );
    })
}

#[derive(Deserialize)]
pub(super) struct Rotation {
    app: String,
    secret: String,
    /// Why it is done before its time.
    reason: Option<String>,
}

pub(super) async fn rotate(LoggedIn(by): LoggedIn, Json(rotation): Json<Rotation>) -> Answer {
    let Rotation {
        app,
        secret,
        reason,
    } = rotation;
    audit!(
        "rotation.started",
        resource.type = "secret",
        resource.name = secret,
        app_name = app,
        secret_name = secret,
        initiated_by = by.name,
        reason = reason,
        "Rotation of {secret} started"
    );
    go_on(async move {
        let duration_ms = take_time().await;
        let value = format!("{:032x}", fastrand::u128(..));
        if reason.is_none() && fastrand::u8(..10) == 0 {
            let error = "the vault did not take the new version";
            audit!(
                "rotation.failed",
                resource.type = "secret",
                resource.name = secret,
                severity = error,
                outcome = Outcome::failure("unknown", error),
                app_name = app,
                error_message = error,
                rollback_status = "completed",
                duration_ms,
                "Rotation of {secret} failed"
            );
            return;
        }
        audit!(
            "rotation.completed",
            resource.type = "secret",
            resource.name = secret,
            outcome = Outcome::success(),
            app_name = app,
            new_value = masked(&value),
            new_expiry_date = "2027-06-30",
            updated_vaults = ["kv-payments", "kv-shop"],
            duration_ms,
            "Rotation of {secret} completed"
        );
    })
}

#[derive(Deserialize)]
pub(super) struct Sync {
    source: String,
    target: String,
}

pub(super) async fn sync(LoggedIn(_): LoggedIn, Json(sync): Json<Sync>) -> Answer {
    let Sync { source, target } = sync;
    let secrets = fastrand::u32(1..40);
    audit!(
        "sync.started",
        resource.type = "sync",
        resource.name = target,
        sync_source = source,
        sync_target = target,
        secret_count = secrets,
        "Sync from {source} to {target} started"
    );
    go_on(async move {
        let duration_ms = take_time().await;
        if fastrand::u8(..8) == 0 {
            let error = "the target throttles";
            audit!(
                "sync.failed",
                resource.type = "sync",
                resource.name = target,
                severity = error,
                outcome = Outcome::failure("unknown", error),
                error_message = error,
                failed_secrets = unredacted(&["db-password", "smtp-key"]),
                duration_ms,
                "Sync from {source} to {target} failed"
            );
        } else {
            audit!(
                "sync.completed",
                resource.type = "sync",
                resource.name = target,
                outcome = Outcome::success(),
                synced_count = secrets,
                duration_ms,
                "Sync from {source} to {target} completed"
            );
        }
    })
}
