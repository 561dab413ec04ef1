//! What becomes of attempts: noted in the outbox, which says what is tried again and when; told
//! where it matters.

use std::time::Duration;

use tokio::task::JoinError;

use super::{Delivery, now};
use crate::{
    error::Result,
    forward::{
        Verdict,
        acks::Taken,
        attempt::{self, Attempt},
        blocking::panicked,
        history::DeliveryAttempt,
        subscription::DeliveryOrder,
    },
    query::Entry,
};

/// After so long with nothing but failures an endpoint is only probed.
const PARKED_AFTER: i64 = 5 * 24 * 3600 * 1_000_000;
/// What was taken and never acknowledged is sent again after this at the earliest.
const NEVER_ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// In strict order what failed for the last time of its schedule is tried again after this.
const LAST_RESORT: i64 = 24 * 3600 * 1_000_000;
/// That an endpoint fails is recorded so often at most, in microseconds.
const SAY_EVERY: i64 = 300 * 1_000_000;
/// What could not be read is tried again after this, in microseconds.
const READ_AGAIN: i64 = 5_000_000;
/// What waited for an endpoint goes within this time after it is back, in microseconds.
const SPREAD: u64 = 2_000_000;

/// An attempt that is over.
pub(super) struct Done {
    /// The parcel's key.
    pub(super) key: u64,
    /// The parcel was not due.
    pub(super) early: bool,
    pub(super) attempt: Attempt,
    /// What is told of it, if anything was sent.
    pub(super) told: Option<DeliveryAttempt>,
}

impl Delivery {
    /// Notes what became of an attempt.
    pub(super) fn finished(&mut self, done: std::result::Result<Done, JoinError>) -> Result<()> {
        // After a panic its parcel is still there and goes again when the delivery begins anew.
        let Done {
            key,
            early,
            attempt,
            told,
        } = done.map_err(|e| panicked("an attempt of a webhook", &e))?;
        let Some(at) = self
            .outbox
            .parcels
            .iter()
            .position(|parcel| parcel.key == key)
        else {
            return Ok(());
        };
        let now = now();
        let parcel = &mut self.outbox.parcels[at];
        (parcel.on_its_way, parcel.taken) = (false, false);
        let status = told.as_ref().and_then(|told| told.status);
        // Only that it failed, and not that the endpoint wants to be left alone.
        let failed = matches!(
            attempt,
            Attempt::Failed {
                verdict: Verdict::Retry { .. },
                retry_after: None
            } | Attempt::Unreadable(_)
        ) && !matches!(status, Some(429 | 502..=504));
        self.saves.failed |= failed;
        self.saves.unsaved |= !failed;
        // What is wrong with one request says nothing of others.
        let of_entries = matches!(status, Some(400 | 406 | 409 | 411 | 413 | 414 | 415 | 422));
        if let Some(told) = told {
            (
                self.outbox.status.last_attempt,
                self.outbox.status.last_answer,
            ) = (Some(now), Some(told.result.clone()));
            self.history.push(told);
        }
        match attempt {
            Attempt::Delivered => self.delivered(at, now),
            Attempt::Taken { ack } => {
                (parcel.on_its_way, parcel.taken) = (true, true);
                self.acks.add(key, early, ack);
            }
            Attempt::Rejected { count, message } => {
                self.delivered(at, now);
                self.tell.rejected(count, message);
            }
            Attempt::GivenUp { why, failed } => {
                self.given_up(at, &why);
                if failed {
                    self.outbox.status.failed_attempts += 1;
                    self.failing(now, None, false, of_entries);
                }
            }
            Attempt::Split(entries) => self.split(at, entries, now),
            Attempt::Unreadable(error) => {
                self.outbox.parcels[at].due = now + READ_AGAIN;
                self.outbox.status.last_answer = Some(error.to_string());
            }
            Attempt::Failed {
                verdict,
                retry_after,
            } => {
                self.outbox.status.failed_attempts += 1;
                let parcel = &mut self.outbox.parcels[at];
                if !early {
                    parcel.attempts += 1;
                    let after = match verdict {
                        Verdict::Retry { after, .. } => {
                            i64::try_from(after.as_micros()).unwrap_or(i64::MAX)
                        }
                        _ => LAST_RESORT,
                    };
                    parcel.due = now.saturating_add(after);
                }
                let alert = matches!(verdict, Verdict::Retry { alert: true, .. });
                self.failing(now, retry_after, alert, of_entries);
                if verdict == Verdict::Gone {
                    self.outbox.status.gone = true;
                    self.tell.gone(self.outbox.parcels.len());
                }
            }
        }
        Ok(())
    }

    /// What was acknowledged is delivered; what never was goes again.
    pub(super) fn answered(&mut self, (done, never): (Vec<Taken>, Vec<Taken>)) {
        for taken in done {
            let Some(parcel) = self
                .outbox
                .parcels
                .iter_mut()
                .find(|parcel| parcel.key == taken.key)
            else {
                continue;
            };
            parcel.taken = false;
            let (layout, key) = (self.layout.clone(), self.endpoint.key.clone());
            let noted = attempt::noted(
                layout,
                key,
                parcel.id.clone(),
                parcel.letter,
                Attempt::Delivered,
            );
            self.attempts.spawn(async move {
                Done {
                    key: taken.key,
                    early: taken.early,
                    attempt: noted.await,
                    told: None,
                }
            });
        }
        for taken in never {
            let told = "the receiver took it, and did not say that it has it";
            self.outbox.status.last_answer = Some(told.to_owned());
            let Some(at) = self
                .outbox
                .parcels
                .iter()
                .position(|parcel| parcel.key == taken.key)
            else {
                continue;
            };
            self.outbox.parcels[at].taken = false;
            let kept = taken.early || self.endpoint.order == DeliveryOrder::Strict;
            match self
                .endpoint
                .schedule
                .after(self.outbox.parcels[at].attempts + 1)
            {
                None if !kept => {
                    self.give_up(at, format!("all attempts failed; in the last {told}"))
                }
                after => {
                    let after = after.unwrap_or(NEVER_ACKNOWLEDGED).max(NEVER_ACKNOWLEDGED);
                    let attempt = Attempt::Failed {
                        verdict: Verdict::Retry {
                            after,
                            alert: false,
                        },
                        retry_after: None,
                    };
                    self.attempts.spawn(async move {
                        Done {
                            key: taken.key,
                            early: taken.early,
                            attempt,
                            told: None,
                        }
                    });
                }
            }
        }
    }

    fn delivered(&mut self, at: usize, now: i64) {
        let Some(parcel) = self.outbox.parcels.remove(at) else {
            return;
        };
        let status = &mut self.outbox.status;
        status.delivered += parcel.count as u64;
        status.failing_since = None;
        let was_parked = std::mem::take(&mut status.parked);
        if status.said_failing.take().is_some() || was_parked {
            self.tell.recovered();
        }
        if self.outbox.circuit.succeeded() {
            // Not all at the same moment, for an endpoint that has just come back.
            for waiting in self
                .outbox
                .parcels
                .iter_mut()
                .filter(|parcel| parcel.attempts > 0)
            {
                waiting.early = Some(now + fastrand::u64(..SPREAD) as i64);
            }
        }
    }

    fn failing(&mut self, now: i64, retry_after: Option<Duration>, alert: bool, of_entries: bool) {
        let status = &mut self.outbox.status;
        let told = status.last_answer.clone().unwrap_or_default();
        let since = *status.failing_since.get_or_insert(now);
        let parked = !status.parked && now.saturating_sub(since) >= PARKED_AFTER;
        status.parked |= parked;
        let opened = !of_entries
            && self
                .outbox
                .circuit
                .failed(now, retry_after, status.parked, fastrand::u32(..));
        if parked {
            self.tell.parked(&told);
        } else if (opened || alert)
            && self
                .outbox
                .status
                .said_failing
                .is_none_or(|said| !(said..said + SAY_EVERY).contains(&now))
        {
            self.outbox.status.said_failing = Some(now);
            self.tell.failing(&told);
        }
    }

    /// Notes that a parcel was put aside.
    fn given_up(&mut self, at: usize, why: &str) {
        let Some(parcel) = self.outbox.parcels.remove(at) else {
            return;
        };
        self.outbox.status.dead_lettered += parcel.count as u64;
        self.tell.dead(parcel.id, parcel.count, why);
    }

    fn split(&mut self, at: usize, entries: Vec<Entry>, now: i64) {
        let Some(parcel) = self.outbox.parcels.remove(at) else {
            return;
        };
        for (offset, mut half) in parcel
            .split(&self.endpoint.name, entries, now)
            .into_iter()
            .enumerate()
        {
            (half.key, half.save) = (self.next_key, self.saves.next());
            self.next_key += 1;
            self.outbox.parcels.insert(at + offset, half);
        }
        self.saves.soon = true;
    }
}
