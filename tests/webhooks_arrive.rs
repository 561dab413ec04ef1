//! Webhooks: each subscribed event arrives at least once, whatever the receiver does meanwhile, and no other does.

#![cfg(all(feature = "webhook", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "support/axum_receiver.rs"]
mod receiver;
mod support;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use receiver::Receiver;
use serde_json::Value;
use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, DeliveryOrder, SigningSecret, Subscription, sign},
};
use tracing_subscriber::prelude::*;

fn to(receiver: &Receiver) -> Subscription {
    Subscription::new("test", &receiver.url, ["order.*"])
        .excluding(["order.secret.*"])
        .allow_http()
        .egress(["loopback"])
        .schedule([0, 1, 1, 1, 1, 1, 1, 1])
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir).source("shop").rotate_bytes(20_000).live_grace(Duration::ZERO).open().unwrap()
}

fn emit(log: &AuditLog, numbers: std::ops::Range<u64>) {
    tracing::dispatcher::with_default(&tracing_subscriber::registry().with(log.layer()).into(), || {
        for n in numbers {
            audit!("order.placed", n);
            audit!("order.secret.seen", n);
            audit!("other.thing", n);
        }
    });
}

#[test]
fn what_was_asked_for_arrives_signed_and_as_stored() {
    let receiver = Receiver::new(|_, _| StatusCode::NO_CONTENT);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    emit(&log, 1000..1003);
    let secret = SigningSecret::random().unwrap();
    log.subscribe(to(&receiver).signing_secret(secret.reveal()).api_key("k-1").header("x-team", "audit")).unwrap();
    let forwarder = log.forward().unwrap();
    emit(&log, 0..50);
    let accepted = receiver.wait_for(50);
    assert_eq!(accepted.keys().copied().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>(), "only what came after the subscription");
    drop(forwarder);
    log.close().unwrap();
    let stored = support::lines(dir.path());
    for (headers, body, _) in receiver.arrived.lock().unwrap().iter() {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!((text("authorization"), text("x-team")), ("Bearer k-1".to_owned(), "audit".to_owned()));
        let signature = sign(std::slice::from_ref(&secret), &text("webhook-id"), text("webhook-timestamp").parse().unwrap(), body);
        assert_eq!(text("webhook-signature"), signature);
        let body = std::str::from_utf8(body).unwrap();
        assert!(stored.iter().any(|line| body.contains(line)), "{body}");
    }
}

#[test]
fn what_fails_is_tried_again_under_the_same_id_and_holds_nothing_up() {
    // Each request with an odd number of its own fails at first.
    let failed = Mutex::new(std::collections::HashSet::new());
    let receiver = Receiver::new(move |_, body| {
        let n = serde_json::from_slice::<Value>(body).unwrap()["data"]["details"]["n"].as_u64().unwrap();
        if n % 2 == 1 && failed.lock().unwrap().insert(n) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.subscribe(to(&receiver)).unwrap();
    let forwarder = log.forward().unwrap();
    emit(&log, 0..20);
    receiver.wait_for(20);
    drop(forwarder);
    let mut ids: BTreeMap<String, Vec<StatusCode>> = BTreeMap::new();
    for (headers, _, status) in receiver.arrived.lock().unwrap().iter() {
        ids.entry(headers["webhook-id"].to_str().unwrap().to_owned()).or_default().push(*status);
    }
    assert_eq!(ids.len(), 20);
    assert_eq!(ids.values().filter(|answers| answers.len() == 2).count(), 10);
    let report = log.subscriptions().unwrap().remove(0);
    let (status, waiting) = (report.status, report.waiting_requests);
    assert_eq!((status.delivered, status.failed_attempts, status.dead_lettered, waiting), (20, 10, 0, 0));
    log.close().unwrap();
}

#[test]
fn another_forwarder_goes_on_where_the_first_was() {
    let receiver = Receiver::new(|n, _| if n % 5 == 4 { StatusCode::BAD_GATEWAY } else { StatusCode::OK });
    let dir = tempfile::tempdir().unwrap();
    let subscribed = open(dir.path());
    // A floor of a minute holds for 502; with it this test would take that long.
    subscribed.subscribe(to(&receiver).batch(Batching { max_entries: 7, max_wait_ms: 50 }).order(DeliveryOrder::BestEffort)).unwrap();
    subscribed.close().unwrap();
    for round in 0..4 {
        let log = open(dir.path());
        let forwarder = log.forward().unwrap();
        emit(&log, round * 100..(round + 1) * 100);
        std::thread::sleep(Duration::from_millis(300));
        drop(forwarder);
        log.close().unwrap();
    }
    let log = open(dir.path());
    let report = log.subscriptions().unwrap().remove(0);
    let (status, waiting) = (report.status, report.waiting_requests);
    let in_parcels: u64 = status.delivered;
    assert!(in_parcels > 0 && status.failed_attempts > 0, "{status:?}");
    let accepted = receiver.accepted();
    assert!(accepted.values().all(|ids| ids.iter().all(|id| *id == ids[0])), "an event comes under one id");
    assert!(waiting > 0 || accepted.len() == 400, "{waiting} wait, {} arrived", accepted.len());
    log.close().unwrap();
}

#[test]
fn too_big_is_split_and_what_never_works_is_put_aside() {
    let receiver = Receiver::new(|_, body| {
        let body: Value = serde_json::from_slice(body).unwrap();
        let events = body.as_array().unwrap();
        let has_13 = events.iter().any(|event| event["data"]["details"]["n"] == 13);
        if events.len() > 4 || has_13 { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::OK }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.subscribe(to(&receiver).batch(Batching { max_entries: 16, max_wait_ms: 20 })).unwrap();
    let forwarder = log.forward().unwrap();
    emit(&log, 0..32);
    let accepted = receiver.wait_for(31);
    assert!(!accepted.contains_key(&13));
    let start = Instant::now();
    while log.subscriptions().unwrap()[0].status.dead_lettered == 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(forwarder);
    log.close().unwrap();
    let letters = std::fs::read_to_string(&support::files(&dir.path().join("state/dead-letters"))[0]).unwrap();
    let letter: Value = serde_json::from_str(&letters).unwrap();
    assert_eq!(letter["entries"][0]["details"]["n"], 13);
    let records = support::records(dir.path());
    assert!(records.iter().any(|record| record["event_type"] == "audit.delivery.dead_lettered" && record["details"]["endpoint"] == "test"));
}

#[test]
fn what_is_not_allowed_is_refused_when_it_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let ok = || Subscription::new("x", "https://hooks.example.com/a", ["*"]);
    for (subscription, named) in [
        (Subscription::new("a b", "https://hooks.example.com/", ["*"]), "name"),
        (Subscription::new("x", "hooks.example.com", ["*"]), "url"),
        (Subscription::new("x", "http://hooks.example.com/", ["*"]), "allow_http"),
        (Subscription::new("x", "https://127.1/", ["*"]), "loopback"),
        (Subscription::new("x", "https://hooks.example.com/", Vec::<String>::new()), "event_types"),
        (Subscription::new("x", "https://hooks.example.com/", ["Auth.*"]), "event_type"),
        (ok().signing_secret("whsec_short"), "sec"),
        (ok().api_key("env:NO_SUCH_VARIABLE_HERE"), "NO_SUCH_VARIABLE_HERE"),
        (ok().header("Host", "x"), "ost"),
        (ok().schedule([]), "schedule"),
    ] {
        let error = log.subscribe(subscription).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    log.subscribe(ok()).unwrap();
    assert!(log.subscribe(ok()).unwrap_err().to_string().contains("already"));
    assert!(log.unsubscribe("x").unwrap() && !log.unsubscribe("x").unwrap());
    log.close().unwrap();
}

const SENDER: &str = "WEBHOOK_SENDER_DIR";

/// The sender, a process of its own: forwards, and prints each number once its event is recorded.
#[test]
fn sender() {
    let Some(dir) = std::env::var_os(SENDER) else { return };
    let first: u64 = std::env::var("WEBHOOK_SENDER_FIRST").unwrap().parse().unwrap();
    let log = open(Path::new(&dir));
    let _forwarder = log.forward().unwrap();
    tracing::dispatcher::with_default(&tracing_subscriber::registry().with(log.layer()).into(), || {
        use std::io::Write as _;
        let mut out = std::io::stdout();
        for n in first.. {
            audit!("order.placed", n);
            writeln!(out, "sent {n}").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_sender_that_is_killed_loses_nothing() {
    use std::{io::Read as _, process::Stdio};
    let receiver = Receiver::new(|n, _| match n % 7 {
        3 => StatusCode::INTERNAL_SERVER_ERROR,
        5 => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.subscribe(to(&receiver).batch(Batching { max_entries: 5, max_wait_ms: 20 })).unwrap();
    log.close().unwrap();
    let (mut sent, mut seed) = (Vec::new(), 7_u64);
    // Fifteen lives at least, and as many more as a slow machine needs for the events.
    for round in 0..60_u64 {
        if round >= 15 && sent.len() > 500 {
            break;
        }
        let first = (round * 1_000_000).to_string();
        let mut child = support::child("sender", &[(SENDER, dir.path().to_str().unwrap()), ("WEBHOOK_SENDER_FIRST", &first)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(150 + seed % 400));
        child.kill().unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        sent.extend(whole.lines().filter_map(|line| line.split_once("sent ")?.1.parse::<u64>().ok()));
    }
    assert!(sent.len() > 500, "{}", sent.len());
    let log = open(dir.path());
    let forwarder = log.forward().unwrap();
    let start = Instant::now();
    loop {
        let accepted = receiver.accepted();
        let missing = sent.iter().filter(|n| !accepted.contains_key(n)).count();
        if missing == 0 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{missing} of {} are missing", sent.len());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(forwarder);
    log.close().unwrap();
    for (n, ids) in receiver.accepted() {
        assert!(ids.iter().all(|id| *id == ids[0]), "{n} came as {ids:?}");
    }
}
