//! How long sealed files stay, and which of them have to go.
//!
//! A file is pruned only when every entry in it is past the retention, by the time that the clock
//! has proved (`clock_guard`). Files with held entries stay (`hold`). Files that a webhook has not
//! read yet stay as well, for a week longer at most; if space is short they are pruned, and the
//! entry about them names the webhooks. `prune` removes the files.

use super::{
    files::{Files, dirs},
    hold::Holds,
    names::FileStem,
    trusted_time::Times,
    unread::Reading,
};
use crate::{
    entry::{
        Day, Timestamp,
        json::{Json, Members},
    },
    error::{Error, Result},
};

pub(super) const MICROS_PER_DAY: i64 = 86_400_000_000;
/// So long after its retention a file waits for webhooks.
const PATIENCE: i64 = 7 * MICROS_PER_DAY;

/// The time and the room that entries get. The default is 90 days, and no limit of room.
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
    /// Whether the log's settings leave the age limit as it is.
    pub(super) is_fixed: bool,
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
            is_fixed: false,
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

    /// The same, whatever the log's settings say: for a pruning that somebody asks for, and for a
    /// program that isn't to prune.
    pub(crate) fn fixed(self) -> Self {
        Self {
            is_fixed: true,
            ..self
        }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.days.is_none() && self.max_bytes.is_none() && self.min_free_bytes.is_none()
    }

    /// As [`min_free_bytes`](Self::min_free_bytes), unless more is asked for already.
    pub(super) fn at_least_free(self, bytes: u64) -> Self {
        self.min_free_bytes(self.min_free_bytes.map_or(bytes, |min| min.max(bytes)))
    }

    /// Its limits, as an entry has them.
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

/// The limit of a [`Retention`] that a file is past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PruneReason {
    /// Its age: [`Retention::days`].
    Age,
    /// All sealed files together take too much: [`Retention::max_bytes`].
    TotalBytes,
    /// Too little is free on the disk: [`Retention::min_free_bytes`].
    FreeSpace,
}

impl PruneReason {
    /// As the entry `audit.log.pruned` says it: `age`, `total_bytes` or `free_space`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::TotalBytes => "total_bytes",
            Self::FreeSpace => "free_space",
        }
    }
}

/// A sealed file that is past its retention.
#[derive(Clone, Debug)]
pub struct PrunedFile {
    pub(super) stem: FileStem,
    pub(super) reason: PruneReason,
    pub(super) bytes: u64,
    /// `None` if it can't be read.
    pub(super) lines: Option<u64>,
    /// The numbers of its first and its last entry.
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) sha256: Option<[u8; 32]>,
    /// The webhooks that have not got all of it.
    pub(super) undelivered: Vec<String>,
}

impl PrunedFile {
    /// The file's name, without the ending `.jsonl.gz`.
    pub fn name(&self) -> String {
        self.stem.to_string()
    }

    /// The limit that the file is past.
    pub fn reason(&self) -> PruneReason {
        self.reason
    }

    /// The bytes that the file takes on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of entries in the file; `None` if it can't be read.
    pub fn entries(&self) -> Option<u64> {
        self.lines
    }
}

/// The files to prune, and the reasons why other files stay past their retention.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The oldest first.
    pub(super) doomed: Vec<PrunedFile>,
    /// How many files stay only because they are held.
    pub(super) held: u64,
    /// How many files stay only because the clock has not proved itself.
    pub(super) waiting: u64,
    /// Why a file could not be read now. It stays, whatever its age is.
    pub(super) unread: Option<Error>,
}

/// Chooses the files that have to go.
pub(super) fn select(files: &Files, retention: &Retention, times: &Times) -> Result<Selection> {
    let (fs, layout) = (files.fs(), files.layout());
    let holds = Holds::read(fs.clone(), layout)?;
    let readings = files.readings()?;
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
            let LookedAt { file, span, read } = match look_at(files, stem, day, &readings) {
                Ok(looked_at) => looked_at,
                Err(error) if error.is_not_found() => continue,
                // Its age is unknown, and whether it is held.
                Err(error) => {
                    selection.unread.get_or_insert(error);
                    continue;
                }
            };
            let (oldest, newest) = span;
            // Any entry of a damaged file may be the one that is held.
            let first = if read { oldest } else { Timestamp::MIN };
            let held = holds.keep(first, newest).is_some();
            let aged = match read {
                true => times.guard.aged(newest),
                false => times.guard.aged_within(oldest, newest),
            };
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
    Ok(selection)
}

impl Retention {
    /// Files whose newest entry is older than this are past their retention.
    fn cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        let span = i64::from(self.days?) * MICROS_PER_DAY;
        Some(Timestamp::from_micros(now.as_micros().saturating_sub(span)))
    }

    /// Whether webhooks are still waited for.
    fn is_patient(&self, newest: Timestamp, cutoff: Option<Timestamp>) -> bool {
        cutoff.is_some_and(|cutoff| newest.as_micros() >= cutoff.as_micros() - PATIENCE)
    }
}

/// A file as pruning sees it.
struct LookedAt {
    file: PrunedFile,
    /// The times of its oldest and its newest entry.
    span: (Timestamp, Timestamp),
    /// Whether these could be read.
    read: bool,
}

fn look_at(files: &Files, stem: FileStem, day: Day, readings: &[Reading]) -> Result<LookedAt> {
    let bytes = files.open_sealed(&stem)?.len();
    let known = match files.span_of(&stem) {
        Err(Error::Damaged { .. }) => None,
        known => Some(known?),
    };
    // A file whose entries can't be read is as old as it can be, a day more than its own, and as
    // long.
    let span = match &known {
        Some(known) => (known.min, known.max),
        None => (day.previous().start(), day.next().end()),
    };
    let file = PrunedFile {
        reason: PruneReason::Age,
        bytes,
        lines: known.map(|known| known.lines),
        seqs: known.map(|known| (known.first_seq.0, known.last_seq.0)),
        sha256: known.map(|known| known.sha256),
        undelivered: readings
            .iter()
            .filter(|reading| reading.needs(&stem))
            .map(|reading| reading.name.clone())
            .collect(),
        stem,
    };
    Ok(LookedAt {
        file,
        span,
        read: known.is_some(),
    })
}

impl Selection {
    /// Chooses the oldest of the files that are kept, until the limits in bytes are met.
    fn make_room(
        &mut self,
        kept: Vec<(PrunedFile, bool)>,
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
                PruneReason::TotalBytes
            } else if retention.min_free_bytes.is_some_and(|min| free < min) {
                PruneReason::FreeSpace
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
