//! Follows the log while it is written.
//!
//! Each stream is followed for itself, from file to file: a live file to its end, the rest of it in its sealed twin when it is gone, and
//! the next file once there is one. So nothing is skipped by a rotation. The numbers of a stream's entries only rise, so nothing is
//! given twice when a file was made anew.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    cancel::Cancel,
    entry::Entry,
    files::{Files, live_name},
    filter::Filter,
    order::millis,
    page::{self, Problem},
    place::{Place, Placed, Places, StreamPlace},
    reader,
};
use crate::{
    error::{Error, Result},
    record::{StreamId, Timestamp, scan::scan},
    store::{gzip::Unpacker, layout::SEALED, listing::Listing, names::FileStem, summary::lines},
};

/// How far behind its neighbours of other streams an entry may be written.
const SLACK: i64 = 2_000;
/// How much is read at a time.
const CHUNK: u64 = 256 * 1024;
/// More than any line's length.
const MAX_LINE: u64 = 64 << 20;
/// The place after all of a finished file.
const END: u64 = u64::MAX;

/// Where a tail begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TailStart {
    /// With what is written from now on.
    #[default]
    Now,
    /// With what was written after the entry with this id, a UUIDv7: after it in its own stream, and in others from its time on. What
    /// these wrote in the two seconds before it is given again, as it may have been written later than it.
    After(Uuid),
}

/// Gives new entries as they are written, in order per stream. Ask it again and again, with a pause when it has nothing.
#[derive(Debug)]
pub struct Tail {
    files: Arc<Files>,
    filter: Filter,
    streams: BTreeMap<StreamId, Follow>,
    /// When the youngest file seen was born. A file not seen before is younger, or almost.
    youngest: Timestamp,
    /// The stream to begin with.
    turn: Option<StreamId>,
    problems: Vec<Problem>,
    behind: bool,
    /// After a failed write lines get other numbers, and those before them come again: better twice than not at all.
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
    /// The number of the stream's youngest file that was seen.
    newest: u32,
}

/// Up to this place, what was there before the tail began, only entries from this millisecond on are given.
#[derive(Clone, Debug)]
struct CatchUp {
    since: i64,
    number: u32,
    offset: u64,
}

/// One file of a stream.
#[derive(Clone, Debug)]
struct Part {
    stem: FileStem,
    sealed: bool,
}

/// The files of each stream, by number.
type Parts = BTreeMap<StreamId, BTreeMap<u32, Part>>;

impl Tail {
    fn empty(files: Arc<Files>, filter: Filter) -> Self {
        Self {
            files,
            filter,
            streams: BTreeMap::new(),
            youngest: Timestamp::MIN,
            turn: None,
            problems: Vec::new(),
            behind: false,
            at_least_once: false,
        }
    }

    pub(super) fn new(files: Arc<Files>, filter: Filter, start: TailStart) -> Result<Self> {
        let mut tail = Self::empty(files, filter);
        for (stream, parts) in tail.list(None)? {
            if let Some((_, last)) = parts.last_key_value() {
                tail.streams.insert(stream, tail.end_of(last)?);
            }
        }
        if let TailStart::After(id) = start {
            tail.go_back(id)?;
        }
        Ok(tail)
    }

    /// Goes on where another one was: what was written after these places, in new streams from their beginning. Streams of which the
    /// log has nothing any more are forgotten.
    pub(super) fn resume(files: Arc<Files>, filter: Filter, places: &Places) -> Result<Self> {
        let mut tail = Self { at_least_once: true, ..Self::empty(files, filter) };
        for (stream, parts) in tail.list(None)? {
            let newest = parts.last_key_value().map_or(0, |(number, _)| *number);
            let follow = match places.0.get(stream.as_str()) {
                Some(place) => {
                    let stem: FileStem = place.file.parse()?;
                    Follow { stem, offset: place.offset.unwrap_or(END), seq: place.seq, seen: 0, catch_up: None, newest }
                }
                None => match parts.first_key_value() {
                    Some((_, first)) => Follow { stem: first.stem.clone(), offset: 0, seq: 0, seen: 0, catch_up: None, newest },
                    None => continue,
                },
            };
            tail.streams.insert(stream, follow);
        }
        Ok(tail)
    }

    /// How far it has read.
    pub(crate) fn places(&self) -> Places {
        let place = |follow: &Follow| StreamPlace {
            file: follow.stem.to_string(),
            offset: Some(follow.offset).filter(|offset| *offset != END),
            seq: follow.seq,
        };
        Places(self.streams.iter().map(|(stream, follow)| (stream.as_str().to_owned(), place(follow))).collect())
    }

    /// What was written since the last call, `limit` entries at most. Nothing, if nothing was.
    pub fn poll(&mut self, limit: usize) -> Result<Vec<Entry>> {
        Ok(self.poll_placed(limit)?.into_iter().map(|placed| placed.entry).collect())
    }

    /// The same, with where each entry stands.
    pub(crate) fn poll_placed(&mut self, limit: usize) -> Result<Vec<Placed>> {
        // From the file at which the stream furthest behind is, for those after it are all to be read.
        let behind = self.streams.values().filter(|follow| follow.newest > follow.stem.number).map(|follow| follow.stem.born);
        // A file that a wrong clock dated ahead hides none.
        let youngest = self.youngest.min(Timestamp::now());
        let since = behind.min().unwrap_or(youngest).min(youngest);
        let mut parts = self.list(Some(since))?;
        for (stream, follow) in &mut self.streams {
            let parts = parts.entry(stream.clone()).or_default();
            if follow.offset != END && !parts.contains_key(&follow.stem.number) {
                // It was sealed under a day that isn't listed any more.
                parts.insert(follow.stem.number, Part { stem: follow.stem.clone(), sealed: true });
            }
        }
        for (stream, parts) in &parts {
            if let Some((_, first)) = parts.first_key_value() {
                let new = || Follow { stem: first.stem.clone(), offset: 0, seq: 0, seen: 0, catch_up: None, newest: 0 };
                self.streams.entry(stream.clone()).or_insert_with(new);
            }
        }
        for (stream, parts) in &parts {
            if let (Some(follow), Some((last, _))) = (self.streams.get_mut(stream), parts.last_key_value()) {
                follow.newest = follow.newest.max(*last);
            }
        }
        let turn = self.turn.take();
        let (before, from): (Vec<_>, Vec<_>) = parts.keys().cloned().partition(|stream| Some(stream) < turn.as_ref());
        let mut entries = Vec::new();
        self.behind = false;
        for stream in from.into_iter().chain(before) {
            let Some(mut follow) = self.streams.get(&stream).cloned() else { continue };
            let had = entries.len();
            let done = parts.get(&stream).map_or(Ok(true), |parts| self.follow(&mut follow, parts, limit, &mut entries));
            self.streams.insert(stream.clone(), follow);
            match done {
                Ok(true) => {}
                Ok(false) => {
                    self.behind = true;
                    // The next one first, so that a stream that never ends starves no other.
                    let next = || parts.range((Excluded(&stream), Unbounded)).next().map(|(next, _)| next.clone());
                    self.turn = if entries.len() > had { next() } else { Some(stream) };
                    break;
                }
                // What was found so far must be given: its place is noted. The next call tries again.
                Err(e) => self.problem(format!("stream {stream}"), page::told(&e)),
            }
        }
        Ok(entries)
    }

    /// Whether the last [`poll`](Self::poll) stopped at its limit: there is more to give at once.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// What could not be read since the last call of this.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    fn list(&mut self, since: Option<Timestamp>) -> Result<Parts> {
        let Listing { sealed, live } = self.files.list(since)?;
        let mut parts = Parts::new();
        let live = live.into_keys().map(|stem| Part { stem, sealed: false });
        for part in sealed.into_iter().map(|stem| Part { stem, sealed: true }).chain(live) {
            self.youngest = self.youngest.max(part.stem.born);
            parts.entry(part.stem.stream.clone()).or_default().insert(part.stem.number, part);
        }
        Ok(parts)
    }

    /// The place after all that is in a file.
    fn end_of(&self, part: &Part) -> Result<Follow> {
        let mut end = Follow { stem: part.stem.clone(), offset: END, seq: 0, seen: 0, catch_up: None, newest: part.stem.number };
        if part.sealed {
            return Ok(end);
        }
        let Some(file) = self.files.open_live(&part.stem)? else { return Ok(end) };
        let (mut plain, mut len) = (Vec::new(), CHUNK.min(file.len));
        loop {
            let from = file.len - len;
            file.read(from, len as usize, &mut plain)?;
            let last = memchr::memrchr(b'\n', &plain);
            let before = last.and_then(|last| memchr::memrchr(b'\n', plain.get(..last)?));
            if before.is_some() || from == 0 || len > MAX_LINE {
                end.offset = last.map_or(0, |last| from + last as u64 + 1);
                let start = before.map_or(0, |before| before + 1);
                end.seq = last.and_then(|last| scan(plain.get(start..last)?)).map_or(0, |fields| fields.seq);
                return Ok(end);
            }
            len = (len * 2).min(file.len);
        }
    }

    /// Moves the places back to what was written after this entry.
    fn go_back(&mut self, id: Uuid) -> Result<()> {
        let wrong = || Error::invalid("after", format!("{id} is not an entry's id; give one, or none to begin now"));
        let millis_of = reader::millis_of(id).ok_or_else(wrong)?;
        let entry = reader::get(&self.files, id, Cancel::default())?;
        let since = millis_of - SLACK;
        for (stream, parts) in self.list(Some(Timestamp::from_micros(since.saturating_mul(1000))))? {
            let Some(end) = self.streams.get(&stream).cloned() else { continue };
            let own = entry.as_ref().filter(|entry| entry.stream() == stream.as_str()).map(|entry| entry.seq().0);
            let (number, offset) = (end.stem.number, end.offset);
            let catch_up = own.is_none().then_some(CatchUp { since, number, offset });
            for part in parts.into_values() {
                let mut offset = 0;
                if part.sealed {
                    let Ok(Some(sealed)) = self.files.index(&part.stem) else { continue };
                    let index = &sealed.index;
                    let first = match own {
                        Some(seq) if index.last_seq.0 <= seq => None,
                        // The last block that begins at the next number or before it.
                        Some(seq) => index.blocks.iter().rfind(|block| block.first_seq <= seq + 1).or(index.blocks.first()),
                        None => index.blocks.iter().find(|block| millis(block.max) >= since),
                    };
                    let Some(first) = first else { continue };
                    offset = first.plain_offset;
                }
                self.streams
                    .insert(stream, Follow { stem: part.stem, offset, seq: own.unwrap_or(0), seen: 0, catch_up, newest: end.newest });
                break;
            }
        }
        Ok(())
    }

    /// Reads a stream on. Says whether it was read to its end.
    fn follow(&mut self, follow: &mut Follow, parts: &BTreeMap<u32, Part>, limit: usize, entries: &mut Vec<Placed>) -> Result<bool> {
        for (number, part) in parts.range(follow.stem.number..) {
            if *number > follow.stem.number {
                *follow = Follow { stem: part.stem.clone(), offset: 0, seen: 0, ..follow.clone() };
            }
            if follow.offset == END {
                continue;
            }
            let live = if part.sealed { None } else { self.files.open_live(&part.stem)? };
            let read = match live {
                Some(live) => self.read_live(&live, follow, limit, entries)?,
                None => self.read_sealed(follow, limit, entries)?,
            };
            if !read {
                return Ok(false);
            }
            // The next one is there, or the sealed twin: this one was finished before it was read.
            if part.sealed || parts.range(number + 1..).next().is_some() {
                follow.offset = END;
            }
        }
        Ok(true)
    }

    fn read_live(
        &mut self,
        live: &crate::store::live_reader::LiveFile,
        follow: &mut Follow,
        limit: usize,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        let (mut plain, mut len) = (Vec::new(), CHUNK);
        follow.seen = live.len;
        if follow.offset > 0
            && (follow.offset > live.len || {
                live.read(follow.offset - 1, 1, &mut plain)?;
                plain != b"\n"
            })
        {
            // It is another file than it was.
            follow.offset = 0;
        }
        loop {
            let more = len.min(live.len - follow.offset);
            live.read(follow.offset, more as usize, &mut plain)?;
            let whole = memchr::memrchr(b'\n', &plain).map_or(0, |lf| lf + 1);
            if whole == 0 && more < len {
                return Ok(true);
            }
            if whole == 0 && len >= MAX_LINE {
                self.problem(live_name(&follow.stem), format!("the line from byte {} doesn't end", follow.offset));
                return Ok(true);
            }
            len = if whole == 0 { len * 2 } else { CHUNK };
            if !self.take(plain.get(..whole).unwrap_or_default(), live_name, follow, limit, entries) {
                return Ok(false);
            }
        }
    }

    fn read_sealed(&mut self, follow: &mut Follow, limit: usize, entries: &mut Vec<Placed>) -> Result<bool> {
        let sealed = match self.files.index(&follow.stem) {
            Ok(Some(sealed)) => sealed,
            Ok(None) => {
                // An empty file leaves nothing to seal.
                if follow.offset < follow.seen {
                    self.problem(live_name(&follow.stem), "it was removed before all of it was read".into());
                }
                follow.offset = END;
                return Ok(true);
            }
            Err(e) => return Err(e),
        };
        if let Some(damage) = sealed.damage {
            self.problem(sealed_name(&follow.stem), format!("it is damaged: {damage}"));
        }
        let (blob, mut unpacker, mut plain) = (self.files.sealed().open(&follow.stem)?, Unpacker::new(), Vec::new());
        let len = sealed.index.blocks.last().map_or(0, |block| block.plain_offset + u64::from(block.plain_len));
        if self.at_least_once && follow.offset > len {
            // It was cut off after it was read, so what came instead may stand in it.
            follow.offset = 0;
        }
        let ends = |block: &&crate::store::index::Block| block.plain_offset + u64::from(block.plain_len) > follow.offset;
        for block in sealed.index.blocks.iter().filter(ends).copied().collect::<Vec<_>>() {
            if let Err(e) = unpacker.block(&*blob, &block, &mut plain) {
                // What is damaged stays so; what the disk refuses now, it may give later.
                if matches!(e, Error::Io { .. }) {
                    return Err(e);
                }
                self.problem(sealed_name(&follow.stem), page::told(&e));
                follow.offset = block.plain_offset + u64::from(block.plain_len);
                continue;
            }
            let read = follow.offset.saturating_sub(block.plain_offset) as usize;
            follow.offset = follow.offset.max(block.plain_offset);
            if !self.take(plain.get(read..).unwrap_or_default(), sealed_name, follow, limit, entries) {
                return Ok(false);
            }
        }
        follow.offset = END;
        Ok(true)
    }

    /// Takes whole lines, from the place reached on. Says whether it took them all.
    fn take(&mut self, plain: &[u8], name: fn(&FileStem) -> String, follow: &mut Follow, limit: usize, entries: &mut Vec<Placed>) -> bool {
        for line in lines(plain) {
            if entries.len() >= limit {
                return false;
            }
            if follow.catch_up.as_ref().is_some_and(|until| (follow.stem.number, follow.offset) >= (until.number, until.offset)) {
                follow.catch_up = None;
            }
            match scan(line) {
                Some(fields) if fields.seq <= follow.seq && !(self.at_least_once && follow.offset == 0) => {}
                Some(fields) => {
                    follow.seq = fields.seq;
                    let old = follow.catch_up.as_ref().is_some_and(|until| millis(fields.timestamp) < until.since);
                    if !old && self.filter.matches(&fields) {
                        let place = Place::new(&follow.stem, follow.offset, line.len());
                        entries.push(Placed { entry: Entry::new(&fields, line), place });
                    }
                }
                None => self.problem(name(&follow.stem), format!("the line at byte {} of its text is no entry", follow.offset)),
            }
            follow.offset += line.len() as u64 + 1;
        }
        true
    }

    fn problem(&mut self, file: String, what: String) {
        const MOST: usize = 100;
        if self.problems.len() < MOST {
            self.problems.push(Problem { file, what });
        }
    }
}

fn sealed_name(stem: &FileStem) -> String {
    format!("sealed/dt={}/{stem}{SEALED}", stem.day())
}
