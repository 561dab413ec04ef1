//! Records in the log each read of it, and each refusal.
//!
//! The recorder never waits: with a full journal, the answer is 503, and no request hangs. A
//! refusal costs an attacker nothing. So that refusals don't flood the log, only some of each caller
//! are recorded one by one in a minute, and an entry counts the others (`refusals`). The kinds are
//! counted apart, so that requests without a token don't crowd out entries about known callers.

use std::{
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::http::{StatusCode, request::Parts};
use tokio::{runtime::Handle, time};

use super::{
    access::Denied,
    problem::Problem,
    refusals::{Fate, LeftOut, Refusals, of_address},
    state::{path, shorten},
};
use crate::{
    entry::{Caller, OwnEntry, Severity},
    journal::PushError,
    log::AuditLog,
    store::Store,
};

/// The kind of a refusal, by what a caller needs to get that far.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// Access, to an unknown caller.
    Unknown,
    /// Access, to a known caller.
    Forbidden,
    /// A change, to an administrator.
    Change,
    /// A request beyond the limits of a known caller.
    Limited,
}

impl Refused {
    const ALL: [Self; 4] = [Self::Unknown, Self::Forbidden, Self::Change, Self::Limited];

    /// The `outcome.reason` of most of these, and so of the entry that counts them.
    fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "authentication",
            Self::Forbidden => "authorization",
            Self::Change => "validation",
            Self::Limited => "limit",
        }
    }
}

/// Where accesses are recorded.
#[derive(Debug)]
pub(super) struct Recorder {
    log: Option<AuditLog>,
    optional: bool,
    /// By `Refused`.
    refusals: [Refusals; 4],
    pub(super) denied: AtomicU64,
    pub(super) unrecorded: AtomicU64,
}

/// Puts an entry into the journal, or says why it can't be, without waiting.
fn push(store: &Store, entry: &OwnEntry) -> Result<(), &'static str> {
    store.own().push(entry).map(drop).map_err(|why| match why {
        PushError::Full => "the log's journal is full",
        PushError::Closed => "the log is closed",
        PushError::TooLong => "its entry is too long for the log's journal",
    })
}

/// The entry about a refused access.
fn refusal(reason: &str, path: &str, status: StatusCode) -> OwnEntry {
    OwnEntry::new(
        "audit.access.denied",
        Severity::Warning,
        "Access to the audit log was refused",
    )
    .failed(reason)
    .detail("path", path)
    .detail("status", status.as_u16())
}

impl Recorder {
    /// Without a log, nothing can be recorded; `optional` says that this stops no one.
    pub(super) fn new(log: Option<AuditLog>, optional: bool) -> Arc<Self> {
        Arc::new(Self {
            log,
            optional,
            refusals: Default::default(),
            denied: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
        })
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
    pub(super) fn denied(self: &Arc<Self>, caller: &Caller, denied: &Denied, path: &str) {
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
            Denied::Unavailable(why) => (
                Refused::Unknown,
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                why,
            ),
        };
        self.refused(kind, caller, || {
            refusal(reason, path, status).detail("reason", shorten(why))
        });
    }

    /// Records that the holder of a tenant's token asked for entries of another tenant.
    pub(super) fn other_tenant(self: &Arc<Self>, caller: &Caller, path: &str, wanted: &str) {
        self.denied.fetch_add(1, Ordering::Relaxed);
        self.refused(Refused::Forbidden, caller, || {
            let why = "the request asks for another tenant than that of the token";
            refusal("authorization", path, StatusCode::BAD_REQUEST)
                .detail("reason", why)
                .detail("wanted_tenant_id", wanted)
        });
    }

    /// Records that a request was for a name that isn't the server's.
    pub(super) fn wrong_host(self: &Arc<Self>, caller: &Caller, path: &str) {
        self.denied.fetch_add(1, Ordering::Relaxed);
        self.refused(Refused::Unknown, caller, || {
            refusal("host", path, StatusCode::MISDIRECTED_REQUEST)
                .detail("reason", "the request is for a host that isn't configured")
        });
    }

    /// Records that a known caller asked for more than one caller may have.
    pub(super) fn limited(self: &Arc<Self>, caller: &Caller, request: &Parts, why: &str) {
        self.refused(Refused::Limited, caller, || {
            let path = shorten(path(request));
            refusal("limit", &path, StatusCode::TOO_MANY_REQUESTS).detail("reason", why)
        });
    }

    /// Records a refusal with its caller, or counts it if there were too many.
    pub(super) fn refused(
        self: &Arc<Self>,
        kind: Refused,
        caller: &Caller,
        entry: impl FnOnce() -> OwnEntry,
    ) {
        let counted_for = match caller.id.as_str() {
            "" => {
                let address = caller.ip_address.as_ref();
                of_address(address.and_then(|text| text.parse::<IpAddr>().ok()))
            }
            id => id.to_owned(),
        };
        let (fate, ended) = self.refusals[kind as usize].count(&counted_for, Instant::now());
        if let Some(left_out) = ended {
            self.record_counts(kind, left_out);
        }
        match fate {
            // The request is refused in any case, whether that can be recorded or not.
            Fate::Recorded => drop(self.record(&entry().caller(caller.clone()))),
            Fate::Counted { first: true } => self.end_later(kind),
            Fate::Counted { first: false } => {}
        }
    }

    fn record_counts(&self, kind: Refused, left_out: LeftOut) {
        // These requests are refused already, whether that can be recorded or not.
        let _ = self.record(&left_out.entry(kind.reason()));
    }

    /// Has the counts recorded when the minute has ended, also if no further request is refused.
    fn end_later(self: &Arc<Self>, kind: Refused) {
        let recorder: Weak<Self> = Arc::downgrade(self);
        let minute = self.refusals[kind as usize].minute();
        let end = async move {
            time::sleep(minute).await;
            if let Some(recorder) = recorder.upgrade()
                && let Some(left_out) = recorder.refusals[kind as usize].end_by(Instant::now())
            {
                recorder.record_counts(kind, left_out);
            }
        };
        // Requests are answered on a runtime.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(end);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for kind in Refused::ALL {
            if let Some(left_out) = self.refusals[kind as usize].end() {
                self.record_counts(kind, left_out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use super::*;
    use crate::capture::WhenFull;

    /// All that were refused, by their own entries and by those that count.
    fn refusals_in(dir: &Path) -> u64 {
        let mut sum = 0;
        let count = |entry: crate::RawEntry| {
            let entry: serde_json::Value = serde_json::from_slice(entry.line()).unwrap();
            if entry["event_type"] == "audit.access.denied" {
                sum += entry["details"]["unrecorded"].as_u64().unwrap_or(1);
            }
            std::ops::ControlFlow::Continue(())
        };
        let reader = crate::AuditReader::open(dir).unwrap();
        let order = crate::reader::Order::Asc;
        let filter = crate::Filter::parse([("event_type", "audit.access.*")]).unwrap();
        reader.each(&filter, order, count).unwrap();
        sum
    }

    #[test]
    fn a_flood_of_refusals_is_counted_and_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("a")
            .open()
            .unwrap();
        let recorder = Recorder::new(Some(log.clone()), false);
        let mut made = 0_u32;
        for _ in 0..3000 {
            recorder.refused(Refused::Unknown, &Caller::default(), || {
                made += 1;
                OwnEntry::new("audit.access.denied", Severity::Warning, "No")
            });
        }
        drop(recorder);
        log.close().unwrap();
        assert!(made < 30, "{made}");
        assert_eq!(refusals_in(dir.path()), 3000);
    }

    #[tokio::test]
    async fn counts_are_recorded_though_nobody_comes_again() {
        let log = AuditLog::for_tests();
        let recorder = Arc::new(Recorder {
            log: Some(AuditLog::clone(&log)),
            optional: false,
            refusals: std::array::from_fn(|_| Refusals::in_each(Duration::from_millis(20))),
            denied: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
        });
        for _ in 0..1000 {
            recorder.refused(Refused::Unknown, &Caller::default(), || {
                OwnEntry::new("audit.access.denied", Severity::Warning, "No")
            });
        }
        let sum = || {
            log.flush().unwrap();
            refusals_in(log.dir())
        };
        let all = async {
            while sum() < 1000 {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        time::timeout(Duration::from_secs(30), all).await.unwrap();
        assert_eq!(sum(), 1000);
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
        let begun = Instant::now();
        while let Err(why) = log.flush() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{why}");
            std::thread::sleep(Duration::from_millis(5));
        }
        log.close().unwrap();
    }
}
