//! The live file: where lines are appended.
//!
//! Always true between two calls: the file's first `appended.len` bytes are complete lines that we
//! wrote, and the first `synced.len` of them are durable. Bytes of a failed write may lie behind
//! them until they are cut off, which happens before anything else is written or synced.
//!
//! A live file ends in one way: [`Live::finish`], which leaves nothing behind its durable lines.
//! Only what it gives is handed over to be sealed.

use std::{io, time::Duration};

use super::{
    batch::{Batch, Point},
    finished::Written,
    fs::{self, Fs, FsFile},
    layout::Layout,
    names::FileStem,
    numbers::Numbers,
    root::{Root, create_dir},
};
use crate::{
    entry::Seq,
    error::{Error, Result},
};

#[derive(Debug)]
pub(super) struct Live {
    file: Box<dyn FsFile>,
    stem: FileStem,
    /// When it was begun, by the monotonic clock.
    begun: Duration,
    /// Where its first line begins.
    first: Point,
    appended: Mark,
    synced: Mark,
    /// How long the file is if no other process touched it.
    len: u64,
    /// Bytes of a failed write may lie behind what was appended.
    ragged: bool,
    /// An attempt to cut them off returned an error, but may have cut them off.
    cut_failed: bool,
    /// The file had another length than ours when it was to be cut, so its content is unknown.
    spoiled: bool,
    /// Bytes were cut off, and the cut may not be durable.
    cut: bool,
    /// A change by others is known and was reported.
    changed: bool,
    /// The numbers of entries that others destroyed in it, which are recorded as lost.
    lost: Numbers,
}

/// A place between two lines of the file.
#[derive(Clone, Copy, Debug)]
struct Mark {
    len: u64,
    point: Point,
}

/// Everything before this point is durable: made by [`Live::sync`] alone.
#[derive(Debug)]
pub(super) struct Synced(Point);

impl Synced {
    pub(super) fn point(&self) -> Point {
        self.0
    }
}

/// A file that is complete and durable: made by [`Live::finish`] alone.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) written: Written,
    pub(super) is_empty: bool,
    /// Whether others changed it.
    pub(super) was_changed: bool,
}

/// Why a file could not be ended.
#[derive(Debug)]
pub(super) enum Unfinished {
    Failed(io::Error),
    Changed(Change),
}

/// A change that others made to the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its name is gone, or something else bears it. Ours is still readable.
    Gone,
    /// The file has another length than what was written.
    Length {
        /// Its length now.
        now: u64,
        /// The length that was written.
        ours: u64,
    },
}

impl Live {
    /// Creates the file; its name is durable on return.
    pub(super) fn create(
        fs: &dyn Fs,
        layout: &Layout,
        stem: FileStem,
        at: Point,
        begun: Duration,
    ) -> Result<Self> {
        let path = layout.live(&stem);
        let dir = layout.live_dir();
        let file = match fs.create_new(&path) {
            // Someone removed the directory.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                create_dir(fs, layout.root(), &dir)?;
                fs.sync_dir(layout.root())
                    .map_err(Error::io("sync", layout.root()))?;
                fs.create_new(&path)
            }
            file => file,
        }
        .map_err(Error::io("create", &path))?;
        if let Err(error) = fs.sync_dir(&dir) {
            // An empty file that stays is removed at the next recovery.
            let _ = fs.remove_file(&path);
            return Err(Error::io("sync", dir)(error));
        }
        let start = Mark { len: 0, point: at };
        Ok(Self {
            file,
            stem,
            begun,
            first: at,
            appended: start,
            synced: start,
            len: 0,
            ragged: false,
            cut_failed: false,
            spoiled: false,
            cut: false,
            changed: false,
            lost: Numbers::default(),
        })
    }

    /// A file with the first `len` bytes of another, which are its durable lines, up to `end`.
    pub(super) fn adopt(
        file: Box<dyn FsFile>,
        stem: FileStem,
        len: u64,
        other: &Self,
        end: Point,
    ) -> Self {
        let mark = Mark { len, point: end };
        Self {
            file,
            stem,
            begun: other.begun,
            first: other.first,
            appended: mark,
            synced: mark,
            len,
            ragged: false,
            cut_failed: false,
            spoiled: false,
            cut: false,
            changed: false,
            lost: other.lost.clone(),
        }
    }

    pub(super) fn stem(&self) -> &FileStem {
        &self.stem
    }

    pub(super) fn file(&self) -> &dyn FsFile {
        &*self.file
    }

    pub(super) fn begun(&self) -> Duration {
        self.begun
    }

    /// Where its first line begins.
    pub(super) fn first(&self) -> Point {
        self.first
    }

    pub(super) fn len(&self) -> u64 {
        self.appended.len
    }

    /// Whether it has lines that are not durable.
    pub(super) fn is_unsynced(&self) -> bool {
        self.appended.len > self.synced.len
    }

    /// Appends the lines of a batch; all of them or none.
    pub(super) fn append(&mut self, batch: &Batch) -> io::Result<()> {
        self.even_out()?;
        let (written, result) = fs::append_all_counted(&*self.file, batch.lines());
        self.len += written;
        if let Err(error) = result {
            self.ragged = true;
            // Tried again before the next write or sync if it fails now.
            let _ = self.even_out();
            return Err(error);
        }
        self.appended.len += written;
        self.appended.point = batch.end();
        Ok(())
    }

    /// Cuts off what a failed write left. A file that others changed stays as it is: given the
    /// right length, by a cut or filled up with zeros, it would hide that lines are gone.
    fn even_out(&mut self) -> io::Result<()> {
        if self.ragged {
            self.cut = true;
            let found = self.file.identity()?.len;
            if self.may_be(found) {
                self.cut_failed = true;
                self.file.truncate(self.appended.len)?;
            } else {
                self.spoiled = true;
            }
            self.len = self.appended.len;
            self.ragged = false;
            self.cut_failed = false;
        }
        Ok(())
    }

    /// Makes the appended lines durable. They count as durable only if nobody else has changed the
    /// file; otherwise the change is returned.
    pub(super) fn sync(
        &mut self,
        fs: &dyn Fs,
        layout: &Layout,
        root: &Root,
    ) -> io::Result<Result<Synced, Change>> {
        self.even_out()?;
        self.file.sync()?;
        // Afterwards: what came before the look is covered by it.
        if let Some(change) = self.changed(fs, layout, root)? {
            return Ok(Err(change));
        }
        self.synced = self.appended;
        self.cut = false;
        Ok(Ok(Synced(self.synced.point)))
    }

    /// Gives up what is not durable: the kernel may have thrown it away after a failed sync,
    /// whatever a second one says.
    pub(super) fn give_up_unsynced(&mut self) {
        self.appended = self.synced;
        self.ragged = true;
    }

    /// Gives up all of its `now` bytes but the first `len`, which are known to be sound lines.
    pub(super) fn give_up_beyond(&mut self, len: u64, now: u64) {
        self.synced.len = len;
        self.len = now;
        self.cut_failed = false;
        self.changed = true;
        self.spoiled = false;
        self.give_up_unsynced();
    }

    /// Notes that these entries are gone, which the log has recorded.
    pub(super) fn note_lost(&mut self, first: Seq, last: Seq) {
        self.lost.add(first.0, last.0);
    }

    /// Ends the file. It has nothing then but lines that are durable, and still bears its name.
    ///
    /// # Errors
    ///
    /// Gives the file back, to be ended later.
    pub(super) fn finish(
        mut self,
        fs: &dyn Fs,
        layout: &Layout,
        root: &Root,
    ) -> Result<Finished, (Box<Self>, Unfinished)> {
        let ended = self.even_out_durably();
        match ended.and_then(|()| self.changed(fs, layout, root)) {
            Ok(None) => Ok(Finished {
                is_empty: self.appended.len == 0,
                was_changed: self.changed,
                written: Written {
                    stem: self.stem,
                    len: self.synced.len,
                    first: self.first.next_seq,
                    next: self.synced.point.next_seq,
                    lost: self.lost,
                },
            }),
            // It was reported that someone writes into it. A repetition isn't news, and must not
            // fill the log.
            Ok(Some(Change::Length { now, ours })) if now > ours && self.changed => {
                self.ragged = true;
                self.len = now;
                self.cut_failed = false;
                self.spoiled = false;
                let error = io::Error::other("another process keeps writing into it");
                Err((Box::new(self), Unfinished::Failed(error)))
            }
            Ok(Some(change)) => Err((Box::new(self), Unfinished::Changed(change))),
            Err(error) => Err((Box::new(self), Unfinished::Failed(error))),
        }
    }

    fn even_out_durably(&mut self) -> io::Result<()> {
        if self.is_unsynced() {
            return Err(io::Error::other("it has lines that are not durable"));
        }
        self.even_out()?;
        if self.cut {
            self.file.sync()?;
            self.cut = false;
        }
        Ok(())
    }

    /// Whether the file may have this length if no other process touched it.
    fn may_be(&self, len: u64) -> bool {
        len == self.len || self.cut_failed && len == self.appended.len
    }

    /// Whether the file still is where and what it should be. It belongs in the log's directory,
    /// even if another directory has that name now.
    pub(super) fn changed(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        root: &Root,
    ) -> io::Result<Option<Change>> {
        let ours = self.file.identity()?;
        let named = fs.identity(&layout.live(&self.stem))?;
        let has_name = named.is_some_and(|named| named.is_same(&ours));
        if ours.links == 0 || !has_name && root.is_there(fs, layout) {
            return Ok(Some(Change::Gone));
        }
        // Bytes of a failed write may still be there.
        if self.may_be(ours.len) && !self.spoiled {
            return Ok(None);
        }
        Ok(Some(Change::Length {
            now: ours.len,
            ours: self.appended.len,
        }))
    }
}
