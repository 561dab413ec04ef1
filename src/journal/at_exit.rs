//! Work at the orderly end of the process: a return from `main`, or `exit`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Has `run` called when the process ends, once for all who ask for the same. A process that is
/// killed, aborts or ends by `_exit` calls nothing.
pub(crate) fn at_exit(run: extern "C" fn(), asked: &AtomicBool) {
    if !asked.swap(true, Relaxed) {
        // SAFETY: `run` is a function of this program, and takes and gives nothing. That it can't
        // be had is no harm: it is then not called.
        let _ = unsafe { libc::atexit(run) };
    }
}
