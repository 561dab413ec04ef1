//! The outcomes of attempts: noted in the queue, which decides what is tried again and when, and
//! recorded where it matters.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinError;

use super::{DeliveryTask, READ_AGAIN};
use crate::{
    entry::Timestamp,
    error::Result,
    query::RawEntry,
    webhook::{
        queue::{Delivery, LastFailure, attempts::Attempt, schedule::Verdict},
        run::{acks::Taken, attempt::AttemptOutcome, blocking::panicked},
        settings::DeliveryOrder,
    },
};

/// After so long with nothing but failures a webhook is only probed.
const PARKED_AFTER: i64 = 5 * 24 * 3600 * 1_000_000;
/// A delivery that was never acknowledged is sent again after this at the earliest.
const NEVER_ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// In strict order what failed for the last time of its schedule is tried again after this.
const LAST_RESORT: i64 = 24 * 3600 * 1_000_000;
/// The shortest time between two entries that say the webhook fails, in microseconds.
const SAY_EVERY: i64 = 300 * 1_000_000;
/// So many of the deliveries that were given up are remembered, for requests that come just then.
const MOST_GIVEN_UP: usize = 1000;
/// Deliveries that waited go within this time after the webhook is back, in microseconds.
const SPREAD: u64 = 2_000_000;

/// An attempt that is over.
pub(super) struct Done {
    /// The delivery's key.
    pub(super) key: u64,
    /// The delivery was not due.
    pub(super) early: bool,
    pub(super) attempt: AttemptOutcome,
    /// The attempt as administrators see it, if anything was sent.
    pub(super) told: Option<Attempt>,
}

impl DeliveryTask {
    /// Notes what became of an attempt.
    pub(super) fn finished(&mut self, done: std::result::Result<Done, JoinError>) -> Result<()> {
        // After a panic its delivery is still there and goes again when the delivery begins anew.
        let Done {
            key,
            early,
            attempt,
            told,
        } = done.map_err(|e| panicked("an attempt of a webhook", &e))?;
        let Some(at) = self.at(key) else {
            return Ok(());
        };
        let now = self.clock.now();
        let ended = Timestamp::now();
        let delivery = &mut self.queue.deliveries[at];
        (delivery.in_flight, delivery.taken) = (false, false);
        let status = told.as_ref().and_then(|told| told.status);
        // Only that it failed, and not that the webhook wants to be left alone.
        let failed = matches!(
            attempt,
            AttemptOutcome::Failed {
                verdict: Verdict::Retry { .. },
                retry_after: None
            } | AttemptOutcome::Unreadable(_)
        ) && !matches!(status, Some(429 | 502..=504));
        self.saves.failed |= failed;
        self.saves.unsaved |= !failed;
        // A problem with one request says nothing about others.
        let failure = told.as_ref().map(|told| LastFailure::new(ended, told));
        let of_entries = matches!(status, Some(400 | 406 | 409 | 411 | 413 | 414 | 415 | 422));
        if let Some(told) = told {
            (
                self.queue.status.last_attempt,
                self.queue.status.last_answer,
            ) = (Some(ended), Some(told.result.clone()));
            self.history_saves.changed(told.delivered);
            self.history.push(told, delivery.contents.clone());
        }
        match attempt {
            AttemptOutcome::Delivered => self.delivered(at, now),
            AttemptOutcome::Taken { ack } => {
                (delivery.in_flight, delivery.taken) = (true, true);
                self.acks.add(key, early, ack);
            }
            AttemptOutcome::Rejected {
                count,
                message,
                is_report,
            } => {
                if !is_report {
                    let id = delivery.id.clone();
                    self.reporter.rejected(id, count, &message);
                }
                self.delivered(at, now);
            }
            AttemptOutcome::GivenUp {
                reason,
                failed,
                is_report,
            } => {
                self.given_up(at, &reason, is_report);
                if failed {
                    self.queue.status.failed(failure);
                    self.failing(now, None, false, of_entries);
                }
            }
            AttemptOutcome::Split(entries) => self.split(at, entries),
            AttemptOutcome::Reduced {
                entries,
                missing,
                reason,
            } => self.reduce(at, entries, missing, &reason),
            AttemptOutcome::Unreadable(error) => {
                self.queue.deliveries[at].due = now + READ_AGAIN.as_micros() as i64;
                self.queue.status.last_answer = Some(error.to_string());
            }
            AttemptOutcome::Failed {
                verdict,
                retry_after,
            } => {
                self.queue.status.failed(failure);
                let delivery = &mut self.queue.deliveries[at];
                delivery.resend = false;
                if !early {
                    delivery.attempts += 1;
                    let after = match verdict {
                        Verdict::Retry { after, .. } => {
                            i64::try_from(after.as_micros()).unwrap_or(i64::MAX)
                        }
                        _ => LAST_RESORT,
                    };
                    delivery.due = now.saturating_add(after);
                }
                let alert = matches!(verdict, Verdict::Retry { alert: true, .. });
                self.failing(now, retry_after, alert, of_entries);
                if verdict == Verdict::Gone {
                    self.queue.status.gone = true;
                    self.reporter.gone(self.queue.deliveries.len());
                }
            }
        }
        Ok(())
    }

    /// Acknowledged deliveries are delivered; those that never were acknowledged go again.
    pub(super) fn answered(&mut self, (done, never): (Vec<Taken>, Vec<Taken>)) {
        for taken in done {
            let Some(at) = self.at(taken.key) else {
                continue;
            };
            let delivery = &mut self.queue.deliveries[at];
            delivery.taken = false;
            let (id, dead) = (delivery.id.clone(), delivery.dead);
            let webhook = Arc::clone(&self.webhook);
            self.spawn(taken.key, taken.early, async move {
                webhook.noted(&id, dead).await;
                (AttemptOutcome::Delivered, None)
            });
        }
        for taken in never {
            let told = "the receiver accepted it, but never acknowledged it";
            self.queue.status.last_answer = Some(told.to_owned());
            let Some(at) = self.at(taken.key) else {
                continue;
            };
            let delivery = &mut self.queue.deliveries[at];
            delivery.taken = false;
            let kept = taken.early || self.webhook.order == DeliveryOrder::Strict;
            match self.webhook.schedule.after(delivery.attempts + 1) {
                None if !kept => {
                    self.give_up(at, format!("all attempts failed, the last with: {told}"))
                }
                after => {
                    let after = after.unwrap_or_default().max(NEVER_ACKNOWLEDGED);
                    let alert = false;
                    let attempt = AttemptOutcome::Failed {
                        verdict: Verdict::Retry { after, alert },
                        retry_after: None,
                    };
                    self.spawn(taken.key, taken.early, async { (attempt, None) });
                }
            }
        }
    }

    /// Where the delivery of this key is, if it is still there.
    fn at(&self, key: u64) -> Option<usize> {
        let mut deliveries = self.queue.deliveries.iter();
        deliveries.position(|delivery| delivery.key == key)
    }

    fn delivered(&mut self, at: usize, now: i64) {
        let Some(delivery) = self.queue.deliveries.remove(at) else {
            return;
        };
        let status = &mut self.queue.status;
        status.delivered += delivery.count as u64;
        status.failing_since = None;
        self.queue.first_failure = None;
        status.failures_in_a_row = 0;
        status.last_delivered = Some(Timestamp::now());
        let was_parked = std::mem::take(&mut status.parked);
        if status.reported_failing.take().is_some() || was_parked {
            self.reporter.recovered();
        }
        self.settled(&delivery, true);
        if self.queue.circuit.succeeded() {
            // Not all at the same moment, for a webhook that has just come back.
            for waiting in self
                .queue
                .deliveries
                .iter_mut()
                .filter(|delivery| delivery.attempts > 0)
            {
                waiting.early = Some(now + fastrand::u64(..SPREAD) as i64);
            }
        }
    }

    pub(super) fn failing(
        &mut self,
        now: i64,
        retry_after: Option<Duration>,
        alert: bool,
        of_entries: bool,
    ) {
        let status = &mut self.queue.status;
        let told = status.last_answer.clone().unwrap_or_default();
        status.failing_since.get_or_insert_with(Timestamp::now);
        let since = *self.queue.first_failure.get_or_insert(now);
        let parked = !status.parked && now.saturating_sub(since) >= PARKED_AFTER;
        status.parked |= parked;
        let opened = !of_entries
            && self
                .queue
                .circuit
                .failed(now, retry_after, status.parked, fastrand::u32(..));
        if parked {
            self.reporter.parked(&told);
        } else if (opened || alert)
            && self
                .queue
                .status
                .reported_failing
                .is_none_or(|said| now >= said + SAY_EVERY)
        {
            self.queue.status.reported_failing = Some(now);
            self.reporter.failing(&told);
        }
    }

    /// Notes that a delivery was given up, and has it recorded unless the delivery is itself a
    /// report on another one.
    fn given_up(&mut self, at: usize, reason: &str, is_report: bool) {
        let Some(delivery) = self.queue.deliveries.remove(at) else {
            return;
        };
        self.queue.status.dead_lettered += delivery.count as u64;
        self.settled(&delivery, false);
        if !is_report {
            let id = delivery.id.clone();
            self.reporter.dead(id, delivery.count, reason);
        }
        self.given_up.push_front(delivery.id.clone());
        self.given_up.truncate(MOST_GIVEN_UP);
        if delivery.resend {
            self.resend(Delivery::again(delivery.id, delivery.contents, true));
        }
    }

    fn split(&mut self, at: usize, entries: Vec<RawEntry>) {
        let Some(delivery) = self.queue.deliveries.remove(at) else {
            return;
        };
        let (replay, skipped) = (delivery.replay, delivery.skipped);
        let halves = delivery.split(&self.webhook.name, entries);
        for (offset, (half, entries)) in halves.into_iter().enumerate() {
            let mut half = Delivery {
                replay,
                skipped,
                save: self.saves.next(),
                ..half
            };
            if self.webhook.batch.is_some() {
                half.line = half.line_of(&self.webhook.format_digest, &entries);
                self.note_batch(&mut half);
            }
            self.enter(at + offset, half);
        }
        self.saves.soon = true;
    }

    /// Replaces a delivery by the entries that the log still has, under an id of their own.
    fn reduce(&mut self, at: usize, entries: Vec<RawEntry>, missing: usize, reason: &str) {
        let Some(mut delivery) = self.queue.deliveries.remove(at) else {
            return;
        };
        let (rest, _) = Delivery::looked_up(&self.webhook.name, entries);
        let rest = Delivery {
            replay: delivery.replay,
            skipped: delivery.skipped,
            save: self.saves.next(),
            ..rest
        };
        self.enter(at, rest);
        self.queue.status.dead_lettered += missing as u64;
        delivery.count = missing;
        self.settled(&delivery, false);
        self.reporter.dead(delivery.id, missing, reason);
        self.saves.soon = true;
    }
}
