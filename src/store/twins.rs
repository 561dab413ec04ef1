//! Live files whose sealed twin exists. They stay for a grace, because a program may be tailing
//! them.
//!
//! The grace begins with the sealing, by any process, and is measured by the age of the sealed
//! file: many short processes would otherwise each begin it anew. If the sealed file is from the
//! future by the clock, the grace begins when this process first sees the twin.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use super::{
    fs::{self, Fs},
    health::Problem,
    layout::Layout,
    names::FileStem,
    repair::set_changed_twin_aside,
    seal::{self, Twin},
    sealer::{Sealer, SealerPlace},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

/// This many twins may wait; when there are more, the first of them are removed early.
const MOST: usize = 256;

/// So many twins are compared and removed at a time, and by a process that ends.
const AT_A_TIME: usize = 8;

#[derive(Debug)]
pub(super) struct Twins {
    grace: Duration,
    /// When each may go, by the monotonic clock; the next one first.
    waiting: BTreeSet<(Duration, FileStem)>,
    known: BTreeSet<FileStem>,
}

impl Twins {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            waiting: BTreeSet::new(),
            known: BTreeSet::new(),
        }
    }

    /// Adds a twin that was sealed now.
    pub(super) fn add(&mut self, stem: FileStem, now: Duration) {
        self.insert(now + self.grace, stem);
    }

    /// Adds a twin that was sealed at this time.
    pub(super) fn found(
        &mut self,
        stem: FileStem,
        sealed: Timestamp,
        wall: Timestamp,
        now: Duration,
    ) {
        let age = wall.as_micros().saturating_sub(sealed.as_micros());
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        self.insert(now + self.grace.saturating_sub(age), stem);
    }

    fn insert(&mut self, at: Duration, stem: FileStem) {
        if self.known.insert(stem.clone()) {
            self.waiting.insert((at, stem));
        }
    }

    /// Lets all go now, whatever is left of their grace, because room is needed.
    pub(super) fn end_grace(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.map(|(_, stem)| (Duration::ZERO, stem)).collect();
    }

    /// The next one that may go by now.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<FileStem> {
        let (at, _) = self.waiting.first()?;
        if *at > now && self.waiting.len() <= MOST {
            return None;
        }
        let (_, stem) = self.waiting.pop_first()?;
        self.known.remove(&stem);
        Some(stem)
    }

    /// When the next one may go.
    pub(super) fn next(&self) -> Option<Duration> {
        let (at, _) = self.waiting.first()?;
        Some(match self.waiting.len() > MOST {
            true => Duration::ZERO,
            false => *at,
        })
    }
}

impl Sealer {
    /// Removes some of the twins whose grace is over; false if there were none.
    pub(super) fn remove_twins(&mut self) -> bool {
        let SealerPlace {
            fs,
            layout,
            clock,
            health,
            ..
        } = &self.place;
        // Twins whose sealed file lacks something: they are sealed again.
        let mut damaged = Vec::new();
        let mut looked_at = 0;
        while looked_at < AT_A_TIME
            && let Some(stem) = self.twins.take_due(clock.monotonic())
        {
            looked_at += 1;
            match remove_twin(&**fs, layout, &stem) {
                Ok(None) => {}
                Ok(Some(what)) => health.report(&Problem::LiveFileLost(what)),
                Err(error) => {
                    health.report(&Problem::SealFailed(error.to_string()));
                    if matches!(error, Error::Damaged { .. }) {
                        damaged.push(stem);
                    }
                }
            }
        }
        for stem in damaged {
            let left = stem.stream != self.place.own;
            self.queue_up(stem, None, left);
        }
        looked_at > 0
    }

    pub(super) fn remove_all_twins(&mut self) {
        self.twins.end_grace();
        while self.has_its_directory() && self.remove_twins() {
            if self.place.stopping.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

/// Removes the live file whose sealed twin is whole. One that someone changed since, or put in its
/// place, is moved away instead: then the problem to be reported is given.
///
/// # Errors
///
/// [`Error::Damaged`] if the sealed file is not the whole of the live one, which therefore stays.
pub(super) fn remove_twin(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<String>> {
    let path = layout.live(stem);
    let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
    match found {
        None => return Ok(None),
        Some(found) if !found.is_file => return set_changed_twin_aside(fs, layout, stem),
        Some(_) => {}
    }
    match seal::twin(fs, layout, stem)? {
        Twin::Whole(_) => {}
        Twin::Changed(_) => return set_changed_twin_aside(fs, layout, stem),
        Twin::Missing => {
            let what = "it is not the whole of its live twin, which stays and is sealed again";
            return Err(Error::damaged(layout.sealed(stem), what));
        }
    }
    fs::remove_if_there(fs, &path).map_err(Error::io("remove", &path))?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::stem;

    #[test]
    fn each_waits_once_for_what_is_left_of_its_grace() {
        let mut twins = Twins::new(Duration::from_secs(60));
        let wall = Timestamp::from_micros(1_000_000_000);
        let ago = |seconds: i64| Timestamp::from_micros(wall.as_micros() - seconds * 1_000_000);
        let now = Duration::from_secs(100);
        twins.add(stem(1), now);
        twins.found(stem(1), ago(60), wall, now);
        twins.found(stem(2), ago(50), wall, now);
        // From the future.
        twins.found(stem(3), ago(-5), wall, now);
        assert_eq!(twins.next(), Some(Duration::from_secs(110)));
        assert_eq!(twins.take_due(now), None);
        assert_eq!(twins.take_due(Duration::from_secs(110)), Some(stem(2)));
        assert_eq!(twins.take_due(Duration::from_secs(110)), None);
        twins.end_grace();
        let left = [twins.take_due(now), twins.take_due(now)];
        assert_eq!(left, [Some(stem(1)), Some(stem(3))]);
        assert_eq!(twins.take_due(now), None);
        twins.add(stem(1), now);
        assert_eq!(
            twins.next(),
            Some(Duration::from_secs(160)),
            "it is known no longer"
        );
    }

    #[test]
    fn of_too_many_the_first_go_early() {
        let mut twins = Twins::new(Duration::from_secs(60));
        for number in 1..=MOST as u32 + 2 {
            twins.add(stem(number), Duration::from_secs(u64::from(number)));
        }
        assert_eq!(twins.next(), Some(Duration::ZERO));
        let early: Vec<_> = std::iter::from_fn(|| twins.take_due(Duration::ZERO)).collect();
        assert_eq!(early, [stem(1), stem(2)]);
    }
}
