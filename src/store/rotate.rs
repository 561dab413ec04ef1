//! How the writer begins and ends live files.
//!
//! A file ends when it is large or old enough, at midnight, and after a failure or another's
//! change: always through [`Writer::end_file`], complete and durable. Until that has succeeded, no
//! other file is begun.

use std::time::Duration;

use super::{
    batch::Point,
    live::{Live, Unfinished},
    names::FileStem,
    sealer::Job,
    writer::{Current, Place, Writer},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

impl Writer {
    /// Creates the next file, for what follows the last release.
    pub(super) fn begin_file(&mut self) -> Result<Live> {
        self.root.check(&*self.place.fs, &self.place.layout)?;
        let stem = self.next_stem();
        let Place { fs, layout, .. } = &self.place;
        let begun = self.place.clock.monotonic();
        Live::create(&**fs, layout, stem, self.released, begun)
    }

    /// The name of the next file. Its number is used up in any case, for recovery too: those who
    /// follow the log know a stream's files by their numbers, and have perhaps left this one
    /// already.
    pub(super) fn next_stem(&mut self) -> FileStem {
        self.last_file += 1;
        self.consumer.note_file(self.last_file);
        FileStem {
            born: self.next_birth(),
            stream: self.place.stream.clone(),
            number: self.last_file,
        }
    }

    /// When a file that begins with the batch is born. The clock can have been set back since the
    /// entries of the batch were stamped, while they waited or only just now; queries look for an
    /// entry in the files of its day and of later ones.
    fn next_birth(&self) -> Timestamp {
        let now = self.place.clock.now();
        self.batch.newest().map_or(now, |newest| newest.max(now))
    }

    pub(super) fn end_current(&mut self) {
        self.current = match std::mem::replace(&mut self.current, Current::None) {
            Current::Open(live) => Current::Ending(live),
            current => current,
        };
    }

    pub(super) fn rotate_if_due(&mut self, now: Duration) -> Result<()> {
        let Current::Open(live) = &self.current else {
            return Ok(());
        };
        let Place {
            fs,
            layout,
            options,
            ..
        } = &self.place;
        let another_day = live.stem().day() != self.next_birth().day();
        let due = live.len() >= options.rotate_bytes
            || now.saturating_sub(live.begun()) >= options.rotate_age;
        // In a directory that was renamed, the next file could not be created.
        if !(another_day || due && self.root.is_there(&**fs, layout)) {
            return Ok(());
        }
        if live.is_unsynced() {
            self.sync()?;
        }
        self.end_current();
        self.end_ending()
    }

    pub(super) fn end_ending(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::Ending(live) => self.end_file(live),
            current => {
                self.current = current;
                Ok(())
            }
        }
    }

    /// Ends a file durably and hands it over to be sealed; an empty one is removed. Until that
    /// succeeds, nothing else is written.
    fn end_file(&mut self, live: Live) -> Result<()> {
        let path = self.place.layout.live(live.stem());
        // Before the file can be sealed: a header that is older than the file would let recovery
        // write its events again.
        if let Err(error) = self.consumer.sync_header() {
            // The system may consider it written now. A page that is changed once more is written
            // again.
            let Point { position, next_seq } = self.released;
            self.consumer.release(position, next_seq.0);
            self.current = Current::Ending(live);

            return Err(Error::io("sync", self.watch.journal())(error));
        }
        match live.finish(&*self.place.fs, &self.place.layout, &self.root) {
            Err((live, Unfinished::Failed(error))) => {
                self.current = Current::Ending(*live);
                return Err(Error::io("cut", path)(error));
            }
            Err((live, Unfinished::Changed(change))) => {
                self.current = Current::Ending(*live);
                return self.mend(change);
            }
            // It is what is left to show that its entries are gone, until that is recorded.
            Ok(finished) if finished.is_empty && finished.was_changed => {}
            // Left behind, it is removed at the next recovery.
            Ok(finished) if finished.is_empty => drop(self.place.fs.remove_file(&path)),
            // Without a sealer the next process seals it.
            Ok(finished) => drop(self.place.sealer.send(Job::Seal(finished.written))),
        }
        Ok(())
    }
}
