//! The entry about the end of a download.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::state::State;
use crate::{
    entry::{OwnEntry, Severity},
    error::Error,
};

/// How a download ended.
#[derive(Clone, Debug)]
enum Outcome {
    Complete,
    /// With the reason.
    Broken(String),
    /// Also if it has stalled.
    ClientGone,
}

/// Records the end of a download when it is dropped: how many bytes were handed to the connection,
/// how many entries are in them, and whether that is all.
#[derive(Debug)]
pub(super) struct Ending {
    app: State,
    entry: OwnEntry,
    /// Of a body that has ended or failed. A client that goes away says nothing.
    end: Option<Outcome>,
    bytes: u64,
    /// How many bytes it has; `None` if that turns out while it is made.
    len: Option<u64>,
    entries: Entries,
}

/// How many entries of the log are in a download.
#[derive(Debug)]
pub(super) enum Entries {
    /// Of a part of a file it isn't known.
    Unknown,
    /// If it is complete.
    InAll(u64),
    /// So far.
    Counted(Arc<AtomicU64>),
}

impl Ending {
    pub(super) fn new(app: &State, entry: OwnEntry, len: Option<u64>, entries: Entries) -> Self {
        Self {
            app: State::clone(app),
            entry,
            end: None,
            bytes: 0,
            len,
            entries,
        }
    }

    /// Records that a download could not even begin.
    pub(super) fn refused(app: &State, entry: OwnEntry, why: &str) {
        let mut ending = Self::new(app, entry, None, Entries::Unknown);
        ending.end = Some(Outcome::Broken(why.to_owned()));
    }

    /// Takes note of what the body gives to the connection; `None` is its end.
    pub(super) fn gave(&mut self, chunk: Option<Result<usize, &io::Error>>) {
        let end = match chunk {
            Some(Ok(len)) => {
                self.bytes += len as u64;
                return;
            }
            Some(Err(error)) if is_client_gone(error) => Outcome::ClientGone,
            Some(Err(error)) => Outcome::Broken(why(error)),
            None => Outcome::Complete,
        };
        // After an error there is an end, too.
        self.end.get_or_insert(end);
    }

    fn outcome(&self) -> Outcome {
        // The connection asks for no more when it has all that was announced.
        let has_all = self.len == Some(self.bytes);
        match &self.end {
            Some(end) => end.clone(),
            None if has_all => Outcome::Complete,
            None => Outcome::ClientGone,
        }
    }

    fn entries(&self, outcome: &Outcome) -> Option<u64> {
        match &self.entries {
            Entries::Counted(count) => Some(count.load(Ordering::Relaxed)),
            Entries::InAll(count) if matches!(outcome, Outcome::Complete) => Some(*count),
            Entries::InAll(_) | Entries::Unknown => None,
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let outcome = self.outcome();
        let mut entry = self.entry.clone().detail("bytes", self.bytes);
        if let Some(entries) = self.entries(&outcome) {
            entry = entry.detail("entries", entries);
        }
        let entry = match outcome {
            Outcome::Complete => entry.detail("result", "complete"),
            Outcome::Broken(why) => {
                let entry = entry.severity(Severity::Warning).failed("broken");
                entry.detail("result", "broken").detail("reason", why)
            }
            Outcome::ClientGone => entry.failed("client_gone").detail("result", "client_gone"),
        };
        // The access itself was recorded; a full journal is counted.
        let _ = self.app.recorder.record(&entry);
    }
}

pub(super) fn is_client_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut
    )
}

fn why(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| error.to_string(), Error::without_path)
}
