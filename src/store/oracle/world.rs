//! The disk, the processes on it, and what they were promised.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    check::{self, Known},
    plan::{Fault, Plan, Step},
    process::{Process, Time},
    witness::{self, Seen, Witness},
};
use crate::{
    AuditReader,
    entry::{OwnEntry, Severity, Timestamp, set_now},
    store::{
        SpaceAction, Watermarks,
        clock::Clock as _,
        gzip::Level,
        health::{Health, Problem},
        hold::{self, Hold},
        layout::Layout,
        lifecycle::Settings,
        open::StoreOptions,
        retention::Retention,
        sealer::SealerOptions,
        sim::{Model, SimFs, stopped as stopped_error},
        writer::WriterOptions,
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
    pub(super) pruned: u64,
    pub(super) holds: u64,
    pub(super) dropped: u64,
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
        self.pruned += other.pruned;
        self.holds += other.holds;
        self.dropped += other.dropped;
    }
}

/// An event that was recorded.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) id: String,
    /// Whether it has to be there: unless the power failed before it was durable.
    pub(super) kept: bool,
}

pub(super) struct World {
    disk: SimFs,
    time: Time,
    processes: [Option<Process>; 2],
    promises: Vec<Promise>,
    /// How many events of each stream were dropped since the last power loss.
    dropped: HashMap<String, u64>,
    rotate_bytes: u64,
    grace: Duration,
    journal_bytes: usize,
    retention: Retention,
    faults: Arc<Mutex<Vec<Failing>>>,
    holds: u64,
    witness: Witness,
    /// What was reported that should not be.
    alarms: Arc<Mutex<Vec<String>>>,
    /// Whether the disk is: then nothing fails.
    healthy: Arc<AtomicBool>,
    tally: Tally,
}

/// A fault, and how many operations it has met.
struct Failing {
    fault: Fault,
    met: u64,
}

impl Failing {
    fn fails(&mut self, what: &str) -> Option<std::io::Error> {
        let Fault {
            what: failing,
            after,
            count,
            full,
        } = self.fault;
        if failing.is_some_and(|failing| failing != what) {
            return None;
        }
        self.met += 1;
        let fails = self.met > after && self.met <= after + count;
        let error = if full { 28 } else { 5 };
        fails.then(|| std::io::Error::from_raw_os_error(error))
    }
}

const DIR: &str = "/log";

impl Drop for World {
    fn drop(&mut self) {
        set_now(None);
    }
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        Self {
            time: Time::new(disk.clone()),
            witness: witness::watch(&disk, DIR),
            disk,
            processes: [None, None],
            promises: Vec::new(),
            dropped: HashMap::new(),
            journal_bytes: plan.journal_bytes,
            rotate_bytes: plan.rotate_bytes,
            grace: plan.grace,
            retention: plan.retention,
            faults: Arc::default(),
            holds: 0,
            alarms: Arc::default(),
            healthy: Arc::default(),
            tally: Tally::default(),
        }
    }

    #[expect(clippy::print_stderr, reason = "only when one seed is asked for")]
    pub(super) fn say(&self, step: &str) {
        for path in self.disk.files(DIR) {
            let name = path.strip_prefix(DIR).unwrap();
            if name.starts_with("live") || name.starts_with("sealed") {
                let text = check::lines_of(&self.disk, &path);
                let brief = |line: &str| line.chars().take(60).collect::<String>();
                let lines = text.map(|text| text.lines().map(brief).collect::<Vec<_>>());
                eprintln!("    {} {lines:#?}", name.display());
            } else {
                eprintln!("    {}", name.display());
            }
        }
        eprintln!("{} ops, {step}", self.disk.op_count());
    }

    pub(super) fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open(process) => self.open(*process),
            Step::Record(process, len) => self.record(*process, *len),
            Step::Write(process) => self.on(*process, Process::write),
            Step::Seal(process) => self.on(*process, Process::seal),
            Step::Prune(process) => self.on(*process, Process::prune),
            Step::Hold(before, after) => self.hold(*before, *after),
            Step::Release => self.release(),
            Step::Close(process) => self.close(*process),
            Step::Kill(process) => self.kill(*process),
            Step::KillAfter(process, operations) => {
                self.work_until(*process, *operations);
                self.kill(*process);
                self.heal();
            }
            Step::PowerLoss(model, seed) => self.lose_power(*model, *seed)?,
            Step::PowerLossAfter(process, operations, model, seed) => {
                self.work_until(*process, *operations);
                self.lose_power(*model, *seed)?;
            }
            Step::Pass(time) => self.time.pass(*time),
            Step::Full(free) => {
                self.tally.faults += 1;
                self.disk.limit(Some(self.disk.used() + free));
            }
            Step::Freed => self.disk.limit(None),
            Step::Fail(fault) => {
                self.tally.faults += 1;
                let (fault, met) = (*fault, 0);
                self.faults.lock().unwrap().push(Failing { fault, met });
                self.install(None);
            }
            Step::Healed => self.heal(),
        }
        self.check_witness()
    }

    fn check_witness(&self) -> Result<(), String> {
        let wrong = std::mem::take(&mut self.seen().wrong);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{wrong:#?}")),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.witness.lock().unwrap()
    }

    fn on(&mut self, process: usize, turn: impl FnOnce(&mut Process)) {
        self.processes[process].as_mut().map(turn);
    }

    /// The process works on, until the disk refuses all operations.
    fn work_until(&mut self, process: usize, operations: u64) {
        self.install(Some(self.disk.op_count() + operations));
        for turn in 0..6 {
            self.record(process, 100);
            self.on(process, Process::write);
            match turn % 3 {
                2 => self.on(process, Process::prune),
                _ => self.on(process, Process::seal),
            }
            self.time.pass(Duration::from_millis(600));
        }
    }

    fn lose_power(&mut self, model: Model, seed: u64) -> Result<(), String> {
        self.note_durable();
        self.tally.power_losses += 1;
        // Their promises end here, but for those that are durable.
        self.promises.retain(|promise| promise.kept);
        self.dropped.clear();
        for process in self.processes.iter_mut().filter_map(Option::take) {
            process.kill();
        }
        self.disk.crash_randomly(model, seed);
        self.check()
    }

    fn options(&self) -> StoreOptions {
        let alarms = self.alarms.clone();
        let healthy = self.healthy.clone();
        let seen = move |problem: &Problem| {
            let text = problem.to_string();
            let fails = matches!(
                problem,
                Problem::WriteFailed(_)
                    | Problem::SealFailed(_)
                    | Problem::RecoveryFailed(_)
                    | Problem::PruneFailed(_)
            );
            let false_alarm =
                text.contains("damaged") || matches!(problem, Problem::LiveFileLost(_));
            if false_alarm || fails && healthy.load(Ordering::Relaxed) {
                alarms.lock().unwrap().push(text);
            }
        };
        StoreOptions {
            permissions: None,
            source: "app".parse().unwrap(),
            journal_capacity: self.journal_bytes,
            journal_dir: None,
            needs_hash_keys: false,
            lifecycle: Some(Settings::default()),
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
                retention: self.retention,
            },
            readers: |_, _| Ok(Vec::new()),
            health: Arc::new(Health::new(Some(Arc::new(seen)))),
        }
    }

    fn open(&mut self, process: usize) {
        if self.processes[process].is_none() {
            let witness = self.witness.clone();
            let (disk, time) = (self.disk.clone(), self.time.clone());
            let meanwhile = move || hold_everything(&disk, &time, &witness);
            self.processes[process] =
                Process::open(&self.time, Path::new(DIR), self.options(), meanwhile);
        }
    }

    fn record(&mut self, process: usize, len: usize) {
        let Some(process) = &mut self.processes[process] else {
            return;
        };
        let event = OwnEntry::new("test.event", Severity::Info, "x".repeat(len))
            .render(&"app".parse().unwrap());
        let id = String::from_utf8(event[6..42].to_vec()).unwrap();
        if process.record(&event, self.promises.len()) {
            self.promises.push(Promise { id, kept: false });
            self.tally.events += 1;
        } else {
            let stream = process.stream.to_string();
            *self.dropped.entry(stream).or_default() += 1;
            self.tally.dropped += 1;
        }
    }

    fn hold(&mut self, before: Duration, after: Duration) {
        let at = |time: i64| Timestamp::from_micros(self.time.clock.now().as_micros() + time);
        let start = at(-(before.as_micros() as i64)).to_string();
        let end = at(after.as_micros() as i64).to_string();
        self.holds += 1;
        let hold = Hold::new(format!("hold-{}", self.holds), &start, &end).unwrap();
        self.tally.holds += u64::from(place(&self.disk, &self.time, &self.witness, hold));
    }

    fn release(&mut self) {
        let Some(hold) = self.seen().holds.pop() else {
            return;
        };
        let fs = self.disk.process();
        let layout = Layout::new(DIR);
        let _ = hold::release(Arc::new(fs.clone()), &layout, hold.name(), |_| Ok(()));
        fs.end();
    }

    fn close(&mut self, number: usize) {
        let Some(mut process) = self.processes[number].take() else {
            return;
        };
        let written = process.close();
        self.leave(&process);
        process.end(written);
    }

    fn kill(&mut self, number: usize) {
        if let Some(process) = self.processes[number].take() {
            self.tally.kills += 1;
            self.leave(&process);
            process.kill();
        }
    }

    /// What a process that ends has done.
    fn leave(&mut self, process: &Process) {
        let counters = process.health().counters();
        self.tally.sealed += counters.sealed;
        self.tally.recovered += counters.recovered.min(1);
        for promise in process.durable() {
            self.promises[promise].kept = true;
        }
    }

    fn heal(&mut self) {
        self.faults.lock().unwrap().clear();
        self.disk.heal();
    }

    /// All faults that there are, together; from this operation on, the disk refuses all.
    fn install(&self, stop: Option<u64>) {
        let faults = self.faults.clone();
        self.disk.fail(move |number, op| {
            let stopped = stop.is_some_and(|stop| number >= stop);
            let mut faults = faults.lock().unwrap();
            let failed: Vec<_> = faults
                .iter_mut()
                .map(|fault| fault.fails(op.what))
                .collect();
            stopped
                .then(stopped_error)
                .or_else(|| failed.into_iter().flatten().next())
        });
    }

    /// What is durable now has to be there for ever.
    fn note_durable(&mut self) {
        for process in self.processes.iter().flatten() {
            for promise in process.durable() {
                self.promises[promise].kept = true;
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
        let mut tally = std::mem::take(&mut self.tally);
        tally.durable += self.promises.len() as u64;
        tally.pruned += self.seen().files;
        Ok(tally)
    }

    /// The last pruning left no more bytes than it may, if nothing is held.
    fn check_retention(&self, last: &str) -> Result<(), String> {
        let Some(max) = self.retention.max_bytes.filter(|_| self.holds == 0) else {
            return Ok(());
        };
        let sealed = self.disk.files(Path::new(DIR).join("sealed"));
        // It goes on recording after that.
        let sealed = sealed
            .iter()
            .filter(|path| !path.display().to_string().contains(last));
        let len =
            |path: &std::path::PathBuf| self.disk.bytes(path).map_or(0, |bytes| bytes.len() as u64);
        match sealed.map(len).sum::<u64>() {
            bytes if bytes > max => Err(format!("{bytes} bytes are left, not {max}")),
            _ => Ok(()),
        }
    }

    /// What `verify` says of a log that nobody has harmed.
    fn verify(&self) -> Result<(), String> {
        let fs = Arc::new(self.disk.process());
        let reader = AuditReader::open_on(fs, Layout::new(DIR)).map_err(|e| e.to_string())?;
        let report = reader.verify(|_, _| {}).map_err(|e| e.to_string())?;
        match report.ok {
            true => Ok(()),
            false => Err(format!("verify: {:#?}", report.findings)),
        }
    }

    /// No process runs; one takes over what they left, and all is read.
    fn check(&mut self) -> Result<(), String> {
        self.heal();
        self.disk.limit(None);
        self.healthy.store(true, Ordering::Relaxed);
        self.open(0);
        let process = self.processes[0].as_mut();
        let process = process.ok_or("the log can't be opened")?;
        (0..200).for_each(|_| process.seal());
        process.prune();
        let stream = process.stream.to_string();
        self.close(0);
        self.healthy.store(false, Ordering::Relaxed);
        self.check_witness()?;
        let known = Known {
            kept: self
                .promises
                .iter()
                .filter(|promise| promise.kept)
                .collect(),
            pruned: &self.seen().pruned,
            dropped: &self.dropped,
        };
        check::check(&self.disk, Path::new(DIR), &known)?;
        drop(known);
        self.check_retention(&stream)?;
        self.verify()?;
        let alarms = std::mem::take(&mut *self.alarms.lock().unwrap());
        match alarms.is_empty() {
            true => Ok(()),
            false => Err(format!("false alarms: {alarms:#?}")),
        }
    }
}

/// Another process places a hold; whether it did.
fn place(disk: &SimFs, time: &Time, witness: &Witness, hold: Hold) -> bool {
    let fs = disk.process();
    let layout = Layout::new(DIR);
    let placed = hold::place(Arc::new(fs.clone()), &layout, hold, time.clock.now());
    fs.end();
    let placed = placed.ok();
    let is_placed = placed.is_some();
    witness.lock().unwrap().holds.extend(placed);
    is_placed
}

/// Another process that waited to place a hold has its turn, if nobody keeps it from that.
fn hold_everything(disk: &SimFs, time: &Time, witness: &Witness) {
    let lock = Layout::new(DIR).lock("prune");
    if !crate::store::fs::Fs::is_locked(disk, &lock).unwrap_or(true) {
        let name = format!("meanwhile-{}", disk.op_count());
        place(disk, time, witness, Hold::new(name, "", "").unwrap());
    }
}
