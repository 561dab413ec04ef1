//! Reads what is to be sent, and puts it into deliveries. Their bodies are made here too, so that no
//! delivery is longer than a body may be; those that there is memory for are kept until they are
//! sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ReadBatch, Source, Wanted, past_batches::PastBatches};
use crate::{
    error::Result,
    query::{Placed, Places, RawEntry, Room, Tail},
    webhook::{
        queue::{
            Delivery,
            body::{self, Body, LONGEST},
            dead_letter::At,
        },
        run::served::Served,
        settings::{Batching, stored::Watch},
    },
};

/// Entries read at a time, and batches of them.
pub(super) const READ: usize = 256;
const READ_BATCHES: usize = 8;
/// Bytes of entries read at a time: several full bodies, so that few bodies are a small rest.
const READ_BYTES: usize = 1 << 20;
/// Bytes of the log that are looked at in one read, because other webhooks wait for their turn.
const SCAN_BYTES: usize = 16 << 20;

/// The reader of one webhook.
pub(super) struct BatchSource {
    pub(super) webhook: Arc<Served>,
    tail: Option<Tail>,
    /// Entries that were read and wait for others to fill their batch.
    read: Vec<Placed>,
    bytes: usize,
    since: Option<Instant>,
    /// The dead letters that are being replayed.
    pub(super) letters: Option<Vec<At>>,
    /// The batches that were made before, while entries are being replayed.
    pub(super) past: Option<PastBatches>,
    settings: Watch,
}

impl BatchSource {
    pub(super) fn new(webhook: Arc<Served>) -> Self {
        Self {
            webhook,
            tail: None,
            read: Vec::new(),
            bytes: 0,
            since: None,
            letters: None,
            past: None,
            settings: Watch::default(),
        }
    }

    /// Whether it has not read the log yet.
    pub(super) fn begins(&self) -> bool {
        self.tail.is_none()
    }

    pub(super) fn read(&mut self, wanted: Wanted) -> Result<ReadBatch> {
        let replays = match wanted {
            Wanted::Log(places) => return self.read_log(places),
            Wanted::NextReplay { after } => self.look_for_replays(after),
            Wanted::Replay {
                number,
                replaying,
                cursor,
            } => self.replay(number, replaying, &cursor),
        };
        Ok(replays.unwrap_or_else(|error| ReadBatch::problem(&error)))
    }

    fn read_log(&mut self, places: Option<Places>) -> Result<ReadBatch> {
        let webhook = Arc::clone(&self.webhook);
        let mut tail = match (self.tail.take(), places) {
            (Some(tail), _) => tail,
            (None, places) => {
                (self.read, self.bytes, self.since) = (Vec::new(), 0, None);
                let filter = webhook.selection.filter.clone();
                webhook.reader.resume(filter, &places.unwrap_or_default())?
            }
        };
        let limit = match webhook.batch {
            Some(batch) => (batch.max_entries * READ_BATCHES)
                .min(2000)
                .saturating_sub(self.read.len())
                .max(1),
            None => READ,
        };
        let room = Room {
            entries: limit,
            bytes: READ_BYTES,
            scanned: SCAN_BYTES,
        };
        let found = tail.poll_within(room)?;
        // An entry that was recorded after a change of the settings is sent as the new settings
        // say, so they are looked at after the log was read. If they changed, the tail is dropped,
        // and with it what it has read.
        // Settings that can't be read let nothing be sent; the dispatcher reports them.
        let outdated = (self.settings).is_outdated(webhook.layout(), &webhook.stored);
        if outdated.unwrap_or(true) {
            return Ok(ReadBatch::outdated());
        }
        for placed in found {
            if webhook.selection.wants(&placed.entry) {
                self.bytes += placed.entry.line().len();
                self.read.push(placed);
            }
        }
        let problems: Vec<String> = tail
            .take_problems()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.file, problem.what))
            .collect();
        let (places, behind) = (tail.places(), tail.is_behind());
        let hindered = tail.is_hindered();
        self.tail = Some(tail);
        let waits_until = self.waits_until();
        if waits_until.is_some() {
            return Ok(ReadBatch {
                behind,
                hindered,
                waits_until,
                problems,
                ..ReadBatch::other(Source::Log(None), Vec::new())
            });
        }
        let read = std::mem::take(&mut self.read);
        (self.bytes, self.since) = (0, None);
        let most = self.most_bytes();
        let bundles = bundles(read, webhook.batch, most, |placed| {
            placed.entry.line().len()
        });
        let deliveries = bundles
            .into_iter()
            .map(|placed| Delivery::placed(&webhook.name, placed));
        let deliveries = self.with_bodies(deliveries);
        Ok(ReadBatch {
            behind,
            hindered,
            problems,
            ..ReadBatch::other(Source::Log(Some(places)), deliveries)
        })
    }

    /// Until when entries that were read wait for others to fill their batch, if they do.
    fn waits_until(&mut self) -> Option<Instant> {
        let batch = self.webhook.batch.filter(|_| !self.read.is_empty())?;
        let since = *self.since.get_or_insert_with(Instant::now);
        let until = since + Duration::from_millis(batch.max_wait_ms);
        let is_full = self.read.len() >= batch.max_entries || self.bytes >= self.most_bytes();
        (!is_full && Instant::now() < until).then_some(until)
    }

    /// The bytes of lines that make a full body; so many at most wait for others to fill their
    /// batch.
    fn most_bytes(&self) -> usize {
        // Entries differ: one body in a few would be too long otherwise.
        let share = &self.webhook.share;
        share.lines_for(LONGEST / 10 * 9).min(share.size() / 4)
    }

    /// The deliveries, none of which is too long, with their bodies as far as there is memory.
    pub(super) fn with_bodies(
        &self,
        made: impl Iterator<Item = (Delivery, Vec<RawEntry>)>,
    ) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (delivery, entries) in made {
            self.with_body(delivery, entries, &mut deliveries);
        }
        deliveries
    }

    fn with_body(
        &self,
        mut delivery: Delivery,
        entries: Vec<RawEntry>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let webhook = &self.webhook;
        let share = &webhook.share;
        let batch = webhook.batch.is_some();
        if !batch && !share.has_room(share.expected(body::lines(&entries))) {
            // It can't be too long, and would not be kept.
            deliveries.push(delivery);
            return;
        }
        // The attempt finds again that the format can't encode them, and says so.
        if let Ok(mut body) = Body::of(webhook, &webhook.source, &delivery.id, &entries) {
            share.saw(body::lines(&entries), body.len());
            if body.is_too_long() {
                drop(body);
                for (half, entries) in delivery.split(&webhook.name, entries) {
                    self.with_body(half, entries, deliveries);
                }
                return;
            }
            body.held = share.try_hold(body.len());
            delivery.body = body.held.is_some().then_some(body);
        }
        if batch {
            delivery.line = delivery.line_of(&webhook.format_digest, &entries);
        }
        deliveries.push(delivery);
    }
}

/// The items of each request, in order: no more bytes than `most_bytes`, unless one item has more.
pub(in crate::webhook) fn bundles<T>(
    items: Vec<T>,
    batch: Option<Batching>,
    most_bytes: usize,
    len: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let most = batch.map_or(1, |batch| batch.max_entries);
    let (mut bundles, mut bytes): (Vec<Vec<T>>, usize) = (Vec::new(), 0);
    for item in items {
        let len = len(&item);
        match bundles
            .last_mut()
            .filter(|bundle| bundle.len() < most && bytes + len <= most_bytes)
        {
            Some(bundle) => bundle.push(item),
            None => {
                bundles.push(vec![item]);
                bytes = 0;
            }
        }
        bytes += len;
    }
    bundles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_request_has_no_more_entries_or_bytes_than_it_may(
            lens in proptest::collection::vec(1_usize..400_000, 0..60),
            most in proptest::option::of(1_usize..10),
        ) {
            let batch = most.map(|max_entries| Batching { max_entries, ..Batching::default() });
            let bundles = bundles(lens.clone(), batch, LONGEST, |len| *len);
            prop_assert_eq!(bundles.concat(), lens);
            for bundle in bundles {
                prop_assert!(!bundle.is_empty() && bundle.len() <= most.unwrap_or(1));
                prop_assert!(bundle.len() == 1 || bundle.iter().sum::<usize>() <= LONGEST);
            }
        }
    }
}
