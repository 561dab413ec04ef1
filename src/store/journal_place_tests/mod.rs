//! A journal outside the log's directory.
//!
//! [`Run`] is a process that has such a journal, on a simulated disk: `deaths` ends it after every
//! operation, and `gone_or_damaged` recovers its stream without the journal. `pointers` is about
//! pointers that must not be followed.

mod deaths;
mod gone_or_damaged;
mod pointers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::*;
use crate::{
    entry::{OwnEntry, Severity},
    query::AuditReader,
    store::{
        assemble::assemble, gzip::Level, open::StoreOptions, oracle::check::streams,
        recover::recover, seal::seal, set_clock::SetClock, sim::SimFs, survey::Survey,
        test_options, twins::remove_twin, writer::Step as Written,
    },
    verify::{FindingKind, VerifyReport},
};

const DIR: &str = "/log";
const ELSEWHERE: &str = "/elsewhere/journals";

fn options() -> StoreOptions {
    let mut options = test_options::options(None);
    options.journal_capacity = 1 << 14;
    options.journal_dir = Some(ELSEWHERE.into());
    options.writer.rotate_bytes = 900;
    options.sealer.grace = Duration::ZERO;
    options
}

/// A process that has its journal elsewhere, and what became of it.
struct Run {
    disk: SimFs,
    clock: Arc<SetClock>,
    layout: Layout,
    /// The events that were recorded.
    recorded: Vec<String>,
    durable: Vec<String>,
    opened: bool,
    /// Whether it began to remove its journal, and whether it came to the end of that.
    closing: bool,
    closed: bool,
}

impl Run {
    /// The process works and closes its log, unless after so many operations the disk refuses
    /// everything.
    fn new(operations: u64) -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        let mut run = Self {
            clock: Arc::new(SetClock::new("2026-11-21T10:00:00Z")),
            layout: Layout::new(DIR),
            recorded: Vec::new(),
            durable: Vec::new(),
            opened: false,
            closing: false,
            closed: false,
            disk,
        };
        let process = run.disk.process();
        run.disk.stop_after(operations);
        run.work(&process);
        process.end();
        run
    }

    fn work(&mut self, process: &SimFs) {
        let fs = Arc::new(process.clone());
        let Ok(mut parts) = assemble(fs, self.clock.clone(), Path::new(DIR), options()) else {
            return;
        };
        self.opened = true;
        let mut positions = Vec::new();
        for _ in 0..3 {
            for _ in 0..2 {
                positions.push(self.record(&parts.producer));
                if let Err(error) = parts.writer.step() {
                    parts.writer.failed(&error);
                }
                self.clock.pass(Duration::from_millis(700));
            }
            parts.sealer.take_all();
            parts.sealer.turn();
        }
        let is_durable = |position: &u64| parts.durability.is_durable(*position);
        let durable = self.recorded.iter().zip(&positions);
        self.durable = durable
            .filter(|(_, position)| is_durable(position))
            .map(|(id, _)| id.clone())
            .collect();
        parts.producer.close();
        let written = loop {
            match parts.writer.step() {
                Ok(Written::Done) => break true,
                Ok(_) => self.clock.pass(Duration::from_millis(3)),
                Err(error) if parts.writer.failed(&error) => {}
                Err(_) => break false,
            }
        };
        if written {
            self.durable.clone_from(&self.recorded);
            self.closing = true;
            self.closed = parts.writer.finish().is_ok();
        }
        if self.closed {
            let _ = parts.lock.remove();
        }
    }

    /// Records an event; gives its position.
    fn record(&mut self, producer: &Producer) -> u64 {
        let event = OwnEntry::new("test.event", Severity::Info, "x".repeat(60));
        let event = event.render(&"app".parse().unwrap());
        let id = event[6..42].to_vec();
        self.recorded.push(String::from_utf8(id).unwrap());
        producer.push(&event).unwrap().0
    }

    /// Whether a pointer says that events may be in a journal.
    fn journal_is_missed(&self) -> bool {
        let files = self.disk.files(self.layout.journal_dir());
        let text = files.iter().filter_map(|path| self.disk.bytes(path));
        let text: Vec<u8> = text.flatten().collect();
        let text = String::from_utf8(text).unwrap();
        text.contains("\nbegun\n") && !text.contains("\nclosed\n")
    }

    fn take_journal_away(&self) {
        for path in self.disk.files(ELSEWHERE) {
            self.disk.take_away(path);
        }
    }

    /// Another process completes all streams, unless the disk refuses after so many operations.
    fn recover(&self, operations: u64) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        self.recover_into(operations, &mut problems)?;
        Ok(problems)
    }

    fn recover_into(&self, operations: u64, problems: &mut Vec<String>) -> Result<()> {
        let fs = self.disk.process();
        self.disk.stop_after(operations);
        let recovered = self.recover_on(&fs, problems);
        fs.end();
        self.disk.heal();
        recovered
    }

    fn recover_on(&self, fs: &SimFs, problems: &mut Vec<String>) -> Result<()> {
        for stream in Survey::take(fs, &self.layout)?.streams(fs, &self.layout)? {
            let recovered = recover(fs, &self.layout, &*self.clock, &stream)?.unwrap();
            problems.extend(recovered.problems);
            for stem in &recovered.files {
                seal(fs, &self.layout, stem, Level::FASTEST)?;
                remove_twin(fs, &self.layout, stem)?;
            }
            recovered.lock.remove()?;
        }
        Ok(())
    }

    fn verify(&self) -> Option<VerifyReport> {
        self.disk.bytes(self.layout.format_file())?;
        let fs = Arc::new(self.disk.process());
        let reader = AuditReader::open_on(fs, self.layout.clone()).unwrap();
        Some(reader.verify(|_, _| {}).unwrap())
    }

    /// Checks all that must hold once the log is recovered; gives the number of entries that say
    /// that a journal is gone.
    fn check(&self, kept: &[String], context: &str) -> usize {
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        let mut gone = 0;
        let streams =
            streams(&self.disk, Path::new(DIR)).unwrap_or_else(|e| panic!("{context}: {e}"));
        for line in streams.values().flatten() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            *ids.entry(entry["id"].as_str().unwrap().to_owned())
                .or_default() += 1;
            let lost = entry["event_type"] == "audit.log.lost";
            gone += usize::from(lost && entry["details"]["journal"].is_string());
        }
        assert!(ids.values().all(|count| *count == 1), "{context}: {ids:?}");
        let missing: Vec<_> = kept.iter().filter(|id| !ids.contains_key(*id)).collect();
        assert!(missing.is_empty(), "{context}: {missing:?} of {streams:#?}");
        for dir in [
            &self.layout.journal_dir(),
            Path::new(ELSEWHERE),
            &self.layout.tmp_dir(),
        ] {
            let left = self.disk.files(dir);
            let left: Vec<_> = left
                .iter()
                // This file belongs to no stream.
                .filter(|path| !path.to_string_lossy().contains("/format."))
                .collect();
            assert!(left.is_empty(), "{context}: {left:?} is left");
        }
        if let Some(report) = self.verify() {
            assert!(report.ok, "{context}: {:#?}", report.findings);
            let notes = report.notes().filter(|note| note.kind == FindingKind::Lost);
            let noted = notes.filter(|note| note.what.contains("its journal was gone"));
            assert_eq!(noted.count(), gone, "{context}: {:#?}", report.findings);
        }
        gone
    }
}

/// The number of operations in a whole run.
fn operations() -> u64 {
    let run = Run::new(u64::MAX / 2);
    assert!(run.closed && run.recorded.len() == 6);
    assert_eq!(run.check(&run.recorded, "closed in order"), 0);
    let operations = run.disk.op_count();
    assert!((50..1_000).contains(&operations), "{operations}");
    operations
}
