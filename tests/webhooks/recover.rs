//! Webhooks after trouble: what waited for a webhook goes when that is back, and what was given
//! up when someone asks for it.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::receiver::{self, Receiver};
use crate::shop::{emit, open, recorded, to, wait, within};
use crate::support::until;
use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, DeliveryOrder, Replay, Webhook},
};

const HOUR: u64 = 3600;

#[test]
fn what_waited_hours_for_an_endpoint_goes_when_that_is_back() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).schedule([0, HOUR, HOUR, HOUR]))
        .unwrap();
    let (dispatcher, start) = (log.webhooks().run().unwrap(), Instant::now());
    emit(&log, 0..300);
    wait(&log, "it fails", |report| {
        report.status.failed_attempts >= 7
    });
    // Five that fail and the three that are under way with the last of them, and then one a second.
    let (tried, seconds) = (receiver.count() as u64, start.elapsed().as_secs());
    assert!(
        tried <= 8 + seconds,
        "{tried} requests within {seconds} s to a webhook that takes none"
    );
    receiver.say(200);
    let report = wait(&log, "all arrive", |report| report.status.delivered == 300);
    assert_eq!(
        (
            report.waiting_deliveries,
            report.status.dead_lettered,
            report.state()
        ),
        (0, 0, "active")
    );
    drop(dispatcher);
    log.close().unwrap();
    assert_eq!(
        (
            recorded(dir.path(), "audit.delivery.failing").len(),
            recorded(dir.path(), "audit.delivery.recovered").len()
        ),
        (1, 1)
    );
    assert!(receiver.taken().values().all(|ids| ids.len() == 1));
}

#[test]
fn probes_cost_entries_no_attempt() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    // A second failure that is due would be the last.
    log.webhooks()
        .add(to(&receiver).schedule([0, HOUR]))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..6);
    // Six of their own, and a probe.
    wait(&log, "it is probed", |report| {
        report.status.failed_attempts >= 7
    });
    receiver.say(200);
    let report = wait(&log, "all arrive", |report| report.status.delivered == 6);
    assert_eq!(report.status.dead_lettered, 0);
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn who_wants_no_more_is_left_alone_until_someone_changes_that() {
    let receiver = Receiver::saying(410);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..3);
    wait(&log, "it is gone", |report| report.state() == "gone");
    receiver.say(200);
    emit(&log, 3..6);
    // Another webhook gets them meanwhile.
    let other = Receiver::new();
    log.webhooks()
        .add(
            Webhook::new("other", &other.url, ["order.*"])
                .allow_http()
                .egress(["loopback"]),
        )
        .unwrap();
    emit(&log, 6..9);
    other.wait_for_numbers(3);
    assert!(receiver.taken().is_empty());
    log.webhooks().resume("test").unwrap();
    receiver.wait_for_numbers(9);
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn dead_letters_are_replayed_under_their_ids_and_are_dead_no_more() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).schedule([0]).batch(Batching {
            max_entries: 3,
            max_wait_ms: 10,
        }))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..9);
    wait(&log, "all are given up", |report| {
        report.status.dead_lettered == 9
    });
    let letters = log.webhooks().dead_letters("test", 0, 100).unwrap();
    assert!(
        letters.len() >= 3
            && letters
                .iter()
                .all(|letter| letter.attempts == 1 && letter.reason.contains("500")),
        "{letters:?}"
    );
    let attempts = log.webhooks().attempts("test").unwrap();
    receiver.say(204);
    assert!(
        log.webhooks()
            .replay("test", Replay::dead_letters())
            .unwrap()
            && !log
                .webhooks()
                .replay("other", Replay::dead_letters())
                .unwrap()
    );
    let accepted = receiver.wait_for_numbers(9);
    wait(&log, "they are delivered", |report| {
        report.status.delivered == 9 && report.waiting_deliveries == 0
    });
    let mut ids: Vec<String> = accepted.values().flatten().cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut dead: Vec<String> = letters
        .iter()
        .map(|letter| letter.delivery_id.clone())
        .collect();
    dead.sort_unstable();
    assert_eq!(ids, dead);
    assert!(
        log.webhooks()
            .dead_letters("test", 0, 100)
            .unwrap()
            .is_empty()
    );
    drop(dispatcher);
    log.close().unwrap();
    let all = open(dir.path());
    let later = all.webhooks().attempts("test").unwrap();
    assert!(
        attempts.len() < later.len() && later[0].delivered && later[0].status == Some(204),
        "{later:?}"
    );
    assert!(
        later
            .last()
            .is_some_and(|first| !first.delivered && first.status == Some(500))
    );
    all.close().unwrap();
}

#[test]
fn a_range_is_replayed_and_only_of_what_the_subscription_wants() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    emit(&log, 0..700);
    within(&log, || {
        audit!("secret.thing", n = 9999);
    });
    log.webhooks().add(to(&receiver)).unwrap();
    emit(&log, 700..710);
    let dispatcher = log.webhooks().run().unwrap();
    let before = receiver.wait_for_numbers(10);
    assert_eq!(
        before.keys().copied().collect::<Vec<_>>(),
        (700..710).collect::<Vec<_>>()
    );
    let wrong = log
        .webhooks()
        .replay("test", Replay::entries([("event_tipe", "order.*")]))
        .unwrap_err();
    assert!(wrong.to_string().contains("event_tipe"), "{wrong}");
    log.webhooks()
        .replay("test", Replay::entries([("event_type", "*")]))
        .unwrap();
    receiver.wait_for_numbers(710);
    wait(&log, "the replay ends", |report| {
        report.status.delivered == 720
    });
    let after = receiver.taken();
    assert!(!after.contains_key(&9999));
    assert_eq!(
        after.values().map(Vec::len).sum::<usize>(),
        720,
        "what had arrived came once more"
    );
    assert!(
        after
            .iter()
            .all(|(n, ids)| ids.iter().all(|id| *id == ids[0])
                && (ids.len() == 2) == (700..710).contains(n))
    );
    drop(dispatcher);
    // A restart begins no replay anew: it would look for one before it reads on in the log.
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 710..711);
    until("what is new arrives", || {
        receiver.taken().contains_key(&710)
    });
    drop(dispatcher);
    assert_eq!(receiver.taken().values().map(Vec::len).sum::<usize>(), 721);
    log.close().unwrap();
    assert_eq!(recorded(dir.path(), "audit.webhook.replayed").len(), 1);
}

#[test]
fn a_test_event_tells_what_came_of_it() {
    let receiver = Receiver::saying(204);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    log.webhooks().pause("test").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = runtime
        .block_on(log.webhooks().test("test"))
        .unwrap()
        .unwrap();
    assert!(told.delivered && told.status == Some(204), "{told:?}");
    receiver.say(401);
    let told = runtime
        .block_on(log.webhooks().test("test"))
        .unwrap()
        .unwrap();
    assert!(
        !told.delivered && told.status == Some(401) && told.result == "answered 401",
        "{told:?}"
    );
    assert!(
        runtime
            .block_on(log.webhooks().test("other"))
            .unwrap()
            .is_none()
    );
    log.close().unwrap();
    let sent = crate::support::records(dir.path())
        .into_iter()
        .filter(|record| record["event_type"] == "audit.webhook.tested")
        .count();
    assert_eq!(sent, 2);
}

#[test]
fn a_name_that_is_used_again_begins_anew() {
    let slow = Receiver::deciding(|_, _| {
        thread::sleep(Duration::from_millis(700));
        500
    });
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let dispatcher = receiver::dispatcher(&log);
    log.webhooks().add(to(&slow)).unwrap();
    emit(&log, 0..50);
    wait(&log, "it is tried", |report| {
        report.status.failed_attempts > 0
    });
    // The old one has requests under way, and saves what becomes of them.
    log.webhooks().remove("test").unwrap();
    log.webhooks().add(to(&receiver)).unwrap();
    emit(&log, 50..60);
    receiver.wait_for_numbers(10);
    let outboxes = || {
        let files = crate::support::files(&dir.path().join("state")).into_iter();
        files
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("webhook-")
            })
            .count()
    };
    until("the old one's outbox is cleared away", || outboxes() == 1);
    // It ends when nothing is under way any more.
    drop(dispatcher);
    assert_eq!(outboxes(), 1);
    assert_eq!(
        receiver.taken().keys().copied().collect::<Vec<_>>(),
        (50..60).collect::<Vec<_>>()
    );
    let report = log.webhooks().list().unwrap().remove(0);
    assert_eq!(
        (
            report.status.delivered,
            report.status.failed_attempts,
            report.waiting_deliveries
        ),
        (10, 0, 0)
    );
    log.close().unwrap();
}

#[test]
fn no_more_is_sent_in_a_second_than_allowed() {
    let (receiver, free) = (Receiver::new(), Receiver::new());
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).max_requests_per_second(20))
        .unwrap();
    log.webhooks()
        .add(
            Webhook::new("free", &free.url, ["order.*"])
                .allow_http()
                .egress(["loopback"]),
        )
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    let start = Instant::now();
    emit(&log, 0..50);
    let last = |receiver: &Receiver| {
        receiver.wait_for_numbers(50);
        receiver
            .look(|came| came.last().unwrap().at - start)
            .as_secs_f64()
    };
    let (took, freely) = (last(&receiver), last(&free));
    // Three may go at once, and then one each twentieth of a second.
    assert!(took >= 2.3, "50 requests took {took} s");
    assert!(
        took < 4.5 + 2.0 * freely,
        "50 requests took {took} s, and {freely} s where as many may go as can"
    );
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn what_was_in_a_live_file_that_someone_deleted_is_sent_all_the_same() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    // The journal keeps what it wrote until it is durable: for long.
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .sync_every(Duration::from_secs(HOUR))
        .open()
        .unwrap();
    log.webhooks()
        .add(to(&receiver).schedule([0, HOUR]))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..1);
    wait(&log, "it fails", |report| {
        report.status.failed_attempts == 1
    });
    for file in crate::support::files(&dir.path().join("live")) {
        std::fs::remove_file(file).unwrap();
    }
    receiver.say(200);
    // What is to be durable finds that the file is gone, and what the journal still has is written
    // again. Then all is tried anew.
    log.webhooks().pause("test").unwrap();
    log.webhooks().resume("test").unwrap();
    emit(&log, 1..2);
    let taken = receiver.wait_for_numbers(2);
    // The first may come twice, because it is written again; then it has its id.
    assert!(taken.values().all(|ids| ids.iter().all(|id| *id == ids[0])));
    drop(dispatcher);
    let report = log.webhooks().list().unwrap().remove(0);
    assert_eq!(report.status.dead_lettered, 0);
    log.close().unwrap();
}

#[test]
fn entries_that_fail_for_good_hold_up_no_others() {
    // A receiver that refuses one customer's events, of which there are more than can wait: 1000
    // requests, up to 128 more for fresh ones, and what is read at once (256).
    const REFUSED: u64 = 1600;
    let receiver = Receiver::deciding(|_, request| {
        if request.numbers()[0] < REFUSED {
            422
        } else {
            200
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).schedule([0, 0, HOUR, HOUR]))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    // Some that it takes among them: the webhook is well.
    let numbers = (0..REFUSED).flat_map(|n| [n, 10_000 + n]);
    within(&log, || {
        for n in numbers {
            audit!("order.placed", n);
        }
    });
    let report = wait(&log, "all that it takes arrive", |report| {
        report.status.delivered == REFUSED
    });
    // The last that it takes was read when room had been made for it.
    assert!(
        report.status.dead_lettered >= 100 && report.waiting_deliveries <= 1500,
        "{:?}",
        report.status
    );
    assert_eq!(
        report.status.dead_lettered + report.waiting_deliveries as u64,
        REFUSED,
        "{:?}",
        report.status
    );
    drop(dispatcher);
    log.close().unwrap();
}

/// A webhook that fails saves little. Halves may be sent only after a save, and here nothing else
/// can be sent, because the order is strict.
#[test]
fn a_batch_that_is_cut_in_halves_while_its_webhook_fails_is_soon_sent() {
    const FAILED: usize = 12;
    let receiver = Receiver::deciding(|number, request| match request.numbers().len() {
        _ if number < FAILED => 500,
        more if more > 100 => 413,
        _ => 200,
    });
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let batch = Batching {
        max_entries: 250,
        max_wait_ms: 10,
    };
    let webhook = to(&receiver)
        .batch(batch)
        .order(DeliveryOrder::Strict)
        .schedule([0].into_iter().chain([1; 99]));
    log.webhooks().add(webhook).unwrap();
    // So many that the state of the webhook is long, and few saves use up what it may write.
    emit(&log, 0..5_000);
    log.flush().unwrap();
    let dispatcher = receiver::dispatcher(&log);
    until("all arrive", || receiver.taken().len() == 5_000);
    drop(dispatcher);
    log.close().unwrap();
}
