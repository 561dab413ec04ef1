//! What a range of time is made of, before any of it is read.
//!
//! One entry per stream and day, in that order, `2026-11-21/billing-7f3a9c.jsonl`, its lines in the
//! order of the stream; in front of them the manifest, so that a download that was cut off says
//! what is missing. The plan costs one look at each file's index and reading the blocks at the two
//! ends of the range; of today's log, reading what isn't sealed yet.
//!
//! A file that can't be read is left out and named in the manifest. The same files and range always
//! give the same bytes.

use std::ops::Range;

use super::{
    cut::Cut,
    deflate::Joined,
    files::{Kind, LogFiles},
    manifest::{self, Manifest, ManifestEntry, ManifestFile, Problem},
    pieces::Download,
    zip::ZipLayout,
};
use crate::{
    entry::{Day, StreamId, Timestamp},
    error::{Error, Result},
};

/// A range of the log, ready to be downloaded as a ZIP or gzip file.
#[derive(Debug)]
pub(crate) struct Plan {
    entries: Vec<Entry>,
    manifest: Manifest,
    #[cfg(any(feature = "server", test))]
    immutable: bool,
    start: Timestamp,
}

#[derive(Debug)]
struct Entry {
    name: String,
    modified: Timestamp,
    content: Joined,
}

impl LogFiles {
    /// Plans a download of all lines with a time in `range`.
    ///
    /// A live file is read to where it ends now, and made durable that far before the first of its
    /// lines is given away: what was given is never lost. An error means that the log's directories
    /// can't be listed.
    pub(crate) fn plan(&self, range: Range<Timestamp>) -> Result<Plan> {
        let mut plan = Plan {
            entries: Vec::new(),
            manifest: Manifest::new(&range),
            #[cfg(any(feature = "server", test))]
            immutable: true,
            start: range.start,
        };
        for ((day, stream), files) in self.since(range.start)? {
            let mut cuts = Vec::new();
            for (stem, kind) in files {
                let cut = match kind {
                    Kind::Sealed => self.cut_sealed(&stem, &range),
                    Kind::Live => self.cut_live(&stem, &range),
                };
                let name = Self::name(&stem, kind);
                match cut {
                    Ok(None) => {}
                    Ok(Some(cut)) => {
                        #[cfg(any(feature = "server", test))]
                        {
                            plan.immutable &= kind == Kind::Sealed;
                        }
                        plan.note_unreadable(&name, cut.unreadable);
                        cuts.push((name, cut));
                    }
                    Err(error) => plan.manifest.problems.push(Problem {
                        file: name,
                        problem: describe(&error),
                    }),
                }
            }
            plan.add(day, stream, cuts);
        }
        Ok(plan)
    }
}

impl Plan {
    /// Whether everything in it is sealed, and so will never change.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn immutable(&self) -> bool {
        self.immutable
    }

    /// What its archive will say about itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How many lines it has.
    #[cfg(any(feature = "server", test))]
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
        let name = format!("{day}/{stream}.jsonl");
        let (mut content, mut files, mut count, mut modified) =
            (Joined::default(), Vec::new(), 0, Timestamp::MIN);
        let (mut first, mut last) = (None, None);
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
        let (bytes, crc32) = (content.plain_len(), format!("{:08x}", content.crc()));
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
        if lines > 0 {
            let problem = format!(
                "{lines} of its lines in this archive are not records; they are where they stood"
            );
            self.manifest.problems.push(Problem {
                file: file.to_owned(),
                problem,
            });
        }
    }
}

/// What went wrong, without the path: where the log lies is nobody's business who may only read it.
fn describe(error: &Error) -> String {
    match error {
        Error::Io {
            operation, source, ..
        } => format!("cannot {operation} it: {source}"),
        Error::Damaged { what, .. } => format!("it is damaged: {what}"),
        other => other.to_string(),
    }
}
