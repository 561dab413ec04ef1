//! The log for an application's tests: it takes what its test records and nothing else, many at a
//! time, and a failed assertion says why it failed.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use tracing::instrument::WithSubscriber as _;
use tracing_audit::{
    AuditLog, AuditReader, Query, audit, hashed, retention::Hold, testing::TestLog,
};
use tracing_subscriber::prelude::*;

/// What an assertion panics with.
fn message(assertion: impl FnOnce()) -> String {
    let panic = panic::catch_unwind(AssertUnwindSafe(assertion)).expect_err("it fails");
    *panic.downcast::<String>().expect("a formatted message")
}

fn pay(by: &str, amount: u64) {
    audit!(
        "payment.approved",
        actor.id = by,
        actor.name = "Ann B.",
        amount,
        tags = ["eu"]
    );
}

#[test]
fn questions_narrow_down() {
    let log = AuditLog::for_tests();
    assert!(log.entries().is_empty());
    log.run(|| {
        pay("ann", 90);
        audit!("user.created", actor.id = "bob", resource.type = "user", resource.id = 7);
        pay("ann", 100);
    });
    let entries = log.entries();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        entries.types(),
        ["payment.approved", "user.created", "payment.approved"]
    );
    assert_eq!(entries[2]["details"]["amount"], 100);
    assert_eq!(entries[1].actor_id(), "bob");
    assert!(entries[1]["details"]["amount"].is_null());
    let paid = entries.clone().of_type("payment.approved");
    assert_eq!(paid.len(), 2);
    assert_eq!(paid.clone().by_actor("Ann B.").len(), 2);
    assert_eq!(paid.clone().with("tags.0", "eu").len(), 2);
    let one = paid.by_actor("ann").with("details.amount", 100_i64).only();
    assert_eq!(one.seq().0, 3);
    let created = entries.clone().on_resource("user", 7).only();
    assert_eq!(created.event_type(), "user.created");
    entries.clone().on_resource("user", 8).none();
    assert_eq!(entries.exactly(3).into_iter().count(), 3);
}

/// A value whose rendering records an event of its own.
struct Records;

impl serde::Serialize for Records {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Both have different milliseconds, by which a search sorts.
        thread::sleep(Duration::from_millis(2));
        audit!("app.inner");
        serializer.serialize_unit()
    }
}

#[test]
fn entries_come_in_the_order_in_which_the_log_took_them() {
    let log = AuditLog::for_tests();
    // The outer one has the earlier time.
    log.run(|| audit!("app.outer", value = Records));
    assert_eq!(log.entries().types(), ["app.inner", "app.outer"]);
}

#[test]
fn an_assertion_that_fails_shows_the_entries() {
    let log = AuditLog::for_tests();
    let asks = |log: &TestLog| log.entries().of_type("payment.approved").by_actor("ann");
    let none = message(|| drop(asks(&log).only()));
    assert_eq!(
        none,
        "expected 1 entry of type payment.approved by ann, found 0; the log has no entries"
    );
    log.run(|| audit!("user.created", actor.id = "bob"));
    let other = message(|| drop(asks(&log).with("details.amount", "100").only()));
    assert!(
        other.contains(
            "by ann with details.amount = \"100\", found 0; the log has\n  user.created {"
        ),
        "{other}"
    );
    assert!(other.contains("\"bob\""), "{other}");
    log.run(|| (pay("ann", 1), pay("ann", 2)));
    let two = message(|| drop(asks(&log).only()));
    assert!(two.contains("expected 1 entry of type payment.approved by ann, found 2:\n  payment"));
    assert!(
        two.contains("\"amount\":2") && !two.contains("user.created"),
        "{two}"
    );
    let some = message(|| asks(&log).none());
    assert!(some.contains("expected 0 entries of type"), "{some}");
    let third = message(|| drop(asks(&log)[2].clone()));
    assert!(third.contains("there is no entry 2 of type payment.approved by ann, found 2:"));
}

#[test]
fn a_guard_a_closure_and_a_future_each_have_their_log() {
    let (outer, inner) = (AuditLog::for_tests(), AuditLog::for_tests());
    let guard = outer.set_default();
    pay("ann", 1);
    inner.run(|| pay("ann", 2));
    // The code that starts a thread gives it the log.
    let given = inner.clone();
    thread::spawn(move || given.run(|| pay("ann", 3)))
        .join()
        .unwrap();
    pay("ann", 4);
    drop(guard);
    let amounts = |log: &TestLog| -> Vec<_> {
        let entries = log.entries();
        entries
            .iter()
            .map(|e| e["details"]["amount"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(amounts(&outer), [1, 4]);
    assert_eq!(amounts(&inner), [2, 3]);
}

#[test]
fn a_future_keeps_its_log_on_any_thread_and_in_what_it_spawns() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let log = AuditLog::for_tests();
    let work = async {
        for step in 0..20 {
            audit!("job.step", step);
            tokio::task::yield_now().await;
            let spawned = async move { audit!("job.spawned", step) };
            tokio::spawn(spawned.with_current_subscriber())
                .await
                .unwrap();
        }
    };
    // Spawned, so that any worker polls it.
    runtime.block_on(async { tokio::spawn(log.scope(work)).await.unwrap() });
    let entries = log.entries();
    entries.clone().of_type("job.step").exactly(20);
    entries.of_type("job.spawned").exactly(20);
}

#[test]
fn a_guard_takes_the_tasks_of_a_runtime_on_its_thread() {
    let log = AuditLog::for_tests();
    let _guard = log.set_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(async { pay("ann", 5) }).await.unwrap() });
    log.entries().with("details.amount", 5).only();
}

#[test]
fn a_subscriber_of_the_tests_own_may_have_its_layer() {
    let log = AuditLog::for_tests();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("request", tenant_id = "acme").entered();
        pay("ann", 6);
    });
    log.entries().with("tenant_id", "acme").only();
}

#[test]
fn a_closed_log_refuses_and_can_be_read() {
    let log = AuditLog::for_tests();
    assert!(log.run(|| audit!("app.early").wait()).is_ok());
    log.close().unwrap();
    assert!(log.run(|| audit!("app.late").wait()).is_err());
    assert_eq!(log.entries().types(), ["app.early"]);
}

#[test]
fn entries_of_the_log_itself_are_left_out() {
    let log = AuditLog::for_tests();
    log.run(|| pay("ann", 1));
    log.holds()
        .place(Hold::new("case-7", "2025-01-01", "2025-01-02").unwrap())
        .unwrap();
    assert_eq!(log.entries().types(), ["payment.approved"]);
    let reader = AuditReader::open(log.dir()).unwrap();
    let query = Query::parse([("event_type", "audit.hold.placed")]).unwrap();
    assert_eq!(reader.page(&query).unwrap().entries.len(), 1);
    assert!(
        reader
            .verify(|_, _| ())
            .unwrap()
            .problems()
            .next()
            .is_none()
    );
}

#[test]
fn settings_can_be_changed_and_hashes_are_known() {
    let log = TestLog::open_with(|log| log.source("billing"));
    log.run(|| audit!("user.created", email = hashed("ann@example.com")));
    let entry = log.entries().with("source", "billing").only();
    let known = AuditLog::for_tests().hashes_of("ann@example.com").unwrap();
    assert_eq!(entry["details"]["email"], known[0]);
    let refused = message(|| drop(TestLog::open_with(|log| log.source("a b"))));
    assert!(
        refused.contains("can't be opened") && refused.contains("a b"),
        "{refused}"
    );
}

#[test]
fn the_directory_goes_with_the_last_handle_and_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt as _;

    let log = AuditLog::for_tests();
    let dir = log.dir().to_owned();
    let mode = dir.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let (other, kept) = (log.clone(), AuditLog::clone(&log));
    drop(log);
    other.run(|| pay("ann", 1));
    other.entries().only();
    drop(other);
    assert!(!dir.exists());
    // Another handle of the log finds it closed.
    let subscriber = tracing_subscriber::registry().with(kept.layer());
    let late = tracing::subscriber::with_default(subscriber, || audit!("app.late"));
    assert!(!late.is_recorded());
    drop(kept);
    assert!(!dir.exists());
}

/// The recipe of the guide, a hundred times at once.
#[test]
fn a_hundred_tests_at_once_see_their_own_events() {
    const TESTS: u64 = 100;
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .build()
            .unwrap(),
    );
    let begin = Arc::new(Barrier::new(TESTS as usize));
    let tests: Vec<_> = (0..TESTS)
        .map(|test| {
            let (runtime, begin) = (runtime.clone(), begin.clone());
            thread::spawn(move || {
                begin.wait();
                let log = AuditLog::for_tests();
                log.run(|| pay("ann", test));
                log.entries()
                    .of_type("payment.approved")
                    .with("details.amount", test)
                    .only();
                {
                    let _guard = log.set_default();
                    audit!("guard.taken", test);
                }
                let request = async move {
                    let durable = audit!("request.served", test).durable();
                    let task = async move { audit!("task.run", test) };
                    tokio::spawn(task.with_current_subscriber()).await.unwrap();
                    durable.await
                };
                runtime.block_on(log.scope(request)).unwrap();
                let entries = log.entries();
                let types = [
                    "payment.approved",
                    "guard.taken",
                    "request.served",
                    "task.run",
                ];
                assert_eq!(entries.types(), types);
                entries.by_actor("ann").with("details.amount", test).only();
            })
        })
        .collect();
    for test in tests {
        test.join().unwrap();
    }
}
