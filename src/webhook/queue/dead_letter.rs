//! What could not be delivered: one line for each request, with its entries as they were stored, in
//! the files of `state/dead-letters/`.
//!
//! A file only grows: that a request was delivered after all is another line, and it is dead no
//! more. A line that a death cut off is no line; what it would have said is still in the queue.
//! The oldest files go as a whole, see `prune`.

mod age;
mod files;
pub(in crate::webhook) mod prune;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    entry::{
        Timestamp,
        json::{Json, check, members},
    },
    error::{Error, Result},
    query::Entry,
    store::{access, layout::Layout},
    webhook::settings::stored,
};

/// A request that was given up: its entries are not sent again unless they are
/// [replayed](crate::webhook::Replay).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The request's id, which a replay keeps.
    #[serde(alias = "webhook_id")]
    pub delivery_id: String,
    /// The webhook's name.
    #[serde(alias = "endpoint")]
    pub webhook: String,
    /// When it was given up, by RFC 3339.
    pub given_up: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    #[serde(alias = "why")]
    pub reason: String,
    /// Its entries, as they stand in the log.
    #[serde(deserialize_with = "entries")]
    pub entries: Vec<Entry>,
}

/// Where a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::webhook) struct At {
    /// In all the files together: see `files`.
    pub(in crate::webhook) offset: u64,
    pub(in crate::webhook) len: u32,
}

/// What is said of a line, without its entries.
#[derive(Deserialize)]
struct Head {
    #[serde(alias = "webhook_id")]
    delivery_id: String,
    #[serde(default)]
    delivered: Option<String>,
}

impl DeadLetter {
    pub(in crate::webhook) fn new(
        webhook: &str,
        id: &str,
        attempts: u32,
        reason: &str,
        entries: &[Entry],
    ) -> Self {
        Self {
            delivery_id: id.to_owned(),
            webhook: webhook.to_owned(),
            given_up: Timestamp::now().to_string(),
            attempts,
            reason: reason.to_owned(),
            entries: entries
                .iter()
                .filter(|entry| check(entry.line()).is_ok())
                .cloned()
                .collect(),
        }
    }

    /// Puts it aside; durable on return. A death just after it puts the request aside twice, never
    /// not at all.
    pub(in crate::webhook) fn append(&self, layout: &Layout, key: &str) -> Result<()> {
        write(
            layout,
            key,
            serde_json::to_vec(self).expect("texts, numbers and entries are always JSON"),
        )
    }
}

/// The entries of a dead letter, as they are read from its file.
fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    let entries = Vec::<Json>::deserialize(deserializer)?;
    Ok(entries
        .iter()
        .filter_map(|entry| Entry::from_line(entry.to_string().as_bytes()))
        .collect())
}

/// Notes that a request is delivered after all; durable on return.
pub(in crate::webhook) fn delivered(layout: &Layout, key: &str, id: &str) -> Result<()> {
    write(
        layout,
        key,
        members! { "delivery_id": id, "delivered": Timestamp::now().to_string() }
            .to_string()
            .into_bytes(),
    )
}

fn write(layout: &Layout, key: &str, mut line: Vec<u8>) -> Result<()> {
    let dir = files::dir(layout);
    access::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    line.push(b'\n');
    loop {
        let path = files::current(layout, key, Timestamp::now())?;
        let write = || -> io::Result<bool> {
            let file = access::open_private(&path, OpenOptions::new().append(true).read(true))?;
            // Others of this webhook may be put aside at the same time, and what is old goes.
            file.lock()?;
            if file.metadata()?.nlink() == 0 {
                return Ok(false);
            }
            add(&file, &line, |mut file, text| {
                file.write_all(text).and_then(|()| file.sync_all())
            })?;
            files::sync(&dir)?;
            Ok(true)
        };
        if write().map_err(Error::io("write", &path))? {
            return Ok(());
        }
    }
}

/// Adds a line to a file that is locked. What a failure leaves of it is taken back: it is tried
/// again, and a full disk has no room for pieces.
fn add(
    file: &File,
    line: &[u8],
    write: impl FnOnce(&File, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let len = file.metadata()?.len();
    let mut last = [b'\n'];
    if len > 0 {
        file.read_exact_at(&mut last, len - 1)?;
    }
    let added = if last == *b"\n" {
        write(file, line)
    } else {
        // A death cut the last line off; it must not take this one with it.
        write(file, &[b"\n", line].concat())
    };
    if added.is_err() {
        // If that fails as well, the next line begins anew.
        let _ = file.set_len(len);
    }
    added
}

/// The place behind the last letter.
pub(in crate::webhook) fn end(layout: &Layout, key: &str) -> Result<u64> {
    Ok(files::of(layout, key)?
        .last()
        .map_or(0, |last| last.start() + last.len))
}

/// The letters that are dead, in the order in which they were first put aside. One request that was
/// put aside again counts once.
pub(in crate::webhook) fn index(layout: &Layout, key: &str) -> Result<Vec<At>> {
    let mut index = Index::default();
    for file in files::of(layout, key)? {
        match File::open(&file.path) {
            // It was pruned meanwhile.
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
    /// By id: the how manyeth letter it was, and where its last line is while it is dead.
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
                known.1 = if head.delivered.is_some() {
                    None
                } else {
                    Some(at)
                };
            }
            offset += len as u64;
        }
    }
}

/// The letter at a place; `None` if it was pruned.
pub(in crate::webhook) fn read(layout: &Layout, key: &str, at: At) -> Result<Option<DeadLetter>> {
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

/// Some of the dead letters of a webhook, the oldest first, and how many there are.
pub(crate) fn letters(
    layout: &Layout,
    name: &str,
    skip: usize,
    most: usize,
) -> Result<(usize, Vec<DeadLetter>)> {
    let Some(webhook) = stored::find(layout, name)? else {
        return Ok((0, Vec::new()));
    };
    of_key(layout, &webhook.key(), skip, most)
}

fn of_key(
    layout: &Layout,
    key: &str,
    skip: usize,
    most: usize,
) -> Result<(usize, Vec<DeadLetter>)> {
    let index = index(layout, key)?;
    let found = index
        .iter()
        .skip(skip)
        .take(most)
        .filter_map(|at| read(layout, key, *at).transpose())
        .collect::<Result<_>>()?;
    Ok((index.len(), found))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn letter(id: &str, reason: &str) -> DeadLetter {
        let line = r#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
        let entry = Entry::from_line(line.as_bytes()).unwrap();
        DeadLetter::new("e", id, 3, reason, &[entry])
    }

    #[test]
    fn what_was_delivered_since_is_dead_no_more_and_a_cut_line_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(of_key(&layout, "e.1", 0, 10).unwrap().0, 0);
        letter("a", "first").append(&layout, "e.1").unwrap();
        letter("b", "x").append(&layout, "e.1").unwrap();
        delivered(&layout, "e.1", "b").unwrap();
        letter("c", "x").append(&layout, "e.1").unwrap();
        letter("a", "again").append(&layout, "e.1").unwrap();
        let dead = |skip, most| {
            let (count, letters) = of_key(&layout, "e.1", skip, most).unwrap();
            (
                count,
                letters
                    .into_iter()
                    .map(|letter| letter.delivery_id + " " + &letter.reason)
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            dead(0, 10),
            (2, vec!["a again".to_owned(), "c x".to_owned()])
        );
        assert_eq!(dead(1, 10), (2, vec!["c x".to_owned()]));
        // A death in the middle of a line.
        let path = files::of(&layout, "e.1").unwrap().remove(0).path;
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(
            dead(0, 10),
            (2, vec!["a first".to_owned(), "c x".to_owned()])
        );
        letter("d", "x").append(&layout, "e.1").unwrap();
        assert_eq!(dead(0, 10).0, 3);
        let (_, mut found) = of_key(&layout, "e.1", 2, 1).unwrap();
        assert_eq!(found.remove(0).entries.len(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_no_piece() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        letter("a", "first").append(&layout, "e.1").unwrap();
        let path = files::of(&layout, "e.1").unwrap().remove(0).path;
        let before = fs::read(&path).unwrap();
        let full = |mut file: &File, text: &[u8]| {
            file.write_all(&text[..text.len() / 2])?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let file = File::options().append(true).read(true).open(&path).unwrap();
        for _ in 0..3 {
            assert!(add(&file, b"{}\n", full).is_err());
            assert_eq!(fs::read(&path).unwrap(), before);
        }
    }
}
