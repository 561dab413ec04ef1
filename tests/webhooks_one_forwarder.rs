//! Of the processes that share a directory one forwards, and when it is killed another goes on where it was, within two seconds.

#![cfg(all(feature = "webhook", feature = "macros"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what goes wrong here fails the test, which then shows what it measured")]

#[path = "support/receiver.rs"]
mod receiver;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use receiver::{request, server, status};
use tracing_audit::{AuditLog, audit, webhook::Subscription};
use tracing_subscriber::prelude::*;

const DIR: &str = "ONE_FORWARDER_DIR";
const WHO: &str = "ONE_FORWARDER_WHO";

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir).source("shop").open().unwrap()
}

/// One of the processes: forwards if it may, and records an event every few milliseconds.
#[test]
fn process() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let first: u64 = std::env::var(WHO).unwrap().parse().unwrap();
    let log = open(Path::new(&dir));
    if let Ok(url) = std::env::var("ONE_FORWARDER_URL") {
        // The key is read by whoever forwards, so that each request says from which process it is.
        let subscription = Subscription::new("test", url, ["order.*"]).allow_http().egress(["loopback"]).schedule([0, 0, 1, 1, 1, 1]);
        log.subscribe(subscription.api_key(format!("env:{WHO}")).api_key_header("x-from")).unwrap();
    }
    let _forwarder = log.forward().unwrap();
    tracing::dispatcher::with_default(&tracing_subscriber::registry().with(log.layer()).into(), || {
        let mut out = std::io::stdout();
        for n in first.. {
            audit!("order.placed", n);
            writeln!(out, "sent {n}").unwrap();
            thread::sleep(Duration::from_millis(25));
        }
    });
}

/// A process, and what it says, read as it comes.
struct Process {
    child: Child,
    sent: Arc<Mutex<BTreeSet<u64>>>,
    reading: thread::JoinHandle<()>,
}

impl Process {
    fn start(dir: &Path, first: u64, url: Option<&str>) -> Self {
        let (first, sent) = (first.to_string(), Arc::<Mutex<BTreeSet<u64>>>::default());
        let mut vars = vec![(DIR, dir.to_str().unwrap()), (WHO, first.as_str())];
        vars.extend(url.map(|url| ("ONE_FORWARDER_URL", url)));
        let mut child = support::child("process", &vars).stdout(Stdio::piped()).spawn().unwrap();
        let (out, said) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&sent));
        let reading = thread::spawn(move || {
            for line in out.split(b'\n').map_while(Result::ok) {
                let n = String::from_utf8(line).unwrap().split_once("sent ").and_then(|(_, n)| n.parse::<u64>().ok());
                // One that death cut off is too short.
                said.lock().unwrap().extend(n.filter(|n| *n >= 1_000_000));
            }
        });
        Self { child, sent, reading }
    }

    fn kill(mut self) -> BTreeSet<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reading.join().unwrap();
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

struct Came {
    n: u64,
    from: String,
    id: String,
    at: Instant,
}

#[test]
fn when_the_one_that_forwards_is_killed_another_goes_on() {
    let came = Arc::<Mutex<Vec<Came>>>::default();
    let seen = Arc::clone(&came);
    let address = server(move |mut stream| {
        while let Some(request) = request(&mut stream) {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let n = body["data"]["details"]["n"].as_u64().unwrap();
            let (from, id) = (request.headers["x-from"].clone(), request.headers["webhook-id"].clone());
            seen.lock().unwrap().push(Came { n, from, id, at: Instant::now() });
            let _ = stream.write_all(status("204 No Content", "").as_bytes());
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let wait_for = |done: &dyn Fn(&[Came]) -> bool| {
        let start = Instant::now();
        while !done(&came.lock().unwrap()) {
            if start.elapsed() > Duration::from_secs(20) {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    };

    let first = Process::start(dir.path(), 1_000_000, Some(&format!("http://{address}/")));
    let begun = wait_for(&|came| !came.is_empty());
    let mut others: Vec<_> = [2_000_000, 3_000_000].map(|from| Process::start(dir.path(), from, None)).into();
    thread::sleep(Duration::from_millis(1500));
    let while_all_lived = came.lock().unwrap().len();
    let killed = Instant::now();
    let mut sent = first.kill();
    let went_on = wait_for(&|came| came[while_all_lived..].iter().any(|one| one.from != "1000000"));
    let took_over = killed.elapsed();
    thread::sleep(Duration::from_millis(300));

    // The one that took over is killed as well.
    let second = came.lock().unwrap().last().map_or_else(String::new, |one| one.from.clone());
    let before = came.lock().unwrap().len();
    let killed_again = Instant::now();
    sent.extend(others.remove(if second == "3000000" { 1 } else { 0 }).kill());
    let went_on_again = wait_for(&|came| came[before..].iter().any(|one| one.from != second));
    let took_over_again = killed_again.elapsed();
    let last = others.remove(0);
    // Whoever opens the directory next finds what the dead had not written yet: here as when a service is started again.
    open(dir.path()).close().unwrap();
    let so_far = last.sent.lock().unwrap().clone();
    let complete = wait_for(&|came| {
        let came: BTreeSet<u64> = came.iter().map(|one| one.n).collect();
        sent.iter().chain(&so_far).all(|n| came.contains(n))
    });
    last.kill();

    assert!(begun && went_on && went_on_again, "{begun} {went_on} {went_on_again}");
    let came = came.lock().unwrap();
    assert!(complete, "lost: {} of {}", sent.iter().filter(|n| came.iter().all(|one| one.n != **n)).count(), sent.len());
    // One at a time, each until its death.
    let mut forwarders: Vec<&str> = came.iter().map(|one| &*one.from).collect();
    forwarders.dedup();
    assert_eq!(forwarders.len(), 3, "{forwarders:?}");
    assert!(came[..while_all_lived].iter().any(|one| one.n >= 2_000_000), "it forwards what all of them record");
    let mut by_number: BTreeMap<u64, Vec<&Came>> = BTreeMap::new();
    for one in came.iter() {
        by_number.entry(one.n).or_default().push(one);
    }
    for (n, all) in &by_number {
        assert!(all.iter().all(|one| one.id == all[0].id), "{n} came under several ids");
        let around_a_death = |one: &&Came| one.at >= killed;
        assert!(all.len() == 1 || all.iter().any(around_a_death), "{n} came {} times while nobody had died", all.len());
    }
    println!("{} events; another went on after {took_over:?} and {took_over_again:?}", by_number.len());
    // A look each second, and what it takes to begin.
    assert!(took_over.max(took_over_again) < Duration::from_millis(2500), "{took_over:?} {took_over_again:?}");
}
