//! Webhooks go on: what was not delivered arrives, under the ids that it had.

use std::collections::{BTreeMap, BTreeSet};

use tracing_audit::webhook::Replay;

use crate::{
    fixture::{API_KEY, ATTEMPTED, Fixture, PRUNED, SIGNING_SECRET, UNREAD},
    receiver::Receiver,
    support::wait_for,
};

/// What a webhook got: the id of each delivery, and the numbers in it.
type Taken = BTreeMap<String, Vec<u64>>;

/// What arrived for the webhook of this name. A retry has the same id, and the same numbers.
fn taken(receiver: &Receiver, webhook: &str) -> Taken {
    let path = format!("/{webhook}");
    receiver.look(|came| {
        let mut taken = Taken::new();
        let requests = came.iter().map(|came| &came.request);
        for request in requests.filter(|request| request.path == path) {
            let numbers = request.numbers();
            let known = taken.insert(request.id().to_owned(), numbers.clone());
            assert!(known.is_none_or(|known| known == numbers));
        }
        taken
    })
}

fn numbers(taken: &Taken) -> Vec<u64> {
    let mut numbers: Vec<_> = taken.values().flatten().copied().collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until these numbers have arrived, each once, and gives what came.
fn arrived(receiver: &Receiver, webhook: &str, expected: impl IntoIterator<Item = u64>) -> Taken {
    let expected: BTreeSet<u64> = expected.into_iter().collect();
    let taken = wait_for("all arrive", || {
        let taken = taken(receiver, webhook);
        let there: BTreeSet<u64> = numbers(&taken).into_iter().collect();
        if there.is_superset(&expected) {
            Ok(taken)
        } else {
            Err(there)
        }
    });
    assert_eq!(numbers(&taken), Vec::from_iter(expected), "{webhook}");
    taken
}

#[test]
fn what_was_not_delivered_arrives_under_its_ids() {
    let fixture = Fixture::unpack();
    let receiver = Receiver::new();
    fixture.send_to(&receiver.url);
    let log = fixture.open();
    let dispatcher = log.webhooks().run().unwrap();

    let crm = arrived(&receiver, "crm", ATTEMPTED.chain(UNREAD));
    for (id, numbers) in &fixture.contents.unfinished {
        assert_eq!(crm.get(id), Some(numbers), "{id}");
    }
    receiver.look(|came| {
        let requests = came.iter().map(|came| &came.request);
        for request in requests.filter(|request| request.path == "/crm") {
            assert!(request.is_signed_with(SIGNING_SECRET));
            assert_eq!(request.header("authorization"), format!("Bearer {API_KEY}"));
            assert_eq!(request.header("x-team"), "audit");
        }
    });
    // What was given up stays so, and what came later arrives.
    let siem = arrived(&receiver, "siem", UNREAD);
    for id in fixture.contents.dead_letters.keys() {
        assert!(!siem.contains_key(id), "{id}");
    }
    // It was paused after all that was there had been delivered, and asked for it once more.
    assert!(taken(&receiver, "archive").is_empty());
    log.webhooks().resume("archive").unwrap();
    arrived(&receiver, "archive", ATTEMPTED.chain(UNREAD));
    drop(dispatcher);
    log.close().unwrap();
}

/// The settings of each webhook, as an administrator sees them.
#[test]
fn settings_are_as_they_were() {
    let fixture = Fixture::unpack();
    let log = fixture.open();
    let reports = log.webhooks().list().unwrap();
    let names: Vec<_> = reports
        .iter()
        .map(|report| (report.webhook.name(), report.state()))
        .collect();
    assert_eq!(
        names,
        [
            ("siem", "parked"),
            ("crm", "failing"),
            ("archive", "paused"),
            ("lake", "active")
        ]
    );
    let lake = &reports[3];
    assert_eq!(lake.declared_in(), Some("the application shop"));
    let shown = serde_json::to_string(lake).unwrap();
    let settings = [
        "https://lake.invalid/audit",
        "auth.login.success",
        "payment.test.*",
        "critical",
        "acme",
        "cloudevents",
        "/fixture",
        "x-lake-key",
        "x-team",
        "10.0.0.0/8",
        "strict",
        "20000",
        "50",
        "[0,5,60]",
    ];
    for setting in settings {
        assert!(shown.contains(setting), "{setting}: {shown}");
    }
    log.close().unwrap();
}

#[test]
fn dead_letters_are_still_there_and_can_be_replayed() {
    let fixture = Fixture::unpack();
    let receiver = Receiver::new();
    fixture.send_to(&receiver.url);
    let log = fixture.open();
    let letters = log.webhooks().dead_letters("siem", 0, 100).unwrap();
    let ids: BTreeSet<_> = letters.iter().map(|letter| &letter.delivery_id).collect();
    assert_eq!(
        ids,
        fixture
            .contents
            .dead_letters
            .keys()
            .collect::<BTreeSet<_>>()
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter.attempts == 1 && letter.reason.contains("500"))
    );

    log.webhooks()
        .replay("siem", Replay::dead_letters())
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    let expected = PRUNED.into_iter().chain(ATTEMPTED).chain(UNREAD);
    let siem = arrived(&receiver, "siem", expected);
    for (id, numbers) in &fixture.contents.dead_letters {
        assert_eq!(siem.get(id), Some(numbers), "{id}");
    }
    wait_for("none is dead any more", || {
        let left = log.webhooks().dead_letters("siem", 0, 100).unwrap();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    drop(dispatcher);
    log.close().unwrap();
}
