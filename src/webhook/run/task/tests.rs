//! When a delivery looks again, and what it gives up.

use std::{fs, path::Path};

use super::*;
use crate::{
    query::RawEntry,
    webhook::{
        queue::{Delivery, contents::Contents, dead_letter},
        run::{attempt::AttemptOutcome, pulse},
        settings::Webhook,
    },
};

const SECOND: i64 = 1_000_000;

/// A directory made ready for a log.
fn dir_of_log(dir: &tempfile::TempDir) -> &Path {
    let layout = Layout::new(dir.path());
    fs::create_dir_all(dir.path().join("state")).unwrap();
    for part in [layout.live_dir(), layout.sealed_dir()] {
        fs::create_dir_all(part).unwrap();
    }
    fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
    dir.path()
}

/// A delivery whose deliveries were tried so often and are due in so many seconds.
fn delivery(
    dir: &tempfile::TempDir,
    settings: impl FnOnce(Webhook) -> Webhook,
    deliveries: &[(u32, i64)],
) -> DeliveryTask {
    let layout = Layout::new(dir_of_log(dir));
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
        pulse::none(),
        "a".into(),
        Arc::new(|_| {}),
    )
    .unwrap()
}

/// In how many seconds the next one goes, if only time has to pass.
fn goes_in(task: &DeliveryTask) -> Option<u64> {
    task.next_goes_in()
        .map(|wait| wait.as_secs_f64().round() as u64)
}

#[tokio::test]
async fn it_wakes_when_the_next_one_goes() {
    let dir = tempfile::tempdir().unwrap();
    let same = |webhook: Webhook| webhook;
    let strict = |webhook: Webhook| webhook.order(DeliveryOrder::Strict);
    let paced = |webhook: Webhook| webhook.max_requests_per_second(1);
    assert_eq!(goes_in(&delivery(&dir, same, &[])), None, "nothing waits");
    assert_eq!(goes_in(&delivery(&dir, same, &[(2, 30)])), Some(30));
    let first = delivery(&dir, strict, &[(2, 40), (1, 20)]);
    assert_eq!(goes_in(&first), Some(40), "only the first may go");
    let far = delivery(&dir, same, &[(2, 3600)]);
    assert_eq!(goes_in(&far), Some(CLOCK_CHECK.as_secs()));
    let unpaced = delivery(&dir, paced, &[(2, 30)]);
    assert_eq!(goes_in(&unpaced), Some(30), "the pace holds nothing back");
    let mut held = delivery(&dir, paced, &[(2, 30), (0, 0)]);
    while held.pace.as_mut().unwrap().take(now()) {}
    assert_eq!(goes_in(&held), Some(1));
    let mut parked = delivery(&dir, same, &[(2, 30), (0, 0)]);
    parked.queue.circuit.failed(now(), None, true, 0);
    assert_eq!(goes_in(&parked), Some(60), "it is only probed");
    let mut under_way = delivery(&dir, same, &[(0, 0)]);
    under_way.queue.deliveries[0].in_flight = true;
    assert_eq!(goes_in(&under_way), None);
}

#[tokio::test]
async fn it_waits_for_nothing_while_nothing_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let files = AuditReader::open(dir_of_log(&dir)).unwrap();
    let pulse = pulse::start(files.files()).unwrap();
    let mut quiet = delivery(&dir, |webhook| webhook, &[]);
    quiet.batches = BatchReader::new(quiet.reader.clone(), quiet.layout.clone(), pulse);
    let begun = Instant::now();
    while quiet.wait().unwrap() < Duration::from_secs(20) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        quiet.batches.read_on(&quiet.webhook, &quiet.queue, true);
        let wait = quiet.wait();
        tokio::select! {
            read = quiet.batches.read() => quiet.take_in(read.unwrap()),
            () = time::sleep(wait.unwrap_or(Duration::MAX)) => {}
        }
    }
}

#[tokio::test]
async fn what_is_gone_is_given_up_and_its_dead_letter_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut delivery = delivery(&dir, |webhook| webhook, &[(3, 0), (3, 0), (3, 0)]);
    let line = r#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
    let entry = |line: &str| RawEntry::from_line(line.as_bytes()).unwrap();
    let gone = [entry(&line.replace("2c11", "2c22"))];
    let there = [entry(line)];
    delivery.queue.deliveries[0].contents = Contents::by_id(&gone);
    delivery.queue.deliveries[2].contents = Contents::by_id(&there);
    delivery.queue.deliveries[2].fresh = Some(there.to_vec());
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        delivery.queue.deliveries[at].id = id.to_owned();
    }
    let mut told = Vec::new();
    for at in 0..3 {
        match delivery.job(at, false).give_up("too many".to_owned()).await {
            AttemptOutcome::GivenUp {
                reason,
                failed: false,
                is_report: false,
            } => told.push(reason),
            other => panic!("{other:?}"),
        }
    }
    let gone = "too many; 1 of its entries are no longer in the log";
    assert_eq!(told, [gone, "too many", "too many"]);
    let letters = dead_letter::index(&delivery.layout, &delivery.webhook.key).unwrap();
    assert_eq!(letters.len(), 2, "one without contents is no dead letter");
}
