//! Merges the entries that were found in blocks into order.
//!
//! Each block's entries are a sorted run. An entry is passed on as soon as no unread block can have
//! an earlier one, so memory is bounded by the overlap of blocks in time. The first blocks are read
//! here; if they aren't enough, two threads read ahead, by a few blocks only, and the order in
//! which they finish makes no difference.

use std::{
    collections::{BTreeMap, BinaryHeap, VecDeque},
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    block::{BlockReader, Found},
    entry::RawEntry,
    order::ByTime,
    page::Scanned,
    plan::{BlockPlan, Wanted},
    work::Work,
};
use crate::{error::Result, store::files::Files};

/// How many blocks are read before threads are started: most pages and look-ups need no more.
const ALONE: usize = 4;
const THREADS: usize = 2;
/// How many blocks may be read and not yet merged.
const AHEAD: usize = 8;

/// Passes the matching entries, in order, to `give`, until `give` breaks or has `keep` entries.
/// Returns how much was read, and whether there may be more matches.
pub(super) fn run(
    files: &Files,
    wanted: &Wanted,
    keep: usize,
    give: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
) -> Result<(Scanned, bool)> {
    let mut plan = BlockPlan::new(files, wanted)?;
    let mut merge = Merge {
        wanted,
        keep,
        held: 0,
        runs: BinaryHeap::new(),
        work: Work::default(),
        give,
    };
    let mut reader = BlockReader::new(files, wanted, keep.saturating_add(1));
    for _ in 0..ALONE {
        if merge.emit(plan.bound()).is_break() {
            return Ok(merge.finish(plan));
        }
        let Some(piece) = plan.next() else {
            return Ok(merge.finish(plan));
        };
        wanted.cancel.check(files.root())?;
        let mut found = reader.find(piece);
        if let Some(piece) = found.again.take() {
            plan.again(piece);
        }
        merge.take(found);
    }
    if merge.emit(plan.bound()).is_break() || plan.bound().is_none() {
        return Ok(merge.finish(plan));
    }
    let shared = Shared {
        changed: Condvar::new(),
        state: Mutex::new(State::new(plan)),
    };
    let read: Result<()> = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                shared.read_ahead(BlockReader::new(files, wanted, keep.saturating_add(1)))
            });
        }
        // Also when `give` panics: the threads would wait for ever.
        let _stop = Stop(&shared);
        while let Some((found, bound)) = shared.next() {
            wanted.cancel.check(files.root())?;
            merge.take(found);
            if merge.emit(bound).is_break() {
                break;
            }
        }
        Ok(())
    });
    read?;
    let state = shared
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let (scanned, more) = merge.finish(state.plan);
    Ok((scanned, more || !state.bounds.is_empty()))
}

struct Merge<'a> {
    wanted: &'a Wanted,
    /// How many entries more are wanted.
    keep: usize,
    /// How many entries the runs hold.
    held: usize,
    runs: BinaryHeap<Run>,
    work: Work,
    give: &'a mut dyn FnMut(RawEntry) -> ControlFlow<()>,
}

impl Merge<'_> {
    fn take(&mut self, found: Found) {
        self.wanted.counter.add(found.bytes);
        self.work.add(&found);
        self.push(found.entries);
        // Happens only when many blocks overlap: entries behind the last one that is wanted are
        // dropped.
        if self.held > self.keep.saturating_mul(8).saturating_add(4096) {
            let mut entries = Vec::with_capacity(self.held);
            while entries.len() <= self.keep
                && let Some(entry) = self.pop()
            {
                entries.push(entry);
            }
            entries.reverse();
            self.runs.clear();
            self.held = 0;
            self.push(entries);
        }
    }

    fn push(&mut self, entries: Vec<RawEntry>) {
        if !entries.is_empty() {
            self.held += entries.len();
            self.runs.push(Run {
                order: self.wanted.order,
                entries,
            });
        }
    }

    fn pop(&mut self) -> Option<RawEntry> {
        let mut run = self.runs.peek_mut()?;
        let entry = run.entries.pop();
        if run.entries.is_empty() {
            std::collections::binary_heap::PeekMut::pop(run);
        }
        self.held -= 1;
        entry
    }

    /// Gives away what stands before everything of this rank or below.
    fn emit(&mut self, bound: Option<i64>) -> ControlFlow<()> {
        if self.wanted.whole && self.work.hides_entries() {
            return ControlFlow::Break(());
        }
        while self.keep > 0 {
            let Some(first) = self.runs.peek().and_then(|run| run.entries.last()) else {
                return ControlFlow::Continue(());
            };
            if bound.is_some_and(|bound| self.wanted.rank_of(&first.key()) <= bound) {
                return ControlFlow::Continue(());
            }
            let Some(entry) = self.pop() else { break };
            self.keep -= 1;
            (self.give)(entry)?;
        }
        ControlFlow::Break(())
    }

    fn finish(self, mut plan: BlockPlan<'_>) -> (Scanned, bool) {
        let more = self.held > 0 || plan.bound().is_some();
        (self.work.finish(plan), more)
    }
}

/// A block's entries, the first last.
struct Run {
    order: ByTime,
    entries: Vec<RawEntry>,
}

impl Ord for Run {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let a = self.entries.last().map(RawEntry::key);
        let b = other.entries.last().map(RawEntry::key);
        match self.order {
            ByTime::Desc => a.cmp(&b),
            ByTime::Asc => b.cmp(&a),
        }
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

/// Between the threads that read and the one that merges.
struct Shared<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    plan: BlockPlan<'a>,
    /// How many blocks were begun, and how many were merged.
    begun: usize,
    merged: usize,
    /// The bounds before each block that was begun and not merged.
    bounds: VecDeque<i64>,
    /// The entries found in blocks that are not merged yet.
    ready: BTreeMap<usize, Found>,
    /// How many threads may still add to it.
    threads: usize,
    stop: bool,
}

impl<'a> State<'a> {
    fn new(plan: BlockPlan<'a>) -> Self {
        Self {
            plan,
            begun: 0,
            merged: 0,
            bounds: VecDeque::new(),
            ready: BTreeMap::new(),
            threads: THREADS,
            stop: false,
        }
    }
}

impl<'a> Shared<'a> {
    /// Reads blocks until there are none left, or the query has ended.
    fn read_ahead(&self, mut reader: BlockReader<'_>) {
        let _leave = Leave(self);
        loop {
            let (number, piece) = {
                let full =
                    |state: &mut State<'_>| !state.stop && state.begun - state.merged >= AHEAD;
                let mut state = self
                    .changed
                    .wait_while(self.lock(), full)
                    .unwrap_or_else(PoisonError::into_inner);
                if state.stop {
                    return;
                }
                let Some(bound) = state.plan.bound() else {
                    return;
                };
                let Some(piece) = state.plan.next() else {
                    return;
                };
                state.bounds.push_back(bound);
                state.begun += 1;
                (state.begun - 1, piece)
            };
            let mut found = reader.find(piece);
            let mut state = self.lock();
            if let Some(piece) = found.again.take() {
                state.plan.again(piece);
            }
            state.ready.insert(number, found);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The entries found in the next block, and the bound of the blocks after it. `None` when all
    /// blocks are read.
    fn next(&self) -> Option<(Found, Option<i64>)> {
        let missing =
            |state: &mut State<'_>| state.threads > 0 && !state.ready.contains_key(&state.merged);
        let mut state = self
            .changed
            .wait_while(self.lock(), missing)
            .unwrap_or_else(PoisonError::into_inner);
        let next = state.merged;
        let mut found = state.ready.remove(&next)?;
        state.merged += 1;
        state.bounds.pop_front();
        found.problems.append(&mut state.plan.problems);
        // A block that was put back may come before others that were begun earlier, so the first
        // bound need not be the highest.
        let bound = match state.bounds.iter().copied().max() {
            Some(begun) => Some(begun).max(state.plan.known_bound()),
            None => state.plan.bound(),
        };
        drop(state);
        self.changed.notify_all();
        Some((found, bound))
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // After a panic the scope ends in a panic too, whatever the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the threads stop.
struct Stop<'a, 'b>(&'a Shared<'b>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().stop = true;
        self.0.changed.notify_all();
    }
}

/// Notes the end of a thread, however it ends.
struct Leave<'a, 'b>(&'a Shared<'b>);

impl Drop for Leave<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.changed.notify_all();
    }
}
