//! What is to be sent: read from the log behind where it was read before, and from what is to be
//! replayed, and put into deliveries. Their bodies are made here too, so that no delivery is longer
//! than a body may be; those that there is memory for are kept until they are sent.
//!
//! Reading runs on a thread of its own, one read at a time, and only while there is room: what is
//! not in a delivery waits in the log.

use std::{
    future::{pending, ready},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::{AuditReader, Filter, Order, PageStart, Placed, Places, Query, RawEntry, Room, Tail},
    store::layout::Layout,
    webhook::{
        queue::{
            Delivery, Queue, Replaying,
            body::{self, Body, LONGEST},
            dead_letter::{self, At},
            memory::Share,
            replay::{self, What},
        },
        run::{blocking::panicked, pulse::Pulse},
        settings::{Batching, Prepared},
    },
};

/// A log that does not seem to grow is read so often all the same; so is what is asked to be
/// replayed.
const READ_QUIET_EVERY: Duration = Duration::from_secs(1);
/// While what was read waits for more to come with it.
const WAITING_READ_EVERY: Duration = Duration::from_millis(10);
const REPLAY_AGAIN: Duration = Duration::from_secs(5);
const LOOK_FOR_REPLAYS_EVERY: Duration = Duration::from_secs(1);
/// About so many deliveries, and entries in them, are made ahead at most; the rest waits in the log.
pub(in crate::webhook) const MOST_DELIVERIES: usize = 1000;
const MOST_ENTRIES: usize = 20_000;
/// While so many deliveries were not tried yet, no more are made.
const ENOUGH_FRESH: usize = 128;
/// While fewer than so many were not tried yet, there is room for some more.
const KEPT_FOR_FRESH: usize = 8;
/// Entries read at a time, and batches of them.
const READ: usize = 256;
const READ_BATCHES: usize = 8;
/// Dead letters taken up at a time.
const LETTERS: usize = 64;
/// Bytes of entries read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of the log that are looked at in one read: others wait for their turn meanwhile.
const SCAN_BYTES: usize = 16 << 20;

pub(in crate::webhook) struct BatchReader {
    /// Away while it reads.
    log_reader: Option<BatchSource>,
    share: Arc<Share>,
    reading: Option<JoinHandle<DoneReading>>,
    last: Instant,
    pulse: Pulse,
    /// There is more to read than was read.
    behind: bool,
    /// What was read waits for more to come with it.
    waiting: bool,
    looked_for_replays: Option<Instant>,
    replays_turn: bool,
    /// A replay that can't be read is not tried before.
    no_replay_before: Instant,
}

/// What reads, and what it found; an error is a panic.
type DoneReading = std::result::Result<(BatchSource, Result<ReadBatch>), JoinError>;

/// What one read found.
pub(in crate::webhook) struct ReadBatch {
    pub(in crate::webhook) deliveries: Vec<Delivery>,
    pub(in crate::webhook) source: Source,
    behind: bool,
    /// What could not be read. Of the log, it is skipped; a replay is tried again.
    pub(in crate::webhook) problems: Vec<String>,
}

/// From where it is, and how far that is read with it.
pub(in crate::webhook) enum Source {
    Nothing,
    /// Nothing new if what was read still waits for more to come with it.
    Log(Option<Places>),
    /// The replay's number, and what is left of it.
    Replay(u64, Option<Replaying>),
}

/// What reads.
struct BatchSource {
    reader: AuditReader,
    layout: Layout,
    /// The log's source, for formats.
    source: Arc<str>,
    share: Arc<Share>,
    tail: Option<Tail>,
    /// Read, and not in a delivery yet: waiting for more to come with them.
    read: Vec<Placed>,
    bytes: usize,
    since: Option<Instant>,
    /// The dead letters that are being replayed.
    letters: Option<Vec<At>>,
}

impl BatchReader {
    pub(in crate::webhook) fn new(
        reader: AuditReader,
        layout: Layout,
        pulse: Pulse,
        source: Arc<str>,
        share: Arc<Share>,
    ) -> Self {
        let log_reader = BatchSource {
            reader,
            layout,
            source,
            share: Arc::clone(&share),
            tail: None,
            read: Vec::new(),
            bytes: 0,
            since: None,
            letters: None,
        };
        let (last, log_reader) = (Instant::now(), Some(log_reader));
        Self {
            log_reader,
            share,
            reading: None,
            last,
            pulse,
            behind: true,
            waiting: false,
            looked_for_replays: None,
            replays_turn: false,
            no_replay_before: last,
        }
    }

    /// Begins to read, if there is room for what may be found and it is time.
    pub(in crate::webhook) fn read_on(&mut self, webhook: &Arc<Prepared>, queue: &Queue) {
        let look_for_replays = queue.replaying.is_none()
            && self
                .looked_for_replays
                .is_none_or(|last| last.elapsed() >= LOOK_FOR_REPLAYS_EVERY);
        // A webhook that is only probed has no use for entries at once: it reads many together.
        let grown = !queue.circuit.is_open() && self.pulse.has_changed().unwrap_or(false);
        let replaying = queue.replaying.is_some() && Instant::now() >= self.no_replay_before;
        let waited = self.waiting && self.last.elapsed() >= WAITING_READ_EVERY;
        let wanted = self.behind || waited || grown || look_for_replays || replaying;
        if !(wanted || self.last.elapsed() >= READ_QUIET_EVERY) || !has_room(queue) {
            return;
        }
        let Some(mut log_reader) = self.log_reader.take() else {
            return;
        };
        let webhook = Arc::clone(webhook);
        if look_for_replays {
            self.looked_for_replays = Some(Instant::now());
            let after = queue.replay;
            self.reading = Some(begun(ready(None), move || {
                let found = log_reader
                    .look_for_replays(&webhook, after)
                    .unwrap_or_else(|error| ReadBatch::problem(&error));
                (log_reader, Ok(found))
            }));
            return;
        }
        self.replays_turn = !self.replays_turn && replaying;
        if let Some(replaying) = queue.replaying.clone().filter(|_| self.replays_turn) {
            let number = queue.replay;
            // Without a turn: a filter that lets few through looks at much of the log.
            self.reading = Some(begun(ready(None), move || {
                let found = log_reader
                    .replay(&webhook, number, replaying)
                    .unwrap_or_else(|error| ReadBatch::problem(&error));
                (log_reader, Ok(found))
            }));
            return;
        }
        self.pulse.mark_unchanged();
        let places = log_reader.tail.is_none().then(|| queue.cursor.clone());
        let share = Arc::clone(&self.share);
        let turn = async move { share.reading().await };
        self.reading = Some(begun(turn, move || {
            let found = log_reader.read_log(&webhook, places);
            (log_reader, found)
        }));
    }

    /// What was read waits for more to come with it, but not for long.
    pub(in crate::webhook) fn is_waiting(&self) -> bool {
        self.waiting
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
        self.last = Instant::now();
        match found.source {
            Source::Log(ref places) => {
                (self.behind, self.waiting) = (found.behind, places.is_none())
            }
            Source::Replay(..) => {}
            Source::Nothing if found.problems.is_empty() => {}
            Source::Nothing => self.no_replay_before = self.last + REPLAY_AGAIN,
        }
        Ok(found)
    }
}

/// Begins a read on a thread for that, when it is its turn.
fn begun(
    turn: impl Future<Output = Option<OwnedSemaphorePermit>> + Send + 'static,
    read: impl FnOnce() -> (BatchSource, Result<ReadBatch>) + Send + 'static,
) -> JoinHandle<DoneReading> {
    tokio::spawn(async move {
        let turn = turn.await;
        let read = spawn_blocking(move || {
            let _turn = turn;
            read()
        });
        read.await
    })
}

impl ReadBatch {
    fn problem(error: &Error) -> Self {
        Self {
            deliveries: Vec::new(),
            source: Source::Nothing,
            behind: false,
            problems: vec![error.to_string()],
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
    fn read_log(&mut self, webhook: &Prepared, places: Option<Places>) -> Result<ReadBatch> {
        let mut tail = match (self.tail.take(), places) {
            (Some(tail), _) => tail,
            (None, places) => {
                (self.read, self.bytes, self.since) = (Vec::new(), 0, None);
                self.reader
                    .resume(webhook.filter.clone(), &places.unwrap_or_default())?
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
        for placed in tail.poll_within(room)? {
            if webhook.wants(&placed.entry) {
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
        self.tail = Some(tail);
        let ready = match webhook.batch {
            _ if self.read.is_empty() => true,
            None => true,
            Some(batch) => {
                let since = *self.since.get_or_insert_with(Instant::now);
                self.read.len() >= batch.max_entries
                    || self.bytes >= self.most_bytes()
                    || since.elapsed() >= Duration::from_millis(batch.max_wait_ms)
            }
        };
        if !ready {
            return Ok(ReadBatch {
                deliveries: Vec::new(),
                source: Source::Log(None),
                behind,
                problems,
            });
        }
        let read = std::mem::take(&mut self.read);
        (self.bytes, self.since) = (0, None);
        let now = now();
        let most = self.most_bytes();
        let bundles = bundles(read, webhook.batch, most, |placed| {
            placed.entry.line().len()
        });
        let deliveries = bundles
            .into_iter()
            .map(|placed| Delivery::placed(&webhook.name, placed, now));
        Ok(ReadBatch {
            deliveries: self.with_bodies(webhook, deliveries),
            source: Source::Log(Some(places)),
            behind,
            problems,
        })
    }

    /// The next replay, if one was asked for.
    fn look_for_replays(&mut self, webhook: &Prepared, after: u64) -> Result<ReadBatch> {
        let asked = replay::next(&self.layout, &webhook.name, &webhook.key, after)?;
        let source = match asked {
            None => Source::Nothing,
            Some(asked) => Source::Replay(
                asked.number,
                Some(match asked.replay.0 {
                    What::DeadLetters => self.all_dead_letters(webhook)?,
                    What::Entries(parameters) => Replaying::Entries {
                        parameters,
                        cursor: None,
                    },
                }),
            ),
        };
        self.letters = None;
        Ok(ReadBatch {
            deliveries: Vec::new(),
            source,
            behind: false,
            problems: Vec::new(),
        })
    }

    fn replay(
        &mut self,
        webhook: &Prepared,
        number: u64,
        replaying: Replaying,
    ) -> Result<ReadBatch> {
        let (deliveries, left) = match replaying {
            Replaying::DeadLetters {
                generation,
                from,
                to,
            } => self.replay_letters(webhook, generation, from..to)?,
            Replaying::Entries { parameters, cursor } => {
                self.replay_entries(webhook, parameters, cursor)?
            }
        };
        Ok(ReadBatch {
            deliveries,
            source: Source::Replay(number, left),
            behind: false,
            problems: Vec::new(),
        })
    }

    /// From the first dead letter there is now to the last.
    fn all_dead_letters(&self, webhook: &Prepared) -> Result<Replaying> {
        Ok(Replaying::DeadLetters {
            generation: dead_letter::generation(&self.layout, &webhook.key)?,
            from: 0,
            to: dead_letter::end(&self.layout, &webhook.key)?,
        })
    }

    fn replay_letters(
        &mut self,
        webhook: &Prepared,
        generation: u64,
        places: Range<u64>,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let (layout, key) = (&self.layout, &webhook.key);
        if dead_letter::generation(layout, key)? != generation {
            // The file was written anew, so they stand elsewhere: those that are still dead go.
            self.letters = None;
            return Ok((Vec::new(), Some(self.all_dead_letters(webhook)?)));
        }
        let mut all = match self.letters.take() {
            Some(letters) => letters,
            None => dead_letter::index(layout, key)?,
        };
        all.retain(|at| places.contains(&at.offset));
        all.sort_unstable_by_key(|at| at.offset);
        let letters: Vec<At> = all.iter().copied().take(LETTERS).collect();
        let more = all.len() > LETTERS;
        self.letters = more.then_some(all);
        let now = now();
        let next = letters.last().map_or(places.end, |at| at.offset + 1);
        let mut deliveries = Vec::new();
        for at in letters {
            let letter = dead_letter::read(layout, key, at)?;
            deliveries.extend(letter.map(|letter| Delivery::again(&letter, now)));
        }
        let left = more.then_some(Replaying::DeadLetters {
            generation,
            from: next,
            to: places.end,
        });
        Ok((deliveries, left))
    }

    fn replay_entries(
        &self,
        webhook: &Prepared,
        parameters: Vec<(String, String)>,
        cursor: Option<String>,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let start = cursor.map_or(PageStart::First, PageStart::Cursor);
        let limit = webhook.batch.map_or(READ, |batch| batch.max_entries);
        let page = self.reader.page(&Query {
            filter: Filter::parse(parameters.clone())?,
            order: Order::Asc,
            limit,
            start,
        })?;
        let wanted = page
            .entries
            .into_iter()
            .filter(|entry| webhook.filter.matches(&entry.fields()) && webhook.wants(entry))
            .collect();
        let now = now();
        let most = self.most_bytes();
        let bundles = bundles(wanted, webhook.batch, most, |entry: &RawEntry| {
            entry.line().len()
        });
        let deliveries = bundles
            .into_iter()
            .map(|entries| Delivery::looked_up(&webhook.name, entries, now));
        let deliveries = self.with_bodies(webhook, deliveries);
        let left = page.next_cursor.map(|cursor| Replaying::Entries {
            parameters,
            cursor: Some(cursor),
        });
        Ok((deliveries, left))
    }

    /// How many bytes of lines make a full body, or all that may wait for more to come with it.
    fn most_bytes(&self) -> usize {
        // Entries differ: one body in a few would be too long otherwise.
        let full = self.share.lines_for(LONGEST / 10 * 9);
        full.min(self.share.size() / 4)
    }

    /// The deliveries, none of which is too long, with their bodies as far as there is memory.
    fn with_bodies(
        &self,
        webhook: &Prepared,
        made: impl Iterator<Item = (Delivery, Vec<RawEntry>)>,
    ) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (delivery, entries) in made {
            self.with_body(webhook, delivery, entries, &mut deliveries);
        }
        deliveries
    }

    fn with_body(
        &self,
        webhook: &Prepared,
        mut delivery: Delivery,
        entries: Vec<RawEntry>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let batch = webhook.batch.is_some();
        if !batch
            && !self
                .share
                .has_room(self.share.expected(body::lines(&entries)))
        {
            // It can't be too long, and would not be kept.
            deliveries.push(delivery);
            return;
        }
        // What the format can't have is found again by the attempt, which says so.
        if let Ok(mut body) = Body::of(webhook, &self.source, &delivery.id, &entries) {
            self.share.saw(body::lines(&entries), body.len());
            if body.is_too_long() {
                drop(body);
                let due = delivery.due;
                for (half, entries) in delivery.split(&webhook.name, entries, due) {
                    self.with_body(webhook, half, entries, deliveries);
                }
                return;
            }
            body.held = self.share.try_hold(body.len());
            delivery.body = body.held.is_some().then_some(body);
        }
        deliveries.push(delivery);
    }
}

fn now() -> i64 {
    Timestamp::now().as_micros()
}

/// What goes in a request each, in order: no more than so many bytes, unless one alone has.
fn bundles<T>(
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
