//! Is the log whole? Each file by itself, each stream across its files, and nothing that doesn't
//! belong there.
//!
//! In comes a log, out comes a [`VerifyReport`]: problems, which should not be, and notes. The way
//! there:
//!
//! ```text
//! journals   how far each stream was durable, and who still writes
//! listed     which files there are: indexes, then live files, then sealed ones
//! survey     each file by itself, line by line (lines); what entries say about losses (accounted)
//! streams    is each number there once (numbers), and does the log account for those that aren't?
//! ```
//!
//! Always true: nothing is changed and no lock is kept. Other processes may write, rotate,
//! seal, prune and recover at the same time and cause no false alarm, because evidence is read
//! before what it is evidence of: journals before files, and what the log accounts for (again, if
//! something is missing) after them.

mod accounted;
mod journals;
mod lines;
mod listed;
mod report;
mod streams;
mod survey;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

pub use report::{Finding, FindingKind, FindingLevel, VerifyReport};

use self::{
    accounted::OfStream,
    journals::Journals,
    listed::Listed,
    streams::{Proof, Stream},
    survey::Survey,
};
use crate::{
    entry::StreamId,
    error::Result,
    query::AuditReader,
    store::{index::Index, names::FileStem},
};

impl AuditReader {
    /// Checks that the log is whole: nothing altered, nothing missing, nothing twice, nothing
    /// foreign.
    ///
    /// ```
    /// use tracing_audit::{AuditLog, AuditReader, audit};
    /// # use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// # let log = AuditLog::builder(dir).source("billing").open()?;
    /// # let subscriber = tracing_subscriber::registry().with(log.layer());
    /// # let _default = tracing::subscriber::set_default(subscriber);
    /// audit!("user.updated", "Role changed");
    /// # log.close()?;
    /// let report = AuditReader::open(dir)?.verify(|done, of| eprintln!("{done} of {of} files"))?;
    /// for finding in report.problems() {
    ///     eprintln!("{}: {}", finding.place, finding.what);
    /// }
    /// assert!(report.ok);
    /// assert_eq!(report.entries, 3); // the log was opened, the event, the log was closed
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Checks
    ///
    /// - Each sealed file is gzip to its last byte, its checksums are right, its index agrees with
    ///   it, and its SHA-256 is the one that sealing noted in the index.
    /// - Each line is an entry of the stream that its file's name says.
    /// - Each stream has its entries 1, 2, 3 … once, in order, without a gap. The end of a stream
    ///   is known from its journal, as long as there is one, and from the indexes of its files.
    /// - Nothing foreign is among the live and the sealed files.
    ///
    /// # Problems and notes
    ///
    /// A *problem* is something that should not be, whatever happened to the process or machine.
    /// Deaths of processes, power cuts and full disks leave none. A *note* is something to know:
    /// entries that are gone, but recorded in the log as removed by retention or as lost; events
    /// that were dropped; a process that ended without closing its log.
    ///
    /// # What can't be known
    ///
    /// - Whether the *end* of a stream is missing, once its process has closed the log or was
    ///   recovered: if someone removes its last files together with their indexes, or all of its
    ///   files, nothing is left to show it.
    /// - Whether an entry in a *live* file was altered so that it still is an entry: only sealing
    ///   adds checksums.
    /// - Whether someone who may write to the directory altered entries and made all checksums,
    ///   indexes and numbers anew. Nothing here is signed.
    ///
    /// Copy sealed files to a place where such a person can't write, if that has to be excluded.
    ///
    /// # Cost
    ///
    /// Reads everything, on this thread, at some 100 MB/s of uncompressed log or more; if something
    /// is missing, reads it a second time. Memory stays bounded by the number of files and the size
    /// of one journal. Works beside processes that write, and costs them nothing.
    ///
    /// `progress` is called after each file, with how many files are done and how many there are.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if a directory of the log can't be listed. A file that can't
    /// be read is a problem in the report.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> Result<VerifyReport> {
        let fs = Arc::clone(self.fs());
        let layout = self.layout().clone();
        let journals = Journals::read(&*fs, &layout)?;
        let listed = Listed::read(&*fs, &layout)?;
        let mut survey = Survey::new(fs, layout, journals);
        survey.foreign(&listed.foreign);
        let total = listed.count();
        survey.read(&listed, |done| progress(done, total))?;
        self.judge(&mut survey, listed.orphans)?;
        leftovers(&mut survey);
        Ok(VerifyReport {
            ok: survey
                .findings
                .iter()
                .all(|finding| finding.level != FindingLevel::Problem),
            streams: survey.streams.len() as u64,
            sealed_files: survey.sealed_files,
            live_files: survey.live_files,
            entries: survey.entries,
            findings: survey.findings,
        })
    }

    /// Judges each stream by all that is known once the files are read.
    fn judge(&self, survey: &mut Survey, orphans: BTreeSet<FileStem>) -> Result<()> {
        let indexes: Vec<Index> = orphans
            .iter()
            .filter_map(|stem| Index::read(&**self.fs(), &self.layout().index(stem)).ok())
            .collect();
        let nothing = OfStream::default();
        let open = !survey.gone.is_empty() || !indexes.is_empty();
        let missing = |stream: Stream<'_>| stream.has_unaccounted();
        if open || streams(survey, &indexes, &nothing).into_iter().any(missing) {
            // With nothing remembered of the files.
            let reader = Self::open_on(Arc::clone(self.fs()), self.layout().clone())?;
            survey.accounted.refresh(&reader)?;
        }
        let judged = streams(survey, &indexes, &nothing);
        let found: Vec<_> = judged.iter().flat_map(Stream::judge).collect();
        for found in found {
            survey.find(found.level, found.kind, found.place, found.what);
        }
        removed_meanwhile(survey);
        dropped(survey);
        journals_gone(survey);
        Ok(())
    }
}

/// All streams that have files, or should have.
fn streams<'a>(survey: &'a Survey, indexes: &[Index], nothing: &'a OfStream) -> Vec<Stream<'a>> {
    let in_journals = survey.journals.by_stream.keys();
    let ids: BTreeSet<&StreamId> = survey.streams.keys().chain(in_journals).collect();
    let mut ids: BTreeSet<StreamId> = ids.into_iter().cloned().collect();
    ids.extend(indexes.iter().map(|index| index.stem.stream.clone()));
    ids.into_iter()
        .map(|id| Stream {
            parts: survey.streams.get(&id).map_or(&[], Vec::as_slice),
            accounted: survey.accounted.of(&id).unwrap_or(nothing),
            proof: proof(survey, indexes, &id),
            id,
        })
        .collect()
}

/// The proof of how far this stream goes.
fn proof(survey: &Survey, indexes: &[Index], stream: &StreamId) -> Option<Proof> {
    let journal = survey.journals.by_stream.get(stream).map(|journal| Proof {
        last: journal.durable,
        by: "its journal".to_owned(),
    });
    let removed = |stem: &FileStem| {
        let accounted = survey.accounted.of(stream);
        accounted.is_some_and(|of| of.removed_files.contains(stem))
    };
    let of_stream = indexes
        .iter()
        .filter(|index| index.stem.stream == *stream && !removed(&index.stem));
    let left = of_stream.map(|index| Proof {
        last: index.last_seq.0,
        by: format!(
            "the index {}, which is left,",
            survey.index_name(&index.stem)
        ),
    });
    journal
        .into_iter()
        .chain(left)
        .max_by_key(|proof| proof.last)
}

/// Files that were removed while the log was verified, though no entry records it.
fn removed_meanwhile(survey: &mut Survey) {
    for stem in std::mem::take(&mut survey.gone) {
        let accounted = survey.accounted.of(&stem.stream);
        let recorded = accounted.is_some_and(|of| of.removed_files.contains(&stem));
        let parts = survey.streams.get(&stem.stream);
        // If its stream goes on, its entries are missing there, or accounted for.
        let goes_on = parts.is_some_and(|parts| {
            let after = |part: &survey::Part| part.stem.number > stem.number;
            parts.iter().any(after)
        });
        if !recorded && !goes_on {
            survey.problem(
                FindingKind::Missing,
                &survey.sealed_path(&stem),
                "this file was removed while the log was verified, and no entry of the log \
                 accounts for that. Restore it from a backup, and find out who removed it.",
            );
        }
    }
}

fn dropped(survey: &mut Survey) {
    let dropped = survey.accounted.streams();
    let dropped: Vec<_> = dropped
        .filter(|(_, of)| of.dropped > 0)
        .map(|(stream, of)| (stream.clone(), of.dropped))
        .collect();
    for (stream, count) in dropped {
        let events = if count == 1 {
            "event was"
        } else {
            "events were"
        };
        survey.find(
            FindingLevel::Note,
            FindingKind::Dropped,
            format!("stream {stream}"),
            format!(
                "{count} {events} dropped because the journal was full, and never became entries. \
                 The log records when, in its entries of the type audit.log.dropped."
            ),
        );
    }
}

/// Streams whose journal was gone when they were recovered.
fn journals_gone(survey: &mut Survey) {
    let gone = survey.accounted.streams().filter(|(_, of)| of.journal_gone);
    let gone: Vec<_> = gone.map(|(stream, _)| stream.clone()).collect();
    for stream in gone {
        survey.find(
            FindingLevel::Note,
            FindingKind::Lost,
            format!("stream {stream}"),
            "its process ended without closing its log, and its journal was gone: events that only \
             the journal had, if any, are lost; their number is unknown. The log records when, in \
             its entry of the type audit.log.lost.",
        );
    }
}

/// The leftovers of processes that ended without closing their log.
fn leftovers(survey: &mut Survey) {
    let journals = std::mem::take(&mut survey.journals);
    for (path, error) in &journals.unreadable {
        survey.damaged(path, error);
    }
    for path in &journals.set_aside {
        survey.problem(
            FindingKind::LeftOver,
            path,
            "recovery found this journal damaged and set it aside. Events that only it holds are \
             missing from the log. Save what can be read in it, then move it elsewhere.",
        );
    }
    for (stream, journal) in &journals.by_stream {
        if journal.living {
            continue;
        }
        if let Some(path) = &journal.gone {
            survey.find(
                FindingLevel::Note,
                FindingKind::Lost,
                format!("stream {stream}"),
                format!(
                    "its process ended without closing its log, and its journal {} is gone: \
                     events that only the journal had, if any, are lost; their number is unknown. \
                     Unless the journal was in memory and the machine was started again, find out \
                     who removed it. `tracing-audit recover`, or the next application that opens \
                     the log, completes the stream.",
                    path.display()
                ),
            );
            continue;
        }
        let waiting = match journal.waiting {
            0 => "nothing waits in its journal".to_owned(),
            1 => "1 event still waits in its journal".to_owned(),
            count => format!("up to {count} events still wait in its journal"),
        };
        survey.find(
            FindingLevel::Note,
            FindingKind::LeftOver,
            format!("stream {stream}"),
            format!(
                "its process ended without closing its log; {waiting}. `tracing-audit recover`, \
                 or the next application that opens the log, completes it."
            ),
        );
    }
}
