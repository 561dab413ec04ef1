//! How long letters have been put aside, counted by no clock that can be set.
//!
//! A device without a clock of its own gives up letters in 1970, and is in the present a minute
//! later; another is far ahead for a moment. So no date says how old a file is. Its age is the time
//! for which it did not grow while it was delivered, by the steady clock, and what the other clock
//! says of the time between two dispatchers, a day at most. What is not known counts as new:
//! letters stay too long rather than not long enough.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::files::LetterFile;
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{document::Document, layout::Layout},
};

const MOST_BETWEEN: Duration = Duration::from_secs(24 * 3600);
/// A death makes letters younger by no more.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// The ages of all files with letters.
#[derive(Debug, Default)]
pub(super) struct Ages {
    kept: Option<Kept>,
    looked: Option<Instant>,
    saved: Option<Instant>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// When it was saved, in microseconds since 1970.
    saved: i64,
    files: BTreeMap<String, Age>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Age {
    /// How long the file was: when it grows, its age begins anew.
    len: u64,
    milliseconds: u64,
}

/// `state/dead-letter-ages.json`
fn document(layout: &Layout) -> Document {
    Document::new(layout, "dead-letter-ages", "forward")
}

impl Ages {
    /// Lets these files, which are all there are, be older by the time since it was last looked.
    /// Only the dispatcher may do it.
    pub(super) fn look<'a>(
        &mut self,
        layout: &Layout,
        found: impl Iterator<Item = &'a LetterFile>,
        now: Timestamp,
        steady: Instant,
    ) -> Result<()> {
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => match document(layout).read() {
                Err(Error::Damaged { .. }) => Kept::default(),
                kept => kept?,
            },
        };
        let since = match self.looked {
            Some(last) => steady.saturating_duration_since(last),
            None => Duration::from_micros(
                now.as_micros()
                    .saturating_sub(kept.saved)
                    .try_into()
                    .unwrap_or(0),
            )
            .min(MOST_BETWEEN),
        };
        let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let older = |file: &LetterFile| {
            let name = file.name();
            let known = kept.files.get(&name).filter(|known| known.len == file.len);
            let milliseconds = known.map_or(0, |known| known.milliseconds.saturating_add(since));
            (
                name,
                Age {
                    len: file.len,
                    milliseconds,
                },
            )
        };
        let files: BTreeMap<_, _> = found.map(older).collect();
        let same = files.len() == kept.files.len()
            && files
                .iter()
                .all(|(name, age)| kept.files.get(name).is_some_and(|k| k.len == age.len));
        kept.files = files;
        self.looked = Some(steady);
        let is_time = self
            .saved
            .is_none_or(|saved| steady.saturating_duration_since(saved) >= SAVE_EVERY);
        let saved = if !same || is_time && !kept.files.is_empty() {
            (kept.saved, self.saved) = (now.as_micros(), Some(steady));
            document(layout).write(&Document::text(&kept), true)
        } else {
            Ok(())
        };
        self.kept = Some(kept);
        saved
    }

    /// How old a file is.
    pub(super) fn of(&self, file: &LetterFile) -> Duration {
        let age = self
            .kept
            .as_ref()
            .and_then(|kept| kept.files.get(&file.name()));
        Duration::from_millis(
            age.filter(|age| age.len == file.len)
                .map_or(0, |age| age.milliseconds),
        )
    }
}
