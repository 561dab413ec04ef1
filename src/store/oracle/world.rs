//! The disk, the processes on it, and what they were promised.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use super::{
    check,
    plan::{Fault, Plan, Step},
};
use crate::{
    record::{OwnRecord, Severity},
    store::{
        SpaceAction, Watermarks,
        assemble::{Assembled, assemble},
        gzip::Level,
        health::{Health, Problem},
        open::StoreOptions,
        retention::Retention,
        sealer::SealerOptions,
        set_clock::SetClock,
        sim::SimFs,
        writer::{self, WriterOptions},
    },
};

/// What was done in all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) durable: u64,
    pub(super) kills: u64,
    pub(super) power_losses: u64,
    pub(super) faults: u64,
    pub(super) sealed: u64,
    pub(super) recovered: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.durable += other.durable;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.faults += other.faults;
        self.sealed += other.sealed;
        self.recovered += other.recovered;
    }
}

/// An event that was recorded.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) id: String,
    /// Whether it has to be there: unless the power failed before it was durable.
    pub(super) kept: bool,
}

struct Process {
    fs: SimFs,
    parts: Assembled,
    /// Which promises are its, and at which position each becomes durable.
    recorded: Vec<(usize, u64)>,
}

pub(super) struct World {
    disk: SimFs,
    clock: Arc<SetClock>,
    processes: [Option<Process>; 2],
    promises: Vec<Promise>,
    rotate_bytes: u64,
    grace: Duration,
    /// What was reported as damaged.
    alarms: Arc<Mutex<Vec<String>>>,
    tally: Tally,
}

const DIR: &str = "/log";

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        Self {
            disk,
            clock: Arc::new(SetClock::new("2026-11-21T10:00:00Z")),
            processes: [None, None],
            promises: Vec::new(),
            rotate_bytes: plan.rotate_bytes,
            grace: plan.grace,
            alarms: Arc::default(),
            tally: Tally::default(),
        }
    }

    #[expect(clippy::print_stderr, reason = "only when one seed is asked for")]
    pub(super) fn say(&self, step: &str) {
        for path in self.disk.files(Path::new(DIR).join("live")) {
            let text = String::from_utf8_lossy(&self.disk.bytes(&path).unwrap()).into_owned();
            let brief = |line: &str| line.chars().take(60).collect::<String>();
            let lines: Vec<_> = text.lines().map(brief).collect();
            eprintln!("    {} {lines:#?}", path.display());
        }
        eprintln!("{} ops, {step}", self.disk.op_count());
    }

    pub(super) fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open(process) => self.open(*process),
            Step::Record(process, len) => self.record(*process, *len),
            Step::Write(process) => self.write(*process),
            Step::Seal(process) => self.seal(*process),
            Step::Close(process) => self.close(*process),
            Step::Kill(process) => self.kill(*process),
            Step::KillAfter(process, operations) => {
                self.disk.stop_after(*operations);
                for _ in 0..6 {
                    self.record(*process, 100);
                    self.write(*process);
                    self.seal(*process);
                    self.clock.pass(Duration::from_millis(600));
                }
                self.kill(*process);
                self.disk.heal();
            }
            Step::PowerLoss(model, seed) => {
                self.note_durable();
                self.tally.power_losses += 1;
                // Their promises end here, but for those that are durable.
                self.promises.retain(|promise| promise.kept);
                self.processes = [None, None];
                self.disk.crash_randomly(*model, *seed);
                return self.check();
            }
            Step::Pass(time) => {
                self.clock.pass(*time);
                self.disk
                    .set_time(crate::store::clock::Clock::now(&*self.clock));
            }
            Step::Full(free) => self.disk.limit(Some(self.disk.used() + free)),
            Step::Freed => self.disk.limit(None),
            Step::Fail(fault) => self.fail(*fault),
            Step::Healed => self.disk.heal(),
        }
        Ok(())
    }

    fn options(&self) -> StoreOptions {
        let alarms = self.alarms.clone();
        StoreOptions {
            permissions: None,
            source: "app".parse().unwrap(),
            journal_capacity: 1 << 14,
            journal_dir: None,
            writer: WriterOptions {
                rotate_bytes: self.rotate_bytes,
                rotate_age: Duration::from_secs(3600),
                sync_interval: Duration::from_secs(1),
                watermarks: Watermarks::default()
                    .low(0, SpaceAction::Report)
                    .very_low(0, SpaceAction::Report),
            },
            sealer: SealerOptions {
                level: Level::FASTEST,
                grace: self.grace,
                retention: Retention::unlimited(),
            },
            health: Arc::new(Health::new(Some(Arc::new(move |problem: &Problem| {
                let text = problem.to_string();
                if text.contains("damaged") || matches!(problem, Problem::LiveFileLost(_)) {
                    alarms.lock().unwrap().push(text);
                }
            })))),
        }
    }

    fn open(&mut self, process: usize) {
        if self.processes[process].is_some() {
            return;
        }
        let fs = self.disk.process();
        let options = self.options();
        let parts = assemble(
            Arc::new(fs.clone()),
            self.clock.clone(),
            Path::new(DIR),
            options,
        );
        match parts {
            Ok(mut parts) => {
                parts.sealer.begin();
                self.processes[process] = Some(Process {
                    fs,
                    parts,
                    recorded: Vec::new(),
                });
            }
            // A process that can't open its log ends.
            Err(_) => fs.end(),
        }
    }

    fn record(&mut self, process: usize, len: usize) {
        let Some(process) = &mut self.processes[process] else {
            return;
        };
        let event = OwnRecord::new("test.event", Severity::Info, "x".repeat(len))
            .render(&"app".parse().unwrap());
        let id = String::from_utf8(event[6..42].to_vec()).unwrap();
        // A full journal takes nothing, and promises nothing.
        if let Ok(position) = process.parts.producer.push(&event) {
            process.recorded.push((self.promises.len(), position.0));
            self.promises.push(Promise { id, kept: false });
            self.tally.events += 1;
        }
    }

    fn write(&mut self, process: usize) {
        if let Some(process) = &mut self.processes[process] {
            let writer = &mut process.parts.writer;
            if let Err(error) = writer.step() {
                writer.failed(&error);
            }
        }
    }

    fn seal(&mut self, process: usize) {
        if let Some(process) = &mut self.processes[process] {
            let sealer = &mut process.parts.sealer;
            sealer.take_all();
            sealer.turn();
        }
    }

    /// As `Store::close` and the threads do it.
    fn close(&mut self, number: usize) {
        self.note_durable();
        let Some(mut process) = self.processes[number].take() else {
            return;
        };
        let parts = &mut process.parts;
        parts.producer.close();
        let written = loop {
            match parts.writer.step() {
                Ok(writer::Step::Done) => break true,
                Ok(_) => self.clock.pass(Duration::from_millis(3)),
                Err(error) => {
                    if !parts.writer.failed(&error) {
                        break false;
                    }
                }
            }
        };
        let written = written && parts.writer.finish().is_ok();
        parts.sealer.take_all();
        parts.stopping.store(true, Ordering::Relaxed);
        parts.sealer.wind_up();
        self.note_durable_of(&process);
        self.tally_up(&process);
        let Process { fs, parts, .. } = process;
        if written {
            let _ = parts.lock.remove();
        } else {
            drop(parts.lock);
        }
        fs.end();
    }

    fn kill(&mut self, process: usize) {
        self.note_durable();
        if let Some(process) = self.processes[process].take() {
            self.tally.kills += 1;
            self.tally_up(&process);
            process.fs.end();
        }
    }

    fn tally_up(&mut self, process: &Process) {
        let counters = process.parts.health.counters();
        self.tally.sealed += counters.sealed;
        self.tally.recovered += counters.recovered.min(1);
    }

    fn fail(&mut self, fault: Fault) {
        let (mut met, error) = (0, if fault.full { 28 } else { 5 });
        self.tally.faults += 1;
        self.disk.fail(move |_, op| {
            if fault.what.is_some_and(|what| what != op.what) {
                return None;
            }
            met += 1;
            let fails = met > fault.after && met <= fault.after + fault.count;
            fails.then(|| std::io::Error::from_raw_os_error(error))
        });
    }

    /// What is durable now has to be there for ever.
    fn note_durable(&mut self) {
        for process in self.processes.iter().flatten() {
            for (promise, position) in &process.recorded {
                if process.parts.durability.is_durable(*position) {
                    self.promises[*promise].kept = true;
                }
            }
        }
    }

    fn note_durable_of(&mut self, process: &Process) {
        for (promise, position) in &process.recorded {
            if process.parts.durability.is_durable(*position) {
                self.promises[*promise].kept = true;
            }
        }
    }

    /// All processes are killed, the disk is healthy again, and another one takes over.
    pub(super) fn end(mut self) -> Result<Tally, String> {
        self.kill(0);
        self.kill(1);
        self.promises
            .iter_mut()
            .for_each(|promise| promise.kept = true);
        self.check()?;
        self.tally.durable += self.promises.len() as u64;
        Ok(self.tally)
    }

    /// No process runs; one takes over what they left, and all is read.
    fn check(&mut self) -> Result<(), String> {
        self.disk.heal();
        self.disk.limit(None);
        self.open(0);
        let process = self.processes[0]
            .as_mut()
            .ok_or("the log can't be opened")?;
        for _ in 0..200 {
            process.parts.sealer.take_all();
            process.parts.sealer.turn();
        }
        self.close(0);
        let kept = self.promises.iter().filter(|promise| promise.kept);
        check::check(&self.disk, Path::new(DIR), kept)?;
        let alarms = std::mem::take(&mut *self.alarms.lock().unwrap());
        match alarms.is_empty() {
            true => Ok(()),
            false => Err(format!("false alarms: {alarms:#?}")),
        }
    }
}
