//! Events that come after the log was closed are not recorded, which their receipts say; they are
//! counted, and reported once.

use std::{
    future::Future as _,
    io::{self, Write},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tracing_audit::{AuditLog, NotDurable, audit, health::Problem};
use tracing_subscriber::{fmt, prelude::*};

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn they_are_counted_and_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let problems = Arc::<Mutex<Vec<Problem>>>::default();
    let heard = problems.clone();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("app")
        // What a callback records in its turn is refused as well, and ends there.
        .on_problem(move |problem| {
            audit!("app.problem");
            heard.lock().unwrap().push(problem.clone());
        })
        .open()
        .unwrap();
    let shown = Text::default();
    let writer = shown.clone();
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(fmt::layer().with_writer(move || writer.clone()));
    let _default = tracing::subscriber::set_default(subscriber);

    audit!("app.step").wait().unwrap();
    assert_eq!(log.counters().refused, 0);
    log.close().unwrap();
    for _ in 0..10 {
        let receipt = audit!("app.late");
        assert!(!receipt.is_recorded());
        assert_eq!(receipt.wait(), Err(NotDurable::Closed));
        let mut context = Context::from_waker(Waker::noop());
        let closed = Poll::Ready(Err(NotDurable::Closed));
        assert_eq!(pin!(receipt.durable()).poll(&mut context), closed);
    }
    // Ordinary events too.
    tracing::info!(target: "audit", event_type = "app.late");
    assert_eq!(log.counters().refused, 12, "ten, one, and the callback's");
    assert!(
        log.counters()
            .prometheus()
            .contains("tracing_audit_refused_total 12")
    );
    assert_eq!(*problems.lock().unwrap(), [Problem::Closed]);
    let shown = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
    let errors: Vec<_> = shown
        .lines()
        .filter(|line| line.contains("ERROR"))
        .collect();
    assert_eq!(errors.len(), 1, "{shown}");
    assert!(errors[0].contains("the audit log is closed"), "{shown}");
    assert_eq!(crate::support::ids(dir.path()).len(), 1);
}
