//! Entries on their way from the journal to the live file, and how far they have come.
//!
//! The way has three stations. An entry is *read*: numbered and rendered as a line of a [`Batch`].
//! It is *appended*: its line is in the live file. It is *synced*: its line is durable. Each
//! station ends at a [`Point`] of the stream; only `live` can say that a point is synced, and only
//! a synced point releases events from the journal. A batch that could not be appended stays as it
//! is, whatever is rotated, synced or released meanwhile.

use std::collections::VecDeque;

use super::lifecycle;
use crate::{
    entry::{OwnEntry, Seq, Source, StreamId, TIMESTAMP, Timestamp},
    journal::{Consumer, Position},
};

/// Lines are gathered up to about this many bytes for one write.
pub(super) const BATCH: usize = 512 * 1024;

/// A point between two entries of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// Everything in the journal before this position lies before the point.
    pub(super) position: Position,
    /// The number of the entry that follows.
    pub(super) next_seq: Seq,
}

impl Point {
    /// Before the first entry.
    pub(super) const START: Self = Self {
        position: Position(0),
        next_seq: Seq::FIRST,
    };
}

/// Numbered lines that no file has yet.
#[derive(Debug)]
pub(super) struct Batch {
    lines: Vec<u8>,
    entries: u64,
    /// The timestamp of its newest entry, as it is written.
    newest: Option<[u8; TIMESTAMP.end - TIMESTAMP.start]>,
    end: Point,
    /// The beginning of every line, up to the number.
    prefix: Vec<u8>,
}

impl Batch {
    pub(super) fn new(stream: &StreamId) -> Self {
        Self {
            lines: Vec::with_capacity(BATCH + 128 * 1024),
            entries: 0,
            newest: None,
            end: Point::START,
            prefix: format!("{{\"stream\":\"{stream}\",\"seq\":").into_bytes(),
        }
    }

    /// Reads what there is, the log's own entries first, until the batch is full. Only a stream's
    /// first entry comes from the journal before them, because it says that the log was opened.
    pub(super) fn fill(&mut self, consumer: &mut Consumer, own: &mut OwnEntries, source: &Source) {
        if self.end.next_seq == Seq::FIRST {
            self.read(consumer);
        }
        while !self.is_full() {
            if let Some(rendered) = own.take(self.end.next_seq, source) {
                self.push(&rendered);
            } else if !self.read(consumer) {
                break;
            }
        }
    }

    /// Reads the next event of the journal; false if there is none.
    fn read(&mut self, consumer: &mut Consumer) -> bool {
        let Some(event) = consumer.next() else {
            return false;
        };
        self.push(event);
        self.end.position = consumer.position();
        true
    }

    fn push(&mut self, event: &[u8]) {
        let number = self.end.next_seq;
        self.lines.extend_from_slice(&self.prefix);
        self.lines
            .extend_from_slice(itoa::Buffer::new().format(number.0).as_bytes());
        self.lines.push(b',');
        self.lines.extend_from_slice(event);
        self.lines.push(b'\n');
        let timestamp = event.get(TIMESTAMP).and_then(|text| text.first_chunk());
        self.newest = self.newest.max(timestamp.copied());
        self.entries += 1;
        self.end.next_seq = number.next();
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The time of its newest entry.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let text = str::from_utf8(self.newest.as_ref()?).ok()?;
        text.parse().ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH
    }

    /// The point behind its last line.
    pub(super) fn end(&self) -> Point {
        self.end
    }

    /// Its lines are in a file: the next ones follow them.
    pub(super) fn appended(&mut self) {
        self.lines.clear();
        self.entries = 0;
        self.newest = None;
    }

    /// Gives up its lines; what comes next is read from `point` on.
    pub(super) fn restart(&mut self, point: Point) {
        self.appended();
        self.end = point;
    }
}

/// The log's own entries (`audit.log.…`), which don't pass through the journal: it may be full when
/// they are needed. They are kept here until they are durable.
#[derive(Debug, Default)]
pub(super) struct OwnEntries {
    waiting: VecDeque<Own>,
    /// Read into a batch under these numbers, and not durable yet.
    taken: Vec<(Seq, Own)>,
    /// How many dropped events they report, durably or not.
    reported_drops: u64,
    closing: Closing,
}

/// The entry about the closing, which is the last of its stream: any other comes before it, and it
/// is withdrawn where one follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    Waiting,
    Taken,
}

#[derive(Debug)]
struct Own {
    entry: OwnEntry,
    /// How many dropped events are reported with it and those before it.
    reports_drops: Option<u64>,
}

impl OwnEntries {
    pub(super) fn push(&mut self, entry: OwnEntry) {
        self.waiting.push_back(Own {
            entry,
            reports_drops: None,
        });
    }

    /// Adds the entry that reports dropped events, of which there are `total` since the start.
    pub(super) fn push_drops(&mut self, entry: OwnEntry, total: u64) {
        self.reported_drops = total;
        self.waiting.push_back(Own {
            entry,
            reports_drops: Some(total),
        });
    }

    pub(super) fn reported_drops(&self) -> u64 {
        self.reported_drops
    }

    /// Whether an entry that reports dropped events is not durable yet.
    pub(super) fn have_drops(&self) -> bool {
        let taken = self.taken.iter().map(|(_, own)| own);
        let mut all = taken.chain(&self.waiting);
        all.any(|own| own.reports_drops.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.closing != Closing::Waiting
    }

    /// Adds the entry about the closing; false if it was added before, and nothing came after it.
    pub(super) fn push_closing(&mut self) -> bool {
        let is_new = self.closing == Closing::No;
        if is_new {
            self.closing = Closing::Waiting;
        }
        is_new
    }

    /// Whether the entry about the closing waits or was taken.
    pub(super) fn are_closing(&self) -> bool {
        self.closing != Closing::No
    }

    fn take(&mut self, number: Seq, source: &Source) -> Option<Vec<u8>> {
        let Some(own) = self.waiting.pop_front() else {
            let closes = self.closing == Closing::Waiting;
            return closes.then(|| {
                self.closing = Closing::Taken;
                lifecycle::closed().render(source)
            });
        };
        // After events that follow the entry about the closing, another such entry is needed.
        self.closing = Closing::No;
        let rendered = own.entry.render(source);
        self.taken.push((number, own));
        Some(rendered)
    }

    /// Forgets those before `point`, which are durable; gives the number of dropped events that
    /// they report.
    pub(super) fn release(&mut self, point: Point) -> Option<u64> {
        let durable = self
            .taken
            .extract_if(.., |(number, _)| *number < point.next_seq);
        durable.filter_map(|(_, own)| own.reports_drops).max()
    }

    /// The events that were taken are taken again, before all others.
    pub(super) fn rewind(&mut self) {
        self.closing = Closing::No;
        for (_, own) in self.taken.drain(..).rev() {
            self.waiting.push_front(own);
        }
    }
}
