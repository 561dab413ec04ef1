//! What an operator does with a directory, at once and to the end: recover, prune, or only look
//! what there would be to do.
//!
//! The same steps as the sealer thread's, with the same locks, so that both may be at work.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Store,
    clock::SystemClock,
    files::Files,
    fs::{Fs, OsFs},
    gzip::Level,
    hold,
    layout::Layout,
    names::FileStem,
    prepare::{check_format, check_writable},
    prune::{self, Preview, Pruned, Pruner},
    recover,
    retention::Retention,
    seal,
    sealer::remove_twin,
    survey::Survey,
    trusted_time,
};
use crate::{
    error::{Error, Result},
    record::{OwnRecord, Severity, Source, StreamId},
};

/// What was done with one stream that a dead process left.
#[derive(Debug)]
pub(crate) struct Rescued {
    pub(crate) stream: StreamId,
    /// How many records came from its journal.
    pub(crate) records: u64,
    /// How many files were sealed, or were before.
    pub(crate) sealed: u64,
    /// What could not be done, and where it is.
    pub(crate) problems: Vec<String>,
}

/// Makes whole what dead processes left, seals it and removes the live twins, one stream after the
/// other. Those of living processes are left alone.
pub(crate) fn recover_now(dir: &Path, mut done: impl FnMut(Rescued)) -> Result<()> {
    let (fs, layout, clock) = (OsFs, Layout::of(dir), SystemClock::new());
    fs.check_owner(layout.root())?;
    check_writable(&fs, &layout)?;
    for stream in Survey::take(&fs, &layout)?.streams(&fs, &layout)? {
        let mut rescued = Rescued {
            stream: stream.clone(),
            records: 0,
            sealed: 0,
            problems: Vec::new(),
        };
        let recovered = match recover::recover(&fs, &layout, &clock, &stream) {
            Ok(None) => continue,
            Ok(Some(recovered)) => recovered,
            Err(error) => {
                rescued.problems.push(error.to_string());
                done(rescued);
                continue;
            }
        };
        rescued.records = recovered.records;
        rescued.problems = recovered.problems;
        for stem in &recovered.files {
            let level = Level::new(6).unwrap_or(Level::FASTEST);
            let sealed = seal::seal_sound(&fs, &layout, stem, level);
            match sealed.and_then(|_| remove_twin(&fs, &layout, stem)) {
                Ok(()) => rescued.sealed += 1,
                Err(error) => rescued.problems.push(error.to_string()),
            }
        }
        // With files left to seal the lock's file stays, and whoever comes next finds them.
        if rescued.sealed == recovered.files.len() as u64 {
            recovered.lock.remove()?;
        }
        done(rescued);
    }
    // The twins of what was sealed before; their grace is cut short.
    for stem in Survey::take(&fs, &layout)?.all_live() {
        if !fs.is_locked(&layout.lock(stem.stream.as_str()))? && is_sealed(&fs, &layout, stem)? {
            remove_twin(&fs, &layout, stem)?;
        }
    }
    Ok(())
}

fn is_sealed(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<bool> {
    let path = layout.sealed(stem);
    let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
    Ok(found.is_some())
}

/// What pruning would remove now, if the clock is trusted or, with `trust_clock`, were it.
pub(crate) fn would_prune(dir: &Path, retention: &Retention, trust_clock: bool) -> Result<Preview> {
    let (fs, layout) = (Arc::new(OsFs), Layout::of(dir));
    check_format(&layout)?;
    let files = Files::new(fs, layout);
    prune::preview(&SystemClock::new(), &files, retention, trust_clock)
}

/// The lock that is held by whoever prunes a log or changes its holds.
pub(crate) fn prune_lock(layout: &Layout) -> PathBuf {
    layout.lock(hold::LOCK)
}

impl Store {
    /// Removes what is past this retention, and says what went; `None` if another process is
    /// pruning.
    pub(crate) fn prune_now(&self, retention: &Retention) -> Result<Option<Pruned>> {
        let source: Source = self.stream.source().parse()?;
        let files = Arc::new(Files::new(Arc::new(OsFs), self.layout.clone()));
        let mut pruner = Pruner::new(files, self.producer.clone(), self.durability, source);
        pruner.prune(&SystemClock::new(), retention)
    }

    /// Records that a person has checked the clock, then believes it.
    pub(crate) fn trust_clock(&self) -> Result<()> {
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        trusted_time::trust(&fs, &self.layout, &SystemClock::new(), |now| {
            self.record(
                &OwnRecord::new(
                    "audit.log.clock_trusted",
                    Severity::Warning,
                    "Someone confirmed the clock; files past their retention by it are removed",
                )
                .detail("clock", now.to_string()),
            )
        })
    }
}
