//! Pages in the order of arrival, for programs that follow the log.
//!
//! A page goes on where each stream was read to, and its cursor says how far that is now. So
//! nothing is given twice and nothing is missed: not what a recovered process adds to its stream
//! late, and not what has an earlier time than what was given before. Only what is final is given,
//! so no number of an entry changes behind a cursor.
//!
//! # The cursor
//!
//! ```text
//! a1~<ended>~<file>~<place>~<seq>~<file>~<place>~<seq>…
//! ```
//!
//! For each stream there are the file that is being read, the place in it (or `e`, its end), and
//! the number of the last entry. So that the cursor doesn't grow with every process that ever
//! wrote, only the last [`KEPT`] of the streams that have ended are in it. All others began their
//! last file at `ended` (in microseconds since 1970) or before, and are read to their end. A stream
//! that is not in the cursor and that began its last file later is new.

use std::{collections::BTreeMap, fmt, ops::ControlFlow, str::FromStr, sync::Arc};

use super::{
    entry::RawEntry,
    filter::Filter,
    page::{Page, PageStart, Query, Scanned},
    place::{Places, StreamPlace},
    tail::{Ahead, ByStream, Room, Tail, TailStart},
};
use crate::{
    entry::{StreamId, Timestamp},
    error::{Error, Result},
    store::{complete::Progress, files::Files, names::FileStem},
};

/// How many ended streams a cursor names.
const KEPT: usize = 16;
/// How many new streams are begun in one page.
const NEW: usize = 64;
/// How many entries are held at once where all are given.
const AT_ONCE: usize = 1000;
/// How many bytes of lines a page looks at.
const SCANNED: usize = 64 << 20;
/// The longest cursor that is read.
const LONGEST: usize = 1 << 20;

/// How far the log was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The latest time at which a stream began its last file, of the streams that are read to their
    /// end and not among the places.
    ended: Option<Timestamp>,
    places: Places,
}

/// Looks how far the log is.
pub(super) type Look<'a> = &'a dyn Fn() -> Result<Progress>;

/// The files of the streams whose progress is known. A stream that began after the look isn't
/// there, because nothing says which of its entries are final.
struct Listed {
    /// Reads no stream yet, and none beyond where it is final.
    tail: Tail,
    live: BTreeMap<FileStem, u64>,
    streams: ByStream,
    complete_until: Option<Timestamp>,
    /// Whether there are other streams.
    rest: bool,
}

impl Listed {
    fn new(files: &Arc<Files>, filter: &Filter, look: Look<'_>) -> Result<Self> {
        let progress = look()?;
        let mut tail = Tail::empty(Arc::clone(files), filter.clone());
        let (live, streams) = tail.list()?;
        tail.stop_where_open(progress.open);
        Ok(Self {
            tail,
            live,
            streams,
            complete_until: progress.until,
            rest: false,
        })
    }
}

/// A page of the entries that have arrived.
pub(super) fn page(
    files: &Arc<Files>,
    query: &Query,
    filter: Filter,
    look: Look<'_>,
) -> Result<Page> {
    if query.start == PageStart::Now {
        return from_now(files, filter, look);
    }
    let cursor = Cursor::of(&query.start)?;
    let start = filter.start();
    let mut listed = cursor.list(files, &filter, look)?;
    let mut tail = listed.tail;
    tail.go_on(&cursor.places, &mut listed.streams)?;
    let rest = cursor.begin(&mut tail, listed.streams, start);
    let room = Room {
        entries: query.limit,
        bytes: query.max_bytes,
        scanned: SCANNED,
    };
    let entries = tail.read_on(&listed.live, room)?;
    let mut scanned = Scanned::default();
    for problem in tail.take_problems() {
        scanned.problem(problem);
    }
    Ok(Page {
        entries: entries.into_iter().map(|placed| placed.entry).collect(),
        next_cursor: cursor.go_on(&tail)?.to_string(),
        has_more: rest || listed.rest || tail.is_behind(),
        complete_until: listed.complete_until,
        scanned,
    })
}

/// The page before what comes from now on.
fn from_now(files: &Arc<Files>, filter: Filter, look: Look<'_>) -> Result<Page> {
    let mut tail = Tail::empty(Arc::clone(files), filter.clone());
    let (_, known) = tail.list()?;
    let progress = look()?;
    let mut tail = Tail::new(Arc::clone(files), filter, TailStart::Now)?;
    // A stream that is new then is read from its beginning.
    tail.retain(|stream| known.contains_key(stream));
    tail.stop_where_open(progress.open);
    Ok(Page {
        entries: Vec::new(),
        next_cursor: Cursor::default().go_on(&tail)?.to_string(),
        has_more: false,
        complete_until: progress.until,
        scanned: Scanned::default(),
    })
}

/// An error if no page can begin so.
pub(super) fn check_start(start: &PageStart) -> Result<()> {
    Cursor::of(start).map(drop)
}

/// Gives every entry that has arrived to `give`, until that breaks.
pub(super) fn each(
    files: &Arc<Files>,
    filter: Filter,
    look: Look<'_>,
    give: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
) -> Result<Scanned> {
    let listed = Cursor::default().list(files, &filter, look)?;
    let mut tail = listed.tail;
    for (stream, files) in listed.streams {
        tail.begin(stream, files);
    }
    let mut scanned = Scanned::default();
    loop {
        let entries = tail.read_on(&listed.live, Room::of_entries(AT_ONCE))?;
        tail.take_problems()
            .into_iter()
            .for_each(|problem| scanned.problem(problem));
        for placed in entries {
            if give(placed.entry).is_break() {
                return Ok(scanned);
            }
        }
        if !tail.is_behind() {
            return Ok(scanned);
        }
    }
}

impl Cursor {
    fn of(start: &PageStart) -> Result<Self> {
        match start {
            PageStart::First | PageStart::Now => Ok(Self::default()),
            PageStart::Cursor(cursor) => cursor.parse(),
            PageStart::Offset(_) => {
                let what = "order=arrival has no offset; go on with cursor=<next_cursor>";
                Err(Error::invalid("offset", what))
            }
        }
    }

    /// Lists the files after a look at the log's progress, so nothing is missing that was final
    /// then. A stream that wasn't known before the look may have begun after it, so if there is
    /// one, all is done once more.
    fn list(&self, files: &Arc<Files>, filter: &Filter, look: Look<'_>) -> Result<Listed> {
        let first = Listed::new(files, filter, look)?;
        let mut streams = first.streams.iter();
        if !streams.any(|(stream, files)| self.is_new(stream, files)) {
            return Ok(first);
        }
        let mut second = Listed::new(files, filter, look)?;
        let all = second.streams.len();
        let known = first.streams;
        second
            .streams
            .retain(|stream, _| known.contains_key(stream));
        second.rest = second.streams.len() < all;
        Ok(second)
    }

    fn is_new(&self, stream: &StreamId, files: &Ahead) -> bool {
        !self.places.0.contains_key(stream.as_str()) && last_born(files) > self.ended
    }

    /// Has the tail read the streams that are new, some of them at first. True if there are more.
    ///
    /// The streams whose last files began first are read first, so no other stream can be taken for
    /// one that was forgotten.
    fn begin(&self, tail: &mut Tail, streams: ByStream, start: Option<Timestamp>) -> bool {
        let mut new: Vec<_> = streams
            .into_iter()
            .filter(|(stream, files)| self.is_new(stream, files))
            .collect();
        new.sort_by_key(|(_, files)| last_born(files));
        let last = new.get(NEW - 1).and_then(|(_, files)| last_born(files));
        let mut rest = false;
        for (stream, mut files) in new {
            if last.is_some_and(|last| last_born(&files) > Some(last)) {
                rest = true;
                break;
            }
            leave_out_before(&mut files, start);
            tail.begin(stream, files);
        }
        rest
    }

    /// The cursor behind what this tail has read.
    fn go_on(&self, tail: &Tail) -> Result<Self> {
        let mut next = Self {
            ended: self.ended,
            places: tail.places(),
        };
        let mut ended = tail.ended()?;
        ended.sort_by_key(|stem| stem.born);
        let forgotten = ended.len().saturating_sub(KEPT);
        for stem in ended.into_iter().take(forgotten) {
            next.ended = next.ended.max(Some(stem.born));
            next.places.0.remove(stem.stream.as_str());
        }
        Ok(next)
    }
}

fn last_born(files: &Ahead) -> Option<Timestamp> {
    files.last().map(|(_, born)| *born)
}

/// Leaves out the files that can't have entries from `start` on, because no entry is newer than the
/// day of its file. The last one stays, to say where the stream was read to.
fn leave_out_before(files: &mut Ahead, start: Option<Timestamp>) {
    let Some(start) = start else { return };
    while let Some((_, born)) = files.first()
        && born.day() < start.day()
        && files.len() > 1
    {
        files.pop_first();
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.ended.map_or(0, Timestamp::as_micros);
        write!(f, "a1~{ended}")?;
        for place in self.places.0.values() {
            write!(f, "~{}~", place.file)?;
            match place.offset {
                Some(offset) => write!(f, "{offset}")?,
                None => f.write_str("e")?,
            }
            write!(f, "~{}", place.seq)?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid(
                "cursor",
                "it isn't the next_cursor of a page with order=arrival; leave it out to begin with \
                 the first page",
            )
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut parts = text
        .strip_prefix("a1~")
        .filter(|_| text.len() <= LONGEST)?
        .split('~');
    let ended: i64 = parts.next()?.parse().ok()?;
    let mut places = Places::default();
    while let Some(file) = parts.next() {
        let stem: FileStem = file.parse().ok()?;
        let offset = match parts.next()? {
            "e" => None,
            offset => Some(offset.parse::<u32>().ok()?.into()),
        };
        let seq = parts.next()?.parse().ok()?;
        let place = StreamPlace {
            file: stem.to_string(),
            offset,
            seq,
        };
        if places.0.insert(stem.stream.to_string(), place).is_some() {
            return None;
        }
    }
    Some(Cursor {
        ended: (ended != 0).then(|| Timestamp::from_micros(ended)),
        places,
    })
}
