//! Others touch the log's files while it is written: delete, replace, cut, write into them.
//!
//! [`Log`] is a log on a simulated disk, worked step by step. Each test tampers with it, lets it go
//! on or die, and lets another process take over. Then [`Log::judge`] reads everything back and
//! checks: no line is anything but an entry, no event is there twice, the numbers that are missing
//! are those that `audit.log.lost` records, and `verify` has no problem with it.

mod fates;
mod journal;
mod live_file;
mod real_files;
mod retries;
mod sealing;
mod strangers;
mod twins;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{
    assemble::{Assembled, assemble},
    gzip::Level,
    health::Problem,
    layout::Layout,
    oracle::check,
    set_clock::SetClock,
    sim::SimFs,
    test_options::options,
    writer,
};
use crate::{
    entry::{OwnEntry, Severity},
    query::AuditReader,
    verify::VerifyReport,
};

const DIR: &str = "/log";

/// A log on a simulated disk, and a process that writes it.
struct Log {
    disk: SimFs,
    clock: Arc<SetClock>,
    process: Option<Process>,
    events: Vec<Event>,
    problems: Arc<Mutex<Vec<Problem>>>,
}

struct Process {
    fs: SimFs,
    parts: Assembled,
}

/// An event that was recorded, by the process of this number.
#[derive(Clone, Debug)]
struct Event {
    id: String,
    position: u64,
}

/// What is left in the end.
struct Left {
    /// The events that are in no file.
    missing: BTreeSet<String>,
    /// The types of the log's own entries, in their order.
    types: Vec<String>,
    report: VerifyReport,
}

impl Log {
    fn new() -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        let mut log = Self {
            disk,
            clock: Arc::new(SetClock::new("2026-11-21T10:00:00Z")),
            process: None,
            events: Vec::new(),
            problems: Arc::default(),
        };
        log.open();
        log
    }

    /// A process opens the log.
    fn open(&mut self) {
        let fs = self.disk.process();
        let problems = self.problems.clone();
        let note = move |problem: &Problem| problems.lock().unwrap().push(problem.clone());
        let mut options = options(Some(Arc::new(note)));
        options.journal_capacity = 1 << 14;
        let (fs_of_log, clock) = (Arc::new(fs.clone()), self.clock.clone());
        let mut parts = assemble(fs_of_log, clock, Path::new(DIR), options).unwrap();
        parts.sealer.begin();
        self.process = Some(Process { fs, parts });
    }

    fn parts(&mut self) -> &mut Assembled {
        &mut self.process.as_mut().unwrap().parts
    }

    fn record(&mut self) {
        let event = OwnEntry::new("test.event", Severity::Info, "x".repeat(40));
        let event = event.render(&"app".parse().unwrap());
        let id = String::from_utf8(event[6..42].to_vec()).unwrap();
        let position = self.parts().producer.push(&event).unwrap().0;
        self.events.push(Event { id, position });
    }

    /// The writer takes a step, as its thread does.
    fn step(&mut self) {
        let writer = &mut self.parts().writer;
        if let Err(error) = writer.step() {
            writer.failed(&error);
        }
    }

    fn seal(&mut self) {
        let sealer = &mut self.parts().sealer;
        sealer.take_all();
        sealer.turn();
    }

    fn pass(&self, millis: u64) {
        self.clock.pass(Duration::from_millis(millis));
        let now = super::clock::Clock::now(&*self.clock);
        self.disk.set_time(now);
    }

    /// Steps and time until all is durable.
    fn settle(&mut self) {
        for _ in 0..8 {
            self.step();
            self.pass(1_100);
            self.seal();
        }
    }

    fn is_durable(&self, event: &Event) -> bool {
        let process = self.process.as_ref().unwrap();
        process.parts.durability.is_durable(event.position)
    }

    /// The ids of the events that are durable now.
    fn durable(&self) -> BTreeSet<String> {
        let durable = self.events.iter().filter(|event| self.is_durable(event));
        durable.map(|event| event.id.clone()).collect()
    }

    /// The file that is written.
    fn live(&self) -> PathBuf {
        let live = self.disk.files(Layout::new(DIR).live_dir());
        live.last().unwrap().clone()
    }

    fn journal(&self) -> PathBuf {
        let stream = &self.process.as_ref().unwrap().parts.stream;
        Layout::new(DIR).ring(stream)
    }

    /// The process ends in order, as `Store::close` does it; false if not all could be written.
    fn close(&mut self) -> bool {
        let mut process = self.process.take().unwrap();
        let parts = &mut process.parts;
        parts.producer.close();
        let mut steps = 0;
        let written = loop {
            steps += 1;
            assert!(steps < 1_000, "the writer goes round and round");
            match parts.writer.step() {
                Ok(writer::Step::Done) => break true,
                Ok(_) => self.clock.pass(Duration::from_millis(3)),
                Err(error) if parts.writer.failed(&error) => {}
                Err(_) => break false,
            }
        };
        let written = written && parts.writer.finish().is_ok();
        parts.sealer.take_all();
        parts.stopping.store(true, Ordering::Relaxed);
        parts.sealer.wind_up();
        let Process { fs, parts } = process;
        if written {
            let _ = parts.lock.remove();
        }
        fs.end();
        written
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.fs.end();
        }
        self.disk.heal();
    }

    /// Another process opens the log, does what is left to do, and closes it.
    fn take_over(&mut self) {
        self.open();
        for _ in 0..4 {
            self.seal();
            self.seal();
            self.pass(61_000);
        }
        assert!(self.close());
    }

    fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock().unwrap();
        problems.iter().map(ToString::to_string).collect()
    }

    fn was_reported(&self, what: &str) -> bool {
        self.problems().iter().any(|text| text.contains(what))
    }

    fn verify(&self) -> VerifyReport {
        let fs = Arc::new(self.disk.process());
        let reader = AuditReader::open_on(fs, Layout::new(DIR)).unwrap();
        reader.verify(|_, _| {}).unwrap()
    }

    /// As [`judge`](Self::judge), when the process died. If the whole file was taken away, nothing
    /// but the missing numbers can show it, which is a problem that `verify` finds.
    fn judge_killed(&self, tampering: live_file::Tampering, context: &str) -> Left {
        self.judge_if(!tampering.takes_the_file_away(), context)
    }

    /// Reads everything back. `context` says what was done.
    fn judge(&self, context: &str) -> Left {
        self.judge_if(true, context)
    }

    fn judge_if(&self, accounted: bool, context: &str) -> Left {
        let fail = |what: String| -> ! { panic!("{context}: {what}\n{:#?}", self.problems()) };
        let streams = check::streams(&self.disk, Path::new(DIR)).unwrap_or_else(|what| fail(what));
        let mut ids: HashMap<String, Value> = HashMap::new();
        let mut types = Vec::new();
        for (stream, lines) in &streams {
            let (mut numbers, mut lost) = (BTreeSet::new(), BTreeSet::new());
            for line in lines {
                let entry: Value = serde_json::from_str(line)
                    .unwrap_or_else(|error| fail(format!("{error}: {line:?}")));
                let number = entry["seq"].as_u64().unwrap();
                if numbers.last().is_some_and(|last| *last >= number) {
                    fail(format!("{number} comes too late in {lines:#?}"));
                }
                numbers.insert(number);
                let event_type = entry["event_type"].as_str().unwrap();
                if event_type == "audit.log.lost" {
                    let detail = |name: &str| entry["details"][name].as_u64().unwrap();
                    let after = detail("after_seq");
                    lost.extend(after + 1..=after + detail("count"));
                }
                if event_type != "test.event" {
                    types.push(event_type.to_owned());
                }
                let id = entry["id"].as_str().unwrap().to_owned();
                if let Some(before) = ids.insert(id, entry) {
                    fail(format!("{stream} has {before} twice: {lines:#?}"));
                }
            }
            let missing: BTreeSet<_> = (1..=numbers.last().copied().unwrap_or(0))
                .filter(|number| !numbers.contains(number))
                .collect();
            if accounted && missing != lost {
                fail(format!(
                    "{missing:?} are missing, {lost:?} said to be: {lines:#?}"
                ));
            }
        }
        let events = self.events.iter().map(|event| event.id.clone());
        let missing = events.filter(|id| !ids.contains_key(id)).collect();
        let report = self.verify();
        if accounted && !report.ok {
            fail(format!("{:#?}", report.findings));
        }
        Left {
            missing,
            types,
            report,
        }
    }

    /// The ids of the events in these bytes, as far as their lines are whole.
    fn ids_in(bytes: &[u8]) -> BTreeSet<String> {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let whole = lines.filter(|line| line.ends_with(b"\n"));
        let entries = whole.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let id = |entry: Value| entry["id"].as_str().map(str::to_owned);
        entries.filter_map(id).collect()
    }
}
