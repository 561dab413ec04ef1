//! The work that an answer takes.

use std::collections::HashSet;

use super::{block::Found, page::Scanned, plan::BlockPlan};
use crate::store::names::FileStem;

/// The blocks that were read so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    scanned: Scanned,
    files: HashSet<FileStem>,
}

impl Work {
    /// Adds a block.
    pub(super) fn add(&mut self, found: &Found) {
        self.scanned.blocks += 1;
        self.scanned.lines += found.lines;
        self.scanned.bytes += found.bytes;
        if let Some(file) = &found.file
            && !self.files.contains(file.stem())
        {
            self.files.insert(file.stem().clone());
        }
        for problem in &found.problems {
            self.scanned.problem(problem.clone());
        }
    }

    /// Whether entries may be missing because a part of the log could not be read.
    pub(super) fn hides_entries(&self) -> bool {
        self.scanned.hiding_problem().is_some()
    }

    /// All of it, with the problems of the plan.
    pub(super) fn finish(mut self, plan: BlockPlan<'_>) -> Scanned {
        for problem in plan.problems {
            self.scanned.problem(problem);
        }
        self.scanned.files = self.files.len() as u64;
        self.scanned
    }
}
