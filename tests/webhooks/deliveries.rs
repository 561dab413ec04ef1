//! An operator looks at one delivery, has it sent again, or gives it up so that others go on.

use tracing_audit::webhook::{Batching, DeliveryOrder, DeliveryState, Replay};

use crate::shop::{emit, open, recorded, to, wait};
use crate::{
    receiver::Receiver,
    support::{until, wait_for},
};

/// A receiver that never takes the entry with this number.
fn refusing(number: u64) -> Receiver {
    Receiver::deciding(
        move |_, request| match request.numbers().contains(&number) {
            true => 500,
            false => 200,
        },
    )
}

#[test]
fn in_strict_order_a_skipped_delivery_lets_the_next_go_on() {
    let receiver = refusing(0);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let strict = to(&receiver)
        .order(DeliveryOrder::Strict)
        .schedule([0, 0, 0, 0, 0, 0]);
    log.webhooks().add(strict).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..3);
    // By then the circuit is open as well.
    wait(&log, "the first one fails", |report| {
        report.status.failed_attempts >= 6
    });
    let unknown = log.webhooks().skip("test", Some("msg_none")).unwrap_err();
    assert!(unknown.to_string().contains("delivery_id"), "{unknown}");
    assert_eq!(log.webhooks().skip("other", None).unwrap(), None);
    let skipped = log.webhooks().skip("test", None).unwrap().unwrap();
    let taken = receiver.wait_for_numbers(2);
    assert_eq!(taken.into_keys().collect::<Vec<_>>(), [1, 2]);
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    let told: Vec<_> = letters
        .iter()
        .map(|one| (&one.delivery_id, one.reason.as_str()))
        .collect();
    assert_eq!(told, [(&skipped, "an administrator skipped it")]);
    wait(&log, "nothing waits", |report| {
        report.waiting_deliveries == 0
    });
    let nothing = log.webhooks().skip("test", None).unwrap_err();
    assert!(nothing.to_string().contains("no delivery"), "{nothing}");
    drop(dispatcher);
    log.close().unwrap();
    let entries = recorded(dir.path(), "audit.webhook.skipped");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["details"]["delivery_id"], skipped.as_str());
    assert_eq!(entries[0]["actor"]["type"], "system");
}

#[test]
fn what_is_skipped_while_nobody_delivers_is_given_up_when_someone_does() {
    let receiver = refusing(1);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to(&receiver).schedule([0, 3600]))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..3);
    wait(&log, "one fails", |report| {
        report.status.failed_attempts == 1 && report.status.delivered == 2
    });
    drop(dispatcher);
    let skipped = log.webhooks().skip("test", None).unwrap().unwrap();
    let path = dir.path().join("state/requests.json");
    let requests = std::fs::read_to_string(&path).unwrap();
    assert!(requests.contains("skip"), "{requests}");
    let state = || {
        log.webhooks()
            .delivery("test", &skipped)
            .unwrap()
            .unwrap()
            .state
    };
    assert_eq!(state(), DeliveryState::Waiting);
    let dispatcher = log.webhooks().run().unwrap();
    until("it is given up", || state() == DeliveryState::DeadLetter);
    drop(dispatcher);
    log.close().unwrap();
    // As a death leaves it before the look that forgets the request: a restart skips nothing more.
    std::fs::write(&path, requests).unwrap();
    let log = open(dir.path());
    let dispatcher = log.webhooks().run().unwrap();
    until("the request is forgotten", || {
        !std::fs::read_to_string(&path).unwrap().contains("skip")
    });
    drop(dispatcher);
    assert_eq!(log.webhooks().dead_letters("test", 0, 10).unwrap().len(), 1);
    log.close().unwrap();
}

#[test]
fn a_delivery_is_shown_without_secrets_and_sent_again_as_it_was() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let webhook = to(&receiver)
        .api_key("key-31415")
        .header("X-Tenant", "tenant-27182")
        .batch(Batching {
            max_entries: 3,
            max_wait_ms: 10,
        });
    log.webhooks().add(webhook).unwrap();
    emit(&log, 0..3);
    // All of it can be read at once.
    log.flush().unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    receiver.wait_for_numbers(3);
    let request = |at: usize| {
        receiver.look(|came| {
            let request = &came[at].request;
            (
                request.id().to_owned(),
                String::from_utf8(request.body.clone()).unwrap(),
            )
        })
    };
    let (id, body) = request(0);
    let report = wait_for("it is delivered", || {
        match log.webhooks().delivery("test", &id) {
            Ok(Some(report)) if report.state == DeliveryState::Delivered => Ok(report),
            other => Err(Box::new(other)),
        }
    });
    assert_eq!((report.entries, report.missing), (3, 0));
    assert_eq!(report.attempts[0].answer, crate::receiver::SAYS);
    let shown = report.request.unwrap();
    assert_eq!(
        (shown.url.as_str(), &shown.body),
        (receiver.url.as_str(), &body)
    );
    let headers: Vec<_> = shown
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    for header in [
        ("webhook-id", id.as_str()),
        ("authorization", "(secret)"),
        ("x-tenant", "(secret)"),
    ] {
        assert!(headers.contains(&header), "{header:?}: {headers:?}");
    }
    let came = receiver.count();
    assert!(log.webhooks().resend("test", &id).unwrap());
    assert!(!log.webhooks().resend("other", &id).unwrap());
    until("it comes again", || receiver.count() > came);
    assert_eq!(request(came), (id, body));
    let unknown = log.webhooks().resend("test", "msg_none").unwrap_err();
    assert!(unknown.to_string().contains("delivery_id"), "{unknown}");
    drop(dispatcher);
    log.close().unwrap();
    assert_eq!(recorded(dir.path(), "audit.webhook.resent").len(), 1);
}

#[test]
fn a_dead_batch_that_is_sent_again_has_its_id_and_its_body_and_is_dead_no_longer() {
    let receiver = Receiver::saying(500);
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let batch = Batching {
        max_entries: 3,
        max_wait_ms: 10,
    };
    log.webhooks()
        .add(to(&receiver).schedule([0]).batch(batch))
        .unwrap();
    emit(&log, 0..9);
    // All of it can be read at once, and makes three batches.
    log.flush().unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    wait(&log, "all are given up", |report| {
        report.status.dead_lettered == 9
    });
    let requests = || {
        receiver.look(|came| {
            let mut all: Vec<_> = came
                .iter()
                .map(|one| {
                    (
                        one.was_taken(),
                        one.request.id().to_owned(),
                        one.request.body.clone(),
                    )
                })
                .collect();
            all.sort_unstable();
            all
        })
    };
    let refused = requests();
    receiver.say(200);
    let first = refused[0].1.clone();
    assert!(log.webhooks().resend("test", &first).unwrap());
    wait(&log, "one is delivered", |report| {
        report.status.delivered == 3 && report.dead_letters == Some(refused.len() - 1)
    });
    log.webhooks()
        .replay("test", Replay::dead_letters())
        .unwrap();
    wait(&log, "all are delivered", |report| {
        report.status.delivered == 9 && report.dead_letters == Some(0)
    });
    drop(dispatcher);
    let of = |taken: bool| {
        let all = requests().into_iter().filter(move |one| one.0 == taken);
        all.map(|(_, id, body)| (id, body)).collect::<Vec<_>>()
    };
    assert_eq!(of(true), of(false));
    log.close().unwrap();
}

#[test]
fn a_delivery_is_known_as_soon_as_it_has_arrived() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(&receiver)).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    for n in 0..4 {
        emit(&log, n..n + 1);
        let id = receiver.wait_for("it arrives", |came| {
            let found = came.iter().find(|one| one.request.numbers() == [n]);
            found.map(|one| one.request.id().to_owned())
        });
        let found = log.webhooks().delivery("test", &id).unwrap().unwrap();
        assert!(
            matches!(
                found.state,
                DeliveryState::Waiting | DeliveryState::Delivered
            ),
            "{found:?}"
        );
    }
    let unknown = log.webhooks().delivery("test", &format!("msg_{:032x}", 1));
    assert!(unknown.is_err(), "{unknown:?}");
    drop(dispatcher);
    log.close().unwrap();
}
