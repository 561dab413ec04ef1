//! What a dead process left, made whole.
//!
//! In: a stream that nobody writes, which is known by its lock being free. Out: its live files hold
//! sound lines and nothing else, the events that were only in its journal are appended, its journal
//! is gone.
//!
//! # The order, and why it can be cut short anywhere
//!
//! 1. Take the stream's lock. Whoever holds it is the only one to touch the stream's files.
//! 2. Give up what is not sound in each live file (see `repair`). The events that this costs are still
//!    in the journal; damage before them is set aside, and what it cost is recorded as lost. Lines
//!    that may not be durable are written again.
//! 3. Find the journal's events that no live file has, by their ids, and append them with the
//!    numbers that follow, in one write. Cut short here, the next attempt finds a torn line, or fewer
//!    events missing.
//! 4. Sync the file, then its directory. Then remove the journal: from here on the file alone has
//!    the events. Sync the journal's directory as well, before the file can be sealed: a journal that
//!    a power loss brought back later would be written again.
//!    A damaged journal is kept under another name instead.
//! 5. Remove the live files in which nothing is sound.
//! 6. The other files are sealed as after any rotation.
//!
//! What can't be read now is no damage: the attempt fails, is reported, and is made again later.
//!
//! # No number is given again
//!
//! Who follows the log goes from file to file by their numbers and never back. So what is appended
//! goes behind all that was ever there: into the last file that the stream began, if that was today,
//! or into a new one with the number that follows. The journal says which one was the last; what was
//! begun by an attempt that was cut short is still there, because empty files are removed only when
//! nothing is left to be appended.

use std::{cmp::Reverse, path::Path};

use super::{
    clock::Clock,
    files::dirs,
    fs::{self, Fs, FsLock},
    gone_journal,
    index::Index,
    journal_place::JournalPlace,
    layout::Layout,
    names::FileStem,
    removed,
    repair::{Kind, repair},
    sound::{Held, Journaled},
    survey::Survey,
};
use crate::{
    error::{Error, Result},
    journal::Leftover,
    record::{OwnRecord, Seq, Severity, Source, StreamId, Timestamp},
};

/// A stream made whole.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Held until the files are sealed.
    pub(crate) lock: Box<dyn FsLock>,
    /// The live files, to be sealed.
    pub(crate) files: Vec<FileStem>,
    /// How many records came from the journal.
    pub(crate) records: u64,
    /// What could not be recovered, and where it still is.
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
    let mut problems = Vec::new();
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
    let mut stream_files = StreamFiles::default();
    for stem in survey.live(stream) {
        let kind = repair(fs, layout, stem, &mut held, &mut journaled, &mut problems)?;
        stream_files.add(stem.clone(), kind);
    }
    if held.misses_any() {
        let sealed = sealed_numbers(fs, layout, stream)?;
        held.cover(&sealed);
    }

    let mut records = 0;
    if let Some(leftover) = &leftover {
        let source: Source = stream.source().parse()?;
        let missing = missing(leftover, &journaled);
        // After a loss the numbers of the lost entries stay free; otherwise they go on without a
        // gap.
        let first = Seq((held.last + 1).max(leftover.next_seq()));
        let mut lines = numbered(stream, first, missing.iter().copied());
        held.life.see_lines(&lines);
        let mut own = own_entries(leftover, &held, missing.len());
        let alive = leftover.alive_micros().map(Timestamp::from_micros);
        // Of a stream without entries, a power failure took the first as well.
        if first > Seq::FIRST || !missing.is_empty() {
            own.extend(held.life.end(alive, true));
        }
        if !own.is_empty() {
            let rendered: Vec<_> = own.iter().map(|entry| entry.render(&source)).collect();
            let own = rendered.iter().map(Vec::as_slice);
            let next = Seq(first.0 + missing.len() as u64);
            lines.append(&mut numbered(stream, next, own));
            // A name has eight digits: what the journal notes beyond them is damage.
            let noted = Some(leftover.files()).filter(|noted| *noted < 99_999_999);
            let last = stream_files.last_number().max(noted.unwrap_or(0));
            append(fs, layout, clock, stream, &mut stream_files, last, &lines)?;
        }
        records = missing.len() as u64;
    }
    // Of a stream that says how it ended, nothing was only in the journal.
    let is_gone = place.is_gone() && !held.life.has_end();
    if is_gone || damage.is_some() {
        record_without_journal(
            fs,
            layout,
            clock,
            stream,
            &place,
            &mut held,
            &mut stream_files,
        )?;
    }
    // Also after an attempt that recorded it and got no further.
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
        records,
        problems,
    })
}

/// Records that the journal is gone, if it is, and how the stream ended; unless an attempt that was
/// cut short did.
fn record_without_journal(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    stream: &StreamId,
    place: &JournalPlace,
    held: &mut Held<'_>,
    files: &mut StreamFiles,
) -> Result<()> {
    let mut last = files.last_number();
    let sealed = gone_journal::last_sealed(fs, layout, stream)?;
    if let Some(sealed) = &sealed {
        last = last.max(sealed.number);
        held.pass(sealed.last_seq);
    }
    let mut own = Vec::new();
    if place.is_gone() && !held.journal_gone {
        own = lost_entries(held);
        own.push(gone_journal::entry(place, held.last));
    }
    if held.last > 0 {
        own.extend(held.life.end(sealed.map(|sealed| sealed.newest), false));
    }
    if own.is_empty() {
        return Ok(());
    }
    let source: Source = stream.source().parse()?;
    let rendered: Vec<_> = own.iter().map(|entry| entry.render(&source)).collect();
    let lines = rendered.iter().map(Vec::as_slice);
    let lines = numbered(stream, Seq(held.last + 1), lines);
    append(fs, layout, clock, stream, files, last + 1, &lines)
}

/// The live files of a stream.
#[derive(Debug, Default)]
struct StreamFiles {
    /// Those with sound lines, sealed or not.
    sound: Vec<FileStem>,
    /// Those with nothing.
    hollow: Vec<FileStem>,
    /// The last of the sound ones, if it is not sealed.
    open: Option<FileStem>,
}

impl StreamFiles {
    fn add(&mut self, stem: FileStem, kind: Kind) {
        self.open = (kind == Kind::Sound).then(|| stem.clone());
        match kind {
            Kind::Sealed | Kind::Sound => self.sound.push(stem),
            Kind::Hollow => self.hollow.push(stem),
            Kind::Foreign => {}
        }
    }

    fn last_number(&self) -> u32 {
        let all = self.sound.iter().chain(&self.hollow);
        all.map(|stem| stem.number).max().unwrap_or(0)
    }
}

/// What a dead process left in its journal.
enum Read {
    /// Nothing, if there is no journal.
    Whole(Option<Leftover>),
    Damaged(Error),
}

/// Reads a journal. Damage is proven by finding it twice; then the journal is to be kept under
/// another name: nobody else could read it either, but a person may want to.
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
        let bytes = place.read(fs, layout).map_err(Error::io("read", ring))?;
        let leftover = Leftover::parse(ring, bytes)?;
        match leftover {
            None if place.pointer().is_some() => {
                let what = "nothing is in it, but its process had begun";
                Err(Error::damaged(ring, what))
            }
            Some(other) if other.stream() != stream => {
                let what = format!("it belongs to {}", other.stream());
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

/// The number of the last entry before a stream's live files, if it can be told.
fn number_before(fs: &dyn Fs, layout: &Layout, live: &[FileStem]) -> Result<Option<u64>> {
    let Some(first) = live.first() else {
        return Ok(None);
    };
    if first.number == 1 {
        return Ok(Some(0));
    }
    // It lies in the folder of the same day or, nearly always, of the one before.
    let mut days = dirs::sealed_days(fs, layout)?;
    days.sort_by_key(|day| (*day > first.day(), Reverse(*day)));
    for day in days {
        let mut stems = dirs::sealed(fs, layout, day)?.into_iter();
        let before =
            stems.find(|stem| stem.stream == first.stream && stem.number == first.number - 1);
        if let Some(stem) = before {
            // Without its index it is not worth reading the whole file.
            let index = Index::read(fs, &layout.index(&stem));
            return Ok(index.ok().map(|index| index.last_seq.0));
        }
    }
    Ok(None)
}

/// The numbers of the entries in a stream's sealed files, and in those that were pruned: the first and
/// the last of each.
fn sealed_numbers(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<Vec<(u64, u64)>> {
    let sealed = dirs::all_sealed(fs, layout)?.into_iter();
    let of_stream = sealed.filter(|stem| stem.stream == *stream);
    let indexes = of_stream.filter_map(|stem| Index::read(fs, &layout.index(&stem)).ok());
    let mut numbers: Vec<_> = indexes
        .map(|index| (index.first_seq.0, index.last_seq.0))
        .collect();
    // Removed ones are not lost.
    numbers.extend(removed::numbers_of(fs, layout, stream)?);
    numbers.sort_unstable();
    Ok(numbers)
}

/// The journal's events that no file has.
fn missing<'a>(leftover: &'a Leftover, journaled: &Journaled<'_>) -> Vec<&'a [u8]> {
    let is_missing = |event: &&[u8]| id_of(event).is_none_or(|id| journaled.contains_key(&id));
    leftover.frames().filter(is_missing).collect()
}

/// The entries that say which durable entries are missing from the live files.
fn lost_entries(held: &Held<'_>) -> Vec<OwnRecord> {
    let lost = |(after, count)| {
        let what = "Entries that were durable are missing from the live file";
        OwnRecord::new("audit.log.lost", Severity::Critical, what)
            .detail("count", count)
            .detail("after_seq", after)
    };
    held.missing().into_iter().map(lost).collect()
}

/// What the log has to say about a recovery; nothing if there was nothing to do.
fn own_entries(leftover: &Leftover, held: &Held<'_>, missing: usize) -> Vec<OwnRecord> {
    let mut own = lost_entries(held);
    let dropped = leftover.dropped();
    if dropped.total > held.drops && dropped.unreported > 0 {
        let what = "Events were dropped because the journal was full";
        let mut entry = OwnRecord::new("audit.log.dropped", Severity::Critical, what)
            .detail("count", dropped.unreported)
            .detail("total", dropped.total);
        if let Some(since) = dropped.since_micros {
            entry = entry.detail("since", Timestamp::from_micros(since).to_string());
        }
        own.push(entry);
    }
    if missing > 0 || !own.is_empty() {
        let what = "The process ended without closing its log; its journal was recovered";
        let entry = OwnRecord::new("audit.log.recovered", Severity::Warning, what)
            .detail("records", missing)
            .detail("interrupted", leftover.holes());
        own.push(entry);
    }
    own
}

fn numbered<'a>(stream: &StreamId, first: Seq, events: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut number = first;
    for event in events {
        lines.extend_from_slice(format!("{{\"stream\":\"{stream}\",\"seq\":{number},").as_bytes());
        lines.extend_from_slice(event);
        lines.push(b'\n');
        number = number.next();
    }
    lines
}

/// Appends the lines to the stream's last file, or to a new one; durable on return. `last` is the
/// number of the file that the stream began last.
fn append(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    stream: &StreamId,
    files: &mut StreamFiles,
    last: u32,
    lines: &[u8],
) -> Result<()> {
    let now = clock.now();
    // An entry of today is looked for from today on: in an older file nobody would find it.
    let open = files
        .open
        .take()
        .filter(|stem| stem.number == last && stem.day() == now.day());
    let (path, file) = match open {
        Some(stem) => {
            let path = layout.live(&stem);
            let file = fs.open_write(&path).map_err(Error::io("open", &path))?;
            (path, file)
        }
        None => {
            let stem = FileStem {
                born: now,
                stream: stream.clone(),
                number: last + 1,
            };
            let path = layout.live(&stem);
            let file = fs.create_new(&path).map_err(Error::io("create", &path))?;
            files.sound.push(stem);
            (path, file)
        }
    };
    let before = file.identity().map_err(Error::io("look at", &path))?.len;
    // On a full disk a part of the lines would take the room that someone else can use; and after a
    // failed sync nothing proves that they ever reach the disk. Should the cut fail or not last, the
    // next attempt finds what is there.
    let cut_back = |_: &_| drop(file.truncate(before));
    fs::append_all(&*file, lines)
        .inspect_err(cut_back)
        .map_err(Error::io("write", &path))?;
    file.sync()
        .inspect_err(cut_back)
        .map_err(Error::io("sync", &path))?;
    let dir = layout.live_dir();
    fs.sync_dir(&dir).map_err(Error::io("sync", dir))
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
