//! Pruning with clocks that jump.

use std::sync::Mutex;

use super::*;
use crate::store::health::{Health, Problem};

const HOURS: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: i64 = 365 * MICROS_PER_DAY;

/// A log that is open on a machine.
struct Machine {
    rig: Rig,
    clock: SetClock,
    health: Arc<Health>,
    problems: Arc<Mutex<Vec<Problem>>>,
    starts: u32,
}

impl Machine {
    /// A day after the newest entry, with a clock that is trusted, and a retention of 90 days.
    fn new() -> Self {
        let machine = Self::new_to_it();
        machine.rig.trust(&machine.clock).unwrap();
        machine
    }

    /// The same, with a log that an earlier version left.
    fn new_to_it() -> Self {
        let rig = rig();
        let clock = SetClock::at(rig.after(5, MICROS_PER_DAY));
        let problems = Arc::new(Mutex::new(Vec::new()));
        let seen = problems.clone();
        let callback = move |problem: &Problem| seen.lock().unwrap().push(problem.clone());
        // A lock like that of a log in use.
        drop(rig.fs.try_lock(&rig.layout.lock(hold::LOCK)).unwrap());
        Self {
            rig,
            clock,
            health: Arc::new(Health::new(Some(Arc::new(callback)))),
            problems,
            starts: 0,
        }
    }

    fn turn(&mut self) {
        self.turn_with(Retention::days(90));
    }

    fn turn_with(&mut self, retention: Retention) {
        let pruner = &mut self.rig.pruner;
        pruner.turn(&self.clock, &self.health, &retention);
    }

    /// Turns every hour.
    fn run(&mut self, hours: u32) {
        self.turn();
        for _ in 0..hours {
            self.clock.pass(HOURS);
            self.turn();
        }
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.rig
            .restart(&format!("tracing-audit-{:06x}", self.starts));
    }

    fn problems(&self) -> Vec<Problem> {
        std::mem::take(&mut self.problems.lock().unwrap())
    }

    fn types(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.rig.recorded())
            .map(|entry| entry["event_type"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn a_clock_that_is_a_year_ahead_removes_nothing_and_is_reported() {
    for (at_start, known) in [(true, true), (true, false), (false, true)] {
        let mut machine = if known {
            Machine::new()
        } else {
            Machine::new_to_it()
        };
        if !at_start {
            machine.run(1);
        }
        machine.clock.jump(YEAR);
        machine.turn();
        assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5]);
        let problems = machine.problems();
        let [
            Problem::PruneHeldBack {
                reason,
                lasting: false,
            },
        ] = &*problems
        else {
            panic!("{problems:?}");
        };
        assert!(
            reason.starts_with("5 files are past their retention at 202"),
            "{reason}"
        );
        assert!(reason.contains("72 h 1 min more"), "{reason}");
        assert!(machine.health.trouble().is_empty());
        assert_eq!(machine.types(), ["audit.log.prune_held_back"]);
        // It lasts, through restarts of the process.
        machine.run(1);
        machine.restart();
        machine.run(70);
        assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5]);
        assert_eq!(machine.types(), [""; 0]);
        assert_eq!(machine.health.trouble().len(), 1);
        assert!(matches!(
            &*machine.problems(),
            [
                Problem::PruneHeldBack { lasting: true, .. },
                Problem::PruneHeldBack { lasting: false, .. },
                Problem::PruneHeldBack { lasting: true, .. },
            ]
        ));
        // Somebody repairs the clock.
        machine.clock.jump(-YEAR);
        machine.turn();
        assert_eq!(machine.problems(), [Problem::PruneResumed]);
        assert!(machine.health.trouble().is_empty());
        machine.run(100);
        assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn what_is_past_its_retention_goes_once_the_clock_has_proved_itself() {
    let mut machine = Machine::new();
    machine.run(1);
    // Off for 90 days.
    machine.clock = SetClock {
        uptime: Duration::ZERO,
        boot: 1,
        ..machine.clock
    };
    machine.clock.jump(90 * MICROS_PER_DAY);
    machine.run(71);
    assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5]);
    machine.run(1);
    assert_eq!(machine.rig.left(), NONE);
    assert_eq!(machine.problems().last(), Some(&Problem::PruneResumed));
    assert_eq!(
        machine.types(),
        ["audit.log.prune_held_back", "audit.log.pruned"]
    );
}

#[test]
fn who_has_checked_the_clock_ends_the_waiting() {
    let mut machine = Machine::new();
    machine.clock.jump(YEAR);
    machine.run(2);
    let (layout, clock) = (machine.rig.layout.clone(), machine.clock.clone());
    // What can't be recorded is not done.
    let fs = machine.rig.fs();
    let refused = trusted_time::trust(&fs, &layout, &clock, |_| Err(Error::Closed));
    assert!(matches!(refused, Err(Error::Closed)));
    machine.turn();
    assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5]);
    // To look shows the same.
    let files = machine.rig.pruner.files.clone();
    let retention = Retention::days(90);
    let look = |trust| preview(&clock, &files, &retention, trust);
    let waits = look(false).unwrap();
    assert_eq!((waits.files.len(), waits.waiting.unwrap().files()), (0, 5));
    let trusted = look(true).unwrap();
    assert_eq!((trusted.files.len(), trusted.waiting.is_none()), (5, true));
    machine.rig.trust(&clock).unwrap();
    machine.turn();
    assert_eq!(machine.rig.left(), NONE);
    assert!(machine.health.trouble().is_empty());
}

#[test]
fn a_right_clock_prunes_to_the_minute_and_is_not_reported() {
    let mut machine = Machine::new();
    let due = machine.rig.after(2, 90 * MICROS_PER_DAY + 1);
    let wait = due.as_micros() - machine.clock.now.as_micros();
    machine.clock.pass(Duration::from_micros(wait as u64 - 1));
    machine.restart();
    machine.turn();
    assert_eq!(machine.rig.left(), [2, 3, 4, 5]);
    machine.clock.pass(Duration::from_micros(1));
    machine.turn();
    assert_eq!(machine.rig.left(), [3, 4, 5]);
    assert_eq!(machine.problems(), []);
}

#[test]
fn limits_in_bytes_do_not_ask_the_clock() {
    let mut machine = Machine::new_to_it();
    machine.clock.jump(YEAR);
    machine.turn_with(Retention::unlimited().max_bytes(0));
    assert_eq!(machine.rig.left(), NONE);
    assert_eq!(machine.problems(), []);
}

#[test]
fn a_lost_or_damaged_state_trusts_no_more_than_the_newest_file() {
    for text in [None, Some("{\"version\":1,\"trus"), Some("{\"version\":7}")] {
        let mut machine = Machine::new();
        machine.run(1);
        let state = machine.rig.layout.document("clock");
        machine.rig.fs.take_away(&state);
        if let Some(text) = text {
            machine.rig.fs.put(&state, text);
        }
        machine.clock.jump(YEAR);
        machine.run(71);
        assert_eq!(machine.rig.left(), [1, 2, 3, 4, 5], "{text:?}");
        machine.run(1);
        assert_eq!(machine.rig.left(), NONE, "{text:?}");
    }
}

#[test]
fn a_lock_that_another_process_keeps_is_reported_until_it_is_free() {
    let mut machine = Machine::new();
    let path = machine.rig.layout.lock(hold::LOCK);
    for _ in 0..2 {
        let lock = machine.rig.fs.try_lock(&path).unwrap().unwrap();
        machine.turn();
        machine.clock.pass(Duration::from_secs(299));
        machine.turn();
        assert_eq!(machine.problems(), []);
        machine.clock.pass(Duration::from_secs(1));
        machine.turn();
        machine.turn();
        let named = Problem::PruneLocked(path.display().to_string());
        assert_eq!(machine.problems(), [named]);
        let trouble = machine.health.trouble();
        assert!(trouble[0].contains("prune.lock"), "{trouble:?}");
        drop(lock);
        machine.turn();
        assert_eq!(machine.problems(), [Problem::PruneUnlocked]);
        assert!(machine.health.trouble().is_empty());
    }
    // Processes that take turns are no problem.
    for _ in 0..10 {
        let lock = machine.rig.fs.try_lock(&path).unwrap().unwrap();
        machine.turn();
        machine.clock.pass(Duration::from_secs(240));
        drop(lock);
        machine.turn();
    }
    assert_eq!(machine.problems(), []);
    assert!(machine.clock.uptime < DAY);
}
