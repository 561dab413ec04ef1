//! One attempt: entries become a request, the request an answer, and the answer what became of
//! them.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    entry::OwnEntry,
    error::{Error, Result},
    log::AuditLog,
    query::{AuditReader, Entry, Place},
    store::layout::Layout,
    webhook::{
        queue::{
            Delivery,
            attempts::Attempt,
            dead_letter::{self, At, DeadLetter},
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
    },
    /// It is put aside.
    GivenUp {
        reason: String,
        /// The schedule is at its end: the webhook fails, and not this alone.
        failed: bool,
    },
    /// Its halves are to be sent: these are its entries.
    Split(Vec<Entry>),
    /// `Retry`, `Gone`, or `Exhausted` where nothing is given up for that.
    Failed {
        verdict: Verdict,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What is to be sent could not be read; it is tried again.
    Unreadable(Error),
}

/// An attempt to deliver a delivery, with all that it needs.
pub(in crate::webhook) struct Job {
    webhook: Arc<Prepared>,
    source: Arc<str>,
    reader: AuditReader,
    layout: Layout,
    id: String,
    number: u32,
    /// It is not due: nothing is given up for its failure.
    early: bool,
    content: Content,
    letter: Option<At>,
}

/// Where the entries are.
enum Content {
    Here(Vec<Entry>),
    /// And their ids: a file that someone removed is written again under another name.
    Placed(Vec<Place>, Vec<Uuid>),
    LookedUp(Vec<Uuid>),
    Letter(At),
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
        let content = match (delivery.fresh.take(), delivery.letter) {
            (Some(entries), _) => Content::Here(entries),
            (None, Some(at)) => Content::Letter(at),
            (None, None) if !delivery.entries.is_empty() => {
                Content::Placed(delivery.entries.clone(), delivery.ids.clone())
            }
            (None, None) => Content::LookedUp(delivery.ids.clone()),
        };
        let (id, number, letter) = (delivery.id.clone(), delivery.attempts + 1, delivery.letter);
        Self {
            webhook,
            source,
            reader,
            layout,
            id,
            number,
            early,
            content,
            letter,
        }
    }

    /// Also gives what is told of the attempt, if anything was sent.
    pub(in crate::webhook) async fn run(self) -> (AttemptOutcome, Option<Attempt>) {
        let Self {
            webhook,
            source,
            reader,
            layout,
            id,
            number,
            early,
            content,
            letter,
        } = self;
        let key = webhook.key.clone();
        let found = match content {
            Content::Here(entries) => Ok((entries, 0)),
            content => {
                let (layout, key) = (layout.clone(), key.clone());
                blocking("reading what is to be sent", move || {
                    read(&content, &reader, &layout, &key)
                })
                .await
            }
        };
        let (entries, missing) = match found {
            Ok(found) => found,
            Err(error) => return (AttemptOutcome::Unreadable(error), None),
        };
        let (reason, failed, told) = if missing > 0 {
            (
                format!("{missing} of its entries are no longer in the log"),
                false,
                None,
            )
        } else {
            let (answer, told) = send(&webhook, &source, &id, &entries, number).await;
            let kept = early || webhook.order == DeliveryOrder::Strict;
            // One entry that can't be encoded takes no other with it.
            if matches!(answer, Sent::Hopeless { .. }) && entries.len() > 1 {
                return (AttemptOutcome::Split(entries), told);
            }
            let (reason, failed) = match answer {
                Sent::Refused { count, message } => {
                    return (
                        noted(
                            layout,
                            key,
                            id,
                            letter,
                            AttemptOutcome::Rejected { count, message },
                        )
                        .await,
                        told,
                    );
                }
                Sent::Judged(Verdict::Delivered, _) => {
                    return (
                        noted(layout, key, id, letter, AttemptOutcome::Delivered).await,
                        told,
                    );
                }
                Sent::Taken { ack } => return (AttemptOutcome::Taken { ack }, told),
                Sent::Judged(Verdict::Split, _) => return (AttemptOutcome::Split(entries), told),
                Sent::Judged(Verdict::Exhausted, retry_after) if kept => {
                    return (
                        AttemptOutcome::Failed {
                            verdict: Verdict::Exhausted,
                            retry_after,
                        },
                        told,
                    );
                }
                Sent::Judged(verdict @ (Verdict::Retry { .. } | Verdict::Gone), retry_after) => {
                    return (
                        AttemptOutcome::Failed {
                            verdict,
                            retry_after,
                        },
                        told,
                    );
                }
                Sent::Judged(Verdict::Exhausted, _) => {
                    let last = told
                        .as_ref()
                        .map(|told| told.result.as_str())
                        .unwrap_or_default();
                    (format!("all attempts failed, the last with: {last}"), true)
                }
                Sent::Judged(Verdict::DeadLetter { reason }, _) | Sent::Hopeless { reason } => {
                    (reason, false)
                }
            };
            (reason, failed, told)
        };
        if entries.is_empty() {
            // There is nothing to put aside, and nothing that a replay could send.
            return (AttemptOutcome::GivenUp { reason, failed }, told);
        }
        let letter = DeadLetter::new(&webhook.name, &id, number, &reason, &entries);
        written("putting aside what could not be delivered", move || {
            letter.append(&layout, &key)
        })
        .await;
        (AttemptOutcome::GivenUp { reason, failed }, told)
    }

    /// Puts it aside without trying it once more.
    pub(in crate::webhook) async fn give_up(self, reason: String) -> AttemptOutcome {
        let Self {
            webhook,
            reader,
            layout,
            id,
            number,
            content,
            ..
        } = self;
        let key = webhook.key.clone();
        let found = {
            let (layout, key) = (layout.clone(), key.clone());
            blocking("reading what is given up", move || {
                read(&content, &reader, &layout, &key)
            })
            .await
        };
        let (entries, missing) = match found {
            Ok(found) => found,
            Err(error) => return AttemptOutcome::Unreadable(error),
        };
        let reason = match missing {
            0 => reason,
            _ => format!("{reason}; {missing} of its entries are no longer in the log"),
        };
        if entries.is_empty() {
            // There is nothing to put aside, and nothing that a replay could send.
            return AttemptOutcome::GivenUp {
                reason,
                failed: false,
            };
        }
        let letter = DeadLetter::new(&webhook.name, &id, number - 1, &reason, &entries);
        written("putting aside what is given up", move || {
            letter.append(&layout, &key)
        })
        .await;
        AttemptOutcome::GivenUp {
            reason,
            failed: false,
        }
    }
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

/// The entries that are there, and how many are not.
fn read(
    content: &Content,
    reader: &AuditReader,
    layout: &Layout,
    key: &str,
) -> Result<(Vec<Entry>, usize)> {
    let found: Vec<Option<Entry>> = match content {
        Content::Here(entries) => return Ok((entries.clone(), 0)),
        Content::Letter(at) => {
            return match dead_letter::read(layout, key, *at) {
                Ok(Some(letter)) => Ok((letter.entries, 0)),
                // It was pruned, or someone changed it.
                Ok(None) | Err(Error::Damaged { .. }) => Ok((Vec::new(), 1)),
                Err(error) => Err(error),
            };
        }
        Content::Placed(places, ids) if places.len() == ids.len() => places
            .iter()
            .zip(ids)
            .map(|(place, id)| placed(reader, place, *id))
            .collect::<Result<_>>()?,
        Content::Placed(places, _) => places
            .iter()
            .map(|place| reader.at(place))
            .collect::<Result<_>>()?,
        Content::LookedUp(ids) => ids
            .iter()
            .map(|id| reader.get(*id))
            .collect::<Result<_>>()?,
    };
    let missing = found.iter().filter(|entry| entry.is_none()).count();
    Ok((found.into_iter().flatten().collect(), missing))
}

/// The entry with this id, at its place or wherever it is now.
fn placed(reader: &AuditReader, place: &Place, id: Uuid) -> Result<Option<Entry>> {
    let there = match reader.at(place) {
        Err(Error::Damaged { .. }) => None,
        there => there?.filter(|entry| Uuid::try_parse(entry.id()) == Ok(id)),
    };
    match there {
        None => reader.get(id),
        there => Ok(there),
    }
}

/// A success, after it was noted where the delivery was a dead letter.
pub(in crate::webhook) async fn noted(
    layout: Layout,
    key: String,
    id: String,
    letter: Option<At>,
    success: AttemptOutcome,
) -> AttemptOutcome {
    if letter.is_none() {
        return success;
    }
    written("noting a delivery", move || {
        dead_letter::delivered(&layout, &key, &id)
    })
    .await;
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
        match send(&webhook, self.stream().source(), &id, &entries, 1).await {
            (_, Some(told)) => Ok(Some(told)),
            (Sent::Hopeless { reason }, None) => Err(Error::invalid("format", reason)),
            (_, None) => Err(Error::damaged(self.dir(), "nothing was sent")),
        }
    }
}
