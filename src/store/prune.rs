//! Removes files.
//!
//! The removal of files is recorded first, with their hashes. Only when that entry is durable are
//! the files removed, and their indexes before them. The order of a pruning, under the lock
//! `prune`:
//!
//! 1. Entries of earlier prunings that the log doesn't have yet are written into it.
//! 2. The clocks are read ([`trusted_time`](super::trusted_time)) and files chosen
//!    ([`retention`](super::retention)).
//! 3. For up to 64 files: an entry `audit.log.pruned` goes through the journal like any event, and
//!    is waited for. If the journal is full or the disk refuses, the entry is kept in
//!    `state/pruning` instead, durably ([`prune_intent`](super::prune_intent)): a full disk may
//!    have to be emptied before anything can be written into the log. If that fails too, nothing is
//!    removed.
//! 4. Their live twins and their indexes are removed, durably, and then these files.
//!
//! A death at any moment leaves each removed file recorded: in the log, in the journal of a dead
//! process, or in `state/pruning`. After a death between 3 and 4, files are still there that the
//! log calls pruned; the next pruning records them again and removes them. Names are parsed whole,
//! so foreign files are never touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    clock::Clock,
    files::{Files, dirs},
    hold,
    names::FileStem,
    own_journal, prune_entry,
    prune_intent::Intents,
    prune_remove,
    prune_watch::{ClockWait, Watch},
    removed,
    retention::{self, PrunedFile, Retention},
    settings::LogSettings,
    survey::Survey,
    trusted_time::Times,
};
use crate::{
    entry::{Source, StreamId},
    error::{Error, Result},
    journal::{Durability, Fate, Producer, PushError},
};

/// The sealed files that a pruning has removed, or, in a
/// [preview](crate::AuditReader::prune_preview), would remove.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Pruned {
    /// The files, the oldest first.
    pub files: Vec<PrunedFile>,
    /// The bytes that these files take on the disk.
    pub bytes: u64,
    /// The number of files that are past the retention, and stay because a
    /// [`Hold`](crate::retention::Hold) keeps them.
    pub held: u64,
    /// The files that are past the retention by this machine's clock, and stay because the clock
    /// has not proved itself; `None` if there are none.
    pub waiting: Option<ClockWait>,
}

/// Removes what is past its retention.
pub(crate) struct Pruner {
    pub(super) files: Arc<Files>,
    pub(super) producer: Producer,
    /// Waits until a position of our journal is durable, or is known not to become so now.
    pub(super) wait: Box<dyn FnMut(u64) -> Fate + Send>,
    source: Source,
    /// Where entries of `state/pruning` stand in our journal.
    pushed: BTreeMap<Vec<u8>, u64>,
    /// Files whose removal is recorded, and failed.
    recorded: BTreeSet<FileStem>,
    /// The files among them whose entries about earlier removals were recorded again.
    carried_on: BTreeSet<FileStem>,
    pub(super) watch: Watch,
}

impl Pruner {
    pub(crate) fn new(
        files: Arc<Files>,
        producer: Producer,
        durability: &'static Durability,
        source: Source,
    ) -> Self {
        Self {
            files,
            producer,
            wait: Box::new(|position| durability.wait(position)),
            source,
            pushed: BTreeMap::new(),
            recorded: BTreeSet::new(),
            carried_on: BTreeSet::new(),
            watch: Watch::default(),
        }
    }

    /// Removes what is past its retention; `None` if another process is at it.
    pub(crate) fn prune(
        &mut self,
        clock: &dyn Clock,
        retention: &Retention,
    ) -> Result<Option<Pruned>> {
        match self.prune_most(clock, retention)? {
            Some((_, Some(error))) => Err(error),
            Some((pruned, None)) => Ok(Some(pruned)),
            None => Ok(None),
        }
    }

    /// The same. A file that can't be removed doesn't keep others from being removed: the first
    /// such error is returned with the files that are gone.
    pub(super) fn prune_most(
        &mut self,
        clock: &dyn Clock,
        retention: &Retention,
    ) -> Result<Option<(Pruned, Option<Error>)>> {
        let files = self.files.clone();
        let (fs, layout) = (files.fs(), files.layout());
        let intents = Intents::new(&**fs, layout);
        let in_force = || {
            let settings = LogSettings::read(fs.clone(), layout)?;
            Ok::<_, Error>(settings.apply(retention))
        };
        let nothing_begun = || matches!(fs.identity(&layout.pruning()), Ok(None));
        if in_force()?.is_unlimited() && nothing_begun() {
            return Ok(Some((Pruned::default(), None)));
        }
        let Some(_lock) = fs.try_lock(&layout.lock(hold::LOCK))? else {
            return Ok(None);
        };
        self.pay(&intents)?;
        // Under the lock, so that no setting changes while files go.
        let retention = &in_force()?;
        if retention.is_unlimited() {
            return Ok(Some((Pruned::default(), None)));
        }
        // Without it, a full disk can't be emptied; nothing else depends on it.
        let _ = intents.prepare();
        // Under the lock, so that no hold is placed while files go.
        let mut times = times(clock, &files, retention)?;
        let selection = retention::select(&files, retention, &times)?;
        let waiting = ClockWait::new(&selection, retention, &times);
        self.record_waiting(waiting.as_ref(), &mut times);
        times.keep(fs, layout);
        let mut pruned = Pruned {
            held: selection.held,
            waiting,
            ..Pruned::default()
        };
        let mut doomed = selection.doomed;
        // Recorded already, and all that together: first, whatever their age.
        doomed.sort_by_key(|file| !self.recorded.contains(&file.stem));
        // Before they are recorded as removed: a twin that stayed would be sealed again.
        let mut failed = prune_remove::remove_twins_of(&files, &mut doomed)?;
        let mut left = match doomed.is_empty() {
            true => Left::default(),
            false => Left::look(&files)?,
        };
        while !doomed.is_empty() {
            let batch = self.record(&intents, retention, &mut doomed)?;
            self.carry_on(&intents, &batch, &mut left)?;
            let removed = prune_remove::remove(&files, batch);
            for file in &removed.files {
                self.recorded.remove(&file.stem);
                self.carried_on.remove(&file.stem);
            }
            pruned.bytes += removed.files.iter().map(|file| file.bytes).sum::<u64>();
            pruned.files.extend(removed.files);
            failed = failed.or(removed.failed);
        }
        Ok(Some((pruned, failed.or(selection.unread))))
    }

    /// Records again what these files say about removals, once for each. They are taken out of what
    /// is left.
    fn carry_on(
        &mut self,
        intents: &Intents<'_>,
        files: &[PrunedFile],
        left: &mut Left,
    ) -> Result<()> {
        let files: Vec<&FileStem> = files.iter().map(|file| &file.stem).collect();
        for file in &files {
            left.files.remove(file);
        }
        let is_new = |file: &&FileStem| !self.carried_on.contains(*file);
        let new: Vec<&FileStem> = files.into_iter().filter(is_new).collect();
        for entry in removed::carried_on(&self.files, &new, &left.streams())? {
            self.record_durably(intents, entry.render(&self.source))?;
        }
        self.carried_on.extend(new.into_iter().cloned());
        Ok(())
    }

    /// Records the removal of the first files of `doomed`, and takes them out of it. Once this
    /// returns, they may go.
    fn record(
        &mut self,
        intents: &Intents<'_>,
        retention: &Retention,
        doomed: &mut Vec<PrunedFile>,
    ) -> Result<Vec<PrunedFile>> {
        // The log has already recorded the files that failed to go.
        let known = doomed
            .iter()
            .take_while(|file| self.recorded.contains(&file.stem))
            .count();
        if known > 0 {
            return Ok(doomed.drain(..known).collect());
        }
        let longest = self.producer.max_payload();
        let (entry, count) = prune_entry::first(&self.source, retention, doomed, longest)?;
        self.record_durably(intents, entry)?;
        let batch: Vec<_> = doomed.drain(..count).collect();
        let stems = batch.iter().map(|file| file.stem.clone());
        self.recorded.extend(stems);
        Ok(batch)
    }

    fn record_durably(&mut self, intents: &Intents<'_>, mut entry: Vec<u8>) -> Result<()> {
        let position = match own_journal::push(&self.producer, &mut entry) {
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
                None => match own_journal::push(&self.producer, &mut entry.clone()) {
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
    fn record_waiting(&mut self, waiting: Option<&ClockWait>, times: &mut Times) {
        let waiting = waiting.filter(|waiting| waiting.is_far_ahead());
        let recorded = match waiting {
            Some(waiting) if !times.guard.recorded => {
                // With a full journal it is recorded at the next turn.
                let mut entry = waiting.entry().render(&self.source);
                own_journal::push(&self.producer, &mut entry).is_ok()
            }
            Some(_) => true,
            None => false,
        };
        times.guard.recorded = recorded;
    }
}

/// The result of a pruning.
#[derive(Default)]
struct Left {
    /// The sealed and the live files.
    files: BTreeSet<FileStem>,
    /// The streams with a journal: they may go on after all their files are gone.
    open: BTreeSet<StreamId>,
}

impl Left {
    fn look(files: &Files) -> Result<Self> {
        let (fs, layout) = (&**files.fs(), files.layout());
        // Before the files: a stream that ends meanwhile has some then.
        let open = Survey::take(fs, layout)?.journals().clone();
        let live = dirs::live(fs, layout)?.into_keys();
        let sealed = dirs::all_sealed(fs, layout)?;
        Ok(Self {
            files: live.chain(sealed).collect(),
            open,
        })
    }

    /// The streams that go on.
    fn streams(&self) -> BTreeSet<StreamId> {
        let files = self.files.iter().map(|stem| &stem.stream);
        files.chain(&self.open).cloned().collect()
    }
}

/// The files that pruning would remove.
pub(super) fn preview(
    clock: &dyn Clock,
    files: &Files,
    retention: &Retention,
    trust_clock: bool,
) -> Result<Pruned> {
    let mut times = times(clock, files, retention)?;
    if trust_clock {
        times = times.confirmed(files.layout(), clock);
    }
    let mut selection = retention::select(files, retention, &times)?;
    selection.unread.take().map_or(Ok(()), Err)?;
    Ok(Pruned {
        waiting: ClockWait::new(&selection, retention, &times),
        bytes: selection.doomed.iter().map(|file| file.bytes).sum(),
        files: selection.doomed,
        held: selection.held,
    })
}

fn times(clock: &dyn Clock, files: &Files, retention: &Retention) -> Result<Times> {
    match retention.age_limit_days() {
        Some(_) => Times::observe(clock, files),
        None => Ok(Times::unknown()),
    }
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
