//! What is to be sent: read from the log behind where it was read before, and from what is to be
//! replayed, and put into deliveries.
//!
//! This file decides when something is read. `source` reads the log, and `replaying` what is
//! replayed.
//! Reading runs on a thread of its own, one read at a time, and only while there is room: what is
//! not in a delivery waits in the log.

pub(in crate::webhook) mod past_batches;
pub(in crate::webhook) mod replaying;
mod source;

use std::{sync::Arc, time::Instant};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use self::source::BatchSource;
use crate::{
    error::{Error, Result},
    query::Places,
    webhook::{
        queue::{Delivery, Queue, Replaying},
        run::{
            blocking::{ended, panicked},
            pulse::Pulse,
            read_times::ReadTimes,
            served::Served,
        },
    },
};

/// About so many deliveries, and entries in them, are made ahead; the rest waits in the log.
pub(in crate::webhook) const MOST_DELIVERIES: usize = 1000;
const MOST_ENTRIES: usize = 20_000;
/// While so many deliveries were not tried yet, no more are made.
const ENOUGH_FRESH: usize = 128;
/// While fewer than so many were not tried yet, there is room for some more.
const KEPT_FOR_FRESH: usize = 8;
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

impl BatchReader {
    pub(in crate::webhook) fn new(webhook: Arc<Served>, pulse: Pulse) -> Self {
        Self {
            log_reader: Some(BatchSource::new(Arc::clone(&webhook))),
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
        let wanted = self.wanted(queue, saved, log_reader.begins());
        // Replays take no turn, so that webhooks that read the log needn't wait for them: a replay
        // with a narrow filter looks at much of the log.
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

    /// The next thing to read.
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
        let done = ended(&mut self.reading).await.flatten();
        let (log_reader, found) = done.map_err(|e| panicked("reading the log", &e))?;
        self.log_reader = Some(log_reader);
        let found = found?;
        self.times.found(&found);
        Ok(found)
    }
}

/// A thing to read.
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
