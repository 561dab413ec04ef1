//! Of the processes that share a directory one delivers, and when it is killed another goes on
//! where it was, within two seconds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which then shows what it measured"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::receiver::{Came, Receiver};
use crate::shop::{open, within};
use crate::support::{Victim, say, wait_for};
use tracing_audit::{audit, webhook::Webhook};

const DIR: &str = "ONE_DISPATCHER_DIR";
const WHO: &str = "ONE_DISPATCHER_WHO";

/// One of the processes: delivers if it may, and records an event every few milliseconds.
#[test]
fn process() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let first: u64 = std::env::var(WHO).unwrap().parse().unwrap();
    let log = open(Path::new(&dir));
    if let Ok(url) = std::env::var("ONE_DISPATCHER_URL") {
        // The key is read by the dispatcher, so that each request says from which process it is.
        let webhook = Webhook::new("test", url, ["order.*"])
            .allow_http()
            .egress(["loopback"])
            .schedule([0, 0, 1, 1, 1, 1]);
        log.webhooks()
            .add(
                webhook
                    .api_key(format!("env:{WHO}"))
                    .api_key_header("x-from"),
            )
            .unwrap();
    }
    let _dispatcher = log.webhooks().run().unwrap();
    within(&log, || {
        for n in first.. {
            audit!("order.placed", n);
            say(n);
            thread::sleep(Duration::from_millis(25));
        }
    });
}

fn start(dir: &Path, first: u64, url: Option<&str>) -> Victim {
    let first = first.to_string();
    let mut vars = vec![(DIR, dir.to_str().unwrap()), (WHO, first.as_str())];
    vars.extend(url.map(|url| ("ONE_DISPATCHER_URL", url)));
    Victim::start(&mut crate::support::child(module_path!(), "process", &vars))
}

fn from(came: &Came) -> u64 {
    came.request.header("x-from").parse().unwrap()
}

/// How long it takes to open a log and to deliver, with nobody to wait for: on this machine, as
/// busy as it is now.
fn beginning() -> Duration {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let process = start(dir.path(), 1, Some(&receiver.url));
    let first = receiver.wait_for("it delivers", |came| Some(came.first()?.at));
    drop(process);
    first - begun
}

/// The consequences of the death of the process that delivered.
struct TakenOver {
    /// The numbers that the dead process had recorded.
    sent: Vec<u64>,
    /// How many requests had come before.
    before: usize,
    /// The dispatcher that went on, and how long that took.
    by: u64,
    after: Duration,
    /// How long it took meanwhile to begin.
    beginning: Duration,
}

/// Kills the one that delivers.
fn kill(receiver: &Receiver, who: u64, process: Victim) -> TakenOver {
    let (before, killed) = (receiver.count(), Instant::now());
    let sent = process.kill();
    let beginning = beginning();
    let (by, at) = receiver.wait_for("another goes on", |came| {
        came[before..]
            .iter()
            .find(|one| from(one) != who)
            .map(|one| (from(one), one.at))
    });
    TakenOver {
        sent,
        before,
        by,
        after: at - killed,
        beginning,
    }
}

#[test]
fn when_the_one_that_forwards_is_killed_another_goes_on() {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path(), 1_000_000, Some(&receiver.url));
    receiver.wait_for("the first delivers", |came| came.first().map(drop));
    let mut others: BTreeMap<u64, Victim> = [2_000_000, 3_000_000]
        .map(|first| (first, start(dir.path(), first, None)))
        .into();
    receiver.wait_for("it delivers what all of them record", |came| {
        let has = |first: u64| {
            came.iter().any(|one| {
                one.request.numbers()[0] >= first && one.request.numbers()[0] < first + 1_000_000
            })
        };
        (has(2_000_000) && has(3_000_000)).then_some(())
    });
    let died = Instant::now();
    let taken_over = kill(&receiver, 1_000_000, first);
    let second = taken_over.by;
    let before = taken_over.before;
    assert!(
        receiver.look(|came| came[..before].iter().all(|one| from(one) == 1_000_000)),
        "one delivers at a time"
    );

    // The one that took over is killed as well.
    let again = kill(&receiver, second, others.remove(&second).unwrap());
    let third = again.by;
    let mut sent = [&taken_over.sent[..], &again.sent].concat();
    let last = others.remove(&third).unwrap();
    // Whoever opens the directory next finds what the dead had not written yet: here as when a
    // service is started again.
    open(dir.path()).close().unwrap();
    sent.extend(last.said::<u64>());
    wait_for("all of it arrives", || {
        let came: BTreeSet<u64> = receiver.taken().into_keys().collect();
        let lost = sent.iter().filter(|n| !came.contains(n)).count();
        if lost == 0 {
            Ok(())
        } else {
            Err(format!("{lost} of {} are missing", sent.len()))
        }
    });
    drop(last);

    receiver.look(|came| {
        // One at a time, each until its death.
        let mut dispatchers: Vec<u64> = came.iter().map(from).collect();
        dispatchers.dedup();
        assert_eq!(dispatchers, [1_000_000, second, third]);
        let mut by_number: BTreeMap<u64, Vec<&Came>> = BTreeMap::new();
        for one in came {
            by_number
                .entry(one.request.numbers()[0])
                .or_default()
                .push(one);
        }
        for (n, all) in &by_number {
            assert!(
                all.iter()
                    .all(|one| one.request.id() == all[0].request.id()),
                "{n} came under several ids"
            );
            let around_a_death = |one: &&Came| one.at >= died;
            assert!(
                all.len() == 1 || all.iter().any(around_a_death),
                "{n} came {} times while nobody had died",
                all.len()
            );
        }
        println!("{} events", by_number.len());
    });
    for TakenOver {
        after, beginning, ..
    } in [taken_over, again]
    {
        println!("another went on after {after:?}; to begin took {beginning:?}");
        // A look each second, and what it takes to begin.
        let limit = Duration::from_millis(1500) + beginning.max(Duration::from_secs(1));
        assert!(after < limit, "{after:?}, {beginning:?}");
    }
}
