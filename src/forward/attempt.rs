//! One attempt: entries become a request, the request an answer, and the answer what became of
//! them.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    Verdict,
    blocking::blocking,
    dead_letter::{self, At, DeadLetter},
    history::DeliveryAttempt,
    manage,
    outbox::{Parcel, parcel_id},
    send::{Sent, send},
    subscription::{DeliveryOrder, Prepared},
};
use crate::{
    entry::{OwnEntry, Severity},
    error::{Error, Result},
    log::AuditLog,
    query::{AuditReader, Entry, Place},
    store::layout::Layout,
};

/// What could not be written is written again after this.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
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
        why: String,
        /// The schedule is at its end: the endpoint fails, and not this alone.
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

/// An attempt to deliver a parcel, with all that it needs.
pub(super) struct Job {
    endpoint: Arc<Prepared>,
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
    pub(super) fn new(
        endpoint: Arc<Prepared>,
        source: Arc<str>,
        reader: AuditReader,
        layout: Layout,
        parcel: &mut Parcel,
        early: bool,
    ) -> Self {
        let content = match (parcel.fresh.take(), parcel.letter) {
            (Some(entries), _) => Content::Here(entries),
            (None, Some(at)) => Content::Letter(at),
            (None, None) if !parcel.entries.is_empty() => {
                Content::Placed(parcel.entries.clone(), parcel.ids.clone())
            }
            (None, None) => Content::LookedUp(parcel.ids.clone()),
        };
        let (id, number, letter) = (parcel.id.clone(), parcel.attempts + 1, parcel.letter);
        Self {
            endpoint,
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
    pub(super) async fn run(self) -> (Attempt, Option<DeliveryAttempt>) {
        let Self {
            endpoint,
            source,
            reader,
            layout,
            id,
            number,
            early,
            content,
            letter,
        } = self;
        let key = endpoint.key.clone();
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
            Err(error) => return (Attempt::Unreadable(error), None),
        };
        let (why, failed, told) = if missing > 0 {
            (
                format!("{missing} of its entries are no longer in the log"),
                false,
                None,
            )
        } else {
            let (answer, told) = send(&endpoint, &source, &id, &entries, number).await;
            let kept = early || endpoint.order == DeliveryOrder::Strict;
            // One entry that can't be encoded takes no other with it.
            if matches!(answer, Sent::Hopeless { .. }) && entries.len() > 1 {
                return (Attempt::Split(entries), told);
            }
            let (why, failed) = match answer {
                Sent::Refused { count, message } => {
                    return (
                        noted(
                            layout,
                            key,
                            id,
                            letter,
                            Attempt::Rejected { count, message },
                        )
                        .await,
                        told,
                    );
                }
                Sent::Judged(Verdict::Delivered, _) => {
                    return (
                        noted(layout, key, id, letter, Attempt::Delivered).await,
                        told,
                    );
                }
                Sent::Taken { ack } => return (Attempt::Taken { ack }, told),
                Sent::Judged(Verdict::Split, _) => return (Attempt::Split(entries), told),
                Sent::Judged(Verdict::Exhausted, retry_after) if kept => {
                    return (
                        Attempt::Failed {
                            verdict: Verdict::Exhausted,
                            retry_after,
                        },
                        told,
                    );
                }
                Sent::Judged(verdict @ (Verdict::Retry { .. } | Verdict::Gone), retry_after) => {
                    return (
                        Attempt::Failed {
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
                Sent::Judged(Verdict::DeadLetter { why }, _) | Sent::Hopeless { why } => {
                    (why, false)
                }
            };
            (why, failed, told)
        };
        if entries.is_empty() {
            // There is nothing to put aside, and nothing that a replay could send.
            return (Attempt::GivenUp { why, failed }, told);
        }
        let letter = DeadLetter::new(&endpoint.name, &id, number, &why, &entries);
        written("putting aside what could not be delivered", move || {
            letter.append(&layout, &key)
        })
        .await;
        (Attempt::GivenUp { why, failed }, told)
    }

    /// Puts it aside without trying it once more.
    pub(super) async fn give_up(self, why: String) -> Attempt {
        let Self {
            endpoint,
            reader,
            layout,
            id,
            number,
            content,
            ..
        } = self;
        let key = endpoint.key.clone();
        let found = {
            let (layout, key) = (layout.clone(), key.clone());
            blocking("reading what is given up", move || {
                read(&content, &reader, &layout, &key)
            })
            .await
        };
        let (entries, missing) = match found {
            Ok(found) => found,
            Err(error) => return Attempt::Unreadable(error),
        };
        let why = match missing {
            0 => why,
            _ => format!("{why}; {missing} of its entries are no longer in the log"),
        };
        if entries.is_empty() {
            // There is nothing to put aside, and nothing that a replay could send.
            return Attempt::GivenUp { why, failed: false };
        }
        let letter = DeadLetter::new(&endpoint.name, &id, number - 1, &why, &entries);
        written("putting aside what is given up", move || {
            letter.append(&layout, &key)
        })
        .await;
        Attempt::GivenUp { why, failed: false }
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

/// A success, after it was noted where the parcel was a dead letter.
pub(super) async fn noted(
    layout: Layout,
    key: String,
    id: String,
    letter: Option<At>,
    success: Attempt,
) -> Attempt {
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
    /// Sends one event to an endpoint, now and once, and tells what came of it: whether it can be
    /// reached, takes our key and our signature. The event is recorded first
    /// (`audit.subscription.tested`), and what is sent is its entry, whatever event types the
    /// subscription wants and also while it is paused. `None` if there is no such subscription.
    ///
    /// It must be called within a tokio runtime, and takes as long as the subscription's timeout at
    /// most.
    ///
    /// # Errors
    ///
    /// If the subscription can't be used, or the event can't be recorded.
    pub async fn test_subscription(&self, name: &str) -> Result<Option<DeliveryAttempt>> {
        let record = OwnEntry::new(
            "audit.subscription.tested",
            Severity::Info,
            "An event was sent to an endpoint, to see whether it arrives",
        );
        self.test_with(name, record).await
    }

    /// The same, with a record that says who wanted it.
    pub(crate) async fn test_with(
        &self,
        name: &str,
        record: OwnEntry,
    ) -> Result<Option<DeliveryAttempt>> {
        let (log, wanted) = (self.clone(), name.to_owned());
        let prepared = tokio::task::spawn_blocking(move || {
            let Some(subscription) = manage::find(log.layout(), &wanted)? else {
                return Ok(None);
            };
            let endpoint = subscription.prepare()?;
            let id = log
                .store()?
                .record_with_id(&record.detail("endpoint", wanted))?;
            let entry = AuditReader::open(log.dir())?.get(id)?;
            let entry = entry.ok_or_else(|| {
                Error::damaged(log.dir(), "an entry that was just written is not there")
            })?;
            Ok::<_, Error>(Some((endpoint, entry)))
        });
        let prepared = prepared.await.map_err(|e| {
            Error::damaged(
                self.dir(),
                format!("reading the subscription panicked: {e}"),
            )
        })?;
        let Some((endpoint, entry)) = prepared? else {
            return Ok(None);
        };
        let entries = [entry];
        let id = parcel_id(name, &entries);
        match send(&endpoint, self.stream().source(), &id, &entries, 1).await {
            (_, Some(told)) => Ok(Some(told)),
            (Sent::Hopeless { why }, None) => Err(Error::invalid("format", why)),
            (_, None) => Err(Error::damaged(self.dir(), "nothing was sent")),
        }
    }
}
