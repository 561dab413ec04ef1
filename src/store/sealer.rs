//! The sealer thread: seals rotated files, removes their live twins after a grace, recovers what
//! dead processes left, prunes.
//!
//! It works behind the writer and never holds it up. Everything it does can be cut short and done
//! again, by it or by another process.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use super::{
    clock::Clock,
    fs::Fs,
    gzip::Level,
    health::{Health, Problem},
    layout::Layout,
    lock::Lock,
    names::FileStem,
    prune::Pruner,
    recover,
    retention::Retention,
    seal,
};
use crate::{
    error::{Error, Result},
    record::StreamId,
};

/// What the sealer is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Seal a file that is complete.
    Seal(FileStem),
    /// Remove what is past its retention, now.
    Prune,
    /// Remove the oldest files, however young, until so many bytes are free.
    MakeRoom(u64),
    /// Look whether to stop.
    Stop,
}

/// How the sealer works.
#[derive(Clone, Debug)]
pub(crate) struct SealerOptions {
    pub(crate) level: Level,
    /// How long a sealed file's live twin stays, for whoever is reading it.
    pub(crate) grace: Duration,
    pub(crate) retention: Retention,
}

pub(super) struct Sealer {
    fs: Arc<dyn Fs>,
    layout: Layout,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    options: SealerOptions,
    pruner: Pruner,
    /// Our own stream, whose files are not leftovers.
    own: StreamId,
    jobs: Receiver<Job>,
    /// Set when the log closes: the file at hand is finished, the others are left to the next
    /// process.
    stopping: Arc<AtomicBool>,
    queue: VecDeque<Pending>,
    graced: VecDeque<Graced>,
}

/// A file to be sealed.
struct Pending {
    stem: FileStem,
    /// Of the stream, if it is not ours.
    lock: Option<Arc<Lock>>,
    not_before: Duration,
    pause: Duration,
}

/// A sealed file whose live twin is still there.
struct Graced {
    stem: FileStem,
    lock: Option<Arc<Lock>>,
    until: Duration,
}

const MAINTENANCE: Duration = Duration::from_secs(60);
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A backlog of this many files is sealed at the fast level.
const BEHIND: usize = 2;

impl Sealer {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, where all of them are made"
    )]
    pub(super) fn new(
        fs: Arc<dyn Fs>,
        layout: Layout,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        options: SealerOptions,
        pruner: Pruner,
        own: StreamId,
        jobs: Receiver<Job>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Self {
            fs,
            layout,
            clock,
            health,
            options,
            pruner,
            own,
            jobs,
            stopping,
            queue: VecDeque::new(),
            graced: VecDeque::new(),
        }
    }

    /// Runs until it is told to stop or the writer is gone.
    pub(super) fn run(mut self) {
        self.prune(self.options.retention);
        let mut maintained = self.clock.monotonic();
        loop {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let now = self.clock.monotonic();
            if now.saturating_sub(maintained) >= MAINTENANCE {
                maintained = now;
                self.recover_left();
                self.prune(self.options.retention);
            }
            let next = self
                .work(now)
                .map_or(MAINTENANCE, |wait| wait.min(MAINTENANCE));
            match self.jobs.recv_timeout(next) {
                Ok(Job::Seal(stem)) => self.add(stem, None),
                Ok(Job::Prune) => self.prune(self.options.retention),
                Ok(Job::MakeRoom(bytes)) => self.prune(self.options.retention.at_least_free(bytes)),
                Ok(Job::Stop) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn add(&mut self, stem: FileStem, lock: Option<Arc<Lock>>) {
        self.queue.push_back(Pending {
            stem,
            lock,
            not_before: Duration::ZERO,
            pause: RETRY.0,
        });
        self.count_backlog();
    }

    fn count_backlog(&self) {
        self.health.seal_backlog().store(
            self.queue.len() as u64,
            std::sync::atomic::Ordering::Relaxed,
        );
    }

    /// Seals one file and removes the twins whose grace is over; says how long there is nothing to
    /// do then.
    fn work(&mut self, now: Duration) -> Option<Duration> {
        if let Some(mut pending) = self
            .queue
            .iter()
            .position(|pending| pending.not_before <= now)
            .and_then(|at| self.queue.remove(at))
        {
            let level = if self.queue.len() >= BEHIND {
                Level::FASTEST
            } else {
                self.options.level
            };
            match seal::seal(&*self.fs, &self.layout, &pending.stem, level) {
                Ok(_) => {
                    self.health.count(self.health.sealed(), 1);
                    let until = self.clock.monotonic() + self.options.grace;
                    self.graced.push_back(Graced {
                        stem: pending.stem,
                        lock: pending.lock,
                        until,
                    });
                }
                Err(error) => {
                    self.health.count(self.health.seal_errors(), 1);
                    self.health.report(&Problem::SealFailed(error.to_string()));
                    // A damaged file is not going to get better, but someone may repair it.
                    pending.pause = if matches!(error, Error::Damaged { .. }) {
                        RETRY.1
                    } else {
                        (pending.pause * 2).min(RETRY.1)
                    };
                    pending.not_before = self.clock.monotonic() + pending.pause;
                    self.queue.push_back(pending);
                }
            }
            self.count_backlog();
        }
        let now = self.clock.monotonic();
        while let Some(graced) = self.graced.pop_front() {
            if graced.until > now {
                self.graced.push_front(graced);
                break;
            }
            if let Err(error) = remove_twin(&*self.fs, &self.layout, &graced.stem) {
                self.health.report(&Problem::SealFailed(error.to_string()));
            }
            // A dead stream that is all sealed needs its lock no more.
            if let Some(lock) = graced.lock.and_then(Arc::into_inner) {
                let _ = lock.remove();
            }
        }
        let sealing = self
            .queue
            .iter()
            .map(|pending| pending.not_before.saturating_sub(now))
            .min();
        let removing = self
            .graced
            .front()
            .map(|graced| graced.until.saturating_sub(now));
        sealing.into_iter().chain(removing).min()
    }

    /// Takes over the streams of processes that died.
    pub(super) fn recover_left(&mut self) {
        let busy: Vec<StreamId> = self
            .queue
            .iter()
            .map(|p| &p.stem)
            .chain(self.graced.iter().map(|g| &g.stem))
            .map(|s| s.stream.clone())
            .collect();
        let left = recover::left_streams(&*self.fs, &self.layout).map(|streams| {
            streams
                .into_iter()
                .filter(|stream| *stream != self.own && !busy.contains(stream))
                .collect::<Vec<_>>()
        });
        match left {
            Ok(streams) => {
                for stream in streams {
                    match recover::recover(&*self.fs, &self.layout, &*self.clock, &stream) {
                        Ok(Some(recovered)) => {
                            self.health
                                .count(self.health.recovered(), recovered.records);
                            recovered.problems.iter().for_each(|what| {
                                self.health.report(&Problem::RecoveryFailed(what.clone()))
                            });
                            let lock = Arc::new(recovered.lock);
                            recovered
                                .files
                                .into_iter()
                                .for_each(|stem| self.add(stem, Some(lock.clone())));
                            if let Some(lock) = Arc::into_inner(lock) {
                                let _ = lock.remove();
                            }
                        }
                        // Its process lives.
                        Ok(None) => {}
                        Err(error) => self
                            .health
                            .report(&Problem::RecoveryFailed(error.to_string())),
                    }
                }
            }
            Err(error) => self
                .health
                .report(&Problem::RecoveryFailed(error.to_string())),
        }
    }

    fn prune(&mut self, retention: Retention) {
        self.pruner.turn(
            &*self.fs,
            &self.layout,
            &*self.clock,
            &self.health,
            &retention,
        );
    }
}

/// Removes the live file whose sealed twin is whole.
pub(super) fn remove_twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<()> {
    let path = layout.live(stem);
    if !seal::verified(fs, layout, stem)? {
        return Err(Error::damaged(
            layout.sealed(stem),
            "it is not the whole of its live twin, which therefore stays",
        ));
    }
    match fs.remove_file(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::io("remove", &path)),
    }
}
