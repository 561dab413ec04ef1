//! What is to be sent: read from the log behind where it was read before, and from what is to be
//! replayed, and put into deliveries. Their bodies are made here too, so that no delivery is longer
//! than a body may be; those that there is memory for are kept until they are sent.
//!
//! Reading runs on a thread of its own, one read at a time, and only while there is room: what is
//! not in a delivery waits in the log.

pub(in crate::webhook) mod past_batches;
pub(in crate::webhook) mod replaying;

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::{
    error::{Error, Result},
    query::{Placed, Places, RawEntry, Room, Tail},
    webhook::{
        queue::{
            Delivery, Queue, Replaying,
            body::{self, Body, LONGEST},
            dead_letter::At,
        },
        run::{
            blocking::panicked, pulse::Pulse, read::past_batches::PastBatches,
            read_times::ReadTimes, served::Served,
        },
        settings::{Batching, stored::Watch},
    },
};

/// About so many deliveries, and entries in them, are made ahead; the rest waits in the log.
pub(in crate::webhook) const MOST_DELIVERIES: usize = 1000;
const MOST_ENTRIES: usize = 20_000;
/// While so many deliveries were not tried yet, no more are made.
const ENOUGH_FRESH: usize = 128;
/// While fewer than so many were not tried yet, there is room for some more.
const KEPT_FOR_FRESH: usize = 8;
/// Entries read at a time, and batches of them.
const READ: usize = 256;
const READ_BATCHES: usize = 8;
/// Bytes of entries read at a time: several full bodies, so that few bodies are a small rest.
const READ_BYTES: usize = 1 << 20;
/// Bytes of the log that are looked at in one read, because other webhooks wait for their turn.
const SCAN_BYTES: usize = 16 << 20;

pub(in crate::webhook) struct BatchReader {
    /// Away while it reads.
    log_reader: Option<BatchSource>,
    webhook: Arc<Served>,
    reading: Option<JoinHandle<DoneReading>>,
    times: ReadTimes,
    replays_turn: bool,
}

/// The reader, and what it found; an error is a panic.
type DoneReading = std::result::Result<(BatchSource, Result<ReadBatch>), JoinError>;

/// The result of one read.
pub(in crate::webhook) struct ReadBatch {
    pub(in crate::webhook) deliveries: Vec<Delivery>,
    pub(in crate::webhook) source: Source,
    pub(super) behind: bool,
    pub(super) hindered: bool,
    pub(super) waits_until: Option<Instant>,
    /// Entries that could not be read. Those of the log are skipped; a replay is tried again.
    pub(in crate::webhook) problems: Vec<String>,
}

/// From where it is, and how far that is read with it.
pub(in crate::webhook) enum Source {
    Nothing,
    /// The webhook's settings were changed since, so they decide what is sent.
    Outdated,
    /// Nothing new if what was read still waits for more to come with it.
    Log(Option<Places>),
    /// The replay's number, and what is left of it.
    Replay(u64, Option<Replaying>),
}

/// The reader of one webhook.
struct BatchSource {
    webhook: Arc<Served>,
    tail: Option<Tail>,
    /// Read, and not in a delivery yet: waiting for more to come with them.
    read: Vec<Placed>,
    bytes: usize,
    since: Option<Instant>,
    /// The dead letters that are being replayed.
    letters: Option<Vec<At>>,
    /// The batches that were made before, while entries are being replayed.
    past: Option<PastBatches>,
    settings: Watch,
}

impl BatchReader {
    pub(in crate::webhook) fn new(webhook: Arc<Served>, pulse: Pulse) -> Self {
        let log_reader = BatchSource {
            webhook: Arc::clone(&webhook),
            tail: None,
            read: Vec::new(),
            bytes: 0,
            since: None,
            letters: None,
            past: None,
            settings: Watch::default(),
        };
        Self {
            log_reader: Some(log_reader),
            webhook,
            reading: None,
            times: ReadTimes::new(pulse),
            replays_turn: false,
        }
    }

    /// When there is something to read, if there is room for what may be found and nothing is being
    /// read.
    pub(in crate::webhook) fn due(&self, queue: &Queue) -> Option<Instant> {
        let is_free = self.log_reader.is_some() && has_room(queue);
        // A webhook that is only probed has no use for entries at once: it reads many together.
        let probed = queue.circuit.is_open();
        is_free.then(|| self.times.due(queue.replaying.is_some(), probed))
    }

    /// Begins to read, if it is time. `saved` says whether the queue on disk is as this one.
    pub(in crate::webhook) fn read_on(&mut self, queue: &Queue, saved: bool) {
        if self.due(queue).is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some(mut log_reader) = self.log_reader.take() else {
            return;
        };
        let wanted = self.wanted(queue, saved, log_reader.tail.is_none());
        // Others need no turn: a filter of a replay that lets few through looks at much of the log.
        let needs_turn = matches!(wanted, Wanted::Log(_));
        let webhook = Arc::clone(&self.webhook);
        self.reading = Some(tokio::spawn(async move {
            let turn = match needs_turn {
                true => webhook.share.reading().await,
                false => None,
            };
            let read = spawn_blocking(move || {
                let _turn = turn;
                let found = log_reader.read(wanted);
                (log_reader, found)
            });
            read.await
        }));
    }

    /// What is to be read next.
    fn wanted(&mut self, queue: &Queue, saved: bool, begins: bool) -> Wanted {
        let replaying = queue.replaying.is_some();
        if !replaying && self.times.looks_for_replays(saved) {
            return Wanted::NextReplay {
                after: queue.replay,
            };
        }
        self.replays_turn = !self.replays_turn && replaying && self.times.may_replay();
        if let Some(replaying) = queue.replaying.clone().filter(|_| self.replays_turn) {
            return Wanted::Replay {
                number: queue.replay,
                replaying,
                cursor: queue.cursor.clone(),
            };
        }
        self.times.reads_log();
        Wanted::Log(begins.then(|| queue.cursor.clone()))
    }

    /// Waits for what is being read; for ever if nothing is.
    pub(in crate::webhook) async fn read(&mut self) -> Result<ReadBatch> {
        let Some(reading) = &mut self.reading else {
            return pending().await;
        };
        let done = reading.await.flatten();
        self.reading = None;
        let (log_reader, found) = done.map_err(|e| panicked("reading the log", &e))?;
        self.log_reader = Some(log_reader);
        let found = found?;
        self.times.found(&found);
        Ok(found)
    }
}

/// What is to be read.
enum Wanted {
    /// The first replay that was asked for after the one of this number.
    NextReplay { after: u64 },
    /// The next part of a replay, while the log was read as far as this cursor.
    Replay {
        number: u64,
        replaying: Replaying,
        cursor: Places,
    },
    /// The log: from this cursor, if it wasn't read before.
    Log(Option<Places>),
}

impl ReadBatch {
    /// Not of the log, so nothing is known of that.
    fn other(source: Source, deliveries: Vec<Delivery>) -> Self {
        Self {
            deliveries,
            source,
            behind: false,
            hindered: false,
            waits_until: None,
            problems: Vec::new(),
        }
    }

    /// One delivery of a replay.
    #[cfg(test)]
    pub(super) fn of_replay(number: u64, left: Option<Replaying>) -> Self {
        Self::other(Source::Replay(number, left), vec![Delivery::default()])
    }

    fn outdated() -> Self {
        Self::other(Source::Outdated, Vec::new())
    }

    fn problem(error: &Error) -> Self {
        Self {
            problems: vec![error.to_string()],
            ..Self::other(Source::Nothing, Vec::new())
        }
    }
}

fn has_room(queue: &Queue) -> bool {
    let (mut entries, mut fresh) = (0, 0);
    for delivery in &queue.deliveries {
        entries += delivery.count;
        fresh += usize::from(delivery.attempts == 0 && !delivery.taken);
    }
    // A few fresh ones have room in any case: what failed before does not say that they will.
    let most = if fresh < KEPT_FOR_FRESH {
        MOST_DELIVERIES + ENOUGH_FRESH
    } else {
        MOST_DELIVERIES
    };
    queue.deliveries.len() < most && entries < MOST_ENTRIES && fresh < ENOUGH_FRESH
}

impl BatchSource {
    fn read(&mut self, wanted: Wanted) -> Result<ReadBatch> {
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
        // An entry that was recorded after a change of the settings is sent as they say. So they
        // are looked at after the log; the tail is dropped, and with it how far it has read.
        // Settings that can't be read let nothing be sent; the dispatcher reports them.
        let outdated = self.settings.is_outdated(webhook.layout(), &webhook);
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
    fn with_bodies(&self, made: impl Iterator<Item = (Delivery, Vec<RawEntry>)>) -> Vec<Delivery> {
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
