//! The ring of a dead process, read for recovery.
//!
//! The file is read like any other, without mapping it, and not changed: reading it again gives the
//! same. Every frame that comes out was committed and has the CRC of its payload; they come in the
//! order of their positions, which is the order of the reservations.

use std::{ops::Range, path::Path};

use super::{
    Dropped,
    layout::{self, ALIGN, CLOSED, FRAME_HEADER, Header, PAGE, Slot, at},
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
};

/// The frames that a dead process had not released, perhaps with holes between them.
#[derive(Clone)]
pub(crate) struct Leftover {
    stream: StreamId,
    next_seq: u64,
    files: u32,
    alive: u64,
    /// One lap, turned so that it begins at the tail: no frame in it wraps.
    lap: Vec<u8>,
    payloads: Vec<Range<usize>>,
    #[cfg(test)]
    unbroken: usize,
    holes: u64,
    dropped: Dropped,
}

/// Whether nothing was ever pushed, and the header is not whole, as a death leaves it that comes
/// before it is durable. The file has its whole length before that.
fn never_begun(bytes: &[u8]) -> bool {
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let Some((page, data)) = bytes.split_first_chunk::<PAGE>() else {
        return zeros(bytes);
    };
    let whole = || Header::parse(page).is_ok() && Slot::newest(page).is_some();
    let length = || layout::check_capacity(data.len()).is_ok();
    zeros(data) && (zeros(page) || length() && !whole())
}

impl Leftover {
    /// Reads the bytes of the journal at `path`, whose process must be dead.
    ///
    /// `None` if its creation was never finished, by a kill or power loss: the header is durable
    /// before the first event is pushed, so no event was ever in it, and the file can go.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: another look would find the same.
    pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Option<Self>> {
        if never_begun(&bytes) {
            return Ok(None);
        }
        Self::parse_whole(path, bytes).map(Some)
    }

    fn parse_whole(path: &Path, mut bytes: Vec<u8>) -> Result<Self> {
        let page = bytes.first_chunk::<PAGE>().copied();
        let page = page.ok_or_else(|| Error::damaged(path, "it has no header"))?;
        let header = Header::parse(&page).map_err(|what| Error::damaged(path, what))?;
        header.check_len(path, bytes.len() as u64)?;
        let newest = Slot::newest(&page);
        let slot = newest.ok_or_else(|| {
            Error::damaged(
                path,
                "neither of the two release slots, at bytes 768 and 896, is whole",
            )
        })?;
        if slot.tail >= CLOSED || !slot.tail.is_multiple_of(ALIGN as u64) {
            return Err(Error::damaged(
                path,
                format!("its tail, {}, is not where a frame can be", slot.tail),
            ));
        }

        bytes.drain(..PAGE);
        let mut lap = bytes;
        lap.rotate_left((slot.tail % header.capacity as u64) as usize);
        let head = layout::word(&page, at::HEAD) & !CLOSED;
        let taken = head.saturating_sub(slot.tail).min(header.capacity as u64) as usize;
        let dropped = |at| layout::word(&page, at);
        let mut leftover = Self {
            stream: header.stream.clone(),
            next_seq: slot.next_seq,
            files: u32::try_from(layout::word(&page, at::FILES)).unwrap_or(0),
            alive: layout::word(&page, at::ALIVE),
            lap,
            payloads: Vec::new(),
            #[cfg(test)]
            unbroken: 0,
            holes: 0,
            dropped: Dropped::new(
                dropped(at::DROPPED_TOTAL),
                dropped(at::DROPPED_REPORTED),
                dropped(at::DROPPED_SINCE),
            ),
        };
        leftover.scan(&header, slot.tail, taken);
        Ok(leftover)
    }

    /// Finds the frames of one lap from `tail`, of which `taken` bytes were reserved when the
    /// process died. (After a power loss, more: so the whole lap is looked through.)
    fn scan(&mut self, header: &Header, tail: u64, taken: usize) {
        let mut at = 0;
        let mut in_hole = false;
        while at < self.lap.len() {
            if let Some(payload) = self.frame(header, tail, at) {
                self.holes += u64::from(in_hole);
                in_hole = false;
                #[cfg(test)]
                if self.holes == 0 {
                    self.unbroken += 1;
                }
                at += layout::frame_size(payload.len());
                self.payloads.push(payload);
            } else {
                in_hole = true;
                at += ALIGN;
            }
        }
        let end = self
            .payloads
            .last()
            .map_or(0, |last| (last.end).next_multiple_of(ALIGN));
        self.holes += u64::from(end < taken);
    }

    /// The payload of the frame at `at`, if there is a whole and committed one.
    fn frame(&self, header: &Header, tail: u64, at: usize) -> Option<Range<usize>> {
        if layout::word(&self.lap, at) != layout::commit_word(header.key, tail + at as u64) {
            return None;
        }
        let description = layout::word(&self.lap, at + 8);
        let begin = at + FRAME_HEADER;
        let payload = begin..begin + layout::described_len(description);
        (layout::describe(self.lap.get(payload.clone())?) == description).then_some(payload)
    }

    /// The stream that the ring belonged to.
    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The number of the frame at the tail: the first one here, if no hole lies before it.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The number of the file that the stream began last; 0 if it began none, or if the number was
    /// not noted.
    pub(crate) fn files(&self) -> u32 {
        self.files
    }

    /// When the process was last alive, in microseconds since 1970; `None` if that was not noted.
    pub(crate) fn alive_micros(&self) -> Option<i64> {
        i64::try_from(self.alive).ok().filter(|alive| *alive > 0)
    }

    /// The payloads, oldest first.
    pub(crate) fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.payloads
            .iter()
            .map(|payload| &self.lap[payload.clone()])
    }

    #[cfg(test)]
    /// How many frames lie before the first hole. Only these can have been written by the process
    /// that died, as `next_seq` and following; after a hole, none was yet numbered.
    pub(crate) fn unbroken(&self) -> usize {
        self.unbroken
    }

    /// How many regions had to be skipped: pushes that a kill interrupted, or damage.
    pub(crate) fn holes(&self) -> u64 {
        self.holes
    }

    /// The events that were dropped.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }
}
