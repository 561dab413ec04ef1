//! Logs for tests: made line by line, sealed by the store, and known by heart.

mod arriving;
mod cancelling;
mod costs;
mod damage;
mod filters;
mod following;
mod growing;
mod laws;
mod meddled;
mod refused;
mod speed;
mod stats;
mod tailing;
mod tenants;

use std::{io::Write as _, ops::ControlFlow, sync::Arc};

use super::*;
use crate::{
    entry::{Timestamp, scan::escape},
    store::{fs::OsFs, gzip::Level, layout::Layout, names::FileStem, seal::seal},
};

/// 2026-11-21T10:00:00Z
pub(super) const START: i64 = 1_795_255_200_000_000;

/// A log in a directory of its own.
pub(super) struct Log {
    pub(super) dir: tempfile::TempDir,
    pub(super) layout: Layout,
}

impl Log {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        for part in [layout.live_dir(), layout.sealed_dir(), layout.tmp_dir()] {
            std::fs::create_dir_all(part).unwrap();
        }
        std::fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
        Self { dir, layout }
    }

    pub(super) fn reader(&self) -> AuditReader {
        AuditReader::open(self.dir.path()).unwrap()
    }

    pub(super) fn append(&self, stem: &FileStem, lines: &[String]) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.layout.live(stem))
            .unwrap();
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(super) fn seal(&self, stem: &FileStem) {
        seal(&OsFs, &self.layout, stem, Level::FASTEST).unwrap();
    }

    pub(super) fn unlink(&self, stem: &FileStem) {
        std::fs::remove_file(self.layout.live(stem)).unwrap();
    }

    /// A file that was sealed, and whose live twin is gone.
    pub(super) fn sealed(&self, stem: &FileStem, lines: &[String]) {
        self.append(stem, lines);
        self.seal(stem);
        self.unlink(stem);
    }
}

pub(super) fn stem(stream: usize, number: u32) -> FileStem {
    let born = Timestamp::from_micros(START + i64::from(number) * 60_000_000 + stream as i64);
    FileStem {
        born,
        stream: stream_name(stream).parse().unwrap(),
        number,
    }
}

pub(super) fn stream_name(stream: usize) -> String {
    format!("app{stream}-00000{stream}")
}

/// What a test says about one entry; the rest follows from it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) stream: usize,
    pub(super) seq: u64,
    pub(super) micros: i64,
    pub(super) actor: String,
    pub(super) event_type: String,
    pub(super) severity: &'static str,
    pub(super) description: String,
    pub(super) count: u64,
    /// How long its padding is.
    pub(super) padding: usize,
}

impl Record {
    pub(super) fn new(stream: usize, seq: u64, micros: i64) -> Self {
        let (actor, event_type) = (format!("user-{seq}"), "auth.login".to_owned());
        Self {
            stream,
            seq,
            micros,
            actor,
            event_type,
            severity: "info",
            description: "Done".into(),
            count: seq,
            padding: 0,
        }
    }

    /// The UUIDv7 of its time.
    pub(super) fn id(&self) -> String {
        let millis = (START + self.micros).div_euclid(1000);
        // The same for the same record, and in no order within a millisecond.
        let rest = ((self.stream as u64) << 32 | self.seq).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (a, b) = (rest >> 52, rest & 0xffff_ffff_ffff);
        format!(
            "{:08x}-{:04x}-7{a:03x}-8{:03x}-{b:012x}",
            millis >> 16,
            millis & 0xffff,
            self.stream
        )
    }

    pub(super) fn line(&self) -> String {
        let text = |text: &str| String::from_utf8(escape(text)).unwrap();
        let Self {
            stream,
            seq,
            severity,
            count,
            ..
        } = self;
        let (name, time) = (
            stream_name(*stream),
            Timestamp::from_micros(START + self.micros),
        );
        let (actor, event_type, description, padding) = (
            text(&self.actor),
            &self.event_type,
            text(&self.description),
            "x".repeat(self.padding),
        );
        format!(
            r#"{{"stream":"{name}","seq":{seq},"id":"{}","timestamp":"{time}","event_type":"{event_type}","severity":"{severity}","actor":{{"type":"user","id":"{actor}","name":"Name of {actor}"}},"description":"{description}","details":{{"count":{count},"who":{{"is.it":"{actor}"}},"padding":"{padding}"}}}}"#,
            self.id()
        )
    }
}

/// All that a filter gives, as lines.
pub(super) fn all(reader: &AuditReader, filter: &Filter, order: Order) -> (Vec<String>, Scanned) {
    let mut lines = Vec::new();
    let scanned = reader.each(filter, order, |entry| {
        lines.push(String::from_utf8(entry.into_line()).unwrap());
        ControlFlow::Continue(())
    });
    (lines, scanned.unwrap())
}

pub(super) fn sorted(records: &[Record], order: Order) -> Vec<String> {
    let mut records: Vec<_> = records.iter().collect();
    // By the ids alone: that is what the order of milliseconds and ids must come to.
    records.sort_by_key(|record| record.id());
    if order == Order::Desc {
        records.reverse();
    }
    records.into_iter().map(Record::line).collect()
}

#[test]
fn a_directory_without_a_log_is_no_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    let error = AuditReader::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("there is no audit log here"), "{error}");
    let log = Log::new();
    std::fs::write(log.layout.format_file(), "tracing-audit 2\n").unwrap();
    assert!(matches!(
        AuditReader::open(log.dir.path()),
        Err(crate::Error::Version { .. })
    ));
}

#[test]
fn reading_changes_nothing_on_disk() {
    let log = Log::new();
    let lines: Vec<_> = (1..=20)
        .map(|seq| Record::new(0, seq, seq as i64).line())
        .collect();
    log.sealed(&stem(0, 1), &lines[..10]);
    log.append(&stem(0, 2), &lines[10..]);
    let index = log.layout.index(&stem(0, 1));
    std::fs::remove_file(&index).unwrap();
    let (found, scanned) = all(
        &log.reader(),
        &Filter::new().with("actor", "user-3").unwrap(),
        Order::Asc,
    );
    assert_eq!(
        (found, scanned.problems),
        (vec![lines[2].clone()], vec![]),
        "an index is made in memory"
    );
    assert!(
        !index.exists()
            && std::fs::read_dir(log.layout.tmp_dir())
                .unwrap()
                .next()
                .is_none()
    );
}
