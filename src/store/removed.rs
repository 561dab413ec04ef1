//! What the log records about files that pruning removed, and how that outlives its own removal.
//!
//! An entry `audit.log.pruned` is removed like any other when its time has come. Its stream, or the
//! one that it tells of, may still go on then: a process that was idle for long, or a file that is
//! held. Without that entry nothing would say why the stream doesn't begin with entry 1, and it
//! would look like tampering. So before a file goes, what it says about streams that still have
//! files is recorded again.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use serde_json::Value;

use super::{
    blob::FileBlob,
    files::{Files, dirs},
    fs::{self, Fs},
    gzip::Unpacker,
    index::{Blooms, Key},
    layout::{Layout, SEALED},
    names::FileStem,
    numbers::Numbers,
    prune_intent::Intents,
    rebuild::{read_index, rebuild},
    summary::lines,
};
use crate::{
    error::{Error, Result},
    record::{
        OwnRecord, Severity, StreamId,
        json::{Members, members},
        scan::scan,
    },
};

/// The type of the entries that tell of removed files.
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

/// What the `details` of an entry of the type [`PRUNED`] say.
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
) -> Vec<OwnRecord> {
    let mut earlier: BTreeMap<StreamId, Numbers> = BTreeMap::new();
    for file in files {
        // What can't be read is lost with its file.
        for Removed {
            stream, numbers, ..
        } in told_in(&**log.fs(), log.layout(), file).unwrap_or_default()
        {
            if let Some((first, last)) = numbers.filter(|_| goes_on.contains(&stream)) {
                earlier.entry(stream).or_default().add(first, last);
            }
        }
    }
    let rows = |(stream, numbers): (&StreamId, &Numbers)| {
        let row = |(first, last)| members! { "stream": stream.as_str(), "first_seq": first, "last_seq": last };
        let ranges = numbers.within(0, u64::MAX);
        ranges.into_iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<Members> = earlier.iter().flat_map(rows).collect();
    let entry = |rows: &[Members]| {
        let description = "Entries that recorded earlier removals are removed themselves";
        OwnRecord::new(PRUNED, Severity::Info, description).detail("earlier", rows)
    };
    rows.chunks(ROWS).map(entry).collect()
}

/// The numbers of a stream's entries whose removal is recorded: the first and the last of each row.
pub(super) fn numbers_of(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
) -> Result<Vec<(u64, u64)>> {
    let mut told = Vec::new();
    for entry in Intents::new(fs, layout).owed()? {
        let entry: Value = serde_json::from_slice(&[b"{", &*entry].concat()).unwrap_or_default();
        told.extend(removed(entry["details"].to_string().as_bytes()));
    }
    for stem in dirs::live(fs, layout)?.into_keys() {
        let path = layout.live(&stem);
        let text = fs::read(fs, &path).map_err(Error::io("read", path))?;
        told.extend(told_by(&text));
    }
    for stem in dirs::all_sealed(fs, layout)? {
        told.extend(told_in(fs, layout, &stem)?);
    }
    let ours = told.into_iter().filter(|row| row.stream == *stream);
    Ok(ours.filter_map(|row| row.numbers).collect())
}

/// What lines tell of removals.
fn told_by(text: &[u8]) -> Vec<Removed> {
    let finder = memmem::Finder::new(PRUNED);
    let told = lines(text).filter(|line| finder.find(line).is_some());
    let told = told.filter_map(scan);
    told.filter(|fields| fields.event_type == PRUNED.as_bytes())
        .flat_map(|fields| removed(fields.details))
        .collect()
}

/// What the entries in a sealed file tell of removals. Reads only blocks that may have such entries.
fn told_in(fs: &dyn Fs, layout: &Layout, file: &FileStem) -> Result<Vec<Removed>> {
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
    let (mut told, mut plain, mut unpacker) = (Vec::new(), Vec::new(), Unpacker::new());
    for (n, block) in index.blocks.iter().enumerate() {
        if own.may_contain(n, source) {
            unpacker.block(&blob, block, &mut plain)?;
            told.extend(told_by(&plain));
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::store::{gzip::Level, samples, seal::seal, sim::SimFs};

    fn entry(seq: u64, own: &OwnRecord) -> Vec<u8> {
        let mut line = format!(r#"{{"stream":"billing-7f3a9c","seq":{seq},"#).into_bytes();
        line.extend(own.render(&"billing".parse().unwrap()));
        line.push(b'\n');
        line
    }

    fn details(own: &OwnRecord) -> Vec<Removed> {
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
        let first = OwnRecord::new(PRUNED, Severity::Info, "")
            .detail("files", vec![row(file.to_string(), 1, 10), row(gone, 1, 5)]);
        let second = OwnRecord::new(PRUNED, Severity::Info, "").detail(
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
        let carried = carried_on(&log, &[&stem], &BTreeSet::from([idle.clone()]));
        assert_eq!(carried.len(), 1, "{carried:?}");
        // Also for a recovery, which would take them for lost.
        let known = numbers_of(&**log.fs(), log.layout(), &idle);
        let known: BTreeSet<_> = known.unwrap().into_iter().collect();
        assert_eq!(known, BTreeSet::from([(1, 10), (11, 30)]));
        let once = Removed {
            stream: idle,
            file: None,
            numbers: Some((1, 30)),
        };
        assert_eq!(details(&carried[0]), [once]);
        // Streams that are gone need no excuse.
        assert!(carried_on(&log, &[&stem], &BTreeSet::new()).is_empty());
    }
}
