//! The way of the log's own entries to the file: through the journal, as events go.
//!
//! Two kinds of them can't go this way. Entries of the writer thread may be about a full journal,
//! so they are numbered beside it ([`batch`](super::batch)). Entries about a dead process belong to
//! its stream, whose journal no longer has a writer: recovery appends them to the stream's last
//! file ([`recover`](super::recover)). Pruning goes the same way by itself, because it keeps what
//! the journal refuses ([`prune`](super::prune)). All are rendered by [`OwnEntry::render`].

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    entry::{self, Instant, OwnEntry, STAMP_ID, Source},
    error::{Error, Result},
    journal::{Durability, Fate, Position, Producer, PushError},
};

/// Takes the own entries of one stream.
#[derive(Clone, Debug)]
pub(crate) struct OwnJournal {
    producer: Producer,
    durability: &'static Durability,
    source: Source,
    /// The journal's file.
    path: PathBuf,
}

impl OwnJournal {
    pub(super) fn new(
        producer: Producer,
        durability: &'static Durability,
        source: Source,
        path: &Path,
    ) -> Self {
        Self {
            producer,
            durability,
            source,
            path: path.to_owned(),
        }
    }

    /// Pushes an entry into the journal; waits for nothing.
    #[cfg(any(feature = "server", feature = "webhook"))]
    pub(crate) fn push(&self, own: &OwnEntry) -> Result<Position, PushError> {
        self.push_rendered(&mut own.render(&self.source))
    }

    /// The same, with an error that says what to look at.
    #[cfg(feature = "webhook")]
    pub(crate) fn note(&self, own: &OwnEntry) -> Result<()> {
        self.push(own).map(drop).map_err(|why| self.refused(why))
    }

    /// Writes an entry, which is durable on return; gives its id.
    pub(crate) fn record(&self, own: &OwnEntry) -> Result<uuid::Uuid> {
        let mut rendered = own.render(&self.source);
        let position = self
            .push_rendered(&mut rendered)
            .map_err(|why| self.refused(why))?;
        match self.durability.wait(position.0) {
            Fate::Durable => Ok(id_of(&rendered)),
            Fate::Failed(error) => Err(self.failed(error.to_string())),
            Fate::Closed => Err(Error::Closed),
        }
    }

    fn push_rendered(&self, entry: &mut [u8]) -> Result<Position, PushError> {
        let pushed = push(&self.producer, entry);
        if matches!(pushed, Err(PushError::Full)) {
            self.durability.nudge();
        }
        pushed
    }

    fn refused(&self, why: PushError) -> Error {
        match why {
            PushError::Closed => Error::Closed,
            why => self.failed(why.to_string()),
        }
    }

    fn failed(&self, why: String) -> Error {
        Error::io("write an entry to", &self.path)(io::Error::other(why))
    }
}

/// Pushes a rendered entry into a journal. If it was rendered so long ago that its time may be one
/// before which the log is complete, it gets the present time and another id.
pub(super) fn push(producer: &Producer, entry: &mut [u8]) -> Result<Position, PushError> {
    let made = entry::made(entry).unwrap_or(i64::MAX);
    producer.push_made(entry, made, |entry| {
        let now = Instant::now();
        if now.as_micros() > made {
            entry::make_again(entry, now, now.uuid(fastrand::u64(..)));
        }
    })
}

/// The id of a rendered entry, which begins with it.
fn id_of(rendered: &[u8]) -> uuid::Uuid {
    rendered
        .get(STAMP_ID)
        .and_then(|id| uuid::Uuid::try_parse_ascii(id).ok())
        .expect("what we render has an id")
}
