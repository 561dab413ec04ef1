//! A process that has nothing to do sleeps, and is there when something happens.
//!
//! Each case runs in a process of its own, because all of a process's threads are counted.

use std::{
    fs,
    io::Write as _,
    path::Path,
    sync::mpsc::{self, Receiver as Baton, Sender},
    thread,
    time::{Duration, Instant},
};

use tracing_audit::{AuditLog, audit, webhook::Webhook};

use crate::shop::within;
use crate::{
    receiver::{Receiver, refusing},
    support::{is_apart, lines, say, until, wait_for},
};

/// How long is counted.
const WHILE: Duration = Duration::from_secs(5);
/// A process may work for so long before it is quiet. On a busy machine it needs longer, so the
/// test also waits until it was quiet for a second.
const SETTLES: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// How often the threads of this process have gone to sleep so far, and how long they have run.
fn spent() -> (u64, Duration) {
    let mut switches = 0;
    let mut ran = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may end meanwhile.
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let status = read("status");
        let voluntary = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += voluntary.map_or(0, |count| count.trim().parse::<u64>().unwrap());
        let schedule = read("schedstat");
        let nanos = schedule.split_whitespace().next();
        ran += nanos.map_or(0, |nanos| nanos.parse::<u64>().unwrap());
    }
    (switches, Duration::from_nanos(ran))
}

/// How often this process wakes in a second, and which part of a processor it takes.
fn wake_ups(time: Duration) -> (f64, f64) {
    let (before, ran_before) = spent();
    thread::sleep(time);
    let (after, ran_after) = spent();
    let seconds = time.as_secs_f64();
    let per_second = after.saturating_sub(before) as f64 / seconds;
    let load = ran_after.saturating_sub(ran_before).as_secs_f64() / seconds;
    (per_second, load)
}

/// Fails if this process sleeps and wakes more often than that while it should be idle.
fn assert_idle(case: &str, most_per_second: u64) {
    let most = most_per_second as f64;
    thread::sleep(SETTLES);
    wait_for("what there was to do is done", || match wake_ups(SECOND) {
        (per_second, _) if per_second <= most => Ok(()),
        busy => Err(busy),
    });
    let (per_second, load) = wake_ups(WHILE);
    let figures = format!(
        "{case}: {per_second:.1} wake-ups a second, {:.3} %",
        load * 100.0
    );
    say(&figures);
    assert!(per_second <= most, "{figures}");
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir).source("shop").open().unwrap()
}

fn webhook(name: &str, url: &str) -> Webhook {
    Webhook::new(name, url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
}

#[test]
fn an_open_log_sleeps() {
    if !is_apart(module_path!(), "an_open_log_sleeps") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    within(&log, || audit!("order.placed").ignore());
    assert_idle("a log", 4);
    log.close().unwrap();
}

#[test]
fn a_dispatcher_without_webhooks_sleeps() {
    if !is_apart(module_path!(), "a_dispatcher_without_webhooks_sleeps") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let _dispatcher = log.webhooks().run().unwrap();
    assert_idle("a dispatcher", 10);
}

#[test]
fn fifty_quiet_webhooks_sleep() {
    if !is_apart(module_path!(), "fifty_quiet_webhooks_sleep") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    let log = open(dir.path());
    for n in 0..50 {
        let webhook = webhook(&format!("quiet-{n}"), &receiver.url);
        log.webhooks().add(webhook).unwrap();
    }
    let _dispatcher = log.webhooks().run().unwrap();
    within(&log, || audit!("order.placed").ignore());
    until("each webhook gets the event", || receiver.count() == 50);
    assert_idle("50 quiet webhooks", 10);
}

#[test]
fn twenty_dead_receivers_cost_little() {
    if !is_apart(module_path!(), "twenty_dead_receivers_cost_little") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let (address, _socket) = refusing();
    let url = format!("http://{address}/");
    for n in 0..20 {
        let webhook = webhook(&format!("dead-{n}"), &url).schedule([3600; 10]);
        log.webhooks().add(webhook).unwrap();
    }
    let _dispatcher = log.webhooks().run().unwrap();
    within(&log, || {
        for n in 0..10_u64 {
            audit!("order.placed", n);
        }
    });
    until("each fails", || {
        let reports = log.webhooks().list().unwrap();
        reports
            .iter()
            .all(|report| report.status.failures_in_a_row >= 5)
    });
    // Of these, the probes are most.
    assert_idle("20 dead receivers", 150);
}

/// Threads that sleep, and wake each other in turn; each works a little, and the last one writes a
/// line and syncs it. The time that this takes shows how busy the machine and its disk are.
struct Relay {
    first: Sender<()>,
    end: Baton<()>,
}

impl Relay {
    fn new(threads: usize) -> Self {
        let (first, mut baton) = mpsc::channel::<()>();
        for n in 1..=threads {
            let taken = baton;
            let (next, rest) = mpsc::channel();
            baton = rest;
            thread::spawn(move || {
                let _ = taken.recv();
                work();
                if n == threads {
                    write_and_sync();
                }
                let _ = next.send(());
            });
        }
        Self { first, end: baton }
    }

    fn time(self) -> Duration {
        let begun = Instant::now();
        self.first.send(()).unwrap();
        self.end.recv().unwrap();
        begun.elapsed()
    }
}

/// About what a thread of the log does for one event.
fn work() {
    let texts: Vec<String> = (0..500).map(|n: u32| format!("{n:>20}")).collect();
    std::hint::black_box(texts);
}

fn write_and_sync() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"{}\n").unwrap();
    file.sync_all().unwrap();
}

/// Fails unless half of the times are shorter than `most` plus twice the time of the relays.
fn assert_at_once(mut times: Vec<Duration>, mut relays: Vec<Duration>, most: Duration) {
    times.sort();
    relays.sort();
    let middle = times.len() / 2;
    let most = most + 2 * relays[middle];
    assert!(times[middle] < most, "{times:?}, relays: {relays:?}");
}

#[test]
fn an_event_after_a_pause_is_written_and_synced_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut written = Vec::new();
    let mut synced = Vec::new();
    let mut relays = Vec::new();
    for _ in 0..9 {
        let before = lines(dir.path()).len();
        let relay = Relay::new(2);
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        within(&log, || audit!("order.placed").ignore());
        while lines(dir.path()).len() == before {}
        written.push(begun.elapsed());
        relays.push(relay.time());
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        within(&log, || audit!("order.placed").wait().unwrap());
        synced.push(begun.elapsed());
    }
    for times in [written, synced] {
        assert_at_once(times, relays.clone(), Duration::from_millis(100));
    }
}

#[test]
fn an_event_after_a_pause_is_delivered_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    let log = open(dir.path());
    log.webhooks().add(webhook("siem", &receiver.url)).unwrap();
    let _dispatcher = log.webhooks().run().unwrap();
    let mut took = Vec::new();
    let mut relays = Vec::new();
    for n in 1..10 {
        // About as many threads take part: the writer, the one that notices that the log grows, the
        // dispatcher and its reader, and the receiver with its answer.
        let relay = Relay::new(8);
        thread::sleep(Duration::from_millis(1300));
        let begun = Instant::now();
        within(&log, || audit!("order.placed").ignore());
        while receiver.count() < n {
            thread::sleep(Duration::from_millis(1));
        }
        took.push(begun.elapsed());
        relays.push(relay.time());
    }
    assert_at_once(took, relays, Duration::from_millis(200));
}
