//! Recovery of a stream whose journal is gone, as it is when the journal was in memory and the
//! machine was started again.
//!
//! The files keep their sound lines. The number of events that only the journal had is unknown, and
//! so is the stream's last number; one entry says so. The entry gets the number after the last one
//! that is left. The entry goes into a new file, whose number leaves one out, because the process
//! may have begun one more file than are left.

use super::{
    blob::{Blob as _, FileBlob},
    files::dirs,
    fs::Fs,
    gzip::Walk,
    index::Index,
    journal_place::JournalPlace,
    layout::Layout,
    names::FileStem,
    rebuild::index_of,
    summary::IndexBuilder,
};
use crate::{
    entry::{OwnEntry, Seq, Severity, StreamId, Timestamp},
    error::{Error, Result},
};

/// The detail that distinguishes this entry from other entries about lost events.
pub(crate) const JOURNAL: &str = "journal";

/// The entry that says that the events are lost.
pub(super) fn entry(place: &JournalPlace, last: u64) -> OwnEntry {
    let what = "The process ended without closing its log, and its journal is gone: events that \
                only the journal had, if any, are lost; their number is unknown";
    OwnEntry::new("audit.log.lost", Severity::Critical, what)
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
#[derive(Debug)]
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
    let stems = dirs::regular_sealed(fs, layout)?.into_iter();
    let ours = stems.filter(|stem| stem.stream == *stream);
    let Some(stem) = ours.max_by_key(|stem| stem.number) else {
        return Ok(None);
    };
    let index = match index_of(fs, layout, &stem) {
        Err(Error::Damaged { .. }) => readable(fs, layout, &stem)?,
        index => index?,
    };
    Ok(Some(LastSealed {
        number: stem.number,
        last_seq: index.last_seq,
        newest: match index.blocks.is_empty() {
            true => stem.born,
            false => index.max,
        },
    }))
}

/// The index of what can be read of a damaged file: its beginning.
fn readable(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Index> {
    let mut builder = IndexBuilder::new(stem.clone());
    let sealed = FileBlob::open(fs, layout.sealed(stem))?;
    match read_on(&sealed, &mut builder) {
        Ok(()) | Err(Error::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(builder.finish(sealed.len(), [0; 32]).index)
}

fn read_on(sealed: &FileBlob, builder: &mut IndexBuilder) -> Result<()> {
    let mut walk = Walk::new(sealed)?;
    let mut plain = Vec::new();
    while let Some(packed_len) = walk.next(&mut plain)? {
        builder.push(&plain, packed_len);
    }
    Ok(())
}
