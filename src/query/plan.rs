//! Which blocks to read, and in which order.
//!
//! Blocks come in the order of the first entry each can have: by their largest time if the newest
//! entries are wanted first, by their smallest if the oldest are. So an entry that stands before
//! every block still to come can be given away. An index is read only when its file's turn comes: a
//! page of the newest entries looks at the newest files.

use std::{collections::BinaryHeap, sync::Arc};

use super::{
    block_filters::BlockFilters,
    cancel::Cancel,
    counter::Counter,
    filter::Filter,
    order::{ByTime, Key, millis},
    page::Problem,
    snapshot::{Snapshot, live_blocks},
};
use crate::{
    entry::Timestamp,
    error::Result,
    store::{
        files::{Files, Listing, LiveBlocks, LiveFile},
        index::Block,
        layout::{live_name, sealed_name},
        names::FileStem,
    },
};

/// How many opaque blocks are read at once, as they come.
const OPAQUE_AT_ONCE: usize = 4;

/// The entries that are wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) order: ByTime,
    /// Only entries that come after this in the order.
    pub(super) after: Option<Key>,
    /// Only entries of this span of milliseconds, both ends included: the time in an id.
    pub(super) span: Option<(i64, i64)>,
    /// Asked before each block.
    pub(super) cancel: Cancel,
    pub(super) counter: Counter,
    /// Whether the answer must have every entry of the files that there were at the beginning. Then
    /// a file that retention removes before its turn is a problem, and the first problem that may
    /// hide entries ends the query.
    pub(super) whole: bool,
}

impl Wanted {
    /// Whether lines between these times can be wanted.
    fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        let ahead = self.after.is_none_or(|after| match self.order {
            ByTime::Desc => millis(min) <= after.millis,
            ByTime::Asc => millis(max) >= after.millis,
        });
        let in_span = self
            .span
            .is_none_or(|(first, last)| millis(min) <= last && millis(max) >= first);
        ahead && in_span && self.filter.overlaps(min, max)
    }

    /// The first time that can be wanted.
    fn start(&self) -> Option<Timestamp> {
        let time = |millis: i64| Timestamp::from_micros(millis.saturating_mul(1000));
        let after = self
            .after
            .filter(|_| self.order == ByTime::Asc)
            .map(|after| time(after.millis));
        self.filter
            .start()
            .max(after)
            .max(self.span.map(|(first, _)| time(first)))
    }

    /// The rank of a block between these times: a lower one comes later in the order.
    fn rank(&self, min: Timestamp, max: Timestamp) -> i64 {
        match self.order {
            ByTime::Desc => millis(max),
            ByTime::Asc => -millis(min),
        }
    }

    pub(super) fn rank_of(&self, key: &Key) -> i64 {
        match self.order {
            ByTime::Desc => key.millis,
            ByTime::Asc => -key.millis,
        }
    }
}

/// A block to read.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) of: BlockFile,
    pub(super) block: Block,
    pub(super) pass: Pass,
}

/// An opaque block says nothing about its times, so it stands before all others, and what is found
/// in it must be held until all such blocks were read. Of more than a few, the times are looked for
/// first, and each then takes its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Only,
    /// For its times, to be read again.
    First,
    Second,
}

/// The file of a block.
#[derive(Clone, Debug)]
pub(super) enum BlockFile {
    Sealed(Arc<FileStem>),
    Live(Arc<LiveFile>),
}

impl BlockFile {
    pub(super) fn stem(&self) -> &FileStem {
        match self {
            Self::Sealed(stem) => stem,
            Self::Live(file) => &file.stem,
        }
    }

    /// The file's name below the log's directory.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sealed(stem) => sealed_name(stem),
            Self::Live(file) => live_name(&file.stem),
        }
    }
}

/// The blocks that are still to be read.
#[derive(Debug)]
pub(super) struct BlockPlan<'a> {
    files: &'a Files,
    wanted: &'a Wanted,
    heap: BinaryHeap<Ranked>,
    count: u64,
    /// How many opaque blocks were given to be read.
    opaque: usize,
    /// The files of which every entry is wanted and a tally says all, if such files are to be
    /// given apart.
    tallied: Option<Vec<Arc<FileStem>>>,
    pub(super) problems: Vec<Problem>,
}

#[derive(Debug)]
struct Ranked {
    rank: i64,
    /// Orders equal ranks: the item that was put in first comes first.
    number: u64,
    item: Item,
}

#[derive(Debug)]
enum Item {
    /// A sealed file whose index wasn't looked at.
    File(FileStem),
    Block(Piece),
}

impl<'a> BlockPlan<'a> {
    pub(super) fn new(files: &'a Files, wanted: &'a Wanted) -> Result<Self> {
        Self::of(files, wanted, files.since(wanted.start())?)
    }

    /// The blocks of these files.
    pub(super) fn of(files: &'a Files, wanted: &'a Wanted, listing: Listing) -> Result<Self> {
        let Snapshot {
            sealed,
            live,
            problems,
        } = Snapshot::take(files, &wanted.filter, listing)?;
        let mut plan = Self {
            files,
            wanted,
            heap: BinaryHeap::new(),
            count: 0,
            opaque: 0,
            tallied: None,
            problems,
        };
        for stem in sealed {
            // Not looked at before, it can have anything from the days before its birth up to the
            // day after.
            let (min, max) = files
                .span(&stem)
                .map_or((Timestamp::MIN, stem.day().next().end()), |span| {
                    (span.min, span.max)
                });
            if wanted.overlaps(min, max) {
                plan.push(wanted.rank(min, max), Item::File(stem));
            }
        }
        for LiveBlocks { file, blocks } in live {
            plan.push_blocks(&BlockFile::Live(file), blocks);
        }
        Ok(plan)
    }

    /// Gives files that a tally counts wholly apart, by [`next_tallied`](Self::next_tallied), and not
    /// block by block.
    pub(super) fn with_tallied_files(self) -> Self {
        Self {
            tallied: Some(Vec::new()),
            ..self
        }
    }

    /// The next file of which every entry is wanted. Ask when there is no next block: there may be
    /// more blocks after it.
    pub(super) fn next_tallied(&mut self) -> Option<Arc<FileStem>> {
        self.tallied.as_mut()?.pop()
    }

    fn has_tallied(&self) -> bool {
        self.tallied.as_ref().is_some_and(|stems| !stems.is_empty())
    }

    /// Takes back such a file, whose tally can't be had, to be read block by block.
    pub(super) fn read_blocks(&mut self, stem: Arc<FileStem>) {
        let tallied = self.tallied.take();
        self.open(stem);
        self.tallied = tallied;
    }

    /// The rank that nothing still to come exceeds; `None` if nothing is to come.
    pub(super) fn bound(&mut self) -> Option<i64> {
        while let Some(Ranked {
            item: Item::File(_),
            ..
        }) = self.heap.peek()
            && !self.has_tallied()
        {
            let Some(Ranked {
                item: Item::File(stem),
                ..
            }) = self.heap.pop()
            else {
                break;
            };
            self.open(Arc::new(stem));
        }
        self.heap.peek().map(|next| next.rank)
    }

    /// The block to read next.
    pub(super) fn next(&mut self) -> Option<Piece> {
        self.bound()?;
        if self.has_tallied() {
            return None;
        }
        match self.heap.pop()?.item {
            Item::Block(mut piece) => {
                if piece.block.opaque && piece.pass == Pass::Only {
                    self.opaque += 1;
                    if self.opaque > OPAQUE_AT_ONCE {
                        piece.pass = Pass::First;
                    }
                }
                Some(piece)
            }
            Item::File(_) => None,
        }
    }

    /// Takes back a block whose times were found.
    pub(super) fn again(&mut self, piece: Piece) {
        let rank = self.wanted.rank(piece.block.min, piece.block.max);
        self.push(rank, Item::Block(piece));
    }

    /// The rank that nothing still to come exceeds, as far as is known without opening a file.
    pub(super) fn known_bound(&self) -> Option<i64> {
        self.heap.peek().map(|next| next.rank)
    }

    /// Puts a sealed file's blocks in its place.
    fn open(&mut self, stem: Arc<FileStem>) {
        let source = BlockFile::Sealed(Arc::clone(&stem));
        let sealed = match self.files.readable(&stem) {
            Ok(Some(sealed)) => sealed,
            // Retention took it.
            Ok(None) if self.wanted.whole => {
                let what = "it was removed before it was read".into();
                return self.problems.push(Problem::passing(source.name(), what));
            }
            Ok(None) => return,
            Err(e) => return self.problems.push(Problem::of(source.name(), &e)),
        };
        if let Some(damage) = &sealed.damage {
            // Its live twin, if still there, has it all.
            if let Ok(Some(LiveBlocks { file, blocks })) =
                live_blocks(self.files, &stem, &self.wanted.filter)
            {
                self.problems.push(Problem::hiding_nothing(
                    source.name(),
                    format!("it is damaged: {damage}; its live file is read instead"),
                ));
                return self.push_blocks(&BlockFile::Live(file), blocks);
            }
            let what = format!("it is damaged: {damage}");
            self.problems.push(Problem::new(source.name(), what));
        } else if !self.wanted.overlaps(sealed.index.min, sealed.index.max) {
            return;
        }
        let index = &sealed.index;
        if let Some(tallied) = &mut self.tallied
            && sealed.damage.is_none()
            && index.has_tally()
            && self.wanted.filter.wants_all(index.min, index.max)
        {
            return tallied.push(stem);
        }
        // Blocks whose filters can't be read are all read, so that hides no entry.
        let problems = &mut self.problems;
        let filter = &self.wanted.filter;
        let filters = BlockFilters::read(self.files, &stem, filter, |error| {
            problems.push(Problem::hiding_nothing(source.name(), error.without_path()));
        });
        let blocks = sealed.index.blocks.iter().enumerate();
        let (read, ruled_out): (Vec<_>, Vec<_>) =
            blocks.partition(|(n, _)| filters.may_match(*n, filter));
        for (_, block) in ruled_out {
            if self.wanted.overlaps(block.min, block.max) {
                self.wanted.counter.add(block.plain_len.into());
            }
        }
        self.push_blocks(&source, read.into_iter().map(|(_, block)| *block));
    }

    fn push_blocks(&mut self, of: &BlockFile, blocks: impl IntoIterator<Item = Block>) {
        for block in blocks {
            if self.wanted.overlaps(block.min, block.max) {
                let rank = self.wanted.rank(block.min, block.max);
                self.push(
                    rank,
                    Item::Block(Piece {
                        of: of.clone(),
                        block,
                        pass: Pass::Only,
                    }),
                );
            }
        }
    }

    fn push(&mut self, rank: i64, item: Item) {
        self.heap.push(Ranked {
            rank,
            number: self.count,
            item,
        });
        self.count += 1;
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.rank, other.number).cmp(&(other.rank, self.number))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
