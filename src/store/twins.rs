//! Live files whose sealed twin is there. They stay for a grace, for whoever is tailing them.
//!
//! The grace counts from the sealing, whoever did it: by the age of the sealed file, so that many
//! short processes don't each begin it anew. Where the clock says nonsense (a file from the future)
//! it counts from when the twin was first seen.

use std::{collections::VecDeque, time::Duration};

use super::{fs::Fs, layout::Layout, names::FileStem};
use crate::{
    error::{Error, Result},
    record::Timestamp,
};

/// So many twins may wait; of more, the first to go go early.
const MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Twins {
    grace: Duration,
    /// When each may go, by the monotonic clock; the next one first.
    waiting: VecDeque<(Duration, FileStem)>,
}

impl Twins {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            waiting: VecDeque::new(),
        }
    }

    /// This one was sealed now.
    pub(super) fn add(&mut self, stem: FileStem, now: Duration) {
        if !self.waiting.iter().any(|(_, known)| *known == stem) {
            self.insert(now + self.grace, stem);
        }
    }

    fn insert(&mut self, at: Duration, stem: FileStem) {
        let place = self.waiting.partition_point(|(other, _)| *other <= at);
        self.waiting.insert(place, (at, stem));
    }

    /// Takes in those of these live files that others sealed.
    pub(super) fn look<'a>(
        &mut self,
        fs: &dyn Fs,
        layout: &Layout,
        live: impl Iterator<Item = &'a FileStem>,
        wall: Timestamp,
        now: Duration,
    ) -> Result<()> {
        for stem in live {
            if self.waiting.iter().any(|(_, known)| known == stem) {
                continue;
            }
            let sealed = layout.sealed(stem);
            let found = fs
                .identity(&sealed)
                .map_err(Error::io("look at", &sealed))?;
            if let Some(found) = found {
                let age = wall.as_micros().saturating_sub(found.modified.as_micros());
                let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
                self.insert(now + self.grace.saturating_sub(age), stem.clone());
            }
        }
        Ok(())
    }

    /// The next one that may go by now.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<FileStem> {
        let (at, _) = self.waiting.front()?;
        let due = *at <= now || self.waiting.len() > MOST;
        due.then(|| self.waiting.pop_front())
            .flatten()
            .map(|(_, stem)| stem)
    }

    /// When the next one may go.
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.front().map(|(at, _)| *at)
    }
}
