//! Finds one entry by its id.

use std::{io, ops::ControlFlow};

use uuid::Uuid;

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

/// The entry with this id, if it is one of those that the filter wants.
pub(super) fn get(
    files: &Files,
    filter: Filter,
    id: Uuid,
    cancel: Cancel,
) -> Result<Option<RawEntry>> {
    let mut text = [0; 36];
    id.hyphenated().encode_lower(&mut text);
    let span = millis_of(id).map(|millis| (millis, millis));
    let wanted = Wanted {
        filter: filter.with_id(text),
        order: ByTime::Desc,
        after: None,
        span,
        cancel,
        counter: Counter::default(),
        whole: false,
    };
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
