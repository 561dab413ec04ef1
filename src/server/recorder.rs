//! Records in the log each read of it, and each refusal.
//!
//! The recorder never waits: with a full journal, the answer is 503, and no request hangs. A
//! refusal costs an attacker nothing. So that refusals don't flood the log, only a few of each kind
//! are recorded in a second, and the next entry counts the others. The kinds are counted apart, so
//! that requests without a token don't crowd out entries about known callers.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;

use super::{access::Denied, problem::Problem};
use crate::{
    entry::{Caller, OwnEntry, Severity},
    journal::PushError,
    log::AuditLog,
    store::Store,
};

/// How many refusals of a kind are recorded one by one in a second.
const REFUSALS: u32 = 20;

/// The kind of a refusal, by what a caller needs to get that far.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// Access, to an unknown caller.
    Unknown,
    /// Access, to a known caller.
    Forbidden,
    /// A change, to an administrator.
    #[cfg(feature = "webhook")]
    Change,
}

/// Where accesses are recorded.
#[derive(Debug)]
pub(super) struct Recorder {
    log: Option<AuditLog>,
    optional: bool,
    /// By `Refused`.
    refusals: [Mutex<Refusals>; 3],
    pub(super) denied: AtomicU64,
    pub(super) unrecorded: AtomicU64,
}

#[derive(Debug)]
struct Refusals {
    since: Instant,
    recorded: u32,
    left_out: u64,
}

/// Puts an entry into the journal, or says why it can't be, without waiting.
fn push(store: &Store, entry: &OwnEntry) -> Result<(), &'static str> {
    store.own().push(entry).map(drop).map_err(|why| match why {
        PushError::Full => "the log's journal is full",
        PushError::Closed => "the log is closed",
        PushError::TooLong => "its entry is too long for the log's journal",
    })
}

impl Recorder {
    /// Without a log, nothing can be recorded; `optional` says that this stops no one.
    pub(super) fn new(log: Option<AuditLog>, optional: bool) -> Self {
        let refusals = std::array::from_fn(|_| {
            Mutex::new(Refusals {
                since: Instant::now(),
                recorded: 0,
                left_out: 0,
            })
        });
        Self {
            log,
            optional,
            refusals,
            denied: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
        }
    }

    /// Records an access before it is granted.
    pub(super) fn record(&self, entry: &OwnEntry) -> Result<(), Problem> {
        let pushed = match &self.log {
            None => Err("this server can't write to the log"),
            Some(log) => match log.store() {
                Ok(store) => push(store, entry),
                Err(_) => Err("this forked process has no stream in the log"),
            },
        };
        pushed.or_else(|why| {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            if self.optional {
                return Ok(());
            }
            Err(Problem::busy(format!(
                "an access that can't be recorded is not granted, and {why}"
            )))
        })
    }

    /// Records that someone was not let in.
    pub(super) fn denied(&self, caller: Caller, denied: &Denied, path: &str) {
        self.denied.fetch_add(1, Ordering::Relaxed);
        let (kind, status, reason, why) = match denied {
            Denied::Unauthenticated(why) => (
                Refused::Unknown,
                StatusCode::UNAUTHORIZED,
                "authentication",
                why,
            ),
            Denied::Forbidden(why) => (
                Refused::Forbidden,
                StatusCode::FORBIDDEN,
                "authorization",
                why,
            ),
        };
        self.refused(kind, || {
            OwnEntry::new(
                "audit.access.denied",
                Severity::Warning,
                "Access to the audit log was refused",
            )
            .caller(caller)
            .failed(reason)
            .detail("path", path)
            .detail("status", status.as_u16())
            .detail("reason", why.as_str())
        });
    }

    /// Records a refusal, if there were not too many of its kind.
    pub(super) fn refused(&self, kind: Refused, entry: impl FnOnce() -> OwnEntry) {
        let left_out = {
            let mut refusals = self.refusals[kind as usize]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if refusals.since.elapsed() >= Duration::from_secs(1) {
                refusals.since = Instant::now();
                refusals.recorded = 0;
            }
            if refusals.recorded >= REFUSALS {
                refusals.left_out += 1;
                return;
            }
            refusals.recorded += 1;
            std::mem::take(&mut refusals.left_out)
        };
        let mut entry = entry();
        if left_out > 0 {
            entry = entry.detail("unrecorded_before", left_out);
        }
        // The request is refused in any case.
        let _ = self.record(&entry);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::capture::WhenFull;

    #[test]
    fn a_flood_of_refusals_is_told_and_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("a")
            .open()
            .unwrap();
        let recorder = Recorder::new(Some(log.clone()), false);
        let mut made = 0_u32;
        let mut rounds = 0_u64;
        let mut refuse = || {
            recorder.refused(Refused::Unknown, || {
                made += 1;
                OwnEntry::new("audit.access.denied", Severity::Warning, "No")
            })
        };
        for _ in 0..3000 {
            refuse();
            rounds += 1;
        }
        std::thread::sleep(Duration::from_millis(1100));
        refuse();
        log.close().unwrap();
        let reader = crate::AuditReader::open(dir.path()).unwrap();
        let mut left_out = 0;
        let count = |entry: crate::RawEntry| {
            let record: serde_json::Value = serde_json::from_slice(entry.line()).unwrap();
            left_out += record["details"]["unrecorded_before"].as_u64().unwrap_or(0);
            std::ops::ControlFlow::Continue(())
        };
        reader
            .each(&crate::Filter::new(), crate::reader::Order::Asc, count)
            .unwrap();
        assert!(made < 300, "{made}");
        assert_eq!(u64::from(made) + left_out, rounds + 1);
    }

    #[test]
    fn a_full_journal_refuses_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("a")
            .journal_bytes(1 << 16)
            .max_record_bytes(4096)
            .when_full(WhenFull::Drop);
        let log = log.open().unwrap();
        // Nothing can be written where files should be.
        fs::remove_dir(dir.path().join("live")).unwrap();
        fs::write(dir.path().join("live"), "").unwrap();
        let recorder = Recorder::new(Some(log.clone()), false);
        let read = || {
            OwnEntry::new("audit.access.read", Severity::Info, "x".repeat(2000))
                .caller(Caller::default())
        };
        let taken = (0..1000)
            .take_while(|_| recorder.record(&read()).is_ok())
            .count();
        assert!(taken < 33, "{taken}");
        let refusal = || {
            let before = Instant::now();
            let refused = recorder.record(&read()).unwrap_err();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            before.elapsed()
        };
        // The quickest: the machine may have other things to do in between.
        assert!((0..10).map(|_| refusal()).min() < Some(Duration::from_millis(500)));
        let optional = Recorder::new(Some(log.clone()), true);
        assert!(optional.record(&read()).is_ok());
        assert_eq!(optional.unrecorded.load(Ordering::Relaxed), 1);
        fs::remove_file(dir.path().join("live")).unwrap();
        log.close().unwrap();
    }
}
