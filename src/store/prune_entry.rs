//! The entry that says what pruning removes.

use data_encoding::HEXLOWER;

use super::{
    removed,
    retention::{PrunedFile, Retention},
};
use crate::{
    entry::{OwnEntry, Severity, Source, json::members},
    error::{Error, Result},
};

/// So many files are recorded and removed at a time, or fewer if their entry would be too long.
const BATCH: usize = 64;
/// An entry is as long as this at most.
const MAX_ENTRY: usize = 32 * 1024;

/// The entry about the first of these files, and about how many it is: as many as fit into one of
/// this length.
pub(super) fn first(
    source: &Source,
    retention: &Retention,
    doomed: &[PrunedFile],
    longest: usize,
) -> Result<(Vec<u8>, usize)> {
    let longest = longest.min(MAX_ENTRY);
    let mut count = BATCH.min(doomed.len());
    loop {
        let files = doomed.get(..count).unwrap_or_default();
        let entry = render(source, retention, files, usize::MAX);
        if entry.len() <= longest {
            return Ok((entry, count));
        }
        if count > 1 {
            count /= 2;
            continue;
        }
        let entry = render(source, retention, files, 0);
        if entry.len() <= longest {
            return Ok((entry, count));
        }
        return Err(Error::invalid(
            "journal_bytes",
            format!(
                "the entry about the files to prune has {} bytes and doesn't fit into the journal, \
                 so nothing is pruned; make the journal larger",
                entry.len()
            ),
        ));
    }
}

/// The entry that says what goes, with up to `names` webhooks that have not got it.
fn render(source: &Source, retention: &Retention, files: &[PrunedFile], names: usize) -> Vec<u8> {
    let list: Vec<_> = files
        .iter()
        .map(|file| {
            let mut about = members! {
                "file": file.stem.to_string(),
                "reason": file.reason.as_str(),
                "bytes": file.bytes,
                "lines": file.lines,
                "first_seq": file.seqs.map(|(first, _)| first),
                "last_seq": file.seqs.map(|(_, last)| last),
                "sha256": file.sha256.map(|sum| HEXLOWER.encode(&sum)),
            };
            if file.undelivered.len() <= names {
                about.add("undelivered", &file.undelivered);
            } else {
                about.add("undelivered_webhooks", &file.undelivered.len());
            }
            about
        })
        .collect();
    OwnEntry::new(
        removed::PRUNED,
        Severity::Info,
        "Files past their retention are removed; a file that is still there is removed later and \
         recorded again",
    )
    .detail("retention_days", retention.days)
    .detail("files", list)
    .render(source)
}
