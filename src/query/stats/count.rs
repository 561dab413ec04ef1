//! Counts the entries of blocks.
//!
//! Two threads take blocks from one plan. Each counts the entries of a block apart, with the texts
//! where they stand in the block, and then adds these counts to those of all blocks.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    series::{Counts, Series},
    step::Step,
    values::{BlockValues, Values},
};
use crate::{
    entry::{Timestamp, scan::Fields},
    error::{Error, Result},
    query::{
        block::BlockReader,
        page::Scanned,
        plan::{BlockPlan, Piece, Wanted},
        work::Work,
    },
    store::files::Files,
};

/// The thread that asks, and another one.
const THREADS: usize = 2;

/// The counts of all blocks.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) series: Series,
    pub(super) values: Values,
    pub(super) total: u64,
}

impl Tally {
    fn add(&mut self, block: BlockTally<'_>) -> Result<()> {
        for (number, counts) in block.counts {
            self.total += counts.count;
            self.series.add(block.step.start(number), counts)?;
        }
        self.values.add(block.values);
        Ok(())
    }
}

/// The counts of one block, by the numbers of these steps.
struct BlockTally<'b> {
    step: Step,
    counts: HashMap<i64, Counts>,
    values: BlockValues<'b>,
    /// The step of the entry before, which is often that of the next one too: its number, and its
    /// first instant and the one after it.
    last: (i64, Timestamp, Timestamp),
}

impl<'b> BlockTally<'b> {
    fn new(step: Step) -> Self {
        Self {
            step,
            counts: HashMap::new(),
            values: BlockValues::default(),
            last: (0, Timestamp::MAX, Timestamp::MAX),
        }
    }

    fn add_entry(&mut self, fields: &Fields<'b>) {
        let number = self.number(fields.timestamp);
        self.counts.entry(number).or_default().add_entry(fields);
        self.values.add_entry(fields);
    }

    fn number(&mut self, time: Timestamp) -> i64 {
        let (number, start, end) = self.last;
        if start <= time && time < end {
            return number;
        }
        let number = self.step.number(time);
        self.last = (number, self.step.start(number), self.step.start(number + 1));
        number
    }
}

/// Counts the wanted entries.
pub(super) fn run(files: &Files, wanted: &Wanted, tally: Tally) -> Result<(Tally, Scanned)> {
    let shared = Mutex::new(State {
        plan: BlockPlan::new(files, wanted)?,
        tally,
        work: Work::default(),
        failed: None,
    });
    thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(|| read(&shared, files, wanted));
        }
        read(&shared, files, wanted);
    });
    let state = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok((state.tally, state.work.finish(state.plan))),
    }
}

/// What the threads share.
struct State<'a> {
    plan: BlockPlan<'a>,
    tally: Tally,
    work: Work,
    /// Why nothing more is to be read.
    failed: Option<Error>,
}

impl State<'_> {
    /// The block to read next, and the steps in which to count it.
    fn next(&mut self, files: &Files, wanted: &Wanted) -> Option<(Piece, Step)> {
        if self.failed.is_some() {
            return None;
        }
        if let Err(error) = wanted.cancel.check(files.root()) {
            self.failed = Some(error);
            return None;
        }
        Some((self.plan.next()?, self.tally.series.step()))
    }
}

/// Reads blocks until there are none left, or one of the threads has failed.
fn read(shared: &Mutex<State<'_>>, files: &Files, wanted: &Wanted) {
    let mut reader = BlockReader::new(files, wanted, usize::MAX);
    loop {
        let next = lock(shared).next(files, wanted);
        let Some((piece, step)) = next else {
            return;
        };
        let mut block = BlockTally::new(step);
        let found = reader.each(piece, &mut |fields| block.add_entry(fields));
        let mut state = lock(shared);
        state.work.add(&found);
        if let Err(error) = state.tally.add(block) {
            state.failed = Some(error);
        }
    }
}

fn lock<'m, 'a>(shared: &'m Mutex<State<'a>>) -> MutexGuard<'m, State<'a>> {
    // After a panic the scope ends in a panic too, whatever the state.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
