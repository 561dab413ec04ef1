//! Threads of the log that panic, or can't be started.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    entry::json::members,
    journal::{Fate, PushError},
    store::{
        SpaceAction, Watermarks,
        gzip::Level,
        retention::Retention,
        sim::{Op, SimFs},
    },
};

const DIR: &str = "/log";
const WRITER: &str = "audit-writer";
const SEALER: &str = "audit-sealer";

fn disk() -> SimFs {
    let disk = SimFs::new();
    // By the stores' clock, or each sealed file would be older than any grace.
    disk.set_time(Timestamp::now());
    disk.put("/here", "");
    disk
}

fn options(rotate_bytes: u64) -> (StoreOptions, Receiver<Problem>) {
    let (told, problems) = channel();
    let told = Mutex::new(told);
    let callback = move |problem: &Problem| drop(told.lock().unwrap().send(problem.clone()));
    let options = StoreOptions {
        permissions: None,
        source: "app".parse().unwrap(),
        journal_capacity: 1 << 14,
        journal_dir: None,
        needs_hash_keys: false,
        lifecycle: None,
        writer: WriterOptions {
            rotate_bytes,
            rotate_age: Duration::from_secs(3600),
            sync_interval: Duration::from_secs(1),
            watermarks: Watermarks::default()
                .low(0, SpaceAction::Report)
                .very_low(0, SpaceAction::Report),
        },
        sealer: SealerOptions {
            level: Level::FASTEST,
            grace: Duration::ZERO,
            retention: Retention::unlimited(),
        },
        readers: |_, _| Ok(Vec::new()),
        health: Arc::new(Health::new(Some(Arc::new(callback)))),
    };
    (options, problems)
}

fn open(disk: &SimFs, options: StoreOptions) -> Result<Store> {
    open_with(disk, named, options)
}

fn open_with(
    disk: &SimFs,
    thread: impl Fn(&str) -> thread::Builder,
    options: StoreOptions,
) -> Result<Store> {
    let clock = Arc::new(SystemClock::new());
    Store::open_on(
        Arc::new(disk.clone()),
        clock,
        thread,
        Path::new(DIR),
        options,
    )
}

/// From now on, this thread panics when it does `what` to a file in this directory.
fn panics(disk: &SimFs, name: &'static str, what: &'static str, dir: &'static str) {
    disk.fail(move |_, op: &Op| {
        let thread = thread::current();
        let meant = op.what == what && op.path.starts_with(dir);
        assert!(thread.name() != Some(name) || !meant, "on purpose");
        None
    });
}

/// Does it on another thread, which may take a minute.
fn soon<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waits) = channel();
    thread::spawn(move || done.send(run()));
    let result = waits.recv_timeout(Duration::from_secs(60));
    result.unwrap_or_else(|_| panic!("{what} never ends"))
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn push(store: &Store, number: usize) -> std::result::Result<(String, u64), PushError> {
    let event = OwnEntry::new("test.event", Severity::Info, format!("number {number}"))
        .render(&"app".parse().unwrap());
    let id = String::from_utf8(event[6..42].to_vec()).unwrap();
    store.producer.push(&event).map(|end| (id, end.0))
}

fn deaths(problems: &Receiver<Problem>) -> Vec<String> {
    let died = |problem| match problem {
        Problem::ThreadDied(what) => Some(what),
        _ => None,
    };
    problems.try_iter().filter_map(died).collect()
}

/// How often each id is in the live files, after another process took over and ended.
fn recovered(disk: &SimFs, ids: &[String]) -> Vec<usize> {
    disk.heal();
    let (mut options, problems) = options(1 << 20);
    options.sealer.grace = Duration::from_secs(3600);
    let next = disk.process();
    let store = open(&next, options).unwrap();
    until("what was left is recovered", || {
        let ours = store.layout.ring(&store.stream);
        disk.files(store.layout.journal_dir()) == [ours]
    });
    soon("close", move || store.close()).unwrap();
    assert_eq!(problems.try_iter().collect::<Vec<_>>(), []);
    let files: Vec<PathBuf> = disk.files(Path::new(DIR).join("live"));
    let text = |path: &PathBuf| String::from_utf8(disk.bytes(path).unwrap()).unwrap();
    let all: String = files.iter().map(text).collect();
    ids.iter()
        .map(|id| all.matches(id.as_str()).count())
        .collect()
}

#[test]
fn a_writer_that_panics_keeps_nobody_waiting_and_loses_nothing() {
    // While it begins a file, writes, syncs.
    for what in ["create_new", "append", "sync"] {
        let disk = disk();
        let process = disk.process();
        let (options, problems) = options(1 << 20);
        let health = options.health.clone();
        let store = open(&process, options).unwrap();
        let durability = store.durability;
        panics(&disk, WRITER, what, "/log/live");
        let pushed: Vec<_> = (0..3).filter_map(|n| push(&store, n).ok()).collect();
        let (ids, ends): (Vec<_>, Vec<_>) = pushed.into_iter().unzip();
        assert!(!ids.is_empty());
        for end in ends {
            let fate = soon("wait", move || durability.wait(end));
            let Fate::Failed(why) = fate else {
                panic!("{what}: {fate:?}");
            };
            assert!(why.contains("audit-writer panicked: on purpose"), "{why}");
        }
        assert_eq!(push(&store, 3), Err(PushError::Closed));
        let own = OwnEntry::new("audit.test", Severity::Info, "Refused");
        assert!(store.record(&own).is_err());
        let told = problems.recv_timeout(Duration::from_secs(60));
        assert!(matches!(told, Ok(Problem::ThreadDied(_))), "{told:?}");
        assert_eq!(health.trouble().len(), 1, "{:?}", health.trouble());
        let closed = soon("close", move || store.close());
        assert!(closed.unwrap_err().to_string().contains("on purpose"));
        assert_eq!(deaths(&problems), [] as [String; 0], "it is told once");
        process.end();
        assert_eq!(recovered(&disk, &ids), vec![1; ids.len()], "{what}");
    }
}

#[test]
fn a_sealer_that_panics_is_reported_and_the_writer_goes_on() {
    let disk = disk();
    let process = disk.process();
    let (options, problems) = options(1);
    let health = options.health.clone();
    let store = open(&process, options).unwrap();
    panics(&disk, SEALER, "create_new", "/log");
    // Each one ends a file.
    let first = push(&store, 0).unwrap();
    until("the first is durable", || {
        store.durability.is_durable(first.1)
    });
    let second = push(&store, 1).unwrap();
    let told = problems.recv_timeout(Duration::from_secs(60));
    assert!(
        matches!(&told, Ok(Problem::ThreadDied(what)) if what.contains(SEALER)),
        "{told:?}"
    );
    assert_eq!(health.trouble().len(), 1);
    let third = push(&store, 2).unwrap();
    let durability = store.durability;
    let fate = soon("wait", move || durability.wait(third.1));
    assert!(matches!(fate, Fate::Durable), "{fate:?}");
    store.prune_soon();
    soon("close", move || store.close()).unwrap();
    assert_eq!(health.counters().entries, 3);
    process.end();
    let ids = [first.0, second.0, third.0];
    disk.heal();
    assert_eq!(recovered(&disk, &ids), [1, 1, 1]);
}

#[test]
fn both_may_panic() {
    let disk = disk();
    let process = disk.process();
    let (options, problems) = options(1);
    let health = options.health.clone();
    let store = open(&process, options).unwrap();
    panics(&disk, SEALER, "create_new", "/log");
    let mut ids = Vec::new();
    for number in 0..2 {
        let (id, end) = push(&store, number).unwrap();
        until("it is durable", || store.durability.is_durable(end));
        ids.push(id);
    }
    until("the sealer has died", || !health.trouble().is_empty());
    panics(&disk, WRITER, "append", "/log/live");
    let (id, end) = push(&store, 2).unwrap();
    ids.push(id);
    let durability = store.durability;
    let fate = soon("wait", move || durability.wait(end));
    assert!(matches!(fate, Fate::Failed(_)), "{fate:?}");
    until("both are told of", || health.trouble().len() == 2);
    soon("close", move || store.close()).unwrap_err();
    assert_eq!(deaths(&problems).len(), 2);
    process.end();
    assert_eq!(recovered(&disk, &ids), [1, 1, 1]);
}

#[test]
fn a_callback_cannot_close_the_log_that_calls_it() {
    let disk = disk();
    let process = disk.process();
    let (mut options, _) = options(1);
    let (told, results) = channel();
    let told = Mutex::new(told);
    let store = Arc::new(std::sync::OnceLock::<Store>::new());
    let closes = store.clone();
    options.health = Arc::new(Health::new(Some(Arc::new(move |_: &Problem| {
        let closed = closes.get().unwrap().close();
        told.lock().unwrap().send(closed).unwrap();
    }))));
    let store = store.get_or_init(|| open(&process, options).unwrap());
    panics(&disk, SEALER, "create_new", "/log");
    for number in 0..2 {
        // The callback may have closed the journal by then.
        if let Ok((_, end)) = push(store, number) {
            until("it is durable", || store.durability.is_durable(end));
        }
    }
    let closed = results.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(closed.unwrap_err().to_string().contains("another one"));
    // The lock is held until then.
    let lock = store.layout.lock(store.stream.as_str());
    assert!(disk.is_locked(&lock).unwrap());
    store.close().unwrap();
    assert!(!disk.is_locked(&lock).unwrap());
}

#[test]
fn a_thread_that_cannot_be_started_leaves_nothing_behind() {
    for lacking in [WRITER, SEALER] {
        let disk = disk();
        let process = disk.process();
        // More than there are addresses.
        let builder = |name: &str| match name == lacking {
            true => named(name).stack_size(1 << 50),
            false => named(name),
        };
        let error = open_with(&process, builder, options(1 << 20).0)
            .err()
            .unwrap();
        assert!(error.to_string().contains("start a thread"), "{error}");
        let left: Vec<_> = disk.files(Path::new(DIR).join("state"));
        let names = left.iter().filter_map(|path| path.extension());
        assert!(
            names
                .into_iter()
                .all(|ending| ending != "ring" && ending != "lock"),
            "{lacking}: {left:?}"
        );
        // The same process tries again.
        let store = open(&process, options(1 << 20).0).unwrap();
        let (id, end) = push(&store, 0).unwrap();
        let durability = store.durability;
        let fate = soon("wait", move || durability.wait(end));
        assert!(matches!(fate, Fate::Durable), "{fate:?}");
        soon("close", move || store.close()).unwrap();
        process.end();
        assert_eq!(recovered(&disk, &[id]), [1]);
    }
}

/// What a stream has beside its files.
fn begun(disk: &SimFs) -> Vec<PathBuf> {
    let mut left = disk.files("/log/state/journal");
    left.extend(disk.files("/log/state/locks"));
    left
}

#[test]
fn what_is_dropped_is_closed() {
    let disk = disk();
    let process = disk.process();
    let store = open(&process, options(1 << 20).0).unwrap();
    let (id, _) = push(&store, 0).unwrap();
    soon("drop", move || drop(store));
    assert_eq!(begun(&disk), [] as [PathBuf; 0]);
    process.end();
    assert_eq!(recovered(&disk, &[id]), [1]);
}

#[test]
fn an_opening_that_fails_begins_no_stream() {
    let disk = disk();
    // More than the journal takes.
    let (mut refused, _) = options(1 << 20);
    refused.lifecycle = Some(members! { "note": "x".repeat(1 << 14) });
    open(&disk.process(), refused).err().unwrap();
    assert_eq!(begun(&disk), [] as [PathBuf; 0]);
    disk.put("/log/state/hash-keys.json", "{");
    let (mut without_keys, _) = options(1 << 20);
    without_keys.needs_hash_keys = true;
    let error = open(&disk.process(), without_keys).err().unwrap();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(begun(&disk), [] as [PathBuf; 0]);
}

#[test]
fn who_closes_a_log_again_is_told_the_same() {
    let disk = disk();
    let store = open(&disk.process(), options(1 << 20).0).unwrap();
    disk.fail(|_, op| {
        let fails = op.what == "append" && op.path.starts_with("/log/live");
        fails.then(|| io::Error::from_raw_os_error(5))
    });
    push(&store, 0).unwrap();
    let first = store.close().unwrap_err().to_string();
    assert_eq!(store.close().unwrap_err().to_string(), first);
    assert!(store.is_over());
}

#[test]
fn who_closes_a_log_that_is_being_closed_waits_for_it() {
    let disk = disk();
    let store = Arc::new(open(&disk.process(), options(1 << 20).0).unwrap());
    let (open_gate, gate) = channel::<()>();
    let (arrived, arrives) = channel();
    disk.fail(move |_, op| {
        if op.what == "append" && op.path.starts_with("/log/live") {
            let _ = arrived.send(());
            let _ = gate.recv();
        }
        None
    });
    push(&store, 0).unwrap();
    let (done, results) = channel();
    for _ in 0..2 {
        let (store, done) = (store.clone(), done.clone());
        thread::spawn(move || done.send(store.close()));
    }
    arrives.recv_timeout(Duration::from_secs(60)).unwrap();
    let early = results.recv_timeout(Duration::from_millis(200));
    assert!(early.is_err(), "the writer still writes");
    drop(open_gate);
    for _ in 0..2 {
        results
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .unwrap();
    }
}

#[test]
fn a_stream_whose_lock_was_deleted_is_not_recovered_while_its_process_lives() {
    let disk = disk();
    let (options_of_one, told_to_one) = options(1 << 20);
    let one = open(&disk.process(), options_of_one).unwrap();
    let (first, _) = push(&one, 0).unwrap();
    let ring = one.layout.ring(&one.stream);
    disk.take_away(one.layout.lock(one.stream.as_str()));
    let (mut options_of_other, told) = options(1 << 20);
    // It may seal the other's file at its end.
    options_of_other.sealer.grace = Duration::from_secs(3600);
    let other = open(&disk.process(), options_of_other).unwrap();
    let problem = told.recv_timeout(Duration::from_secs(60)).unwrap();
    let Problem::RecoveryFailed(what) = problem else {
        panic!("{problem:?}");
    };
    assert!(what.contains("its process lives"), "{what}");
    assert!(disk.bytes(&ring).is_some());
    let problem = told_to_one.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(problem, Problem::LockLost(_)), "{problem:?}");
    let (second, _) = push(&one, 1).unwrap();
    soon("close", move || one.close()).unwrap();
    soon("close", move || other.close()).unwrap();
    assert_eq!(recovered(&disk, &[first, second]), [1, 1]);
}
