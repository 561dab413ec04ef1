//! Looks after the dead letters of all webhooks from time to time, on a thread for work on disks.

use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{entry::OwnEntry, log::AuditLog, query::AuditReader, webhook::queue::dead_letter};

/// How often the dead letters are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Tidying {
    begun: Option<Instant>,
    under_way: Option<JoinHandle<()>>,
}

impl Tidying {
    /// Begins a look if one is due and none is under way; true if it did.
    pub(super) fn go_on(&mut self, log: &AuditLog, reader: &AuditReader) -> bool {
        let is_done = (self.under_way.as_ref()).is_none_or(JoinHandle::is_finished);
        if !is_done || self.begun.is_some_and(|last| last.elapsed() < TIDY_EVERY) {
            return false;
        }
        let log = log.clone();
        let reader = reader.clone();
        self.begun = Some(Instant::now());
        self.under_way = Some(spawn_blocking(move || {
            let record = |entry: &OwnEntry| log.store()?.record(entry);
            if let Err(error) = dead_letter::tidy_all(&reader, &record) {
                tracing::warn!(
                    target: "tracing_audit",
                    "dead letters of webhooks could not be tidied; it is tried again: {error}"
                );
            }
        }));
        true
    }
}
