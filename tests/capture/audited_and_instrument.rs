//! `#[audited]` and tracing's `#[instrument]` on one function, in either order.

use tracing::instrument;
use tracing_audit::{AuditLog, audit, audited};
use tracing_subscriber::prelude::*;

use crate::support::records;

#[audited("outer.audited", resource.type = "vault", resource.id = vault)]
#[instrument(skip_all, fields(actor.id = user, request_id = 7))]
fn audited_first(user: &str, vault: &str) -> Result<(), std::fmt::Error> {
    audit!("outer.inside");
    if vault.is_empty() {
        Err(std::fmt::Error)
    } else {
        Ok(())
    }
}

#[instrument(skip_all, fields(actor.id = user, request_id = 7))]
#[audited("inner.audited", resource.type = "vault", resource.id = vault)]
fn instrumented_first(user: &str, vault: &str) -> Result<(), std::fmt::Error> {
    audit!("inner.inside");
    if vault.is_empty() {
        Err(std::fmt::Error)
    } else {
        Ok(())
    }
}

#[audited("outer.task", resource.id = vault)]
#[instrument(skip_all, fields(actor.id = user))]
async fn task_audited_first(user: &str, vault: &str) -> u32 {
    tokio::task::yield_now().await;
    audit!("outer.task_inside");
    1
}

#[instrument(skip_all, fields(actor.id = user))]
#[audited("inner.task", resource.id = vault)]
async fn task_instrumented_first(user: &str, vault: &str) -> u32 {
    tokio::task::yield_now().await;
    audit!("inner.task_inside");
    2
}

#[test]
fn both_orders_keep_the_context() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        assert!(audited_first("ann", "v1").is_ok() && audited_first("ann", "").is_err());
        assert!(instrumented_first("ann", "v1").is_ok() && instrumented_first("ann", "").is_err());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let sum = runtime.block_on(async {
            task_audited_first("ann", "v2").await + task_instrumented_first("ann", "v2").await
        });
        assert_eq!(sum, 3);
    });
    log.close().unwrap();
    let records = records(dir.path());
    assert_eq!(records.len(), 18);
    for record in &records {
        let event_type = record["event_type"].as_str().unwrap();
        assert_eq!(record["actor"]["id"], "ann", "{record}");
        if event_type.contains("audited") || event_type.ends_with("task.completed") {
            assert!(record["resource"].is_object(), "{record}");
        }
    }
    let ends = |name: &str| records.iter().filter(|r| r["event_type"] == name).count();
    for kind in ["outer.audited", "inner.audited"] {
        assert_eq!(ends(&format!("{kind}.started")), 2);
        assert_eq!(ends(&format!("{kind}.completed")), 1);
        assert_eq!(ends(&format!("{kind}.failed")), 1);
    }
}

#[instrument(err(Debug), ret, skip_all, fields(actor.id = user))]
#[audited("inner.returned", count, completed(twice = *result * 2), failed(wrong = count))]
fn returned(user: &str, count: u32) -> Result<u32, u32> {
    if user.is_empty() {
        return Err(count);
    }
    Ok(count)
}

#[test]
fn what_instrument_does_with_the_result_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!((returned("ann", 7), returned("", 8)), (Ok(7), Err(8)));
    });
    log.close().unwrap();
    let records = records(dir.path());
    let details = |name: &str| {
        let name = format!("inner.returned.{name}");
        let found = records.iter().find(|r| r["event_type"] == name);
        found.unwrap()["details"].clone()
    };
    assert_eq!(records.len(), 4);
    assert_eq!(details("completed")["twice"], 14);
    assert_eq!(details("failed")["wrong"], 8);
    assert_eq!(records[1]["actor"]["id"], "ann");
}
