//! Another layer of the stack panics over the mirrored event: every log has the event nevertheless,
//! once, and nothing of it is left behind for the events after it.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tempfile::TempDir;
use tracing::{Event, Subscriber, dispatcher, field};
use tracing_audit::{AuditLog, audit, audited};
use tracing_subscriber::{Layer, Registry, layer::Context, prelude::*, reload};

/// Panics over the mirrored events of one type.
struct Fragile(&'static str);

impl<S: Subscriber> Layer<S> for Fragile {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Found(&'static str, bool);
        impl field::Visit for Found {
            fn record_str(&mut self, field: &field::Field, value: &str) {
                self.1 |= field.name() == "event_type" && value == self.0;
            }

            fn record_debug(&mut self, _: &field::Field, _: &dyn fmt::Debug) {}
        }
        let mut found = Found(self.0, false);
        event.record(&mut found);
        assert!(!found.1, "another layer panics");
    }
}

fn open(source: &str) -> (TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source(source)
        .open()
        .unwrap();
    (dir, log)
}

fn types(dir: &TempDir) -> Vec<String> {
    crate::support::records(dir.path())
        .iter()
        .map(|record| record["event_type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn both_logs_have_each_event_once() {
    let ((one, first), (two, second)) = (open("first"), open("second"));
    let subscriber = tracing_subscriber::registry()
        .with(first.layer())
        .with(second.layer())
        .with(Fragile("job.step"));
    dispatcher::with_default(&subscriber.into(), || {
        for _ in 0..3 {
            let panicked = catch_unwind(|| audit!("job.step"));
            let told = panicked.unwrap_err();
            assert_eq!(told.downcast_ref(), Some(&"another layer panics"));
            audit!("job.done");
        }
    });
    first.close().unwrap();
    second.close().unwrap();
    let expected = ["job.step", "job.done"].repeat(3);
    assert_eq!(types(&one), expected);
    assert_eq!(types(&two), expected);
}

#[test]
fn a_log_that_only_the_mirror_reaches_has_each_event_once() {
    let (dir, log) = open("hidden");
    let (hidden, _handle) = reload::Layer::<_, Registry>::new(log.layer());
    let subscriber = tracing_subscriber::registry()
        .with(hidden)
        .with(Fragile("job.step"));
    dispatcher::with_default(&subscriber.into(), || {
        assert!(catch_unwind(|| audit!("job.step")).is_err());
        assert!(audit!("job.done").is_recorded());
    });
    log.close().unwrap();
    assert_eq!(types(&dir), ["job.step", "job.done"]);
}

#[test]
fn two_layers_of_a_log_that_only_the_mirror_reaches_record_an_event_once() {
    let (dir, log) = open("hidden");
    let (one, _handle) = reload::Layer::<_, Registry>::new(log.layer());
    let two = tracing_subscriber::registry().with(one);
    let (two_layer, _other) = reload::Layer::new(log.layer());
    dispatcher::with_default(&two.with(two_layer).into(), || {
        assert!(audit!("job.done").is_recorded());
    });
    log.close().unwrap();
    assert_eq!(types(&dir), ["job.done"]);
}

/// An event that unwinding records on its way isn't the end of the body.
#[test]
fn a_body_has_an_end_though_something_is_recorded_while_its_values_panic() {
    struct Leaving;
    impl Drop for Leaving {
        fn drop(&mut self) {
            audit!("job.left");
        }
    }
    fn value() -> u8 {
        let _leaving = Leaving;
        panic!("a value of the end panics")
    }
    #[audited("job", completed(value = value()))]
    fn job() {}

    let (dir, log) = open("ends");
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(Fragile("none"));
    dispatcher::with_default(&subscriber.into(), || {
        assert!(catch_unwind(AssertUnwindSafe(job)).is_err());
    });
    log.close().unwrap();
    assert_eq!(types(&dir), ["job.started", "job.left", "job.failed"]);
}

/// A second panic inside an unwinding would abort the process.
#[test]
fn what_unwinds_already_goes_on_though_the_layer_panics_as_well() {
    #[audited("job")]
    fn job() {
        panic!("on purpose")
    }
    let (dir, log) = open("unwinds");
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(Fragile("job.failed"));
    dispatcher::with_default(&subscriber.into(), || {
        let told = catch_unwind(AssertUnwindSafe(job)).unwrap_err();
        assert_eq!(told.downcast_ref(), Some(&"on purpose"));
    });
    log.close().unwrap();
    assert_eq!(types(&dir), ["job.started", "job.failed"]);
}

/// The value panics when the event is rendered for the log of the inner layer, as it did not for
/// that of the outer one.
#[test]
fn a_body_has_one_end_in_the_log_that_has_it_when_another_log_lacks_it() {
    struct Once(std::cell::Cell<bool>);
    impl fmt::Display for Once {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert!(!self.0.replace(true), "the second time");
            Ok(())
        }
    }
    #[audited("job", completed(%once))]
    fn job(once: &Once) {}

    let ((one, inner), (two, outer)) = (open("inner"), open("outer"));
    let subscriber = tracing_subscriber::registry()
        .with(inner.layer())
        .with(outer.layer());
    dispatcher::with_default(&subscriber.into(), || {
        let once = Once(std::cell::Cell::new(false));
        assert!(catch_unwind(AssertUnwindSafe(|| job(&once))).is_err());
        audit!("job.step");
    });
    inner.close().unwrap();
    outer.close().unwrap();
    assert_eq!(types(&two), ["job.started", "job.completed", "job.step"]);
    assert_eq!(types(&one), ["job.started", "job.step"]);
}
