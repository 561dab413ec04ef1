//! The writer thread: takes records out of the journal, numbers them, appends them to the live
//! file, syncs, rotates.
//!
//! # What is always true
//!
//! 1. *The journal holds everything that is not durable.* Space in it is released only after the
//!    sync of the lines it became. So whatever happens to the live file's unsynced part, it can be
//!    written again.
//! 2. *A record's number is fixed by its place in the stream*, not by the attempt: when the writer
//!    goes back to the last release, it goes back to the number of that release too.
//! 3. *A file is complete and durable before the next one is created*, and the journal's header,
//!    which says so, is durable as well. So recovery never has to look for a record in a sealed
//!    file.
//! 4. The log's own records (`audit.log.…`) don't pass through the journal, which may be full when
//!    they are needed. They are kept here until they are durable.
//!
//! # The order of a step
//!
//! append → sync → release in the journal → tell those who wait. A kill after the append leaves the
//! records in both places; recovery tells them apart by their ids. A kill after the sync leaves the
//! same. A kill after the release leaves them in the file alone.
//!
//! # When it fails
//!
//! An append that fails is cut off and tried again, with pauses up to a second. A sync that fails
//! means that the lines since the last one may never reach the disk, whatever a second sync says:
//! the file is cut back to what is durable and closed, and the rest is written again into a new
//! one. Not before the cut is durable, or the lines could be in both.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use super::{
    clock::Clock,
    fs::Fs,
    health::{Health, Problem},
    layout::Layout,
    live::Live,
    names::FileStem,
    reserve::Reserve,
    sealer::Job,
    space::{SpaceLevel, Watermarks},
};
use crate::{
    error::{Error, Result},
    journal::{Consumer, Durability},
    record::{OwnRecord, Seq, Severity, Source, StreamId},
};

/// When the writer syncs and rotates.
#[derive(Clone, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) rotate_bytes: u64,
    pub(crate) rotate_age: Duration,
    pub(crate) sync_interval: Duration,
    pub(crate) watermarks: Watermarks,
}

/// Lines are gathered up to about this many bytes for one write.
pub(super) const BATCH: usize = 512 * 1024;
/// How often the live file is checked for having been deleted or cut, and the file system for
/// space.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pauses between attempts while the disk refuses.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(crate) struct Writer {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) layout: Layout,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) source: Source,
    pub(super) stream: StreamId,
    pub(super) consumer: Consumer,
    pub(super) durability: &'static Durability,
    pub(super) health: Arc<Health>,
    pub(super) sealer: Sender<Job>,
    pub(super) options: WriterOptions,
    pub(super) reserve: Reserve,
    pub(super) state: State,
}

pub(super) struct State {
    pub(super) live: Option<Live>,
    /// When the live file was begun, by the monotonic clock.
    pub(super) begun: Duration,
    pub(super) next_file: u32,
    pub(super) next_seq: Seq,
    /// Numbered lines that are not in the file yet.
    pub(super) batch: Vec<u8>,
    pub(super) batch_records: u64,
    pub(super) own_pending: VecDeque<OwnRecord>,
    pub(super) own_unsynced: Vec<OwnRecord>,
    /// The number of the first record that is not durable.
    pub(super) synced_seq: Seq,
    pub(super) unsynced: bool,
    pub(super) last_sync: Duration,
    pub(super) last_check: Duration,
    pub(super) retry: Option<Retry>,
    pub(super) space: SpaceLevel,
    /// When files were last removed for want of room.
    pub(super) made_room: Duration,
    /// A file with lines beyond its last sync, which are written again elsewhere: nothing is
    /// written before they are cut off.
    pub(super) uncut: Option<Live>,
    /// How many dropped events our records tell of, and how many of them the journal knows are told
    /// of durably.
    pub(super) dropped_reported: u64,
    pub(super) dropped_marked: u64,
    /// What every line begins with, up to the number.
    pub(super) prefix: Vec<u8>,
}

pub(super) struct Retry {
    at: Duration,
    pause: Duration,
}

/// What a step left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More at once.
    Busy,
    /// Nothing now.
    Idle,
    /// The journal was closed and everything in it is durable.
    Done,
}

impl Writer {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, where all of them are made"
    )]
    pub(super) fn new(
        fs: Arc<dyn Fs>,
        layout: Layout,
        clock: Arc<dyn Clock>,
        stream: StreamId,
        source: Source,
        consumer: Consumer,
        durability: &'static Durability,
        health: Arc<Health>,
        sealer: Sender<Job>,
        options: WriterOptions,
    ) -> Self {
        let now = clock.monotonic();
        let reserve = Reserve::new(&layout, &stream);
        let state = State {
            live: None,
            begun: now,
            next_file: 1,
            next_seq: Seq::FIRST,
            batch: Vec::with_capacity(BATCH + 128 * 1024),
            batch_records: 0,
            own_pending: VecDeque::new(),
            own_unsynced: Vec::new(),
            synced_seq: Seq::FIRST,
            unsynced: false,
            last_sync: now,
            last_check: now,
            retry: None,
            space: SpaceLevel::default(),
            made_room: now,
            uncut: None,
            dropped_reported: 0,
            dropped_marked: 0,
            prefix: format!("{{\"stream\":\"{stream}\",\"seq\":").into_bytes(),
        };
        Self {
            fs,
            layout,
            clock,
            source,
            stream,
            consumer,
            durability,
            health,
            sealer,
            options,
            reserve,
            state,
        }
    }

    /// Runs until the journal is closed and written. An error means that the rest stays in the
    /// journal, for the next process.
    pub(super) fn run(mut self) -> Result<()> {
        /// Slept when there is nothing to do. Callers don't wake the writer for an event, so this
        /// is also how stale `tail -f` may be.
        const POLL: Duration = Duration::from_millis(3);
        self.durability.attach_writer();
        self.reserve.fill(&*self.fs);
        loop {
            self.durability.awake();
            match self.step() {
                Ok(Step::Busy) => {}
                Ok(Step::Idle) => std::thread::park_timeout(POLL),
                Ok(Step::Done) => break,
                Err(error) => {
                    self.failed(&error);
                    if self.consumer.closed() {
                        // Whoever closes the log waits for us and is told; nothing is lost, it
                        // stays in the journal.
                        self.durability.close();
                        return Err(error);
                    }
                }
            }
        }
        self.finish()
    }

    /// One round: append, sync, rotate, as far as each is due.
    pub(super) fn step(&mut self) -> Result<Step> {
        let now = self.clock.monotonic();
        if self
            .state
            .retry
            .as_ref()
            .is_some_and(|retry| now < retry.at)
            && !self.consumer.closed()
        {
            return Ok(Step::Idle);
        }
        self.cut()?;
        self.rotate_if_due(now)?;
        self.report_dropped();
        self.fill_batch();
        let wrote = !self.state.batch.is_empty();
        if wrote {
            self.write_batch()?;
        }
        let more = wrote && self.state.batch_is_full();
        self.state.batch.clear();
        let pressing = self.consumer.unreleased() > self.consumer.capacity() / 2;
        let waited_for = self.durability.has_waiters() && !more;
        let due = now.saturating_sub(self.state.last_sync) >= self.options.sync_interval;
        let drained = self.consumer.drained() && self.state.own_pending.is_empty();
        if self.state.unsynced && (pressing || waited_for || due || drained) {
            self.sync()?;
        }
        if now.saturating_sub(self.state.last_check) >= CHECK_INTERVAL {
            self.state.last_check = now;
            self.check_live()?;
            self.check_space(now);
        }
        self.succeeded();
        Ok(match (drained, wrote) {
            (true, _) if !self.state.unsynced => Step::Done,
            (_, true) => Step::Busy,
            _ => Step::Idle,
        })
    }

    fn fill_batch(&mut self) {
        let Self {
            consumer,
            state,
            source,
            ..
        } = self;
        // A batch that could not be written is still there.
        while state.batch.len() < BATCH {
            if let Some(own) = state.own_pending.pop_front() {
                state.push_line(&own.render(source));
                state.own_unsynced.push(own);
            } else if let Some(record) = consumer.next() {
                state.push_line(record);
            } else {
                break;
            }
        }
    }

    fn write_batch(&mut self) -> Result<()> {
        if self.state.live.is_none() {
            let stem = self.next_stem();
            self.state.live = Some(Live::create(&*self.fs, &self.layout, stem)?);
            self.state.begun = self.clock.monotonic();
        }
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        live.append(&self.state.batch)
            .map_err(Error::io("write", self.layout.live(&live.stem)))?;
        self.state.unsynced = true;
        self.health.count(
            self.health.records(),
            std::mem::take(&mut self.state.batch_records),
        );
        self.health
            .count(self.health.bytes(), self.state.batch.len() as u64);
        Ok(())
    }

    /// The name of the next file. Whatever becomes of it, its number is used up, for recovery too:
    /// who follows the log knows a stream's files by their numbers, and has perhaps left this one
    /// already.
    pub(super) fn next_stem(&mut self) -> FileStem {
        let stem = FileStem {
            born: self.clock.now(),
            stream: self.stream.clone(),
            number: self.state.next_file,
        };
        self.consumer.note_file(stem.number);
        self.state.next_file += 1;
        stem
    }

    /// Makes what was appended durable, and lets go of it in the journal.
    pub(super) fn sync(&mut self) -> Result<()> {
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        let path = self.layout.live(&live.stem);
        // Before the journal lets go of what is in it.
        if !live.looks_whole().map_err(Error::io("look at", &path))? {
            return self.check_live();
        }
        if let Err(error) = live.sync() {
            self.start_over();
            return Err(Error::io("sync", path)(error));
        }
        self.health.synced();
        let position = self.consumer.position();
        self.state.synced_seq = self.state.next_seq;
        self.state.own_unsynced.clear();
        self.state.unsynced = false;
        if self.state.own_pending.is_empty()
            && self.state.dropped_reported > self.state.dropped_marked
        {
            self.state.dropped_marked = self.state.dropped_reported;
            self.consumer
                .mark_dropped_reported(self.state.dropped_marked);
        }
        self.state.last_sync = self.clock.monotonic();
        self.consumer.release(position, self.state.synced_seq.0);
        self.durability.advance(position.0);
        Ok(())
    }

    /// Goes back to the last release: what came after it is written again, into a new file.
    pub(super) fn start_over(&mut self) {
        self.consumer.rewind();
        let state = &mut self.state;
        state.next_seq = state.synced_seq;
        state.batch.clear();
        state.batch_records = 0;
        state.unsynced = false;
        for own in state.own_unsynced.drain(..).rev() {
            state.own_pending.push_front(own);
        }
        if let Some(live) = state.live.take() {
            state.uncut = Some(live);
            // If it fails, it is tried again before anything is written.
            let _ = self.cut();
        }
    }

    /// Cuts off what will be written again, durably: else it could be in the log twice.
    fn cut(&mut self) -> Result<()> {
        if let Some(live) = &mut self.state.uncut {
            live.cut_to_synced()
                .map_err(Error::io("cut", self.layout.live(&live.stem)))?;
        }
        if let Some(live) = self.state.uncut.take() {
            self.retire(live);
        }
        Ok(())
    }

    fn rotate_if_due(&mut self, now: Duration) -> Result<()> {
        let Some(live) = &self.state.live else {
            return Ok(());
        };
        let age = now.saturating_sub(self.state.begun);
        if live.len < self.options.rotate_bytes
            && age < self.options.rotate_age
            && live.stem.day() == self.clock.now().day()
        {
            return Ok(());
        }
        self.rotate()
    }

    /// Ends the live file; the next line begins another.
    fn rotate(&mut self) -> Result<()> {
        if self.state.unsynced {
            self.sync()?;
        }
        self.consumer
            .sync_header()
            .map_err(Error::io("sync", self.consumer.path()))?;
        if let Some(live) = self.state.live.take() {
            self.retire(live);
        }
        Ok(())
    }

    /// Hands a file over to be sealed; an empty one is removed.
    fn retire(&mut self, live: Live) {
        if live.len == 0 {
            // Left behind, it would be removed at the next recovery.
            let _ = self.fs.remove_file(&self.layout.live(&live.stem));
        } else {
            // Without a sealer the next process seals it.
            let _ = self.sealer.send(Job::Seal(live.stem));
        }
    }

    fn report_dropped(&mut self) {
        let dropped = self.consumer.dropped();
        // What is reported but not durable yet still counts as unreported in the journal.
        let count = dropped
            .unreported
            .min(dropped.total.saturating_sub(self.state.dropped_reported));
        if count == 0 {
            return;
        }
        let mut own = OwnRecord::new(
            "audit.log.dropped",
            Severity::Critical,
            "Events were dropped because the journal was full",
        )
        .detail("count", count)
        .detail("total", dropped.total);
        if let Some(since) = dropped.since_micros {
            own = own.detail("since", crate::Timestamp::from_micros(since).to_string());
        }
        self.state.own_pending.push_back(own);
        self.state.dropped_reported = dropped.total;
        self.health.count(self.health.dropped(), count);
        self.health.report(&Problem::Dropped(count));
    }

    fn failed(&mut self, error: &Error) {
        let now = self.clock.monotonic();
        self.health.count(self.health.write_errors(), 1);
        let full = matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull || source.kind() == io::ErrorKind::QuotaExceeded);
        let first = self.state.retry.is_none();
        if first {
            self.health.report(&if full {
                Problem::DiskFull(error.to_string())
            } else {
                Problem::WriteFailed(error.to_string())
            });
            let own = OwnRecord::new(
                "audit.log.write_failed",
                Severity::Critical,
                "Events could not be written and waited in the journal",
            )
            .detail("error", error.to_string());
            self.state.own_pending.push_back(own);
        }
        self.durability.fail(&error.to_string());
        if full {
            self.found_full(now);
        }
        // The reserve makes room for what is pending and the record that says so: tried at once.
        let freed = full && self.reserve.release(&*self.fs);
        let pause = self
            .state
            .retry
            .as_ref()
            .map_or(RETRY.0, |retry| (retry.pause * 2).min(RETRY.1));
        self.state.retry = Some(Retry {
            at: if freed { now } else { now + pause },
            pause,
        });
    }

    fn succeeded(&mut self) {
        if self.state.retry.take().is_some() {
            self.durability.recovered();
            self.health.report(&Problem::WriteRecovered);
            self.state.own_pending.push_back(OwnRecord::new(
                "audit.log.write_recovered",
                Severity::Info,
                "Events are written again",
            ));
        }
    }

    /// Everything is durable: the journal can go.
    fn finish(mut self) -> Result<()> {
        self.durability.close();
        self.reserve.release(&*self.fs);
        // The ring is a mapped file and so a real one, whatever the seam is.
        let path = self.consumer.path();
        std::fs::remove_file(path).map_err(Error::io("remove", path))
    }
}

impl State {
    fn push_line(&mut self, record: &[u8]) {
        self.batch.extend_from_slice(&self.prefix);
        self.batch
            .extend_from_slice(itoa::Buffer::new().format(self.next_seq.0).as_bytes());
        self.batch.push(b',');
        self.batch.extend_from_slice(record);
        self.batch.push(b'\n');
        self.next_seq = self.next_seq.next();
        self.batch_records += 1;
    }

    fn batch_is_full(&self) -> bool {
        self.batch.len() >= BATCH
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
