//! Webhooks: each subscribed event arrives at least once, whatever the receiver does meanwhile, and
//! no other does.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::receiver::{Receiver, dispatcher};
use crate::shop::within;
use crate::support::{HANGS, Victim, say, until, wait_for};
use serde_json::Value;
use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, SigningSecret, Webhook},
};

fn to(receiver: &Receiver) -> Webhook {
    Webhook::new("test", &receiver.url, ["order.*"])
        .excluding(["order.secret.*"])
        .allow_http()
        .egress(["loopback"])
        // Some fail several times in a row, and none so often that it is given up.
        .schedule([0].into_iter().chain([1; 99]))
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(20_000)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap()
}

fn emit(log: &AuditLog, numbers: std::ops::Range<u64>) {
    within(log, || {
        for n in numbers {
            audit!("order.placed", n);
            audit!("order.secret.seen", n);
            audit!("other.thing", n);
        }
    });
}

#[test]
fn what_was_asked_for_arrives_signed_and_as_stored() {
    let receiver = Receiver::saying(204);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    emit(&log, 1000..1003);
    let secret = SigningSecret::random().unwrap();
    log.webhooks()
        .add(
            to(&receiver)
                .signing_secret(secret.reveal())
                .api_key("k-1")
                .header("x-team", "audit"),
        )
        .unwrap();
    let dispatcher = dispatcher(&log);
    emit(&log, 0..50);
    let accepted = receiver.wait_for_numbers(50);
    assert_eq!(
        accepted.keys().copied().collect::<Vec<_>>(),
        (0..50).collect::<Vec<_>>(),
        "only what came after the webhook"
    );
    drop(dispatcher);
    log.close().unwrap();
    let stored = crate::support::lines(dir.path());
    receiver.look(|came| {
        for request in came.iter().map(|came| &came.request) {
            assert_eq!(
                (request.header("authorization"), request.header("x-team")),
                ("Bearer k-1", "audit")
            );
            assert!(request.is_signed_with(&secret.reveal()));
            let body = std::str::from_utf8(&request.body).unwrap();
            assert!(stored.iter().any(|line| body.contains(line)), "{body}");
        }
    });
}

#[test]
fn what_fails_is_tried_again_under_the_same_id_and_holds_nothing_up() {
    // Each request with an odd number of its own fails at first.
    let failed = Mutex::new(HashSet::new());
    let receiver = Receiver::deciding(move |_, request| {
        let n = request.numbers()[0];
        if n % 2 == 1 && failed.lock().unwrap().insert(n) {
            500
        } else {
            200
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let dispatcher = dispatcher(&log);
    emit(&log, 0..20);
    receiver.wait_for_numbers(20);
    drop(dispatcher);
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    receiver.look(|came| {
        came.iter()
            .for_each(|came| *ids.entry(came.request.id().to_owned()).or_default() += 1)
    });
    assert_eq!(ids.len(), 20);
    assert_eq!(ids.values().filter(|requests| **requests == 2).count(), 10);
    let report = log.webhooks().list().unwrap().remove(0);
    let (status, waiting) = (report.status, report.waiting_deliveries);
    assert_eq!(
        (
            status.delivered,
            status.failed_attempts,
            status.dead_lettered,
            waiting
        ),
        (20, 10, 0, 0)
    );
    log.close().unwrap();
}

#[test]
fn another_dispatcher_goes_on_where_the_first_was() {
    let receiver = Receiver::deciding(|n, _| if n % 5 == 4 { 502 } else { 200 });
    let dir = tempfile::tempdir().unwrap();
    let subscribed = open(dir.path());
    subscribed
        .webhooks()
        .add(to(&receiver).batch(Batching {
            max_entries: 7,
            max_wait_ms: 50,
        }))
        .unwrap();
    subscribed.close().unwrap();
    for round in 0..4 {
        let log = open(dir.path());
        let dispatcher = dispatcher(&log);
        let before = receiver.taken().len();
        emit(&log, round * 100..(round + 1) * 100);
        // It leaves some to the next.
        receiver.wait_for_numbers(before + 1);
        drop(dispatcher);
        log.close().unwrap();
    }
    let log = open(dir.path());
    let dispatcher = dispatcher(&log);
    receiver.wait_for_numbers(400);
    drop(dispatcher);
    let report = log.webhooks().list().unwrap().remove(0);
    let (status, waiting) = (report.status, report.waiting_deliveries);
    let failed = receiver.look(|came| came.iter().filter(|came| !came.was_taken()).count() as u64);
    assert_eq!(
        (
            status.delivered,
            status.failed_attempts,
            status.dead_lettered,
            waiting
        ),
        (400, failed, 0, 0)
    );
    assert!(failed > 0);
    assert!(
        receiver.taken().values().all(|ids| ids.len() == 1),
        "each event comes once"
    );
    log.close().unwrap();
}

#[test]
fn too_big_is_split_and_what_never_works_is_put_aside() {
    let receiver = Receiver::deciding(|_, request| {
        let numbers = request.numbers();
        if numbers.len() > 4 || numbers.contains(&13) {
            413
        } else {
            200
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).batch(Batching {
            max_entries: 16,
            max_wait_ms: 20,
        }))
        .unwrap();
    let dispatcher = dispatcher(&log);
    emit(&log, 0..32);
    let accepted = receiver.wait_for_numbers(31);
    assert!(!accepted.contains_key(&13));
    until("it is put aside", || {
        log.webhooks().list().unwrap()[0].status.dead_lettered > 0
    });
    drop(dispatcher);
    let letter = log.webhooks().dead_letters("test", 0, 1).unwrap().remove(0);
    let entry: Value = letter.entries[0].parse().unwrap();
    assert_eq!((&entry["details"]["n"], letter.missing), (&13.into(), 0));
    assert_eq!(letter.places[0].first_seq, letter.entries[0].seq());
    log.close().unwrap();
    let records = crate::support::records(dir.path());
    assert!(records.iter().any(
        |record| record["event_type"] == "audit.delivery.dead_lettered"
            && record["details"]["webhook"] == "test"
    ));
}

#[test]
fn what_is_not_allowed_is_refused_when_it_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let ok = || Webhook::new("x", "https://hooks.example.com/a", ["*"]);
    for (webhook, named) in [
        (
            Webhook::new("a b", "https://hooks.example.com/", ["*"]),
            "name",
        ),
        (Webhook::new("x", "hooks.example.com", ["*"]), "url"),
        (
            Webhook::new("x", "http://hooks.example.com/", ["*"]),
            "allow_http",
        ),
        (Webhook::new("x", "https://127.1/", ["*"]), "loopback"),
        (
            Webhook::new("x", "https://hooks.example.com/", Vec::<String>::new()),
            "event_types",
        ),
        (
            Webhook::new("x", "https://hooks.example.com/", ["Auth.*"]),
            "event_type",
        ),
        (ok().signing_secret("whsec_short"), "sec"),
        (
            ok().api_key("env:NO_SUCH_VARIABLE_HERE"),
            "NO_SUCH_VARIABLE_HERE",
        ),
        (ok().header("Host", "x"), "ost"),
        (ok().schedule([]), "schedule"),
    ] {
        let error = log.webhooks().add(webhook).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    log.webhooks().add(ok()).unwrap();
    assert!(
        log.webhooks()
            .add(ok())
            .unwrap_err()
            .to_string()
            .contains("already")
    );
    assert!(log.webhooks().remove("x").unwrap() && !log.webhooks().remove("x").unwrap());
    log.close().unwrap();
}

const SENDER: &str = "WEBHOOK_SENDER_DIR";

/// The sender, a process of its own: delivers, and prints each number once its event is recorded.
#[test]
fn sender() {
    let Some(dir) = std::env::var_os(SENDER) else {
        return;
    };
    let first: u64 = std::env::var("WEBHOOK_SENDER_FIRST")
        .unwrap()
        .parse()
        .unwrap();
    let log = open(Path::new(&dir));
    let _dispatcher = log.webhooks().run().unwrap();
    within(&log, || {
        for n in first.. {
            audit!("order.placed", n);
            say(n);
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_sender_that_is_killed_loses_nothing() {
    // What it took it takes again: a sender that was killed did not hear of the first time.
    let took = Mutex::new(HashSet::new());
    let receiver = Receiver::deciding(move |n, request| {
        let mut took = took.lock().unwrap();
        if took.contains(request.id()) {
            return 200;
        }
        match n % 7 {
            3 => 500,
            5 => 400,
            _ => {
                took.insert(request.id().to_owned());
                200
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).batch(Batching {
            max_entries: 5,
            max_wait_ms: 20,
        }))
        .unwrap();
    log.close().unwrap();
    let (mut sent, mut round, start) = (Vec::<u64>::new(), 0_u64, Instant::now());
    // Fifteen lives at least, and as many more as a slow machine needs for the events, and longer
    // ones if nothing comes of them.
    let mut longest = 550;
    while round < 15 || sent.len() <= 500 {
        assert!(
            start.elapsed() < HANGS,
            "{} events in {round} lives",
            sent.len()
        );
        let first = (round * 1_000_000).to_string();
        let vars = [
            (SENDER, dir.path().to_str().unwrap()),
            ("WEBHOOK_SENDER_FIRST", &first),
        ];
        let sender = Victim::start(&mut crate::support::child(module_path!(), "sender", &vars));
        thread::sleep(Duration::from_millis(fastrand::u64(150..longest)));
        let more: Vec<u64> = sender.kill();
        longest += if more.is_empty() { 100 } else { 0 };
        sent.extend(more);
        round += 1;
    }
    let log = open(dir.path());
    let dispatcher = dispatcher(&log);
    wait_for("all that was recorded arrives", || {
        let taken = receiver.taken();
        let missing = sent.iter().filter(|n| !taken.contains_key(n)).count();
        if missing == 0 {
            Ok(())
        } else {
            Err(format!("{missing} of {} are missing", sent.len()))
        }
    });
    drop(dispatcher);
    log.close().unwrap();
    for (n, ids) in receiver.taken() {
        assert!(ids.iter().all(|id| *id == ids[0]), "{n} came as {ids:?}");
    }
}
