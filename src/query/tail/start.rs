//! The place at which a tail begins: the end of what is there, or after an entry.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    CHUNK, END, MAX_LINE, Tail,
    follow::{ByStream, CatchUp, Follow},
};
use crate::{
    entry::{Timestamp, scan::scan},
    error::{Error, Result},
    query::{cancel::Cancel, filter::Filter, look_up, order::millis},
    store::names::FileStem,
};

/// How far behind its neighbours of other streams an entry may be written.
const SLACK: i64 = 2_000;

impl Tail {
    /// The place after all that is in a file.
    pub(super) fn end_of(&self, stem: FileStem, live: &BTreeMap<FileStem, u64>) -> Result<Follow> {
        let file = if live.contains_key(&stem) {
            self.files.open_live(&stem)?
        } else {
            None
        };
        let mut end = Follow::at(stem, END, 0);
        let Some(file) = file else { return Ok(end) };
        let mut plain = Vec::new();
        let mut len = CHUNK.min(file.len);
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
    pub(super) fn go_back(
        &mut self,
        id: Uuid,
        live: &BTreeMap<FileStem, u64>,
        all: ByStream,
    ) -> Result<()> {
        let wrong = || {
            Error::invalid(
                "after",
                format!("{id} is not an entry's id; give one, or none to begin now"),
            )
        };
        let millis_of = look_up::millis_of(id).ok_or_else(wrong)?;
        let entry = look_up::get(&self.files, Filter::new(), id, Cancel::default())?;
        let since = millis_of - SLACK;
        // A file's lines are of the day of its birth or older, unless the clock was unsteady.
        let first_day = Timestamp::from_micros(since.saturating_mul(1000))
            .day()
            .previous();
        for (stream, mut files) in all {
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
            while let Some((number, born)) = files.pop_first() {
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
                    ahead: files,
                    ..Follow::at(stem, offset, own.unwrap_or(0))
                };
                self.streams.insert(stream, back);
                break;
            }
        }
        Ok(())
    }
}
