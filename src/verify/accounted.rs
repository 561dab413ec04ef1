//! The log's own entries that account for missing entries.
//!
//! The log records when retention removes files (`audit.log.pruned`), when entries that were on
//! stable storage are gone (`audit.log.lost`, `audit.log.live_file_cut`), and when events were
//! dropped because the journal was full (`audit.log.dropped`). Several entries may account for
//! parts of one hole, or for overlapping ones; only their union counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use crate::{
    entry::{
        StreamId,
        scan::{Fields, details_path, member, scan},
    },
    error::Result,
    query::{AuditReader, Filter, Order},
    store::{
        gone_journal::JOURNAL,
        names::FileStem,
        numbers::Numbers,
        prune_intent::Intents,
        removed::{PRUNED, Removed, removed},
    },
};

const LOST: &str = "audit.log.lost";
const CUT: &str = "audit.log.live_file_cut";
const DROPPED: &str = "audit.log.dropped";

/// The numbers that entries of the log account for, by stream.
#[derive(Debug, Default)]
pub(super) struct Accounted(BTreeMap<StreamId, OfStream>);

/// The numbers that they account for in one stream.
#[derive(Debug, Default)]
pub(super) struct OfStream {
    /// The numbers of entries that were lost.
    pub(super) lost: Numbers,
    /// The numbers of entries that retention removed.
    pub(super) removed: Numbers,
    /// The files that retention removed.
    pub(super) removed_files: BTreeSet<FileStem>,
    /// The files among them whose entries' numbers were not recorded, by the file's number.
    pub(super) unnumbered: BTreeSet<u32>,
    /// How many events were dropped.
    pub(super) dropped: u64,
    /// Whether the journal was gone, and with it an unknown number of events.
    pub(super) journal_gone: bool,
}

/// Whether a line may account for something, and so is worth keeping until its file is read.
pub(super) fn matters(fields: &Fields<'_>) -> bool {
    [PRUNED, LOST, CUT, DROPPED]
        .iter()
        .any(|event_type| fields.event_type == event_type.as_bytes())
}

impl Accounted {
    pub(super) fn of(&self, stream: &StreamId) -> Option<&OfStream> {
        self.0.get(stream)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (&StreamId, &OfStream)> {
        self.0.iter()
    }

    /// Takes in an entry of this stream.
    pub(super) fn take(&mut self, stream: &StreamId, line: &[u8]) {
        let Some(fields) = scan(line) else { return };
        if fields.event_type == PRUNED.as_bytes() {
            self.pruned(fields.details);
        } else if fields.event_type == LOST.as_bytes() || fields.event_type == CUT.as_bytes() {
            // Only the stream itself knows what it lost.
            if details_path(fields.details, JOURNAL).is_some() {
                self.stream(stream).journal_gone = true;
            } else if let (Some(after), Some(count)) = (
                number(fields.details, "after_seq"),
                number(fields.details, "count"),
            ) {
                let lost = &mut self.stream(stream).lost;
                lost.add(after.saturating_add(1), after.saturating_add(count));
            }
        } else if fields.event_type == DROPPED.as_bytes() {
            let count = number(fields.details, "count").unwrap_or(0);
            let dropped = &mut self.stream(stream).dropped;
            *dropped = dropped.saturating_add(count);
        }
    }

    /// Reads again what the log says about lost and removed entries, after all files were read:
    /// retention may have removed some in the meantime.
    pub(super) fn refresh(&mut self, reader: &AuditReader) -> Result<()> {
        let types = [PRUNED, LOST, CUT].map(|event_type| ("event_type", event_type));
        reader.each(&Filter::parse(types)?, Order::Asc, |entry| {
            if let Ok(stream) = entry.stream().parse() {
                self.take(&stream, entry.line());
            }
            ControlFlow::Continue(())
        })?;
        // Files removed from a full disk, which the log could not record yet.
        for entry in Intents::new(&**reader.fs(), reader.layout()).owed()? {
            self.pruned(member(&entry, "details").unwrap_or_default());
        }
        Ok(())
    }

    fn stream(&mut self, stream: &StreamId) -> &mut OfStream {
        self.0.entry(stream.clone()).or_default()
    }

    fn pruned(&mut self, details: &[u8]) {
        for Removed {
            stream,
            file,
            numbers,
        } in removed(details)
        {
            let of = self.stream(&stream);
            match (&file, numbers) {
                (_, Some((first, last))) => of.removed.add(first, last),
                (Some(file), None) => drop(of.unnumbered.insert(file.number)),
                (None, None) => {}
            }
            of.removed_files.extend(file);
        }
    }
}

fn number(details: &[u8], name: &str) -> Option<u64> {
    str::from_utf8(details_path(details, name)?)
        .ok()?
        .parse()
        .ok()
}
