//! Which sealed files have come, without listing thousands of others again.
//!
//! In goes nothing but the directories; out come files: each that is there at least once, some
//! again. A file is filed under the day of its birth by its writer's clock, and that can be any
//! day: a machine without a clock of its own begins in 1970, and a clock that is wrong is put
//! right. So no day is ever over. What says that something came into a directory is the directory's
//! own time of change, and to look at that costs a microsecond: on each look for the days that are
//! now, every few seconds for all others. A day that can't be listed is told of, and tried again on
//! each look; the others are listed all the same.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    files::Files,
    page::{Problem, told},
};
use crate::{
    entry::{Day, Timestamp},
    error::Result,
    store::{layout::Layout, names::FileStem},
};

/// So often all days are looked at.
const ALL_EVERY: Duration = Duration::from_secs(5);
/// File systems note times in steps of some milliseconds, the coarsest of two seconds. What came in
/// the same step as what was listed changes no time, so a directory is listed once more after this.
const STEP: Duration = Duration::from_secs(3);

/// Device, inode, time of change by its content and at all.
type Stamp = (u64, u64, [i64; 4]);

/// The days of a log, as they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Days {
    root: Directory,
    days: BTreeMap<Day, Directory>,
    all: Option<Instant>,
    problems: Vec<Problem>,
}

/// A directory as it was when it was listed last.
#[derive(Debug, Default)]
struct Directory {
    /// Which state that was, and since when it is known. Without, it is listed on each look.
    seen: Option<(Stamp, Instant)>,
    /// It was listed when its step was over.
    settled: bool,
    /// Why it could not be listed.
    refused: Option<String>,
}

impl Days {
    /// The sealed files that came since the last look. Those that a wrong clock dated back may come
    /// some seconds later, unless `all` days are wanted.
    pub(super) fn look(&mut self, files: &Files, all: bool) -> Result<Vec<FileStem>> {
        let found = self.list(files, all);
        if found.is_err() {
            // What was listed on the way was given to nobody.
            *self = Self::default();
        }
        found
    }

    /// What could not be listed since the last call of this, each once until it changes.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Whether there are days that can't be listed, with who knows which files.
    pub(super) fn is_blind(&self) -> bool {
        self.days.values().any(|day| day.refused.is_some())
    }

    fn list(&mut self, files: &Files, all: bool) -> Result<Vec<FileStem>> {
        let layout = Layout::new(files.root());
        let everywhere = all || self.all.is_none_or(|last| last.elapsed() >= ALL_EVERY);
        let now = Timestamp::now().day().previous();
        let sealed = files.sealed();
        if self
            .root
            .is_to_list(stamp(&layout.sealed_dir()), Instant::now(), all)
        {
            let mut before = std::mem::take(&mut self.days);
            self.days = sealed
                .days()?
                .into_iter()
                .map(|day| (day, before.remove(&day).unwrap_or_default()))
                .collect();
        }
        let mut found = Vec::new();
        for (day, directory) in &mut self.days {
            let looked_at = everywhere || *day >= now || directory.seen.is_none();
            if !looked_at
                || !directory.is_to_list(stamp(&layout.sealed_day(*day)), Instant::now(), all)
            {
                continue;
            }
            let refused = match sealed.list(*day) {
                Ok(stems) => {
                    found.extend(stems);
                    None
                }
                Err(e) => {
                    directory.seen = None;
                    Some(told(&e))
                }
            };
            if let Some(what) = refused.as_ref().filter(|_| refused != directory.refused) {
                self.problems.push(Problem {
                    file: format!("sealed/dt={day}"),
                    what: what.clone(),
                });
            }
            directory.refused = refused;
        }
        if everywhere {
            self.all = Some(Instant::now());
        }
        Ok(found)
    }
}

impl Directory {
    /// Whether it may hold what it didn't when it was listed last. Then it must be listed now.
    fn is_to_list(&mut self, stamp: Option<Stamp>, now: Instant, at_once: bool) -> bool {
        match (stamp, self.seen) {
            (Some(stamp), Some((seen, since))) if stamp == seen => {
                let (was_settled, over) = (self.settled, now.duration_since(since) >= STEP);
                self.settled |= over;
                !was_settled && (over || at_once)
            }
            _ => {
                (self.seen, self.settled) = (stamp.map(|stamp| (stamp, now)), false);
                true
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        query::tests::{Log, Record, stem},
        store::fs::OsFs,
    };

    fn day_of(day: i64) -> FileStem {
        FileStem {
            born: Timestamp::from_micros(day * 86_400_000_000),
            ..stem(0, u32::try_from(day).unwrap() + 1)
        }
    }

    fn files(log: &Log) -> Files {
        Files::new(Arc::new(OsFs), log.layout.clone())
    }

    /// Waits until nothing is left to be listed again.
    fn settle(days: &mut Days, files: &Files) {
        let settled = |days: &Days| days.root.settled && days.days.values().all(|day| day.settled);
        while !settled(days) {
            std::thread::sleep(Duration::from_millis(50));
            days.look(files, true).unwrap();
        }
    }

    #[test]
    fn a_day_is_listed_again_only_when_something_came_into_it() {
        let log = Log::new();
        let line = |seq| vec![Record::new(0, seq, 0).line()];
        for day in 0..5 {
            log.sealed(&day_of(day), &line(1));
        }
        let files = &files(&log);
        let mut days = Days::default();
        assert_eq!(days.look(files, false).unwrap().len(), 5);
        settle(&mut days, files);
        for _ in 0..20 {
            assert_eq!(days.look(files, true).unwrap(), [], "nothing came");
        }
        let other = FileStem {
            number: 9,
            ..day_of(2)
        };
        log.sealed(&other, &line(2));
        assert_eq!(
            days.look(files, true).unwrap(),
            [day_of(2), other],
            "that day alone"
        );
        settle(&mut days, files);
        log.sealed(&day_of(7), &line(3));
        assert_eq!(days.look(files, true).unwrap(), [day_of(7)]);
        // Old days are not even looked at each time.
        settle(&mut days, files);
        days.all = Some(Instant::now());
        log.sealed(
            &FileStem {
                number: 10,
                ..day_of(2)
            },
            &line(4),
        );
        assert_eq!(days.look(files, false).unwrap(), []);
        days.all = None;
        assert_eq!(days.look(files, false).unwrap().len(), 3);
    }

    #[test]
    fn what_came_in_the_step_of_time_of_a_listing_is_looked_for_once_more() {
        let (start, mut directory) = (Instant::now(), Directory::default());
        let after = |millis| start + Duration::from_millis(millis);
        let (stamp, later) = (Some((1, 1, [5; 4])), Some((1, 1, [6; 4])));
        assert!(directory.is_to_list(stamp, start, false));
        assert!(
            !directory.is_to_list(stamp, after(100), false),
            "not on each look"
        );
        assert!(
            directory.is_to_list(stamp, after(200), true),
            "but where something is missing"
        );
        assert!(
            directory.is_to_list(stamp, after(3100), false),
            "no more comes with this time"
        );
        assert!(!directory.is_to_list(stamp, after(3200), true));
        assert!(directory.is_to_list(later, after(3300), false));
        assert!(
            directory.is_to_list(stamp, after(3400), false),
            "also if the clock was set back"
        );
        for _ in 0..3 {
            assert!(
                directory.is_to_list(None, after(9000), false),
                "what says no time is listed"
            );
        }
    }
}
