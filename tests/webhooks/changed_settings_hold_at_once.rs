//! A change of a webhook's settings holds for everything that is recorded or replayed after it,
//! though the process that delivers looks at the settings only once a second.

use crate::receiver::Receiver;
use crate::shop::{emit, within};
use tracing_audit::{
    AuditLog, audit,
    webhook::{Replay, Webhook},
};

fn open() -> (tempfile::TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    (dir, log)
}

fn to(receiver: &Receiver, event_type: &str) -> Webhook {
    Webhook::new("test", &receiver.url, [event_type])
        .allow_http()
        .egress(["loopback"])
}

#[test]
fn what_is_recorded_after_a_change_is_selected_by_the_new_settings() {
    let receiver = Receiver::new();
    let (_dir, log) = open();
    log.webhooks().add(to(&receiver, "other.*")).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    within(&log, || {
        audit!("other.thing", n = 100);
    });
    receiver.wait_for_numbers(1);
    log.webhooks().set(to(&receiver, "order.*")).unwrap();
    emit(&log, 0..5);
    let taken = receiver.wait_for_numbers(6);
    let numbers: Vec<u64> = taken.into_keys().collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 100]);
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn a_replay_after_a_change_sends_nothing_by_the_old_settings() {
    let receivers = [Receiver::new(), Receiver::new()];
    let (_dir, log) = open();
    log.webhooks().add(to(&receivers[0], "order.*")).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..5);
    receivers[0].wait_for_numbers(5);
    // Whether the dispatcher looks at the settings or for replays first is a matter of luck.
    for turn in 1..=4 {
        let [old, new] = [turn + 1, turn].map(|turn| &receivers[turn % 2]);
        let (old_before, new_before) = (old.count(), new.count());
        log.webhooks().set(to(new, "order.*")).unwrap();
        let all = Replay::entries([("event_type", "order.*")]);
        log.webhooks().replay("test", all).unwrap();
        new.wait_for("the replay", |came| {
            (came.len() >= new_before + 5).then_some(())
        });
        assert_eq!(old.count(), old_before, "turn {turn}");
    }
    drop(dispatcher);
    log.close().unwrap();
}
