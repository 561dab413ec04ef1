//! Events come from wherever code runs: tasks, pools of threads, and what is dropped when a thread
//! ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use rayon::prelude::*;
use tracing_audit::{AuditContext, AuditEvent, AuditLog, Receipt, audit, audit_context, audited};

#[derive(AuditEvent)]
#[audit("task.ended")]
struct Ended {
    number: u32,
}

#[audited("task", number, skip_started)]
async fn task(number: u32) -> Result<u32, std::num::TryFromIntError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    audit!(Ended { number });
    u8::try_from(number)?;
    Ok(number)
}

#[audited("job", number, skip_started)]
fn job(number: u32) -> u32 {
    assert!(number != 3, "three");
    number
}

/// Records what it does even when the thread's locals are going away.
struct Last(u32);

impl Drop for Last {
    #[audited("thread.left", number = self.0, skip_started)]
    fn drop(&mut self) {
        assert!(audit!("thread.ended", number = self.0).is_recorded());
    }
}

thread_local!(static LAST: Last = const { Last(7) });

/// Threads that take jobs from one queue.
fn on_a_pool(jobs: impl Iterator<Item = u32>) -> u32 {
    let (queue, next) = mpsc::channel::<u32>();
    let next = Arc::new(Mutex::new(next));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let next = next.clone();
            thread::spawn(move || {
                LAST.with(|_| ());
                let mut sum = 0;
                while let Ok(number) = {
                    let next = next.lock().unwrap();
                    next.recv()
                } {
                    sum += std::panic::catch_unwind(|| job(number)).unwrap_or_default();
                }
                sum
            })
        })
        .collect();
    jobs.for_each(|number| queue.send(number).unwrap());
    drop(queue);
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum()
}

/// A pool that steals work takes the context along where it is told to: by each piece of the work.
fn in_parallel() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    pool.install(|| {
        audit_context! { tenant_id = "acme", actor.id = "ann" }.run(|| {
            let context = AuditContext::current();
            (0..500_u32).into_par_iter().for_each(|number| {
                context.clone().run(|| audit!("piece.done", number));
            });
            rayon::scope(|scope| {
                for number in 500..600_u32 {
                    let context = context.clone();
                    scope.spawn(move |_| context.run(|| _ = audit!("piece.done", number)));
                }
                scope.spawn(|_| _ = audit!("piece.alone"));
            });
        });
    });
}

#[test]
fn every_event_is_recorded_wherever_it_happens() {
    if !crate::support::is_apart(
        module_path!(),
        "every_event_is_recorded_wherever_it_happens",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("anywhere")
        .open()
        .unwrap();
    log.set_global().unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (good, cancelled) = runtime.block_on(async {
        let tasks: Vec<_> = [1, 2, 300]
            .map(|number| tokio::spawn(task(number)))
            .into_iter()
            .collect();
        let mut good = 0;
        for task in tasks {
            good += u32::from(task.await.unwrap().is_ok());
        }
        let (begun, begins) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(async {
            let receipt: Receipt = audit!("task.waits");
            receipt.durable().await.unwrap();
            forever(begun).await;
        });
        begins.await.unwrap();
        waiting.abort();
        (good, waiting.await.unwrap_err().is_cancelled())
    });
    assert_eq!((good, cancelled), (2, true));
    assert_eq!(on_a_pool(0..6), 12);
    in_parallel();
    log.close().unwrap();

    let records = crate::support::records(dir.path());
    let pieces: Vec<_> = records
        .iter()
        .filter(|record| record["event_type"] == "piece.done")
        .collect();
    let mut numbers: Vec<_> = pieces
        .iter()
        .map(|record| record["details"]["number"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..600), "each piece once");
    assert!(
        pieces
            .iter()
            .all(|record| record["tenant_id"] == "acme" && record["actor"]["id"] == "ann")
    );

    let mut counts = BTreeMap::<String, u32>::new();
    for record in records {
        let reason = record["outcome"]["reason"].as_str().unwrap_or_default();
        let key = format!("{} {reason}", record["event_type"].as_str().unwrap());
        *counts.entry(key.trim_end().to_owned()).or_default() += 1;
    }
    let expected = [
        ("forever.failed cancelled", 1),
        ("forever.started", 1),
        ("job.completed", 5),
        ("job.failed panic", 1),
        ("piece.alone", 1),
        ("piece.done", 600),
        ("task.completed", 2),
        ("task.ended", 3),
        ("task.failed unknown", 1),
        ("task.waits", 1),
        ("thread.ended", 4),
        ("thread.left.completed", 4),
    ];
    assert_eq!(
        counts,
        expected.map(|(key, count)| (key.to_owned(), count)).into()
    );
}

#[audited("forever")]
async fn forever(begun: tokio::sync::oneshot::Sender<()>) {
    begun.send(()).unwrap();
    std::future::pending().await
}
