//! Follows the log while it is written.
//!
//! Each stream is followed for itself, from file to file by their numbers: a live file to its end,
//! the rest of it in its sealed twin when it is gone, and the next file once there is one. So
//! nothing is skipped by a rotation, whatever the clock said when a file was born: before a number
//! is passed over, it is looked for everywhere. A number is given once; should there be another
//! file of the same one all the same, it is read too, from its beginning. The numbers of a stream's
//! entries only rise, so nothing is given twice when a file was made anew.

mod read;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use uuid::Uuid;

#[cfg(any(feature = "webhook", test))]
use super::place::{Places, StreamPlace};
use super::{
    cancel::Cancel, entry::RawEntry, filter::Filter, look_up, order::millis, page::Problem,
    place::Placed,
};
use crate::{
    entry::{StreamId, Timestamp, scan::scan},
    error::{Error, Result},
    store::{
        files::{Files, Seen},
        names::FileStem,
    },
};

/// How far behind its neighbours of other streams an entry may be written.
const SLACK: i64 = 2_000;
/// How much is read at a time.
const CHUNK: u64 = 256 * 1024;
/// More than any line's length.
const MAX_LINE: u64 = 64 << 20;
/// The place after all of a finished file.
const END: u64 = u64::MAX;

/// How much a call still gives, and reads for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    /// Of their lines; one entry is given however long it is.
    pub(crate) bytes: usize,
    /// Of all lines that are looked at: a filter that lets few through holds nobody up for long.
    pub(crate) scanned: usize,
}

impl Room {
    fn of_entries(entries: usize) -> Self {
        Self {
            entries,
            bytes: usize::MAX,
            scanned: usize::MAX,
        }
    }

    fn is_over(&self) -> bool {
        self.entries == 0 || self.bytes == 0 || self.scanned == 0
    }
}

/// The beginning of a tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TailStart {
    /// With what is written from now on.
    #[default]
    Now,
    /// With what was written after the entry with this id, a UUIDv7: after it in its own stream,
    /// and in others from its time on. What these wrote in the two seconds before it is given
    /// again, as it may have been written later than it.
    After(Uuid),
}

/// Gives new entries as they are written, in order per stream. Ask it again and again, with a pause
/// when it has nothing.
///
/// ```
/// # use tracing_audit::{AuditLog, audit};
/// # let log = AuditLog::for_tests();
/// # let dir = log.dir();
/// use tracing_audit::{AuditReader, Filter, reader::TailStart};
///
/// let mut tail = AuditReader::open(dir)?.tail(Filter::new(), TailStart::Now)?;
/// # log.run(|| audit!("order.shipped").ignore());
/// # log.flush()?;
/// loop {
///     let entries = tail.poll(100)?;
///     for entry in &entries {
///         println!("{} {}", entry.timestamp(), entry.description());
///     }
///     # if !entries.is_empty() { break; }
///     if !tail.is_behind() {
///         std::thread::sleep(std::time::Duration::from_millis(200));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tail {
    files: Arc<Files>,
    filter: Filter,
    streams: BTreeMap<StreamId, Follow>,
    seen: Seen,
    /// The stream to begin with.
    turn: Option<StreamId>,
    problems: Vec<Problem>,
    behind: bool,
    /// After a failed write lines get other numbers, and those before them come again: better twice
    /// than not at all.
    at_least_once: bool,
}

/// How far one stream was read.
#[derive(Clone, Debug)]
struct Follow {
    stem: FileStem,
    /// Where the next line begins in the file's text.
    offset: u64,
    /// The number of the last entry.
    seq: u64,
    /// How long the live file was when it was seen last.
    seen: u64,
    catch_up: Option<CatchUp>,
    /// The stream's files after this one.
    ahead: Ahead,
    /// When others of this one's number were born, which were read before it.
    left: Vec<Timestamp>,
    /// Why it could not be read on the last time.
    refused: Option<String>,
}

/// Up to this place, what was there before the tail began, only entries from this millisecond on
/// are given.
#[derive(Clone, Debug)]
struct CatchUp {
    since: i64,
    number: u32,
    offset: u64,
}

/// Files of one stream by number, and when each was born, without the stream's name: there can be
/// many.
type Ahead = BTreeSet<(u32, Timestamp)>;

/// The files of each stream.
type Parts = BTreeMap<StreamId, Ahead>;

impl Follow {
    /// From the beginning of the first of these files.
    fn from_the_first(stream: &StreamId, mut parts: Ahead) -> Option<Self> {
        let (number, born) = parts.pop_first()?;
        let stem = FileStem {
            born,
            stream: stream.clone(),
            number,
        };
        Some(Self {
            ahead: parts,
            ..Self::at(stem, 0, 0)
        })
    }

    /// From a place in a file on, behind the entry with this number.
    fn at(stem: FileStem, offset: u64, seq: u64) -> Self {
        Self {
            stem,
            offset,
            seq,
            seen: 0,
            catch_up: None,
            ahead: Ahead::new(),
            left: Vec::new(),
            refused: None,
        }
    }

    /// To the next file's beginning, if there is one; not past a number that is missing, if that
    /// may be somewhere all the same.
    fn turn_over(&mut self, blind: bool) -> bool {
        let next = |(number, _): &(u32, Timestamp)| {
            !blind || *number <= self.stem.number.saturating_add(1)
        };
        let Some((number, born)) = self.ahead.first().copied().filter(next) else {
            return false;
        };
        self.ahead.pop_first();
        if number == self.stem.number {
            self.left.push(self.stem.born)
        } else {
            self.left.clear()
        }
        (self.stem.number, self.stem.born, self.offset, self.seen) = (number, born, 0, 0);
        true
    }

    /// Whether it has this file behind it, before it, or at hand.
    fn knows(&self, stem: &FileStem) -> bool {
        let ahead = || self.ahead.contains(&(stem.number, stem.born));
        match stem.number.cmp(&self.stem.number) {
            Ordering::Less => true,
            Ordering::Equal => {
                stem.born == self.stem.born || self.left.contains(&stem.born) || ahead()
            }
            Ordering::Greater => ahead(),
        }
    }

    fn is_done(&self) -> bool {
        self.offset == END && self.ahead.is_empty()
    }
}

impl Tail {
    fn empty(files: Arc<Files>, filter: Filter) -> Self {
        Self {
            files,
            filter,
            streams: BTreeMap::new(),
            seen: Seen::default(),
            turn: None,
            problems: Vec::new(),
            behind: false,
            at_least_once: false,
        }
    }

    pub(super) fn new(files: Arc<Files>, filter: Filter, start: TailStart) -> Result<Self> {
        let mut tail = Self::empty(files, filter);
        let (live, parts) = tail.list()?;
        for (stream, parts) in &parts {
            if let Some((number, born)) = parts.last() {
                let stem = FileStem {
                    born: *born,
                    stream: stream.clone(),
                    number: *number,
                };
                let end = tail.end_of(stem, &live)?;
                tail.streams.insert(stream.clone(), end);
            }
        }
        if let TailStart::After(id) = start {
            tail.go_back(id, &live, parts)?;
        }
        Ok(tail)
    }

    /// Goes on where another one was: what was written after these places, in new streams from
    /// their beginning. Streams of which the log has nothing any more are forgotten, unless that
    /// can't be said.
    #[cfg(any(feature = "webhook", test))]
    pub(super) fn resume(files: Arc<Files>, filter: Filter, places: &Places) -> Result<Self> {
        let mut tail = Self {
            at_least_once: true,
            ..Self::empty(files, filter)
        };
        for (stream, mut parts) in tail.list()?.1 {
            let follow = match places.0.get(stream.as_str()) {
                Some(place) => {
                    let stem: FileStem = place.file.parse()?;
                    let at = Follow::at(stem, place.offset.unwrap_or(END), place.seq);
                    parts.retain(|(number, born)| {
                        !at.knows(&FileStem {
                            born: *born,
                            stream: stream.clone(),
                            number: *number,
                        })
                    });
                    Some(Follow { ahead: parts, ..at })
                }
                None => Follow::from_the_first(&stream, parts),
            };
            tail.streams.extend(follow.map(|follow| (stream, follow)));
        }
        if tail.seen.is_blind() {
            for place in places.0.values() {
                let stem: FileStem = place.file.parse()?;
                let at = |stem| Follow::at(stem, place.offset.unwrap_or(END), place.seq);
                tail.streams
                    .entry(stem.stream.clone())
                    .or_insert_with(|| at(stem));
            }
        }
        Ok(tail)
    }

    /// How far it has read.
    #[cfg(any(feature = "webhook", test))]
    pub(crate) fn places(&self) -> Places {
        let place = |follow: &Follow| StreamPlace {
            file: follow.stem.to_string(),
            offset: Some(follow.offset).filter(|offset| *offset != END),
            seq: follow.seq,
        };
        Places(
            self.streams
                .iter()
                .map(|(stream, follow)| (stream.as_str().to_owned(), place(follow)))
                .collect(),
        )
    }

    /// The entries that were written since the last call, `limit` at most; none if there were none.
    pub fn poll(&mut self, limit: usize) -> Result<Vec<RawEntry>> {
        Ok(self
            .poll_placed(limit)?
            .into_iter()
            .map(|placed| placed.entry)
            .collect())
    }

    /// The same, with where each entry stands.
    pub(crate) fn poll_placed(&mut self, limit: usize) -> Result<Vec<Placed>> {
        self.poll_within(Room::of_entries(limit))
    }

    /// The same, with bounds for more than the number of entries.
    pub(crate) fn poll_within(&mut self, mut room: Room) -> Result<Vec<Placed>> {
        let live = self.notice()?;
        let due: BTreeSet<StreamId> = self
            .streams
            .iter()
            .filter(|(_, follow)| !follow.is_done())
            .map(|(stream, _)| stream.clone())
            .collect();
        let turn = self.turn.take();
        let (before, from): (Vec<_>, Vec<_>) =
            due.iter().partition(|stream| Some(*stream) < turn.as_ref());
        let mut entries = Vec::new();
        self.behind = false;
        for stream in from.into_iter().chain(before) {
            let Some(mut follow) = self.streams.remove(stream) else {
                continue;
            };
            let from = (follow.stem.number, follow.offset);
            let done = self.follow(&mut follow, &live, &mut room, &mut entries);
            let moved = from != (follow.stem.number, follow.offset);
            let refused = done.as_ref().err().map(Error::without_path);
            if let Some(what) = refused.as_ref().filter(|_| refused != follow.refused) {
                self.problem(format!("stream {stream}"), what.clone());
            }
            follow.refused = refused;
            self.streams.insert(stream.clone(), follow);
            match done {
                // What was found before an error must be given: its place is noted. The next call
                // tries again.
                Ok(true) | Err(_) => {}
                Ok(false) => {
                    self.behind = true;
                    // The next one first, so that a stream that never ends starves no other.
                    let next = || due.range((Excluded(stream), Unbounded)).next().cloned();
                    self.turn = if moved { next() } else { Some(stream.clone()) };
                    break;
                }
            }
        }
        Ok(entries)
    }

    /// Whether the last [`poll`](Self::poll) stopped at its limit: there may be more to give at once.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether a stream or a day could not be read, so that the next call tries again.
    #[cfg(feature = "webhook")]
    pub(crate) fn is_hindered(&self) -> bool {
        let mut streams = self.streams.values();
        self.seen.is_blind() || streams.any(|follow| follow.refused.is_some())
    }

    /// The parts of the log that could not be read since the last call of this method.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// All files: the live ones, and by stream the sealed and the live.
    fn list(&mut self) -> Result<(BTreeMap<FileStem, u64>, Parts)> {
        // Live files first: one that is being sealed meanwhile is then met twice, and never not at
        // all.
        let live = self.files.live()?;
        let mut parts = Parts::new();
        for stem in self.look(true)?.iter().chain(live.keys()) {
            parts
                .entry(stem.stream.clone())
                .or_default()
                .insert((stem.number, stem.born));
        }
        Ok((live, parts))
    }

    /// The sealed files that have come since the last look. Of those that were not in `live/` then,
    /// some may be given some seconds later, unless `all` are wanted.
    fn look(&mut self, all: bool) -> Result<Vec<FileStem>> {
        let came = self.files.came(&mut self.seen, all)?;
        for (day, what) in came.refused {
            self.problem(format!("sealed/dt={day}"), what);
        }
        Ok(came.files)
    }

    /// Takes in which files have come. Gives the live ones.
    fn notice(&mut self) -> Result<BTreeMap<FileStem, u64>> {
        let live = self.files.live()?;
        let mut came = Parts::new();
        let gap = self.sort(&mut came, live.keys());
        let sealed = self.look(gap)?;
        if self.sort(&mut came, &sealed) && !gap {
            let sealed = self.look(true)?;
            self.sort(&mut came, &sealed);
        }
        for (stream, mut parts) in came {
            match self.streams.get_mut(&stream) {
                Some(follow) => follow.ahead.append(&mut parts),
                None => self
                    .streams
                    .extend(Follow::from_the_first(&stream, parts).map(|follow| (stream, follow))),
            }
        }
        Ok(live)
    }

    /// Sorts out files that are not known yet. Says whether one between them is missing: it was
    /// sealed, under whatever day.
    fn sort<'a>(&self, came: &mut Parts, stems: impl IntoIterator<Item = &'a FileStem>) -> bool {
        for stem in stems {
            if !self
                .streams
                .get(&stem.stream)
                .is_some_and(|follow| follow.knows(stem))
            {
                came.entry(stem.stream.clone())
                    .or_default()
                    .insert((stem.number, stem.born));
            }
        }
        came.iter().any(|(stream, parts)| {
            let last = self.streams.get(stream).map_or(0, |follow| {
                follow
                    .ahead
                    .last()
                    .map_or(follow.stem.number, |(last, _)| *last)
            });
            parts
                .last()
                .is_some_and(|(newest, _)| newest.saturating_sub(last) as usize != parts.len())
        })
    }

    /// The place after all that is in a file.
    fn end_of(&self, stem: FileStem, live: &BTreeMap<FileStem, u64>) -> Result<Follow> {
        let file = if live.contains_key(&stem) {
            self.files.open_live(&stem)?
        } else {
            None
        };
        let mut end = Follow::at(stem, END, 0);
        let Some(file) = file else { return Ok(end) };
        let (mut plain, mut len) = (Vec::new(), CHUNK.min(file.len));
        loop {
            let from = file.len - len;
            file.read(from, len as usize, &mut plain)?;
            let last = memchr::memrchr(b'\n', &plain);
            let before = last.and_then(|last| memchr::memrchr(b'\n', plain.get(..last)?));
            if before.is_some() || from == 0 || len > MAX_LINE {
                end.offset = last.map_or(0, |last| from + last as u64 + 1);
                let start = before.map_or(0, |before| before + 1);
                end.seq = last
                    .and_then(|last| scan(plain.get(start..last)?))
                    .map_or(0, |fields| fields.seq);
                return Ok(end);
            }
            len = (len * 2).min(file.len);
        }
    }

    /// Moves the places back to what was written after this entry.
    fn go_back(&mut self, id: Uuid, live: &BTreeMap<FileStem, u64>, all: Parts) -> Result<()> {
        let wrong = || {
            Error::invalid(
                "after",
                format!("{id} is not an entry's id; give one, or none to begin now"),
            )
        };
        let millis_of = look_up::millis_of(id).ok_or_else(wrong)?;
        let entry = look_up::get(&self.files, id, Cancel::default())?;
        let since = millis_of - SLACK;
        // A file has no younger lines than of the day of its birth, but by an unsteady clock.
        let first_day = Timestamp::from_micros(since.saturating_mul(1000))
            .day()
            .previous();
        for (stream, mut parts) in all {
            let Some(end) = self.streams.get(&stream).cloned() else {
                continue;
            };
            let own = entry
                .as_ref()
                .filter(|entry| entry.stream() == stream.as_str())
                .map(|entry| entry.seq().0);
            let (number, offset) = (end.stem.number, end.offset);
            let catch_up = own.is_none().then_some(CatchUp {
                since,
                number,
                offset,
            });
            while let Some((number, born)) = parts.pop_first() {
                let stem = FileStem {
                    born,
                    stream: stream.clone(),
                    number,
                };
                let mut offset = 0;
                if !live.contains_key(&stem) {
                    if stem.day() < first_day {
                        continue;
                    }
                    let Ok(Some(sealed)) = self.files.readable(&stem) else {
                        continue;
                    };
                    let index = &sealed.index;
                    let first = match own {
                        Some(seq) if index.last_seq.0 <= seq => None,
                        // The last block that begins at the next number or before it.
                        Some(seq) => index
                            .blocks
                            .iter()
                            .rfind(|block| block.first_seq <= seq + 1)
                            .or(index.blocks.first()),
                        None => index.blocks.iter().find(|block| millis(block.max) >= since),
                    };
                    let Some(first) = first else { continue };
                    offset = first.plain_offset;
                }
                let back = Follow {
                    catch_up,
                    ahead: parts,
                    ..Follow::at(stem, offset, own.unwrap_or(0))
                };
                self.streams.insert(stream, back);
                break;
            }
        }
        Ok(())
    }

    /// Reads a stream on. Says whether it was read to its end.
    fn follow(
        &mut self,
        follow: &mut Follow,
        live: &BTreeMap<FileStem, u64>,
        room: &mut Room,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        loop {
            if follow.offset != END {
                let file = if live.contains_key(&follow.stem) {
                    self.files.open_live(&follow.stem)?
                } else {
                    None
                };
                let read = match file {
                    Some(file) => self.read_live(&file, follow, room, entries)?,
                    None => self.read_sealed(follow, room, entries)?,
                };
                if !read {
                    return Ok(false);
                }
            }
            // The next one was there before this one was read: it was finished.
            if !follow.turn_over(self.seen.is_blind()) {
                return Ok(true);
            }
        }
    }

    fn problem(&mut self, file: String, what: String) {
        const MOST: usize = 100;
        if self.problems.len() < MOST {
            self.problems.push(Problem { file, what });
        }
    }
}
