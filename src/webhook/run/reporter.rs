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

/// The shortest times between two entries about dead letters, between two about rejected entries,
/// and between two about entries that can't be read.
const LOST_EVERY: Duration = Duration::from_secs(1);
const UNREADABLE_EVERY: Duration = Duration::from_secs(300);

/// Records an entry of the log's own.
pub(in crate::webhook) type Recorder = Arc<dyn Fn(OwnEntry) + Send + Sync>;

pub(in crate::webhook) struct Reporter {
    recorder: Recorder,
    webhook: String,
    dead: Losses,
    rejected: Losses,
    unreadable: usize,
    unreadable_recorded: Option<Instant>,
}

/// Deliveries that were lost, wholly or in part, and are not recorded yet.
#[derive(Default)]
struct Losses {
    lost: Option<Lost>,
    recorded: Option<Instant>,
}

/// How many deliveries and entries, and of the first of them its id and reason.
struct Lost {
    deliveries: u64,
    entries: u64,
    delivery_id: String,
    reason: String,
}

impl Losses {
    fn note(&mut self, delivery_id: String, entries: u64, reason: &str) {
        let lost = self.lost.get_or_insert_with(|| Lost {
            deliveries: 0,
            entries: 0,
            delivery_id,
            reason: reason.to_owned(),
        });
        lost.deliveries += 1;
        lost.entries += entries;
    }

    /// When they are to be recorded, if there are any.
    fn due(&self) -> Option<Instant> {
        let next = self.recorded.map(|last| last + LOST_EVERY);
        let due = next.unwrap_or_else(Instant::now);
        self.lost.is_some().then_some(due)
    }

    /// Takes what is to be recorded now, if it is time or must be done at once.
    fn take(&mut self, at_once: bool) -> Option<Lost> {
        if !at_once && is_recent(self.recorded, LOST_EVERY) {
            return None;
        }
        let lost = self.lost.take()?;
        self.recorded = Some(Instant::now());
        Some(lost)
    }
}

impl Lost {
    fn details(self, entry: OwnEntry) -> OwnEntry {
        entry
            .detail("entries", self.entries)
            .detail("deliveries", self.deliveries)
            .detail("delivery_id", self.delivery_id)
            .detail("reason", self.reason)
    }
}

impl Reporter {
    pub(in crate::webhook) fn new(recorder: Recorder, webhook: &str) -> Self {
        Self {
            recorder,
            webhook: webhook.to_owned(),
            dead: Losses::default(),
            rejected: Losses::default(),
            unreadable: 0,
            unreadable_recorded: None,
        }
    }

    /// An entry about the webhook.
    fn entry(&self, event_type: &'static str, severity: Severity, text: &str) -> OwnEntry {
        OwnEntry::new(event_type, severity, text).detail("webhook", self.webhook.as_str())
    }

    pub(in crate::webhook) fn failing(&self, answer: &str) {
        let text = "Deliveries to a webhook fail";
        let entry = self.entry("audit.delivery.failing", Severity::Warning, text);
        (self.recorder)(entry.detail("answer", answer));
    }

    pub(in crate::webhook) fn parked(&self, answer: &str) {
        let text = "Deliveries to a webhook have failed for days; one request an hour finds out whether the receiver is back";
        let entry = self.entry("audit.delivery.parked", Severity::Error, text);
        (self.recorder)(entry.detail("answer", answer));
    }

    pub(in crate::webhook) fn recovered(&self) {
        let text = "Deliveries to a webhook succeed again";
        (self.recorder)(self.entry("audit.delivery.recovered", Severity::Info, text));
    }

    pub(in crate::webhook) fn gone(&self, waiting_deliveries: usize) {
        let text = "The receiver of a webhook answered that it is gone; entries are no longer sent";
        let entry = self.entry("audit.delivery.gone", Severity::Error, text);
        (self.recorder)(entry.detail("waiting_deliveries", waiting_deliveries));
    }

    /// Notes that a receiver took a delivery and rejected so many of its entries.
    pub(in crate::webhook) fn rejected(&mut self, delivery_id: String, entries: u64, reason: &str) {
        self.rejected.note(delivery_id, entries, reason);
    }

    /// Notes that a delivery was given up.
    pub(in crate::webhook) fn dead(&mut self, delivery_id: String, entries: usize, reason: &str) {
        self.dead.note(delivery_id, entries as u64, reason);
    }

    /// When losses are to be recorded, if there are any.
    pub(in crate::webhook) fn due(&self) -> Option<Instant> {
        let due = [self.dead.due(), self.rejected.due()];
        due.into_iter().flatten().min()
    }

    /// Records the losses, if it is time or must be done at once.
    pub(in crate::webhook) fn of_losses(&mut self, at_once: bool) {
        let error = Severity::Error;
        if let Some(dead) = self.dead.take(at_once) {
            let text = "Deliveries to a webhook were given up; they are dead letters now";
            let entry = self.entry("audit.delivery.dead_lettered", error, text);
            (self.recorder)(dead.details(entry));
        }
        if let Some(rejected) = self.rejected.take(at_once) {
            let text = "The receiver of a webhook rejected entries; they are not sent again";
            let entry = self.entry("audit.delivery.rejected", error, text);
            (self.recorder)(rejected.details(entry));
        }
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
        let entry = self.entry("audit.delivery.unreadable", Severity::Error, text);
        (self.recorder)(entry.detail("count", count).detail("last", last.as_str()));
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
        reporter.of_losses(false);
        for n in 2..5 {
            reporter.dead(format!("msg_{n}"), 3, "no");
            reporter.of_losses(false);
        }
        reporter.of_losses(true);
        reporter.of_losses(true);
        for n in 5..9 {
            reporter.rejected(format!("msg_{n}"), 2, "too old");
            reporter.of_losses(false);
        }
        assert!(reporter.due().is_some());
        reporter.of_losses(true);
        assert!(reporter.due().is_none());
        for _ in 0..9 {
            reporter.unreadable(&["a block is damaged".to_owned()]);
        }
        let recorded = recorded.lock().unwrap();
        assert_eq!(recorded.len(), 5, "{recorded:?}");
        for (n, expected) in [
            r#""details":{"webhook":"siem","entries":2,"deliveries":1,"delivery_id":"msg_1""#,
            r#""entries":9,"deliveries":3,"delivery_id":"msg_2""#,
            r#""entries":2,"deliveries":1,"delivery_id":"msg_5","reason":"too old""#,
            r#""entries":6,"deliveries":3,"delivery_id":"msg_6""#,
            r#""count":1,"last":"a block is damaged""#,
        ]
        .into_iter()
        .enumerate()
        {
            assert!(recorded[n].contains(expected), "{}", recorded[n]);
        }
    }
}
