//! Where everything lies below the log's directory.
//!
//! ```text
//! live/<stem>.jsonl                     plain, growing; one per stream
//! sealed/dt=2026-11-21/<stem>.jsonl.gz  immutable; nothing else in here
//! index/dt=2026-11-21/<stem>.idx        one per sealed file; rebuilt if lost
//! state/format                          the version of all this
//! state/<name>.json                     tokens, holds, keys
//! state/pruning                         what was removed and isn't in the log yet
//! state/journal/<stream>.ring           events on their way to the live file
//! state/journal/<stream>.at             where that is, if it is elsewhere; see `pointer`
//! state/locks/<name>.lock               held by the process that writes a stream, or prunes
//! state/aside/…                         foreign files from the place of ours, and damaged ones
//! state/tmp/…                           half-made files; emptied at recovery
//! ```

use std::path::{Path, PathBuf};

use super::names::FileStem;
use crate::{
    entry::{Day, StreamId},
    error::{Error, Result},
};

/// The ending of a live file's name.
pub(crate) const LIVE: &str = ".jsonl";
/// The ending of a sealed file's name.
pub(crate) const SEALED: &str = ".jsonl.gz";
/// The ending of an index's name.
pub(crate) const INDEX: &str = ".idx";
/// The ending of a ring's name.
pub(crate) const RING: &str = ".ring";
/// The ending of a pointer's name.
pub(crate) const POINTER: &str = ".at";
/// The ending of a lock's name.
pub(crate) const LOCK: &str = ".lock";

/// The paths below one log directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// An error for the empty path: that of the system would only say that there is no such file.
pub(crate) fn check_named(dir: &Path) -> Result<()> {
    match dir.as_os_str().is_empty() {
        true => Err(Error::invalid(
            "dir",
            "it is empty; give a directory like ./audit",
        )),
        false => Ok(()),
    }
}

impl Layout {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The same for a directory as a caller names it, resolved now: neither another working
    /// directory nor another target of a link moves what is opened.
    pub(crate) fn of(dir: &Path) -> Self {
        let resolved = dir.canonicalize().or_else(|_| std::path::absolute(dir));
        Self::new(resolved.unwrap_or_else(|_| dir.to_owned()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directories that every log has.
    pub(crate) fn dirs(&self) -> [PathBuf; 6] {
        [
            self.live_dir(),
            self.sealed_dir(),
            self.index_dir(),
            self.journal_dir(),
            self.locks_dir(),
            self.tmp_dir(),
        ]
    }

    pub(crate) fn live_dir(&self) -> PathBuf {
        self.root.join("live")
    }

    pub(crate) fn sealed_dir(&self) -> PathBuf {
        self.root.join("sealed")
    }

    pub(crate) fn index_dir(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.root.join("state/journal")
    }

    pub(crate) fn locks_dir(&self) -> PathBuf {
        self.root.join("state/locks")
    }

    pub(crate) fn tmp_dir(&self) -> PathBuf {
        self.root.join("state/tmp")
    }

    /// The directory for foreign files from the place of the log's own, and for damaged ones.
    pub(crate) fn aside_dir(&self) -> PathBuf {
        self.root.join("state/aside")
    }

    pub(crate) fn format_file(&self) -> PathBuf {
        self.root.join("state/format")
    }

    /// A document of settings; see `document`.
    pub(crate) fn document(&self, name: &str) -> PathBuf {
        self.root.join("state").join(format!("{name}.json"))
    }

    /// The removals that the log has no room for yet; see `prune_intent`.
    pub(crate) fn pruning(&self) -> PathBuf {
        self.root.join("state/pruning")
    }

    pub(crate) fn live(&self, stem: &FileStem) -> PathBuf {
        self.root.join(live_name(stem))
    }

    pub(crate) fn sealed_day(&self, day: Day) -> PathBuf {
        self.sealed_dir().join(format!("dt={day}"))
    }

    pub(crate) fn sealed(&self, stem: &FileStem) -> PathBuf {
        self.root.join(sealed_name(stem))
    }

    pub(crate) fn index_day(&self, day: Day) -> PathBuf {
        self.index_dir().join(format!("dt={day}"))
    }

    pub(crate) fn index(&self, stem: &FileStem) -> PathBuf {
        self.index_day(stem.day()).join(format!("{stem}{INDEX}"))
    }

    pub(crate) fn ring(&self, stream: &StreamId) -> PathBuf {
        self.journal_dir().join(format!("{stream}{RING}"))
    }

    /// The pointer to a journal that lies elsewhere.
    pub(crate) fn pointer(&self, stream: &StreamId) -> PathBuf {
        self.journal_dir().join(format!("{stream}{POINTER}"))
    }

    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.locks_dir().join(format!("{name}{LOCK}"))
    }
}

/// A live file's name below the log's directory.
pub(crate) fn live_name(stem: &FileStem) -> String {
    format!("live/{stem}{LIVE}")
}

/// A sealed file's name below the log's directory.
pub(crate) fn sealed_name(stem: &FileStem) -> String {
    format!("sealed/dt={}/{stem}{SEALED}", stem.day())
}

/// The day of a folder named `dt=2026-11-21`.
pub(crate) fn parse_day_dir(name: &str) -> Option<Day> {
    name.strip_prefix("dt=")?.parse().ok()
}
