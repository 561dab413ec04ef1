//! Reads one file of a stream on, from the place reached.

use std::sync::Arc;

use super::{CHUNK, END, Follow, MAX_LINE, Room, Tail};
use crate::{
    entry::{StreamId, scan::scan},
    error::{Error, Result, if_there},
    query::{
        block_filters::BlockFilters,
        entry::RawEntry,
        order::millis,
        page::Problem,
        place::{Place, Placed},
    },
    store::{
        files::LiveFile,
        gzip::Unpacker,
        index::Index,
        layout::{live_name, sealed_name},
        names::FileStem,
        summary::lines,
    },
};

impl Tail {
    pub(super) fn read_live(
        &mut self,
        live: &LiveFile,
        follow: &mut Follow,
        room: &mut Room,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        let mut plain = Vec::new();
        let mut len = CHUNK;
        follow.seen = live.len;
        if follow.offset > 0
            && (follow.offset > live.len || {
                live.read(follow.offset - 1, 1, &mut plain)?;
                plain != b"\n"
            })
        {
            // Another file has this name now.
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
                self.problem(
                    live_name(&follow.stem),
                    format!("the line from byte {} doesn't end", follow.offset),
                );
                return Ok(true);
            }
            len = if whole == 0 { len * 2 } else { CHUNK };
            if !self.take(
                plain.get(..whole).unwrap_or_default(),
                live_name,
                follow,
                room,
                entries,
            ) {
                return Ok(false);
            }
        }
    }

    pub(super) fn read_sealed(
        &mut self,
        follow: &mut Follow,
        room: &mut Room,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        let removed = || "it was removed before all of it was read".to_owned();
        let Some(sealed) = self.files.readable(&follow.stem)? else {
            // An empty file leaves nothing to seal.
            if follow.offset < follow.seen {
                self.problem(live_name(&follow.stem), removed());
            }
            follow.offset = END;
            return Ok(true);
        };
        let len = sealed
            .index
            .blocks
            .last()
            .map_or(0, |block| block.plain_offset + u64::from(block.plain_len));
        let Some(blob) = if_there(self.files.open_sealed(&follow.stem))? else {
            if follow.offset < len {
                self.problem(sealed_name(&follow.stem), removed());
            }
            follow.offset = END;
            return Ok(true);
        };
        if let Some(damage) = sealed.damage {
            self.problem(
                sealed_name(&follow.stem),
                format!("it is damaged: {damage}"),
            );
        }
        let mut unpacker = Unpacker::new();
        let mut plain = Vec::new();
        if self.at_least_once && follow.offset > len {
            // The file was cut off after it was read, so other lines may stand in it now.
            follow.offset = 0;
        }
        let mut filters = None;
        for (n, block) in sealed.index.blocks.iter().enumerate() {
            let end = block.plain_offset + u64::from(block.plain_len);
            if end <= follow.offset {
                continue;
            }
            if follow.offset <= block.plain_offset && !self.at_least_once {
                let filters = filters.get_or_insert_with(|| self.block_filters(&follow.stem));
                if let Some(last) = self.last_of_unwanted(&sealed.index, n, filters) {
                    follow.offset = end;
                    follow.seq = follow.seq.max(last);
                    continue;
                }
            }
            if let Err(e) = unpacker.block(&*blob, block, &mut plain) {
                // Damage stays; a read that the disk refuses now may succeed later.
                if matches!(e, Error::Io { .. }) {
                    return Err(e);
                }
                self.problem(sealed_name(&follow.stem), e.without_path());
                follow.offset = end;
                continue;
            }
            let read = follow.offset.saturating_sub(block.plain_offset) as usize;
            if read
                .checked_sub(1)
                .and_then(|before| plain.get(before))
                .is_some_and(|byte| *byte != b'\n')
            {
                // The file was cut off where it had been read, and other lines came instead.
                follow.offset = 0;
                return self.read_sealed(follow, room, entries);
            }
            follow.offset = follow.offset.max(block.plain_offset);
            if !self.take(
                plain.get(read..).unwrap_or_default(),
                sealed_name,
                follow,
                room,
                entries,
            ) {
                return Ok(false);
            }
        }
        follow.offset = END;
        Ok(true)
    }

    fn block_filters(&mut self, stem: &FileStem) -> BlockFilters {
        let mut problems = Vec::new();
        let filters = BlockFilters::read(&self.files, stem, &self.filter, |error| {
            problems.push(Problem::hiding_nothing(
                sealed_name(stem),
                error.without_path(),
            ));
        });
        problems
            .into_iter()
            .for_each(|problem| self.report(problem));
        filters
    }

    /// The number of the last entry of a block without wanted entries, all of which are final.
    /// `None` for a block that has to be read.
    fn last_of_unwanted(&self, index: &Index, n: usize, filters: &BlockFilters) -> Option<u64> {
        let last = match index.blocks.get(n + 1) {
            Some(next) => next.first_seq.checked_sub(1),
            None => Some(index.last_seq.0),
        };
        let last = last.filter(|last| *last > 0)?;
        let open = self.first_open(&index.stem.stream);
        let is_final = open.is_none_or(|first| last < first);
        (is_final && !filters.may_match(n, &self.filter)).then_some(last)
    }

    /// The number of the stream's first entry that isn't final.
    fn first_open(&self, stream: &StreamId) -> Option<u64> {
        let first = *self.open.as_ref()?.get(stream)?;
        first.map(|first| first.0)
    }

    /// Takes whole lines, from the place reached on. Says whether it took them all: it stops when
    /// there is no room, or where the stream is not final.
    fn take(
        &mut self,
        plain: &[u8],
        name: fn(&FileStem) -> String,
        follow: &mut Follow,
        room: &mut Room,
        entries: &mut Vec<Placed>,
    ) -> bool {
        let file: Arc<str> = follow.stem.to_string().into();
        let open = self.first_open(&follow.stem.stream);
        let is_open = |seq: u64| open.is_some_and(|first| seq >= first);
        for line in lines(plain) {
            if room.is_over() {
                return false;
            }
            room.scanned = room.scanned.saturating_sub(line.len() + 1);
            if follow.catch_up.as_ref().is_some_and(|until| {
                (follow.stem.number, follow.offset) >= (until.number, until.offset)
            }) {
                follow.catch_up = None;
            }
            match scan(line) {
                Some(fields) if is_open(fields.seq) => return false,
                Some(fields)
                    if fields.seq <= follow.seq && !(self.at_least_once && follow.offset == 0) => {}
                Some(fields) => {
                    follow.seq = fields.seq;
                    let old = follow
                        .catch_up
                        .as_ref()
                        .is_some_and(|until| millis(fields.timestamp) < until.since);
                    if !old && self.filter.matches(&fields) {
                        let place = Place::new(&file, follow.offset, line.len());
                        room.entries -= 1;
                        room.bytes = room.bytes.saturating_sub(line.len());
                        entries.push(Placed {
                            entry: RawEntry::new(&fields, line),
                            place,
                        });
                    }
                }
                None => self.problem(
                    name(&follow.stem),
                    format!(
                        "the line at byte {} of its text is not an entry",
                        follow.offset
                    ),
                ),
            }
            follow.offset += line.len() as u64 + 1;
        }
        true
    }
}
