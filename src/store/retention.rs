//! How long sealed files stay, and their removal.
//!
//! A file is removed only when every line in it is past the retention. What is about to be removed
//! is first written into the log, and made durable there, with the files' hashes; only then do they
//! go, and their indexes after them. Names are parsed whole: what is not ours is never touched.
//! What is held stays, see `hold`. What a webhook has not got yet stays as well, for a week longer
//! at most; where space is short it goes, and the record says who has not got it.

use std::{collections::BTreeSet, io, sync::Arc};

use serde_json::json;

use super::{
    fs::Fs,
    hold::{self, Holds},
    layout::{INDEX, Layout},
    listing::Listing,
    lock::Lock,
    names::FileStem,
    removed,
    sealed::{LocalSealed, SealedFiles},
    undelivered::Undelivered,
};
use crate::{
    error::{Error, Result},
    journal::{Durability, Producer},
    record::{OwnRecord, Severity, Source, Timestamp},
};

const MICROS_PER_DAY: i64 = 86_400_000_000;
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
    days: Option<u32>,
    max_bytes: Option<u64>,
    min_free_bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self::days(90)
    }
}

impl Retention {
    /// Keeps each record for this many days (of 24 hours, at least one), and its whole file until
    /// the last record in it is that old.
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

    /// As [`min_free_bytes`](Self::min_free_bytes), unless more is asked for already.
    pub(super) fn at_least_free(self, bytes: u64) -> Self {
        self.min_free_bytes(self.min_free_bytes.map_or(bytes, |min| min.max(bytes)))
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

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) files: Vec<Doomed>,
    pub(crate) bytes: u64,
    /// How many files stay only because they are held.
    pub(crate) held: u64,
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
    seqs: Option<(u64, u64)>,
    sha256: Option<[u8; 32]>,
    /// The webhooks that have not got all of it.
    undelivered: Vec<String>,
}

/// Removes what is past its retention.
pub(crate) struct Pruner {
    pub(crate) sealed: Arc<LocalSealed>,
    pub(crate) producer: Producer,
    pub(crate) durability: &'static Durability,
    pub(crate) source: Source,
    /// Records of prunings that found the journal full: the disk had to be emptied before they
    /// could be written.
    pub(crate) owed: Vec<Vec<u8>>,
}

/// So many files are recorded and removed at a time.
const BATCH: usize = 64;

impl Pruner {
    /// Removes what is past its retention; `None` if another process is at it.
    pub(crate) fn prune(
        &mut self,
        fs: &dyn Fs,
        layout: &Layout,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Option<Pruned>> {
        self.pay();
        if *retention == Retention::unlimited() {
            return Ok(Some(Pruned::default()));
        }
        let Some(lock) = Lock::try_take(&layout.lock(hold::LOCK))? else {
            return Ok(None);
        };
        let mut pruned = Pruned::default();
        // Under the lock, so that no hold is placed while files go.
        let (mut doomed, held) = doomed(&self.sealed, fs, layout, retention, now)?;
        pruned.held = held;
        let mut left = match doomed.is_empty() {
            true => BTreeSet::new(),
            false => all_files(&self.sealed, fs, layout)?,
        };
        while !doomed.is_empty() {
            let batch: Vec<_> = doomed.drain(..BATCH.min(doomed.len())).collect();
            self.carry_on(&batch, &mut left);
            self.record(retention, &batch);
            for file in batch {
                remove(fs, layout, &file.stem)?;
                pruned.bytes += file.bytes;
                pruned.files.push(file);
            }
        }
        drop(lock);
        Ok(Some(pruned))
    }

    /// Writes into the log again what these files say about removals. They are taken out of what is
    /// left.
    fn carry_on(&mut self, files: &[Doomed], left: &mut BTreeSet<FileStem>) {
        let files: Vec<&FileStem> = files.iter().map(|file| &file.stem).collect();
        for file in &files {
            left.remove(file);
        }
        let goes_on = left.iter().map(|stem| stem.stream.clone()).collect();
        for entry in removed::carried_on(&self.sealed, &files, &goes_on) {
            self.write(entry.render(&self.source));
        }
    }

    /// Writes into the log what is about to go. With a full journal that comes after it, for it may
    /// be what makes room.
    fn record(&mut self, retention: &Retention, files: &[Doomed]) {
        let list: Vec<_> = files
            .iter()
            .map(|file| {
                json!({
                    "file": file.stem.to_string(),
                    "reason": file.reason.as_str(),
                    "bytes": file.bytes,
                    "lines": file.lines,
                    "first_seq": file.seqs.map(|(first, _)| first),
                    "last_seq": file.seqs.map(|(_, last)| last),
                    "sha256": file.sha256.map(hex),
                    "undelivered": file.undelivered,
                })
            })
            .collect();
        let record = OwnRecord::new(
            removed::PRUNED,
            Severity::Info,
            "Files past their retention were removed",
        )
        .detail("retention_days", retention.days)
        .detail("files", list)
        .render(&self.source);
        self.write(record);
    }

    fn write(&mut self, record: Vec<u8>) {
        match self.producer.push(&record) {
            // Until it is durable, unless the disk refuses.
            Ok(position) => drop(self.durability.wait(position.0)),
            Err(_) => self.owed.push(record),
        }
    }

    fn pay(&mut self) {
        while let Some(record) = self.owed.pop() {
            if self.producer.push(&record).is_err() {
                self.owed.push(record);
                break;
            }
        }
    }
}

/// The files that have to go, the oldest first, and how many would, were they not held.
pub(super) fn doomed(
    sealed: &LocalSealed,
    fs: &dyn Fs,
    layout: &Layout,
    retention: &Retention,
    now: Timestamp,
) -> Result<(Vec<Doomed>, u64)> {
    let holds = Holds::read(layout)?;
    let undelivered = Undelivered::read(layout)?;
    let mut held = 0;
    let cutoff = retention.days.map(|days| {
        Timestamp::from_micros(
            now.as_micros()
                .saturating_sub(i64::from(days) * MICROS_PER_DAY),
        )
    });
    let mut doomed = Vec::new();
    let mut kept = Vec::new();
    for day in sealed.days()? {
        // Without limits in bytes, younger days need not be looked at.
        if retention.max_bytes.is_none()
            && retention.min_free_bytes.is_none()
            && cutoff.is_some_and(|cutoff| day.start() > cutoff)
        {
            break;
        }
        for stem in sealed.list(day)? {
            let index = sealed.index(&stem).ok();
            let bytes = sealed
                .open(&stem)
                .map(|blob| blob.len())
                .unwrap_or_default();
            // A file whose lines can't be read is as old as it can be, a day more than its own, and
            // as long.
            let newest = index.as_ref().map_or(day.next().end(), |index| index.max);
            let oldest = index
                .as_ref()
                .map_or(day.previous().start(), |index| index.min);
            let file = Doomed {
                reason: Reason::Age,
                bytes,
                lines: index.as_ref().map(|index| index.lines),
                seqs: index
                    .as_ref()
                    .map(|index| (index.first_seq.0, index.last_seq.0)),
                sha256: index.as_ref().map(|index| index.sha256),
                undelivered: undelivered.by(&stem),
                stem,
            };
            let held_by = holds.keep(oldest, newest).is_some();
            match cutoff.is_some_and(|cutoff| newest < cutoff) {
                true if held_by => held += 1,
                true if !file.undelivered.is_empty()
                    && cutoff.is_some_and(|cutoff| {
                        newest.as_micros() >= cutoff.as_micros() - PATIENCE
                    }) =>
                {
                    kept.push((file, false));
                }
                true => doomed.push(file),
                false => kept.push((file, held_by)),
            }
        }
    }
    let mut total: u64 = kept.iter().map(|(file, _)| file.bytes).sum();
    let mut free = match retention.min_free_bytes {
        Some(_) => {
            fs.space(layout.root())
                .map_err(Error::io("look at the space of", layout.root()))?
                .free
        }
        None => u64::MAX,
    };
    free = free.saturating_add(doomed.iter().map(|file| file.bytes).sum());
    for (mut file, held_by) in kept {
        file.reason = if retention.max_bytes.is_some_and(|max| total > max) {
            Reason::TotalBytes
        } else if retention.min_free_bytes.is_some_and(|min| free < min) {
            Reason::FreeSpace
        } else {
            break;
        };
        if held_by {
            held += 1;
            continue;
        }
        total -= file.bytes;
        free = free.saturating_add(file.bytes);
        doomed.push(file);
    }
    Ok((doomed, held))
}

/// The sealed and the live files that there are.
fn all_files(sealed: &LocalSealed, fs: &dyn Fs, layout: &Layout) -> Result<BTreeSet<FileStem>> {
    let listing = Listing::since(fs, layout, sealed, None)?;
    Ok(listing
        .sealed
        .into_iter()
        .chain(listing.live.into_keys())
        .collect())
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes a sealed file, then its index, then the folders if they are empty.
fn remove(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    let sealed = layout.sealed(stem);
    gone(fs.remove_file(&sealed)).map_err(Error::io("remove", &sealed))?;
    let index = layout.index_day(stem.day()).join(format!("{stem}{INDEX}"));
    gone(fs.remove_file(&index)).map_err(Error::io("remove", &index))?;
    for day in [layout.sealed_day(stem.day()), layout.index_day(stem.day())] {
        if fs.list(&day).is_ok_and(|entries| entries.is_empty()) {
            // Another file may come at this moment; then it stays.
            let _ = fs.remove_dir(&day);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
