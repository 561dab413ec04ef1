//! What the log is told of an endpoint: `audit.delivery.*`.
//!
//! Other endpoints may be told of it in turn, and fail as well: so what can happen often is
//! gathered, and told once in a while with how often it was. Nothing of it is sent to the endpoint
//! that it is about.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::entry::{OwnEntry, Severity};

/// What was put aside is recorded so often at most, and what could not be read.
const DEAD_EVERY: Duration = Duration::from_secs(1);
const UNREADABLE_EVERY: Duration = Duration::from_secs(300);

/// Writes a record of the log's own.
pub(super) type Recorder = Arc<dyn Fn(OwnEntry) + Send + Sync>;

pub(super) struct Tell {
    recorder: Recorder,
    endpoint: String,
    dead: Option<Dead>,
    told_of_dead: Option<Instant>,
    unreadable: usize,
    told_of_unreadable: Option<Instant>,
}

/// What was put aside: how much, and of one request its id and why.
struct Dead {
    requests: usize,
    entries: usize,
    webhook_id: String,
    why: String,
}

impl Tell {
    pub(super) fn new(recorder: Recorder, endpoint: &str) -> Self {
        Self {
            recorder,
            endpoint: endpoint.to_owned(),
            dead: None,
            told_of_dead: None,
            unreadable: 0,
            told_of_unreadable: None,
        }
    }

    fn record(&self, event_type: &'static str, severity: Severity, text: &str) -> OwnEntry {
        OwnEntry::new(event_type, severity, text).detail("endpoint", self.endpoint.as_str())
    }

    pub(super) fn failing(&self, answer: &str) {
        let record = self.record(
            "audit.delivery.failing",
            Severity::Warning,
            "An endpoint takes no entries",
        );
        (self.recorder)(record.detail("answer", answer));
    }

    pub(super) fn parked(&self, answer: &str) {
        let record = self.record(
            "audit.delivery.parked",
            Severity::Error,
            "An endpoint has failed for days and is only probed",
        );
        (self.recorder)(record.detail("answer", answer));
    }

    pub(super) fn recovered(&self) {
        (self.recorder)(self.record(
            "audit.delivery.recovered",
            Severity::Info,
            "An endpoint takes entries again",
        ));
    }

    pub(super) fn gone(&self, waiting_requests: usize) {
        let record = self.record(
            "audit.delivery.gone",
            Severity::Error,
            "An endpoint wants no more events",
        );
        (self.recorder)(record.detail("waiting_requests", waiting_requests));
    }

    pub(super) fn rejected(&self, count: u64, why: String) {
        let record = self.record(
            "audit.delivery.rejected",
            Severity::Error,
            "An endpoint refused entries for good",
        );
        (self.recorder)(record.detail("count", count).detail("why", why));
    }

    /// Notes that a request was put aside.
    pub(super) fn dead(&mut self, webhook_id: String, entries: usize, why: &str) {
        let dead = self.dead.get_or_insert_with(|| Dead {
            requests: 0,
            entries: 0,
            webhook_id,
            why: why.to_owned(),
        });
        dead.requests += 1;
        dead.entries += entries;
    }

    /// Records what was put aside, if it is time or it must be at once.
    pub(super) fn of_dead(&mut self, at_once: bool) {
        if !at_once
            && self
                .told_of_dead
                .is_some_and(|last| last.elapsed() < DEAD_EVERY)
        {
            return;
        }
        let Some(Dead {
            requests,
            entries,
            webhook_id,
            why,
        }) = self.dead.take()
        else {
            return;
        };
        self.told_of_dead = Some(Instant::now());
        let record = self.record(
            "audit.delivery.dead_lettered",
            Severity::Error,
            "Entries could not be delivered and are kept as dead letters",
        );
        let record = record.detail("count", entries).detail("requests", requests);
        (self.recorder)(record.detail("webhook_id", webhook_id).detail("why", why));
    }

    /// Records that something of the log could not be read.
    pub(super) fn unreadable(&mut self, problems: &[String]) {
        self.unreadable += problems.len();
        let Some(last) = problems.last() else { return };
        if self
            .told_of_unreadable
            .is_some_and(|last| last.elapsed() < UNREADABLE_EVERY)
        {
            return;
        }
        self.told_of_unreadable = Some(Instant::now());
        let record = self.record(
            "audit.delivery.unreadable",
            Severity::Error,
            "What an endpoint should get could not be read",
        );
        (self.recorder)(
            record
                .detail("count", std::mem::take(&mut self.unreadable))
                .detail("last", last.as_str()),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_happens_often_is_told_once_with_how_often() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let source = "a".parse().unwrap();
        let recorder: Recorder = Arc::new(move |record: OwnEntry| {
            sink.lock()
                .unwrap()
                .push(String::from_utf8(record.render(&source)).unwrap());
        });
        let mut tell = Tell::new(recorder, "siem");
        tell.dead("msg_1".into(), 2, "no");
        tell.of_dead(false);
        for n in 2..5 {
            tell.dead(format!("msg_{n}"), 3, "no");
            tell.of_dead(false);
        }
        tell.of_dead(true);
        tell.of_dead(true);
        for _ in 0..9 {
            tell.unreadable(&["a block is damaged".to_owned()]);
        }
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].contains(
                r#""details":{"endpoint":"siem","count":2,"requests":1,"webhook_id":"msg_1""#
            ),
            "{}",
            told[0]
        );
        assert!(
            told[1].contains(r#""count":9,"requests":3,"webhook_id":"msg_2""#),
            "{}",
            told[1]
        );
        assert!(
            told[2].contains(r#""count":1,"last":"a block is damaged""#),
            "{}",
            told[2]
        );
    }
}
