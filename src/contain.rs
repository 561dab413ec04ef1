//! Code of the application's that the log calls: callbacks, and the layers of `tracing`.

use std::{
    io::{self, Write as _},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

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

/// Says that events are lost, on standard error and to `tracing`: an application without a log need
/// not have a subscriber either.
pub(crate) fn alarm(text: &str) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "tracing-audit: {text}");
    contain(|| tracing::error!(target: "tracing_audit", "{text}"));
}
