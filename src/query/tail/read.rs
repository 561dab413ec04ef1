//! Reads one file of a stream on, from the place reached.

use std::sync::Arc;

use super::{CHUNK, END, Follow, MAX_LINE, Room, Tail};
use crate::{
    entry::scan::scan,
    error::{Error, Result, if_there},
    query::{
        entry::RawEntry,
        order::millis,
        place::{Place, Placed},
    },
    store::{
        files::LiveFile,
        gzip::Unpacker,
        index::Block,
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
        let ends = |block: &&Block| block.plain_offset + u64::from(block.plain_len) > follow.offset;
        for block in sealed
            .index
            .blocks
            .iter()
            .filter(ends)
            .copied()
            .collect::<Vec<_>>()
        {
            if let Err(e) = unpacker.block(&*blob, &block, &mut plain) {
                // Damage stays; a read that the disk refuses now may succeed later.
                if matches!(e, Error::Io { .. }) {
                    return Err(e);
                }
                self.problem(sealed_name(&follow.stem), e.without_path());
                follow.offset = block.plain_offset + u64::from(block.plain_len);
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
        let open = self.open.as_ref();
        let open = open.and_then(|open| *open.get(&follow.stem.stream)?);
        let is_open = |seq: u64| open.is_some_and(|first| seq >= first.0);
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
