//! Work that goes on in another task or on another thread has the context of where it was begun,
//! where it takes that along; and without, its actor is unknown.

use std::{collections::BTreeMap, thread};

use rayon::prelude::*;
use serde_json::{Value, json};
use tracing::{Instrument as _, info_span};
use tracing_audit::{Actor, AuditContext, AuditLog, InAuditContext as _, audit, audit_context};
use tracing_subscriber::prelude::*;

/// Runs a test in a process of its own, in which all threads have one subscriber. Gives the entries
/// by event type.
fn everywhere(name: &str, emit: impl FnOnce()) -> BTreeMap<String, Vec<Value>> {
    let mut by_type = BTreeMap::<_, Vec<_>>::new();
    if crate::support::is_apart(module_path!(), name) {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("elsewhere")
            .open()
            .unwrap();
        tracing_subscriber::registry().with(log.layer()).init();
        emit();
        log.close().unwrap();
        for record in crate::support::records(dir.path()) {
            let event_type = record["event_type"].as_str().unwrap().to_owned();
            by_type.entry(event_type).or_default().push(record);
        }
    }
    by_type
}

/// In a span that says who, and a context that says where.
fn in_request(work: impl FnOnce()) {
    info_span!("request", actor.id = "ann", actor.name = "Ann").in_scope(|| {
        audit_context! { tenant_id = "acme", request_id = "r" }.run(work);
    });
}

#[track_caller]
fn of_request(records: &[Value]) {
    assert!(!records.is_empty());
    for record in records {
        assert_eq!(
            (&record["actor"], &record["tenant_id"], &record["context"]),
            (
                &json!({"type": "user", "id": "ann", "name": "Ann"}),
                &json!("acme"),
                &json!({"request_id": "r"})
            ),
            "{record}"
        );
    }
}

#[track_caller]
fn of_nobody(records: &[Value]) {
    assert!(!records.is_empty());
    for record in records {
        assert_eq!(
            (
                &record["actor"],
                record.get("tenant_id"),
                record.get("context")
            ),
            (&json!({"type": "unknown"}), None, None),
            "{record}"
        );
    }
}

#[test]
fn tasks_and_blocking_work_take_it_along() {
    let found = everywhere("tasks_and_blocking_work_take_it_along", || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let _entered = runtime.enter();
        async fn report(event: fn()) {
            event();
            tokio::task::yield_now().await;
            event();
        }
        let mut tasks = Vec::new();
        in_request(|| {
            tasks.extend([
                tokio::spawn(report(|| _ = audit!("lost.task"))),
                tokio::task::spawn_blocking(|| _ = audit!("lost.blocking")),
                tokio::spawn(report(|| _ = audit!("kept.extension")).in_audit_context()),
                tokio::spawn(AuditContext::current().scope(report(|| _ = audit!("kept.scope")))),
                tokio::task::spawn_blocking(
                    AuditContext::current().bind(|| _ = audit!("kept.blocking")),
                ),
                // With a span of its own.
                tokio::spawn(
                    report(|| _ = audit!("kept.instrumented"))
                        .instrument(info_span!(parent: None, "task"))
                        .in_audit_context(),
                ),
                tokio::spawn(
                    report(|| _ = audit!("kept.in_span"))
                        .in_audit_context()
                        .instrument(info_span!(parent: None, "task", actor.id = "worker")),
                ),
            ]);
        });
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
    });
    for (event_type, records) in &found {
        match event_type.split_once('.').unwrap() {
            ("kept", _) => of_request(records),
            ("lost", _) => of_nobody(records),
            _ => {}
        }
    }
    assert!(found.is_empty() || found.len() >= 7, "{:?}", found.keys());
}

#[test]
fn threads_take_it_along() {
    let found = everywhere("threads_take_it_along", || {
        in_request(|| {
            let context = AuditContext::current();
            thread::spawn(|| audit!("lost.thread")).join().unwrap();
            thread::spawn(AuditContext::current().bind(|| audit!("kept.bound")))
                .join()
                .unwrap();
            thread::spawn(move || context.run(|| audit!("kept.run")))
                .join()
                .unwrap();
            let context = AuditContext::current();
            thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| context.run(|| audit!("kept.scoped")));
                }
            });
        });
    });
    if !found.is_empty() {
        of_nobody(&found["lost.thread"]);
        of_request(&found["kept.bound"]);
        of_request(&found["kept.run"]);
        of_request(&found["kept.scoped"]);
    }
}

#[test]
fn jobs_of_rayon_take_it_along() {
    let found = everywhere("jobs_of_rayon_take_it_along", || {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        in_request(|| {
            pool.install(|| {
                (0..20)
                    .into_par_iter()
                    .for_each(|n| _ = audit!("lost.item", n));
            });
            let context = AuditContext::current();
            pool.install(|| {
                (0..20)
                    .into_par_iter()
                    .for_each(|n| context.run(|| _ = audit!("kept.item", n)));
            });
            pool.scope(|jobs| {
                jobs.spawn(|_| context.run(|| _ = audit!("kept.job")));
            });
            let (sent, received) = std::sync::mpsc::channel();
            pool.spawn(AuditContext::current().bind(move || {
                audit!("kept.spawned");
                sent.send(()).unwrap();
            }));
            received.recv().unwrap();
            // A pool for this work alone: all that its threads do is in the context.
            let own = rayon::ThreadPoolBuilder::new()
                .num_threads(2)
                .spawn_handler(|worker| {
                    let context = context.clone();
                    thread::Builder::new().spawn(move || context.run(|| worker.run()))?;
                    Ok(())
                })
                .build()
                .unwrap();
            own.install(|| {
                (0..20)
                    .into_par_iter()
                    .for_each(|n| _ = audit!("kept.pool", n));
            });
        });
    });
    if !found.is_empty() {
        of_nobody(&found["lost.item"]);
        assert_eq!(found["kept.item"].len(), 20);
        for kept in ["kept.item", "kept.job", "kept.spawned", "kept.pool"] {
            of_request(&found[kept]);
        }
    }
}

/// A worker that waits in the middle of one job takes up another: nothing of the one is in the
/// other.
#[test]
fn a_worker_that_takes_up_another_job_keeps_them_apart() {
    let found = everywhere(
        "a_worker_that_takes_up_another_job_keeps_them_apart",
        || {
            // One thread: while the first job waits, the second can run only on top of it.
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap();
            let mut bob = None;
            AuditContext::new()
                .actor(&Actor::user("bob"))
                .run(|| bob = Some(AuditContext::current()));
            let nobody = AuditContext::current();
            let bob = bob.unwrap();
            in_request(|| {
                let context = AuditContext::current();
                pool.install(|| {
                    context.run(|| {
                        rayon::scope(|jobs| {
                            jobs.spawn(|_| bob.run(|| _ = audit!("job.of_bob")));
                            jobs.spawn(|_| nobody.run(|| _ = audit!("job.of_nobody")));
                        });
                        audit!("job.of_request");
                    });
                });
            });
        },
    );
    if !found.is_empty() {
        let of_bob = &found["job.of_bob"][0];
        assert_eq!(of_bob["actor"], json!({"type": "user", "id": "bob"}));
        assert_eq!(
            (of_bob.get("tenant_id"), of_bob.get("context")),
            (None, None)
        );
        of_nobody(&found["job.of_nobody"]);
        of_request(&found["job.of_request"]);
    }
}

/// What is captured does not depend on a filter that removes spans: those are not there then.
#[test]
fn without_a_layer_the_contexts_are_taken_along() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("elsewhere")
        .open()
        .unwrap();
    let context = audit_context! { tenant_id = "acme" }.run(AuditContext::current);
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&subscriber.into(), || context.run(|| audit!("a.b")));
    log.close().unwrap();
    assert_eq!(crate::support::records(dir.path())[0]["tenant_id"], "acme");
}
