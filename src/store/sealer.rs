//! The sealer thread: seals rotated files, removes their live twins after a grace, recovers what
//! dead processes left, prunes.
//!
//! The sealer works behind the writer and never holds up the writer or an `open`. Each of its steps
//! can be interrupted and done again, by this process or another one. The leftovers of thousands of
//! short processes are taken in turns, journals first: few streams are locked at a time, none
//! longer than the work on it takes, and a process that ends soon does a little more work than it
//! leaves to others.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use super::{
    clock::Clock,
    finished::Written,
    fs::{Fs, FsLock},
    gzip::Level,
    health::{Health, Problem},
    layout::Layout,
    names::FileStem,
    prune::Pruner,
    rebuild::remove_orphans,
    repair::repair_finished,
    retention::Retention,
    root::Root,
    seal,
    take_over::Failed,
    twins::Twins,
};
use crate::{entry::StreamId, error::Error};

/// A request to the sealer.
#[derive(Debug)]
pub(crate) enum Job {
    /// Seal a file that is complete.
    Seal(Written),
    /// Remove what is past its retention, now.
    Prune,
    /// Remove the live twins of sealed files, whatever is left of their grace.
    RemoveTwins,
    /// Remove the oldest files, however young, until so many bytes are free.
    MakeRoom(u64),
    /// Look whether to stop.
    Stop,
}

/// How the sealer works.
#[derive(Clone, Debug)]
pub(crate) struct SealerOptions {
    pub(crate) level: Level,
    /// How long a sealed file's live twin stays, because a program may be reading it.
    pub(crate) grace: Duration,
    pub(crate) retention: Retention,
}

/// The parts that the sealer works with; none of them changes.
pub(super) struct SealerPlace {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) layout: Layout,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    pub(super) options: SealerOptions,
    /// Our own stream, whose files are not leftovers.
    pub(super) own: StreamId,
    /// Set when the log closes: the file at hand is finished, the rest is left to the next process.
    pub(super) stopping: Arc<AtomicBool>,
}

pub(super) struct Sealer {
    pub(super) place: SealerPlace,
    root: Root,
    pub(super) pruner: Pruner,
    jobs: Receiver<Job>,
    pub(super) queue: VecDeque<Pending>,
    pub(super) twins: Twins,
    /// Streams that may have something to recover, those with a journal first.
    pub(super) left: VecDeque<StreamId>,
    pub(super) failed: Failed,
    /// Streams without a journal that had a broken file: each is recovered once.
    tried: BTreeSet<StreamId>,
    /// When it was last looked for what is left, and pruned.
    maintained: Duration,
    /// When it was last looked for indexes without a file.
    orphans_looked_for: Duration,
}

/// A file to be sealed.
pub(super) struct Pending {
    pub(super) stem: FileStem,
    /// The entries that its writer put into it, if it is our own.
    pub(super) written: Option<Written>,
    /// Whether a dead process left it.
    left: bool,
    /// Whether a change by someone else was set aside.
    repaired: bool,
    not_before: Duration,
    pause: Duration,
}

const MAINTENANCE: Duration = Duration::from_secs(60);
pub(super) const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A backlog of this many files is sealed at the fast level.
const BEHIND: usize = 2;
/// So many files of dead processes are sealed by a process that ends.
const LAST_FILES: usize = 2;
/// How often it is looked for indexes without a file.
const ORPHANS: Duration = Duration::from_secs(3600);
/// A file of so many bytes is sealed in no time.
const SMALL: u64 = 1 << 20;

impl Sealer {
    pub(super) fn new(place: SealerPlace, pruner: Pruner, jobs: Receiver<Job>) -> Self {
        Self {
            twins: Twins::new(place.options.grace),
            root: Root::of(&*place.fs, &place.layout),
            place,
            pruner,
            jobs,
            queue: VecDeque::new(),
            left: VecDeque::new(),
            failed: Failed::default(),
            tried: BTreeSet::new(),
            maintained: Duration::ZERO,
            orphans_looked_for: Duration::ZERO,
        }
    }

    /// Runs until the log stops it or the writer is gone.
    pub(super) fn run(mut self) {
        self.begin();
        loop {
            if self.place.stopping.load(Ordering::Acquire) {
                return self.wind_up();
            }
            let wait = self.turn();
            match self.jobs.recv_timeout(wait) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    pub(super) fn begin(&mut self) {
        self.look_for_left();
        // Their events come before anything else.
        self.recover_some();
        self.report_damaged();
        self.prune(self.place.options.retention);
        self.maintained = self.place.clock.monotonic();
        self.orphans_looked_for = self.maintained;
    }

    /// Whether the directory still has its name; another directory of that name is not ours.
    pub(super) fn has_its_directory(&self) -> bool {
        self.root.is_there(&*self.place.fs, &self.place.layout)
    }

    /// Does a part of the work that there is; returns how long to wait before the next.
    pub(super) fn turn(&mut self) -> Duration {
        if !self.has_its_directory() {
            return RETRY.1;
        }
        let now = self.place.clock.monotonic();
        if now.saturating_sub(self.maintained) >= MAINTENANCE {
            self.maintained = now;
            self.look_for_left();
            self.prune(self.place.options.retention);
            self.look_for_orphans(now);
        }
        self.recover_some();
        self.work()
            .map_or(MAINTENANCE, |wait| wait.min(MAINTENANCE))
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Seal(written) => self.add_own(written),
            Job::Prune => self.prune(self.place.options.retention),
            Job::RemoveTwins => self.remove_all_twins(),
            Job::MakeRoom(bytes) => self.prune(self.place.options.retention.at_least_free(bytes)),
            Job::Stop => {}
        }
    }

    /// Takes the requests that are there, without waiting for more.
    #[cfg(test)]
    pub(super) fn take_all(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.take(job);
        }
    }

    /// The process ends. Without this, many short processes would leave more and more files.
    pub(super) fn wind_up(&mut self) {
        if !self.has_its_directory() {
            return;
        }
        self.recover_some();
        let mut sealed = 0;
        while let Some(pending) = self.queue.pop_front() {
            if pending.left && sealed < LAST_FILES && self.is_small(&pending.stem) {
                sealed += 1;
                self.seal(pending);
            }
        }
        self.remove_twins();
    }

    fn is_small(&self, stem: &FileStem) -> bool {
        let path = self.place.layout.live(stem);
        let found = self.place.fs.identity(&path);
        found.is_ok_and(|found| found.is_some_and(|found| found.len <= SMALL))
    }

    /// Whether a file is no longer there, neither live nor sealed.
    pub(super) fn is_gone(&self, stem: &FileStem) -> bool {
        let SealerPlace { fs, layout, .. } = &self.place;
        let gone = |path: PathBuf| matches!(fs.identity(&path), Ok(None));
        gone(layout.live(stem)) && gone(layout.sealed(stem))
    }

    /// A file that a dead process left.
    pub(super) fn add_left(&mut self, stem: FileStem) {
        self.queue_up(stem, None, true);
    }

    fn add_own(&mut self, written: Written) {
        self.queue_up(written.stem.clone(), Some(written), false);
    }

    pub(super) fn queue_up(&mut self, stem: FileStem, written: Option<Written>, left: bool) {
        self.queue.push_back(Pending {
            stem,
            left,
            written,
            repaired: false,
            not_before: Duration::ZERO,
            pause: RETRY.0,
        });
        self.count_backlog();
    }

    fn count_backlog(&self) {
        let backlog = self.place.health.seal_backlog();
        backlog.store(self.queue.len() as u64, Ordering::Relaxed);
    }

    /// Seals one file and removes the twins whose grace is over; returns how long to wait for more
    /// work.
    fn work(&mut self) -> Option<Duration> {
        let now = self.place.clock.monotonic();
        let ready = |pending: &Pending| pending.not_before <= now;
        if let Some(at) = self.queue.iter().position(ready)
            && let Some(pending) = self.queue.remove(at)
        {
            self.seal(pending);
        }
        self.remove_twins();
        let now = self.place.clock.monotonic();
        let sealing = self.queue.iter().map(|pending| pending.not_before);
        let others = [self.twins.next(), self.failed.next()];
        let next = sealing.chain(others.into_iter().flatten()).min();
        if !self.left.is_empty() {
            return Some(Duration::ZERO);
        }
        next.map(|at| at.saturating_sub(now))
    }

    fn seal(&mut self, mut pending: Pending) {
        let lock = match self.lock_left(&pending) {
            Ok(lock) => lock,
            // Another process seals it, or the next look for leftovers finds it again.
            Err(problem) => {
                if let Some(problem) = problem {
                    self.report_failed(&problem);
                }
                return self.count_backlog();
            }
        };
        match self.is_changed(&pending) {
            Ok(false) => {}
            Ok(true) => return self.make_up_and_seal(pending),
            Err(error) => return self.seal_later(pending, &error),
        }
        let SealerPlace {
            fs,
            layout,
            clock,
            health,
            options,
            ..
        } = &self.place;
        let level = match self.queue.len() {
            0..BEHIND => options.level,
            _ => Level::FASTEST,
        };
        match seal::seal_sound(&**fs, layout, &pending.stem, level) {
            Ok(index) => {
                // Foreign lines of the same length stand in the place of the missing ones.
                let entries = pending.written.as_ref().map(Written::entries);
                if entries.is_some_and(|entries| entries != index.lines)
                    && let Err(error) = self.record_missing(&mut pending)
                {
                    return self.seal_later(pending, &error);
                }
                health.count(health.sealed(), 1);
                let stream = pending.stem.stream.clone();
                self.twins.add(pending.stem, clock.monotonic());
                // A dead stream whose files are all sealed no longer needs its lock.
                let more = self.queue.iter().any(|other| other.stem.stream == stream);
                if let Some(lock) = lock.filter(|_| !more) {
                    let _ = lock.remove();
                }
            }
            // The file was sealed before, and pruned since.
            Err(_) if pending.left && self.is_gone(&pending.stem) => {}
            Err(error) => {
                let damaged = matches!(error, Error::Damaged { .. });
                if damaged && !pending.left {
                    health.count(health.seal_errors(), 1);
                    return self.make_up_and_seal(pending);
                }
                if damaged && self.tried.insert(pending.stem.stream.clone()) {
                    // The stream's journal is gone, but the file is not whole.
                    health.count(health.seal_errors(), 1);
                    self.left.push_back(pending.stem.stream);
                    return self.count_backlog();
                }
                return self.seal_later(pending, &error);
            }
        }
        self.count_backlog();
    }

    /// One of our own files was changed after it was finished.
    fn make_up_and_seal(&mut self, mut pending: Pending) {
        match self.make_up(&mut pending) {
            Ok(None) => {}
            Ok(Some(true)) if !pending.repaired => {
                pending.repaired = true;
                self.queue.push_front(pending);
            }
            Ok(Some(_)) => {
                // Either someone keeps changing the file, or the repair failed, which was reported.
                pending.repaired = false;
                pending.pause = RETRY.1;
                self.queue_later(pending);
            }
            Err(error) => return self.seal_later(pending, &error),
        }
        self.count_backlog();
    }

    /// Reports why a file could not be sealed. One of our own is tried again later; one that was
    /// left is met at the next look for what is left.
    fn seal_later(&mut self, mut pending: Pending, error: &Error) {
        let health = &self.place.health;
        health.count(health.seal_errors(), 1);
        health.report(&Problem::SealFailed(error.to_string()));
        if !pending.left {
            pending.pause = (pending.pause * 2).min(RETRY.1);
            self.queue_later(pending);
        }
        self.count_backlog();
    }

    fn queue_later(&mut self, mut pending: Pending) {
        pending.not_before = self.place.clock.monotonic() + pending.pause;
        self.queue.push_back(pending);
    }

    /// Repairs one of our own files that someone changed after it was finished; true if it can be
    /// sealed now.
    pub(super) fn repair(&self, stem: &FileStem) -> bool {
        let SealerPlace {
            fs, layout, health, ..
        } = &self.place;
        let mut problems = Vec::new();
        let repaired = repair_finished(&**fs, layout, stem, &mut problems);
        for what in problems {
            health.report(&Problem::LiveFileLost(what));
        }
        repaired.unwrap_or_else(|error| {
            health.report(&Problem::SealFailed(error.to_string()));
            false
        })
    }

    /// The lock of a dead process's stream; none is needed for our own.
    fn lock_left(&self, pending: &Pending) -> Result<Option<Box<dyn FsLock>>, Option<Error>> {
        if !pending.left {
            return Ok(None);
        }
        let path = self.place.layout.lock(pending.stem.stream.as_str());
        match self.place.fs.try_lock(&path) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        }
    }

    /// Removes the indexes whose files were pruned, and reports those whose files are just gone.
    fn look_for_orphans(&mut self, now: Duration) {
        if now.saturating_sub(self.orphans_looked_for) < ORPHANS {
            return;
        }
        self.orphans_looked_for = now;
        let SealerPlace {
            fs, layout, clock, ..
        } = &self.place;
        match remove_orphans(&**fs, layout, clock.now()) {
            Ok(problems) => {
                for what in problems {
                    self.place.health.report(&Problem::SealedFileLost(what));
                }
            }
            Err(error) => self.report_failed(&error),
        }
    }

    fn prune(&mut self, retention: Retention) {
        if !self.has_its_directory() {
            return;
        }
        let SealerPlace { clock, health, .. } = &self.place;
        self.pruner.turn(&**clock, health, &retention);
    }
}
