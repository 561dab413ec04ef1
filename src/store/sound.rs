//! Which lines of a live file are sound, after something happened to it: a power loss, a failed
//! write, or another's hand.
//!
//! A line is sound if it is an entry of the stream, whole, with a number above those before it.
//! Where the journal still has the event, the line has to be what the journal has: a page that
//! never reached the disk reads as zeros, which can leave a line that still looks like an entry.
//!
//! There are two kinds of unsound bytes. Behind the last durable entry, they are traces of a death,
//! and the journal has the entries: from there on, the file is cut and written again. Before the
//! last durable entry, they are damage: the lines after them are kept, and the missing numbers are
//! lost.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
};

use super::{fs::FsFile, gone_journal::JOURNAL, lifecycle::Life, lines::Lines};
use crate::entry::{
    Seq, StreamId,
    scan::{self, Fields, has_control, scan},
};

/// Events that the journal has, by the ids they begin with.
pub(super) type Journaled<'a> = HashMap<[u8; 36], &'a [u8]>;

/// The entries that a stream's files hold, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Held<'a> {
    stream: &'a StreamId,
    /// The number of the first entry that may not be durable.
    released: Seq,
    /// Stop before the first line that is not sound or not durable, whatever comes after it.
    only_durable: bool,
    /// The number of the last entry; 0 before the first.
    pub(super) last: u64,
    /// Whether nothing can lie before the first file but what `last` said.
    start_is_known: bool,
    /// Numbers that are missing: the one before them, and how many.
    pub(super) gaps: BTreeMap<u64, u64>,
    /// How many dropped events the last entry about drops counts.
    pub(super) drops: u64,
    /// Whether an entry says that the stream's journal is gone.
    pub(super) journal_gone: bool,
    /// The opening and the end of the stream, as its entries record them.
    pub(super) life: Life,
    /// Whether a file that may explain missing numbers can't be read. Then it is unknown whether
    /// these entries are lost, and none is recorded as lost.
    pub(super) losses_are_unknown: bool,
}

/// The sound lines of one file.
#[derive(Debug, Default)]
pub(super) struct Sound {
    /// Up to the end of the last sound line.
    pub(super) len: u64,
    /// Up to the end of the last sound line that the journal has released.
    pub(super) durable: u64,
    /// The ranges before that which are not sound.
    pub(super) damaged: Vec<Range<u64>>,
}

impl<'a> Held<'a> {
    /// For all files that a dead process left: begins with the first of them. `before` is the
    /// number of the last entry before it, if that is known.
    pub(super) fn left(stream: &'a StreamId, released: Seq, before: Option<u64>) -> Self {
        Self {
            stream,
            released,
            only_durable: false,
            last: before.unwrap_or(0),
            start_is_known: before.is_some(),
            gaps: BTreeMap::new(),
            drops: 0,
            journal_gone: false,
            life: Life::default(),
            losses_are_unknown: false,
        }
    }

    /// For the live file of a living process, which begins with the number `first`: the part that
    /// can be relied on, and that the journal no longer has.
    pub(super) fn durable(stream: &'a StreamId, first: Seq, released: Seq) -> Self {
        Self {
            only_durable: true,
            ..Self::left(stream, released, Some(first.0 - 1))
        }
    }

    /// Whether durable entries are missing between what was found and the journal.
    pub(super) fn before_durable_end(&self) -> bool {
        let known = self.start_is_known || self.last > 0;
        known && self.released.0 != u64::MAX && self.last + 1 < self.released.0
    }

    /// Whether there was no journal, so that all was durable.
    pub(super) fn all_was_durable(&self) -> bool {
        self.released.0 == u64::MAX
    }

    /// Whether numbers seem to be missing.
    pub(super) fn misses_any(&self) -> bool {
        let ends_early = !self.all_was_durable() && self.last + 1 < self.released.0;
        ends_early || !self.gaps.is_empty()
    }

    /// The stream has, or had, sealed files with these numbers, in order: the first and the last of
    /// each.
    pub(super) fn cover(&mut self, sealed: &[(u64, u64)]) {
        for (after, count) in std::mem::take(&mut self.gaps) {
            let (mut after, end) = (after, after + count);
            for (first, last) in sealed {
                if *last > after && *first <= end {
                    if *first > after + 1 {
                        self.gaps.insert(after, first - after - 1);
                    }
                    after = (*last).min(end);
                }
            }
            if after < end {
                self.gaps.insert(after, end - after);
            }
        }
        if let Some(last) = sealed.iter().map(|(_, last)| *last).max() {
            self.pass(Seq(last));
        }
    }

    /// The numbers that are lost up to the durable end: the one before them, and how many.
    pub(super) fn missing(&self) -> BTreeMap<u64, u64> {
        if self.losses_are_unknown {
            return BTreeMap::new();
        }
        let mut missing = self.gaps.clone();
        if self.before_durable_end() {
            missing.insert(self.last, self.released.0 - self.last - 1);
        }
        missing
    }

    /// The next file is sealed, and ends with this number.
    pub(super) fn pass(&mut self, last: Seq) {
        self.last = self.last.max(last.0);
        self.start_is_known = true;
    }

    /// Looks through the first `len` bytes of the stream's next file. Events that it has are taken
    /// out of `journaled`.
    pub(super) fn look(
        &mut self,
        file: &dyn FsFile,
        len: u64,
        journaled: &mut Journaled<'_>,
    ) -> io::Result<Sound> {
        let mut sound = Sound::default();
        let mut lines = Lines::new(file, len);
        while let Some(line) = lines.next()? {
            let fields = line
                .ended
                .then(|| self.entry(line.text, journaled))
                .flatten();
            match fields {
                Some(fields) => {
                    self.take(&fields, journaled);
                    if sound.len < line.at {
                        sound.damaged.push(sound.len..line.at);
                    }
                    sound.len = line.end();
                    if fields.seq < self.released.0 {
                        sound.durable = sound.len;
                    }
                }
                // The journal has what follows.
                None if self.only_durable || self.last + 1 >= self.released.0 => break,
                None => {}
            }
        }
        Ok(sound)
    }

    /// The fields of a sound line.
    fn entry<'l>(&self, line: &'l [u8], journaled: &Journaled<'_>) -> Option<Fields<'l>> {
        let fields = scan(line).filter(|_| !has_control(line))?;
        let ours = fields.stream == self.stream.as_str().as_bytes();
        let id = <[u8; 36]>::try_from(fields.id).ok()?;
        let as_journaled = journaled.get(&id).is_none_or(|event| line.ends_with(event));
        (ours && self.follows(fields.seq) && as_journaled).then_some(fields)
    }

    /// Whether an entry of this number can come next. Before the durable end numbers may be
    /// missing, where the log was damaged; behind it, the writer left none out.
    fn follows(&self, number: u64) -> bool {
        if number < self.released.0 {
            number > self.last
        } else {
            !self.only_durable && number == self.released.0.max(self.last + 1)
        }
    }

    fn take(&mut self, fields: &Fields<'_>, journaled: &mut Journaled<'_>) {
        let known = self.start_is_known || self.last > 0;
        if known && fields.seq > self.last + 1 {
            self.gaps.insert(self.last, fields.seq - self.last - 1);
        }
        self.last = fields.seq;
        self.life.see(fields);
        if let Ok(id) = <[u8; 36]>::try_from(fields.id) {
            journaled.remove(&id);
        }
        match fields.event_type {
            b"audit.log.dropped" => self.drops = detail(fields, "total").unwrap_or(self.drops),
            b"audit.log.lost" | b"audit.log.live_file_cut" => {
                if scan::details_path(fields.details, JOURNAL).is_some() {
                    self.journal_gone = true;
                } else if let Some(before) = detail(fields, "after_seq") {
                    self.gaps.remove(&before);
                }
            }
            _ => {}
        }
    }
}

fn detail(fields: &Fields<'_>, name: &str) -> Option<u64> {
    let text = scan::details_path(fields.details, name)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}
