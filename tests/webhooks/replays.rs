//! A replay is counted before it is begun, says how far it is, and can be cancelled.

use std::{thread, time::Duration};

use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, Replay, ReplayReport, ReplayState},
};

use crate::shop::{open, recorded, to, within};
use crate::{receiver::Receiver, support::wait_for};

fn emit(log: &AuditLog, numbers: std::ops::Range<u64>) {
    within(log, || {
        for n in numbers {
            audit!("order.placed", n);
            audit!("order.seen", n);
            audit!("other.thing", n);
        }
    });
}

fn all() -> Replay {
    Replay::entries([("event_type", "*")])
}

fn wait(log: &AuditLog, what: &str, until: impl Fn(&ReplayReport) -> bool) -> ReplayReport {
    wait_for(what, || {
        match log.webhooks().get("test").unwrap().unwrap().replay {
            Some(replay) if until(&replay) => Ok(replay),
            other => Err(other),
        }
    })
}

#[test]
fn a_replay_says_how_far_it_is_until_it_is_done() {
    let receiver = Receiver::deciding(|_, _| {
        thread::sleep(Duration::from_millis(2));
        200
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    emit(&log, 0..350);
    let batch = Batching {
        max_entries: 10,
        max_wait_ms: 10,
    };
    log.webhooks()
        .add(to(&receiver).excluding(["order.seen"]).batch(batch))
        .unwrap();
    log.flush().unwrap();
    let count = log
        .webhooks()
        .count_replay("test", &all())
        .unwrap()
        .unwrap();
    assert_eq!(count.entries, 350);
    assert!(count.first.unwrap() < count.last.unwrap());
    assert_eq!(log.webhooks().get("test").unwrap().unwrap().replay, None);
    log.webhooks().replay("test", all()).unwrap();
    let waiting = wait(&log, "it is asked for", |_| true);
    assert_eq!(
        (waiting.state, waiting.entries),
        (ReplayState::Waiting, None)
    );
    let dispatcher = log.webhooks().run().unwrap();
    let running = wait(&log, "some are sent", |replay| {
        replay.entries.is_some() && replay.delivered > 0
    });
    assert_eq!(running.entries, Some(350));
    let done = wait(&log, "it is done", |replay| {
        replay.state == ReplayState::Done
    });
    assert_eq!(
        (done.delivered, done.given_up, done.entries),
        (350, 0, Some(350))
    );
    assert_eq!(receiver.count() as u64, count.deliveries);
    // The state outlives the process.
    drop(dispatcher);
    let dispatcher = log.webhooks().run().unwrap();
    assert_eq!(wait(&log, "it is still known", |_| true), done);
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn a_cancelled_replay_sends_nothing_more_and_lets_others_go_on() {
    let receiver = Receiver::deciding(|_, _| {
        thread::sleep(Duration::from_millis(5));
        200
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    emit(&log, 0..700);
    log.webhooks().add(to(&receiver)).unwrap();
    let none = log.webhooks().cancel_replay("test").unwrap_err();
    assert!(none.to_string().contains("no replay"), "{none}");
    let dispatcher = log.webhooks().run().unwrap();
    log.webhooks().replay("test", all()).unwrap();
    // One that has not begun is cancelled with it.
    log.webhooks().replay("test", all()).unwrap();
    wait(&log, "some are sent", |replay| replay.delivered > 0);
    assert!(log.webhooks().cancel_replay("test").unwrap());
    let cancelled = wait(&log, "it is cancelled", |replay| {
        replay.state == ReplayState::Cancelled
    });
    assert!(cancelled.delivered < 1400, "{cancelled:?}");
    wait_for("nothing of it waits", || {
        match log
            .webhooks()
            .get("test")
            .unwrap()
            .unwrap()
            .waiting_deliveries
        {
            0 => Ok(()),
            waiting => Err(waiting),
        }
    });
    let sent = receiver.count();
    emit(&log, 700..701);
    receiver.wait_for("what is new", |came| {
        came.iter()
            .any(|one| one.request.numbers() == [700])
            .then_some(())
    });
    log.webhooks()
        .replay("test", Replay::dead_letters())
        .unwrap();
    wait(&log, "the next one ends", |replay| {
        replay.state == ReplayState::Done
    });
    assert!(receiver.count() <= sent + 2, "{sent} {}", receiver.count());
    drop(dispatcher);
    log.close().unwrap();
    assert_eq!(
        recorded(dir.path(), "audit.webhook.replay_cancelled").len(),
        1
    );
}
