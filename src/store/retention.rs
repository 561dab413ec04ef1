//! How long sealed files stay, and which of them have to go.
//!
//! A file goes only when every entry in it is past the retention, by the time that the clock has
//! proved; see `clock_guard`. What is held stays, see `hold`. What a webhook has not got yet stays
//! as well, for a week longer at most; where space is short it goes, and the entry about it says
//! who has not got it. How files go is `prune`'s part.

use super::{
    files::{Files, dirs},
    hold::Holds,
    names::FileStem,
    trusted_time::Times,
    undelivered::Undelivered,
};
use crate::{
    error::{Error, Result},
    record::{
        Day, Timestamp,
        json::{Json, Members},
    },
};

pub(super) const MICROS_PER_DAY: i64 = 86_400_000_000;
/// So long after its retention a file waits for webhooks.
const PATIENCE: i64 = 7 * MICROS_PER_DAY;

/// How long records are kept. The default is 90 days.
///
/// ```
/// use tracing_audit::Retention;
///
/// let year = Retention::days(365);
/// let small_disk = Retention::days(90).max_bytes(10 << 30);
/// let forever = Retention::unlimited();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub(super) days: Option<u32>,
    pub(super) max_bytes: Option<u64>,
    min_free_bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self::days(90)
    }
}

impl Retention {
    /// Keeps each entry for this many days (of 24 hours, at least one), and its whole file until
    /// the last entry in it is that old.
    pub fn days(days: u32) -> Self {
        Self {
            days: Some(days.max(1)),
            ..Self::unlimited()
        }
    }

    /// Keeps everything.
    pub const fn unlimited() -> Self {
        Self {
            days: None,
            max_bytes: None,
            min_free_bytes: None,
        }
    }

    /// Removes the oldest files as well when the sealed files take more than this many bytes,
    /// however young they are.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Removes the oldest files as well while the file system has less than this many bytes free,
    /// however young they are.
    #[must_use]
    pub fn min_free_bytes(mut self, bytes: u64) -> Self {
        self.min_free_bytes = Some(bytes);
        self
    }

    /// The same with another age limit.
    pub(crate) fn age_limit(self, days: u32) -> Self {
        Self {
            days: Some(days.max(1)),
            ..self
        }
    }

    /// The same without an age limit.
    pub(crate) fn without_age_limit(self) -> Self {
        Self { days: None, ..self }
    }

    /// As [`min_free_bytes`](Self::min_free_bytes), unless more is asked for already.
    pub(super) fn at_least_free(self, bytes: u64) -> Self {
        self.min_free_bytes(self.min_free_bytes.map_or(bytes, |min| min.max(bytes)))
    }

    /// As an entry tells it: its limits.
    pub(crate) fn to_json(self) -> Json {
        let limits = [
            ("days", self.days.map(u64::from)),
            ("max_bytes", self.max_bytes),
            ("min_free_bytes", self.min_free_bytes),
        ];
        let limits = limits.into_iter();
        let limits = limits.filter_map(|(name, limit)| Some((name.to_owned(), Json::of(&limit?))));
        let limits: Members = limits.collect();
        match limits.is_empty() {
            true => Json::of("unlimited"),
            false => Json::Object(limits),
        }
    }

    /// The age limit in days, if there is one.
    pub fn age_limit_days(&self) -> Option<u32> {
        self.days
    }
}

/// Why a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Age,
    TotalBytes,
    FreeSpace,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::TotalBytes => "total_bytes",
            Self::FreeSpace => "free_space",
        }
    }
}

/// A file that has to go.
#[derive(Debug)]
pub(crate) struct Doomed {
    pub(crate) stem: FileStem,
    pub(crate) reason: Reason,
    pub(crate) bytes: u64,
    /// `None` if it can't be read.
    pub(crate) lines: Option<u64>,
    /// The numbers of its first and its last entry.
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) sha256: Option<[u8; 32]>,
    /// The webhooks that have not got all of it.
    pub(super) undelivered: Vec<String>,
}

/// What has to go, and what stays although it is past its retention.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The oldest first.
    pub(super) doomed: Vec<Doomed>,
    /// How many files stay only because they are held.
    pub(super) held: u64,
    /// How many files stay only because the clock has not proved itself.
    pub(super) waiting: u64,
}

/// Chooses the files that have to go.
pub(super) fn select(files: &Files, retention: &Retention, times: &Times) -> Result<Selection> {
    let (fs, layout) = (files.fs(), files.layout());
    let holds = Holds::read(fs.clone(), layout)?;
    let undelivered = Undelivered::read(&**fs, layout)?;
    let mut selection = Selection::default();
    let mut kept = Vec::new();
    let cutoff = retention.cutoff(times.trusted);
    let by_the_clock = retention.cutoff(times.wall);
    for day in dirs::sealed_days(&**fs, layout)? {
        // Without limits in bytes, younger days need not be looked at.
        if retention.max_bytes.is_none()
            && retention.min_free_bytes.is_none()
            && by_the_clock
                .max(cutoff)
                .is_some_and(|cutoff| day.start() > cutoff)
        {
            break;
        }
        for stem in dirs::sealed(&**fs, layout, day)? {
            let (file, oldest, newest) = look_at(files, stem, day, &undelivered);
            let held = holds.keep(oldest, newest).is_some();
            let aged = times.guard.aged(newest);
            match cutoff.is_some_and(|cutoff| aged < cutoff) {
                true if held => selection.held += 1,
                true if !file.undelivered.is_empty() && retention.is_patient(aged, cutoff) => {
                    kept.push((file, false));
                }
                true => selection.doomed.push(file),
                false => {
                    let waits = by_the_clock.is_some_and(|cutoff| aged < cutoff);
                    selection.waiting += u64::from(waits && !held);
                    kept.push((file, held));
                }
            }
        }
    }
    selection.make_room(kept, files, retention)?;
    for file in &mut selection.doomed {
        let index = files.index(&file.stem).ok();
        file.sha256 = index.map(|index| index.sha256);
    }
    Ok(selection)
}

impl Retention {
    /// What is older than this is past its retention.
    fn cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        let span = i64::from(self.days?) * MICROS_PER_DAY;
        Some(Timestamp::from_micros(now.as_micros().saturating_sub(span)))
    }

    /// Whether webhooks are still waited for.
    fn is_patient(&self, newest: Timestamp, cutoff: Option<Timestamp>) -> bool {
        cutoff.is_some_and(|cutoff| newest.as_micros() >= cutoff.as_micros() - PATIENCE)
    }
}

/// A file, and the times of its oldest and newest entries.
fn look_at(
    files: &Files,
    stem: FileStem,
    day: Day,
    undelivered: &Undelivered,
) -> (Doomed, Timestamp, Timestamp) {
    let span = files.span_of(&stem).ok();
    let bytes = match &span {
        Some(span) => span.bytes,
        None => files.open_sealed(&stem).map_or(0, |blob| blob.len()),
    };
    // A file whose entries can't be read is as old as it can be, a day more than its own, and as
    // long.
    let newest = span.map_or(day.next().end(), |span| span.max);
    let oldest = span.map_or(day.previous().start(), |span| span.min);
    let file = Doomed {
        reason: Reason::Age,
        bytes,
        lines: span.map(|span| span.lines),
        seqs: span.map(|span| (span.first_seq.0, span.last_seq.0)),
        sha256: None,
        undelivered: undelivered.by(&stem),
        stem,
    };
    (file, oldest, newest)
}

impl Selection {
    /// Chooses the oldest of the files that are kept, until the limits in bytes are met.
    fn make_room(
        &mut self,
        kept: Vec<(Doomed, bool)>,
        files: &Files,
        retention: &Retention,
    ) -> Result<()> {
        let mut total: u64 = kept.iter().map(|(file, _)| file.bytes).sum();
        let mut free = match retention.min_free_bytes {
            Some(_) => {
                let root = files.root();
                let space = files.fs().space(root);
                space.map_err(Error::io("look at the space of", root))?.free
            }
            None => u64::MAX,
        };
        free = free.saturating_add(self.doomed.iter().map(|file| file.bytes).sum());
        for (mut file, held) in kept {
            file.reason = if retention.max_bytes.is_some_and(|max| total > max) {
                Reason::TotalBytes
            } else if retention.min_free_bytes.is_some_and(|min| free < min) {
                Reason::FreeSpace
            } else {
                break;
            };
            if held {
                self.held += 1;
                continue;
            }
            total -= file.bytes;
            free = free.saturating_add(file.bytes);
            self.doomed.push(file);
        }
        Ok(())
    }
}
