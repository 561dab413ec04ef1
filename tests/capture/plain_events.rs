//! What an ordinary event of `tracing` with the target `audit` can say, and what not.

use serde_json::{Value, json};
use tracing_audit::AuditLog;
use tracing_subscriber::prelude::*;

fn recorded(act: impl FnOnce()) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("plain")
        .open()
        .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        act,
    );
    log.close().unwrap();
    crate::support::records(dir.path())
}

#[test]
fn the_logs_own_event_types_are_not_for_others() {
    let records = recorded(|| {
        tracing::info!(target: "audit", event_type = "audit.log.lost", after_seq = 7, count = 2, "forged");
        tracing::info!(target: "audit", event_type = "audits.log.lost");
    });
    assert_eq!(
        (&records[0]["event_type"], &records[0]["category"]),
        (&json!("tracing.event"), &json!("tracing"))
    );
    assert_eq!(
        records[0]["details"],
        json!({"after_seq": 7, "count": 2, "event_type": "audit.log.lost"})
    );
    assert_eq!(records[1]["event_type"], "audits.log.lost");
}
