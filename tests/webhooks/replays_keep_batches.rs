//! A replay sends batches as they were sent before, so a receiver that knows an id needs no entry
//! of it again.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, Replay, ReplayState, Webhook},
};

use crate::shop::within;
use crate::{
    receiver::{Receiver, dispatcher},
    support::wait_for,
};

const BATCH: Batching = Batching {
    max_entries: 10,
    max_wait_ms: 1,
};

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(16 * 1024)
        .open()
        .unwrap()
}

fn to(receiver: &Receiver) -> Webhook {
    Webhook::new("test", &receiver.url, ["order.*"])
        .excluding(["order.seen"])
        .batch(BATCH)
        .allow_http()
        .egress(["loopback"])
}

/// Records so many wanted events, and others between them.
fn emit(log: &AuditLog, numbers: std::ops::Range<u64>) {
    within(log, || {
        for n in numbers {
            audit!("order.placed", n);
            audit!("order.seen", n);
            audit!("other.thing", n);
        }
    });
    log.flush().unwrap();
}

/// Records events in groups, each after the one before has arrived: so the batches of each are cut
/// by time at its end, and by size before. Gives how many events there are.
fn deliver_in_groups(log: &AuditLog, receiver: &Receiver, from: u64, groups: u64) -> u64 {
    let mut sent = from;
    for group in 0..groups {
        let next = sent + 1 + group * 7 % 23;
        emit(log, sent..next);
        sent = next;
        receiver.wait_for_numbers(sent as usize);
    }
    sent
}

/// The ids and bodies of the requests that were taken, from this one on.
fn taken(receiver: &Receiver, from: usize) -> Vec<(String, Vec<u8>)> {
    receiver.look(|came| {
        let taken = came[from..].iter().filter(|came| came.was_taken());
        let request = taken.map(|came| &came.request);
        request
            .map(|request| (request.id().to_owned(), request.body.clone()))
            .collect()
    })
}

/// Replays entries, and gives what was taken of them; the count says before how many there are.
fn replay(log: &AuditLog, receiver: &Receiver, replay: Replay) -> Vec<(String, Vec<u8>)> {
    let from = receiver.count();
    let counted = log.webhooks().count_replay("test", &replay);
    let counted = counted.unwrap().unwrap();
    let state = || log.webhooks().get("test").unwrap().unwrap().replay;
    let last = state().map_or(0, |replay| replay.number);
    log.webhooks().replay("test", replay).unwrap();
    wait_for("the replay ends", || match state() {
        Some(done) if done.number > last && done.state == ReplayState::Done => Ok(()),
        other => Err(other),
    });
    let came = taken(receiver, from);
    assert_eq!(came.len() as u64, counted.deliveries);
    came
}

fn all() -> Replay {
    Replay::entries([("event_type", "*")])
}

#[test]
fn a_replay_after_a_restart_sends_each_batch_under_the_id_that_it_had() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let delivering = dispatcher(&log);
    let sent = deliver_in_groups(&log, &receiver, 0, 40);
    drop(delivering);
    log.close().unwrap();
    // Another process, and another stream.
    let log = open(dir.path());
    let delivering = dispatcher(&log);
    let sent = deliver_in_groups(&log, &receiver, sent, 20);
    drop(delivering);
    let first: HashMap<_, _> = taken(&receiver, 0).into_iter().collect();
    let delivering = dispatcher(&log);
    for _ in 0..2 {
        let again = replay(&log, &receiver, all());
        assert_eq!(again.len(), first.len());
        for (id, body) in &again {
            assert_eq!(first.get(id), Some(body), "{id} was not sent before");
        }
    }
    let came = receiver.taken();
    assert_eq!(came.len() as u64, sent);
    assert!(came.values().all(|ids| ids.len() == 3), "{came:?}");
    drop(delivering);
    log.close().unwrap();
}

#[test]
fn halves_that_were_sent_are_sent_again_and_not_the_batch_that_was_too_large() {
    let most = Arc::new(AtomicUsize::new(4));
    let now = Arc::clone(&most);
    let receiver = Receiver::deciding(move |_, request| {
        match request.numbers().len() <= now.load(Ordering::Relaxed) {
            true => 200,
            false => 413,
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let delivering = dispatcher(&log);
    deliver_in_groups(&log, &receiver, 0, 20);
    drop(delivering);
    let first: HashMap<_, _> = taken(&receiver, 0).into_iter().collect();
    most.store(100, Ordering::Relaxed);
    let delivering = dispatcher(&log);
    let again = replay(&log, &receiver, all());
    assert_eq!(again.len(), first.len());
    assert!(again.iter().all(|(id, body)| first.get(id) == Some(body)));
    drop(delivering);
    log.close().unwrap();
}

#[test]
fn a_batch_of_which_a_replay_sends_a_part_has_another_id() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let delivering = dispatcher(&log);
    let sent = deliver_in_groups(&log, &receiver, 0, 12);
    drop(delivering);
    let first: BTreeMap<_, _> = taken(&receiver, 0).into_iter().collect();
    let of_one = |bodies: Vec<(String, Vec<u8>)>| -> usize {
        let known = bodies.iter().filter(|(id, body)| match first.get(id) {
            None => false,
            Some(before) => {
                assert_eq!(before, body, "{id} has another body");
                true
            }
        });
        known.count()
    };
    let delivering = dispatcher(&log);
    // A part of the entries: no batch is whole.
    let some = Replay::entries([
        ("details.n", "!0"),
        ("details.n", "!3"),
        ("details.n", "!11"),
    ]);
    let again = replay(&log, &receiver, some);
    let count = again.len();
    let known = of_one(again);
    assert!(known > 0 && known < count, "{known} of {count}");
    // Smaller batches.
    let smaller = Batching {
        max_entries: 3,
        ..BATCH
    };
    log.webhooks().set(to(&receiver).batch(smaller)).unwrap();
    let again = replay(&log, &receiver, all());
    let numbers = |body: &[u8]| -> usize {
        let events: serde_json::Value = serde_json::from_slice(body).unwrap();
        events.as_array().unwrap().len()
    };
    assert!(again.iter().all(|(_, body)| numbers(body) <= 3));
    let entries: usize = again.iter().map(|(_, body)| numbers(body)).sum();
    assert_eq!(entries as u64, sent);
    of_one(again);
    drop(delivering);
    log.close().unwrap();
}

#[test]
fn what_a_webhook_has_not_got_yet_comes_under_one_id_though_it_is_replayed() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let delivering = dispatcher(&log);
    let sent = deliver_in_groups(&log, &receiver, 0, 6);
    drop(delivering);
    emit(&log, sent..sent + 25);
    let counted = log.webhooks().count_replay("test", &all());
    assert_eq!(counted.unwrap().unwrap().entries, sent);
    log.webhooks().replay("test", all()).unwrap();
    // It begins with the replay, and reads the log after its first page.
    let delivering = dispatcher(&log);
    wait_for("the replay ends", || {
        match log.webhooks().get("test").unwrap().unwrap().replay {
            Some(done) if done.state == ReplayState::Done => Ok(()),
            other => Err(other),
        }
    });
    let taken = receiver.wait_for_numbers(sent as usize + 25);
    for (n, ids) in taken {
        assert!(ids.iter().all(|id| *id == ids[0]), "{n}: {ids:?}");
        assert!(ids.len() == 2 || n >= sent, "{n}: {ids:?}");
    }
    drop(delivering);
    log.close().unwrap();
}
