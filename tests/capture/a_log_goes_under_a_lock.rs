//! The last handle of a log goes while `tracing` holds the lock of its subscribers: it may drop a
//! subscriber there, and with it the log.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
};

use tracing::{Dispatch, Metadata, Subscriber, dispatcher, subscriber::Interest};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::{Layer, Registry, prelude::*};

use crate::support::{HANGS, builder, is_apart};

/// Lets go of a log when it is asked about an event, under the lock.
#[derive(Clone, Default)]
struct LetsGo(Arc<Mutex<Option<AuditLog>>>);

impl<S: Subscriber> Layer<S> for LetsGo {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        let log = self.0.lock().unwrap().take();
        drop(log);
        Interest::sometimes()
    }
}

#[test]
fn a_log_that_can_not_be_closed_holds_up_no_lock_of_tracing() {
    let name = "a_log_that_can_not_be_closed_holds_up_no_lock_of_tracing";
    // The error must be the first of its kind in the process: later ones need no lock.
    if !is_apart(module_path!(), name) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = builder(dir.path()).open().unwrap();
    let lets_go = LetsGo::default();
    let first = Dispatch::new(Registry::default().with(lets_go.clone()));
    let second = Dispatch::new(Registry::default().with(log.layer()));
    dispatcher::with_default(&second, || audit!("a.b").ignore());
    drop(second);
    // What is recorded now can't be written.
    drop(dir);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        *lets_go.0.lock().unwrap() = Some(log);
        let third = Dispatch::new(Registry::default());
        assert!(lets_go.0.lock().unwrap().is_none());
        drop((first, third));
        done.send(()).unwrap();
    });
    is_done.recv_timeout(HANGS).unwrap();
}
