//! Whether the journal, the lock and the directory are still where they were when the log was
//! opened.
//!
//! All three keep working for this process when their names are gone: the journal is mapped, and
//! paths were resolved when the log was opened. But other processes look for them by name, above
//! all for a recovery, and find something else. So the loss is reported, once, and a person should
//! restart the process.

use std::{
    io,
    path::{self, Path, PathBuf},
    time::Duration,
};

use super::{
    fs::{Fs, Identity},
    health::Problem,
    journal_place::JournalPlace,
    layout::Layout,
    writer::Place,
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
};

/// The files that the names of the journal and the directory stood for when the log was opened.
#[derive(Debug)]
pub(super) struct Watch {
    place: JournalPlace,
    journal: Identity,
    /// The lock of the stream.
    lock: (PathBuf, Identity),
    /// If the journal lies outside the log's directory.
    pointer: Option<Identity>,
    dir: Identity,
    /// The directory as the application named it, in the working directory of that time: another
    /// working directory doesn't make it another log.
    named: Option<PathBuf>,
    looked: Duration,
    journal_lost: bool,
    lock_lost: bool,
    dir_moved: bool,
}

impl Watch {
    /// Begins to watch what there is now. `named` is the directory as the application named it.
    pub(super) fn new(
        fs: &dyn Fs,
        layout: &Layout,
        stream: &StreamId,
        place: JournalPlace,
        named: &Path,
        now: Duration,
    ) -> Result<Self> {
        let identity = |path: &Path| {
            let found = fs.identity(path).map_err(Error::io("look at", path))?;
            found.ok_or_else(|| Error::io("look at", path)(io::ErrorKind::NotFound.into()))
        };
        let lock = layout.lock(stream.as_str());
        Ok(Self {
            lock: (lock.clone(), identity(&lock)?),
            journal: identity(place.path())?,
            pointer: place.pointer().map(identity).transpose()?,
            place,
            dir: identity(layout.root())?,
            named: path::absolute(named).ok(),
            looked: now,
            journal_lost: false,
            lock_lost: false,
            dir_moved: false,
        })
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&mut self, now: Duration, interval: Duration) -> bool {
        let due = now.saturating_sub(self.looked) >= interval;
        if due {
            self.looked = now;
        }
        due
    }

    /// When it was last looked.
    pub(super) fn looked(&self) -> Duration {
        self.looked
    }

    /// Reports each of them that is no longer where it was. A name that can't be looked at counts
    /// as there.
    pub(super) fn look(&mut self, place: &Place) {
        let fs = &*place.fs;
        let layout = &place.layout;
        let health = &place.health;
        let same = |path: &Path, ours: &Identity| match fs.identity(path) {
            Ok(found) => found.is_some_and(|found| found.is_same(ours)),
            Err(_) => true,
        };
        let journal = Some((self.place.path(), &self.journal));
        let pointer = self.place.pointer().zip(self.pointer.as_ref());
        let lost = journal
            .into_iter()
            .chain(pointer)
            .find(|(path, ours)| !same(path, ours));
        if let Some((path, _)) = lost
            && !self.journal_lost
        {
            self.journal_lost = true;
            let what = format!("{} was deleted or replaced", path.display());
            health.report(&Problem::JournalLost(what));
        }
        if !same(&self.lock.0, &self.lock.1) && !self.lock_lost {
            self.lock_lost = true;
            let what = format!("{} was deleted or replaced", self.lock.0.display());
            health.report(&Problem::LockLost(what));
        }
        let named = self.named.as_deref().map(|named| fs.resolve(named));
        let elsewhere = match named {
            Some(Ok(resolved)) if resolved != layout.root() => Some(resolved.display().to_string()),
            Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => Some("nothing".to_owned()),
            _ => None,
        };
        let root = layout.root().display();
        let what = match elsewhere {
            Some(now) => format!("it was opened as {root}, but its name now stands for {now}"),
            None if !same(layout.root(), &self.dir) => {
                format!("{root} is not the directory that was opened")
            }
            None => return,
        };
        if !self.dir_moved {
            self.dir_moved = true;
            health.report(&Problem::DirectoryMoved(what));
        }
    }

    /// The journal's file.
    pub(super) fn journal(&self) -> &Path {
        self.place.path()
    }

    /// Removes the journal durably, unless its name stands for something else.
    pub(super) fn remove_journal(&self, fs: &dyn Fs, layout: &Layout) -> Result<()> {
        self.place.remove(fs, layout, Some(&self.journal))
    }
}
