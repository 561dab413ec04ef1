//! The lines that one file of the log has in a range of time, as parts of a deflate stream.
//!
//! Blocks of a sealed file that lie wholly inside are copied unread; blocks that lie partly inside
//! are read, and their lines that are inside stored as they are. A live file's lines are slices of
//! it. The order of the lines stays.
//!
//! A line that isn't an entry has no time of its own and goes with the line before it, so no line
//! is left out because it can't be read.

use std::{ops::Range, sync::Arc};

use memchr::memchr_iter;

use super::{
    deflate::Joined,
    manifest::ManifestPlace,
    pieces::Stored,
    stored::{StoredLive, StoredSealed},
};
use crate::{
    entry::{Seq, Timestamp, scan::scan},
    error::{Result, if_there},
    store::{
        blob,
        files::{Files, LiveBlocks},
        gzip::Unpacker,
        index::{Block, Index},
        names::FileStem,
    },
};

/// The lines of one file that are in the range.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) content: Joined,
    pub(super) count: u64,
    /// The first and the last entry; `None` if no line is one.
    pub(super) first: Option<ManifestPlace>,
    pub(super) last: Option<ManifestPlace>,
    /// The times of the oldest and the youngest line.
    pub(super) oldest: Timestamp,
    pub(super) youngest: Timestamp,
    /// How many lines are not entries.
    pub(super) unreadable: u64,
    pub(super) sha256: Option<String>,
    window: Range<Timestamp>,
    /// The time of the last line so far, or one that is as far inside or outside.
    time: Timestamp,
}

impl Cut {
    fn new(stem: &FileStem, window: &Range<Timestamp>) -> Self {
        Self {
            content: Joined::default(),
            count: 0,
            first: None,
            last: None,
            oldest: Timestamp::MAX,
            youngest: Timestamp::MIN,
            unreadable: 0,
            sha256: None,
            window: window.clone(),
            time: stem.born,
        }
    }

    /// Passes over a block, all of whose lines are in the range, or none.
    fn pass(&mut self, block: &Block) {
        self.time = block.max;
    }

    /// Reads whole lines; hands each run of them that is inside to `keep`.
    fn lines(&mut self, plain: &[u8], mut keep: impl FnMut(&mut Joined, Range<usize>)) {
        let mut start = 0;
        let mut run = 0..0;
        for end in memchr_iter(b'\n', plain).map(|lf| lf + 1) {
            let fields = scan(&plain[start..end - 1]);
            if let Some(fields) = &fields {
                self.time = fields.timestamp;
            }
            if self.window.contains(&self.time) {
                self.count += 1;
                self.oldest = self.oldest.min(self.time);
                self.youngest = self.youngest.max(self.time);
                match fields.map(|fields| ManifestPlace {
                    id: String::from_utf8_lossy(fields.id).into_owned(),
                    seq: Seq(fields.seq),
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

impl Cut {
    /// The part of a sealed file in the range; `None` if the file is gone.
    pub(super) fn sealed(
        files: &Arc<Files>,
        stem: &FileStem,
        window: &Range<Timestamp>,
    ) -> Result<Option<Self>> {
        let mut cut = Self::new(stem, window);
        let span = files.span(stem);
        if span.is_some_and(|span| span.min >= window.end || span.max < window.start) {
            return Ok(Some(cut));
        }
        let Some(index) = if_there(files.index(stem))? else {
            return Ok(None);
        };
        let file = StoredSealed::new(files, &index, copied(&index, window));
        cut.sha256 = Some(file.sha256());
        let file: Arc<dyn Stored> = Arc::new(file);
        let mut blocks = BlockReader::new(files, stem);
        // The block whose last line is the last so far, if it was copied and so not read.
        let mut copied_last = None;
        for (number, block) in index.blocks.iter().enumerate() {
            match Overlap::of(block, window) {
                Overlap::None => cut.pass(block),
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
                    cut.oldest = cut.oldest.min(block.min);
                    cut.youngest = cut.youngest.max(block.max);
                    cut.pass(block);
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
        Ok(Some(cut))
    }

    /// The whole lines of a live file in the range; `None` if the file is gone.
    pub(super) fn live(
        files: &Files,
        stem: &FileStem,
        window: &Range<Timestamp>,
    ) -> Result<Option<Self>> {
        let Some(LiveBlocks { file, blocks }) = files.live_blocks(stem, &|_, _, _| true)? else {
            return Ok(None);
        };
        let stored: Arc<dyn Stored> = Arc::new(StoredLive::new(Arc::clone(&file)));
        let mut cut = Self::new(stem, window);
        let mut plain = Vec::new();
        for block in &blocks {
            if matches!(Overlap::of(block, window), Overlap::None) {
                cut.pass(block);
                continue;
            }
            file.read(block.plain_offset, block.plain_len as usize, &mut plain)?;
            cut.lines(&plain, |content, run| {
                let crc = crc32fast::hash(&plain[run.clone()]);
                let offset = block.plain_offset + run.start as u64;
                content.text_of(&stored, offset, run.len() as u64, crc);
            });
        }
        Ok(Some(cut))
    }
}

/// Where the blocks lie that are copied as they are, the blocks between them included.
fn copied(index: &Index, window: &Range<Timestamp>) -> Range<u64> {
    let is_whole = |block: &&Block| matches!(Overlap::of(block, window), Overlap::Whole);
    let mut whole = index.blocks.iter().filter(is_whole);
    let Some(first) = whole.next() else {
        return 0..0;
    };
    let last = whole.next_back().unwrap_or(first);
    first.packed_offset..last.packed_offset + u64::from(last.packed_len)
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

fn first_of(index: &Index) -> ManifestPlace {
    ManifestPlace {
        id: index.first_id.clone(),
        seq: index.first_seq,
    }
}

fn last_of(index: &Index) -> ManifestPlace {
    ManifestPlace {
        id: index.last_id.clone(),
        seq: index.last_seq,
    }
}

/// Reads blocks of one sealed file, which is opened at the first.
struct BlockReader<'a> {
    files: &'a Files,
    stem: &'a FileStem,
    open: Option<(Arc<dyn blob::Blob>, Unpacker)>,
    plain: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    fn new(files: &'a Files, stem: &'a FileStem) -> Self {
        Self {
            files,
            stem,
            open: None,
            plain: Vec::new(),
        }
    }

    fn read(&mut self, block: &Block) -> Result<&Self> {
        let (blob, unpacker) = match &mut self.open {
            Some(open) => open,
            None => {
                let blob = self.files.open_sealed(self.stem)?;
                self.open.insert((blob, Unpacker::new()))
            }
        };
        unpacker.block(&**blob, block, &mut self.plain)?;
        Ok(self)
    }

    /// The first and the last entry of the block read last.
    fn ends(&self) -> (Option<ManifestPlace>, Option<ManifestPlace>) {
        let place = |line: &[u8]| {
            scan(line).map(|f| ManifestPlace {
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
