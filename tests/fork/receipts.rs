//! A receipt that was made before a `fork` gives an error in the child, at once; one of the child's
//! own is waited for as ever.

use std::{
    cell::Cell,
    fmt,
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::forking::{Forked, exit, fork, try_fork};
use tracing_audit::{NotDurable, audit};
use tracing_subscriber::prelude::*;

#[test]
fn a_receipt_is_of_one_process() {
    if !crate::support::is_apart(module_path!(), "a_receipt_is_of_one_process") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = crate::support::builder(dir.path())
        // So that nothing is durable before it is waited for.
        .sync_every(Duration::from_secs(3600))
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);

    let receipt = audit!("app.step");
    let mut polled = Some(Box::pin(receipt.durable()));
    let mut context = Context::from_waker(Waker::noop());
    // Ready if the writer was quick: then another is.
    let _ = polled.as_mut().unwrap().as_mut().poll(&mut context);
    let crossing = audit!("app.step");
    let child = fork(|| {
        assert!(crossing.is_recorded());
        assert_eq!(crossing.wait(), Err(NotDurable::OtherProcess));
        let mut context = Context::from_waker(Waker::noop());
        let refused = Poll::Ready(Err(NotDurable::OtherProcess));
        assert_eq!(pin!(crossing.durable()).poll(&mut context), refused);
        drop(polled.take());

        let own = audit!("app.step");
        own.wait().unwrap();
        fork(|| {
            assert_eq!(own.wait(), Err(NotDurable::OtherProcess));
            audit!("app.step").wait().unwrap();
            log.close().unwrap();
        })
        .ends_well();
        own.wait().unwrap();
        log.close().unwrap();
    });
    child.ends_well();
    receipt.wait().unwrap();
    crossing.wait().unwrap();
    log.close().unwrap();
    assert_eq!(crate::support::ids(dir.path()).len(), 4);
}

#[test]
fn an_event_that_was_begun_before_the_fork_is_the_parents() {
    if !crate::support::is_apart(
        module_path!(),
        "an_event_that_was_begun_before_the_fork_is_the_parents",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = crate::support::builder(dir.path()).open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);

    /// Forks when it is shown.
    struct Forks(Cell<Option<Forked>>);
    impl fmt::Display for Forks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(try_fork());
            f.write_str("forked")
        }
    }
    let value = Forks(Cell::new(None));
    let receipt = audit!("app.step", value = %value);
    let Some(child) = value.0.take() else {
        let refused = !receipt.is_recorded() && receipt.wait() == Err(NotDurable::OtherProcess);
        let next = audit!("app.step").wait() == Ok(());
        exit(i32::from(!(refused && next && log.close().is_ok())));
    };
    child.ends_well();
    receipt.wait().unwrap();
    log.close().unwrap();
    let found = crate::support::ids(dir.path());
    assert_eq!(found.values().copied().collect::<Vec<_>>(), [1, 1]);
}
