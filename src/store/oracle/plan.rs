//! What happens in one round, made from its seed.

use std::time::Duration;

use crate::store::{retention::Retention, sim::Model};

/// One step of a round. Processes are 0 and 1; a step of one that is not open is skipped.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Open(usize),
    /// Records an event with a text of so many bytes.
    Record(usize, usize),
    /// The writer takes a turn.
    Write(usize),
    /// The sealer takes a turn.
    Seal(usize),
    /// The sealer prunes, and takes a turn.
    Prune(usize),
    /// Another process holds what is recorded from so long ago to so far ahead.
    Hold(Duration, Duration),
    /// The oldest hold is released.
    Release,
    /// No more events; the writer goes on until it is done or gives up.
    Close(usize),
    Kill(usize),
    /// A process goes on recording and working, and dies after so many more operations.
    KillAfter(usize, u64),
    PowerLoss(Model, u64),
    /// The same, and the power fails for all.
    PowerLossAfter(usize, u64, Model, u64),
    Pass(Duration),
    /// So many bytes are free.
    Full(u64),
    Freed,
    /// From the n-th operation on, so many that match fail.
    Fail(Fault),
    Healed,
}

/// Operations that fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// What is failing; `None` for everything.
    pub(super) what: Option<&'static str>,
    /// So many go well before.
    pub(super) after: u64,
    /// So many fail.
    pub(super) count: u64,
    pub(super) full: bool,
}

pub(super) struct Plan {
    steps: Vec<Step>,
    pub(super) rotate_bytes: u64,
    pub(super) grace: Duration,
    pub(super) journal_bytes: usize,
    pub(super) retention: Retention,
}

/// Operations worth failing by themselves.
const FAILING: [Option<&str>; 15] = [
    None,
    Some("append"),
    Some("sync"),
    Some("sync_map"),
    Some("truncate"),
    Some("create_new"),
    Some("create_mapped"),
    Some("rename"),
    Some("remove_file"),
    Some("sync_dir"),
    Some("open_read"),
    Some("open_write"),
    Some("overwrite"),
    Some("read"),
    Some("lock"),
];

const HOUR: Duration = Duration::from_secs(3600);

/// Makes the steps of a round.
struct Maker {
    random: fastrand::Rng,
    steps: Vec<Step>,
    /// How many faults may still come.
    faults: usize,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut maker = Maker {
            faults: random.usize(0..=4),
            steps: vec![Step::Open(0)],
            random: random.fork(),
        };
        let count = random.usize(30..120);
        while maker.steps.len() < count {
            maker.step();
        }
        Self {
            steps: maker.steps,
            rotate_bytes: random.u64(300..3_000),
            grace: Duration::from_secs(random.u64(0..90)),
            journal_bytes: 1 << random.u32(13..15),
            retention: Self::retention(&mut random),
        }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    fn retention(random: &mut fastrand::Rng) -> Retention {
        let bytes = random.u64(0..4_000);
        match random.u32(0..4) {
            0 => Retention::unlimited(),
            1 => Retention::days(1),
            2 => Retention::unlimited().max_bytes(bytes),
            _ => Retention::days(1).max_bytes(bytes),
        }
    }
}

impl Maker {
    fn step(&mut self) {
        let process = usize::from(self.random.u8(..) < 64);
        let step = match self.random.u32(0..100) {
            0..30 => Step::Record(process, self.random.usize(0..400)),
            30..54 => Step::Write(process),
            54 => return self.idle(),
            55..65 => Step::Seal(process),
            65..69 => Step::Prune(process),
            69..79 => Step::Pass(self.time()),
            79..81 => Step::Hold(self.time(), self.time()),
            81 => Step::Release,
            82..85 => Step::Open(process),
            85..87 => Step::Close(process),
            87..89 => Step::Kill(process),
            89..91 => Step::KillAfter(process, self.random.u64(0..60)),
            91 => {
                let operations = self.random.u64(0..60);
                Step::PowerLossAfter(process, operations, self.model(), self.random.u64(..))
            }
            92..94 => Step::PowerLoss(self.model(), self.random.u64(..)),
            94..96 => Step::Healed,
            96 => Step::Freed,
            _ if self.faults == 0 => Step::Write(process),
            _ => return self.trouble(process),
        };
        self.steps.push(step);
    }

    /// A process is idle for so long that its file is pruned, and the file with the entry about
    /// that.
    fn idle(&mut self) {
        let day = Step::Pass(30 * HOUR);
        let sealed = |process| {
            [
                Step::Write(process),
                Step::Pass(HOUR),
                Step::Write(process),
                Step::Seal(process),
            ]
        };
        self.steps.extend([Step::Open(0), Step::Open(1)]);
        self.steps.push(Step::Record(1, 100));
        self.steps.extend(sealed(1));
        for _ in 0..2 {
            self.steps.extend([day.clone(), Step::Prune(0)]);
            self.steps.extend(sealed(0));
        }
        self.steps.extend([Step::Record(1, 100), Step::Write(1)]);
    }

    fn model(&mut self) -> Model {
        match self.random.bool() {
            true => Model::Posix,
            false => Model::Ordered,
        }
    }

    fn time(&mut self) -> Duration {
        let random = &mut self.random;
        let choices = [
            1,
            60,
            700,
            1_100,
            2_500,
            61_000,
            3_600_000,
            50_400_000,
            108_000_000,
        ];
        Duration::from_millis(choices[random.usize(..choices.len())])
    }

    fn fault(&mut self) -> Step {
        if self.random.u8(..) < 64 {
            return Step::Full(self.random.u64(0..4_000));
        }
        let what = FAILING[self.random.usize(..FAILING.len())];
        self.fail(what)
    }

    fn fail(&mut self, what: Option<&'static str>) -> Step {
        let random = &mut self.random;
        Step::Fail(Fault {
            what,
            after: random.u64(0..4),
            count: if random.bool() { 1 } else { random.u64(1..40) },
            full: random.bool(),
        })
    }

    /// The next one fails, or the one after that.
    fn fail_soon(&mut self, what: &'static str) -> Step {
        Step::Fail(Fault {
            what: Some(what),
            after: u64::from(self.random.u8(0..4) == 0),
            count: self.random.u64(1..3),
            full: self.random.bool(),
        })
    }

    /// One fault, or two where they do the most harm together.
    fn trouble(&mut self, process: usize) {
        let pairs = self.faults >= 2;
        self.faults -= 1;
        let (record, write) = (Step::Record(process, 200), Step::Write(process));
        let steps = match self.random.u32(0..11) {
            // A part of a batch is written and can't be cut off, and the file's time is over.
            0 if pairs => vec![
                record.clone(),
                write.clone(),
                record.clone(),
                Step::Full(self.random.u64(1..300)),
                self.fail_soon("truncate"),
                write.clone(),
                Step::Pass(HOUR),
                write.clone(),
                Step::Freed,
                Step::Pass(Duration::from_secs(1)),
                write,
            ],
            // Lines are appended and can't be synced, and the file's time is over.
            1 => {
                let second = ["truncate", "sync_map", "append", "create_new"];
                let second = second[self.random.usize(..second.len())];
                let mut steps = vec![record.clone(), write.clone(), self.fail_soon("sync")];
                if pairs {
                    steps.push(self.fail(Some(second)));
                }
                steps.extend([Step::Pass(HOUR), write.clone(), record, write]);
                steps
            }
            // What a dead process left can't be read now.
            2 => vec![
                record,
                write,
                Step::Kill(process),
                self.fail(Some("read")),
                Step::Open(process),
                Step::Seal(process),
            ],
            // Files have to go while nothing can be recorded about it.
            3 => {
                let what = ["append", "sync", "overwrite"][self.random.usize(..3)];
                let fault = match self.random.bool() {
                    true => Step::Full(self.random.u64(0..200)),
                    false => self.fail(Some(what)),
                };
                vec![fault, record, write, Step::Prune(process)]
            }
            // The journal runs over, and what is written about that can't be synced.
            4 => {
                let mut steps = vec![Step::Full(self.random.u64(0..200))];
                steps.extend((0..60).map(|_| Step::Record(process, 400)));
                steps.extend([
                    write.clone(),
                    Step::Freed,
                    Step::Pass(Duration::from_secs(2)),
                ]);
                if pairs {
                    steps.push(self.fail_soon("sync"));
                }
                steps.extend([write.clone(), Step::Pass(Duration::from_secs(2)), write]);
                steps
            }
            // A second sync says that all is well, and then the power fails.
            5 => vec![
                record.clone(),
                write.clone(),
                self.fail_soon("sync"),
                Step::Pass(Duration::from_secs(2)),
                write.clone(),
                record,
                write.clone(),
                Step::Pass(Duration::from_secs(2)),
                write.clone(),
                Step::Pass(Duration::from_secs(2)),
                write,
                Step::PowerLoss(self.model(), self.random.u64(..)),
            ],
            // A second sync of the journal's header says so, and the file goes its way.
            6 => {
                let minutes = Step::Pass(Duration::from_secs(120));
                let mut steps = vec![record, write.clone(), Step::Pass(Duration::from_secs(2))];
                steps.extend([write.clone(), self.fail_soon("sync_map"), Step::Pass(HOUR)]);
                steps.extend([write.clone(), Step::Pass(Duration::from_secs(2)), write]);
                steps.extend([Step::Seal(process), minutes, Step::Seal(process)]);
                steps
            }
            _ => vec![self.fault()],
        };
        let two = steps.iter().filter(|step| step.is_fault()).count() == 2;
        self.faults -= usize::from(two);
        self.steps.extend(steps);
    }
}

impl Step {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Fail(_))
    }
}
