//! A webhook that can't be served as it is set says so, and is served as soon as it can be.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::receiver::Receiver;
use crate::shop::emit;
use crate::support::wait_for;
use serde_json::json;
use tracing_audit::{AuditLog, webhook::Webhook};

#[test]
fn it_is_unusable_with_a_reason_until_it_is_changed() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("key");
    fs::write(&secret, "k-1").unwrap();
    let log = AuditLog::for_tests();
    let webhook = Webhook::new("test", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .api_key(format!("file:{}", secret.display()));
    log.webhooks().add(webhook).unwrap();
    fs::remove_file(&secret).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 1..2);
    let told = wait_for("it is unusable", || {
        let report = log.webhooks().get("test").unwrap().unwrap();
        match report.state() {
            "unusable" => Ok(serde_json::to_value(&report).unwrap()),
            state => Err(state),
        }
    });
    let problem = told["problem"].as_str().unwrap();
    assert!(
        problem.contains("api_key") && problem.contains("key"),
        "{told}"
    );
    assert!(receiver.taken().is_empty());

    let changed = Instant::now();
    let patch = json!({ "api_key": "k-2" });
    let patch = patch.as_object().unwrap();
    log.webhooks().patch("test", patch).unwrap();
    receiver.wait_for_numbers(1);
    let took = changed.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "it waited {took:?} for the change"
    );
    let report = log.webhooks().get("test").unwrap().unwrap();
    assert_eq!(report.state(), "active");
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn it_is_known_who_delivers() {
    let log = AuditLog::for_tests();
    assert_eq!(log.webhooks().dispatcher().unwrap(), None);
    let dispatcher = log.webhooks().run().unwrap();
    let who = wait_for("somebody delivers", || {
        log.webhooks().dispatcher().unwrap().ok_or(())
    });
    assert_eq!(who.pid, std::process::id());
    assert!(!who.host.is_empty());
    drop(dispatcher);
    assert_eq!(log.webhooks().dispatcher().unwrap(), None);
    log.close().unwrap();
}
