//! How files go.
//!
//! What is about to be removed is recorded first, with the files' hashes, and only when that entry
//! is durable the files go, and their indexes after them. The order of a pruning, under the lock
//! `prune`:
//!
//! 1. Entries of earlier prunings that the log doesn't have yet are written into it.
//! 2. The clocks are read ([`trusted_time`](super::trusted_time)) and files chosen
//!    ([`retention`](super::retention)).
//! 3. For up to 64 files: an entry `audit.log.pruned` goes through the journal like any event, and
//!    is waited for. If the journal is full or the disk refuses, the entry is kept in
//!    `state/pruning` instead, durably ([`prune_intent`](super::prune_intent)): a full disk may
//!    have to be emptied before anything can be written into the log. If that fails too, nothing
//!    goes.
//! 4. These files are removed.
//!
//! A death at any moment leaves each removed file recorded: in the log, in the journal of a dead
//! process, or in `state/pruning`. After a death between 3 and 4 files are still there that the log
//! calls pruned; they go with the next pruning, which records them again. Names are parsed whole:
//! what is not ours is never touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
};

use serde_json::json;

use super::{
    clock::Clock,
    clock_guard::{FIRST, PROOF},
    fs::Fs,
    hold,
    layout::{INDEX, Layout},
    listing::Listing,
    names::FileStem,
    prune_intent::Intents,
    prune_watch::Watch,
    removed,
    retention::{self, Doomed, MICROS_PER_DAY, Retention, Selection},
    sealed::LocalSealed,
    trusted_time::Times,
};
use crate::{
    error::{Error, Result},
    journal::{Durability, Fate, Producer, PushError},
    record::{OwnRecord, Severity, Source, Timestamp},
};

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) files: Vec<Doomed>,
    pub(crate) bytes: u64,
    /// How many files stay only because they are held.
    pub(crate) held: u64,
    pub(crate) waiting: Option<Waiting>,
}

/// What would be removed.
#[derive(Debug, Default)]
pub(crate) struct Preview {
    pub(crate) files: Vec<Doomed>,
    pub(crate) held: u64,
    pub(crate) waiting: Option<Waiting>,
}

/// Files that stay only because the clock has not proved itself.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) files: u64,
    wall: Timestamp,
    trusted: Timestamp,
    /// How much longer the machine has to be up, in microseconds.
    remaining: i64,
    /// Whether it is worth a report: the clock is ahead by more than a tenth of the retention.
    pub(crate) is_much: bool,
}

impl Waiting {
    fn new(selection: &Selection, retention: &Retention, times: &Times) -> Option<Self> {
        let ahead = times
            .wall
            .as_micros()
            .saturating_sub(times.trusted.as_micros());
        let retention = i64::from(retention.days?) * MICROS_PER_DAY;
        (selection.waiting > 0).then(|| Self {
            files: selection.waiting,
            wall: times.wall,
            trusted: times.trusted,
            remaining: times.guard.remaining(),
            is_much: ahead > retention / 10,
        })
    }

    fn entry(&self) -> OwnRecord {
        OwnRecord::new(
            "audit.log.prune_held_back",
            Severity::Warning,
            "Files that are past their retention by this machine's clock stay, because the clock \
             has not proved itself",
        )
        .detail("files", self.files)
        .detail("clock", self.wall.to_string())
        .detail("trusted", self.trusted_text())
        .detail("uptime_needed_seconds", self.remaining / 1_000_000)
    }

    fn trusted_text(&self) -> Option<String> {
        // A clock that never was trusted counts from the year 0.
        let never = Timestamp::MIN.as_micros() + FIRST + PROOF.1;
        (self.trusted.as_micros() > never).then(|| self.trusted.to_string())
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} past their retention at {}, which is what this machine's clock says, ",
            if self.files == 1 {
                "1 file is".to_owned()
            } else {
                format!("{} files are", self.files)
            },
            self.wall,
        )?;
        match self.trusted_text() {
            Some(trusted) => write!(f, "but only {trusted} is proved")?,
            None => f.write_str("but nothing has proved it yet")?,
        }
        let minutes = self.remaining / 60_000_000 + 1;
        match self.remaining {
            0 => f.write_str("; the clock of the file system disagrees with it")?,
            _ => write!(
                f,
                "; the files go when the clock has kept on for {} h {} min more",
                minutes / 60,
                minutes % 60
            )?,
        }
        f.write_str(
            ". Check the clock; if it is right, run `tracing-audit prune --trust-clock`, and the \
             files go at once",
        )
    }
}

/// Removes what is past its retention.
pub(crate) struct Pruner {
    pub(super) sealed: Arc<LocalSealed>,
    pub(super) producer: Producer,
    /// Waits until a position of our journal is durable, or is known not to become so now.
    pub(super) wait: Box<dyn FnMut(u64) -> Fate + Send>,
    source: Source,
    /// Where entries of `state/pruning` stand in our journal.
    pushed: BTreeMap<Vec<u8>, u64>,
    /// Files whose removal is recorded, and failed.
    recorded: BTreeSet<FileStem>,
    pub(super) watch: Watch,
}

/// So many files are recorded and removed at a time, or fewer if their entry would be too long.
const BATCH: usize = 64;
/// An entry is as long as this at most.
const MAX_ENTRY: usize = 32 * 1024;

impl Pruner {
    pub(crate) fn new(
        sealed: Arc<LocalSealed>,
        producer: Producer,
        durability: &'static Durability,
        source: Source,
    ) -> Self {
        Self {
            sealed,
            producer,
            wait: Box::new(|position| durability.wait(position)),
            source,
            pushed: BTreeMap::new(),
            recorded: BTreeSet::new(),
            watch: Watch::default(),
        }
    }

    /// Removes what is past its retention; `None` if another process is at it.
    pub(crate) fn prune(
        &mut self,
        clock: &dyn Clock,
        retention: &Retention,
    ) -> Result<Option<Pruned>> {
        let sealed = self.sealed.clone();
        let (fs, layout) = (sealed.fs(), sealed.layout());
        let intents = Intents::new(&**fs, layout);
        let unlimited = *retention == Retention::unlimited();
        if unlimited && matches!(fs.identity(&layout.pruning()), Ok(None)) {
            return Ok(Some(Pruned::default()));
        }
        let Some(_lock) = fs.try_lock(&layout.lock(hold::LOCK))? else {
            return Ok(None);
        };
        self.pay(&intents)?;
        if unlimited {
            return Ok(Some(Pruned::default()));
        }
        // Without it, a full disk can't be emptied; nothing else depends on it.
        let _ = intents.prepare();
        // Under the lock, so that no hold is placed while files go.
        let mut times = times(clock, &sealed, retention)?;
        let selection = retention::select(&sealed, retention, &times)?;
        let waiting = Waiting::new(&selection, retention, &times);
        self.record_waiting(waiting.as_ref(), &mut times);
        times.keep(fs, layout);
        let mut pruned = Pruned {
            held: selection.held,
            waiting,
            ..Pruned::default()
        };
        let mut doomed = selection.doomed;
        let mut left = match doomed.is_empty() {
            true => BTreeSet::new(),
            false => all_files(&sealed)?,
        };
        while !doomed.is_empty() {
            let batch = self.record(&intents, retention, &mut doomed)?;
            self.carry_on(&intents, &batch, &mut left)?;
            self.remove(batch, &mut pruned)?;
        }
        Ok(Some(pruned))
    }

    /// Records again what these files say about removals. They are taken out of what is left.
    fn carry_on(
        &mut self,
        intents: &Intents<'_>,
        files: &[Doomed],
        left: &mut BTreeSet<FileStem>,
    ) -> Result<()> {
        let files: Vec<&FileStem> = files.iter().map(|file| &file.stem).collect();
        for file in &files {
            left.remove(file);
        }
        let goes_on = left.iter().map(|stem| stem.stream.clone()).collect();
        for entry in removed::carried_on(&self.sealed, &files, &goes_on) {
            self.record_durably(intents, entry.render(&self.source))?;
        }
        Ok(())
    }

    /// Records the removal of the first files of `doomed`, and takes them out of it. Once this
    /// returns, they may go.
    fn record(
        &mut self,
        intents: &Intents<'_>,
        retention: &Retention,
        doomed: &mut Vec<Doomed>,
    ) -> Result<Vec<Doomed>> {
        // What failed to go is recorded already.
        let known = doomed
            .iter()
            .take_while(|file| self.recorded.contains(&file.stem))
            .count();
        if known > 0 {
            return Ok(doomed.drain(..known).collect());
        }
        let longest = self.producer.max_payload().min(MAX_ENTRY);
        let mut count = BATCH.min(doomed.len());
        let entry = loop {
            let files = doomed.get(..count).unwrap_or_default();
            let entry = render(&self.source, retention, files, usize::MAX);
            if entry.len() <= longest {
                break entry;
            }
            if count > 1 {
                count /= 2;
                continue;
            }
            let entry = render(&self.source, retention, files, 0);
            if entry.len() <= longest {
                break entry;
            }
            return Err(Error::invalid(
                "journal_bytes",
                format!(
                    "the entry about the files to prune has {} bytes and doesn't fit into the \
                     journal, so nothing is pruned; make the journal larger",
                    entry.len()
                ),
            ));
        };
        self.record_durably(intents, entry)?;
        let batch: Vec<_> = doomed.drain(..count).collect();
        let stems = batch.iter().map(|file| file.stem.clone());
        self.recorded.extend(stems);
        Ok(batch)
    }

    fn record_durably(&mut self, intents: &Intents<'_>, entry: Vec<u8>) -> Result<()> {
        let position = match self.producer.push(&entry) {
            Ok(position) => match (self.wait)(position.0) {
                Fate::Durable => return Ok(()),
                Fate::Closed => return Err(Error::Closed),
                Fate::Failed(_) => Some(position.0),
            },
            Err(PushError::Closed) => return Err(Error::Closed),
            Err(PushError::Full | PushError::TooLong) => None,
        };
        intents.add(&entry)?;
        if let Some(position) = position {
            self.pushed.insert(entry, position);
        }
        Ok(())
    }

    /// Writes into the log what is kept in `state/pruning`.
    fn pay(&mut self, intents: &Intents<'_>) -> Result<()> {
        let owed = intents.owed()?;
        if owed.is_empty() {
            self.pushed.clear();
            return Ok(());
        }
        for entry in owed {
            let position = match self.pushed.get(&entry) {
                Some(position) => *position,
                None => match self.producer.push(&entry) {
                    Ok(position) => {
                        self.pushed.insert(entry, position.0);
                        position.0
                    }
                    Err(PushError::Closed) => return Err(Error::Closed),
                    // Later.
                    Err(PushError::Full | PushError::TooLong) => return Ok(()),
                },
            };
            match (self.wait)(position) {
                Fate::Durable => {}
                Fate::Closed => return Err(Error::Closed),
                Fate::Failed(_) => return Ok(()),
            }
        }
        intents.clear()?;
        self.pushed.clear();
        Ok(())
    }

    /// Says in the log, once, that files wait for the clock.
    fn record_waiting(&mut self, waiting: Option<&Waiting>, times: &mut Times) {
        let waiting = waiting.filter(|waiting| waiting.is_much);
        let recorded = match waiting {
            Some(waiting) if !times.guard.recorded => {
                // With a full journal it is recorded at the next turn.
                self.producer
                    .push(&waiting.entry().render(&self.source))
                    .is_ok()
            }
            Some(_) => true,
            None => false,
        };
        times.guard.recorded = recorded;
    }

    /// Removes files; one that can't be removed doesn't keep the others.
    fn remove(&mut self, files: Vec<Doomed>, pruned: &mut Pruned) -> Result<()> {
        let mut failed = None;
        for file in files {
            match remove(&**self.sealed.fs(), self.sealed.layout(), &file.stem) {
                Ok(()) => {
                    self.recorded.remove(&file.stem);
                    pruned.bytes += file.bytes;
                    pruned.files.push(file);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The sealed and the live files that there are.
fn all_files(sealed: &LocalSealed) -> Result<BTreeSet<FileStem>> {
    let listing = Listing::since(&**sealed.fs(), sealed.layout(), sealed, None)?;
    let live = listing.live.into_keys();
    Ok(listing.sealed.into_iter().chain(live).collect())
}

/// What pruning would remove.
pub(super) fn preview(
    clock: &dyn Clock,
    sealed: &LocalSealed,
    retention: &Retention,
    trust_clock: bool,
) -> Result<Preview> {
    let mut times = times(clock, sealed, retention)?;
    if trust_clock {
        times = times.confirmed(sealed.layout(), clock);
    }
    let selection = retention::select(sealed, retention, &times)?;
    Ok(Preview {
        waiting: Waiting::new(&selection, retention, &times),
        files: selection.doomed,
        held: selection.held,
    })
}

fn times(clock: &dyn Clock, sealed: &LocalSealed, retention: &Retention) -> Result<Times> {
    match retention.age_limit_days() {
        Some(_) => Times::observe(clock, sealed),
        None => Ok(Times::unknown()),
    }
}

/// The entry that says what goes, with up to `names` webhooks that have not got it.
fn render(source: &Source, retention: &Retention, files: &[Doomed], names: usize) -> Vec<u8> {
    let list: Vec<_> = files
        .iter()
        .map(|file| {
            let mut about = json!({
                "file": file.stem.to_string(),
                "reason": file.reason.as_str(),
                "bytes": file.bytes,
                "lines": file.lines,
                "first_seq": file.seqs.map(|(first, _)| first),
                "last_seq": file.seqs.map(|(_, last)| last),
                "sha256": file.sha256.map(hex),
            });
            if file.undelivered.len() <= names {
                about["undelivered"] = json!(file.undelivered);
            } else {
                about["undelivered_webhooks"] = json!(file.undelivered.len());
            }
            about
        })
        .collect();
    OwnRecord::new(
        removed::PRUNED,
        Severity::Info,
        "Files past their retention are removed; a file that is still there is removed later and \
         recorded again",
    )
    .detail("retention_days", retention.days)
    .detail("files", list)
    .render(source)
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
#[path = "prune_tests.rs"]
mod tests;
