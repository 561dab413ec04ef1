//! Where an entry stands, and how far each stream was read: the state of a follower that outlives
//! its process.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
#[cfg(feature = "webhook")]
use serde::{Deserializer, Serializer};

use super::{
    entry::RawEntry,
    tail::{END, Follow},
};
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
        let damaged = || {
            Error::damaged(
                &*place.file,
                format!("there is no entry at byte {} of its text", place.offset),
            )
        };
        if !self.has(place) {
            let stem: FileStem = place.file.parse()?;
            if let Some(live) = files.open_live(&stem)?
                && place.offset + u64::from(place.len) <= live.len
            {
                live.read(place.offset, place.len as usize, &mut self.line)?;
                return RawEntry::from_line(&self.line)
                    .ok_or_else(damaged)
                    .map(Some);
            }
            self.file = None;
            let Some(sealed) = files.readable(&stem)? else {
                return Ok(None);
            };
            let Some(blob) = if_there(files.open_sealed(&stem))? else {
                return Ok(None);
            };
            let holds = |block: &&crate::store::index::Block| {
                block.plain_offset <= place.offset
                    && place.offset < block.plain_offset + u64::from(block.plain_len)
            };
            let block = *sealed.index.blocks.iter().find(holds).ok_or_else(damaged)?;
            Unpacker::new().block(&*blob, &block, &mut self.plain)?;
            self.file = Some(Arc::clone(&place.file));
            self.begin = block.plain_offset;
        }
        let at = (place.offset - self.begin) as usize;
        let line = self.plain.get(at..at + place.len as usize);
        let line = line.ok_or_else(damaged)?;
        RawEntry::from_line(line).ok_or_else(damaged).map(Some)
    }

    fn has(&self, place: &Place) -> bool {
        self.file.as_deref() == Some(&*place.file)
            && (self.begin..self.begin + self.plain.len() as u64).contains(&place.offset)
    }
}
