//! The list of sealed files, kept so that not each question lists thousands of names.
//!
//! A file is filed under the day of its birth by its writer's clock, and that can be any day: a
//! machine without a clock of its own begins in 1970, and a clock that is wrong is put right. So no
//! day is ever over. The directory's own time of change says whether a file came or went, and a
//! look at that costs a microsecond. A question looks at all its days. A follower knows what came
//! from `live/`, by the numbers of the files there. It looks at all days when a number is missing;
//! else it looks every few seconds, because a file may have been sealed and removed from `live/`
//! between two of its polls. All followers share these looks, and each is given the files of the
//! days that have changed since its last one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::sealed::SealedFiles;
use crate::{
    entry::Day,
    error::{Error, Result},
    store::{fs::Stamp, names::FileStem},
};

/// How often all days are looked at for followers that miss no number.
const ALL_EVERY: Duration = Duration::from_secs(5);
/// File systems note times in steps of some milliseconds, the coarsest of two seconds. A file that
/// comes in the same step as a listing changes no time, so a directory is listed once more after
/// this.
const STEP: Duration = Duration::from_secs(3);
/// How many names are held, at some 150 bytes each. Of a log with more files, the oldest days are
/// listed again for each question.
const HELD: usize = 100_000;

/// The days of a log, as they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Days {
    root: Directory,
    days: BTreeMap<Day, OfDay>,
    /// How many listings brought files.
    changes: u64,
    /// When all days were looked at for followers.
    looked: Option<Instant>,
    /// Files that are gone since they were listed, until somebody takes note.
    gone: Vec<FileStem>,
}

/// How much a follower has seen of the days.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The last of the changes that it was given.
    change: u64,
    /// Why days can't be listed, as it was reported.
    refused: BTreeMap<Day, String>,
}

/// The answer to a follower.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// The files of all days that have changed: each that came at least once, some again.
    pub(crate) files: Vec<FileStem>,
    /// Days that can't be listed, and why; each once until it changes.
    pub(crate) refused: Vec<(Day, String)>,
}

/// The files of one day.
#[derive(Debug, Default)]
struct OfDay {
    directory: Directory,
    /// In order; `None` if they are not held.
    stems: Option<Vec<FileStem>>,
    /// The last of the changes that brought files of this day.
    change: u64,
    /// Why it could not be listed.
    refused: Option<String>,
}

/// A directory as it was when it was listed last.
#[derive(Debug, Default)]
struct Directory {
    /// Which state that was, and since when it is known. Without, it is listed on each look.
    seen: Option<(Stamp, Instant)>,
    /// It was listed when its step was over.
    settled: bool,
}

impl Seen {
    /// Whether there are days that can't be listed, with who knows which files.
    pub(crate) fn is_blind(&self) -> bool {
        !self.refused.is_empty()
    }
}

impl Days {
    /// The files there are now, of this day and all after it. An error if one of these days can't
    /// be listed.
    pub(super) fn since(
        &mut self,
        sealed: &dyn SealedFiles,
        first: Option<Day>,
    ) -> Result<BTreeSet<FileStem>> {
        self.look_for_days(sealed, true)?;
        let mut all = Vec::new();
        for (day, of_day) in &mut self.days {
            if first.is_none_or(|first| *day >= first) {
                of_day.look(sealed, *day, true, &mut self.changes, &mut self.gone)?;
                all.extend_from_slice(of_day.stems(sealed, *day)?);
            }
        }
        self.let_go();
        Ok(all.into_iter().collect())
    }

    /// The files that came since this follower's last call. A file that it never saw live may come
    /// some seconds later, unless `all` are wanted.
    pub(super) fn came(
        &mut self,
        sealed: &dyn SealedFiles,
        seen: &mut Seen,
        all: bool,
    ) -> Result<Came> {
        let due = all || self.looked.is_none_or(|last| last.elapsed() >= ALL_EVERY);
        if due {
            self.look_for_days(sealed, all)?;
            self.looked = Some(Instant::now());
        }
        let mut came = Came::default();
        let mut refused = BTreeMap::new();
        for (day, of_day) in &mut self.days {
            if due || of_day.refused.is_some() {
                // Why is reported below, and the day is tried again on each look.
                let _ = of_day.look(sealed, *day, all, &mut self.changes, &mut self.gone);
            }
            if of_day.refused.is_none()
                && of_day.change > seen.change
                && let Ok(stems) = of_day.stems(sealed, *day)
            {
                came.files.extend_from_slice(stems);
            }
            if let Some(why) = &of_day.refused {
                refused.insert(*day, why.clone());
            }
        }
        let news = refused
            .iter()
            .filter(|(day, why)| seen.refused.get(day) != Some(why));
        came.refused = news.map(|(day, why)| (*day, why.clone())).collect();
        seen.change = self.changes;
        seen.refused = refused;
        self.let_go();
        Ok(came)
    }

    /// The files that are gone since the last call of this.
    pub(super) fn take_gone(&mut self) -> Vec<FileStem> {
        std::mem::take(&mut self.gone)
    }

    fn look_for_days(&mut self, sealed: &dyn SealedFiles, at_once: bool) -> Result<()> {
        if !self
            .root
            .is_to_list(sealed.stamp(None), Instant::now(), at_once)
        {
            return Ok(());
        }
        let days = sealed.days().inspect_err(|_| self.root.seen = None)?;
        let mut before = std::mem::take(&mut self.days);
        let kept = days
            .into_iter()
            .map(|day| (day, before.remove(&day).unwrap_or_default()));
        self.days = kept.collect();
        self.gone.extend(
            before
                .into_values()
                .filter_map(|of_day| of_day.stems)
                .flatten(),
        );
        Ok(())
    }

    /// Holds no more names than are allowed.
    fn let_go(&mut self) {
        let held = |of_day: &OfDay| of_day.stems.as_ref().map_or(0, Vec::len);
        let mut count: usize = self.days.values().map(held).sum();
        for of_day in self.days.values_mut() {
            if count <= HELD {
                break;
            }
            count -= held(of_day);
            of_day.stems = None;
        }
    }
}

impl OfDay {
    /// Lists the day if it may have changed.
    fn look(
        &mut self,
        sealed: &dyn SealedFiles,
        day: Day,
        at_once: bool,
        changes: &mut u64,
        gone: &mut Vec<FileStem>,
    ) -> Result<()> {
        let stamp = sealed.stamp(Some(day));
        if !self.directory.is_to_list(stamp, Instant::now(), at_once) {
            return Ok(());
        }
        let stems = sealed.list(day).inspect_err(|e| self.refuse(e))?;
        self.refused = None;
        let before = self.stems.take();
        let is_new = |stem| {
            before
                .as_ref()
                .is_none_or(|before| before.binary_search(stem).is_err())
        };
        if stems.iter().any(is_new) {
            *changes += 1;
            self.change = *changes;
        }
        let is_gone = |stem: &FileStem| stems.binary_search(stem).is_err();
        gone.extend(before.into_iter().flatten().filter(is_gone));
        self.stems = Some(stems);
        Ok(())
    }

    /// Its files, which are listed again if they are not held.
    fn stems(&mut self, sealed: &dyn SealedFiles, day: Day) -> Result<&[FileStem]> {
        if self.stems.is_none() {
            let stems = sealed.list(day).inspect_err(|e| self.refuse(e))?;
            self.stems = Some(stems);
        }
        Ok(self.stems.as_deref().unwrap_or_default())
    }

    fn refuse(&mut self, why: &Error) {
        self.directory.seen = None;
        self.stems = None;
        self.refused = Some(why.without_path());
    }
}

impl Directory {
    /// Whether it may hold what it didn't when it was listed last. Then it must be listed now.
    fn is_to_list(&mut self, stamp: Option<Stamp>, now: Instant, at_once: bool) -> bool {
        match (stamp, self.seen) {
            (Some(stamp), Some((seen, since))) if stamp == seen => {
                let over = now.duration_since(since) >= STEP;
                let was_settled = self.settled;
                self.settled |= over;
                !was_settled && (over || at_once)
            }
            _ => {
                self.seen = stamp.map(|stamp| (stamp, now));
                self.settled = false;
                true
            }
        }
    }
}

#[cfg(test)]
#[path = "days_tests.rs"]
mod tests;
