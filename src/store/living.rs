//! Whether the process of a stream lives although the lock of its stream is free.
//!
//! A lock is a file. If somebody deletes it, another process can create and take it again, and
//! would recover a stream that is still being written: it would read the journal and remove it. So
//! the writing process holds the journal's file as well, and recovery looks at that before it
//! touches anything.

use std::io;

use super::{
    fs::{Fs, FsLock},
    journal_place::JournalPlace,
    layout::Layout,
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
};

/// Holds the journal of a stream that begins, as long as it is written. Where that can't be done,
/// as on some network file systems, the lock of the stream has to do.
pub(super) fn hold(fs: &dyn Fs, place: &JournalPlace) -> Option<Box<dyn FsLock>> {
    fs.try_lock(place.path()).ok().flatten()
}

/// An error if the process of this stream holds its journal.
pub(super) fn check_dead(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<()> {
    // The recovery reports journals that can't be found or looked at.
    let Ok(place) = JournalPlace::find(fs, layout, stream) else {
        return Ok(());
    };
    if !is_held(fs, &place) {
        return Ok(());
    }
    let what = format!(
        "its process lives and holds it, although {} is free: someone deleted that; restart that \
         process",
        layout.lock(stream.as_str()).display()
    );
    Err(Error::io("recover", place.path())(io::Error::other(what)))
}

/// Whether a process holds this journal.
pub(crate) fn is_held(fs: &dyn Fs, place: &JournalPlace) -> bool {
    fs.is_locked(place.path()).unwrap_or(false)
}
