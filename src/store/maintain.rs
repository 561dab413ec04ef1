//! The work of an operator on a log, at once and to the end: recover, prune, or only look which
//! files a pruning would remove.
//!
//! The same steps as the sealer thread's, with the same locks, so that both may be at work.

use std::{path::Path, sync::Arc};

use super::{
    Store,
    clock::SystemClock,
    files::Files,
    fs::{Fs, OsFs},
    gzip::Level,
    hold,
    layout::Layout,
    names::FileStem,
    prepare::check_writable,
    prune::{self, Pruned, Pruner},
    recover,
    retention::Retention,
    seal,
    survey::Survey,
    trusted_time,
    twins::remove_twin,
    unread::Readers,
};
use crate::{
    entry::{OwnEntry, Severity, Source, StreamId},
    error::{Error, Result},
};

/// A stream that a dead process left, as [`AuditLog::recover`](crate::AuditLog::recover) has
/// completed it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveredStream {
    /// The stream.
    pub stream: StreamId,
    /// The number of entries that were taken from its journal.
    pub entries: u64,
    /// The number of its files that are sealed now.
    pub sealed_files: u64,
    /// Each failure in a sentence, with the file. The next recovery tries again.
    pub problems: Vec<String>,
}

/// Makes whole what dead processes left, seals it and removes the live twins, one stream after the
/// other. Streams of living processes are left alone.
pub(crate) fn recover_all(dir: &Path, mut done: impl FnMut(RecoveredStream)) -> Result<()> {
    let fs = OsFs;
    let layout = Layout::of(dir);
    let clock = SystemClock::new();
    fs.check_owner(layout.root())?;
    check_writable(&fs, &layout)?;
    // A backup may have no directories for what belongs to processes.
    fs.claim(&layout, None)?;
    for stream in Survey::take(&fs, &layout)?.streams(&fs, &layout)? {
        let mut completed = RecoveredStream {
            stream: stream.clone(),
            entries: 0,
            sealed_files: 0,
            problems: Vec::new(),
        };
        let recovered = match recover::recover(&fs, &layout, &clock, &stream) {
            Ok(None) => continue,
            Ok(Some(recovered)) => recovered,
            Err(error) => {
                completed.problems.push(error.to_string());
                done(completed);
                continue;
            }
        };
        completed.entries = recovered.entries;
        completed.problems = recovered.problems;
        for stem in &recovered.files {
            let level = Level::new(6).unwrap_or(Level::FASTEST);
            let sealed = seal::seal_sound(&fs, &layout, stem, level);
            match sealed.and_then(|_| remove_twin(&fs, &layout, stem)) {
                Ok(changed) => {
                    completed.problems.extend(changed);
                    completed.sealed_files += 1;
                }
                Err(error) => completed.problems.push(error.to_string()),
            }
        }
        // With files left to seal, the lock's file stays, so that the next process finds them.
        if completed.sealed_files == recovered.files.len() as u64 {
            recovered.lock.remove()?;
        }
        done(completed);
    }
    // The twins of what was sealed before; their grace is cut short.
    let mut failed = None;
    for stem in Survey::take(&fs, &layout)?.all_live() {
        match remove_left_twin(&fs, &layout, stem) {
            Ok(None) => {}
            Ok(Some(problem)) => done(RecoveredStream {
                stream: stem.stream.clone(),
                entries: 0,
                sealed_files: 0,
                problems: vec![problem],
            }),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The problem with it, if it is not what was sealed.
fn remove_left_twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<String>> {
    if fs.is_locked(&layout.lock(stem.stream.as_str()))? || !is_sealed(fs, layout, stem)? {
        return Ok(None);
    }
    remove_twin(fs, layout, stem)
}

fn is_sealed(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<bool> {
    let path = layout.sealed(stem);
    let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
    Ok(found.is_some())
}

/// The files that a pruning would remove now. With `trust_clock`, as if a person had confirmed the
/// clock.
pub(crate) fn prune_preview(
    fs: Arc<dyn Fs>,
    layout: &Layout,
    retention: &Retention,
    trust_clock: bool,
    readers: Readers,
) -> Result<Pruned> {
    let files = Files::new(fs, layout.clone()).read_by(readers);
    prune::preview(&SystemClock::new(), &files, retention, trust_clock)
}

impl Store {
    /// Removes the files that are past this retention; [`Error::Locked`] if another process prunes
    /// or changes holds.
    pub(crate) fn prune_now(&self, retention: &Retention) -> Result<Pruned> {
        let source: Source = self.stream.source().parse()?;
        let files = Files::new(Arc::new(OsFs), self.layout.clone()).read_by(self.readers);
        let files = Arc::new(files);
        let mut pruner = Pruner::new(files, self.producer.clone(), self.durability, source);
        let pruned = pruner.prune(&SystemClock::new(), &retention.fixed())?;
        pruned.ok_or_else(|| Error::Locked {
            path: self.layout.lock(hold::LOCK),
        })
    }

    /// Records that a person has checked the clock, then believes it.
    pub(crate) fn trust_clock(&self) -> Result<()> {
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        trusted_time::trust(&fs, &self.layout, &SystemClock::new(), |now| {
            self.record(
                &OwnEntry::new(
                    "audit.log.clock_trusted",
                    Severity::Warning,
                    "An operator confirmed that the clock is right; files that are past their \
                     retention by this clock are removed",
                )
                .detail("clock", now.to_string()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{
        prepare::prepare,
        samples::{lines, stem},
    };

    fn recovered(dir: &Path) -> (Result<()>, Vec<String>) {
        let mut problems = Vec::new();
        let result = recover_all(dir, |stream| problems.extend(stream.problems));
        (result, problems)
    }

    #[test]
    fn a_copy_without_locks_and_journals_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = prepare(&OsFs, dir.path(), None).unwrap();
        fs::write(layout.live(&stem(1)), lines(1, 100)).unwrap();
        for of_processes in [layout.locks_dir(), layout.journal_dir(), layout.tmp_dir()] {
            fs::remove_dir_all(of_processes).unwrap();
        }
        let (result, problems) = recovered(dir.path());
        result.unwrap();
        assert_eq!(problems, [""; 0]);
        assert!(layout.sealed(&stem(1)).exists());
    }

    #[test]
    fn a_twin_that_differs_keeps_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let layout = prepare(&OsFs, dir.path(), None).unwrap();
        for number in 1..=3 {
            let text = lines(u64::from(number) * 1000, 100);
            fs::write(layout.live(&stem(number)), text).unwrap();
            seal::seal(&OsFs, &layout, &stem(number), Level::FASTEST).unwrap();
        }
        fs::write(layout.live(&stem(1)), "not ours\n").unwrap();
        let (result, problems) = recovered(dir.path());
        result.unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(&stem(1).to_string()), "{problems:?}");
        let left = [1, 2, 3].map(|number| layout.live(&stem(number)).exists());
        assert_eq!(left, [false; 3]);
        let aside = fs::read_dir(layout.aside_dir()).unwrap();
        assert_eq!(aside.count(), 1);
    }

    #[test]
    fn a_lock_that_is_a_pipe_and_a_journal_without_end_keep_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let layout = prepare(&OsFs, dir.path(), None).unwrap();
        let endless = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
        let stream = |name: &str| name.parse::<StreamId>().unwrap();
        let ring = layout.ring(&stream("app-00000a"));
        endless(&ring);
        endless(&layout.pointer(&stream("app-00000b")));
        fs::write(layout.ring(&stream("app-00000c")), "").unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let lock = layout.lock("app-00000c");
        rustix::fs::mkfifoat(rustix::fs::CWD, lock, mode).unwrap();
        let (result, problems) = recovered(dir.path());
        result.unwrap();
        for what in [
            "no journal has",
            "nothing that is kept",
            "not a regular file",
        ] {
            let told = problems.iter().filter(|problem| problem.contains(what));
            assert_eq!(told.count(), 1, "{what}: {problems:#?}");
        }
        assert!(ring.with_extension("ring.damaged").exists());
        let keys = layout.document("hash-keys");
        endless(&keys);
        assert!(crate::store::keys::hash_keys(&layout).is_err());
    }
}
