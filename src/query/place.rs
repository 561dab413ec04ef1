//! Where an entry stands, where several stand, and how far each stream was read: the state of a
//! follower that outlives its process.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
#[cfg(feature = "webhook")]
use serde::{Deserializer, Serializer};

use super::{
    entry::RawEntry,
    tail::{END, Follow},
};
#[cfg(feature = "webhook")]
use crate::{entry::Seq, store::summary::lines};
use crate::{error::Result, store::names::FileStem};
#[cfg(any(feature = "webhook", test))]
use crate::{
    error::{Error, if_there},
    store::{files::Files, gzip::Unpacker},
};

/// Where an entry stands: as long as the log has it, there, in the live file as in its sealed twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's name, without its ending.
    file: Arc<str>,
    /// Where the line begins in the file's text.
    offset: u64,
    /// How long the line is, without its LF.
    len: u32,
}

impl Place {
    pub(super) fn new(file: &Arc<str>, offset: u64, len: usize) -> Self {
        Self {
            file: Arc::clone(file),
            offset,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }

    /// How long the line is, without its LF.
    #[cfg(feature = "webhook")]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }
}

/// Places as they are kept: each file's name once for all the places in a row that are in it.
#[cfg(feature = "webhook")]
#[derive(Serialize, Deserialize)]
struct InFile {
    file: String,
    at: Vec<(u64, u32)>,
}

#[cfg(feature = "webhook")]
pub(crate) fn write_places<S: Serializer>(
    places: &[Place],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let runs = places.chunk_by(|a, b| a.file == b.file);
    serializer.collect_seq(runs.map(|run| {
        InFile {
            file: run
                .first()
                .map(|place| place.file.to_string())
                .unwrap_or_default(),
            at: run.iter().map(|place| (place.offset, place.len)).collect(),
        }
    }))
}

#[cfg(feature = "webhook")]
pub(crate) fn read_places<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<Place>, D::Error> {
    let mut places = Vec::new();
    for InFile { file, at } in Vec::<InFile>::deserialize(deserializer)? {
        let file: Arc<str> = file.into();
        places.extend(at.into_iter().map(|(offset, len)| Place {
            file: Arc::clone(&file),
            offset,
            len,
        }));
    }
    Ok(places)
}

/// Entries of one file, which follow each other in runs.
#[cfg(feature = "webhook")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs {
    /// The file's name, without its ending.
    file: String,
    runs: Vec<Run>,
}

/// Entries that follow each other: their lines stand in a row, and their numbers too.
#[cfg(feature = "webhook")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
struct Run {
    /// Where the first line begins in the file's text.
    offset: u64,
    /// How long the lines are, with their LFs.
    len: u64,
    /// The number of the first entry.
    seq: u64,
    count: u64,
}

#[cfg(feature = "webhook")]
impl From<[u64; 4]> for Run {
    fn from([offset, len, seq, count]: [u64; 4]) -> Self {
        Self {
            offset,
            len,
            seq,
            count,
        }
    }
}

#[cfg(feature = "webhook")]
impl From<Run> for [u64; 4] {
    fn from(run: Run) -> Self {
        [run.offset, run.len, run.seq, run.count]
    }
}

#[cfg(feature = "webhook")]
impl Runs {
    /// The runs of these entries, which stand at these places, file by file in their order.
    pub(crate) fn of(places: &[Place], entries: &[RawEntry]) -> Vec<Self> {
        let mut files: Vec<Self> = Vec::new();
        for (place, entry) in places.iter().zip(entries) {
            match files.last_mut() {
                Some(last) if *last.file == *place.file => last.push(place, entry.seq().0),
                _ => {
                    let mut file = Self {
                        file: place.file.to_string(),
                        runs: Vec::new(),
                    };
                    file.push(place, entry.seq().0);
                    files.push(file);
                }
            }
        }
        files
    }

    fn push(&mut self, place: &Place, seq: u64) {
        let len = u64::from(place.len) + 1;
        if let Some(last) = self.runs.last_mut()
            && last.offset + last.len == place.offset
            && last.seq + last.count == seq
        {
            last.len += len;
            last.count += 1;
            return;
        }
        self.runs.push(Run {
            offset: place.offset,
            len,
            seq,
            count: 1,
        });
    }

    /// The file that they are in; an error if no file of a log has such a name.
    pub(crate) fn file(&self) -> Result<FileStem> {
        self.file.parse()
    }

    /// How many entries they are.
    pub(crate) fn count(&self) -> u64 {
        let counts = self.runs.iter().map(|run| run.count);
        counts.fold(0, u64::saturating_add)
    }

    /// The numbers of the entries, in order.
    pub(crate) fn seqs(&self) -> impl Iterator<Item = u64> {
        let seqs = |run: &Run| run.seq..run.seq.saturating_add(run.count);
        self.runs.iter().flat_map(seqs)
    }

    /// The entries that still stand there.
    pub(super) fn read(&self, files: &Files) -> Result<Vec<RawEntry>> {
        let file: Arc<str> = self.file.as_str().into();
        let mut last = LastBlock::default();
        let mut entries = Vec::new();
        for run in &self.runs {
            let mut at = run.offset;
            let end = run.offset.saturating_add(run.len);
            while at < end {
                let text = last.text(files, &file, at, end - at)?;
                let Some(text) = text.filter(|text| !text.is_empty()) else {
                    return Ok(entries);
                };
                entries.extend(lines(text).filter_map(RawEntry::from_line));
                at += text.len() as u64;
            }
        }
        Ok(entries)
    }
}

/// An entry, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) entry: RawEntry,
    #[cfg_attr(
        not(any(feature = "webhook", test)),
        expect(dead_code, reason = "only webhooks keep where an entry stands")
    )]
    pub(crate) place: Place,
}

/// How far each stream was read, by the stream's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Places(pub(super) BTreeMap<String, StreamPlace>);

/// How far one stream was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPlace {
    /// The name of the file that is being read.
    pub(super) file: String,
    /// Where the next line begins in its text; without, all of it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
    /// The number of the last entry.
    pub(super) seq: u64,
}

#[cfg(feature = "webhook")]
impl Places {
    /// Whether the entry with this number was read in this stream.
    pub(crate) fn have_read(&self, stream: &str, seq: Seq) -> bool {
        self.0.get(stream).is_some_and(|place| {
            // A follower that began at the end of a sealed file knows no number.
            let is_at_the_end = place.offset.is_none() && place.seq == 0;
            is_at_the_end || seq.0 <= place.seq
        })
    }
}

impl StreamPlace {
    /// To go on from there.
    pub(super) fn follow(&self) -> Result<Follow> {
        let stem: FileStem = self.file.parse()?;
        Ok(Follow::at(stem, self.offset.unwrap_or(END), self.seq))
    }
}

/// The entries at these places; `None` where the file is gone. Entries of one block that follow
/// each other are read with it.
#[cfg(any(feature = "webhook", test))]
pub(super) fn read(files: &Files, places: &[Place]) -> Vec<Result<Option<RawEntry>>> {
    let mut last = LastBlock::default();
    let read = places.iter().map(|place| last.read(files, place));
    read.collect()
}

/// The block of a sealed file that was read last.
#[cfg(any(feature = "webhook", test))]
#[derive(Default)]
struct LastBlock {
    file: Option<Arc<str>>,
    begin: u64,
    plain: Vec<u8>,
    line: Vec<u8>,
}

#[cfg(any(feature = "webhook", test))]
impl LastBlock {
    fn read(&mut self, files: &Files, place: &Place) -> Result<Option<RawEntry>> {
        let len = u64::from(place.len);
        let Some(line) = self.text(files, &place.file, place.offset, len)? else {
            return Ok(None);
        };
        let entry = (line.len() as u64 == len).then(|| RawEntry::from_line(line));
        let entry = entry.flatten();
        entry
            .map(Some)
            .ok_or_else(|| damaged(&place.file, place.offset))
    }

    /// So many bytes of a file's text, but none behind the end of the block that they begin in.
    /// `None` if the file is gone.
    fn text(
        &mut self,
        files: &Files,
        file: &Arc<str>,
        offset: u64,
        len: u64,
    ) -> Result<Option<&[u8]>> {
        if !self.has(file, offset) {
            let stem: FileStem = file.parse()?;
            if let Some(live) = files.open_live(&stem)?
                && offset.saturating_add(len) <= live.len
            {
                live.read(offset, len as usize, &mut self.line)?;
                return Ok(Some(&self.line));
            }
            self.file = None;
            let Some(sealed) = files.readable(&stem)? else {
                return Ok(None);
            };
            let Some(blob) = if_there(files.open_sealed(&stem))? else {
                return Ok(None);
            };
            let holds = |block: &&crate::store::index::Block| {
                block.plain_offset <= offset
                    && offset < block.plain_offset + u64::from(block.plain_len)
            };
            let block = sealed.index.blocks.iter().find(holds);
            let block = *block.ok_or_else(|| damaged(file, offset))?;
            Unpacker::new().block(&*blob, &block, &mut self.plain)?;
            self.file = Some(Arc::clone(file));
            self.begin = block.plain_offset;
        }
        let rest = self.plain.get((offset - self.begin) as usize..);
        let rest = rest.ok_or_else(|| damaged(file, offset))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(rest.get(..len.min(rest.len())))
    }

    fn has(&self, file: &Arc<str>, offset: u64) -> bool {
        self.file.as_deref() == Some(&**file)
            && (self.begin..self.begin + self.plain.len() as u64).contains(&offset)
    }
}

#[cfg(any(feature = "webhook", test))]
fn damaged(file: &str, offset: u64) -> Error {
    Error::damaged(
        file,
        format!("there is no entry at byte {offset} of its text"),
    )
}
