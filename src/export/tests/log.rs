//! A log of three days for the downloads, and its lines as they were written.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{Cursor, Read, Seek, Write},
    ops::Range,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use super::tools::read;
use crate::{
    entry::Timestamp,
    export::{pieces::Download, plan::Plan},
    store::{files::Files, fs::OsFs, gzip::Level, layout::Layout, names::FileStem, seal::seal},
};

pub(super) const SECOND: i64 = 1_000_000;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn after(start: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(start.as_micros() + micros)
}

pub(super) fn everything() -> Range<Timestamp> {
    Timestamp::MIN..Timestamp::MAX
}

/// A line as long as most; `seq` makes it unlike any other.
pub(super) fn line(stream: &str, seq: u64, time: Timestamp) -> String {
    let noise = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        concat!(
            r#"{{"stream":"{}","seq":{},"id":"0193f2a4-7c1e-7d31-9f65-{:012x}","timestamp":"{}","schema_version":"1.0","#,
            r#""event_type":"auth.login","category":"auth","action":"login","severity":"info","source":"x","#,
            r#""actor":{{"type":"user","id":"user-{}"}},"outcome":{{"type":"success"}},"details":{{"note":"{:016x}{}"}}}}"#,
            "\n"
        ),
        stream,
        seq,
        noise >> 16,
        time,
        noise >> 57,
        noise,
        "….".repeat(50)
    )
}

/// A log on disk, and its lines as they were written.
pub(super) struct Log {
    pub(super) dir: tempfile::TempDir,
    pub(super) layout: Layout,
    /// Per file, in the order of their numbers for each stream.
    pub(super) lines: BTreeMap<FileStem, Vec<(Timestamp, String)>>,
    seqs: HashMap<String, u64>,
}

impl Log {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(layout.live_dir()).unwrap();
        Self {
            dir,
            layout,
            lines: BTreeMap::new(),
            seqs: HashMap::new(),
        }
    }

    /// Writes a live file of lines some `apart` micros after each other, in the disorder that
    /// several threads make.
    pub(super) fn live(
        &mut self,
        stream: &str,
        number: u32,
        born: &str,
        count: u64,
        apart: i64,
    ) -> FileStem {
        let stem = FileStem {
            born: time(born),
            stream: stream.parse().unwrap(),
            number,
        };
        for n in 0..count as i64 {
            let jitter = (n.wrapping_mul(7_919) % 11 - 5) * apart;
            self.append(&stem, after(stem.born, n * apart + jitter.max(0)));
        }
        stem
    }

    pub(super) fn append(&mut self, stem: &FileStem, time: Timestamp) {
        let seq = self.seqs.entry(stem.stream.to_string()).or_default();
        *seq += 1;
        let line = line(stem.stream.as_str(), *seq, time);
        self.write(stem, line.as_bytes());
        self.lines
            .entry(stem.clone())
            .or_default()
            .push((time, line));
    }

    pub(super) fn write(&self, stem: &FileStem, bytes: &[u8]) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.layout.live(stem))
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    pub(super) fn seal(&self, stem: &FileStem) -> PathBuf {
        seal(&OsFs, &self.layout, stem, Level::FASTEST).unwrap();
        fs::remove_file(self.layout.live(stem)).unwrap();
        self.layout.sealed(stem)
    }

    pub(super) fn sealed(
        &mut self,
        stream: &str,
        number: u32,
        born: &str,
        count: u64,
        apart: i64,
    ) -> FileStem {
        let stem = self.live(stream, number, born, count, apart);
        self.seal(&stem);
        stem
    }

    pub(super) fn files(&self) -> Arc<Files> {
        Arc::new(Files::new(Arc::new(OsFs), self.layout.clone()))
    }

    pub(super) fn plan(&self, range: Range<Timestamp>) -> Plan {
        Plan::new(&self.files(), range).unwrap()
    }

    pub(super) fn zip(&self, range: Range<Timestamp>) -> Arc<Download> {
        Arc::new(self.plan(range).into_zip().unwrap())
    }

    /// What an archive of this range should have: entries by name.
    pub(super) fn expected(&self, range: &Range<Timestamp>) -> BTreeMap<String, Vec<String>> {
        let mut entries: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (stem, lines) in &self.lines {
            let inside = lines
                .iter()
                .filter(|(time, _)| range.contains(time))
                .map(|(_, line)| line.clone());
            entries
                .entry(format!("{}/{}.jsonl", stem.day(), stem.stream))
                .or_default()
                .extend(inside);
        }
        entries.retain(|_, lines| !lines.is_empty());
        entries
    }
}

/// The manifest and the entries, read by another crate.
pub(super) fn unzip(archive: &Arc<Download>) -> (Value, BTreeMap<String, String>) {
    entries_of(Cursor::new(read(archive, 0..u64::MAX)))
}

pub(super) fn entries_of(archive: impl Read + Seek) -> (Value, BTreeMap<String, String>) {
    let mut zip = zip::ZipArchive::new(archive).unwrap();
    let mut entries = BTreeMap::new();
    for n in 0..zip.len() {
        let mut file = zip.by_index(n).unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        entries.insert(file.name().unwrap().to_string(), content);
    }
    (
        serde_json::from_str(&entries.remove("manifest.json").unwrap()).unwrap(),
        entries,
    )
}

/// Two streams over three days; the last file of one is still being written.
pub(super) static LOG: LazyLock<Log> = LazyLock::new(|| {
    let mut log = Log::new();
    log.sealed("billing-7f3a9c", 1, "2026-11-20T22:00:00Z", 2_500, SECOND);
    log.sealed(
        "billing-7f3a9c",
        2,
        "2026-11-20T23:00:00Z",
        290,
        12 * SECOND,
    );
    log.sealed(
        "shop.eu-000001",
        1,
        "2026-11-21T00:00:00.5Z",
        900,
        60 * SECOND,
    );
    log.sealed("billing-7f3a9c", 3, "2026-11-21T00:00:00Z", 1, SECOND);
    log.sealed(
        "billing-7f3a9c",
        4,
        "2026-11-21T09:00:00Z",
        1_800,
        2 * SECOND,
    );
    log.live(
        "billing-7f3a9c",
        5,
        "2026-11-22T00:00:00Z",
        1_000,
        30 * SECOND,
    );
    log
});
