//! What one file of the log has in a range of time, as parts of a deflate stream.
//!
//! Blocks of a sealed file that lie wholly inside are copied unread; those that lie partly inside
//! are read, and their lines that are inside stored as they are. A live file's lines are slices of
//! it. The order of the lines stays.
//!
//! A line that is not a record has no time of its own and goes with the line before it: nothing is
//! left out because it can't be read.

use std::{ops::Range, sync::Arc};

use memchr::{memchr_iter, memrchr};

use super::{
    deflate::Joined,
    files::{Kind, LogFiles, Span},
    manifest::Place,
    pieces::Stored,
};
use crate::{
    entry::{Seq, Timestamp, scan::scan},
    error::{Error, Result},
    store::{
        blob::{self, Blob},
        gzip::Unpacker,
        index::{Block, Index},
        names::FileStem,
    },
};

/// How much of a live file is read at a time.
const READ: usize = 256 * 1024;
/// No line is longer; what is, isn't ours.
const MAX_LINE: usize = 64 << 20;

/// The lines of one file that are in the range.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) content: Joined,
    pub(super) count: u64,
    /// The first and the last record; `None` if no line is one.
    pub(super) first: Option<Place>,
    pub(super) last: Option<Place>,
    /// The time of the youngest line.
    pub(super) youngest: Timestamp,
    /// How many lines are not records.
    pub(super) unreadable: u64,
    pub(super) sha256: Option<String>,
    window: Range<Timestamp>,
    /// The time of the line read last.
    time: Timestamp,
    /// The times of all lines read, inside or not.
    span: Span,
}

impl Cut {
    fn new(stem: &FileStem, window: &Range<Timestamp>) -> Self {
        Self {
            content: Joined::default(),
            count: 0,
            first: None,
            last: None,
            youngest: Timestamp::MIN,
            unreadable: 0,
            sha256: None,
            window: window.clone(),
            time: stem.born,
            span: Span::NOTHING,
        }
    }

    /// Reads whole lines; hands each run of them that is inside to `keep`.
    fn lines(&mut self, plain: &[u8], mut keep: impl FnMut(&mut Joined, Range<usize>)) {
        let (mut start, mut run) = (0, 0..0);
        for end in memchr_iter(b'\n', plain).map(|lf| lf + 1) {
            let record = scan(&plain[start..end - 1]);
            if let Some(record) = &record {
                self.time = record.timestamp;
            }
            self.span.min = self.span.min.min(self.time);
            self.span.max = self.span.max.max(self.time);
            if self.window.contains(&self.time) {
                self.count += 1;
                self.youngest = self.youngest.max(self.time);
                match record.map(|record| Place {
                    id: String::from_utf8_lossy(record.id).into_owned(),
                    seq: Seq(record.seq),
                }) {
                    None => self.unreadable += 1,
                    Some(place) => {
                        self.first.get_or_insert_with(|| place.clone());
                        self.last = Some(place);
                    }
                }
            } else {
                keep(&mut self.content, run);
                run = end..end;
            }
            run.end = end;
            start = end;
        }
        keep(&mut self.content, run);
    }
}

impl LogFiles {
    /// What a sealed file has in the range; `None` if that is nothing.
    pub(super) fn cut_sealed(
        &self,
        stem: &FileStem,
        window: &Range<Timestamp>,
    ) -> Result<Option<Cut>> {
        if self
            .span(stem, Kind::Sealed)
            .is_some_and(|span| !span.overlaps(window))
        {
            return Ok(None);
        }
        let index = self.index(stem)?;
        self.remember(
            stem,
            Kind::Sealed,
            Span {
                read: index.packed_len,
                min: index.min,
                max: index.max,
            },
        );
        let file = self.sealed_file(&index);
        let mut cut = Cut::new(stem, window);
        cut.sha256 = Some(file.sha256.clone());
        let file: Arc<dyn Stored> = Arc::new(file);
        let mut blocks = BlockReader::new(&file);
        // The block whose last line is the last so far, if it was copied and so not read.
        let mut copied_last = None;
        for (number, block) in index.blocks.iter().enumerate() {
            match Overlap::of(block, window) {
                Overlap::None => {}
                Overlap::Whole => {
                    if cut.first.is_none() {
                        cut.first = if number == 0 {
                            Some(first_of(&index))
                        } else {
                            blocks.read(block)?.ends().0
                        };
                    }
                    cut.content.copy(
                        &file,
                        block.packed_offset,
                        block.packed_len.into(),
                        block.plain_len.into(),
                        block.crc,
                    );
                    cut.count += u64::from(block.lines);
                    cut.youngest = cut.youngest.max(block.max);
                    copied_last = Some((number, block));
                }
                Overlap::Part => {
                    let before = cut.count;
                    let plain = &blocks.read(block)?.plain;
                    cut.lines(plain, |content, run| content.text(&plain[run]));
                    copied_last = copied_last.filter(|_| cut.count == before);
                }
            }
        }
        if let Some((number, block)) = copied_last {
            cut.last = if number + 1 == index.blocks.len() {
                Some(last_of(&index))
            } else {
                blocks.read(block)?.ends().1
            };
        }
        Ok((cut.count > 0).then_some(cut))
    }

    /// What a live file has in the range, as far as it is whole lines.
    pub(super) fn cut_live(
        &self,
        stem: &FileStem,
        window: &Range<Timestamp>,
    ) -> Result<Option<Cut>> {
        let file = self.live_file(stem)?;
        let blob = Arc::clone(&file.blob);
        let end = blob.len();
        let file: Arc<dyn Stored> = Arc::new(file);
        let mut cut = Cut::new(stem, window);
        // What was read before and has nothing in the range need not be read again: the file only
        // grows.
        if let Some(span) = self
            .span(stem, Kind::Live)
            .filter(|span| span.read <= end && !span.overlaps(window))
        {
            (cut.time, cut.span) = (span.max, span);
        }
        let (mut buffer, mut at) = (Vec::new(), cut.span.read);
        while at < end {
            let (torn, more) = (buffer.len(), READ.min((end - at) as usize));
            buffer.resize(torn + more, 0);
            blob::read_exact(&*blob, &mut buffer[torn..], at)?;
            at += more as u64;
            let Some(whole) = memrchr(b'\n', &buffer[torn..]).map(|lf| torn + lf + 1) else {
                if buffer.len() > MAX_LINE {
                    return Err(Error::damaged(
                        blob.path(),
                        format!("it has no line end before byte {at}"),
                    ));
                }
                continue;
            };
            let from = cut.span.read;
            let plain = &buffer[..whole];
            cut.lines(plain, |content, run| {
                let crc = crc32fast::hash(&plain[run.clone()]);
                content.text_of(&file, from + run.start as u64, run.len() as u64, crc);
            });
            cut.span.read += whole as u64;
            buffer.drain(..whole);
        }
        self.remember(stem, Kind::Live, cut.span);
        Ok((cut.count > 0).then_some(cut))
    }
}

/// How a block's times lie to the range.
enum Overlap {
    None,
    Part,
    Whole,
}

impl Overlap {
    fn of(block: &Block, window: &Range<Timestamp>) -> Self {
        // An opaque block's times reach from the first to the last that there are, so it is never
        // left out, nor ever whole.
        match () {
            () if block.max < window.start || block.min >= window.end => Self::None,
            () if window.contains(&block.min) && window.contains(&block.max) => Self::Whole,
            () => Self::Part,
        }
    }
}

fn first_of(index: &Index) -> Place {
    Place {
        id: index.first_id.clone(),
        seq: index.first_seq,
    }
}

fn last_of(index: &Index) -> Place {
    Place {
        id: index.last_id.clone(),
        seq: index.last_seq,
    }
}

/// Reads blocks of one sealed file, which is opened at the first.
struct BlockReader<'a> {
    file: &'a Arc<dyn Stored>,
    open: Option<(Arc<dyn blob::Blob>, Unpacker)>,
    plain: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    fn new(file: &'a Arc<dyn Stored>) -> Self {
        Self {
            file,
            open: None,
            plain: Vec::new(),
        }
    }

    fn read(&mut self, block: &Block) -> Result<&Self> {
        let (blob, unpacker) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert((self.file.open()?, Unpacker::new())),
        };
        unpacker.block(&**blob, block, &mut self.plain)?;
        Ok(self)
    }

    /// The first and the last record of the block read last.
    fn ends(&self) -> (Option<Place>, Option<Place>) {
        let place = |line: &[u8]| {
            scan(line).map(|f| Place {
                id: String::from_utf8_lossy(f.id).into_owned(),
                seq: Seq(f.seq),
            })
        };
        let mut lines = self
            .plain
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let first = lines.next().and_then(place);
        (first.clone(), lines.next_back().map_or(first, place))
    }
}
