//! Counts the entries of blocks and of whole files.
//!
//! Two threads take blocks and files from one plan. Each counts the entries of a block apart, with
//! the texts where they stand in the block, and then adds these counts to the sums. The counts of a
//! whole file are in its index.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    fields::Chosen,
    series::Series,
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
    store::{
        files::Files,
        names::FileStem,
        tally::{Counts, TallyPart},
    },
};

/// The thread that asks, and another one.
const THREADS: usize = 2;

/// The counts of all that was read so far.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) series: Series,
    pub(super) values: Values,
    pub(super) total: u64,
}

impl Sums {
    fn add_steps(&mut self, step: Step, steps: HashMap<i64, Counts>) -> Result<()> {
        for (number, counts) in steps {
            self.total += counts.count;
            self.series.add(step.start(number), counts)?;
        }
        Ok(())
    }

    /// Adds the counts of a file's minutes: a step has whole minutes.
    fn add_minutes(&mut self, tally: &TallyPart) -> Result<()> {
        for (minute, counts) in &tally.minutes {
            self.total += counts.count;
            self.series.add(*minute, *counts)?;
        }
        Ok(())
    }
}

/// The counts of one block, by the numbers of these steps.
struct BlockCounts<'b> {
    step: Step,
    counts: HashMap<i64, Counts>,
    values: BlockValues<'b>,
    /// The step of the entry before, which is often that of the next one too: its number, and its
    /// first instant and the one after it.
    last: (i64, Timestamp, Timestamp),
}

impl<'b> BlockCounts<'b> {
    fn new(step: Step, chosen: Chosen) -> Self {
        Self {
            step,
            counts: HashMap::new(),
            values: BlockValues::new(chosen),
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

/// Counts the wanted entries, and the values of these fields.
pub(super) fn run(
    files: &Files,
    wanted: &Wanted,
    chosen: Chosen,
    sums: Sums,
) -> Result<(Sums, Scanned)> {
    let plan = BlockPlan::new(files, wanted)?;
    let counter = Counter {
        files,
        wanted,
        chosen,
        state: Mutex::new(State {
            // A tally has no values of more fields, and its counts are those of whole minutes.
            plan: match chosen.with_more || sums.series.step() < Step::Minute {
                true => plan,
                false => plan.with_tallied_files(),
            },
            sums,
            work: Work::default(),
            failed: None,
        }),
    };
    thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(|| counter.count());
        }
        counter.count();
    });
    let state = counter.state.into_inner();
    let state = state.unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok((state.sums, state.work.finish(state.plan))),
    }
}

/// The state that the threads share.
struct Counter<'a> {
    files: &'a Files,
    wanted: &'a Wanted,
    chosen: Chosen,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    plan: BlockPlan<'a>,
    sums: Sums,
    work: Work,
    /// Why nothing more is to be read.
    failed: Option<Error>,
}

/// The next block or file to count.
enum Task {
    File(Arc<FileStem>),
    /// In these steps.
    Block(Piece, Step),
}

impl<'a> Counter<'a> {
    /// Counts until there is nothing left, or one of the threads has failed.
    fn count(&self) {
        let mut reader = BlockReader::new(self.files, self.wanted, usize::MAX);
        // There can be millions of them, so each thread counts its own.
        let mut values = Values::new(self.chosen);
        loop {
            let task = self.lock().next(self.files, self.wanted);
            let added = match task {
                None => break,
                Some(Task::File(stem)) => self.count_file(stem, &mut values),
                Some(Task::Block(piece, step)) => {
                    self.count_block(&mut reader, piece, step, &mut values)
                }
            };
            if let Err(error) = added {
                self.lock().failed = Some(error);
            }
        }
        self.lock().sums.values.merge(values);
    }

    fn count_file(&self, stem: Arc<FileStem>, values: &mut Values) -> Result<()> {
        // Reading the blocks reports whatever is wrong with the file.
        let Ok(Some(tally)) = self.files.tally(&stem) else {
            self.lock().plan.read_blocks(stem);
            return Ok(());
        };
        let both = [&tally.entries, &tally.access];
        let wanted = match self.wanted.filter.leaves_out_access() {
            true => &both[..1],
            false => &both[..],
        };
        if values.need_reading(wanted) {
            self.lock().plan.read_blocks(stem);
            return Ok(());
        }
        for tally in wanted {
            self.lock().sums.add_minutes(tally)?;
            values.add_file(tally);
        }
        Ok(())
    }

    fn count_block(
        &self,
        reader: &mut BlockReader<'_>,
        piece: Piece,
        step: Step,
        values: &mut Values,
    ) -> Result<()> {
        let mut block = BlockCounts::new(step, self.chosen);
        let found = reader.each(piece, &mut |fields| block.add_entry(fields));
        values.add_block(block.values);
        let mut state = self.lock();
        state.work.add(&found);
        state.sums.add_steps(step, block.counts)
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // After a panic the scope ends in a panic too, whatever the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<'_> {
    fn next(&mut self, files: &Files, wanted: &Wanted) -> Option<Task> {
        if self.failed.is_some() {
            return None;
        }
        if let Err(error) = wanted.cancel.check(files.root()) {
            self.failed = Some(error);
            return None;
        }
        match self.plan.next() {
            Some(piece) => Some(Task::Block(piece, self.sums.series.step())),
            None => self.plan.next_tallied().map(Task::File),
        }
    }
}
