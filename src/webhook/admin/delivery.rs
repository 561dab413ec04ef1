//! One delivery, as an administrator is shown it: its state, its attempts, and the request that
//! carries it, made anew from the log and without secrets.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    entry::{StreamId, Timestamp},
    error::{Error, Result},
    query::{AuditReader, RawEntry},
    store::layout::Layout,
    webhook::{
        format::Batch,
        queue::{
            Delivery, Queue,
            attempts::{self, Attempt},
            contents::Contents,
            dead_letter,
        },
        run::presence::Presence,
        settings::{
            Webhook,
            stored::{self, Stored},
        },
    },
};

/// A delivery that has arrived is known within this time: the last attempts are saved once a second.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Stands for a header's value that is a secret.
const SECRET: &str = "(secret)";

/// One delivery of a webhook. Made by [`AuditReader::delivery`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The delivery's id.
    pub delivery_id: String,
    /// The webhook's name.
    pub webhook: String,
    /// Its state.
    pub state: DeliveryState,
    /// The number of its entries.
    pub entries: usize,
    /// The number of its entries that the log no longer has.
    pub missing: usize,
    /// The time of the first entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The request, made with the webhook's current settings. `None` if it can't be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<DeliveryRequest>,
    /// The reason why the request can't be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its attempts among the webhook's last ones, with their answers, the newest first.
    pub attempts: Vec<Attempt>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// The delivery waits for its next attempt.
    Waiting,
    /// The delivery was given up.
    DeadLetter,
    /// The receiver accepted the delivery.
    Delivered,
    /// The delivery has ended otherwise: for example, it was too large, and its halves were sent.
    Ended,
}

/// The request that carries a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryRequest {
    /// The URL, to which the request is a `POST`, as far as it may be shown
    /// ([`Webhook::shown_url`](crate::webhook::Webhook::shown_url)).
    pub url: String,
    /// The headers that the webhook's settings and format make, with `(secret)` for the value of
    /// each secret one. The signature and the time of an attempt are not among them.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that aren't UTF-8 are replaced.
    pub body: String,
}

/// A delivery that is known.
pub(super) struct Found {
    pub(super) contents: Contents,
    pub(super) state: DeliveryState,
}

/// The delivery of this id, among those that wait, the dead letters, and the last attempts. While
/// somebody delivers, one that isn't known yet may have arrived just now, and is among the last
/// attempts soon.
pub(super) fn find(layout: &Layout, webhook: &Stored, id: &str) -> Result<Option<Found>> {
    let until = Instant::now() + KNOWN_WITHIN;
    loop {
        let found = find_now(layout, webhook, id)?;
        let may_come = || is_id(id) && Instant::now() < until;
        if found.is_some() || !may_come() || Presence::read(layout)?.dispatcher.is_none() {
            return Ok(found);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Whether a delivery can have this id.
fn is_id(id: &str) -> bool {
    let digits = id.strip_prefix("msg_").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn find_now(layout: &Layout, webhook: &Stored, id: &str) -> Result<Option<Found>> {
    let key = webhook.key();
    let queue = Queue::read(layout, &key)?.unwrap_or_default();
    let waiting = queue.deliveries.into_iter().find(|one| one.id == id);
    let letter = dead_letter::contents_of(layout, &key, id)?;
    // A dead letter is durable before the queue is saved without it. A dead letter that is sent
    // again is marked as one in the queue.
    let is_dead = |waiting: &Delivery| !waiting.dead && !letter.is_empty();
    if let Some(waiting) = waiting.filter(|waiting| !is_dead(waiting)) {
        return Ok(Some(Found {
            contents: waiting.contents,
            state: DeliveryState::Waiting,
        }));
    }
    if !letter.is_empty() {
        return Ok(Some(Found {
            contents: letter,
            state: DeliveryState::DeadLetter,
        }));
    }
    let history = attempts::history(layout, &key)?;
    Ok(history.find(id).map(|(delivered, contents)| Found {
        contents,
        state: if delivered {
            DeliveryState::Delivered
        } else {
            DeliveryState::Ended
        },
    }))
}

/// The error for an id that no delivery has.
pub(super) fn unknown(id: &str) -> Error {
    let problem = format!(
        "{id:?} is neither a delivery that waits, nor a dead letter, nor among the last attempts"
    );
    Error::invalid("delivery_id", problem)
}

/// The delivery of this id; `None` if there is no such webhook.
pub(super) fn report(reader: &AuditReader, name: &str, id: &str) -> Result<Option<DeliveryReport>> {
    let layout = reader.layout();
    let Some(webhook) = stored::find(layout, name)? else {
        return Ok(None);
    };
    let found = find(layout, &webhook, id)?.ok_or_else(|| unknown(id))?;
    let (entries, missing) = found.contents.read(reader)?;
    let request = match missing {
        0 if entries.is_empty() => Err("the entries of this delivery are not known".to_owned()),
        0 => request(layout, &webhook, id, &entries).map_err(|error| error.to_string()),
        _ => Err(format!("{missing} of its entries are no longer in the log")),
    };
    let (request, problem) = match request {
        Ok(request) => (Some(request), None),
        Err(problem) => (None, Some(problem)),
    };
    let mut attempts = attempts::read(layout, name)?;
    attempts.retain(|attempt| attempt.delivery_id == id);
    Ok(Some(DeliveryReport {
        delivery_id: id.to_owned(),
        webhook: name.to_owned(),
        state: found.state,
        entries: entries.len() + missing,
        missing,
        first: entries.first().map(RawEntry::timestamp),
        request,
        problem,
        attempts,
    }))
}

/// The request for these entries. No secret is read for it.
fn request(
    layout: &Layout,
    webhook: &Webhook,
    id: &str,
    entries: &[RawEntry],
) -> Result<DeliveryRequest> {
    let source = source(layout, entries);
    let batch = Batch {
        id,
        source: &source,
        entries,
        batched: webhook.batch.is_some(),
    };
    let encoded = webhook.build_format()?.encode(&batch);
    let encoded = encoded.map_err(|error| Error::invalid("format", error.to_string()))?;
    let mut headers = vec![
        ("content-type".to_owned(), encoded.content_type.into_owned()),
        ("webhook-id".to_owned(), id.to_owned()),
    ];
    let made = encoded.headers.into_iter();
    headers.extend(made.map(|(name, value)| (name.into_owned(), value)));
    let key_header = webhook.api_key_header.as_deref().unwrap_or("authorization");
    let of_key = webhook.api_key.as_ref().map(|_| key_header);
    let secret = webhook.headers.keys().map(String::as_str).chain(of_key);
    headers.extend(secret.map(|name| (name.to_ascii_lowercase(), SECRET.to_owned())));
    Ok(DeliveryRequest {
        url: webhook.shown_url(),
        headers,
        body: String::from_utf8_lossy(&encoded.body).into_owned(),
    })
}

/// The source that the dispatcher names; that of the first entry while nobody delivers.
fn source(layout: &Layout, entries: &[RawEntry]) -> String {
    let presence = Presence::read(layout).unwrap_or_default();
    let of_stream = || {
        let stream = entries.first()?.stream().parse::<StreamId>().ok()?;
        Some(stream.source().to_owned())
    };
    presence
        .dispatcher
        .map(|dispatcher| dispatcher.source)
        .or_else(of_stream)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{
        queue::dead_letter::Kept,
        testing::{self, entry},
    };

    /// The state of a delivery, with the queue and the dead letters as a death may leave them.
    fn state(is_letter: bool, waits: Option<&str>) -> Option<DeliveryState> {
        let dir = tempfile::tempdir().unwrap();
        let layout = testing::layout(dir.path());
        let webhook = testing::stored();
        let key = webhook.key();
        let entry = [entry(1)];
        let contents = Contents::by_id(&entry);
        if is_letter {
            let letter = Kept::new("e", "msg_1", 3, "x", contents.clone(), &entry);
            letter.append(&layout, &key).unwrap();
        }
        let deliveries = waits.map(|how| Delivery::again("msg_1".into(), contents, how == "dead"));
        let queue = Queue {
            deliveries: deliveries.into_iter().collect(),
            ..Queue::default()
        };
        queue.save(&layout, &key).unwrap();
        find(&layout, &webhook, "msg_1")
            .unwrap()
            .map(|found| found.state)
    }

    #[test]
    fn a_delivery_is_a_dead_letter_before_the_queue_is_saved_without_it() {
        assert_eq!(state(false, None), None);
        assert_eq!(state(false, Some("fresh")), Some(DeliveryState::Waiting));
        assert_eq!(state(true, None), Some(DeliveryState::DeadLetter));
        assert_eq!(state(true, Some("fresh")), Some(DeliveryState::DeadLetter));
        // It is sent again.
        assert_eq!(state(true, Some("dead")), Some(DeliveryState::Waiting));
    }
}
