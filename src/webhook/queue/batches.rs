//! The batches that were made for a webhook, `state/batches-<name>.<id>.jsonl`: a line for each
//! says under which id it is sent, and where its entries stand in the log. A replay sends the same
//! entries together, so they have the same id again.
//!
//! The order: make a delivery → *write its line* → save the queue → attempt. So the line of a
//! delivery that a receiver may have seen outlives the death of the process. A death before the
//! save leaves a line of a delivery that was never sent; its entries are put into others, whose
//! lines come later and count instead. Lines are not synced: a power cut may take the last ones,
//! and then a replay sends their entries under another id.
//!
//! No line has to be believed: an id says what is in a delivery, so a line whose entries have
//! another id is not used. A line that can't be written, on a full disk for example, waits for the
//! next save, and holds up nothing.
//!
//! Only the process that delivers writes here, one task for each webhook. Lines whose entries the
//! log no longer has are removed, and the oldest ones if there are too many.

mod known;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

pub(in crate::webhook) use self::known::KnownBatches;
use crate::{
    error::{Error, Result},
    journal::UnsharedFile,
    query::{AuditReader, RawEntry, Runs},
    store::{access, fs::OsFs, layout::Layout, tmp},
    webhook::queue::{Delivery, lines},
};

/// A webhook's lines take no more bytes: those of some 100,000 batches. When they do, a quarter of
/// them goes.
const MOST_BYTES: u64 = 16 << 20;
/// Lines that could not be written wait, so many bytes of them at most.
const MOST_UNWRITTEN: usize = 1 << 20;
/// No batch has more entries.
const MOST_ENTRIES: u64 = 1000;
/// How often lines of entries that the log no longer has are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// A batch that was made.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::webhook) struct MadeBatch {
    /// The delivery's id.
    pub(in crate::webhook) id: String,
    /// A digest of the format that its body was made in.
    pub(in crate::webhook) format: String,
    /// Where its entries stand, in their order.
    pub(in crate::webhook) entries: Vec<Runs>,
}

impl MadeBatch {
    /// `None` if the line is damaged.
    fn parse(line: &[u8]) -> Option<Self> {
        let made: Self = serde_json::from_slice(line).ok()?;
        (made.count() <= MOST_ENTRIES).then_some(made)
    }

    /// How many entries it has.
    pub(in crate::webhook) fn count(&self) -> u64 {
        let counts = self.entries.iter().map(Runs::count);
        counts.fold(0, u64::saturating_add)
    }

    /// Whether the batch has this entry.
    pub(in crate::webhook) fn has(&self, stream: &str, seq: u64) -> bool {
        let is_of = |runs: &Runs| runs.file().is_ok_and(|file| file.stream.as_str() == stream);
        let mut of_stream = self.entries.iter().filter(|runs| is_of(runs));
        of_stream.any(|runs| runs.seqs().any(|one| one == seq))
    }
}

impl Delivery {
    /// The line about a delivery of these entries; `None` if it isn't known where they stand.
    pub(in crate::webhook) fn line_of(
        &self,
        format: &str,
        entries: &[RawEntry],
    ) -> Option<Vec<u8>> {
        let places = &self.contents.places;
        if places.is_empty() || places.len() != entries.len() {
            return None;
        }
        let made = MadeBatch {
            id: self.id.clone(),
            format: format.to_owned(),
            entries: Runs::of(places, entries),
        };
        let mut line = serde_json::to_vec(&made).expect("texts, numbers and lists are always JSON");
        line.push(b'\n');
        Some(line)
    }
}

pub(in crate::webhook) fn path(layout: &Layout, key: &str) -> PathBuf {
    layout.state_dir().join(format!("batches-{key}.jsonl"))
}

/// Writes the lines of one webhook.
#[derive(Debug)]
pub(in crate::webhook) struct Batches {
    path: PathBuf,
    reader: AuditReader,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    unwritten: Vec<u8>,
    /// The last write failed, which was reported.
    refused: bool,
    tidied: Option<Instant>,
}

impl Batches {
    pub(in crate::webhook) fn new(key: &str, reader: AuditReader) -> Self {
        Self {
            path: path(reader.layout(), key),
            reader,
            lines: Mutex::default(),
        }
    }

    /// Notes the line of a delivery that was made, to be written with the next save.
    pub(in crate::webhook) fn note(&self, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.unwritten.len() + line.len() <= MOST_UNWRITTEN {
            lines.unwritten.extend_from_slice(line);
        }
    }

    /// Writes what was noted.
    pub(in crate::webhook) fn write(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.unwritten.is_empty() {
            return;
        }
        let written = self.append(&lines.unwritten);
        let written = written.map_err(Error::io("write", &self.path));
        let written = written.and_then(|len| {
            lines.unwritten.clear();
            let is_due = lines.tidied.is_none_or(|last| last.elapsed() >= TIDY_EVERY);
            if is_due || len > MOST_BYTES {
                lines.tidied = Some(Instant::now());
                self.tidy(MOST_BYTES)?;
            }
            Ok(())
        });
        let was_refused = lines.refused;
        lines.refused = written.is_err();
        if let Err(error) = written
            && !was_refused
        {
            tracing::warn!(
                target: "tracing_audit",
                "replays may send batches of a webhook under other ids: {error}"
            );
        }
    }

    /// Gives the file's length.
    fn append(&self, text: &[u8]) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        options.append(true).read(true);
        let file = UnsharedFile::open(|| access::open_private(&self.path, &options))?;
        lines::add(&file, text, |mut file, text| file.write_all(text))?;
        Ok(file.metadata()?.len())
    }

    /// Writes the file anew without the first lines, if the log no longer has their entries, or if
    /// all lines have more bytes than this.
    fn tidy(&self, most: u64) -> Result<()> {
        let text = fs::read(&self.path).map_err(Error::io("read", &self.path))?;
        let rest = recent(self.still_there(&text)?, most);
        if rest.len() == text.len() {
            return Ok(());
        }
        tmp::replace(&OsFs, &self.path, rest, true).map_err(Error::io("write", &self.path))
    }

    /// The text from the first line on of which the log has a file.
    fn still_there<'a>(&self, mut text: &'a [u8]) -> Result<&'a [u8]> {
        let files = self.reader.files().since(None)?;
        let is_there = |runs: &Runs| {
            let file = runs.file();
            file.is_ok_and(|file| files.live.contains_key(&file) || files.sealed.contains(&file))
        };
        while let Some((line, rest)) = split_line(text) {
            if MadeBatch::parse(line).is_some_and(|made| made.entries.iter().any(is_there)) {
                break;
            }
            text = rest;
        }
        Ok(text)
    }
}

/// The last lines, if all have more bytes than this: three quarters of so many.
fn recent(text: &[u8], most: u64) -> &[u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.len() <= most {
        return text;
    }
    let last = text.get(text.len() - most / 4 * 3..).unwrap_or_default();
    split_line(last).map_or(&[], |(_, rest)| rest)
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::{OwnEntry, Severity},
        testing::TestLog,
    };

    /// A line about a batch in this file.
    fn line(n: usize, file: &str) -> String {
        format!(r#"{{"id":"msg_{n:032x}","format":"f","entries":[{{"file":"{file}","runs":[]}}]}}"#)
    }

    fn batches(log: &TestLog) -> Batches {
        let reader = AuditReader::open(log.dir()).unwrap();
        Batches::new("e.1", reader)
    }

    fn kept(batches: &Batches) -> Vec<String> {
        let text = fs::read_to_string(&batches.path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_go_with_the_files_of_the_log_and_the_oldest_when_there_are_too_many() {
        let log = OneFile::new();
        let batches = batches(&log.log);
        let gone = line(0, "20261121T101500.123456Z-billing-7f3a9c04d1e2-00000042");
        let there: Vec<_> = (1..100).map(|n| line(n, &log.file)).collect();
        batches.note(format!("{gone}\nno line\n{gone}\n").as_bytes());
        batches.note(format!("{}\n", there.join("\n")).as_bytes());
        batches.write();
        assert_eq!(
            kept(&batches),
            there,
            "the first write looks after what is there"
        );
        let most = (there[0].len() as u64 + 1) * 40;
        batches.tidy(most).unwrap();
        assert_eq!(kept(&batches), there[99 - 29..]);
        batches.tidy(most).unwrap();
        assert_eq!(kept(&batches).len(), 29, "it has few enough");
    }

    #[test]
    fn lines_that_can_not_be_written_wait_and_hold_up_nothing() {
        let log = OneFile::new();
        let batches = batches(&log.log);
        // No file can be made there.
        fs::create_dir(&batches.path).unwrap();
        let first = line(1, &log.file);
        batches.note(format!("{first}\n").as_bytes());
        batches.write();
        let more = vec![b'x'; MOST_UNWRITTEN];
        batches.note(&more);
        fs::remove_dir(&batches.path).unwrap();
        batches.write();
        assert_eq!(
            kept(&batches),
            [first],
            "what is too much is not kept in memory"
        );
    }

    /// A log, and the name of its file.
    struct OneFile {
        log: TestLog,
        file: String,
    }

    impl OneFile {
        fn new() -> Self {
            let log = crate::AuditLog::for_tests();
            let entry = OwnEntry::new("a.b", Severity::Info, "x");
            log.store().unwrap().record(&entry).unwrap();
            let mut live = fs::read_dir(log.layout().live_dir()).unwrap();
            let name = live.next().unwrap().unwrap().file_name();
            let name = name.to_str().unwrap();
            let file = name.strip_suffix(".jsonl").unwrap().to_owned();
            Self { log, file }
        }
    }
}
