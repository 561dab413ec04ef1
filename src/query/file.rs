//! The entries of one file, in the order in which they are stored.

use std::ops::ControlFlow;

use super::{
    block::BlockReader,
    entry::RawEntry,
    plan::{BlockPlan, Pass, Wanted},
};
use crate::{
    error::Result,
    store::files::{Files, Listing},
};

/// Passes the matching entries of the only file of this listing to `give`, until that breaks. Fails
/// if the file can't be read, or was removed since it was listed.
pub(super) fn run(
    files: &Files,
    wanted: &Wanted,
    file: Listing,
    give: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
) -> Result<()> {
    let mut plan = BlockPlan::of(files, wanted, file)?;
    let mut pieces: Vec<_> = std::iter::from_fn(|| plan.next()).collect();
    if let Some(problem) = plan.problems.iter().find(|problem| problem.hides_entries()) {
        return Err(problem.not_whole());
    }
    pieces.sort_by_key(|piece| piece.block.plain_offset);
    let mut reader = BlockReader::new(files, wanted, usize::MAX);
    for mut piece in pieces {
        wanted.cancel.check(files.root())?;
        // Here no other block's times matter.
        piece.pass = Pass::Only;
        let mut found = reader.find(piece);
        wanted.counter.add(found.bytes);
        if let Some(problem) = found.problems.first() {
            return Err(problem.not_whole());
        }
        found.entries.sort_by_key(RawEntry::seq);
        if found
            .entries
            .into_iter()
            .try_for_each(&mut *give)
            .is_break()
        {
            break;
        }
    }
    Ok(())
}
