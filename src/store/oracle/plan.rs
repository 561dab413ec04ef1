//! What happens in one round, made from its seed.

use std::time::Duration;

use crate::store::sim::Model;

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
    /// No more events; the writer goes on until it is done or gives up.
    Close(usize),
    Kill(usize),
    /// A process goes on recording and working, and dies after so many more operations.
    KillAfter(usize, u64),
    PowerLoss(Model, u64),
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
}

/// Operations worth failing by themselves.
const FAILING: [Option<&str>; 12] = [
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
    Some("read"),
    Some("lock"),
];

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut faults = random.usize(0..=2);
        let mut steps = vec![Step::Open(0)];
        for _ in 0..random.usize(30..120) {
            steps.push(Self::step(&mut random, &mut faults));
        }
        Self {
            steps,
            rotate_bytes: random.u64(300..3_000),
            grace: Duration::from_secs(random.u64(0..90)),
        }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    fn step(random: &mut fastrand::Rng, faults: &mut usize) -> Step {
        let process = usize::from(random.u8(..) < 64);
        match random.u32(0..100) {
            0..34 => Step::Record(process, random.usize(0..400)),
            34..64 => Step::Write(process),
            64..74 => Step::Seal(process),
            74..84 => Step::Pass(Self::time(random)),
            84..87 => Step::Open(process),
            87..89 => Step::Close(process),
            89..91 => Step::Kill(process),
            91..93 => Step::KillAfter(process, random.u64(0..40)),
            93..95 => Step::PowerLoss(Self::model(random), random.u64(..)),
            95..97 => Step::Healed,
            97 => Step::Freed,
            _ if *faults == 0 => Step::Write(process),
            _ => {
                *faults -= 1;
                Self::fault(random)
            }
        }
    }

    fn model(random: &mut fastrand::Rng) -> Model {
        match random.bool() {
            true => Model::Posix,
            false => Model::Ordered,
        }
    }

    fn time(random: &mut fastrand::Rng) -> Duration {
        let choices = [1, 60, 700, 1_100, 2_500, 61_000, 3_600_000, 14 * 3_600_000];
        Duration::from_millis(choices[random.usize(..choices.len())])
    }

    fn fault(random: &mut fastrand::Rng) -> Step {
        if random.u8(..) < 64 {
            return Step::Full(random.u64(0..4_000));
        }
        Step::Fail(Fault {
            what: FAILING[random.usize(..FAILING.len())],
            after: random.u64(0..4),
            count: if random.bool() { 1 } else { random.u64(1..40) },
            full: random.bool(),
        })
    }
}
