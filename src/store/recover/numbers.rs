//! The numbers of entries that are not in a stream's live files: those in its sealed files, and
//! those that were pruned.

use std::cmp::Reverse;

use crate::{
    entry::StreamId,
    error::{Error, Result},
    store::{files::dirs, fs::Fs, layout::Layout, names::FileStem, rebuild::index_of, removed},
};

/// The number of the last entry before a stream's live files, if it is known.
pub(super) fn number_before(
    fs: &dyn Fs,
    layout: &Layout,
    live: &[FileStem],
) -> Result<Option<u64>> {
    let Some(first) = live.first() else {
        return Ok(None);
    };
    if first.number == 1 {
        return Ok(Some(0));
    }
    // The file is in the folder of the same day or, nearly always, of the day before.
    let mut days = dirs::sealed_days(fs, layout)?;
    days.sort_by_key(|day| (*day > first.day(), Reverse(*day)));
    for day in days {
        let mut stems = dirs::regular_sealed_of(fs, layout, day)?.into_iter();
        let before =
            stems.find(|stem| stem.stream == first.stream && stem.number == first.number - 1);
        if let Some(stem) = before {
            return match index_of(fs, layout, &stem) {
                Err(Error::Damaged { .. }) => Ok(None),
                index => Ok(Some(index?.last_seq.0)),
            };
        }
    }
    Ok(None)
}

/// The numbers that a stream's missing entries may have.
pub(super) struct SealedNumbers {
    /// The first and the last of each range, in order.
    pub(super) numbers: Vec<(u64, u64)>,
    /// Why others are not known: these files are damaged.
    pub(super) unread: Vec<Error>,
}

/// The numbers of the entries in a stream's sealed files, and in those that were pruned.
pub(super) fn sealed_numbers(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
) -> Result<SealedNumbers> {
    // Entries that were pruned are not lost.
    let recorded = removed::all_recorded(fs, layout)?;
    let mut numbers: Vec<_> = recorded.numbers(stream).collect();
    let mut unread = recorded.unread;
    for stem in dirs::regular_sealed(fs, layout)? {
        if stem.stream != *stream {
            continue;
        }
        match index_of(fs, layout, &stem) {
            Ok(index) => numbers.push((index.first_seq.0, index.last_seq.0)),
            Err(error @ Error::Damaged { .. }) => unread.push(error),
            // Pruned since.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    numbers.sort_unstable();
    Ok(SealedNumbers { numbers, unread })
}
