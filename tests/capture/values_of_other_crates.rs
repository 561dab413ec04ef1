//! Ids, times and secrets whose types come from the crates that applications use for them.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing_audit::{Actor, AuditLog, Resource, audit, mask};
use tracing_subscriber::prelude::*;
use uuid::Uuid;

use crate::support::{lines, records};

#[test]
fn ids_are_whatever_has_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let id = Uuid::from_u128(7);
    tracing::subscriber::with_default(subscriber, || {
        audit!(
            "id.number",
            actor = Actor::user(7_u64),
            resource = Resource::new("order", -3_i32)
        );
        audit!(
            "id.uuid",
            actor = Actor::service(id).name(id),
            resource.id = id
        );
        let text: &String = &String::from("a\"b\n");
        audit!("id.text", actor = Actor::user(text), resource.id = %id);
    });
    log.close().unwrap();
    let records = records(dir.path());
    assert_eq!(
        records[0]["actor"],
        serde_json::json!({"type": "user", "id": "7"})
    );
    assert_eq!(records[0]["resource"]["id"], "-3");
    assert_eq!(records[1]["actor"]["id"], id.to_string());
    assert_eq!(records[1]["actor"]["name"], id.to_string());
    assert_eq!(records[1]["resource"]["id"], id.to_string());
    assert_eq!(records[2]["actor"]["id"], "a\"b\n");
}

#[test]
fn times_of_all_three_crates_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let since = Duration::from_secs(1_700_000_000);
    let of_jiff = jiff::Timestamp::from_second(since.as_secs() as i64).unwrap();
    let of_time = time::OffsetDateTime::UNIX_EPOCH + since;
    let of_chrono = chrono::DateTime::from_timestamp(since.as_secs() as i64, 0).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        audit!("time.told", jiff = of_jiff, chrono = %of_chrono.to_rfc3339(), time = %of_time);
    });
    log.close().unwrap();
    let details = &records(dir.path())[0]["details"];
    assert_eq!(details["jiff"], "2023-11-14T22:13:20Z");
    assert_eq!(details["chrono"], "2023-11-14T22:13:20+00:00");
    assert!(
        details["time"]
            .as_str()
            .unwrap()
            .starts_with("2023-11-14 22:13:20")
    );
}

/// By name it is redacted, as its `Debug` it hides itself; without either it does not compile. What
/// the application takes out itself can be masked.
#[test]
fn a_secret_is_never_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let secret = SecretString::from("hunter2-hunter2-hunter2");
    tracing::subscriber::with_default(subscriber, || {
        audit!("secret.given", password = secret, other = ?secret);
        audit!("secret.shown", hint = mask(secret.expose_secret(), 3));
    });
    log.close().unwrap();
    assert!(
        lines(dir.path())
            .iter()
            .all(|line| !line.contains("hunter2"))
    );
    let records = records(dir.path());
    assert_eq!(records[0]["details"]["password"], "[redacted]");
    assert_eq!(records[1]["details"]["hint"], "hun…");
}
