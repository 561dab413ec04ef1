//! Where the journal of a stream lies: in `state/journal`, or in another directory, to which a
//! [`Pointer`] leads.
//!
//! A pointer is followed only to a file that must be the stream's journal: a regular file of the
//! log's owner, named for the stream, in a directory that is reached without a link. Anything else
//! is an error, and stays as it is.
//!
//! # When the journal is gone
//!
//! A journal in memory goes with a restart of the machine, and any file can be deleted. But a
//! journal that isn't found may also be on a file system that is not mounted here, or not yet. So
//! it counts as gone only if its directory is there without it, or was in memory before the machine
//! was started again. Otherwise finding it fails, and is tried again later.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    fs::{self, Fs, FsFile, Identity},
    layout::{Layout, RING},
    pointer::{self, Found, Home, Pointer, Step},
    tmp::TmpFile,
};
use crate::{
    entry::{StreamId, Timestamp},
    error::{Error, Result},
    journal::{self, Consumer, Producer},
};

/// The place of a stream's journal, and the state of the journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    path: PathBuf,
    dir: PathBuf,
    /// If the journal lies outside the log's directory.
    pointer: Option<PathBuf>,
    /// `state/journal`.
    log_dir: PathBuf,
    state: State,
}

/// The state of a journal, as far as it can be known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its file, if there is one, may have events.
    Journal,
    /// No event is in it, whether its file is there or not.
    Nothing,
    /// Its process did not close the stream, and its file is gone.
    Gone,
}

/// Why a journal that isn't there is not taken for gone, and what to do.
const UNPROVEN: &str = "its directory is not there, or is not the one in which it was created, so \
                        it may be on a file system that is not mounted here; mount that, or \
                        recover the log where it is mounted. If the journal is gone for good, \
                        create its directory and in it an empty file of this name: the stream is \
                        then completed without it, and the log says so";

impl JournalPlace {
    /// Where a new stream's journal is to be: in `state/journal`, or `elsewhere`.
    pub(super) fn new(layout: &Layout, stream: &StreamId, elsewhere: Option<&Path>) -> Self {
        let log_dir = layout.journal_dir();
        let dir = elsewhere.map_or_else(|| log_dir.clone(), Path::to_owned);
        Self {
            path: dir.join(format!("{stream}{RING}")),
            dir,
            pointer: elsewhere.map(|_| layout.pointer(stream)),
            log_dir,
            state: State::Journal,
        }
    }

    /// Where a stream's journal is.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the pointer is, [`Error::Io`] if the journal can't be looked at, is
    /// not to be trusted, or may be where it isn't seen now.
    pub(crate) fn find(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<Self> {
        let place = Self::new(layout, stream, None);
        let at = layout.pointer(stream);
        loop {
            let pointer = match Pointer::read(fs, &at)? {
                Found::Absent => return Ok(place),
                Found::Unfinished => {
                    return Ok(Self {
                        pointer: Some(at),
                        state: State::Nothing,
                        ..place
                    });
                }
                Found::Whole(pointer) => pointer,
            };
            let mut place = Self {
                dir: pointer.journal.parent().unwrap_or(Path::new("/")).into(),
                path: pointer.journal.clone(),
                pointer: Some(at.clone()),
                ..place.clone()
            };
            place.state = place.look(fs, layout, stream, &pointer)?;
            // The stream may have been closed or recovered between the two looks.
            if place.state != State::Gone || Pointer::read(fs, &at)? == Found::Whole(pointer) {
                return Ok(place);
            }
        }
    }

    /// The same for a stream whose lock is held. A damaged pointer, which is proven by reading it
    /// twice, is kept under another name; the journal to which it led is for a person to find.
    pub(super) fn find_left(
        fs: &dyn Fs,
        layout: &Layout,
        stream: &StreamId,
        problems: &mut Vec<String>,
    ) -> Result<Self> {
        let find = || Self::find(fs, layout, stream);
        match find() {
            Err(Error::Damaged { .. }) => {}
            found => return found,
        }
        let error = match find() {
            Err(error @ Error::Damaged { .. }) => error,
            found => return found,
        };
        let pointer = layout.pointer(stream);
        let aside = pointer.with_extension("at.damaged");
        fs.rename(&pointer, &aside)
            .map_err(Error::io("rename", &pointer))?;
        problems.push(format!("{error}; it is kept as {}", aside.display()));
        find()
    }

    /// The journal's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the journal's file. A file that is too long for a journal is
    /// [`Error::Damaged`], and not read.
    pub(crate) fn read(&self, fs: &dyn Fs, layout: &Layout) -> Result<Vec<u8>> {
        let error = || Error::io("read", &self.path);
        let file = self.open(fs, layout).map_err(error())?;
        let len = file.identity().map_err(error())?.len;
        let page = first_page(&*file).map_err(error())?;
        journal::check_len(&self.path, len, &page)?;
        fs::read_all_at_most(&*file, journal::LONGEST_FILE).map_err(error())
    }

    /// The first page of the journal's file, or less if the file is shorter.
    pub(super) fn page(&self, fs: &dyn Fs, layout: &Layout) -> io::Result<Vec<u8>> {
        first_page(&*self.open(fs, layout)?)
    }

    fn open(&self, fs: &dyn Fs, layout: &Layout) -> io::Result<Box<dyn FsFile>> {
        match self.pointer {
            Some(_) => fs.open_journal(layout, &self.path),
            None => fs.open_read(&self.path),
        }
    }

    /// The pointer, if the journal lies outside the log's directory.
    pub(super) fn pointer(&self) -> Option<&Path> {
        self.pointer.as_deref()
    }

    /// Whether events may be in the journal's file.
    pub(crate) fn may_have_events(&self) -> bool {
        self.state == State::Journal
    }

    /// Whether the journal is gone, and with it the events that were only there.
    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether no journal is here yet.
    pub(super) fn is_free(&self, fs: &dyn Fs) -> Result<bool> {
        for path in [Some(&self.path), self.pointer.as_ref()]
            .into_iter()
            .flatten()
        {
            if look_at(fs, path)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn look(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        stream: &StreamId,
        pointer: &Pointer,
    ) -> Result<State> {
        let name = format!("{stream}{RING}");
        if self.path.file_name().is_none_or(|found| *found != *name) {
            return Err(self.refused("its pointer must name a file of this stream"));
        }
        if pointer.step != Step::Begun {
            return Ok(State::Nothing);
        }
        match self.file(fs, layout)? {
            // A person put it there to say that the journal is not coming back.
            Some(file) if file.len == 0 => Ok(State::Gone),
            Some(_) => Ok(State::Journal),
            None if self.is_proven_gone(fs, &pointer.home)? => Ok(State::Gone),
            None => Err(Error::io("find the journal", &self.path)(io::Error::other(
                UNPROVEN,
            ))),
        }
    }

    /// The journal's file, if it is there and can't be anything else.
    fn file(&self, fs: &dyn Fs, layout: &Layout) -> Result<Option<Identity>> {
        match fs.resolve(&self.dir) {
            Err(e) if is_absent(&e) => return Ok(None),
            resolved => {
                if resolved.map_err(Error::io("resolve", &self.dir))? != self.dir {
                    return Err(self.refused("a link stands in its path"));
                }
            }
        }
        let Some(found) = look_at(fs, &self.path)? else {
            return Ok(None);
        };
        if !found.is_file {
            return Err(self.refused("it is not a regular file"));
        }
        match fs.is_owners(layout, &self.path) {
            Ok(true) => Ok(Some(found)),
            Ok(false) => Err(self.refused("it does not belong to the log's owner")),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(Error::io("look at", &self.path)(e)),
        }
    }

    fn refused(&self, why: &str) -> Error {
        let what =
            format!("{why}; find out who put it there, and move it away, or put the journal back");
        let refused = io::Error::new(io::ErrorKind::PermissionDenied, what);
        Error::io("use as a journal", &self.path)(refused)
    }

    /// Whether a journal that isn't there can't be anywhere else.
    fn is_proven_gone(&self, fs: &dyn Fs, home: &Home) -> Result<bool> {
        let dir = look_at(fs, &self.dir)?;
        Ok(match (home, dir) {
            (Home::Memory { .. }, Some(_)) => true,
            (Home::Memory { boot }, None) => match (boot, fs.boot_id()) {
                (Some(then), Some(now)) => *then != now,
                _ => false,
            },
            (Home::Disk { inode }, dir) => dir.is_some_and(|dir| dir.inode == *inode),
        })
    }

    /// Creates the journal, and before it the pointer; durable on return. No event in it will be
    /// of a time before `born`.
    pub(super) fn create(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        stream: &StreamId,
        capacity: usize,
        born: Timestamp,
    ) -> Result<(Producer, Consumer)> {
        let len = journal::file_len(capacity)?;
        let Some(at) = &self.pointer else {
            return self.create_file(fs, layout, stream, len, born);
        };
        let pointer = Pointer {
            journal: self.path.clone(),
            home: Home::of(fs, &self.dir)?,
            step: Step::Created,
        };
        pointer.create(fs, at, &self.log_dir)?;
        let ends = self
            .create_file(fs, layout, stream, len, born)
            .inspect_err(|_| drop(fs.remove_file(at)))?;
        let begun = pointer::mark(fs, at, Step::Begun);
        begun.inspect_err(|_| {
            // While the pointer is there, the journal is missed.
            if fs.remove_file(at).is_ok() {
                drop(fs.remove_file(&self.path));
            }
        })?;
        Ok(ends)
    }

    fn create_file(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        stream: &StreamId,
        len: usize,
        born: Timestamp,
    ) -> Result<(Producer, Consumer)> {
        let (path, dir) = (&self.path, &self.dir);
        let region = fs
            .create_mapped(path, len)
            .map_err(Error::io("create", path))?;
        let settled = match self.pointer {
            Some(_) => fs.settle_journal(layout, path),
            None => Ok(()),
        };
        let made = settled
            .and_then(|()| journal::create(region, stream, born.as_micros()))
            .map_err(Error::io("begin", path))
            .and_then(|ends| {
                fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
                Ok(ends)
            });
        made.inspect_err(|_| drop(fs.remove_file(path)))
    }

    /// Removes the journal and its pointer, durably: all its events are in files, or gone. If
    /// `ours` is given, another file of this name stays.
    pub(super) fn remove(
        &self,
        fs: &dyn Fs,
        layout: &Layout,
        ours: Option<&Identity>,
    ) -> Result<()> {
        let log_dir = &self.log_dir;
        let Some(pointer) = &self.pointer else {
            if is_ours(look_at(fs, &self.path)?, ours) {
                let removed = fs::remove_if_there(fs, &self.path);
                removed.map_err(Error::io("remove", &self.path))?;
            }
            // Also if another attempt removed it.
            return fs.sync_dir(log_dir).map_err(Error::io("sync", log_dir));
        };
        if self.state != State::Nothing {
            pointer::mark(fs, pointer, Step::Closed)?;
        }
        if self.dir != *log_dir {
            let found = match ours {
                Some(_) => look_at(fs, &self.path)?,
                None => self.file(fs, layout)?,
            };
            if is_ours(found, ours) {
                match fs.remove_journal(layout, &self.path) {
                    Err(e) if is_absent(&e) => {}
                    removed => removed.map_err(Error::io("remove", &self.path))?,
                }
            }
            match fs.sync_dir(&self.dir) {
                Err(e) if is_absent(&e) => {}
                synced => synced.map_err(Error::io("sync", &self.dir))?,
            }
        }
        fs::remove_if_there(fs, pointer).map_err(Error::io("remove", pointer))?;
        fs.sync_dir(log_dir).map_err(Error::io("sync", log_dir))
    }

    /// Keeps a damaged journal under another name, in the log's directory; says which.
    pub(super) fn set_aside(&self, fs: &dyn Fs, layout: &Layout) -> Result<PathBuf> {
        let path = &self.path;
        let Some(name) = path.file_name().filter(|_| self.pointer.is_some()) else {
            let aside = path.with_extension("ring.damaged");
            fs.rename(path, &aside).map_err(Error::io("rename", path))?;
            return Ok(aside);
        };
        // A copy: the journal's own directory may not last.
        let file = self.open(fs, layout).map_err(Error::io("read", path))?;
        let bytes = fs::read_all_at_most(&*file, journal::LONGEST_FILE);
        let bytes = bytes.map_err(Error::io("read", path))?;
        let aside = self.log_dir.join(name).with_extension("ring.damaged");
        let copy = TmpFile::create(fs, layout, &name.to_string_lossy())?;
        copy.append(&bytes)?;
        copy.sync()?;
        copy.publish(&layout.state_dir(), &self.log_dir, &aside)?;
        Ok(aside)
    }
}

/// Whether this file is to be removed.
fn is_ours(found: Option<Identity>, ours: Option<&Identity>) -> bool {
    found.is_some_and(|found| ours.is_none_or(|ours| ours.is_same(&found)))
}

fn first_page(file: &dyn FsFile) -> io::Result<Vec<u8>> {
    let mut page = vec![0; 4096];
    let read = fs::read_full_at(file, &mut page, 0)?;
    page.truncate(read);
    Ok(page)
}

fn look_at(fs: &dyn Fs, path: &Path) -> Result<Option<Identity>> {
    match fs.identity(path) {
        Err(e) if is_absent(&e) => Ok(None),
        found => found.map_err(Error::io("look at", path)),
    }
}

/// Whether nothing is there.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
#[path = "journal_place_tests/mod.rs"]
mod tests;
