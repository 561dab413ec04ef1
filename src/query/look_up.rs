//! Finds one entry by its id.

use std::{io, ops::ControlFlow};

use uuid::Uuid;

#[cfg(any(feature = "console", test))]
use super::{block::BlockReader, plan::BlockPlan};
use super::{
    cancel::Cancel, counter::Counter, entry::RawEntry, filter::Filter, merge, order::ByTime,
    plan::Wanted,
};
use crate::{
    error::{Error, Result},
    store::files::Files,
};

/// The millisecond that a UUIDv7 says.
pub(super) fn millis_of(id: Uuid) -> Option<i64> {
    let (seconds, nanos) = id
        .get_timestamp()
        .filter(|_| id.get_version_num() == 7)?
        .to_unix();
    i64::try_from(seconds)
        .ok()?
        .checked_mul(1000)?
        .checked_add(i64::from(nanos / 1_000_000))
}

/// The question for the entry with this id, if it is one of those that the filter wants.
fn wanted(filter: Filter, id: Uuid, cancel: Cancel) -> Wanted {
    let mut text = [0; 36];
    id.hyphenated().encode_lower(&mut text);
    Wanted {
        filter: filter.with_id(text),
        order: ByTime::Desc,
        after: None,
        span: millis_of(id).map(|millis| (millis, millis)),
        cancel,
        counter: Counter::default(),
        whole: false,
    }
}

/// The entry with this id, if it is one of those that the filter wants.
pub(super) fn get(
    files: &Files,
    filter: Filter,
    id: Uuid,
    cancel: Cancel,
) -> Result<Option<RawEntry>> {
    let wanted = wanted(filter, id, cancel);
    let mut found = None;
    let (scanned, _) = merge::run(files, &wanted, 1, &mut |entry| {
        found = Some(entry);
        ControlFlow::Break(())
    })?;
    match scanned.passing_problem() {
        // The entry may be in the file that could not be read.
        Some(problem) if found.is_none() => {
            let path = files.root().join(&problem.file);
            Err(Error::io("read", path)(io::Error::other(
                problem.what.clone(),
            )))
        }
        _ => Ok(found),
    }
}

/// The file that has the entry with this id: its name below the log's directory.
#[cfg(any(feature = "console", test))]
pub(super) fn file_of(files: &Files, id: Uuid, cancel: Cancel) -> Result<Option<String>> {
    let wanted = wanted(Filter::new(), id, cancel);
    let mut plan = BlockPlan::new(files, &wanted)?;
    let mut reader = BlockReader::new(files, &wanted, 1);
    while let Some(piece) = plan.next() {
        wanted.cancel.check(files.root())?;
        let mut found = reader.find(piece);
        if let Some(piece) = found.again.take() {
            plan.again(piece);
        }
        if !found.entries.is_empty() {
            return Ok(found.file.map(|file| file.name()));
        }
    }
    Ok(None)
}
