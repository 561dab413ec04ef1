//! How sealed files are read: by day and name, a range of bytes at a time, wherever they are.

use std::{fmt, sync::Arc};

use super::dirs;
use crate::{
    entry::Day,
    error::{Error, Result},
    store::{
        blob::{Blob, FileBlob},
        blooms::Blooms,
        fs::{Fs, Stamp},
        index::{Built, Index, Key},
        layout::Layout,
        names::FileStem,
        rebuild::{read_index, write_index},
        tally::Tally,
    },
};

/// Sealed files, local or remote. A listed file is complete and never changes, but retention may
/// remove it at any time: `open` and `index` fail with `NotFound` then. Nothing is remembered here.
pub(crate) trait SealedFiles: fmt::Debug + Send + Sync {
    /// The days that have files, in order.
    fn days(&self) -> Result<Vec<Day>>;
    /// The files born on a day, in order. Their lines may be some moments older or younger than the
    /// day.
    fn list(&self, day: Day) -> Result<Vec<FileStem>>;
    /// Something that differs when `list` would give other files, or `days` other days if no day is
    /// given; `None` if that can't be known without listing.
    fn stamp(&self, _day: Option<Day>) -> Option<Stamp> {
        None
    }
    /// Opens a file's bytes. They stay readable when the file is removed.
    fn open(&self, stem: &FileStem) -> Result<Arc<dyn Blob>>;
    /// A file's index; `None` if it is lost or damaged, or doesn't fit the file.
    fn index(&self, stem: &FileStem) -> Result<Option<Index>>;
    /// One key's filters of a file with this index; an error if they are lost or damaged.
    fn blooms(&self, index: &Index, key: Key) -> Result<Blooms>;
    /// The tally of a file with this index, if it has one; an error if it is lost or damaged.
    fn tally(&self, _index: &Index) -> Result<Option<Tally>> {
        Ok(None)
    }
    /// Keeps an index that was made anew; says whether it is kept. One of another file is not
    /// replaced: it is what sealing noted of a file that someone has changed.
    fn keep(&self, _index: &Built) -> bool {
        false
    }
}

/// The sealed files in a log's directory.
#[derive(Debug)]
pub(super) struct LocalSealed {
    fs: Arc<dyn Fs>,
    layout: Layout,
}

impl LocalSealed {
    pub(super) fn new(fs: Arc<dyn Fs>, layout: Layout) -> Self {
        Self { fs, layout }
    }
}

impl SealedFiles for LocalSealed {
    fn days(&self) -> Result<Vec<Day>> {
        dirs::sealed_days(&*self.fs, &self.layout)
    }

    fn list(&self, day: Day) -> Result<Vec<FileStem>> {
        dirs::sealed(&*self.fs, &self.layout, day)
    }

    fn stamp(&self, day: Option<Day>) -> Option<Stamp> {
        let dir = day.map(|day| self.layout.sealed_day(day));
        self.fs
            .stamp(&dir.unwrap_or_else(|| self.layout.sealed_dir()))
    }

    fn open(&self, stem: &FileStem) -> Result<Arc<dyn Blob>> {
        Ok(Arc::new(FileBlob::open(
            &*self.fs,
            self.layout.sealed(stem),
        )?))
    }

    fn index(&self, stem: &FileStem) -> Result<Option<Index>> {
        let blob = FileBlob::open(&*self.fs, self.layout.sealed(stem))?;
        read_index(&*self.fs, &self.layout, &blob, stem)
    }

    fn blooms(&self, index: &Index, key: Key) -> Result<Blooms> {
        index.blooms(&*self.fs, &self.layout.index(&index.stem), key)
    }

    fn tally(&self, index: &Index) -> Result<Option<Tally>> {
        index.tally(&*self.fs, &self.layout.index(&index.stem))
    }

    fn keep(&self, index: &Built) -> bool {
        match Index::read(&*self.fs, &self.layout.index(&index.index.stem)) {
            // The file was changed since it was sealed, and what sealing noted proves that.
            Ok(noted) if noted.sha256 != index.index.sha256 => return false,
            Ok(_) | Err(Error::Damaged { .. }) => {}
            Err(error) if error.is_not_found() => {}
            // The index may prove the same, and can't be read now.
            Err(_) => return false,
        }
        // A log on a full or read-only disk can still be read.
        write_index(&*self.fs, &self.layout, index).is_ok()
    }
}
