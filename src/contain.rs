//! Code of the application's that runs on the log's own threads.

use std::{
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
