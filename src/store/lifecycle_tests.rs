//! Each stream says once how it ended, wherever its process and those that recover it die.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use crate::{
    entry::{OwnEntry, Severity, Timestamp, json::members, set_now},
    error::Result,
    store::{
        assemble::{Assembled, assemble},
        clock::Clock as _,
        gzip::Level,
        layout::Layout,
        lifecycle::Settings,
        open::StoreOptions,
        oracle::check::streams,
        recover::recover,
        seal::seal,
        set_clock::SetClock,
        sim::SimFs,
        survey::Survey,
        test_options::options,
        twins::remove_twin,
        writer::Step,
    },
};

const DIR: &str = "/log";
const ELSEWHERE: &str = "/elsewhere/journals";
const BORN: &str = "2026-11-21T10:00:00Z";

/// A disk with a log, and the time.
struct World {
    disk: SimFs,
    clock: Arc<SetClock>,
}

impl World {
    fn new() -> Self {
        let disk = SimFs::new();
        disk.put("/here", "");
        let clock = Arc::new(SetClock::new(BORN));
        let world = Self { disk, clock };
        world.pass(Duration::ZERO);
        world
    }

    fn pass(&self, time: Duration) {
        self.clock.pass(time);
        self.disk.set_time(self.clock.now());
        set_now(Some(self.clock.now()));
    }

    fn jump_to(&self, time: &str) {
        self.clock.jump_to(time);
        self.pass(Duration::ZERO);
    }

    fn open(&self, process: &SimFs, options: StoreOptions) -> Result<Assembled> {
        let fs = Arc::new(process.clone());
        assemble(fs, self.clock.clone(), Path::new(DIR), options)
    }

    /// What the files of the streams have.
    fn entries(&self) -> Vec<Vec<Value>> {
        let streams = streams(&self.disk, Path::new(DIR)).unwrap();
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        let streams = streams.values().map(|lines| lines.iter().map(parse));
        streams.map(Iterator::collect).collect()
    }

    /// The only stream's.
    fn only(&self) -> Vec<Value> {
        let mut streams = self.entries();
        assert_eq!(streams.len(), 1, "{streams:#?}");
        streams.remove(0)
    }

    /// Another process completes all streams, unless the disk refuses after so many operations.
    fn recover(&self, operations: u64) -> Result<()> {
        let process = self.disk.process();
        self.disk.stop_after(operations);
        let recovered = self.recover_on(&process);
        process.end();
        self.disk.heal();
        recovered
    }

    fn recover_all(&self) {
        self.recover(1 << 40).unwrap();
    }

    /// Each attempt but the last is cut short, a little later than the one before it.
    fn recover_in_steps(&self, step: u64) {
        let mut attempts = 0;
        while let Err(error) = self.recover(attempts) {
            assert!(attempts < 1000, "{error}");
            // Each leaves an empty file, which costs the next ones some operations.
            attempts += step + attempts / 4;
        }
    }

    fn recover_on(&self, fs: &SimFs) -> Result<()> {
        let layout = Layout::new(DIR);
        for stream in Survey::take(fs, &layout)?.streams(fs, &layout)? {
            let recovered = recover(fs, &layout, &*self.clock, &stream)?.unwrap();
            for stem in &recovered.files {
                seal(fs, &layout, stem, Level::FASTEST)?;
                remove_twin(fs, &layout, stem)?;
            }
            recovered.lock.remove()?;
        }
        Ok(())
    }
}

fn settings() -> Settings {
    members! { "when_full": "wait" }
}

fn with_lifecycle() -> StoreOptions {
    let mut options = options(None);
    options.lifecycle = Some(settings());
    options
}

fn push(parts: &Assembled) {
    let event = OwnEntry::new("test.event", Severity::Info, "Something");
    let event = event.render(&"app".parse().unwrap());
    parts.producer.push(&event).unwrap();
}

fn steps(world: &World, parts: &mut Assembled, count: usize) {
    for _ in 0..count {
        if let Err(error) = parts.writer.step() {
            parts.writer.failed(&error);
        }
        world.pass(Duration::from_millis(500));
    }
}

/// As `Store::close` and `Writer::run`; whether that succeeded.
fn close(world: &World, mut parts: Assembled) -> bool {
    parts.producer.close();
    let written = loop {
        match parts.writer.step() {
            Ok(Step::Done) => break true,
            Ok(_) => world.pass(Duration::from_millis(3)),
            Err(error) if parts.writer.failed(&error) => {}
            Err(_) => break false,
        }
    };
    let closed = written && parts.writer.finish().is_ok();
    parts.stopping.store(true, Ordering::Release);
    closed && parts.lock.remove().is_ok()
}

fn types(entries: &[Value]) -> Vec<&str> {
    let types = entries.iter().map(|entry| &entry["event_type"]);
    types.map(|one| one.as_str().unwrap()).collect()
}

fn is_end(event_type: &str) -> bool {
    ["audit.log.closed", "audit.log.ended_without_closing"].contains(&event_type)
}

/// Of a stream with entries: whether it was closed, after checking that it says so once.
fn check(entries: &[Value], context: &str) -> bool {
    let types = types(entries);
    assert_eq!(types[0], "audit.log.opened", "{context}: {types:?}");
    let ends: Vec<_> = types.iter().filter(|one| is_end(one)).collect();
    assert_eq!(ends.len(), 1, "{context}: {types:?}");
    assert!(is_end(types[types.len() - 1]), "{context}: {types:?}");
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"], at + 1, "{context}: {types:?}");
    }
    *ends[0] == "audit.log.closed"
}

#[test]
fn a_log_that_is_opened_and_closed_says_both_and_nothing_else() {
    let world = World::new();
    let process = world.disk.process();
    let parts = world.open(&process, with_lifecycle()).unwrap();
    assert!(close(&world, parts));
    process.end();
    let entries = world.only();
    assert_eq!(types(&entries), ["audit.log.opened", "audit.log.closed"]);
    assert!(check(&entries, ""));
    let details = &entries[0]["details"];
    assert_eq!(details["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(details["pid"], std::process::id());
    assert_eq!(details["when_full"], "wait");
    assert!(details["host"].is_string());
    world.recover_all();
    assert_eq!(world.only().len(), 2);
}

#[test]
fn a_log_without_entries_about_its_life_leaves_nothing() {
    for closes in [true, false] {
        let world = World::new();
        let process = world.disk.process();
        let mut parts = world.open(&process, options(None)).unwrap();
        steps(&world, &mut parts, 3);
        if closes {
            assert!(close(&world, parts));
        }
        process.end();
        world.recover_all();
        assert!(world.entries().is_empty());
    }
}

#[test]
fn an_idle_process_that_is_killed_lived_until_its_last_second() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, with_lifecycle()).unwrap();
    push(&parts);
    steps(&world, &mut parts, 4);
    let last_entry = world.only()[1]["timestamp"].as_str().unwrap().to_owned();
    world.jump_to("2026-11-21T10:30:00Z");
    steps(&world, &mut parts, 4);
    process.end();
    // Recovered on another day, in a file of that day.
    world.jump_to("2026-11-24T08:00:00Z");
    let layout = Layout::new(DIR);
    let fs = world.disk.process();
    let recovered = recover(&fs, &layout, &*world.clock, &parts.stream);
    let files = recovered.unwrap().unwrap().files;
    assert_eq!(files.last().unwrap().day().to_string(), "2026-11-24");
    assert_eq!(files.len(), 2);
    let entries = world.only();
    assert!(!check(&entries, ""));
    let ended = entries.last().unwrap();
    assert_eq!(ended["severity"], "warning");
    let details = &ended["details"];
    assert_eq!(details["last_entry"], last_entry);
    let seen: Timestamp = details["last_sign_of_life"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let begun: Timestamp = "2026-11-21T10:30:00Z".parse().unwrap();
    let alive = seen.as_micros() - begun.as_micros();
    assert!((1_000_000..2_000_000).contains(&alive), "{ended}");
}

#[test]
fn a_death_anywhere_is_recorded_once_although_recovery_dies_too() {
    let (mut died, mut closed, mut without) = (0, 0, 0);
    for elsewhere in [None, Some(ELSEWHERE)] {
        for operations in 0.. {
            let world = World::new();
            let process = world.disk.process();
            world.disk.stop_after(operations);
            let mut options = with_lifecycle();
            options.journal_dir = elsewhere.map(Into::into);
            options.writer.rotate_bytes = 1500;
            let mut ended = false;
            if let Ok(mut parts) = world.open(&process, options) {
                for _ in 0..4 {
                    push(&parts);
                    steps(&world, &mut parts, 2);
                }
                ended = close(&world, parts);
            }
            process.end();
            world.disk.heal();
            world.jump_to("2026-11-22T10:00:00Z");
            world.recover_in_steps(1 + operations % 3);
            let context = format!("after {operations} operations, journal in {elsewhere:?}");
            match world.entries().as_slice() {
                [] => without += 1,
                [entries] => match check(entries, &context) {
                    true => closed += 1,
                    false => {
                        died += 1;
                        assert!(!ended, "{context}");
                    }
                },
                more => panic!("{context}: {more:#?}"),
            }
            if ended {
                break;
            }
        }
    }
    assert!(
        died > 20 && closed > 1 && without > 1,
        "{died} {closed} {without}"
    );
}

#[test]
fn a_power_failure_leaves_the_time_of_what_was_synced() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, with_lifecycle()).unwrap();
    push(&parts);
    steps(&world, &mut parts, 4);
    process.kill();
    let after = World {
        disk: world.disk.after_crash(),
        clock: world.clock.clone(),
    };
    after.pass(Duration::from_secs(60));
    after.recover_all();
    let entries = after.only();
    assert!(!check(&entries, ""));
    let details = &entries.last().unwrap()["details"];
    assert_eq!(details["last_entry"], entries[1]["timestamp"]);
    assert!(details["last_sign_of_life"].is_string());
}

#[test]
fn a_stream_whose_journal_is_gone_or_damaged_ended_as_well() {
    for damaged in [false, true] {
        for rotates in [false, true] {
            let world = World::new();
            let process = world.disk.process();
            let mut options = with_lifecycle();
            options.journal_dir = Some(ELSEWHERE.into());
            if rotates {
                options.writer.rotate_bytes = 400;
            }
            let mut parts = world.open(&process, options).unwrap();
            push(&parts);
            steps(&world, &mut parts, 6);
            parts.sealer.take_all();
            parts.sealer.turn();
            process.end();
            for journal in world.disk.files(ELSEWHERE) {
                match damaged {
                    true => world.disk.change(&journal, |bytes| bytes[20] ^= 1),
                    false => world.disk.take_away(&journal),
                }
            }
            world.recover_in_steps(1);
            let entries = world.only();
            let context = format!("damaged {damaged}, rotates {rotates}");
            assert!(!check(&entries, &context), "{context}");
            let lost = types(&entries).contains(&"audit.log.lost");
            assert_eq!(lost, !damaged, "{context}: {entries:#?}");
            let ended = &entries.last().unwrap()["details"];
            assert_eq!(
                ended["last_sign_of_life"], entries[1]["timestamp"],
                "{context}"
            );
        }
    }
}

#[test]
fn a_stream_of_an_older_version_gets_no_end() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, options(None)).unwrap();
    push(&parts);
    steps(&world, &mut parts, 3);
    push(&parts);
    process.end();
    world.recover_all();
    let entries = world.only();
    assert_eq!(
        types(&entries),
        ["test.event", "test.event", "audit.log.recovered"]
    );
}

#[test]
fn a_closing_that_finds_no_room_frees_the_reserve_and_comes_last() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, with_lifecycle()).unwrap();
    parts.writer.reserve.fill(&process);
    push(&parts);
    steps(&world, &mut parts, 4);
    world.disk.limit(Some(world.disk.used()));
    assert!(close(&world, parts));
    process.end();
    let entries = world.only();
    assert!(check(&entries, ""));
    let types = types(&entries);
    assert!(types.contains(&"audit.log.write_failed"), "{types:?}");
}

#[test]
fn a_closing_that_fails_is_an_error_and_the_next_process_says_so() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, with_lifecycle()).unwrap();
    push(&parts);
    steps(&world, &mut parts, 4);
    let live = Layout::new(DIR).live_dir();
    world.disk.fail(move |_, op| {
        let refused = op.what == "sync" && op.path.starts_with(&live);
        refused.then(|| std::io::ErrorKind::Other.into())
    });
    assert!(!close(&world, parts));
    process.end();
    world.disk.heal();
    world.recover_all();
    assert!(!check(&world.only(), ""));
}

#[test]
fn entries_about_a_failure_at_the_start_come_after_the_opening() {
    let world = World::new();
    let process = world.disk.process();
    let mut parts = world.open(&process, with_lifecycle()).unwrap();
    let mut left = 2;
    world.disk.fail(move |_, op| {
        let fails = op.what == "sync" && op.path.starts_with(DIR) && left > 0;
        left -= i32::from(fails);
        fails.then(|| std::io::ErrorKind::Other.into())
    });
    steps(&world, &mut parts, 10);
    world.disk.heal();
    assert!(close(&world, parts));
    process.end();
    let entries = world.only();
    assert!(check(&entries, ""));
    assert_eq!(types(&entries)[1], "audit.log.write_failed");
}
