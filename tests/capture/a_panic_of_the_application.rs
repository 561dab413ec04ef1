//! What the application has called on the log's own threads may panic: the callback for problems, a
//! `tracing` layer. The log goes on.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::support::until;
use tracing::{Event, Subscriber, subscriber};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// Panics when the log reports a problem.
struct Panics(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Panics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tracing_audit" {
            self.0.fetch_add(1, Relaxed);
            panic!("a layer panics on purpose");
        }
    }
}

#[test]
fn its_callback_and_its_layers_end_no_thread_of_the_log() {
    if !crate::support::is_apart(
        module_path!(),
        "its_callback_and_its_layers_end_no_thread_of_the_log",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Damaged, which the sealer reports.
    let journals = dir.path().join("state/journal");
    fs::create_dir_all(&journals).unwrap();
    fs::write(journals.join("app-00000a.ring"), "no journal").unwrap();
    let (layer, callback) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let subscriber = tracing_subscriber::registry().with(Panics(layer.clone()));
    subscriber::set_global_default(subscriber).unwrap();
    let called = callback.clone();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("app")
        .rotate_bytes(1)
        .on_problem(move |_| {
            called.fetch_add(1, Relaxed);
            panic!("the callback panics on purpose");
        })
        .open()
        .unwrap();
    log.set_global().unwrap();
    until("the sealer reports", || callback.load(Relaxed) > 0);

    audit!("job.done").wait().unwrap();
    // The next event ends the file, and the sealer seals it.
    audit!("job.done").wait().unwrap();
    until("a file is sealed", || log.counters().sealed > 0);

    let before = callback.load(Relaxed);
    // The writer looks for its journal once a second.
    fs::remove_file(journals.join(format!("{}.ring", log.stream()))).unwrap();
    until("the writer reports", || callback.load(Relaxed) > before);
    audit!("job.done").wait().unwrap();
    assert_eq!(layer.load(Relaxed), callback.load(Relaxed));
    let trouble = log.health().problems;
    for whose in ["`on_problem` panicked", "a `tracing` layer panicked"] {
        let told = trouble.iter().filter(|what| what.contains(whose)).count();
        assert_eq!(told, 1, "{trouble:?}");
    }
    log.close().unwrap();
}
