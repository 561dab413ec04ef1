//! Writes a webhook's dead letters anew: without what arrived since, without the copies that an
//! older version made of entries that the log still has, and no more than a bound.
//!
//! The removal of dead letters for the bound, or with their webhook, is recorded durably first
//! (`audit.delivery.dead_letters_removed`). The order: lock the file that grows → write a new one →
//! sync it → rename it into place → sync the directory → remove the older version's files. After a
//! death in between, the last line about a delivery is still the one that counts.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
};

use super::{
    Kept,
    files::{self, Header, LetterFile},
    index, read,
};
use crate::{
    entry::{OwnEntry, Severity, Timestamp},
    error::{Error, Result},
    journal::UnsharedFile,
    query::AuditReader,
    store::{fs::OsFs, layout::Layout, tmp},
    webhook::{
        queue::{contents::Contents, lines},
        settings::stored,
    },
};

/// A webhook's dead letters take no more bytes: some hundred thousand of single entries.
const MOST_BYTES: u64 = 64 << 20;

/// Records an entry of the log's own; durable on return.
type Record<'a> = &'a dyn Fn(&OwnEntry) -> Result<()>;

/// Tidies the dead letters of all webhooks; for the dispatcher. A problem with those of one webhook
/// doesn't keep the others from being tidied.
pub(in crate::webhook) fn tidy_all(reader: &AuditReader, record: Record<'_>) -> Result<()> {
    let layout = reader.layout();
    let all = files::all(layout)?;
    if all.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = stored::read(layout)?
        .iter()
        .map(|webhook| webhook.key())
        .collect();
    let mut done = Ok(());
    for (key, files) in all {
        let tidied = if known.contains(&key) {
            tidy(reader, &key, &files, MOST_BYTES, record)
        } else {
            remove(layout, &key, &files, record)
        };
        done = done.and(tidied);
    }
    done
}

/// Removes the dead letters of a webhook that there is no longer.
fn remove(layout: &Layout, key: &str, files: &[LetterFile], record: Record<'_>) -> Result<()> {
    let mut removed = Removed::default();
    for at in index(layout, key)? {
        if let Some(letter) = read(layout, key, at).ok().flatten() {
            removed.add(&letter);
        }
    }
    removed.record(key, "webhook_removed", record)?;
    remove_files(layout, files)
}

pub(super) fn tidy(
    reader: &AuditReader,
    key: &str,
    files: &[LetterFile],
    most: u64,
    record: Record<'_>,
) -> Result<()> {
    let layout = reader.layout();
    let len: u64 = files.iter().map(|file| file.len).sum();
    let is_older = files.iter().any(|file| file.number > 0);
    let generation = files::generation(layout, key)?;
    if !is_older && generation > 0 && len <= most {
        return Ok(());
    }
    let Some(_locked) = lock(files)? else {
        return Ok(());
    };
    let mut lines = Vec::new();
    for at in index(layout, key)? {
        match read(layout, key, at) {
            Ok(Some(letter)) => lines.push((letter.without_copies(reader)?.line(), at)),
            Ok(None) => {}
            // A line that can't be read is no letter.
            Err(Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut len: u64 = lines.iter().map(|(line, _)| line.len() as u64 + 1).sum();
    let mut removed = Removed::default();
    let mut kept = lines.into_iter().peekable();
    // Some room is made at a time, so that it isn't done for each line.
    let enough = if len > most { most / 4 * 3 } else { most };
    while len > enough
        && let Some((line, at)) = kept.next()
    {
        len -= line.len() as u64 + 1;
        if let Some(letter) = read(layout, key, at)? {
            removed.add(&letter);
        }
    }
    removed.record(key, "total_bytes", record)?;
    let header = Header {
        generation: generation + 1,
    };
    let mut text = serde_json::to_vec(&header).expect("a number is always JSON");
    text.push(b'\n');
    for (line, _) in kept {
        text.extend(line);
        text.push(b'\n');
    }
    let path = files::path(layout, key, 0);
    tmp::replace(&OsFs, &path, &text, true).map_err(Error::io("write", &path))?;
    let older: Vec<&LetterFile> = files.iter().filter(|file| file.number > 0).collect();
    remove_files(layout, older)
}

/// Locks the file that grows, so that nothing is added meanwhile. `None` if there is another by
/// now.
fn lock(files: &[LetterFile]) -> Result<Option<UnsharedFile>> {
    let Some(last) = files.last() else {
        return Ok(None);
    };
    let lock = || -> io::Result<Option<UnsharedFile>> {
        let file = UnsharedFile::open(|| File::open(&last.path))?;
        file.lock()?;
        Ok((file.metadata()?.nlink() > 0).then_some(file))
    };
    lock().map_err(Error::io("lock", &last.path))
}

fn remove_files<'a>(
    layout: &Layout,
    files: impl IntoIterator<Item = &'a LetterFile>,
) -> Result<()> {
    for file in files {
        match fs::remove_file(&file.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(Error::io("remove", &file.path))?,
        }
    }
    let dir = files::dir(layout);
    lines::sync(&dir).map_err(Error::io("sync", &dir))
}

impl Kept {
    /// Without the copies of its entries, if the log has them all.
    fn without_copies(mut self, reader: &AuditReader) -> Result<Self> {
        let contents = self.contents();
        self.entries.clear();
        if contents.copies.is_empty() {
            return Ok(Self { contents, ..self });
        }
        let places = Contents {
            copies: Vec::new(),
            ..contents.clone()
        };
        let (found, missing) = places.read(reader)?;
        self.contents = if missing == 0 && found.len() == contents.copies.len() {
            places
        } else {
            contents
        };
        if self.ranges.is_empty() {
            self.ranges = super::ranges(&self.contents.read(reader)?.0);
        }
        Ok(self)
    }
}

/// What is recorded of dead letters that are removed.
#[derive(Default)]
struct Removed {
    deliveries: u64,
    entries: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Removed {
    fn add(&mut self, letter: &Kept) {
        self.deliveries += 1;
        self.entries += letter.contents().len() as u64;
        self.first.get_or_insert(letter.given_up);
        self.last = Some(letter.given_up);
    }

    fn record(self, key: &str, reason: &str, record: Record<'_>) -> Result<()> {
        if self.deliveries == 0 {
            return Ok(());
        }
        let webhook = key.rsplit_once('.').map_or(key, |(name, _)| name);
        let entry = OwnEntry::new(
            "audit.delivery.dead_letters_removed",
            Severity::Warning,
            "Dead letters of a webhook were removed",
        );
        let entry = entry
            .detail("webhook", webhook)
            .detail("entries", self.entries)
            .detail("deliveries", self.deliveries)
            .detail("reason", reason)
            .detail("first_given_up", self.first)
            .detail("last_given_up", self.last);
        record(&entry)
    }
}
