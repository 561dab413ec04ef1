//! The plan of an export: the parts of files in a range of time, before any is read.
//!
//! One entry per stream and day, in that order, `2026-11-21/billing-7f3a9c.jsonl`, its lines in the
//! order of the stream; in front of them the manifest, so that a download that was cut off says
//! what is missing. The plan costs one look at each file's index and reading the blocks at the two
//! ends of the range; of today's log, reading what isn't sealed yet.
//!
//! A file that can't be read is left out and named in the manifest, and such a plan is not carried
//! out ([`Plan::check_whole`]): nobody should take it for the whole. The same files and range always
//! give the same bytes.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    cut::Cut,
    deflate::Joined,
    exported::{Exported, Times},
    manifest::{self, Manifest, ManifestEntry, ManifestFile, ManifestProblem},
    pieces::Download,
    zip::ZipLayout,
};
use crate::{
    entry::{Day, StreamId, Timestamp},
    error::{Error, Result},
    query::Problem,
    store::{
        complete::Progress,
        files::{Files, Listing},
        layout::{live_name, sealed_name},
        names::FileStem,
    },
};

/// A range of the log, ready to be downloaded as a ZIP or gzip file.
#[derive(Debug)]
pub(crate) struct Plan {
    entries: Vec<Entry>,
    manifest: Manifest,
    #[cfg(any(feature = "server", test))]
    immutable: bool,
    start: Timestamp,
    /// How many of its lines are not entries.
    unreadable: u64,
    /// The times of the first and the last line.
    times: Option<Times>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    modified: Timestamp,
    content: Joined,
}

/// Where a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With how long it was.
    Live(u64),
    Sealed,
}

/// Files, each list in the order of their lines.
pub(super) type ByDayAndStream = BTreeMap<(Day, StreamId), Vec<(FileStem, Kind)>>;

/// The files that may hold lines from `start` on.
pub(super) fn files_since(files: &Files, start: Timestamp) -> Result<ByDayAndStream> {
    let Listing { sealed, live } = files.since(Some(start))?;
    // As of the sealed ones.
    let first = start.day().previous();
    let live = live.into_iter().filter(|(stem, _)| stem.day() >= first);
    let live = live.map(|(stem, len)| (stem, Kind::Live(len)));
    let sealed = sealed.into_iter().map(|stem| (stem, Kind::Sealed));
    let mut by_day_and_stream = ByDayAndStream::new();
    for (stem, kind) in sealed.chain(live) {
        let key = (stem.day(), stem.stream.clone());
        by_day_and_stream.entry(key).or_default().push((stem, kind));
    }
    for list in by_day_and_stream.values_mut() {
        list.sort_by_key(|(stem, _)| stem.number);
    }
    Ok(by_day_and_stream)
}

impl Plan {
    /// Plans a download of all lines with a time in `range`.
    ///
    /// A live file is read to where it ends now, and made durable that far before the first of its
    /// lines is given away, so that no line in a download is ever lost. An error means that the
    /// log's directories can't be listed.
    pub(crate) fn new(files: &Arc<Files>, range: Range<Timestamp>) -> Result<Self> {
        // Before the files are listed.
        let progress = Progress::look(&**files.fs(), files.layout())?;
        let mut plan = Self {
            entries: Vec::new(),
            manifest: Manifest::new(&range, progress.until),
            #[cfg(any(feature = "server", test))]
            immutable: true,
            start: range.start,
            unreadable: 0,
            times: None,
        };
        for ((day, stream), list) in files_since(files, range.start)? {
            let mut cuts = Vec::new();
            for (stem, kind) in list {
                cuts.extend(plan.cut(files, &stem, kind, &range));
            }
            plan.add(day, stream, cuts);
        }
        Ok(plan)
    }

    /// The part of a file in the range, with its name; a file that can't be read becomes a problem.
    fn cut(
        &mut self,
        files: &Arc<Files>,
        stem: &FileStem,
        kind: Kind,
        range: &Range<Timestamp>,
    ) -> Option<(String, Cut)> {
        let live = match kind {
            Kind::Live(_) => Cut::live(files, stem, range),
            Kind::Sealed => Ok(None),
        };
        let is_live = !matches!(live, Ok(None));
        // A live file that is gone was sealed since it was listed.
        let cut = match is_live {
            true => live,
            false => Cut::sealed(files, stem, range),
        };
        let name = if is_live {
            live_name(stem)
        } else {
            sealed_name(stem)
        };
        match cut {
            Ok(Some(cut)) if cut.count > 0 => {
                #[cfg(any(feature = "server", test))]
                {
                    self.immutable &= !is_live;
                }
                self.note_unreadable(&name, cut.unreadable);
                let times = Times {
                    first: cut.oldest,
                    last: cut.youngest,
                };
                self.times = Some(times.and(self.times));
                return Some((name, cut));
            }
            // Retention took it, or it was an empty live file.
            Ok(None) if matches!(kind, Kind::Sealed | Kind::Live(0)) => {}
            Ok(Some(_)) => {}
            Ok(None) => self.problem(live_name(stem), "it was removed before it was sealed"),
            Err(error) => self.problem(name, error.without_path()),
        }
        None
    }

    /// Whether everything in it is sealed, and so will never change.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn immutable(&self) -> bool {
        self.immutable
    }

    /// Whether nothing will be added to its range any more.
    #[cfg(feature = "server")]
    pub(crate) fn is_complete(&self) -> bool {
        self.manifest.is_complete()
    }

    /// An error if a file is left out.
    pub(crate) fn check_whole(&self) -> Result<()> {
        let mut problems = self.manifest.problems.iter();
        match problems.find(|problem| problem.hides_entries) {
            None => Ok(()),
            Some(ManifestProblem { file, problem, .. }) => Err(Error::NotWhole {
                file: file.clone(),
                what: problem.clone(),
            }),
        }
    }

    /// The manifest of the archive.
    #[cfg(test)]
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The summary of the download once it is written.
    pub(super) fn exported(&self) -> Exported {
        let problems = self.manifest.problems.iter();
        let problems =
            problems.map(|problem| Problem::new(problem.file.clone(), problem.problem.clone()));
        Exported {
            entries: self.lines() - self.unreadable,
            times: self.times,
            problems: problems.collect(),
        }
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> u64 {
        self.manifest.entries.iter().map(|entry| entry.count).sum()
    }

    /// As a ZIP file: the manifest, then the entries.
    pub(crate) fn into_zip(self) -> Result<Download> {
        let modified = self
            .entries
            .iter()
            .map(|entry| entry.modified)
            .max()
            .unwrap_or(self.start);
        let mut zip = ZipLayout::default();
        zip.stored(manifest::NAME, modified, &self.manifest.to_json())?;
        for Entry {
            name,
            modified,
            content,
        } in self.entries
        {
            zip.deflated(&name, modified, content)?;
        }
        Ok(zip.finish())
    }

    /// As one gzip file of all lines, without the manifest.
    pub(crate) fn into_gzip(self) -> Download {
        let mut all = Joined::default();
        for entry in self.entries {
            all.append(entry.content);
        }
        all.into_gzip()
    }

    fn add(&mut self, day: Day, stream: StreamId, cuts: Vec<(String, Cut)>) {
        if cuts.is_empty() {
            return;
        }
        let name = manifest::entry_name(day, &stream);
        let (mut content, mut files, mut count, mut modified) =
            (Joined::default(), Vec::new(), 0, Timestamp::MIN);
        let mut first = None;
        let mut last = None;
        for (name, cut) in cuts {
            files.push(ManifestFile {
                name,
                count: cut.count,
                sha256: cut.sha256,
            });
            content.append(cut.content);
            count += cut.count;
            modified = modified.max(cut.youngest);
            first = first.or(cut.first);
            last = cut.last.or(last);
        }
        let bytes = content.plain_len();
        let crc32 = format!("{:08x}", content.crc());
        self.manifest.entries.push(ManifestEntry {
            name: name.clone(),
            stream,
            day,
            count,
            bytes,
            crc32,
            first,
            last,
            files,
        });
        self.entries.push(Entry {
            name,
            modified,
            content,
        });
    }

    fn note_unreadable(&mut self, file: &str, lines: u64) {
        self.unreadable += lines;
        if lines > 0 {
            let problem = format!(
                "{lines} of its lines in this archive are not entries; they are kept as they are"
            );
            self.manifest.problems.push(ManifestProblem {
                file: file.to_owned(),
                problem,
                hides_entries: false,
            });
        }
    }

    fn problem(&mut self, file: String, problem: impl Into<String>) {
        self.manifest.problems.push(ManifestProblem {
            file,
            problem: problem.into(),
            hides_entries: true,
        });
    }
}
