//! One attempt: entries become a request, the request gets an answer, and the answer decides the
//! outcome.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{Error, Result},
    query::RawEntry,
    webhook::{
        queue::{
            attempts::Attempt,
            body::{self, Body},
            contents::Contents,
            dead_letter::Kept,
            memory::Held,
            schedule::Verdict,
        },
        run::{
            blocking::blocking,
            send::{Sent, send},
            served::Served,
        },
        settings::DeliveryOrder,
    },
};

/// The outcome of an attempt.
#[derive(Debug)]
pub(in crate::webhook) enum AttemptOutcome {
    Delivered,
    /// The receiver took it. It is delivered when the receiver acknowledges this number.
    Taken {
        ack: u64,
    },
    /// The receiver took it, but refused so many of its entries for good.
    Rejected {
        count: u64,
        message: String,
        /// Its entries only report on deliveries.
        is_report: bool,
    },
    /// It is a dead letter now.
    GivenUp {
        reason: String,
        /// The schedule is at its end, so the webhook counts as failing, and not this delivery
        /// alone.
        failed: bool,
        /// Its entries only report on deliveries.
        is_report: bool,
    },
    /// Its halves are to be sent by themselves: these are its entries.
    Split(Vec<RawEntry>),
    /// The log no longer has so many of its entries, which are a dead letter. The others are to be
    /// sent by themselves.
    Reduced {
        entries: Vec<RawEntry>,
        missing: usize,
        reason: String,
    },
    /// It failed and is not given up: `Retry`, `Gone`, or `Exhausted` if the order is strict or the
    /// attempt was early.
    Failed {
        verdict: Verdict,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Its entries could not be read; it is tried again.
    Unreadable(Error),
}

/// An attempt of a delivery, with all that it needs.
pub(in crate::webhook) struct Job {
    pub(super) webhook: Arc<Served>,
    pub(super) id: String,
    pub(super) number: u32,
    /// Whether the attempt is made before it is due: then nothing is given up for its failure.
    pub(super) early: bool,
    /// The body, if it is made already; otherwise the memory that it is expected to take.
    pub(super) body: Option<Body>,
    pub(super) held: Option<Held>,
    pub(super) contents: Contents,
    /// Whether the delivery is a dead letter that is replayed.
    pub(super) dead: bool,
}

/// The body that was made of the entries, or why there is none.
enum Made {
    Body(Body),
    /// The format can't have them, for this reason.
    Unencodable(Vec<RawEntry>, String),
    /// So many entries are no longer in the log; the others are these.
    Missing(usize, Vec<RawEntry>),
}

impl Job {
    /// Also returns the attempt as administrators see it, if anything was sent.
    pub(in crate::webhook) async fn run(mut self) -> (AttemptOutcome, Option<Attempt>) {
        let made = match self.body.take() {
            Some(body) => Ok(Made::Body(body)),
            None => self.make().await,
        };
        let body = match made {
            Ok(Made::Body(body)) => body,
            Ok(Made::Unencodable(entries, _)) if entries.len() > 1 => {
                // One entry that can't be encoded takes no other with it.
                return (AttemptOutcome::Split(entries), None);
            }
            Ok(Made::Unencodable(entries, reason)) => {
                return (self.bury(self.number, reason, &entries, false).await, None);
            }
            Ok(Made::Missing(missing, entries)) => {
                return (self.without_missing(missing, entries).await, None);
            }
            Err(error) => return (AttemptOutcome::Unreadable(error), None),
        };
        let (count, is_report) = (body.entries, body.is_report);
        match send(&self.webhook, &self.id, body, self.number).await {
            Ok(sent) => {
                let shown = sent.attempt.clone();
                (self.judge(sent, is_report).await, Some(shown))
            }
            Err(_) if count > 1 => (self.split().await, None),
            Err(reason) => (self.give_up_after(self.number, reason, false).await, None),
        }
    }

    async fn judge(self, sent: Sent, is_report: bool) -> AttemptOutcome {
        let kept = self.early || self.webhook.order == DeliveryOrder::Strict;
        match sent.verdict {
            Verdict::Split => self.split().await,
            Verdict::Rejected { count, message } => {
                self.webhook.noted(&self.id, self.dead).await;
                AttemptOutcome::Rejected {
                    count,
                    message,
                    is_report,
                }
            }
            Verdict::Delivered => {
                self.webhook.noted(&self.id, self.dead).await;
                AttemptOutcome::Delivered
            }
            Verdict::Taken { ack } => AttemptOutcome::Taken { ack },
            Verdict::Exhausted if !kept => {
                let last = sent.attempt.result;
                let reason = format!("all attempts failed, the last with: {last}");
                self.give_up_after(self.number, reason, true).await
            }
            Verdict::DeadLetter { reason } => self.give_up_after(self.number, reason, false).await,
            mut verdict @ (Verdict::Retry { .. } | Verdict::Gone | Verdict::Exhausted) => {
                if let Verdict::Retry { alert, .. } = &mut verdict {
                    *alert &= !is_report;
                }
                AttemptOutcome::Failed {
                    verdict,
                    retry_after: sent.retry_after,
                }
            }
        }
    }

    /// Gives the delivery up without another attempt.
    pub(in crate::webhook) async fn give_up(self, reason: String) -> AttemptOutcome {
        self.give_up_after(self.number - 1, reason, false).await
    }

    async fn give_up_after(&self, attempts: u32, reason: String, failed: bool) -> AttemptOutcome {
        let (entries, missing) = match self.entries().await {
            Ok(found) => found,
            Err(error) => return AttemptOutcome::Unreadable(error),
        };
        let reason = match missing {
            0 => reason,
            _ => format!("{reason}; {missing} of its entries are no longer in the log"),
        };
        self.bury(attempts, reason, &entries, failed).await
    }

    async fn split(&self) -> AttemptOutcome {
        match self.entries().await {
            Ok((entries, 0)) => AttemptOutcome::Split(entries),
            Ok((entries, missing)) => self.without_missing(missing, entries).await,
            Err(error) => AttemptOutcome::Unreadable(error),
        }
    }

    /// Gives up the entries that the log no longer has; these are the others.
    async fn without_missing(&self, missing: usize, entries: Vec<RawEntry>) -> AttemptOutcome {
        let reason = format!("{missing} of its entries are no longer in the log");
        let given_up = (self.bury(self.number, reason.clone(), &entries, false)).await;
        if entries.is_empty() {
            return given_up;
        }
        AttemptOutcome::Reduced {
            entries,
            missing,
            reason,
        }
    }

    /// The entries that are there, and how many are not.
    async fn entries(&self) -> Result<(Vec<RawEntry>, usize)> {
        let contents = self.contents.clone();
        let webhook = Arc::clone(&self.webhook);
        let turn = webhook.share.reading().await;
        blocking("reading what is to be sent", move || {
            let _turn = turn;
            contents.read(&webhook.reader)
        })
        .await
    }

    /// Makes the body from the log's entries.
    async fn make(&mut self) -> Result<Made> {
        let mut held = self.held.take();
        if let Some(held) = &mut held {
            held.wait_if_long().await;
        }
        let contents = self.contents.clone();
        let webhook = Arc::clone(&self.webhook);
        let id = self.id.clone();
        let turn = webhook.share.reading().await;
        let made = blocking("making what is to be sent", move || {
            let _turn = turn;
            let (entries, missing) = contents.read(&webhook.reader)?;
            if missing > 0 {
                return Ok(Made::Missing(missing, entries));
            }
            Ok(match Body::of(&webhook, &webhook.source, &id, &entries) {
                Ok(body) => {
                    webhook.share.saw(body::lines(&entries), body.len());
                    Made::Body(body)
                }
                Err(reason) => Made::Unencodable(entries, reason),
            })
        });
        let mut made = made.await?;
        if let (Made::Body(body), Some(mut held)) = (&mut made, held) {
            held.resize(body.len());
            held.wait_if_long().await;
            body.held = Some(held);
        }
        Ok(made)
    }

    /// Keeps it as a dead letter.
    async fn bury(
        &self,
        attempts: u32,
        reason: String,
        entries: &[RawEntry],
        failed: bool,
    ) -> AttemptOutcome {
        // An older version kept entries elsewhere. If those are gone, there is nothing to keep.
        if !self.contents.is_empty() {
            let letter = Kept::new(
                &self.webhook.name,
                &self.id,
                attempts,
                &reason,
                self.contents.clone(),
                entries,
            );
            self.webhook.keep(letter).await;
        }
        AttemptOutcome::GivenUp {
            reason,
            failed,
            is_report: body::is_report(entries),
        }
    }
}
