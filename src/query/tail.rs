//! Follows the log while it is written.
//!
//! Each stream is followed by itself, from file to file by their numbers: a live file to its end,
//! the rest of it in its sealed twin when the live file is gone, and the next file once there is
//! one. So a rotation skips nothing, whatever the clock said when a file was born: before a number
//! is passed over, it is looked for in all folders. If two files have one number, the second is
//! read too, from its beginning. The numbers of a stream's entries only rise, so no entry is given
//! twice when a file was written again.

mod follow;
mod read;
mod start;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

pub(super) use follow::{Ahead, ByStream, Follow};
use uuid::Uuid;

use super::{
    entry::RawEntry,
    filter::Filter,
    page::Problem,
    place::{Placed, Places, StreamPlace},
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
    store::{
        complete::Open,
        files::{Files, Seen},
        names::FileStem,
    },
};

/// How much is read at a time.
const CHUNK: u64 = 256 * 1024;
/// More than any line's length.
const MAX_LINE: u64 = 64 << 20;
/// The place after all of a finished file.
pub(super) const END: u64 = u64::MAX;

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
    pub(super) fn of_entries(entries: usize) -> Self {
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
    /// With the entries that are written from now on.
    #[default]
    Now,
    /// With the entries that were written after the entry with this id, a UUIDv7: after it in its
    /// own stream, and from its time on in other streams. Entries of other streams from the two
    /// seconds before it are given again, because they may have been written after it.
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
    /// Where each stream stops being final, and no stream is read further; `None` to read all.
    open: Option<Open>,
}

impl Tail {
    /// A tail that reads no stream yet.
    pub(super) fn empty(files: Arc<Files>, filter: Filter) -> Self {
        Self {
            files,
            filter,
            streams: BTreeMap::new(),
            seen: Seen::default(),
            turn: None,
            problems: Vec::new(),
            behind: false,
            at_least_once: false,
            open: None,
        }
    }

    pub(super) fn new(files: Arc<Files>, filter: Filter, start: TailStart) -> Result<Self> {
        let mut tail = Self::empty(files, filter);
        let (live, files) = tail.list()?;
        for (stream, files) in &files {
            if let Some((number, born)) = files.last() {
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
            tail.go_back(id, &live, files)?;
        }
        Ok(tail)
    }

    /// Goes on where another tail was, with the entries after these places, and with new streams
    /// from their beginning. Streams of which the log no longer has anything are forgotten, unless
    /// that can't be known now.
    #[cfg(any(feature = "webhook", test))]
    pub(super) fn resume(files: Arc<Files>, filter: Filter, places: &Places) -> Result<Self> {
        let mut tail = Self {
            at_least_once: true,
            ..Self::empty(files, filter)
        };
        let (_, mut streams) = tail.list()?;
        tail.go_on(places, &mut streams)?;
        for (stream, files) in streams {
            tail.begin(stream, files);
        }
        Ok(tail)
    }

    /// Goes on after these places, in the streams that have them.
    pub(super) fn go_on(&mut self, places: &Places, streams: &mut ByStream) -> Result<()> {
        for place in places.0.values() {
            let at = place.follow()?;
            let stream = at.stem.stream.clone();
            let Some(mut files) = streams.remove(&stream) else {
                if self.seen.is_blind() {
                    self.streams.insert(stream, at);
                }
                continue;
            };
            files.retain(|(number, born)| {
                !at.knows(&FileStem {
                    born: *born,
                    stream: stream.clone(),
                    number: *number,
                })
            });
            self.streams.insert(stream, Follow { ahead: files, ..at });
        }
        Ok(())
    }

    /// Begins with the first of these files of a stream.
    pub(super) fn begin(&mut self, stream: StreamId, files: Ahead) {
        let follow = Follow::from_the_first(&stream, files);
        self.streams.extend(follow.map(|follow| (stream, follow)));
    }

    /// Reads no stream beyond where it is final.
    pub(super) fn stop_where_open(&mut self, open: Open) {
        self.open = Some(open);
    }

    /// Reads only the streams of which this holds.
    pub(super) fn retain(&mut self, mut holds: impl FnMut(&StreamId) -> bool) {
        self.streams.retain(|stream, _| holds(stream));
    }

    /// The last file that was read of each stream that was read to its end and to which nothing can
    /// be added.
    pub(super) fn ended(&self) -> Result<Vec<&FileStem>> {
        let live = self.files.live()?;
        let alive: BTreeSet<_> = live.keys().map(|stem| &stem.stream).collect();
        let goes_on = |stream| {
            let open = self.open.as_ref();
            open.is_none_or(|open| open.contains_key(stream)) || alive.contains(stream)
        };
        let done = self.streams.iter().filter(|(_, follow)| follow.is_done());
        let ended = done.filter(|(stream, _)| !goes_on(*stream));
        Ok(ended.map(|(_, follow)| &follow.stem).collect())
    }

    /// How far it has read.
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
    pub(crate) fn poll_within(&mut self, room: Room) -> Result<Vec<Placed>> {
        let live = self.notice()?;
        self.read_on(&live, room)
    }

    /// Reads on in the files that this tail knows. `live` are those that were in `live/` when they
    /// were listed.
    pub(super) fn read_on(
        &mut self,
        live: &BTreeMap<FileStem, u64>,
        mut room: Room,
    ) -> Result<Vec<Placed>> {
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
            let done = self.follow(&mut follow, live, &mut room, &mut entries);
            let moved = from != (follow.stem.number, follow.offset);
            let refused = done.as_ref().err().map(Error::without_path);
            if let Some(what) = refused.as_ref().filter(|_| refused != follow.refused) {
                self.problem(format!("stream {stream}"), what.clone());
            }
            follow.refused = refused;
            self.streams.insert(stream.clone(), follow);
            match done {
                // Entries found before an error must be given: their place is noted. The next call
                // tries again.
                Ok(true) | Err(_) => {}
                // The rest of the stream is not final yet.
                Ok(false) if !room.is_over() => {}
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

    /// Whether the last [`poll`](Self::poll) stopped at its limit, so there may be more to give.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether a stream or a day could not be read, so that the next call tries again.
    #[cfg(feature = "webhook")]
    pub(crate) fn is_hindered(&self) -> bool {
        let mut streams = self.streams.values();
        self.seen.is_blind() || streams.any(|follow| follow.refused.is_some())
    }

    /// The files of the log that could not be read since the last call of this method.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// All files: the live ones, and by stream the sealed and the live.
    pub(super) fn list(&mut self) -> Result<(BTreeMap<FileStem, u64>, ByStream)> {
        // Live files first: one that is being sealed meanwhile is then met twice, and never not at
        // all.
        let live = self.files.live()?;
        let mut files = ByStream::new();
        for stem in self.look(true)?.iter().chain(live.keys()) {
            files
                .entry(stem.stream.clone())
                .or_default()
                .insert((stem.number, stem.born));
        }
        Ok((live, files))
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
        let mut came = ByStream::new();
        let gap = self.sort(&mut came, live.keys());
        let sealed = self.look(gap)?;
        if self.sort(&mut came, &sealed) && !gap {
            let sealed = self.look(true)?;
            self.sort(&mut came, &sealed);
        }
        for (stream, mut files) in came {
            match self.streams.get_mut(&stream) {
                Some(follow) => follow.ahead.append(&mut files),
                None => self
                    .streams
                    .extend(Follow::from_the_first(&stream, files).map(|follow| (stream, follow))),
            }
        }
        Ok(live)
    }

    /// Sorts out files that are not known yet. Says whether one between them is missing: it was
    /// sealed, under whatever day.
    fn sort<'a>(&self, came: &mut ByStream, stems: impl IntoIterator<Item = &'a FileStem>) -> bool {
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
        came.iter().any(|(stream, files)| {
            let last = self.streams.get(stream).map_or(0, |follow| {
                follow
                    .ahead
                    .last()
                    .map_or(follow.stem.number, |(last, _)| *last)
            });
            files
                .last()
                .is_some_and(|(newest, _)| newest.saturating_sub(last) as usize != files.len())
        })
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
        self.report(Problem::new(file, what));
    }

    fn report(&mut self, problem: Problem) {
        const MOST: usize = 100;
        if self.problems.len() < MOST {
            self.problems.push(problem);
        }
    }
}
