//! Records in the log how a webhook is doing: `audit.delivery.*`.
//!
//! Other webhooks may get these entries, and fail as well. So events that can be frequent are
//! counted, and recorded once in a while with their count. No such entry is sent to the webhook
//! that it is about.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::entry::{OwnEntry, Severity};

/// The shortest times between two entries about dead letters, and about entries that can't be read.
const DEAD_EVERY: Duration = Duration::from_secs(1);
const UNREADABLE_EVERY: Duration = Duration::from_secs(300);

/// Records an entry of the log's own.
pub(in crate::webhook) type Recorder = Arc<dyn Fn(OwnEntry) + Send + Sync>;

pub(in crate::webhook) struct Reporter {
    recorder: Recorder,
    webhook: String,
    dead: Option<Dead>,
    dead_recorded: Option<Instant>,
    unreadable: usize,
    unreadable_recorded: Option<Instant>,
}

/// Deliveries that were given up: how many, and of one of them its id and reason.
struct Dead {
    requests: usize,
    entries: usize,
    delivery_id: String,
    reason: String,
}

impl Reporter {
    pub(in crate::webhook) fn new(recorder: Recorder, webhook: &str) -> Self {
        Self {
            recorder,
            webhook: webhook.to_owned(),
            dead: None,
            dead_recorded: None,
            unreadable: 0,
            unreadable_recorded: None,
        }
    }

    fn record(
        &self,
        event_type: &'static str,
        severity: Severity,
        text: &str,
        details: impl FnOnce(OwnEntry) -> OwnEntry,
    ) {
        let record = OwnEntry::new(event_type, severity, text);
        (self.recorder)(details(record.detail("webhook", self.webhook.as_str())));
    }

    pub(in crate::webhook) fn failing(&self, answer: &str) {
        let text = "Deliveries to a webhook fail";
        let details = |entry: OwnEntry| entry.detail("answer", answer);
        self.record("audit.delivery.failing", Severity::Warning, text, details);
    }

    pub(in crate::webhook) fn parked(&self, answer: &str) {
        let text = "Deliveries to a webhook have failed for days; one request an hour finds out whether the receiver is back";
        let details = |entry: OwnEntry| entry.detail("answer", answer);
        self.record("audit.delivery.parked", Severity::Error, text, details);
    }

    pub(in crate::webhook) fn recovered(&self) {
        let text = "Deliveries to a webhook succeed again";
        self.record("audit.delivery.recovered", Severity::Info, text, |entry| {
            entry
        });
    }

    pub(in crate::webhook) fn gone(&self, waiting_deliveries: usize) {
        let text = "The receiver of a webhook answered that it is gone; entries are no longer sent";
        let details = |entry: OwnEntry| entry.detail("waiting_deliveries", waiting_deliveries);
        self.record("audit.delivery.gone", Severity::Error, text, details);
    }

    pub(in crate::webhook) fn rejected(&self, count: u64, reason: String) {
        let text = "The receiver of a webhook rejected entries; they are not sent again";
        let details = |entry: OwnEntry| entry.detail("entries", count).detail("reason", reason);
        self.record("audit.delivery.rejected", Severity::Error, text, details);
    }

    /// Notes that a delivery was given up.
    pub(in crate::webhook) fn dead(&mut self, delivery_id: String, entries: usize, reason: &str) {
        let dead = self.dead.get_or_insert_with(|| Dead {
            requests: 0,
            entries: 0,
            delivery_id,
            reason: reason.to_owned(),
        });
        dead.requests += 1;
        dead.entries += entries;
    }

    /// When deliveries that were given up are to be recorded, if there are any.
    pub(in crate::webhook) fn due(&self) -> Option<Instant> {
        let next = self.dead_recorded.map(|last| last + DEAD_EVERY);
        self.dead
            .is_some()
            .then(|| next.unwrap_or_else(Instant::now))
    }

    /// Records the deliveries that were given up, if it is time or must be done at once.
    pub(in crate::webhook) fn of_dead(&mut self, at_once: bool) {
        if !at_once && is_recent(self.dead_recorded, DEAD_EVERY) {
            return;
        }
        let Some(dead) = self.dead.take() else {
            return;
        };
        self.dead_recorded = Some(Instant::now());
        let text = "Deliveries to a webhook were given up; they are dead letters now";
        let details = |entry: OwnEntry| {
            entry
                .detail("entries", dead.entries)
                .detail("deliveries", dead.requests)
                .detail("delivery_id", dead.delivery_id)
                .detail("reason", dead.reason)
        };
        self.record(
            "audit.delivery.dead_lettered",
            Severity::Error,
            text,
            details,
        );
    }

    /// Records that entries could not be read.
    pub(in crate::webhook) fn unreadable(&mut self, problems: &[String]) {
        self.unreadable += problems.len();
        let Some(last) = problems.last() else { return };
        if is_recent(self.unreadable_recorded, UNREADABLE_EVERY) {
            return;
        }
        self.unreadable_recorded = Some(Instant::now());
        let count = std::mem::take(&mut self.unreadable);
        let text = "Entries for a webhook could not be read";
        let details = |entry: OwnEntry| entry.detail("count", count).detail("last", last.as_str());
        self.record("audit.delivery.unreadable", Severity::Error, text, details);
    }
}

fn is_recent(last: Option<Instant>, every: Duration) -> bool {
    last.is_some_and(|last| last.elapsed() < every)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn frequent_events_are_recorded_once_with_their_count() {
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&recorded);
        let source = "a".parse().unwrap();
        let recorder: Recorder = Arc::new(move |record: OwnEntry| {
            sink.lock()
                .unwrap()
                .push(String::from_utf8(record.render(&source)).unwrap());
        });
        let mut reporter = Reporter::new(recorder, "siem");
        reporter.dead("msg_1".into(), 2, "no");
        reporter.of_dead(false);
        for n in 2..5 {
            reporter.dead(format!("msg_{n}"), 3, "no");
            reporter.of_dead(false);
        }
        reporter.of_dead(true);
        reporter.of_dead(true);
        for _ in 0..9 {
            reporter.unreadable(&["a block is damaged".to_owned()]);
        }
        let recorded = recorded.lock().unwrap();
        assert_eq!(recorded.len(), 3, "{recorded:?}");
        assert!(
            recorded[0].contains(
                r#""details":{"webhook":"siem","entries":2,"deliveries":1,"delivery_id":"msg_1""#
            ),
            "{}",
            recorded[0]
        );
        assert!(
            recorded[1].contains(r#""entries":9,"deliveries":3,"delivery_id":"msg_2""#),
            "{}",
            recorded[1]
        );
        assert!(
            recorded[2].contains(r#""count":1,"last":"a block is damaged""#),
            "{}",
            recorded[2]
        );
    }
}
