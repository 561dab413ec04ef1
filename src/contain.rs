//! Code of the application's that the log calls: callbacks, and the layers of `tracing`.

use std::{
    io::{self, Write as _},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use tracing::dispatcher::{get_default, with_default};

/// How long an event for `tracing` may hold up a thread of the log, or one that closes it.
const SAY_TIME: Duration = Duration::from_secs(1);

/// Runs code of the application's; false if it panicked. A panic of the application's must not end
/// a thread of the log.
pub(crate) fn contain(run: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => true,
        Err(payload) => {
            // Dropping it could panic again.
            mem::forget(payload);
            false
        }
    }
}

/// Says something to `tracing` on a thread of its own, and waits a second for it; false if a layer
/// panicked.
///
/// The last handle of a log goes with its subscriber, which `tracing` may drop while it holds the
/// lock of its subscribers. An event can need this lock, so neither the thread that closes the log
/// there may wait for one for good, nor a thread of the log, for which it waits.
pub(crate) fn say_apart(say: impl FnOnce() + Send + 'static) -> bool {
    let (ended, end) = mpsc::channel();
    let subscriber = get_default(Clone::clone);
    let said = move || {
        // Nobody may wait any longer.
        let _ = ended.send(contain(|| with_default(&subscriber, say)));
    };
    let thread = thread::Builder::new().name("audit-message".into());
    let began = thread.spawn(said).is_ok();
    !began || end.recv_timeout(SAY_TIME).unwrap_or(true)
}

/// Says that events are lost, on standard error and to `tracing`: an application without a log need
/// not have a subscriber either.
pub(crate) fn alarm(text: &str) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "tracing-audit: {text}");
    contain(|| tracing::error!(target: "tracing_audit", "{text}"));
}
