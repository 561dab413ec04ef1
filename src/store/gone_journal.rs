//! Recovery of a stream whose journal is gone, as it is when the journal was in memory and the
//! machine was started again.
//!
//! The files keep all that is sound in them. Nobody knows how many events only the journal had, nor
//! how far the stream's numbers went, so the log says that, in one entry. The entry gets the number
//! after the last that is left, in a new file: one more file than are left may have been begun.

use super::{
    blob::FileBlob, files::dirs, fs::Fs, index::Index, journal_place::JournalPlace, layout::Layout,
    rebuild::rebuild,
};
use crate::{
    error::Result,
    record::{OwnRecord, Seq, Severity, StreamId, Timestamp},
};

/// The detail that tells this entry from others about lost entries.
pub(crate) const JOURNAL: &str = "journal";

/// The entry that says that the events are lost.
pub(super) fn entry(place: &JournalPlace, last: u64) -> OwnRecord {
    let what = "The process ended without closing its log, and its journal is gone: events that \
                only the journal had, if any, are lost; their number is unknown";
    OwnRecord::new("audit.log.lost", Severity::Critical, what)
        .detail("after_seq", last)
        .detail(JOURNAL, place.path().display().to_string())
}

/// The text of the problem that is reported.
pub(super) fn problem(place: &JournalPlace) -> String {
    format!(
        "the journal {} is gone: events that only it had, if any, are lost; their number \
         is unknown. An entry of the type audit.log.lost says so. If the machine was not \
         started again, find out who removed the journal",
        place.path().display()
    )
}

/// The last of a stream's sealed files.
pub(super) struct LastSealed {
    pub(super) number: u32,
    pub(super) last_seq: Seq,
    pub(super) newest: Timestamp,
}

pub(super) fn last_sealed(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
) -> Result<Option<LastSealed>> {
    let sealed = dirs::all_sealed(fs, layout)?.into_iter();
    let of_stream = sealed.filter(|stem| stem.stream == *stream);
    let Some(stem) = of_stream.max_by_key(|stem| stem.number) else {
        return Ok(None);
    };
    let index = match Index::read(fs, &layout.index(&stem)) {
        Ok(index) => index,
        Err(_) => rebuild(&FileBlob::open(fs, layout.sealed(&stem))?, &stem)?.index,
    };
    Ok(Some(LastSealed {
        number: stem.number,
        last_seq: index.last_seq,
        newest: index.max,
    }))
}
