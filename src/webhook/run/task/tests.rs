//! When a delivery looks again, and what it gives up.

use std::fs;

use tokio::sync::watch;

use super::*;
use crate::{
    query::RawEntry,
    webhook::{
        format::Encoded,
        queue::{Delivery, body::Body, contents::Contents, dead_letter},
        run::attempt::AttemptOutcome,
        settings::Webhook,
    },
};

const SECOND: i64 = 1_000_000;

/// A delivery whose deliveries were tried so often and are due in so many seconds.
fn delivery(
    dir: &tempfile::TempDir,
    settings: impl FnOnce(Webhook) -> Webhook,
    deliveries: &[(u32, i64)],
) -> DeliveryTask {
    let layout = Layout::new(dir.path());
    fs::create_dir_all(dir.path().join("state")).unwrap();
    for part in [layout.live_dir(), layout.sealed_dir()] {
        fs::create_dir_all(part).unwrap();
    }
    fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
    let mut webhook = settings(Webhook::new("e", "https://example.com/", ["a.*"]))
        .prepare()
        .unwrap();
    webhook.key = "e.1".to_owned();
    let delivery = |(attempts, due_in): &(u32, i64)| Delivery {
        attempts: *attempts,
        due: now() + due_in * SECOND,
        ..Delivery::default()
    };
    let queue = Queue {
        deliveries: deliveries.iter().map(delivery).collect(),
        ..Queue::default()
    };
    queue.save(&layout, &webhook.key).unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    DeliveryTask::new(
        webhook,
        layout,
        reader,
        watch::channel(0).1,
        "a".into(),
        Arc::new(|_| {}),
        &Arc::default(),
    )
    .unwrap()
}

#[tokio::test]
async fn it_looks_often_only_while_something_may_go_soon() {
    let dir = tempfile::tempdir().unwrap();
    let same = |webhook: Webhook| webhook;
    let strict = |webhook: Webhook| webhook.order(DeliveryOrder::Strict);
    let paced = |webhook: Webhook| webhook.max_requests_per_second(1);
    assert_eq!(
        delivery(&dir, same, &[]).tick(),
        RETRY_TICK,
        "nothing waits"
    );
    assert_eq!(delivery(&dir, same, &[(0, 0)]).tick(), TICK);
    assert_eq!(delivery(&dir, same, &[(2, 60)]).tick(), RETRY_TICK);
    assert_eq!(
        delivery(&dir, strict, &[(2, 60), (0, 0), (0, 0)]).tick(),
        RETRY_TICK,
        "only the first may go"
    );
    assert_eq!(
        delivery(&dir, paced, &[(2, 60)]).tick(),
        RETRY_TICK,
        "the pace holds nothing back"
    );
    assert_eq!(delivery(&dir, paced, &[(2, 60), (0, 0)]).tick(), TICK);
    let mut parked = delivery(&dir, same, &[(2, 60), (0, 0)]);
    parked.queue.circuit.failed(now(), None, true, 0);
    assert_eq!(parked.tick(), RETRY_TICK, "it is only probed");
    let mut under_way = delivery(&dir, same, &[(0, 0)]);
    under_way.queue.deliveries[0].in_flight = true;
    assert_eq!(under_way.tick(), RETRY_TICK);
}

#[tokio::test]
async fn what_is_gone_is_given_up_and_its_dead_letter_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut delivery = delivery(&dir, |webhook| webhook, &[(3, 0), (3, 0), (3, 0)]);
    let line = r#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
    let entry = |line: &str| RawEntry::from_line(line.as_bytes()).unwrap();
    let gone = [entry(&line.replace("2c11", "2c22"))];
    delivery.queue.deliveries[0].contents = Contents::by_id(&gone);
    delivery.queue.deliveries[2].contents = Contents::copied(vec![line.to_owned()]);
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        delivery.queue.deliveries[at].id = id.to_owned();
    }
    let mut told = Vec::new();
    for at in 0..3 {
        match delivery
            .job(at, false, None)
            .give_up("too many".to_owned())
            .await
        {
            AttemptOutcome::GivenUp {
                reason,
                failed: false,
            } => told.push(reason),
            other => panic!("{other:?}"),
        }
    }
    let gone = "too many; 1 of its entries are no longer in the log";
    assert_eq!(told, [gone, "too many", "too many"]);
    let letters = dead_letter::index(&delivery.layout, &delivery.webhook.key).unwrap();
    assert_eq!(letters.len(), 2, "one without contents is no dead letter");
}

/// A body of so many bytes, which are held.
fn body(task: &DeliveryTask, bytes: usize) -> Option<Body> {
    Some(Body {
        encoded: Encoded {
            content_type: "text/plain".into(),
            headers: Vec::new(),
            body: vec![b'x'; bytes],
        },
        entries: 1,
        first_entry_id: String::new(),
        held: task.share.try_hold(bytes),
    })
}

#[tokio::test]
async fn bodies_that_wait_make_room_for_one_that_is_to_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |webhook| webhook, &[(2, 0), (0, 60), (0, 60)]);
    let size = task.share.size();
    task.queue.deliveries[0].contents = Contents::copied(vec!["x".repeat(size / 8)]);
    for at in [1, 2] {
        task.queue.deliveries[at].body = body(&task, size / 2 - 1);
    }
    assert!(task.has_memory(1), "it has its body already");
    assert!(!task.share.has_room(size / 8));
    assert!(task.has_memory(0));
    let has_body = |at: usize| task.queue.deliveries[at].body.is_some();
    assert!(has_body(1) && !has_body(2), "the last goes first");
}

#[tokio::test]
async fn an_attempt_waits_for_the_memory_of_others_of_its_webhook_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |webhook| webhook, &[(0, 0), (0, 0)]);
    let size = task.share.size();
    for one in &mut task.queue.deliveries {
        one.contents = Contents::copied(vec!["x".repeat(size)]);
    }
    // Longer than the whole share, but alone.
    task.start();
    let in_flight = |task: &DeliveryTask| {
        let deliveries = task.queue.deliveries.iter();
        deliveries.filter(|one| one.in_flight).count()
    };
    assert_eq!((in_flight(&task), task.lacks_memory), (1, true));
    assert_eq!(task.tick(), RETRY_TICK, "the end of the other tells itself");
    let done = task.attempts.join_next().await.unwrap();
    task.finished(done).unwrap();
    task.start();
    assert_eq!(in_flight(&task), 1, "the other's turn");
}
