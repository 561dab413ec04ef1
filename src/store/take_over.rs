//! How the sealer takes over what dead processes left: their journals first, then their files.
//!
//! The leftovers of thousands of short processes are taken in turns. A stream whose recovery fails
//! is tried again, with pauses up to a minute: a disk that is full now has room later.

use std::{collections::BTreeSet, time::Duration};

use super::{
    fs::{Fs, FsLock},
    health::Problem,
    layout::Layout,
    names::FileStem,
    recover::{self, damaged_journals},
    sealer::{RETRY, Sealer, SealerPlace},
    survey::{LiveFiles, Survey},
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
};

/// So many streams of dead processes are held at a time, with a descriptor each.
const LOCKS: usize = 8;

/// Streams whose recovery failed, as on a full disk, and when it is tried again.
#[derive(Default)]
pub(super) struct Failed {
    streams: Vec<StreamId>,
    pause: Duration,
    at: Duration,
}

impl Failed {
    fn add(&mut self, stream: StreamId) {
        self.streams.push(stream);
    }

    /// Some may have been added now.
    fn wait(&mut self, now: Duration) {
        if self.streams.is_empty() {
            self.pause = Duration::ZERO;
        } else if self.at <= now {
            self.pause = (self.pause * 2).clamp(RETRY.0, RETRY.1);
            self.at = now + self.pause;
        }
    }

    fn take_due(&mut self, now: Duration) -> Vec<StreamId> {
        match self.at <= now {
            true => std::mem::take(&mut self.streams),
            false => Vec::new(),
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        (!self.streams.is_empty()).then_some(self.at)
    }
}

impl Sealer {
    /// Looks which streams have something left, and which twins.
    pub(super) fn look_for_left(&mut self) {
        match self.find_left() {
            Ok(unsealed) => unsealed.into_iter().for_each(|stem| self.add_left(stem)),
            Err(error) => self.report_failed(&error),
        }
    }

    /// The files that need no recovery but to be sealed.
    fn find_left(&mut self) -> Result<Vec<FileStem>> {
        let SealerPlace {
            fs,
            layout,
            clock,
            own,
            ..
        } = &self.place;
        let survey = Survey::take(&**fs, layout)?;
        let LiveFiles {
            mut unsealed,
            twins,
        } = survey.live_files(&**fs, layout)?;
        let mut busy: BTreeSet<_> = self.queue.iter().map(|p| p.stem.stream.clone()).collect();
        busy.insert(own.clone());
        for (stem, sealed) in twins {
            if !busy.contains(&stem.stream) {
                self.twins
                    .found(stem, sealed, clock.now(), clock.monotonic());
            }
        }
        busy.extend(self.left.iter().chain(&self.failed.streams).cloned());
        let left = survey.journals().iter().chain(survey.remains(&unsealed));
        let left = left.filter(|stream| !busy.contains(stream));
        self.left.extend(left.cloned());
        let left = self.left.make_contiguous();
        left.sort_by_key(|stream| !survey.has_journal(stream));
        // Without a journal the files are whole: the log was closed, or recovered before.
        unsealed.retain(|stem| !survey.has_journal(&stem.stream) && !busy.contains(&stem.stream));
        if !unsealed.is_empty() {
            sync_journals(&**fs, layout)?;
        }
        Ok(unsealed)
    }

    /// Takes over some streams of processes that died.
    pub(super) fn recover_some(&mut self) {
        let now = self.place.clock.monotonic();
        self.left.extend(self.failed.take_due(now));
        let locked = self.lock_some();
        if !locked.is_empty() {
            self.recover_locked(locked);
        }
        self.failed.wait(self.place.clock.monotonic());
    }

    fn lock_some(&mut self) -> Vec<(StreamId, Box<dyn FsLock>)> {
        let mut locked = Vec::new();
        while locked.len() < LOCKS
            && let Some(stream) = self.left.pop_front()
        {
            let lock = self.place.layout.lock(stream.as_str());
            match self.place.fs.try_lock(&lock) {
                Ok(Some(lock)) => locked.push((stream, lock)),
                // Its process lives.
                Ok(None) => {}
                Err(error) => {
                    self.report_failed(&error);
                    self.failed.add(stream);
                }
            }
        }
        locked
    }

    fn recover_locked(&mut self, locked: Vec<(StreamId, Box<dyn FsLock>)>) {
        let fs = self.place.fs.clone();
        let layout = self.place.layout.clone();
        // After the locks were taken, no other process changes what is seen now.
        let survey = match Survey::take(&*fs, &layout) {
            Ok(survey) => survey,
            Err(error) => {
                locked
                    .into_iter()
                    .for_each(|(stream, _)| self.failed.add(stream));
                return self.report_failed(&error);
            }
        };
        for (stream, lock) in locked {
            let clock = &*self.place.clock;
            match recover::recover_locked(&*fs, &layout, clock, &stream, &survey, lock) {
                Ok(recovered) => self.recovered(recovered),
                Err(error) => {
                    self.report_failed(&error);
                    self.failed.add(stream);
                }
            }
        }
    }

    fn recovered(&mut self, recovered: recover::Recovered) {
        let health = &self.place.health;
        health.count(health.recovered(), recovered.entries);
        for what in recovered.problems {
            health.report(&Problem::RecoveryFailed(what));
        }
        if recovered.files.is_empty() {
            let _ = recovered.lock.remove();
        }
        // Otherwise the lock's file stays until they are sealed.
        for stem in recovered.files {
            self.add_left(stem);
        }
    }

    pub(super) fn report_failed(&self, error: &Error) {
        let problem = Problem::RecoveryFailed(error.to_string());
        self.place.health.report(&problem);
    }

    /// Each process reports the journals that were set aside before, until a person has moved them
    /// away.
    pub(super) fn report_damaged(&self) {
        let dir = self.place.layout.journal_dir();
        match damaged_journals(&*self.place.fs, &dir) {
            Ok(names) => {
                for name in names {
                    let path = dir.join(name);
                    let what = format!(
                        "{} was set aside as damaged: events in it may be missing from the \
                         log; examine it, then move it out of the log's directory",
                        path.display()
                    );
                    self.place.health.report(&Problem::RecoveryFailed(what));
                }
            }
            Err(error) => self.report_failed(&error),
        }
    }
}

/// Makes it durable that streams have no journal. The process that removed one may have died before
/// that, and a journal that a power loss brings back after its stream's files are sealed is
/// recovered again: its events would be in the log twice.
pub(super) fn sync_journals(fs: &dyn Fs, layout: &Layout) -> Result<()> {
    let dir = layout.journal_dir();
    fs.sync_dir(&dir).map_err(Error::io("sync", dir))
}
