//! The state of a webhook as administrators see it: without secrets.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::{
    entry::{
        Timestamp,
        json::{Members, members},
    },
    query::{AuditReader, Places},
    store::{clock::SystemClock, layout::Layout},
    webhook::{
        queue::{
            self, Queue, Status, dead_letter,
            replay::{self, ReplayReport, ReplayState},
            summary::Summary,
        },
        run::presence::Presence,
        settings::{
            Webhook, shown_proxy,
            stored::{Declared, Stored},
        },
    },
};

/// A webhook, and how it is doing.
///
/// It serializes as the HTTP API shows it: the settings without their secrets, times by RFC 3339.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebhookReport {
    /// The webhook's settings.
    pub webhook: Webhook,
    paused: bool,
    declared: Option<Declared>,
    proxy_for_all: Option<String>,
    /// The results so far.
    pub status: Status,
    /// The number of deliveries that are made and not delivered. Entries that aren't in a delivery
    /// yet wait in the log.
    pub waiting_deliveries: usize,
    /// The time of the next attempt, if a delivery waits and nothing holds it back. This and the
    /// other figures are as old as the state that the dispatcher saved last: some seconds; of a
    /// webhook that fails, two minutes at most.
    pub next_attempt: Option<Timestamp>,
    /// The number of dead letters that there are now. `None` if they can't be read.
    pub dead_letters: Option<usize>,
    /// The progress of its last replay, if there was one.
    pub replay: Option<ReplayReport>,
    /// The time of the oldest entry in these deliveries.
    pub oldest_waiting: Option<Timestamp>,
    /// The time of the oldest entry that waits in the log, because it wasn't read for this webhook
    /// yet. Of a webhook that is up to date, this can be an entry of the last seconds.
    pub unread_since: Option<Timestamp>,
    /// About how many bytes of the log, as they lie on the disk, were not read for the webhook yet.
    /// `None` if that is not known.
    pub unread_bytes: Option<u64>,
    /// The reason why that is not known.
    pub unread_problem: Option<String>,
    /// The reason why nothing is sent. Either the process that delivers can't use a setting, such
    /// as a secret whose file does not exist, and tries again; or the webhook's state can't be
    /// read, and the webhook must be removed, added again, and replayed.
    pub problem: Option<String>,
    /// The problem is the webhook's state.
    is_damaged: bool,
}

/// How these webhooks are doing.
pub(in crate::webhook) fn of(reader: &AuditReader, webhooks: Vec<Stored>) -> Vec<WebhookReport> {
    let layout = reader.layout();
    // If the dispatcher's state can't be read, the webhooks are shown all the same.
    let presence = Presence::read(layout).unwrap_or_default();
    let mut reports = Vec::new();
    // For each webhook of which it is known: how far it has read the log, and when that was noted.
    let mut read = Vec::new();
    for webhook in webhooks {
        let noted = queue::noted(layout, &webhook.key());
        let (mut report, cursor) = WebhookReport::without_unread(layout, &presence, webhook);
        match noted {
            _ if report.is_damaged => {
                report.unread_problem = Some("its cursor is not known".to_owned())
            }
            Ok(noted) => read.push((cursor, noted)),
            Err(error) => report.unread_problem = Some(error.to_string()),
        }
        reports.push(report);
    }
    let known = reports.iter_mut();
    let known = known.filter(|report| report.unread_problem.is_none());
    // One look at the log for all of them.
    match reader.backlogs(&read) {
        Ok(backlogs) => {
            for (report, backlog) in known.zip(backlogs) {
                match backlog {
                    Ok(backlog) => {
                        report.unread_since = backlog.oldest;
                        report.unread_bytes = Some(backlog.bytes);
                    }
                    Err(error) => report.unread_problem = Some(error.to_string()),
                }
            }
        }
        Err(error) => known.for_each(|report| report.unread_problem = Some(error.to_string())),
    }
    reports
}

impl WebhookReport {
    /// The report without the figures about the part of the log that wasn't read yet, and the
    /// webhook's cursor. A damaged state is a report too, so that it doesn't hide other webhooks.
    fn without_unread(layout: &Layout, presence: &Presence, stored: Stored) -> (Self, Places) {
        let key = stored.key();
        let (mut queue, damage) = match Queue::read(layout, &key) {
            Ok(Some(queue)) => (queue, None),
            Ok(None) => (
                Queue::default(),
                Some("its state is gone, so its cursor is not known".to_owned()),
            ),
            Err(error) => (Queue::default(), Some(error.to_string())),
        };
        let is_damaged = damage.is_some();
        let unusable = || presence.problem(&key, stored.revision).map(str::to_owned);
        let problem = damage.or_else(unusable);
        let replay = last_replay(layout, stored.settings.name(), &queue);
        let summary = Self::summary(layout, &stored, &mut queue);
        let is_held_back = stored.paused || summary.status.gone || problem.is_some();
        let report = Self {
            waiting_deliveries: summary.waiting_deliveries,
            next_attempt: summary.next_attempt.filter(|_| !is_held_back),
            dead_letters: dead_letter::index(layout, &key)
                .ok()
                .map(|found| found.len()),
            oldest_waiting: summary.oldest_waiting,
            unread_since: None,
            unread_bytes: None,
            unread_problem: None,
            replay,
            status: summary.status,
            paused: stored.paused,
            declared: stored.declared,
            proxy_for_all: stored.proxy_for_all,
            webhook: stored.settings,
            is_damaged,
            problem,
        };
        (report, queue.cursor)
    }

    /// How the webhook is doing, by what was saved last: its summary or its queue.
    fn summary(layout: &Layout, stored: &Stored, queue: &mut Queue) -> Summary {
        // If that can't be read, the queue has the same, and may be older.
        let newer = Summary::of(layout, &stored.key()).ok().flatten();
        newer.unwrap_or_else(|| {
            let clock = queue.resume_clock(Arc::new(SystemClock::new()));
            Summary::new(queue, stored.settings.order, &clock)
        })
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The place where it is [declared](crate::webhook::Webhooks::declare), if it is: it can be
    /// changed and removed only there.
    pub fn declared_in(&self) -> Option<&str> {
        let declared = self.declared.as_ref();
        declared.map(|declared| declared.place.as_str())
    }

    /// `unusable`, `paused`, `gone`, `parked`, `failing` or `active`.
    pub fn state(&self) -> &'static str {
        match &self.status {
            _ if self.problem.is_some() => "unusable",
            _ if self.paused => "paused",
            status if status.gone => "gone",
            status if status.parked => "parked",
            status if status.failing_since.is_some() => "failing",
            _ => "active",
        }
    }

    /// The reason for the [state](Self::state), in a sentence; `None` while it is active or paused.
    pub fn reason(&self) -> Option<String> {
        let since = self.status.failing_since;
        let since = since.map_or_else(String::new, |since| format!(" since {since}"));
        match self.state() {
            "unusable" => self.problem.clone(),
            "gone" => Some("the receiver answered that it is gone (410)".to_owned()),
            "parked" => Some(format!(
                "every attempt has failed{since}, and it is only probed"
            )),
            "failing" => Some(format!("every attempt has failed{since}")),
            _ => None,
        }
    }

    /// For how long the oldest entry in a request has waited, in seconds; zero if nothing waits.
    pub fn lag_seconds(&self) -> f64 {
        seconds_since(self.oldest_waiting)
    }

    /// The delay of the webhook in seconds: the age of the oldest entry that waits in a
    /// request or in the log. `None` if it is not known what waits in the log.
    pub fn behind_seconds(&self) -> Option<f64> {
        self.unread_bytes?;
        Some(seconds_since(
            [self.oldest_waiting, self.unread_since]
                .into_iter()
                .flatten()
                .min(),
        ))
    }

    /// The report as answers and the program show it.
    pub(crate) fn shown(&self) -> Members {
        let mut shown = self.webhook.shown();
        let status = &self.status;
        let mut counts = members! {
            "delivered": status.delivered,
            "dead_lettered": status.dead_lettered,
            "failed_attempts": status.failed_attempts,
            "failures_in_a_row": status.failures_in_a_row,
        };
        for (name, time) in [
            ("last_attempt", status.last_attempt),
            ("last_delivered", status.last_delivered),
            ("failing_since", status.failing_since),
        ] {
            if let Some(time) = time {
                counts.add(name, &time);
            }
        }
        if let Some(failure) = &status.last_failure {
            counts.add("last_failure", failure);
        }
        if let Some(answer) = &status.last_answer {
            counts.add("last_answer", answer);
        }
        if let Some(proxy) = &self.proxy_for_all {
            shown.add("proxy_for_all", &shown_proxy(proxy));
        }
        shown.add("declared", &self.declared.is_some());
        if let Some(place) = self.declared_in() {
            shown.add("declared_in", place);
        }
        shown.add("state", self.state());
        if let Some(reason) = self.reason().filter(|_| !self.is_damaged) {
            shown.add("reason", &reason);
        }
        match &self.problem {
            // The reason names a file of the server's that nobody has set.
            Some(_) if self.is_damaged => shown.add(
                "problem",
                "its state can't be read: remove the webhook, add it again, and replay",
            ),
            Some(problem) => shown.add("problem", problem),
            None => {}
        }
        shown.add("status", &counts);
        shown.add("waiting_deliveries", &self.waiting_deliveries);
        shown.add("next_attempt", &self.next_attempt);
        shown.add("dead_letters", &self.dead_letters);
        if let Some(replay) = &self.replay {
            shown.add("replay", replay);
        }
        shown.add("oldest_waiting", &self.oldest_waiting);
        shown.add("lag_seconds", &self.lag_seconds());
        shown.add("unread_since", &self.unread_since);
        shown.add("unread_bytes", &self.unread_bytes);
        shown.add("behind_seconds", &self.behind_seconds());
        if self.unread_problem.is_some() {
            // The reason names a file of the server.
            shown.add(
                "unread_problem",
                "entries that wait for it in the log can't be read",
            );
        }
        shown
    }
}

/// The replay that is under way, or waits, or ended last.
fn last_replay(layout: &Layout, name: &str, queue: &Queue) -> Option<ReplayReport> {
    let begun = queue.progress.clone();
    if begun.as_ref().is_some_and(ReplayReport::is_under_way) {
        return begun;
    }
    // If that can't be read, the dispatcher reports it.
    let waiting = replay::waiting(layout, name, queue.replay).unwrap_or_default();
    let waiting = waiting.map(|number| ReplayReport::new(number, ReplayState::Waiting));
    waiting.or(begun)
}

fn seconds_since(time: Option<Timestamp>) -> f64 {
    let micros = time.map_or(0, |since| {
        let now = Timestamp::now().as_micros();
        now.saturating_sub(since.as_micros()).max(0)
    });
    (micros / 1000) as f64 / 1000.0
}

impl Serialize for WebhookReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}
