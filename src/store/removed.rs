//! The log's entries about pruned files, and how their facts outlive the pruning of the entries
//! themselves.
//!
//! An entry `audit.log.pruned` is pruned like any other when it is past its retention. The stream
//! that it names may still go on then, because its process was idle for long, or because one of its
//! files is held. Without the entry, nothing would explain why that stream doesn't begin with entry
//! 1: a reader would suspect tampering. So before a file is pruned, its entries about streams that
//! still have files are recorded again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use memchr::memmem;
use serde_json::Value;

use super::{
    blob::FileBlob,
    blooms::Blooms,
    files::{Files, dirs},
    fs::Fs,
    gzip::Unpacker,
    index::Key,
    layout::{Layout, SEALED},
    lines::Lines,
    names::FileStem,
    numbers::Numbers,
    prune_intent::Intents,
    rebuild::{read_index, rebuild},
    summary::lines,
};
use crate::{
    entry::{
        OwnEntry, Severity, StreamId,
        json::{Members, members},
        scan::scan,
    },
    error::{Error, Result},
};

/// The type of the entries about pruned files.
pub(crate) const PRUNED: &str = "audit.log.pruned";
/// So many rows at most are in one entry, which keeps it short enough for any journal.
const ROWS: usize = 50;

/// Something that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) stream: StreamId,
    /// The file, if the entry names one.
    pub(crate) file: Option<FileStem>,
    /// The numbers of the first and the last entry, if they were known.
    pub(crate) numbers: Option<(u64, u64)>,
}

/// The removals in the `details` of an entry of the type [`PRUNED`].
pub(crate) fn removed(details: &[u8]) -> Vec<Removed> {
    let details: Value = serde_json::from_slice(details).unwrap_or_default();
    let rows = |name| details.get(name).and_then(Value::as_array).into_iter();
    let number = |row: &Value, name| row.get(name).and_then(Value::as_u64);
    let numbers = |row| number(row, "first_seq").zip(number(row, "last_seq"));
    let files = rows("files").flatten().filter_map(|row| {
        let name = row.get("file")?.as_str()?;
        let file: FileStem = name.strip_suffix(SEALED).unwrap_or(name).parse().ok()?;
        Some(Removed {
            stream: file.stream.clone(),
            file: Some(file),
            numbers: numbers(row),
        })
    });
    let earlier = rows("earlier").flatten().filter_map(|row| {
        Some(Removed {
            stream: row.get("stream")?.as_str()?.parse().ok()?,
            file: None,
            numbers: Some(numbers(row)?),
        })
    });
    files.chain(earlier).collect()
}

/// The entries to be written before these files are removed, so that nothing they say about
/// streams which go on is forgotten.
pub(super) fn carried_on(
    log: &Files,
    files: &[&FileStem],
    goes_on: &BTreeSet<StreamId>,
) -> Result<Vec<OwnEntry>> {
    let mut earlier: BTreeMap<StreamId, Numbers> = BTreeMap::new();
    for file in files {
        let recorded = match recorded_in(&**log.fs(), log.layout(), file) {
            // Entries in a damaged file are lost with it. A file that can't be read now stays.
            Err(Error::Damaged { .. }) => Vec::new(),
            Err(error) if error.is_not_found() => Vec::new(),
            recorded => recorded?,
        };
        for Removed {
            stream, numbers, ..
        } in recorded
        {
            if let Some((first, last)) = numbers.filter(|_| goes_on.contains(&stream)) {
                earlier.entry(stream).or_default().add(first, last);
            }
        }
    }
    let rows = |(stream, numbers): (&StreamId, &Numbers)| {
        let row = |(first, last)| {
            members! { "stream": stream.as_str(), "first_seq": first, "last_seq": last }
        };
        let ranges = numbers.within(0, u64::MAX);
        ranges.into_iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<Members> = earlier.iter().flat_map(rows).collect();
    let entry = |rows: &[Members]| {
        let description = "Entries that recorded earlier removals are removed themselves";
        OwnEntry::new(PRUNED, Severity::Info, description).detail("earlier", rows)
    };
    Ok(rows.chunks(ROWS).map(entry).collect())
}

/// All removals that the log records.
#[derive(Debug, Default)]
pub(super) struct RecordedRemovals {
    pub(super) removed: Vec<Removed>,
    /// Why some files can't be read: they are damaged, and may record more.
    pub(super) unread: Vec<Error>,
}

impl RecordedRemovals {
    /// The numbers of a stream's entries whose removal is recorded: the first and the last of each
    /// row.
    pub(super) fn numbers<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> impl Iterator<Item = (u64, u64)> + 'a {
        self.of(stream).filter_map(|row| row.numbers)
    }

    /// The number of the last of a stream's files whose removal is recorded; 0 if there is none.
    pub(super) fn last_file(&self, stream: &StreamId) -> u32 {
        let files = self.of(stream).filter_map(|row| row.file.as_ref());
        files.map(|file| file.number).max().unwrap_or(0)
    }

    /// Whether the removal of a file is recorded: by its name or, in an entry that was carried on,
    /// by the numbers of its first and its last entry.
    pub(super) fn has_file(&self, file: &FileStem, numbers: Option<(u64, u64)>) -> bool {
        let mut carried_on = Numbers::default();
        for row in self.of(&file.stream) {
            match &row.file {
                Some(named) if named == file => return true,
                Some(_) => {}
                None => row
                    .numbers
                    .into_iter()
                    .for_each(|(first, last)| carried_on.add(first, last)),
            }
        }
        numbers.is_some_and(|(first, last)| carried_on.missing(first, last).is_empty())
    }

    fn of<'a>(&'a self, stream: &'a StreamId) -> impl Iterator<Item = &'a Removed> + 'a {
        self.removed.iter().filter(move |row| row.stream == *stream)
    }
}

/// Reads the removals that are recorded in all files of the log.
pub(super) fn all_recorded(fs: &dyn Fs, layout: &Layout) -> Result<RecordedRemovals> {
    let mut recorded = RecordedRemovals::default();
    for entry in Intents::new(fs, layout).owed()? {
        let entry: Value = serde_json::from_slice(&[b"{", &*entry].concat()).unwrap_or_default();
        let details = entry["details"].to_string();
        recorded.removed.extend(removed(details.as_bytes()));
    }
    // Live files first, so that a file which is sealed meanwhile is read twice rather than not at
    // all.
    for stem in dirs::regular_live(fs, layout)? {
        match recorded_in_live(fs, &layout.live(&stem)) {
            Err(error) if error.is_not_found() => {}
            rows => recorded.removed.extend(rows?),
        }
    }
    for stem in dirs::regular_sealed(fs, layout)? {
        match recorded_in(fs, layout, &stem) {
            Err(error @ Error::Damaged { .. }) => recorded.unread.push(error),
            Err(error) if error.is_not_found() => {}
            rows => recorded.removed.extend(rows?),
        }
    }
    Ok(recorded)
}

fn recorded_in_live(fs: &dyn Fs, path: &Path) -> Result<Vec<Removed>> {
    let file = fs.open_read(path).map_err(Error::io("open", path))?;
    let len = file.identity().map_err(Error::io("look at", path))?.len;
    let mut lines = Lines::new(&*file, len);
    let mut recorded = Vec::new();
    while let Some(line) = lines.next().map_err(Error::io("read", path))? {
        recorded.extend(recorded_in_lines(line.text));
    }
    Ok(recorded)
}

/// The removals that these lines record.
fn recorded_in_lines(text: &[u8]) -> Vec<Removed> {
    let finder = memmem::Finder::new(PRUNED);
    let recorded = lines(text).filter(|line| finder.find(line).is_some());
    let recorded = recorded.filter_map(scan);
    recorded
        .filter(|fields| fields.event_type == PRUNED.as_bytes())
        .flat_map(|fields| removed(fields.details))
        .collect()
}

/// The removals that entries in a sealed file record. Reads only blocks that may have such entries.
fn recorded_in(fs: &dyn Fs, layout: &Layout, file: &FileStem) -> Result<Vec<Removed>> {
    let blob = FileBlob::open(fs, layout.sealed(file))?;
    let (index, own) = match read_index(fs, layout, &blob, file)? {
        // The actor of an entry that the log itself writes is its source.
        Some(index) => {
            let own = index.blooms(fs, &layout.index(file), Key::Actor);
            (index, own.unwrap_or_else(|_| Blooms::unknown()))
        }
        None => (rebuild(&blob, file)?.index, Blooms::unknown()),
    };
    let source = file.stream.source().as_bytes();
    let mut recorded = Vec::new();
    let mut plain = Vec::new();
    let mut unpacker = Unpacker::new();
    for (n, block) in index.blocks.iter().enumerate() {
        if own.may_contain(n, source) {
            unpacker.block(&blob, block, &mut plain)?;
            recorded.extend(recorded_in_lines(&plain));
        }
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::store::{gzip::Level, samples, seal::seal, sim::SimFs};

    fn entry(seq: u64, own: &OwnEntry) -> Vec<u8> {
        let mut line = format!(r#"{{"stream":"billing-7f3a9c","seq":{seq},"#).into_bytes();
        line.extend(own.render(&"billing".parse().unwrap()));
        line.push(b'\n');
        line
    }

    fn details(own: &OwnEntry) -> Vec<Removed> {
        let line = entry(1, own);
        removed(scan(&line[..line.len() - 1]).unwrap().details)
    }

    #[test]
    fn what_a_removed_file_says_of_streams_that_go_on_is_recorded_again() {
        let (fs, layout) = (SimFs::new(), Layout::new("/log"));
        for dir in [layout.live_dir(), layout.sealed_dir(), layout.tmp_dir()] {
            fs.create_dir_all(&dir).unwrap();
        }
        let idle: StreamId = "idle-00000a".parse().unwrap();
        let row = |name: String, first: u64, last: u64| json!({"file": name, "first_seq": first, "last_seq": last});
        let mut file = samples::stem(1);
        file.stream = idle.clone();
        let gone = file.to_string().replace("idle", "gone");
        let first = OwnEntry::new(PRUNED, Severity::Info, "")
            .detail("files", vec![row(file.to_string(), 1, 10), row(gone, 1, 5)]);
        let second = OwnEntry::new(PRUNED, Severity::Info, "").detail(
            "earlier",
            vec![json!({"stream": idle.as_str(), "first_seq": 11, "last_seq": 30})],
        );
        let stem = samples::stem(2);
        let text = [
            samples::lines(1, 2000),
            entry(2001, &first),
            samples::lines(2002, 2000),
            entry(4002, &second),
        ];
        fs.put(layout.live(&stem), text.concat());
        seal(&fs, &layout, &stem, Level::FASTEST).unwrap();
        let log = Files::new(Arc::new(fs), layout);
        let goes_on = BTreeSet::from([idle.clone()]);
        let carried = carried_on(&log, &[&stem], &goes_on).unwrap();
        assert_eq!(carried.len(), 1, "{carried:?}");
        // Also for a recovery, which would take them for lost.
        let known = all_recorded(&**log.fs(), log.layout()).unwrap();
        assert_eq!((known.last_file(&idle), known.unread.len()), (1, 0));
        let known: BTreeSet<_> = known.numbers(&idle).collect();
        assert_eq!(known, BTreeSet::from([(1, 10), (11, 30)]));
        let once = Removed {
            stream: idle,
            file: None,
            numbers: Some((1, 30)),
        };
        assert_eq!(details(&carried[0]), [once]);
        // Of streams that are gone, nothing is carried on.
        let carried = carried_on(&log, &[&stem], &BTreeSet::new());
        assert!(carried.unwrap().is_empty());
    }
}
