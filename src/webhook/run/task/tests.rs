//! When a delivery looks again, what it gives up, and that no wall clock moves its attempts.

use super::*;
use crate::{
    entry::{OwnEntry, Severity},
    log::AuditLog,
    query::{AuditReader, RawEntry},
    store::{clock::SystemClock, set_clock::SetClock},
    webhook::{
        admin::report,
        format::Encoded,
        queue::{
            Replaying,
            body::Body,
            contents::Contents,
            dead_letter,
            replay::{ReplayReport, ReplayState},
            request::{Act, Request},
        },
        run::{attempt::AttemptOutcome, pulse},
        settings::{
            Batching, Webhook,
            stored::{self, Stored},
        },
        testing::{self, entry},
    },
};

const SECOND: i64 = 1_000_000;

/// A delivery whose deliveries were tried so often and are due in so many seconds.
fn delivery(
    dir: &tempfile::TempDir,
    settings: impl FnOnce(Webhook) -> Webhook,
    deliveries: &[(u32, i64)],
) -> DeliveryTask {
    let clock = Arc::new(SystemClock::new());
    with_queue(dir, clock.clone(), settings, |queue| {
        let clock = queue.resume_clock(clock);
        let delivery = |(attempts, due_in): &(u32, i64)| Delivery {
            attempts: *attempts,
            due: clock.now() + due_in * SECOND,
            ..Delivery::default()
        };
        queue.deliveries = deliveries.iter().map(delivery).collect();
        queue.clock = Some(clock.moment());
    })
}

/// The same by this clock, with the queue that is on disk, changed as it says.
fn with_queue(
    dir: &tempfile::TempDir,
    clock: Arc<dyn Clock>,
    settings: impl FnOnce(Webhook) -> Webhook,
    change: impl FnOnce(&mut Queue),
) -> DeliveryTask {
    let layout = testing::layout(dir.path());
    let mut webhook = testing::stored();
    webhook.settings = settings(webhook.settings);
    let mut queue = Queue::read(&layout, "e.1").unwrap().unwrap_or_default();
    change(&mut queue);
    queue.save(&layout, "e.1").unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    let served = Served::new(webhook, reader, "a".into(), &Arc::default()).unwrap();
    DeliveryTask::new(clock, served, pulse::none(), Arc::new(|_| {})).unwrap()
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
    let now = held.clock.now();
    while held.pace.as_mut().unwrap().take(now) {}
    assert_eq!(goes_in(&held), Some(1));
    let mut parked = delivery(&dir, same, &[(2, 30), (0, 0)]);
    let now = parked.clock.now();
    parked.queue.circuit.failed(now, None, true, 0);
    assert_eq!(goes_in(&parked), Some(60), "it is only probed");
    let mut under_way = delivery(&dir, same, &[(0, 0)]);
    under_way.queue.deliveries[0].in_flight = true;
    assert_eq!(goes_in(&under_way), None);
}

#[tokio::test]
async fn it_waits_for_nothing_while_nothing_is_due() {
    let dir = tempfile::tempdir().unwrap();
    testing::layout(dir.path());
    let files = AuditReader::open(dir.path()).unwrap();
    let pulse = pulse::start(files.files()).unwrap();
    let mut quiet = delivery(&dir, |webhook| webhook, &[]);
    quiet.batches = BatchReader::new(Arc::clone(&quiet.webhook), pulse);
    // Its settings are the current ones, or nothing would be read by them.
    let store = |all: &mut Vec<Stored>| {
        all.push(testing::stored());
        Ok::<_, Error>(())
    };
    stored::change(quiet.webhook.layout(), store).unwrap();
    let begun = Instant::now();
    while quiet.wait().unwrap() < Duration::from_secs(20) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        quiet.batches.read_on(&quiet.queue, true);
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
    let copy = String::from_utf8(entry(1).line().to_vec()).unwrap();
    delivery.queue.deliveries[0].contents = Contents::by_id(&[entry(2)]);
    delivery.queue.deliveries[2].contents = Contents::copied(vec![copy]);
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
                is_report: false,
            } => told.push(reason),
            other => panic!("{other:?}"),
        }
    }
    let gone = "too many; 1 of its entries are no longer in the log";
    assert_eq!(told, [gone, "too many", "too many"]);
    let letters = dead_letter::index(delivery.webhook.layout(), "e.1").unwrap();
    assert_eq!(letters.len(), 2, "one without contents is no dead letter");
}

#[tokio::test]
async fn entries_of_a_batch_that_the_log_still_has_are_sent_though_others_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("a").open().unwrap();
    let entry = OwnEntry::new("a.b", Severity::Info, "x");
    let id = log.store().unwrap().record_with_id(&entry).unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    let there = reader.get(id).unwrap().unwrap();
    let line = there.line().to_vec();
    let gone = String::from_utf8(line).unwrap();
    let gone = gone.replace(there.id(), "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11");
    let gone = RawEntry::from_line(gone.as_bytes()).unwrap();

    let batched = |webhook: Webhook| webhook.batch(Batching::default());
    let mut task = delivery(&dir, batched, &[(0, 0), (0, 60)]);
    task.queue.deliveries[0].contents = Contents::by_id(&[gone, there.clone()]);
    task.queue.deliveries[0].count = 2;
    task.start();
    let done = task.attempts.join_next().await.unwrap();
    task.finished(done).unwrap();
    let rest = &task.queue.deliveries[0];
    assert_eq!((rest.count, task.queue.deliveries.len()), (1, 2));
    assert_eq!(rest.contents.read(&reader).unwrap().0[0].id(), there.id());
    assert_eq!(task.queue.status.dead_lettered, 1);
}

#[tokio::test]
async fn in_strict_order_the_next_delivery_goes_at_once_when_the_first_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let strict = |webhook: Webhook| webhook.order(DeliveryOrder::Strict);
    let mut task = delivery(&dir, strict, &[(9, 3600), (0, 0)]);
    task.queue.deliveries[0].id = "first".to_owned();
    let now = task.clock.now();
    task.queue.circuit.failed(now, None, true, 0);
    task.queue.status.parked = true;
    assert!(task.next(now + SECOND).is_none());

    let skip = Act::Skip {
        delivery_id: "first".to_owned(),
    };
    let asked = [Request::of(1, "e.1", skip)];
    task.asked(&asked);
    task.give_up_skipped();
    let done = task.attempts.join_next().await.unwrap();
    task.finished(done).unwrap();
    assert_eq!(task.queue.status.dead_lettered, 0, "it had no entries");
    assert_eq!((task.queue.deliveries.len(), task.queue.request), (1, 1));
    assert!(task.next(task.clock.now()).is_some() && !task.queue.status.parked);
    // Handed over again, as after a restart of the dispatcher, it skips nothing more.
    task.queue.deliveries[0].id = "first".to_owned();
    task.asked(&asked);
    assert!(!task.queue.deliveries[0].skipped);
}

#[tokio::test]
async fn a_failing_webhook_is_shown_as_it_was_two_minutes_ago_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |same| same, &[(1, 3600), (0, 60)]);
    let shown = || {
        let reader = AuditReader::open(dir.path()).unwrap();
        report::of(&reader, vec![testing::stored()]).remove(0)
    };
    let now = task.clock.now();
    for _ in 0..5 {
        task.queue.circuit.failed(now, None, false, 0);
        task.queue.status.failed(None);
    }
    task.queue.deliveries.pop_front();
    let later = Instant::now() + Duration::from_secs(130);
    assert!(task.save_summary(later).is_none(), "everything is saved");
    task.saves.failed = true;
    assert!(
        task.save_summary(Instant::now()).is_none(),
        "the queue is saved soon"
    );
    assert_eq!(shown().status.failures_in_a_row, 0);
    task.save_summary(later).unwrap().await.unwrap().unwrap();
    assert!(task.save_summary(later).is_none(), "it was just saved");
    let found = shown();
    assert_eq!(
        (found.status.failures_in_a_row, found.waiting_deliveries),
        (5, 1)
    );
    assert!(found.next_attempt.is_some());
    // The queue that is saved after it counts.
    task.queue.status.failures_in_a_row = 0;
    task.queue.save(task.webhook.layout(), "e.1").unwrap();
    assert_eq!(shown().status.failures_in_a_row, 0);
}

/// The task of a webhook with one delivery, "first", that has an entry of a log.
fn with_an_entry(dir: &tempfile::TempDir) -> DeliveryTask {
    let log = AuditLog::builder(dir.path()).source("a").open().unwrap();
    let entry = OwnEntry::new("a.b", Severity::Info, "x");
    let id = log.store().unwrap().record_with_id(&entry).unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    let entry = reader.get(id).unwrap().unwrap();
    let mut task = delivery(dir, |same| same, &[(9, 3600)]);
    task.queue.deliveries[0].id = "first".to_owned();
    task.queue.deliveries[0].contents = Contents::by_id(&[entry]);
    task.queue.deliveries[0].count = 1;
    task
}

fn resend(task: &DeliveryTask) -> Act {
    Act::Resend {
        delivery_id: "first".to_owned(),
        contents: task.queue.deliveries[0].contents.clone(),
        dead: false,
    }
}

#[tokio::test]
async fn a_resend_is_carried_out_that_comes_while_its_delivery_becomes_a_dead_letter() {
    for is_skipped in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut task = with_an_entry(&dir);
        let resend = resend(&task);
        if is_skipped {
            let skip = Act::Skip {
                delivery_id: "first".to_owned(),
            };
            task.asked(&[Request::of(1, "e.1", skip), Request::of(2, "e.1", resend)]);
            task.give_up_skipped();
        } else {
            task.give_up(0, "all attempts failed".to_owned());
            task.asked(&[Request::of(2, "e.1", resend)]);
        }
        let done = task.attempts.join_next().await.unwrap();
        task.finished(done).unwrap();
        assert_eq!(task.queue.status.dead_lettered, 1);
        assert!(dead_letter::is_dead(task.webhook.layout(), "e.1", "first").unwrap());
        let again = &task.queue.deliveries[0];
        assert_eq!(
            (&*again.id, again.dead, again.skipped),
            ("first", true, false)
        );
        assert!(task.next(task.clock.now()).is_some(), "it goes at once");
    }
}

#[tokio::test]
async fn a_resend_that_comes_just_after_its_delivery_was_given_up_is_one_of_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = with_an_entry(&dir);
    let resend = resend(&task);
    task.give_up(0, "all attempts failed".to_owned());
    let done = task.attempts.join_next().await.unwrap();
    task.finished(done).unwrap();
    assert!(task.queue.deliveries.is_empty());
    // Whoever asked for it found it waiting.
    task.asked(&[Request::of(1, "e.1", resend)]);
    assert!(
        task.queue.deliveries[0].dead,
        "it is dead no longer once it has arrived"
    );
}

#[tokio::test]
async fn what_a_cancelled_replay_still_reads_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |same| same, &[(0, 0), (0, 0)]);
    task.queue.deliveries[0].replay = 3;
    (task.queue.replay, task.queue.replaying) = (3, Some(replaying()));
    task.queue.progress = Some(ReplayReport::new(3, ReplayState::Running));
    let cancel = Act::CancelReplays { last: 4 };
    task.asked(&[Request::of(1, "e.1", cancel)]);
    assert_eq!(task.queue.deliveries.len(), 1, "what is no replay stays");
    for number in [3, 4] {
        task.take_in(ReadBatch::of_replay(number, Some(replaying())));
    }
    assert_eq!(
        (task.queue.deliveries.len(), &task.queue.replaying),
        (1, &None)
    );
    task.take_in(ReadBatch::of_replay(5, Some(replaying())));
    assert_eq!((task.queue.deliveries.len(), task.queue.replay), (2, 5));
}

fn replaying() -> Replaying {
    Replaying::Entries {
        parameters: Vec::new(),
        cursor: None,
    }
}

const DAY_BEFORE: &str = "2026-11-28T12:00:00Z";
const NOON: &str = "2026-11-29T12:00:00Z";
const DAY_AFTER: &str = "2026-11-30T12:00:00Z";

/// The task of a webhook with so many deliveries that failed and are due in a minute.
fn waiting(dir: &tempfile::TempDir, machine: &Arc<SetClock>, count: usize) -> DeliveryTask {
    with_queue(
        dir,
        machine.clone(),
        |same| same,
        |queue| {
            let clock = queue.resume_clock(machine.clone());
            let delivery = |_| Delivery {
                attempts: 2,
                due: clock.now() + 60 * SECOND,
                ..Delivery::default()
            };
            queue.deliveries = (0..count).map(delivery).collect();
            queue.clock = Some(clock.moment());
        },
    )
}

/// Another process goes on with what is on disk.
fn again(dir: &tempfile::TempDir, machine: &Arc<SetClock>) -> DeliveryTask {
    with_queue(dir, machine.clone(), |same| same, |_| ())
}

/// How many attempts the task begins now.
fn begun(task: &mut DeliveryTask) -> usize {
    task.start();
    task.attempts.len()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_holds_no_attempt_up() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(SetClock::new(NOON));
    let mut task = waiting(&dir, &machine, 1);
    machine.pass(seconds(30));
    machine.jump_to(DAY_BEFORE);
    assert_eq!(begun(&mut task), 0);
    machine.pass(seconds(30));
    assert_eq!(begun(&mut task), 1);

    let mut next = again(&dir, &machine);
    assert_eq!(begun(&mut next), 1, "after a restart");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_forward_sends_nothing_early() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(SetClock::new(NOON));
    let mut task = waiting(&dir, &machine, 100);
    machine.jump_to(DAY_AFTER);
    assert_eq!(begun(&mut task), 0);
    assert_eq!(begun(&mut again(&dir, &machine)), 0, "after a restart");
    machine.pass(seconds(60));
    assert_eq!(begun(&mut task), 3);
}

#[tokio::test]
async fn after_another_boot_no_wait_is_longer_than_what_was_left_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(SetClock::new(NOON));
    drop(waiting(&dir, &machine, 1));
    machine.reboot("1970-01-01T00:00:00Z");
    let mut task = again(&dir, &machine);
    assert_eq!(begun(&mut task), 0);
    machine.pass(seconds(60));
    assert_eq!(begun(&mut task), 1);

    machine.reboot("2026-11-29T12:01:00Z");
    let mut task = again(&dir, &machine);
    assert_eq!(begun(&mut task), 1, "the minute has passed meanwhile");
}

#[tokio::test]
async fn a_receiver_is_left_alone_and_parked_by_time_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(SetClock::new(NOON));
    let mut task = waiting(&dir, &machine, 1);
    let now = task.clock.now();
    let asked = Some(seconds(90));
    task.failing(now, asked, false, false);
    machine.jump_to("2026-12-29T12:00:00Z");
    task.failing(task.clock.now(), None, false, false);
    assert!(!task.queue.status.parked, "its first failure was just now");
    machine.pass(seconds(89));
    assert_eq!(begun(&mut task), 0);
    machine.pass(seconds(1));
    assert_eq!(begun(&mut task), 1);
    machine.pass(seconds(5 * 24 * 3600));
    task.failing(task.clock.now(), None, false, false);
    assert!(task.queue.status.parked);
}

#[tokio::test]
async fn a_queue_of_an_earlier_version_waits_a_day_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Arc::new(SetClock::new(NOON));
    drop(waiting(&dir, &machine, 1));
    machine.jump_to("2026-10-29T12:00:00Z");
    let earlier = |queue: &mut Queue| queue.clock = None;
    let mut task = with_queue(&dir, machine.clone(), |same| same, earlier);
    assert_eq!(begun(&mut task), 0);
    machine.pass(seconds(24 * 3600));
    assert_eq!(begun(&mut task), 1);
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
        is_report: false,
        held: task.webhook.share.try_hold(bytes),
    })
}

#[tokio::test]
async fn bodies_that_wait_make_room_for_one_that_is_to_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |webhook| webhook, &[(2, 0), (0, 60), (0, 60)]);
    let size = task.webhook.share.size();
    task.queue.deliveries[0].contents = Contents::copied(vec!["x".repeat(size / 8)]);
    for at in [1, 2] {
        task.queue.deliveries[at].body = body(&task, size / 2 - 1);
    }
    assert!(task.has_memory(1), "it has its body already");
    assert!(!task.webhook.share.has_room(size / 8));
    assert!(task.has_memory(0));
    let has_body = |at: usize| task.queue.deliveries[at].body.is_some();
    assert!(has_body(1) && !has_body(2), "the last goes first");
}

#[tokio::test]
async fn an_attempt_waits_for_the_memory_of_others_of_its_webhook_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = delivery(&dir, |webhook| webhook, &[(0, 0), (0, 0)]);
    let size = task.webhook.share.size();
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
    assert_eq!(goes_in(&task), None, "the end of the other tells itself");
    let done = task.attempts.join_next().await.unwrap();
    task.finished(done).unwrap();
    task.start();
    assert_eq!(in_flight(&task), 1, "the other's turn");
}
