//! Deliveries that were given up: one line for each, in `state/dead-letters/<name>.<id>.jsonl`.
//!
//! A dead letter is a place in the log and no copy: it says which entries the delivery had, and
//! why it was given up. It can be replayed as long as the log still has them. Dead letters hold up
//! no retention; one whose entries are gone stays, and says so.
//!
//! The file only grows: that a delivery arrived after all is another line, and it is dead no
//! longer. A line that a death cut off is none; the queue still has what it would have said. Now
//! and then the file is written anew, see `tidy`.
//!
//! An older version kept copies of the entries, in files with numbers. They are read as they are.
//! Where `tidy` finds the entries in the log, it lets go of the copies; it keeps those of entries
//! that the log no longer has, so that they can still be replayed.

mod files;
mod tidy;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
};

use serde::{Deserialize, Serialize};

use crate::{
    entry::{
        Seq, StreamId, Timestamp,
        json::{Json, members},
    },
    error::{Error, Result},
    journal::UnsharedFile,
    query::{AuditReader, RawEntry},
    store::{access, layout::Layout},
    webhook::{
        queue::{contents::Contents, lines},
        settings::stored,
    },
};

pub(in crate::webhook) use tidy::tidy_all;

/// A delivery that was given up: its entries are not sent again unless they are
/// [replayed](crate::webhook::Replay).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The delivery's id, which a replay keeps.
    pub delivery_id: String,
    /// The webhook's name.
    pub webhook: String,
    /// The time at which it was given up.
    pub given_up: Timestamp,
    /// The number of attempts.
    pub attempts: u32,
    /// The reason, in a sentence.
    pub reason: String,
    /// The places of its entries in the log.
    pub places: Vec<EntryRange>,
    /// Its entries, as far as the log still has them.
    pub entries: Vec<RawEntry>,
    /// The number of its entries that the log no longer has. If there are any, the delivery can't
    /// be replayed.
    pub missing: usize,
}

impl DeadLetter {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.line().len()).sum()
    }
}

/// Entries that follow each other in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryRange {
    /// The stream.
    pub stream: StreamId,
    /// The number of the first of them.
    pub first_seq: Seq,
    /// The number of the last of them.
    pub last_seq: Seq,
}

/// A dead letter as it is kept. Names in the aliases are an older version's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::webhook) struct Kept {
    #[serde(alias = "webhook_id")]
    pub(in crate::webhook) delivery_id: String,
    #[serde(alias = "endpoint")]
    webhook: String,
    pub(in crate::webhook) given_up: Timestamp,
    pub(in crate::webhook) attempts: u32,
    #[serde(alias = "why")]
    pub(in crate::webhook) reason: String,
    #[serde(default)]
    ranges: Vec<EntryRange>,
    #[serde(default)]
    contents: Contents,
    /// Copies of the entries, by an older version.
    #[serde(default, skip_serializing)]
    entries: Vec<Json>,
}

/// What a line says first.
#[derive(Deserialize)]
struct Head {
    #[serde(alias = "webhook_id")]
    delivery_id: String,
    #[serde(default)]
    delivered: Option<String>,
}

/// Where a dead letter stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhook) struct At {
    /// In all the files together: see `files`.
    pub(in crate::webhook) offset: u64,
    len: u32,
}

impl Kept {
    /// Of the entries of `contents`, these were found.
    pub(in crate::webhook) fn new(
        webhook: &str,
        delivery_id: &str,
        attempts: u32,
        reason: &str,
        contents: Contents,
        found: &[RawEntry],
    ) -> Self {
        Self {
            delivery_id: delivery_id.to_owned(),
            webhook: webhook.to_owned(),
            given_up: Timestamp::now(),
            attempts,
            reason: reason.to_owned(),
            ranges: ranges(found),
            contents,
            entries: Vec::new(),
        }
    }

    /// Keeps it; durable on return. A death just after it keeps the delivery twice, never not at
    /// all.
    pub(in crate::webhook) fn append(&self, layout: &Layout, key: &str) -> Result<()> {
        write(layout, key, self.line())
    }

    fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists are always JSON")
    }

    pub(in crate::webhook) fn contents(&self) -> Contents {
        if self.entries.is_empty() {
            self.contents.clone()
        } else {
            Contents::copied(self.entries.iter().map(Json::to_string).collect())
        }
    }

    fn look(self, reader: &AuditReader) -> Result<DeadLetter> {
        let (entries, missing) = self.contents().read(reader)?;
        Ok(DeadLetter {
            places: if self.ranges.is_empty() {
                ranges(&entries)
            } else {
                self.ranges
            },
            delivery_id: self.delivery_id,
            webhook: self.webhook,
            given_up: self.given_up,
            attempts: self.attempts,
            reason: self.reason,
            entries,
            missing,
        })
    }
}

/// Where entries stand.
fn ranges(entries: &[RawEntry]) -> Vec<EntryRange> {
    let mut ranges: Vec<EntryRange> = Vec::new();
    for entry in entries {
        let Ok(stream) = entry.stream().parse::<StreamId>() else {
            // The log writes no other names.
            continue;
        };
        let seq = entry.seq();
        match ranges.last_mut() {
            Some(last) if last.stream == stream && last.last_seq.next() == seq => {
                last.last_seq = seq;
            }
            _ => ranges.push(EntryRange {
                stream,
                first_seq: seq,
                last_seq: seq,
            }),
        }
    }
    ranges
}

/// Notes that a delivery arrived after all; durable on return.
pub(in crate::webhook) fn delivered(layout: &Layout, key: &str, id: &str) -> Result<()> {
    let delivered = members! { "delivery_id": id, "delivered": Timestamp::now().to_string() };
    write(layout, key, delivered.to_string().into_bytes())
}

fn write(layout: &Layout, key: &str, mut line: Vec<u8>) -> Result<()> {
    let dir = files::dir(layout);
    access::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    line.push(b'\n');
    loop {
        let path = files::last(layout, key)?;
        let write = || -> io::Result<bool> {
            let mut options = OpenOptions::new();
            options.append(true).read(true);
            // A child of `fork` that kept the file would hold its lock for as long as it lives.
            let file = UnsharedFile::open(|| access::open_private(&path, &options))?;
            // Other attempts may write at the same time, and the file may be replaced.
            file.lock()?;
            if file.metadata()?.nlink() == 0 {
                return Ok(false);
            }
            lines::add(&file, &line, |mut file, text| {
                file.write_all(text).and_then(|()| file.sync_all())
            })?;
            lines::sync(&dir)?;
            Ok(true)
        };
        if write().map_err(Error::io("write", &path))? {
            return Ok(());
        }
    }
}

/// The place behind the last line.
pub(in crate::webhook) fn end(layout: &Layout, key: &str) -> Result<u64> {
    Ok(files::of(layout, key)?
        .last()
        .map_or(0, |last| last.start() + last.len))
}

/// How often the file was written anew: then all places in it are others.
pub(in crate::webhook) fn generation(layout: &Layout, key: &str) -> Result<u64> {
    files::generation(layout, key)
}

/// The dead letters there are, in the order in which they were first given up. A delivery that was
/// given up again counts once.
pub(in crate::webhook) fn index(layout: &Layout, key: &str) -> Result<Vec<At>> {
    let mut index = Index::default();
    for file in files::of(layout, key)? {
        match File::open(&file.path) {
            // It was written anew meanwhile, in another one.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => opened
                .and_then(|opened| index.add(file.start(), BufReader::new(opened)))
                .map_err(Error::io("read", &file.path))?,
        }
    }
    let mut found: Vec<(usize, At)> = index
        .dead
        .into_values()
        .filter_map(|(order, at)| Some((order, at?)))
        .collect();
    found.sort_unstable_by_key(|(order, _)| *order);
    Ok(found.into_iter().map(|(_, at)| at).collect())
}

#[derive(Default)]
struct Index {
    /// By id: in which order it was first given up, and where its last line is while it is dead.
    dead: HashMap<String, (usize, Option<At>)>,
}

impl Index {
    /// Adds the lines of a file that begins at this place.
    fn add(&mut self, start: u64, mut file: BufReader<File>) -> io::Result<()> {
        let (mut offset, mut line) = (start, Vec::new());
        loop {
            line.clear();
            let len = file.read_until(b'\n', &mut line)?;
            if len == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            if let Ok(head) = serde_json::from_slice::<Head>(&line) {
                let at = At {
                    offset,
                    len: u32::try_from(len - 1).unwrap_or(u32::MAX),
                };
                let order = self.dead.len();
                let known = self.dead.entry(head.delivery_id).or_insert((order, None));
                known.1 = head.delivered.is_none().then_some(at);
            }
            offset += len as u64;
        }
    }
}

/// The dead letter at a place; `None` if the file was written anew.
pub(in crate::webhook) fn read(layout: &Layout, key: &str, at: At) -> Result<Option<Kept>> {
    let (path, offset) = files::locate(layout, key, at.offset);
    let read = || -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.take(u64::from(at.len)).read_to_end(&mut line)?;
        Ok(line)
    };
    let line = match read() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(Error::io("read", &path))?,
    };
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|e| Error::damaged(&path, format!("at byte {offset}: {e}")))
}

/// The contents of the dead letter with this id; empty if there is none.
pub(in crate::webhook) fn contents_of(layout: &Layout, key: &str, id: &str) -> Result<Contents> {
    for at in index(layout, key)? {
        if let Some(letter) = read(layout, key, at)?.filter(|letter| letter.delivery_id == id) {
            return Ok(letter.contents());
        }
    }
    Ok(Contents::default())
}

/// Whether the delivery with this id is dead.
pub(in crate::webhook) fn is_dead(layout: &Layout, key: &str, id: &str) -> Result<bool> {
    Ok(!contents_of(layout, key, id)?.is_empty())
}

/// The part of a webhook's dead letters that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LetterPage {
    pub(crate) skip: usize,
    pub(crate) most: usize,
    /// The most bytes that their entries have together. One dead letter is always given, however
    /// long it is.
    pub(crate) most_bytes: usize,
}

/// Some of the dead letters of a webhook, the oldest first, and how many there are.
pub(crate) fn dead_letters(
    reader: &AuditReader,
    name: &str,
    page: LetterPage,
) -> Result<(usize, Vec<DeadLetter>)> {
    let layout = reader.layout();
    let Some(webhook) = stored::find(layout, name)? else {
        return Ok((0, Vec::new()));
    };
    let key = webhook.key();
    let index = index(layout, &key)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    for at in index.iter().skip(page.skip).take(page.most) {
        let Some(letter) = read(layout, &key, *at)? else {
            continue;
        };
        let letter = letter.look(reader)?;
        bytes += letter.bytes();
        if bytes > page.most_bytes && !found.is_empty() {
            break;
        }
        found.push(letter);
    }
    Ok((index.len(), found))
}

#[cfg(test)]
mod tests;
