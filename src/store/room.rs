//! A log that is opened on a full disk: what room can be made for its journal without losing
//! anything.
//!
//! In: the error that says that the disk is full. Out: what could be begun after all, or an error
//! that says what to do. The cheapest pieces, which need no room themselves, come first; after each
//! piece the opening is tried again:
//!
//! 1. the half-made files and reserves of dead processes;
//! 2. the live twins of sealed files, whatever is left of their grace;
//! 3. the journals of dead processes: their events are appended to live files, which takes less
//!    room than a journal does unless it was full;
//! 4. the live files of dead processes are sealed, which takes a tenth of what it frees, the
//!    smallest first.
//!
//! Streams of living processes are left alone. A piece that fails is left to the sealer, which
//! reports it.

use std::{io, path::Path};

use super::{
    clock::Clock,
    fs::Fs,
    gzip::Level,
    health::{Health, Problem},
    layout::Layout,
    names::FileStem,
    recover::{self, Recovered},
    retry::is_full,
    seal::{self, seal_sound},
    survey::Survey,
    take_over::sync_journals,
    twins::remove_twin,
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
    journal,
};

/// Room for fewer journals than this is scarce.
const SCARCE: u64 = 4;
/// So many journals are recovered before ours is created, if room stays scarce.
const FIRST: usize = 8;

/// Where and how a log is opened.
pub(super) struct Room<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) layout: &'a Layout,
    pub(super) clock: &'a dyn Clock,
    pub(super) health: &'a Health,
    pub(super) level: Level,
    /// Where the journal is to be, if not in the log's directory.
    pub(super) journal_dir: Option<&'a Path>,
    /// The size of the journal.
    pub(super) capacity: u64,
}

/// Something that takes room and may go.
enum Piece {
    HalfMade(StreamId),
    Twin(FileStem),
    Journal(StreamId),
    Unsealed(FileStem),
}

impl Room<'_> {
    /// Where room is scarce, dead processes' journals come before ours: it would take the room that
    /// their events need, and theirs goes when they have it. Failures are the sealer's to report,
    /// which makes the next attempt.
    pub(super) fn recover_first(&self) {
        let Self { fs, layout, .. } = *self;
        let scarce = || {
            let space = fs.space(self.journal_dir.unwrap_or(layout.root()));
            space.is_ok_and(|space| space.free < SCARCE.saturating_mul(self.capacity))
        };
        if !scarce() {
            return;
        }
        let Ok(survey) = Survey::take(fs, layout) else {
            return;
        };
        for stream in survey.journals().iter().take(FIRST) {
            if let Ok(Some(recovered)) = recover::recover(fs, layout, self.clock, stream) {
                report(self.health, &recovered);
            }
            if !scarce() {
                return;
            }
        }
    }

    /// Tries `begin` again and again while room is made, the last time when nothing is left to be
    /// done.
    pub(super) fn make<T>(&self, full: Error, begin: impl Fn() -> Result<T>) -> Result<T> {
        let Self { fs, layout, .. } = *self;
        let survey = Survey::take(fs, layout)?;
        let journals = survey.journals().iter().cloned().map(Piece::Journal);
        // Files on another file system make no room for a journal elsewhere.
        if let Some(dir) = self.journal_dir.filter(|dir| is_in(&full, dir)) {
            let begun = self.try_pieces(&survey, &mut journals.collect(), &begin)?;
            return begun.ok_or_else(|| self.explain_journal(full, dir));
        }
        let half_made = survey.half_made_streams().cloned().map(Piece::HalfMade);
        let twins = survey.all_live().cloned().map(Piece::Twin);
        let mut pieces: Vec<_> = half_made.chain(twins).chain(journals).collect();
        if let Some(begun) = self.try_pieces(&survey, &mut pieces, &begin)? {
            return Ok(begun);
        }
        // Recovered files can be sealed as well.
        let survey = Survey::take(fs, layout)?;
        let mut unsealed = survey.unsealed(fs, layout)?;
        sync_journals(fs, layout)?;
        unsealed.sort_by_key(|stem| {
            let found = fs.identity(&layout.live(stem)).ok().flatten();
            found.map_or(0, |found| found.len)
        });
        let mut pieces = unsealed.into_iter().map(Piece::Unsealed).collect();
        match self.try_pieces(&survey, &mut pieces, &begin)? {
            Some(begun) => Ok(begun),
            None => Err(self.explain(full)),
        }
    }

    /// The same error, with what to do.
    fn explain(&self, full: Error) -> Error {
        let root = self.layout.root();
        let free = self.free_bytes(root);
        explained(full, |source| {
            format!(
                "{source}: the file system of {} is full ({free}, or no file can be created on \
                 it), and the log could not make room by itself; free some space and open the log \
                 again: nothing is lost, and the journals of dead processes are recovered then",
                root.display()
            )
        })
    }

    /// The same for a journal that is to be elsewhere.
    fn explain_journal(&self, full: Error, dir: &Path) -> Error {
        let free = self.free_bytes(dir);
        let needed = journal::file_len(self.capacity as usize).unwrap_or(0);
        explained(full, |source| {
            format!(
                "{source}: the journal needs {needed} bytes, and the file system of {} is full \
                 ({free}); free some space there, make that file system larger, or set smaller \
                 `journal_bytes`",
                dir.display()
            )
        })
    }

    fn free_bytes(&self, dir: &Path) -> String {
        match self.fs.space(dir) {
            Ok(space) => format!("{} of {} bytes are free", space.free, space.total),
            Err(error) => format!("the free space is unknown: {error}"),
        }
    }

    fn try_pieces<T>(
        &self,
        survey: &Survey,
        pieces: &mut Vec<Piece>,
        begin: &impl Fn() -> Result<T>,
    ) -> Result<Option<T>> {
        for piece in pieces.drain(..) {
            if !self.free(survey, &piece).unwrap_or(false) {
                continue;
            }
            match begin() {
                Err(error) if is_full(&error) => {}
                begun => return begun.map(Some),
            }
        }
        Ok(None)
    }

    /// Frees what a piece takes; false if it is to stay.
    fn free(&self, survey: &Survey, piece: &Piece) -> Result<bool> {
        let Self { fs, layout, .. } = *self;
        let lock = |stream: &StreamId| fs.try_lock(&layout.lock(stream.as_str()));
        match piece {
            Piece::HalfMade(stream) => {
                let Some(_lock) = lock(stream)? else {
                    return Ok(false);
                };
                recover::remove_half_made(fs, layout, survey, stream)?;
            }
            Piece::Twin(stem) => {
                if seal::verified(fs, layout, stem)?.is_none() {
                    return Ok(false);
                }
                remove_twin(fs, layout, stem)?;
            }
            Piece::Journal(stream) => {
                let Some(recovered) = recover::recover(fs, layout, self.clock, stream)? else {
                    return Ok(false);
                };
                report(self.health, &recovered);
                if recovered.files.is_empty() {
                    recovered.lock.remove()?;
                }
            }
            Piece::Unsealed(stem) => {
                let Some(_lock) = lock(&stem.stream)? else {
                    return Ok(false);
                };
                // With a journal it isn't whole yet.
                if survey.has_journal(&stem.stream) {
                    return Ok(false);
                }
                seal_sound(fs, layout, stem, self.level)?;
                remove_twin(fs, layout, stem)?;
            }
        }
        Ok(true)
    }
}

fn report(health: &Health, recovered: &Recovered) {
    health.count(health.recovered(), recovered.entries);
    for what in &recovered.problems {
        health.report(&Problem::RecoveryFailed(what.clone()));
    }
}

/// Whether the error is about something in this directory.
fn is_in(error: &Error, dir: &Path) -> bool {
    matches!(error, Error::Io { path, .. } if path.starts_with(dir))
}

/// The same error, with an explanation.
fn explained(error: Error, explain: impl FnOnce(&io::Error) -> String) -> Error {
    match error {
        Error::Io {
            operation,
            path,
            source,
        } => Error::Io {
            operation,
            path,
            source: io::Error::new(source.kind(), explain(&source)),
        },
        other => other,
    }
}
