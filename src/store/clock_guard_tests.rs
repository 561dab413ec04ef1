//! What is trusted while clocks jump.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60 * SECOND;
const YEAR: i64 = 365 * DAY;
/// 2026-11-21.
const TODAY: i64 = 20_778 * DAY;

/// A machine: the time that it really is, and what its clock makes of it.
struct Machine {
    guard: ClockGuard,
    time: i64,
    /// How far the wall clock is ahead.
    ahead: i64,
    boot: u32,
    booted: i64,
    files: Option<i64>,
}

impl Machine {
    /// With a log whose newest file was born just now, on its first day with a guard.
    fn new() -> Self {
        Self {
            guard: ClockGuard::default(),
            time: TODAY,
            ahead: 0,
            boot: 0,
            booted: TODAY - DAY,
            files: Some(TODAY),
        }
    }

    fn without_files() -> Self {
        Self {
            files: None,
            ..Self::new()
        }
    }

    fn reading(&self) -> Reading {
        let wall = Timestamp::from_micros(self.time + self.ahead);
        Reading {
            wall,
            disk: Some(wall),
            uptime: Uptime {
                boot: self.boot.to_string(),
                time: Duration::from_micros((self.time - self.booted).unsigned_abs()),
            },
        }
    }

    fn observe(&mut self) {
        let reading = self.reading();
        let files = self.files.map(Timestamp::from_micros);
        let files = files.filter(|file| *file <= reading.wall);
        self.guard.observe(&reading, || files);
    }

    /// Only what is on disk outlives a process.
    fn restart(&mut self) {
        let text = serde_json::to_vec(&self.guard).unwrap();
        self.guard = serde_json::from_slice(&text).unwrap();
    }

    /// The log is open for so long.
    fn run(&mut self, time: i64) {
        self.observe();
        let end = self.time + time;
        while self.time < end {
            self.time = end.min(self.time + 10 * MINUTE);
            self.observe();
        }
    }

    /// No process has the log open for so long; the machine is up.
    fn pause(&mut self, time: i64) {
        self.restart();
        self.time += time;
    }

    /// The machine is without power for so long; its clock goes on.
    fn off(&mut self, time: i64) {
        self.restart();
        self.time += time;
        self.booted = self.time;
        self.boot += 1;
    }

    /// How far the trusted time is ahead of the time that it is.
    fn trusted(&self) -> i64 {
        self.guard.trusted(&self.reading()).as_micros() - self.time
    }
}

#[test]
fn a_right_clock_is_trusted_to_the_second() {
    let mut machine = Machine::new();
    machine.run(DAY);
    assert_eq!(machine.trusted(), 0);
    machine.pause(30 * DAY);
    machine.observe();
    assert_eq!(machine.trusted(), 0);
    // Off for a minute: an hour later that is made up for.
    machine.off(MINUTE);
    machine.run(HOUR - 1);
    assert_eq!(machine.trusted(), -MINUTE);
    machine.run(1);
    assert_eq!(machine.trusted(), 0);
}

#[test]
fn a_new_log_trusts_its_clock_after_a_day() {
    let mut machine = Machine::without_files();
    machine.run(DAY - 1);
    assert!(machine.trusted() < -1000 * YEAR);
    machine.run(1);
    assert_eq!(machine.trusted(), 0);
}

#[test]
fn a_year_ahead_is_not_trusted_for_three_days_of_uptime() {
    for at_start in [true, false] {
        let mut machine = Machine::new();
        if !at_start {
            machine.run(DAY);
        }
        machine.ahead = YEAR;
        machine.run(3 * DAY - 1);
        assert_eq!(machine.trusted(), 0, "{at_start}");
        assert_eq!(machine.guard.remaining(), 1);
        // Corrected in time, it begins anew.
        let mut corrected = Machine {
            guard: machine.guard.clone(),
            ahead: 0,
            ..machine
        };
        corrected.run(MINUTE);
        assert_eq!((corrected.trusted(), corrected.guard.remaining()), (0, 0));
        corrected.ahead = YEAR;
        corrected.run(3 * DAY - 1);
        assert_eq!(corrected.trusted(), 0);
        machine.run(1);
        assert_eq!(machine.trusted(), YEAR);
    }
}

#[test]
fn a_clock_that_goes_back_has_to_prove_itself_anew() {
    let mut machine = Machine::new();
    machine.run(HOUR);
    machine.ahead = YEAR;
    machine.run(2 * DAY);
    machine.ahead = 30 * DAY;
    machine.run(3 * DAY - 1);
    assert_eq!(machine.trusted(), 0);
    machine.run(1);
    assert_eq!(machine.trusted(), 30 * DAY);
    // A correction by seconds changes nothing.
    machine.ahead = YEAR;
    machine.run(2 * DAY);
    machine.ahead -= 10 * SECOND;
    machine.run(DAY);
    assert_eq!(machine.trusted(), YEAR - 10 * SECOND);
}

#[test]
fn restarts_neither_reset_nor_skip_the_proof() {
    let mut machine = Machine::new();
    machine.run(HOUR);
    machine.ahead = YEAR;
    for _ in 0..5 {
        machine.run(HOUR);
        machine.off(2 * HOUR);
        machine.run(2 * HOUR);
        // Nobody has the log open, and the machine is up.
        machine.pause(9 * HOUR);
        machine.observe();
    }
    assert!(machine.trusted() <= 0);
    // After 60 hours of uptime, two of which passed before the first restart.
    machine.run(12 * HOUR - 1);
    assert!(machine.trusted() <= 0);
    machine.run(1);
    assert_eq!(machine.trusted(), YEAR);
}

#[test]
fn a_machine_that_was_off_for_months_goes_on_after_three_days() {
    let mut machine = Machine::new();
    machine.run(DAY);
    machine.off(90 * DAY);
    machine.run(3 * DAY - 1);
    assert_eq!(machine.trusted(), -90 * DAY);
    machine.run(1);
    assert_eq!(machine.trusted(), 0);
}

#[test]
fn a_machine_that_is_on_for_eight_hours_a_day_is_days_late_at_most() {
    let mut machine = Machine::new();
    for day in 0..60 {
        machine.off(16 * HOUR);
        machine.run(8 * HOUR);
        assert!(
            machine.trusted() >= -3 * DAY,
            "{day}: {}",
            machine.trusted()
        );
    }
    // And one that is up for five minutes an hour, which makes more leaps than are kept.
    for hour in 0..1000 {
        machine.off(55 * MINUTE);
        machine.run(5 * MINUTE);
        assert!(
            machine.trusted() >= -3 * DAY,
            "{hour}: {}",
            machine.trusted()
        );
    }
}

#[test]
fn a_machine_that_starts_in_1970_goes_on_each_time_it_learns_what_day_it_is() {
    let mut machine = Machine::without_files();
    machine.ahead = -TODAY;
    machine.run(5 * MINUTE);
    machine.ahead = 0;
    machine.run(3 * DAY);
    assert_eq!(machine.trusted(), 0);
    for day in 0..9 {
        machine.off(HOUR);
        machine.ahead = -machine.time;
        machine.run(5 * MINUTE);
        assert_eq!(machine.trusted(), -(machine.time - 5 * MINUTE), "{day}");
        // What it stamped now is as young as it is.
        let stamped = machine.time + machine.ahead;
        machine.ahead = 0;
        machine.run(2 * HOUR);
        assert_eq!(machine.trusted(), 0, "{day}");
        let aged = machine.guard.aged(Timestamp::from_micros(stamped));
        assert!(
            (machine.time - aged.as_micros()) <= 2 * HOUR,
            "{day}: {aged}"
        );
        machine.run(20 * HOUR);
    }
    // A right timestamp is taken as it is.
    let right = Timestamp::from_micros(machine.time - HOUR);
    assert_eq!(machine.guard.aged(right), right);
}

#[test]
fn after_a_wrong_time_was_believed_the_right_one_is_followed_at_once() {
    let mut machine = Machine::new();
    machine.run(HOUR);
    machine.ahead = YEAR;
    machine.run(3 * DAY);
    assert_eq!(machine.trusted(), YEAR);
    // What the same boot stamped before is a year younger than that clock thinks.
    let before = Timestamp::from_micros(TODAY);
    assert_eq!(machine.guard.aged(before).as_micros(), TODAY + YEAR);
    machine.ahead = 0;
    machine.run(MINUTE);
    assert_eq!(machine.trusted(), 0);
    // Once the right clock has proved itself, the year ahead needs a proof again.
    machine.run(3 * DAY);
    assert_eq!(machine.guard.aged(before), before);
    machine.ahead = YEAR;
    machine.run(3 * DAY - 1);
    assert_eq!(machine.trusted(), 0);
}

#[test]
fn a_file_system_that_has_another_time_holds_the_clock_back() {
    let mut machine = Machine::new();
    machine.run(DAY);
    machine.ahead = YEAR;
    let mut reading = machine.reading();
    let step = |machine: &mut Machine, reading: &mut Reading| {
        reading.wall = Timestamp::from_micros(reading.wall.as_micros() + DAY);
        reading.disk = Some(Timestamp::from_micros(reading.wall.as_micros() - YEAR));
        reading.uptime.time += Duration::from_secs(86_400);
        machine.guard.observe(reading, || None);
        reading.wall.as_micros() - machine.guard.trusted(reading).as_micros()
    };
    for _ in 0..10 {
        assert_eq!(step(&mut machine, &mut reading), YEAR);
    }
    // Who says that the wall clock is right says that the file system's isn't.
    machine.guard.confirm(&reading);
    assert_eq!(step(&mut machine, &mut reading), 0);
}

#[test]
fn without_the_file_systems_clock_no_leap_is_believed() {
    let mut machine = Machine::new();
    machine.run(DAY);
    machine.off(DAY);
    machine.observe();
    for _ in 0..10 {
        machine.time += DAY;
        let reading = Reading {
            disk: None,
            ..machine.reading()
        };
        machine.guard.observe(&reading, || None);
    }
    assert_eq!(machine.trusted(), -DAY);
    machine.observe();
    assert_eq!(machine.trusted(), 0);
}

#[test]
fn two_machines_that_share_a_directory_count_no_time_twice() {
    let mut machine = Machine::new();
    machine.run(DAY);
    machine.off(30 * DAY);
    let other = |machine: &Machine| Reading {
        uptime: Uptime {
            boot: "other".into(),
            time: Duration::from_micros((machine.time - TODAY).unsigned_abs() + 7_000_000),
        },
        ..machine.reading()
    };
    machine.observe();
    for hour in 0..71 {
        machine.time += HOUR;
        machine.observe();
        let reading = other(&machine);
        machine.guard.observe(&reading, || None);
        assert_eq!(machine.trusted(), -30 * DAY, "{hour}");
    }
    machine.time += HOUR;
    machine.observe();
    assert_eq!(machine.trusted(), 0);
}

/// What can happen to a machine.
#[derive(Clone, Debug)]
enum Event {
    Run(i64),
    Pause(i64),
    Off(i64),
    /// From now on the clock is so far ahead.
    Set(i64),
}

fn length() -> impl Strategy<Value = i64> {
    prop_oneof![
        1..MINUTE,
        MINUTE..HOUR,
        HOUR..DAY,
        DAY..10 * DAY,
        10 * DAY..200 * DAY
    ]
}

fn events(ahead: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (1..20 * HOUR).prop_map(Event::Run),
        length().prop_map(Event::Pause),
        length().prop_map(Event::Off),
        ahead.prop_map(Event::Set),
        Just(Event::Set(0)),
    ];
    prop::collection::vec(event, 1..40)
}

/// Runs it, looking at the machine after each observation, for as long as the clock was ahead for
/// less than `limit` of uptime, all in all.
fn play(events: &[Event], limit: i64, mut look: impl FnMut(&Machine)) -> Machine {
    let mut machine = Machine::new();
    machine.run(MINUTE);
    let mut wrong = 0;
    for event in events {
        let time = match event {
            Event::Run(time) | Event::Pause(time) => *time,
            _ => 0,
        };
        if machine.ahead > 0 {
            wrong += time;
            if wrong >= limit {
                machine.ahead = 0;
            }
        }
        match event {
            Event::Run(time) => {
                let end = machine.time + time;
                machine.observe();
                while machine.time < end {
                    machine.time = end.min(machine.time + HOUR);
                    machine.observe();
                    look(&machine);
                }
            }
            Event::Pause(time) => machine.pause(*time),
            Event::Off(time) => machine.off(*time),
            Event::Set(ahead) => machine.ahead = *ahead,
        }
        machine.observe();
        look(&machine);
    }
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No entry goes that is not past its retention by the honest clock, unless a clock was wrong
    /// for the stated time.
    #[test]
    fn the_trusted_time_is_never_ahead_of_time_before_the_proof(
        events in events(prop_oneof![-60 * YEAR..0, 1..60 * YEAR, -HOUR..HOUR]),
    ) {
        play(&events, HOUR, |machine| assert!(machine.trusted() <= 0, "{:?}", machine.guard));
    }

    /// The same for leaps of three days and more.
    #[test]
    fn nor_is_it_for_three_days_when_the_clock_is_days_ahead(
        events in events(prop_oneof![-60 * YEAR..0, 3 * DAY..60 * YEAR]),
    ) {
        play(&events, 3 * DAY, |machine| assert!(machine.trusted() <= 0, "{:?}", machine.guard));
    }

    /// Whatever happened, a clock that is right for long enough is trusted, and everything that is
    /// past its retention goes.
    #[test]
    fn a_clock_that_is_right_is_trusted_in_the_end(
        events in events(-60 * YEAR..60 * YEAR),
    ) {
        let mut machine = play(&events, i64::MAX, |_| ());
        machine.ahead = 0;
        machine.run(4 * DAY);
        prop_assert!(machine.trusted() >= -STEP, "{} {:?}", machine.trusted(), machine.guard);
    }

    /// What a clock that was behind stamped is never judged older than it is, for as long as the
    /// clock isn't behind for the stated time.
    #[test]
    fn entries_with_a_wrong_time_are_judged_by_when_they_were_written(
        behind in HOUR..56 * YEAR, reboot: bool, off in 0..DAY, written in 0..50 * MINUTE,
    ) {
        let mut machine = Machine::new();
        machine.run(DAY);
        if reboot {
            machine.off(off);
        }
        machine.ahead = -behind;
        machine.run(written);
        let (entry, time) = (machine.time + machine.ahead, machine.time);
        machine.run(10 * MINUTE);
        machine.ahead = 0;
        machine.run(4 * DAY);
        let aged = machine.guard.aged(Timestamp::from_micros(entry)).as_micros();
        let judged = machine.guard.trusted(&machine.reading()).as_micros() - aged;
        prop_assert!(judged <= machine.time - time, "{judged} {:?}", machine.guard);
    }
}
