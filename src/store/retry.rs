//! The writer's retries when the disk refuses.
//!
//! An append that fails is cut off and tried again, with pauses up to a second; its batch stays. A
//! sync that fails means that the lines since the last one may never reach the disk, whatever a
//! second sync says: the file is cut back to what is durable, and the rest is written again into a
//! new one. Not before the cut is durable, or the lines could be in both.

use std::{io, time::Duration};

use super::{health::Problem, writer::Writer};
use crate::{
    entry::{OwnEntry, Severity},
    error::Error,
};

/// Pauses between attempts while the disk refuses.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// When a step that failed is tried again.
pub(super) struct Retry {
    pub(super) at: Duration,
    pause: Duration,
}

impl Writer {
    /// Notes that a step failed and when it is tried again. True if the reserve was freed for it.
    pub(super) fn failed(&mut self, error: &Error) -> bool {
        if self.own.are_closing() {
            // The entry about this failure comes before the one about the closing.
            self.start_over();
        }
        let now = self.place.clock.monotonic();
        let health = &self.place.health;
        health.count(health.write_errors(), 1);
        let full = is_full(error);
        if self.retry.is_none() {
            health.report(&if full {
                Problem::DiskFull(error.to_string())
            } else {
                Problem::WriteFailed(error.to_string())
            });
            let what = "Events could not be written and waited in the journal";
            self.own.push(
                OwnEntry::new("audit.log.write_failed", Severity::Critical, what)
                    .detail("error", error.to_string()),
            );
        }
        self.durability.fail(&error.to_string());
        if full {
            let jobs = self.space.found_full(now, self.retry.is_none());
            self.ask_sealer(jobs);
        }
        // The reserve makes room for what is pending and the entry that says so: tried at once.
        let freed = full && self.reserve.release(&*self.place.fs);
        let pause = self
            .retry
            .as_ref()
            .map_or(RETRY.0, |retry| (retry.pause * 2).min(RETRY.1));
        self.retry = Some(Retry {
            at: if freed { now } else { now + pause },
            pause,
        });
        if self.place.lifecycle && self.consumer.closed() && !freed {
            // The caller that closes the log gets an error, so the file should not say that it was
            // closed. Where the line can't be cut off, recovery makes it durable.
            let _ = self.end_ending();
        }
        freed
    }

    /// Records that a step has succeeded, if the last one failed.
    pub(super) fn succeeded(&mut self) {
        if self.retry.take().is_some() {
            self.durability.recovered();
            self.place.health.report(&Problem::WriteRecovered);
            let what = "Events are written again";
            let entry = OwnEntry::new("audit.log.write_recovered", Severity::Info, what);
            self.own.push(entry);
        }
    }
}

/// Whether there was no room for it on the disk.
pub(super) fn is_full(error: &Error) -> bool {
    let Error::Io { source, .. } = error else {
        return false;
    };
    matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
