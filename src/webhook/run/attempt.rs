//! One attempt: entries become a request, the request an answer, and the answer what became of
//! them.

use std::{sync::Arc, time::Duration};

use crate::{
    entry::OwnEntry,
    error::{Error, Result},
    log::AuditLog,
    query::{AuditReader, RawEntry},
    store::layout::Layout,
    webhook::{
        queue::{
            Delivery,
            attempts::Attempt,
            contents::Contents,
            dead_letter::{self, Kept},
            delivery_id,
            schedule::Verdict,
        },
        run::{
            blocking::blocking,
            send::{Sent, send},
        },
        settings::{DeliveryOrder, Prepared, stored},
    },
};

/// What could not be written is written again after this.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// What became of an attempt.
#[derive(Debug)]
pub(in crate::webhook) enum AttemptOutcome {
    Delivered,
    /// It was taken, and is delivered when that is acknowledged under this number.
    Taken {
        ack: u64,
    },
    /// It was taken, but so many entries of it were refused for good.
    Rejected {
        count: u64,
        message: String,
        /// Its entries only report on deliveries.
        is_report: bool,
    },
    /// It is a dead letter now.
    GivenUp {
        reason: String,
        /// The schedule is at its end: the webhook fails, and not this alone.
        failed: bool,
        /// Its entries only report on deliveries.
        is_report: bool,
    },
    /// Its halves are to be sent: these are its entries.
    Split(Vec<RawEntry>),
    /// `Retry`, `Gone`, or `Exhausted` where nothing is given up for that.
    Failed {
        verdict: Verdict,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What is to be sent could not be read; it is tried again.
    Unreadable(Error),
}

/// An attempt of a delivery, with all that it needs.
pub(in crate::webhook) struct Job {
    webhook: Arc<Prepared>,
    source: Arc<str>,
    reader: AuditReader,
    layout: Layout,
    id: String,
    number: u32,
    /// It is not due: nothing is given up for its failure.
    early: bool,
    /// The entries, if they are at hand.
    fresh: Option<Vec<RawEntry>>,
    contents: Contents,
    /// It is a dead letter that is replayed.
    dead: bool,
}

impl Job {
    pub(in crate::webhook) fn new(
        webhook: Arc<Prepared>,
        source: Arc<str>,
        reader: AuditReader,
        layout: Layout,
        delivery: &mut Delivery,
        early: bool,
    ) -> Self {
        Self {
            webhook,
            source,
            reader,
            layout,
            id: delivery.id.clone(),
            number: delivery.attempts + 1,
            early,
            fresh: delivery.fresh.take(),
            contents: delivery.contents.clone(),
            dead: delivery.dead,
        }
    }

    /// Also gives what is shown of the attempt, if anything was sent.
    pub(in crate::webhook) async fn run(mut self) -> (AttemptOutcome, Option<Attempt>) {
        let (entries, missing) = match self.entries().await {
            Ok(found) => found,
            Err(error) => return (AttemptOutcome::Unreadable(error), None),
        };
        if missing > 0 {
            let reason = format!("{missing} of its entries are no longer in the log");
            return (self.bury(self.number, reason, &entries, false).await, None);
        }
        let sent = send(&self.webhook, &self.source, &self.id, &entries, self.number).await;
        let shown = sent.attempt.clone();
        (self.judge(sent, entries).await, shown)
    }

    async fn judge(self, sent: Sent, entries: Vec<RawEntry>) -> AttemptOutcome {
        let kept = self.early || self.webhook.order == DeliveryOrder::Strict;
        match sent.verdict {
            // One entry that can't be encoded takes no other with it.
            Verdict::Unencodable { .. } if entries.len() > 1 => AttemptOutcome::Split(entries),
            Verdict::Split => AttemptOutcome::Split(entries),
            Verdict::Rejected { count, message } => {
                let rejected = AttemptOutcome::Rejected {
                    count,
                    message,
                    is_report: is_report(&entries),
                };
                self.noted(rejected).await
            }
            Verdict::Delivered => self.noted(AttemptOutcome::Delivered).await,
            Verdict::Taken { ack } => AttemptOutcome::Taken { ack },
            Verdict::Exhausted if !kept => {
                let last = sent.attempt.map(|shown| shown.result).unwrap_or_default();
                let reason = format!("all attempts failed, the last with: {last}");
                self.bury(self.number, reason, &entries, true).await
            }
            Verdict::DeadLetter { reason } | Verdict::Unencodable { reason } => {
                self.bury(self.number, reason, &entries, false).await
            }
            Verdict::Retry { after, alert } => AttemptOutcome::Failed {
                verdict: Verdict::Retry {
                    after,
                    alert: alert && !is_report(&entries),
                },
                retry_after: sent.retry_after,
            },
            verdict @ (Verdict::Gone | Verdict::Exhausted) => AttemptOutcome::Failed {
                verdict,
                retry_after: sent.retry_after,
            },
        }
    }

    /// Gives it up without another attempt.
    pub(in crate::webhook) async fn give_up(mut self, reason: String) -> AttemptOutcome {
        let (entries, missing) = match self.entries().await {
            Ok(found) => found,
            Err(error) => return AttemptOutcome::Unreadable(error),
        };
        let reason = match missing {
            0 => reason,
            _ => format!("{reason}; {missing} of its entries are no longer in the log"),
        };
        self.bury(self.number - 1, reason, &entries, false).await
    }

    /// The entries that are there, and how many are not.
    async fn entries(&mut self) -> Result<(Vec<RawEntry>, usize)> {
        if let Some(entries) = self.fresh.take() {
            return Ok((entries, 0));
        }
        let (contents, reader) = (self.contents.clone(), self.reader.clone());
        blocking("reading what is to be sent", move || contents.read(&reader)).await
    }

    /// Keeps it as a dead letter.
    async fn bury(
        &self,
        attempts: u32,
        reason: String,
        entries: &[RawEntry],
        failed: bool,
    ) -> AttemptOutcome {
        // Of one that an older version kept elsewhere, and that is gone, there is nothing to keep.
        if !self.contents.is_empty() {
            let letter = Kept::new(
                &self.webhook.name,
                &self.id,
                attempts,
                &reason,
                self.contents.clone(),
                entries,
            );
            let (layout, key) = (self.layout.clone(), self.webhook.key.clone());
            written("keeping a dead letter", move || {
                letter.append(&layout, &key)
            })
            .await;
        }
        AttemptOutcome::GivenUp {
            reason,
            failed,
            is_report: is_report(entries),
        }
    }

    async fn noted(self, success: AttemptOutcome) -> AttemptOutcome {
        noted(self.layout, &self.webhook.key, &self.id, self.dead, success).await
    }
}

/// Whether these entries only report on deliveries, `audit.delivery.*`. That such a delivery is
/// given up or rejected is not recorded: if two webhooks got each other's reports and both failed,
/// each report would make the next one, for ever.
fn is_report(entries: &[RawEntry]) -> bool {
    let is_report = |entry: &RawEntry| entry.event_type().starts_with("audit.delivery.");
    // Of a delivery whose entries are gone it isn't known, so that is recorded.
    !entries.is_empty() && entries.iter().all(is_report)
}

/// Tries until it is written: nothing is sent again because a disk is full.
async fn written(what: &'static str, write: impl Fn() -> Result<()> + Send + Sync + 'static) {
    let write = Arc::new(write);
    loop {
        let now = Arc::clone(&write);
        match blocking(what, move || now()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(target: "tracing_audit", "{what} is tried again: {error}"),
        }
        tokio::time::sleep(WRITE_AGAIN).await;
    }
}

/// A success, after it was noted if the delivery was a dead letter.
pub(in crate::webhook) async fn noted(
    layout: Layout,
    key: &str,
    id: &str,
    dead: bool,
    success: AttemptOutcome,
) -> AttemptOutcome {
    if dead {
        let (key, id) = (key.to_owned(), id.to_owned());
        written("noting a delivery", move || {
            dead_letter::delivered(&layout, &key, &id)
        })
        .await;
    }
    success
}

impl AuditLog {
    /// Sends one event to a webhook, now and once: the entry of this record, which is recorded
    /// first. `None` if there is no such webhook.
    pub(in crate::webhook) async fn test_webhook(
        &self,
        name: &str,
        record: OwnEntry,
    ) -> Result<Option<Attempt>> {
        let (log, wanted) = (self.clone(), name.to_owned());
        let prepared = tokio::task::spawn_blocking(move || {
            let Some(webhook) = stored::find(log.layout(), &wanted)? else {
                return Ok(None);
            };
            let webhook = webhook.prepare()?;
            let id = log.store()?.record_with_id(&record)?;
            let entry = AuditReader::open(log.dir())?.get(id)?;
            let entry = entry.ok_or_else(|| {
                Error::damaged(log.dir(), "an entry that was just written is not there")
            })?;
            Ok::<_, Error>(Some((webhook, entry)))
        });
        let prepared = prepared.await.map_err(|e| {
            Error::damaged(self.dir(), format!("reading the webhook panicked: {e}"))
        })?;
        let Some((webhook, entry)) = prepared? else {
            return Ok(None);
        };
        let entries = [entry];
        let id = delivery_id(name, &entries);
        let sent = send(&webhook, self.stream().source(), &id, &entries, 1).await;
        match (sent.attempt, sent.verdict) {
            (Some(told), _) => Ok(Some(told)),
            (None, Verdict::Unencodable { reason }) => Err(Error::invalid("format", reason)),
            (None, _) => Err(Error::damaged(self.dir(), "nothing was sent")),
        }
    }
}
