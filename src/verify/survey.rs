//! Reads the files of a log, each by itself.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    accounted::Accounted,
    journals::{self, Journals},
    lines::{self, Lines},
    listed::{Folder, Listed},
    report::{Finding, FindingKind, FindingLevel},
};
use crate::{
    entry::StreamId,
    error::{Error, Result},
    store::{
        fs::{self, Fs},
        index::Index,
        layout::Layout,
        names::FileStem,
        verify::read_sealed,
    },
};

/// So much of a live file is read at a time.
const CHUNK: usize = 256 * 1024;
/// How often a live file is read that looks damaged: its process, or recovery, may be cutting off
/// what was not written whole.
const ATTEMPTS: u32 = 3;

/// The content of the files, and the findings about them.
pub(super) struct Survey {
    fs: Arc<dyn Fs>,
    layout: Layout,
    pub(super) journals: Journals,
    pub(super) accounted: Accounted,
    /// The files of each stream, in the order of their numbers.
    pub(super) streams: BTreeMap<StreamId, Vec<Part>>,
    /// Files that were there when they were listed, and gone when they were to be read.
    pub(super) gone: Vec<FileStem>,
    pub(super) findings: Vec<Finding>,
    pub(super) sealed_files: u64,
    pub(super) live_files: u64,
    pub(super) entries: u64,
}

/// One file of a stream.
pub(super) struct Part {
    pub(super) stem: FileStem,
    /// Below the log's directory.
    pub(super) name: String,
    /// The numbers of its entries, as in [`Lines`]; `None` if they can't be known.
    pub(super) runs: Option<Vec<(u64, u64)>>,
}

impl Survey {
    pub(super) fn new(fs: Arc<dyn Fs>, layout: Layout, journals: Journals) -> Self {
        Self {
            fs,
            layout,
            journals,
            accounted: Accounted::default(),
            streams: BTreeMap::new(),
            gone: Vec::new(),
            findings: Vec::new(),
            sealed_files: 0,
            live_files: 0,
            entries: 0,
        }
    }

    /// Reads all these files. `progress` is called with how many of them are read.
    pub(super) fn read(&mut self, listed: &Listed, mut progress: impl FnMut(u64)) -> Result<()> {
        for (done, (stem, place)) in listed.in_order().into_iter().enumerate() {
            match place {
                Folder::Sealed => self.sealed(stem)?,
                Folder::Live => self.live(stem)?,
            }
            progress(done as u64 + 1);
        }
        Ok(())
    }

    fn sealed(&mut self, stem: &FileStem) -> Result<()> {
        let path = self.layout.sealed(stem);
        let mut lines = Lines::default();
        let read = read_sealed(&*self.fs, &self.layout, stem, &mut |line| {
            lines.take(stem, line);
        });
        let runs = match read {
            Ok(_) => {
                self.wrong_lines(&path, &lines);
                self.entries += lines.entries;
                Some(lines.runs)
            }
            Err(error) => {
                if error.is_not_found() && !self.exists(&path)? {
                    self.gone.push(stem.clone());
                    return Ok(());
                }
                self.damaged(&path, &error);
                // An index has its own checksum.
                let index = Index::read(&*self.fs, &self.layout.index(stem)).ok();
                self.entries += index.as_ref().map_or(0, |index| index.lines);
                index.map(|index| vec![(index.first_seq.0, index.last_seq.0)])
            }
        };
        self.sealed_files += 1;
        self.account(stem, &lines.accounts);
        self.push(stem, &path, runs);
        Ok(())
    }

    fn live(&mut self, stem: &FileStem) -> Result<()> {
        let path = self.layout.live(stem);
        let mut attempts = 0;
        let lines = loop {
            attempts += 1;
            match self.live_lines(stem, &path) {
                Ok(None) if self.exists(&self.layout.sealed(stem))? => return self.sealed(stem),
                // The file was empty, so it was removed. Or it was sealed, and retention removed
                // it.
                Ok(None) => return Ok(()),
                Ok(Some(lines)) if lines.are_whole() || attempts == ATTEMPTS => break lines,
                Ok(Some(_)) => {}
                Err(error) => {
                    self.damaged(&path, &error);
                    self.live_files += 1;
                    self.push(stem, &path, None);
                    return Ok(());
                }
            }
        };
        self.wrong_lines(&path, &lines);
        if lines.torn && self.stays_torn(stem, &path)? {
            self.problem(
                FindingKind::Damaged,
                &path,
                "its last line is cut off in the middle, though no process writes to this file any \
                 longer and no journal has the rest. Someone cut it: this entry is lost, and later \
                 entries may be. Restore the file from a backup.",
            );
        }
        self.live_files += 1;
        self.entries += lines.entries;
        self.account(stem, &lines.accounts);
        if !lines.runs.is_empty() {
            self.push(stem, &path, Some(lines.runs));
        }
        Ok(())
    }

    /// The lines of a live file, as far as it goes now. `None` if the file is gone.
    fn live_lines(&self, stem: &FileStem, path: &Path) -> Result<Option<Lines>> {
        let file = match self.fs.open_read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", path))?,
        };
        let end = file.identity().map_err(Error::io("look at", path))?.len;
        let durable = self.journals.dead(&stem.stream);
        let before = self.last(&stem.stream);
        let mut lines = Lines::default();
        let mut text = Vec::new();
        let mut offset = 0;
        while offset < end {
            let more = (end - offset).min(CHUNK as u64) as usize;
            let kept = text.len();
            text.resize(kept + more, 0);
            let read = fs::read_full_at(&*file, text.get_mut(kept..).unwrap_or_default(), offset)
                .map_err(Error::io("read", path))?;
            text.truncate(kept + read);
            if read == 0 {
                break;
            }
            offset += read as u64;
            let whole = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
            for line in crate::store::summary::lines(text.get(..whole).unwrap_or_default()) {
                let last = lines.last().unwrap_or(before);
                // Bytes that were not durable when the process died may be anything. The journal
                // has their events.
                if durable.is_some_and(|durable| last >= durable)
                    && !lines::follows(stem, line, last)
                {
                    return Ok(Some(lines));
                }
                lines.take(stem, line);
            }
            text.drain(..whole);
        }
        lines.torn = !text.is_empty();
        Ok(Some(lines))
    }

    /// Whether the last line of this live file, which has no end, won't get one: no process writes
    /// the stream, and no journal has the line.
    fn stays_torn(&self, stem: &FileStem, path: &Path) -> Result<bool> {
        if !journals::is_closed(&*self.fs, &self.layout, &stem.stream)? {
            return Ok(false);
        }
        // The file was written to its end since, or recovered.
        let lines = self.live_lines(stem, path)?;
        Ok(lines.is_some_and(|lines| lines.torn))
    }

    /// The number of the last entry of a stream, of those that were read.
    fn last(&self, stream: &StreamId) -> u64 {
        let parts = self.streams.get(stream).into_iter().flatten();
        let ends = parts.filter_map(|part| part.runs.as_ref()?.last());
        ends.map(|(_, last)| *last).max().unwrap_or(0)
    }

    fn push(&mut self, stem: &FileStem, path: &Path, runs: Option<Vec<(u64, u64)>>) {
        let part = Part {
            stem: stem.clone(),
            name: self.name(path),
            runs,
        };
        self.streams
            .entry(stem.stream.clone())
            .or_default()
            .push(part);
    }

    fn account(&mut self, stem: &FileStem, entries: &[Vec<u8>]) {
        for entry in entries {
            self.accounted.take(&stem.stream, entry);
        }
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        match self.fs.open_read(path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io("open", path)(e)),
        }
    }

    fn wrong_lines(&mut self, path: &Path, lines: &Lines) {
        if let Some((count, first)) = lines.no_entries {
            let found = match count {
                1 => format!("line {first} is not an entry"),
                _ => format!("{count} lines are not entries, the first of them line {first}"),
            };
            let what = format!(
                "{found}. Entries may have been overwritten; restore the file from a backup."
            );
            self.problem(FindingKind::Damaged, path, what);
        }
        if let Some((count, first, stream)) = &lines.strange {
            let found = match count {
                1 => format!("line {first} is an entry of another stream, {stream:?}"),
                _ => format!(
                    "{count} lines are entries of other streams, the first of them line {first}, \
                     of {stream:?}"
                ),
            };
            let what = format!("{found}. Someone put it here; restore the file from a backup.");
            self.problem(FindingKind::Damaged, path, what);
        }
    }

    /// A file that can't be read to its end, or isn't what it should be.
    pub(super) fn damaged(&mut self, path: &Path, error: &Error) {
        match error {
            Error::Damaged { path: of, what } if of.starts_with(self.layout.index_dir()) => {
                let what = format!(
                    "this index is damaged: {what}. Its sealed file agrees with its own checksums. \
                     Remove the index; it is made again."
                );
                self.problem(FindingKind::Damaged, &of.clone(), what);
            }
            Error::Damaged { path: of, what } => {
                let what = format!(
                    "it is damaged: {what}. Entries in it may be altered or lost; restore the file \
                     from a backup."
                );
                self.problem(FindingKind::Damaged, &of.clone(), what);
            }
            Error::Io {
                operation,
                path: of,
                source,
            } => {
                let what = format!(
                    "cannot {operation} it: {source}. Its entries could not be checked; make it \
                     readable and verify again."
                );
                self.problem(FindingKind::Unreadable, &of.clone(), what);
            }
            other => self.problem(FindingKind::Damaged, path, other.to_string()),
        }
    }

    pub(super) fn problem(&mut self, kind: FindingKind, path: &Path, what: impl Into<String>) {
        let place = self.name(path);
        self.find(FindingLevel::Problem, kind, place, what);
    }

    pub(super) fn find(
        &mut self,
        level: FindingLevel,
        kind: FindingKind,
        place: String,
        what: impl Into<String>,
    ) {
        self.findings.push(Finding {
            level,
            kind,
            place,
            what: what.into(),
        });
    }

    /// A file's name below the log's directory.
    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.layout.root()).unwrap_or(path);
        below.display().to_string()
    }

    pub(super) fn index_name(&self, stem: &FileStem) -> String {
        self.name(&self.layout.index(stem))
    }

    pub(super) fn sealed_path(&self, stem: &FileStem) -> PathBuf {
        self.layout.sealed(stem)
    }

    pub(super) fn foreign(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.problem(
                FindingKind::Foreign,
                path,
                "this is not a file of the log. Nothing reads it; find out who put it here, and \
                 move it elsewhere.",
            );
        }
    }
}
