//! The writer thread: takes events out of the journal, numbers them, appends them to the live file,
//! syncs, rotates.
//!
//! # What is always true
//!
//! 1. *The journal holds everything that is not durable.* Space in it is released only with a
//!    [`Synced`], which only a sync of the live file makes. So whatever happens to the live file's
//!    unsynced part, it can be written again.
//! 2. *A number is given for good with the sync.* When the writer goes back to the last release, it
//!    goes back to the number of that release too.
//! 3. *A file is complete and durable before the next one is created*, and the journal's header,
//!    which says so, is durable as well: `rotate` is the only way out of a file. So
//!    recovery never has to look for an event in a sealed file.
//! 4. The log's own entries (`audit.log.…`) don't pass through the journal, which may be full when
//!    they are needed. They are kept in `own` until they are durable.
//! 5. *No entry is newer than the day of its file*, because queries look for an entry in the files
//!    of its day and of later ones. A file is born at the clock's time or at that of the newest
//!    entry it begins with, whichever is later, and the day is looked at after a batch was read and
//!    before it is appended.
//!
//! # The order of a step
//!
//! read → append → sync → release in the journal → wake who waits. A kill after the append leaves
//! the events in both places; recovery tells them apart by their ids. A kill after the sync leaves
//! the same. A kill after the release leaves them in the file alone. `retry` says what a
//! failure does to a step.

use std::{
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use super::{
    batch::{Batch, OwnEntries, Point},
    clock::Clock,
    complete::Complete,
    fs::Fs,
    health::Health,
    layout::Layout,
    live::{Live, Synced},
    mend::set_aside,
    names::FileStem,
    reserve::Reserve,
    retry::Retry,
    root::Root,
    sealer::Job,
    space::{SpaceWatch, Watermarks},
    watch::Watch,
};
use crate::{
    entry::{Source, StreamId},
    error::{Error, Result},
    journal::{Consumer, Durability},
};

/// When the writer syncs and rotates.
#[derive(Clone, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) rotate_bytes: u64,
    pub(crate) rotate_age: Duration,
    pub(crate) sync_interval: Duration,
    pub(crate) watermarks: Watermarks,
}

/// How often the files are looked at for what others did to them, and the file system for space.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The parts that the writer works with; none of them changes.
pub(super) struct Place {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) layout: Layout,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stream: StreamId,
    pub(super) source: Source,
    pub(super) health: Arc<Health>,
    pub(super) sealer: Sender<Job>,
    /// Whether the closing is recorded.
    pub(super) lifecycle: bool,
    pub(super) options: WriterOptions,
}

pub(super) struct Writer {
    pub(super) place: Place,
    pub(super) root: Root,
    pub(super) consumer: Consumer,
    pub(super) durability: &'static Durability,
    pub(super) current: Current,
    /// The number of the file begun last.
    pub(super) last_file: u32,
    pub(super) batch: Batch,
    pub(super) own: OwnEntries,
    /// How many dropped events were counted and reported as a problem.
    pub(super) reported_drops: u64,
    /// Up to where the journal was released.
    pub(super) released: Point,
    pub(super) last_sync: Duration,
    /// When an event last came.
    pub(super) last_event: Duration,
    /// When the sign of life was last written into the journal.
    last_alive: Duration,
    complete: Complete,
    pub(super) retry: Option<Retry>,
    pub(super) reserve: Reserve,
    pub(super) space: SpaceWatch,
    pub(super) watch: Watch,
    /// Names in `live/` under which something stands that is not to be read with the log, and could
    /// not be moved yet.
    pub(super) in_the_way: Vec<FileStem>,
}

/// The file that is written.
pub(super) enum Current {
    /// None yet: the next append begins one.
    None,
    Open(Live),
    /// One that is to end where it is durable: what was behind that is written again, elsewhere.
    /// Nothing is written before it has ended.
    Ending(Live),
}

/// The work that is left after a step.
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
    pub(super) fn new(
        place: Place,
        consumer: Consumer,
        durability: &'static Durability,
        watch: Watch,
    ) -> Self {
        let now = place.clock.monotonic();
        let complete = Complete::new(place.clock.now());
        Self {
            batch: Batch::new(&place.stream),
            reserve: Reserve::new(&place.layout, &place.stream),
            space: SpaceWatch::new(place.options.watermarks, now),
            root: Root::of(&*place.fs, &place.layout),
            place,
            consumer,
            durability,
            current: Current::None,
            last_file: 0,
            own: OwnEntries::default(),
            reported_drops: 0,
            released: Point::START,
            last_sync: now,
            last_event: now,
            last_alive: now,
            complete,
            retry: None,
            watch,
            in_the_way: Vec::new(),
        }
    }

    /// Runs until the journal is closed and written. An error means that the rest stays in the
    /// journal, for the next process.
    pub(super) fn run(mut self) -> Result<()> {
        self.durability.attach_writer();
        self.reserve.fill(&*self.place.fs);
        loop {
            self.durability.awake();
            match self.step() {
                Ok(Step::Busy) => self.last_event = self.place.clock.monotonic(),
                Ok(Step::Idle) => self.rest(),
                Ok(Step::Done) => break,
                Err(error) => {
                    let freed = self.failed(&error);
                    if self.consumer.closed() && !freed {
                        // The caller that closes the log waits for us and gets the error; nothing
                        // is lost, it stays in the journal.
                        self.durability.close();
                        return Err(error);
                    }
                }
            }
        }
        self.finish()
    }

    /// One round: read, rotate, append, sync, as far as each is due.
    pub(super) fn step(&mut self) -> Result<Step> {
        let now = self.place.clock.monotonic();
        self.note_alive(now);
        let resting = self.retry.as_ref().is_some_and(|retry| now < retry.at);
        if resting && !self.consumer.closed() {
            return Ok(Step::Idle);
        }
        self.clear_the_way()?;
        self.end_ending()?;
        self.report_drops();
        self.batch
            .fill(&mut self.consumer, &mut self.own, &self.place.source);
        let more = self.batch.is_full();
        self.rotate_if_due(now)?;
        let wrote = self.append()?;
        if self.sync_is_due(now, more) {
            self.sync()?;
        }
        self.note_complete(now);
        if self.watch.is_due(now, LOOK_INTERVAL) {
            self.look(now)?;
        }
        if self.consumer.drained() {
            // Nobody does after this.
            self.look_at_file()?;
        }
        self.succeeded();
        Ok(match wrote {
            true => Step::Busy,
            false if self.is_done() => self.done(),
            false => Step::Idle,
        })
    }

    /// A stream whose process dies shows until when it lived.
    fn note_alive(&mut self, now: Duration) {
        if self.place.lifecycle && now.saturating_sub(self.last_alive) >= LOOK_INTERVAL {
            self.last_alive = now;
            let now = self.place.clock.now();
            self.consumer.note_alive(now.as_micros());
        }
    }

    /// Notes in the journal up to when the log has all entries of this stream.
    fn note_complete(&mut self, now: Duration) {
        // An entry of the log's own has its time already, and may have to wait for the disk.
        if self.complete.is_due(now) && self.own.is_empty() {
            let wall = self.place.clock.now();
            self.complete.begin(&mut self.consumer, now, wall);
        }
        self.complete
            .end(&mut self.consumer, self.released.position);
    }

    /// Everything is written but that the log is closed.
    fn done(&mut self) -> Step {
        match self.place.lifecycle && self.own.push_closing() {
            true => Step::Busy,
            false => Step::Done,
        }
    }

    /// Whether everything is read, appended and durable, and nothing more can come.
    fn is_done(&self) -> bool {
        let durable = match &self.current {
            Current::None => true,
            Current::Open(live) => !live.is_unsynced(),
            Current::Ending(_) => false,
        };
        let written = self.consumer.drained() && self.batch.is_empty() && self.own.is_empty();
        let written = written && self.drops().0 == 0;
        durable && written && self.in_the_way.is_empty()
    }

    /// Appends the batch; false if there was nothing. Until it succeeds the batch stays.
    fn append(&mut self) -> Result<bool> {
        if self.batch.is_empty() {
            return Ok(false);
        }
        if matches!(self.current, Current::None) {
            // The batch begins where the journal was released: all before it is durable.
            let live = self.begin_file()?;
            self.current = Current::Open(live);
        }
        let Current::Open(live) = &mut self.current else {
            return Ok(false);
        };
        let path = self.place.layout.live(live.stem());
        live.append(&self.batch).map_err(Error::io("write", path))?;
        let health = &self.place.health;
        health.count(health.entries(), self.batch.entries());
        health.count(health.bytes(), self.batch.lines().len() as u64);
        self.batch.appended();
        Ok(true)
    }

    fn sync_is_due(&self, now: Duration, more: bool) -> bool {
        let Current::Open(live) = &self.current else {
            return false;
        };
        let pressing = self.consumer.unreleased() > self.consumer.capacity() / 2;
        let waited_for = self.durability.has_waiters() && !more;
        let due = now.saturating_sub(self.last_sync) >= self.place.options.sync_interval;
        live.is_unsynced() && (pressing || waited_for || due || self.consumer.drained())
    }

    /// Makes the appended lines durable, and releases their events in the journal.
    pub(super) fn sync(&mut self) -> Result<()> {
        let Current::Open(live) = &mut self.current else {
            return Ok(());
        };
        let path = self.place.layout.live(live.stem());
        match live.sync(&*self.place.fs, &self.place.layout, &self.root) {
            Ok(Ok(synced)) => {
                self.release(&synced);
                Ok(())
            }
            Ok(Err(change)) => self.mend(change),
            Err(error) => {
                live.give_up_unsynced();
                self.start_over();
                Err(Error::io("sync", path)(error))
            }
        }
    }

    fn release(&mut self, synced: &Synced) {
        let point = synced.point();
        self.place.health.synced();
        if let Some(total) = self.own.release(point) {
            self.consumer.mark_dropped_reported(total);
        }
        self.consumer.release(point.position, point.next_seq.0);
        self.released = point;
        self.last_sync = self.place.clock.monotonic();
        self.durability.advance(point.position.0);
    }

    /// Goes back to the last release: what came after it is written again, into another file.
    pub(super) fn start_over(&mut self) {
        if let Current::Open(live) = &mut self.current
            && live.is_unsynced()
        {
            // Or it could not be ended.
            live.give_up_unsynced();
        }
        self.consumer.rewind();
        self.own.rewind();
        self.batch.restart(self.released);
        self.end_current();
    }

    /// Looks what others did to the files, and how much room there is.
    fn look(&mut self, now: Duration) -> Result<()> {
        self.watch.look(&self.place);
        self.look_at_file()?;
        let Ok(space) = self.place.fs.space(self.place.layout.root()) else {
            return Ok(());
        };
        let seen = self.space.look(space.free, &self.place.health, now);
        if let Some(entry) = seen.entry {
            self.own.push(entry);
        }
        self.ask_sealer(seen.jobs);
        let Place { fs, layout, .. } = &self.place;
        if self.space.is_enough() && self.retry.is_none() && self.root.is_there(&**fs, layout) {
            self.reserve.fill(&**fs);
        }
        Ok(())
    }

    fn look_at_file(&mut self) -> Result<()> {
        let Place { fs, layout, .. } = &self.place;
        let Current::Open(live) = &self.current else {
            return Ok(());
        };
        let path = layout.live(live.stem());
        let change = live
            .changed(&**fs, layout, &self.root)
            .map_err(Error::io("look at", path))?;
        change.map_or(Ok(()), |change| self.mend(change))
    }

    /// Moves away what could not be moved before. Nothing else is written until that succeeds:
    /// after a death, recovery could not distinguish our lines from foreign ones.
    fn clear_the_way(&mut self) -> Result<()> {
        while let Some(stem) = self.in_the_way.last() {
            self.root.check(&*self.place.fs, &self.place.layout)?;
            set_aside(&*self.place.fs, &self.place.layout, stem)?;
            self.in_the_way.pop();
        }
        Ok(())
    }

    pub(super) fn ask_sealer(&self, jobs: Vec<Job>) {
        // Without a sealer nothing is pruned; the end of the sealer was reported.
        jobs.into_iter()
            .for_each(|job| drop(self.place.sealer.send(job)));
    }

    /// Everything is durable: the journal can go. It is emptied durably first, so it does no harm
    /// if a power loss brings it back.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Place { fs, layout, .. } = &self.place;
        self.durability.close();
        self.reserve.release(&**fs);
        self.consumer
            .sync_header()
            .map_err(Error::io("sync", self.watch.journal()))?;
        self.watch.remove_journal(&**fs, layout)
    }
}

#[cfg(test)]
#[path = "writer_tests/mod.rs"]
mod tests;
