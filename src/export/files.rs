//! The log's files: which there are, and each as something that a download can take slices of.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::pieces::Stored;
use crate::{
    entry::{Day, StreamId, Timestamp},
    error::{Error, Result},
    store::{
        blob::{Blob, FileBlob},
        fs::Fs,
        index::Index,
        layout::{LIVE, Layout, SEALED},
        listing::Listing,
        names::FileStem,
        sealed::SealedFiles,
    },
};

/// How many files' spans are remembered, at some 150 bytes each.
const SPANS: usize = 100_000;

/// All files of one log.
#[derive(Debug)]
pub(crate) struct LogFiles {
    fs: Arc<dyn Fs>,
    layout: Layout,
    sealed: Arc<dyn SealedFiles>,
    spans: Mutex<HashMap<(FileStem, Kind), Span>>,
}

/// The smallest and largest time of a file's lines, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// How many bytes of it were read.
    pub(super) read: u64,
    pub(super) min: Timestamp,
    pub(super) max: Timestamp,
}

impl Span {
    /// Of nothing read yet.
    pub(super) const NOTHING: Self = Self {
        read: 0,
        min: Timestamp::MAX,
        max: Timestamp::MIN,
    };

    pub(super) fn overlaps(&self, range: &Range<Timestamp>) -> bool {
        self.min < range.end && self.max >= range.start
    }
}

/// Which of the twins a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Live,
    Sealed,
}

/// Files, each list in the order of their lines.
pub(super) type ByDayAndStream = BTreeMap<(Day, StreamId), Vec<(FileStem, Kind)>>;

impl LogFiles {
    pub(crate) fn new(fs: Arc<dyn Fs>, layout: Layout, sealed: Arc<dyn SealedFiles>) -> Self {
        Self {
            fs,
            layout,
            sealed,
            spans: Mutex::default(),
        }
    }

    /// The files that may hold lines from `start` on, by day and stream, in the order of their
    /// lines.
    pub(super) fn since(&self, start: Timestamp) -> Result<ByDayAndStream> {
        let Listing { sealed, live } =
            Listing::since(&*self.fs, &self.layout, &*self.sealed, Some(start))?;
        let first = start.day().previous();
        let live = live
            .into_keys()
            .filter(|stem| stem.day() >= first)
            .map(|stem| (stem, Kind::Live));
        let mut files = ByDayAndStream::new();
        for (stem, kind) in sealed
            .into_iter()
            .map(|stem| (stem, Kind::Sealed))
            .chain(live)
        {
            files
                .entry((stem.day(), stem.stream.clone()))
                .or_default()
                .push((stem, kind));
        }
        for list in files.values_mut() {
            list.sort_by_key(|(stem, _)| stem.number);
        }
        Ok(files)
    }

    /// What is known of a file's times.
    pub(super) fn span(&self, stem: &FileStem, kind: Kind) -> Option<Span> {
        self.spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(stem.clone(), kind))
            .copied()
    }

    pub(super) fn remember(&self, stem: &FileStem, kind: Kind, span: Span) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= SPANS {
            spans.clear();
        }
        spans.insert((stem.clone(), kind), span);
    }

    pub(super) fn index(&self, stem: &FileStem) -> Result<Arc<Index>> {
        self.sealed.index(stem)
    }

    pub(super) fn sealed_file(&self, index: &Index) -> SealedFile {
        SealedFile {
            files: Arc::clone(&self.sealed),
            stem: index.stem.clone(),
            len: index.packed_len,
            sha256: hex(&index.sha256),
        }
    }

    pub(super) fn live_file(&self, stem: &FileStem) -> Result<LiveFile> {
        let blob = Arc::new(FileBlob::open(&*self.fs, self.layout.live(stem))?);
        Ok(LiveFile {
            stem: stem.clone(),
            blob,
            durable: Mutex::default(),
        })
    }

    /// A file's name below the log's directory.
    pub(super) fn name(stem: &FileStem, kind: Kind) -> String {
        match kind {
            Kind::Live => format!("live/{stem}{LIVE}"),
            Kind::Sealed => format!("sealed/dt={}/{stem}{SEALED}", stem.day()),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sealed file, opened when its bytes are read: there may be more of them than files can be open.
#[derive(Debug)]
pub(super) struct SealedFile {
    files: Arc<dyn SealedFiles>,
    stem: FileStem,
    len: u64,
    pub(super) sha256: String,
}

impl Stored for SealedFile {
    fn identity(&self) -> String {
        format!("{} {}", self.stem, self.sha256)
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        let blob = self.files.open(&self.stem)?;
        if blob.len() == self.len {
            Ok(blob)
        } else {
            Err(Error::damaged(
                blob.path(),
                format!(
                    "it has {} bytes and not {} as when it was sealed",
                    blob.len(),
                    self.len
                ),
            ))
        }
    }
}

/// A live file: one per stream, so it can stay open, and readable when it is sealed and removed
/// during a long download.
///
/// It is made durable before the first of its bytes is read and not when it is planned: what comes
/// before it in the download need not wait for the disk.
#[derive(Debug)]
pub(super) struct LiveFile {
    stem: FileStem,
    pub(super) blob: Arc<FileBlob>,
    /// Whether that went well; `None` before it was tried.
    durable: Mutex<Option<bool>>,
}

impl Stored for LiveFile {
    /// Its lines don't change, and their checksum stands in front of the entry: the name is enough.
    fn identity(&self) -> String {
        format!("{} live", self.stem)
    }

    fn open(&self) -> Result<Arc<dyn Blob>> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        match *durable {
            Some(true) => {}
            // What a failed sync did not write may be gone, whatever the next one says.
            Some(false) => {
                return Err(Error::io("sync", self.blob.path())(io::Error::other(
                    "it failed before",
                )));
            }
            None => {
                let synced = self.blob.make_durable();
                *durable = Some(synced.is_ok());
                synced?;
            }
        }
        Ok(Arc::clone(&self.blob) as Arc<dyn Blob>)
    }
}
