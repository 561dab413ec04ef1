//! Makes the stream of a dead process whole.
//!
//! In: a stream that no process writes: its lock is free. Out: its live files hold sound lines and
//! nothing else, the events that were only in its journal are appended, its journal is gone.
//!
//! # The order, and why it can be cut short anywhere
//!
//! 1. Take the stream's lock. Only the lock's holder touches the stream's files. If a process still
//!    holds the journal, someone deleted that process's lock: then nothing is touched.
//! 2. Remove the unsound lines of each live file (see `repair`). Behind the durable end, their
//!    events are still in the journal; damage before it is set aside, and the missing entries are
//!    recorded as lost. Lines that may not be durable are written again.
//! 3. Find the journal's events that no live file has, by their ids, and append them with the
//!    numbers that follow, in one write. After an interruption here, the next recovery finds a torn
//!    line, or fewer events missing.
//! 4. Sync the file, then its directory. Then remove the journal: from here on the file alone has
//!    the events. Sync the journal's directory as well, before the file can be sealed: a journal
//!    that a power loss brought back later would be written again. A damaged journal is kept under
//!    another name instead.
//! 5. Remove the live files in which nothing is sound.
//! 6. The other files are sealed as after any rotation.
//!
//! A file that can't be read now isn't damaged: the recovery fails, is reported, and is tried again
//! later.
//!
//! # No number is given again
//!
//! A follower goes from file to file by their numbers and never back. So recovery appends behind
//! all that was ever there: to the last file that the stream began, if that was today, or to a new
//! file with the next number. The journal has the number of the last file. A file that an
//! interrupted recovery began is still there, because empty files are removed only when nothing is
//! left to append.

mod files;
mod numbers;

use std::path::Path;

use files::{StreamFiles, Target, append, numbered};
use numbers::{number_before, sealed_numbers};

use super::{
    clock::Clock,
    fs::{self, Fs, FsLock},
    gone_journal,
    journal_place::JournalPlace,
    layout::Layout,
    living,
    names::FileStem,
    removed::{self, RecordedRemovals},
    repair::repair,
    sound::{Held, Journaled},
    survey::Survey,
};
use crate::{
    entry::{OwnEntry, Seq, Severity, Source, StreamId, Timestamp},
    error::{Error, Result},
    journal::Leftover,
};

/// A stream made whole.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Held until the files are sealed.
    pub(crate) lock: Box<dyn FsLock>,
    /// The live files, to be sealed.
    pub(crate) files: Vec<FileStem>,
    /// How many entries came from the journal.
    pub(crate) entries: u64,
    /// Problems to report: what could not be recovered, and where it still is.
    pub(crate) problems: Vec<String>,
}

/// Makes the stream whole; `None` if its process lives.
pub(crate) fn recover(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    stream: &StreamId,
) -> Result<Option<Recovered>> {
    let Some(lock) = fs.try_lock(&layout.lock(stream.as_str()))? else {
        return Ok(None);
    };
    let survey = Survey::take(fs, layout)?;
    recover_locked(fs, layout, clock, stream, &survey, lock).map(Some)
}

/// Makes a stream whole whose lock was taken before the survey.
pub(crate) fn recover_locked(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    stream: &StreamId,
    survey: &Survey,
    lock: Box<dyn FsLock>,
) -> Result<Recovered> {
    living::check_dead(fs, layout, stream)?;
    let mut problems = Vec::new();
    let target = Target {
        fs,
        layout,
        clock,
        stream,
    };
    remove_half_made(fs, layout, survey, stream)?;
    let place = JournalPlace::find_left(fs, layout, stream, &mut problems)?;
    let (leftover, damage) = match read_journal(fs, layout, stream, &place)? {
        Read::Whole(leftover) => (leftover, None),
        Read::Damaged(damage) => (None, Some(damage)),
    };
    let mut journaled = Journaled::new();
    for event in leftover.iter().flat_map(Leftover::frames) {
        journaled.extend(id_of(event).map(|id| (id, event)));
    }
    // Without a journal everything is durable that is there.
    let released = leftover
        .as_ref()
        .map_or(Seq(u64::MAX), |leftover| Seq(leftover.next_seq()));
    let before = number_before(fs, layout, survey.live(stream))?;
    let mut held = Held::left(stream, released, before);
    let mut stream_files = repair_all(&target, survey, &mut held, &mut journaled, &mut problems)?;

    let entries = match &leftover {
        Some(leftover) => {
            append_missing(&target, leftover, &journaled, &mut held, &mut stream_files)?
        }
        None => 0,
    };
    // If the stream records how it ended, no event was only in the journal.
    let is_gone = place.is_gone() && !held.life.has_end();
    if is_gone || damage.is_some() {
        let unread = record_without_journal(&target, &place, &mut held, &mut stream_files)?;
        problems.extend(unread.iter().map(|error| {
            format!(
                "{error}; if that file says that later entries of the stream {stream} were pruned, \
                 their numbers are given again"
            )
        }));
    }
    // Also after a recovery that recorded the loss and was interrupted then.
    if is_gone || place.pointer().is_some() && held.journal_gone {
        problems.push(gone_journal::problem(&place));
    }
    if let Some(damage) = damage {
        let aside = place.set_aside(fs, layout)?;
        problems.push(format!("{damage}; it is kept as {}", aside.display()));
    }
    place.remove(fs, layout, None)?;
    for stem in stream_files.hollow {
        let path = layout.live(&stem);
        fs::remove_if_there(fs, &path).map_err(Error::io("remove", &path))?;
    }
    Ok(Recovered {
        lock,
        files: stream_files.sound,
        entries,
        problems,
    })
}

/// Removes the unsound lines of the stream's live files, and finds out which entries are missing.
fn repair_all(
    target: &Target<'_>,
    survey: &Survey,
    held: &mut Held<'_>,
    journaled: &mut Journaled<'_>,
    problems: &mut Vec<String>,
) -> Result<StreamFiles> {
    let Target {
        fs, layout, stream, ..
    } = *target;
    let mut files = StreamFiles::default();
    for stem in survey.live(stream) {
        let kind = repair(fs, layout, stem, held, journaled, problems)?;
        files.add(stem.clone(), kind);
    }
    if held.misses_any() {
        let sealed = sealed_numbers(fs, layout, stream)?;
        held.cover(&sealed.numbers);
        problems.extend(leave_losses_open(stream, held, &sealed.unread));
    }
    Ok(files)
}

/// Appends the journal's events that no file has, and the log's own entries about the recovery.
/// Returns the number of events.
fn append_missing(
    target: &Target<'_>,
    leftover: &Leftover,
    journaled: &Journaled<'_>,
    held: &mut Held<'_>,
    files: &mut StreamFiles,
) -> Result<u64> {
    let stream = target.stream;
    let missing = missing(leftover, journaled);
    // After a loss the numbers of the lost entries stay free; otherwise they go on without a gap.
    let first = Seq((held.last + 1).max(leftover.next_seq()));
    let mut lines = numbered(stream, first, missing.iter().copied());
    held.life.see_lines(&lines);
    let mut own = own_entries(leftover, held, missing.len());
    let alive = leftover.alive_micros().map(Timestamp::from_micros);
    // If the stream has no entries at all, a power failure took its first entry too.
    if first > Seq::FIRST || !missing.is_empty() {
        own.extend(held.life.end(alive, true));
    }
    if own.is_empty() {
        return Ok(missing.len() as u64);
    }
    let next = Seq(first.0 + missing.len() as u64);
    lines.append(&mut own_lines(stream, next, &own)?);
    // A name has eight digits: what the journal notes beyond them is damage.
    let noted = Some(leftover.files()).filter(|noted| *noted < 99_999_999);
    let last = files.last_number().max(noted.unwrap_or(0));
    append(target, files, last, &lines)?;
    Ok(missing.len() as u64)
}

/// The log's own entries as lines of a stream.
fn own_lines(stream: &StreamId, first: Seq, own: &[OwnEntry]) -> Result<Vec<u8>> {
    let source: Source = stream.source().parse()?;
    let rendered: Vec<_> = own.iter().map(|entry| entry.render(&source)).collect();
    Ok(numbered(stream, first, rendered.iter().map(Vec::as_slice)))
}

/// Records that the journal is gone, if it is, and how the stream ended, unless an interrupted
/// recovery did. Returns the errors of damaged files, which may have later numbers of the stream.
fn record_without_journal(
    target: &Target<'_>,
    journal: &JournalPlace,
    held: &mut Held<'_>,
    files: &mut StreamFiles,
) -> Result<Vec<Error>> {
    let Target {
        fs, layout, stream, ..
    } = *target;
    let mut last = files.last_number();
    let sealed = gone_journal::last_sealed(fs, layout, stream)?;
    if let Some(sealed) = &sealed {
        last = last.max(sealed.number);
        held.pass(sealed.last_seq);
    }
    // Pruning may have removed the last files of the stream.
    let recorded = match files.open {
        Some(_) => RecordedRemovals::default(),
        None => removed::all_recorded(fs, layout)?,
    };
    last = last.max(recorded.last_file(stream));
    if let Some(pruned) = recorded.numbers(stream).map(|(_, last)| last).max() {
        held.pass(Seq(pruned));
    }
    let mut own = Vec::new();
    if journal.is_gone() && !held.journal_gone {
        own = lost_entries(held);
        own.push(gone_journal::entry(journal, held.last));
    }
    if held.last > 0 {
        let newest = sealed.as_ref().map(|sealed| sealed.newest);
        own.extend(held.life.end(newest, false));
    }
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let lines = own_lines(stream, Seq(held.last + 1), &own)?;
    // The file that an attempt like this one began is used; one more than it may not have been
    // begun.
    let follows_sealed = sealed.is_some_and(|sealed| sealed.number + 1 == last);
    let number = match !follows_sealed && files.was_begun_by_recovery(last) {
        true => last,
        false => last + 1,
    };
    append(target, files, number, &lines)?;
    Ok(recorded.unread)
}

/// The journal of a dead process, as it was read.
enum Read {
    /// Nothing, if there is no journal.
    Whole(Option<Leftover>),
    Damaged(Error),
}

/// Reads a journal. Damage is proven by finding it twice; then the journal is to be kept under
/// another name: no later recovery could read it either, but a person may want to.
fn read_journal(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
    place: &JournalPlace,
) -> Result<Read> {
    if !place.may_have_events() {
        return Ok(Read::Whole(None));
    }
    let ring = place.path();
    let found = fs.identity(ring).map_err(Error::io("look at", ring))?;
    match found {
        None => return Ok(Read::Whole(None)),
        Some(found) if found.is_file => {}
        Some(_) => {
            let what = Error::damaged(ring, "it is not a regular file");
            return Ok(Read::Damaged(what));
        }
    }
    let read = || {
        let bytes = place.read(fs, layout)?;
        let leftover = Leftover::parse(ring, bytes)?;
        match leftover {
            None if place.pointer().is_some() => {
                let what = "it is empty, but its process had begun to write to it";
                Err(Error::damaged(ring, what))
            }
            Some(other) if other.stream() != stream => {
                let what = format!("it is the journal of the stream {}", other.stream());
                Err(Error::damaged(ring, what))
            }
            leftover => Ok(leftover),
        }
    };
    match read().or_else(|_| read()) {
        Err(damage @ Error::Damaged { .. }) => Ok(Read::Damaged(damage)),
        leftover => leftover.map(Read::Whole),
    }
}

/// Numbers are missing, and damaged files may say why: then no entry is called lost, and the
/// problems to be reported are given.
fn leave_losses_open(stream: &StreamId, held: &mut Held<'_>, unread: &[Error]) -> Vec<String> {
    if unread.is_empty() || held.missing().is_empty() {
        return Vec::new();
    }
    held.losses_are_unknown = true;
    let problem = |error: &Error| {
        format!(
            "{error}; numbers are missing in the stream {stream}, and that file may say that they \
             were pruned, so the log doesn't call these entries lost"
        )
    };
    unread.iter().map(problem).collect()
}

/// The journal's events that no file has.
fn missing<'a>(leftover: &'a Leftover, journaled: &Journaled<'_>) -> Vec<&'a [u8]> {
    let is_missing = |event: &&[u8]| id_of(event).is_none_or(|id| journaled.contains_key(&id));
    leftover.frames().filter(is_missing).collect()
}

/// The entries that say which durable entries are missing from the live files.
fn lost_entries(held: &Held<'_>) -> Vec<OwnEntry> {
    let lost = |(after, count)| {
        let what =
            "Entries that were on stable storage are missing from the live file; they are lost";
        OwnEntry::new("audit.log.lost", Severity::Critical, what)
            .detail("count", count)
            .detail("after_seq", after)
    };
    held.missing().into_iter().map(lost).collect()
}

/// The log's own entries about a recovery; none if there was nothing to do.
fn own_entries(leftover: &Leftover, held: &Held<'_>, missing: usize) -> Vec<OwnEntry> {
    let mut own = lost_entries(held);
    let dropped = leftover.dropped();
    if dropped.total > held.drops && dropped.unreported > 0 {
        let what = "Events were dropped because the journal was full";
        let mut entry = OwnEntry::new("audit.log.dropped", Severity::Critical, what)
            .detail("count", dropped.unreported)
            .detail("total", dropped.total);
        if let Some(since) = dropped.since_micros {
            entry = entry.detail("since", Timestamp::from_micros(since).to_string());
        }
        own.push(entry);
    }
    if missing > 0 || !own.is_empty() {
        let what = "The process ended without closing its log; its journal was recovered";
        let entry = OwnEntry::new("audit.log.recovered", Severity::Warning, what)
            .detail("entries", missing)
            .detail("interrupted", leftover.holes());
        own.push(entry);
    }
    own
}

/// The id of an event as it is in the journal, which begins with it.
fn id_of(event: &[u8]) -> Option<[u8; 36]> {
    event.strip_prefix(b"\"id\":\"")?.first_chunk().copied()
}

/// Removes the temporary files of a stream whose lock is held.
pub(super) fn remove_half_made(
    fs: &dyn Fs,
    layout: &Layout,
    survey: &Survey,
    stream: &StreamId,
) -> Result<()> {
    for name in survey.half_made(stream) {
        let path = layout.tmp_dir().join(name);
        fs::remove_if_there(fs, &path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

/// The journals that were set aside as damaged and are still there: what is in them may be missing
/// in the log, until a person has looked.
pub(crate) fn damaged_journals(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>> {
    let entries = fs.list(dir).map_err(Error::io("list", dir))?;
    let names = entries.into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| name.ends_with(".damaged")).collect())
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
