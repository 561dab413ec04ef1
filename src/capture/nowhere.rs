//! Events that no log takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::contain::alarm;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The number of events of `audit!` that this process did not record because there was no log for
/// them: no layer of a log was in force where they happened, and there was no
/// [process-wide](crate::AuditLog::set_global) log. The first of them is reported, on standard
/// error and as an event of `tracing`. Events that come after a log was closed are counted by
/// [`Counters::refused`](crate::health::Counters::refused).
pub fn events_without_log() -> u64 {
    COUNT.load(Relaxed)
}

/// An event of this type met no log.
#[cold]
pub(super) fn came(event_type: &str) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    COUNT.fetch_add(1, Relaxed);
    if !REPORTED.swap(true, Relaxed) {
        alarm(&format!(
            "the event {event_type} is not recorded, because there is no audit log here; open one \
             with AuditLog::builder and add its layer to the subscriber, or make it the \
             process-wide one with set_global. Further events without a log are only counted"
        ));
    }
}
