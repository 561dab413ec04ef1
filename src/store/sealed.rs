//! How sealed files are read: by day and name, a range of bytes at a time, wherever they are.

use std::{
    collections::HashMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    blob::{Blob, FileBlob},
    fs::Fs,
    index::{Blooms, Index, Key},
    layout::{Layout, SEALED, parse_day_dir},
    names::FileStem,
    rebuild::{read_index, rebuild, write_index},
    unread::{Readers, Reading},
};
use crate::{
    entry::Day,
    error::{Error, Result},
};

/// How many indexes stay in memory: some 16 KB each.
const CACHED: usize = 256;

/// Sealed files, local or remote. What is listed is complete and never changes, but retention may
/// remove it at any time: `open` fails with `NotFound` then.
pub(crate) trait SealedFiles: fmt::Debug + Send + Sync {
    /// The days that have files, in order.
    fn days(&self) -> Result<Vec<Day>>;
    /// The files born on a day, in order. Their lines may be some moments older or younger than the
    /// day.
    fn list(&self, day: Day) -> Result<Vec<FileStem>>;
    /// Opens a file's bytes. They stay readable when the file is removed.
    fn open(&self, stem: &FileStem) -> Result<Arc<dyn Blob>>;
    /// A file's index; made anew if it is lost or damaged, which reads the whole file.
    fn index(&self, stem: &FileStem) -> Result<Arc<Index>>;
    /// One key's filters of a file; [`Blooms::unknown`] if they can't be had.
    fn blooms(&self, stem: &FileStem, key: Key) -> Result<Blooms>;
}

/// Those in a log's directory.
#[derive(Debug)]
pub(crate) struct LocalSealed {
    fs: Arc<dyn Fs>,
    layout: Layout,
    /// Who reads the log on; for pruning.
    readers: Option<Readers>,
    cache: Mutex<Cache>,
    /// Held while an index is made anew, so that it is made once.
    rebuilding: Mutex<()>,
}

impl LocalSealed {
    pub(crate) fn new(fs: Arc<dyn Fs>, layout: Layout) -> Self {
        Self {
            fs,
            layout,
            readers: None,
            cache: Mutex::default(),
            rebuilding: Mutex::default(),
        }
    }

    /// The same, for pruning: what these readers have not read yet is waited for.
    pub(super) fn read_by(self, readers: Readers) -> Self {
        Self {
            readers: Some(readers),
            ..self
        }
    }

    /// How far those who read the log on are.
    pub(super) fn readings(&self) -> Result<Vec<Reading>> {
        let readings = self.readers.map(|readers| readers(&*self.fs, &self.layout));
        readings.unwrap_or_else(|| Ok(Vec::new()))
    }

    pub(super) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is below `sealed/` and not ours: other names, other places, folders that aren't days.
    pub(crate) fn foreign(&self) -> Result<Vec<PathBuf>> {
        let mut foreign = Vec::new();
        let root = self.layout.sealed_dir();
        for entry in self.fs.list(&root).map_err(Error::io("list", &root))? {
            let dir = root.join(&entry.name);
            let Some(day) = parse_day_dir(&entry.name).filter(|_| entry.is_dir) else {
                foreign.push(dir);
                continue;
            };
            for file in self.fs.list(&dir).map_err(Error::io("list", &dir))? {
                if file.is_dir
                    || FileStem::parse(&file.name, SEALED).is_none_or(|stem| stem.day() != day)
                {
                    foreign.push(dir.join(file.name));
                }
            }
        }
        Ok(foreign)
    }

    fn cached(&self, stem: &FileStem) -> Option<Cached> {
        // A panic elsewhere leaves a cache that is still true.
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(stem)
    }

    fn remember(&self, index: Index, on_disk: bool) -> Cached {
        let cached = Cached {
            index: Arc::new(index),
            on_disk,
        };
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(cached.clone());
        cached
    }

    /// What was pruned has no index any more: it would be taken for there as long as that is
    /// remembered.
    fn forget_if_gone(&self, stem: &FileStem, error: &Error) {
        if matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound) {
            self.cache
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .indexes
                .remove(stem);
        }
    }

    fn look_up(&self, stem: &FileStem) -> Result<Cached> {
        if let Some(cached) = self.cached(stem) {
            return Ok(cached);
        }
        let blob = FileBlob::open(&*self.fs, self.layout.sealed(stem))?;
        if let Some(index) = read_index(&*self.fs, &self.layout, &blob, stem)? {
            return Ok(self.remember(index, true));
        }
        let _one_at_a_time = self
            .rebuilding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another may have made it while this one waited.
        self.cached(stem)
            .map_or_else(|| self.rebuild(stem, &blob), Ok)
    }

    fn rebuild(&self, stem: &FileStem, blob: &dyn Blob) -> Result<Cached> {
        let built = rebuild(blob, stem)?;
        // A log on a full or read-only disk can still be read.
        let on_disk = write_index(&*self.fs, &self.layout, &built).is_ok();
        Ok(self.remember(built.index, on_disk))
    }
}

impl SealedFiles for LocalSealed {
    fn days(&self) -> Result<Vec<Day>> {
        let dir = self.layout.sealed_dir();
        let entries = self.fs.list(&dir).map_err(Error::io("list", &dir))?;
        let mut days: Vec<_> = entries
            .iter()
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| parse_day_dir(&entry.name))
            .collect();
        days.sort_unstable();
        Ok(days)
    }

    fn list(&self, day: Day) -> Result<Vec<FileStem>> {
        let dir = self.layout.sealed_day(day);
        let entries = self.fs.list(&dir).map_err(Error::io("list", &dir))?;
        let stems = entries
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| FileStem::parse(&entry.name, SEALED));
        let mut stems: Vec<_> = stems.filter(|stem| stem.day() == day).collect();
        stems.sort_unstable();
        Ok(stems)
    }

    fn open(&self, stem: &FileStem) -> Result<Arc<dyn Blob>> {
        let blob = FileBlob::open(&*self.fs, self.layout.sealed(stem))
            .inspect_err(|e| self.forget_if_gone(stem, e))?;
        Ok(Arc::new(blob))
    }

    fn index(&self, stem: &FileStem) -> Result<Arc<Index>> {
        Ok(self.look_up(stem)?.index)
    }

    fn blooms(&self, stem: &FileStem, key: Key) -> Result<Blooms> {
        let (path, cached) = (self.layout.index(stem), self.look_up(stem)?);
        let read = |index: &Index| index.blooms(&*self.fs, &path, key);
        if !cached.on_disk {
            return Ok(Blooms::unknown());
        }
        if let Ok(blooms) = read(&cached.index) {
            return Ok(blooms);
        }
        // The tables in memory are right, but the file is gone since, or its filters are damaged.
        let _one_at_a_time = self
            .rebuilding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Ok(blooms) = read(&cached.index) {
            return Ok(blooms);
        }
        let blob = FileBlob::open(&*self.fs, self.layout.sealed(stem))?;
        let cached = self.rebuild(stem, &blob)?;
        Ok(read(&cached.index).unwrap_or_else(|_| Blooms::unknown()))
    }
}

#[derive(Clone, Debug)]
struct Cached {
    index: Arc<Index>,
    /// Whether its file is there, with the filters.
    on_disk: bool,
}

/// The indexes used last.
#[derive(Debug, Default)]
struct Cache {
    indexes: HashMap<FileStem, (Cached, u64)>,
    uses: u64,
}

impl Cache {
    fn get(&mut self, stem: &FileStem) -> Option<Cached> {
        self.uses += 1;
        let (cached, used) = self.indexes.get_mut(stem)?;
        *used = self.uses;
        Some(cached.clone())
    }

    fn put(&mut self, cached: Cached) {
        self.uses += 1;
        self.indexes
            .insert(cached.index.stem.clone(), (cached, self.uses));
        if self.indexes.len() > CACHED {
            let oldest = self
                .indexes
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(stem, _)| stem.clone());
            oldest.and_then(|stem| self.indexes.remove(&stem));
        }
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
