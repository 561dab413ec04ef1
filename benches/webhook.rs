//! What delivering brings and costs: from capture to receipt, how much arrives in a second, what
//! `audit!` pays for it with a receiver that lives and one that is dead, and the memory of a
//! process that has a large backlog to deliver.
//!
//! `cargo bench --features webhook-tls --bench webhook` prints tables. The receiver is a process of
//! its own on loopback. `WEBHOOK_ONLY` names the parts to run (`latency,throughput,call,backlog`);
//! `WEBHOOK_SINGLE` (10,000), `WEBHOOK_BATCHED` (200,000) and `WEBHOOK_BACKLOG` (1,000,000) are
//! numbers of events. It writes below the system's temporary directory (`TMPDIR` chooses another).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tracing::{Dispatch, dispatcher};
use tracing_audit::{
    AuditLog, audit,
    webhook::{Batching, Webhook},
};
use tracing_subscriber::prelude::*;

const ROLE: &str = "WEBHOOK_BENCH_ROLE";
const ROUNDS: usize = 5;
/// No part waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(600);

fn micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as u64
}

fn record(n: u64) {
    black_box(audit!(
        "order.placed",
        actor.id = "user-456",
        actor.name = "admin@company.com",
        resource.type = "order",
        resource.id = n,
        ip_address = "192.0.2.50",
        amount = 12.5,
        n,
        t = micros(),
        "Order placed"
    ));
}

// The receiver.

/// What arrived since it was asked last: each number once, and how long each took.
#[derive(Default)]
struct Arrived {
    seen: Vec<u64>,
    distinct: u64,
    took: Vec<u64>,
}

impl Arrived {
    fn event(&mut self, n: u64, took: u64) {
        let (word, bit) = ((n / 64) as usize, 1 << (n % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.distinct += 1;
            self.took.push(took);
        }
    }
}

/// The number after a text, for each time that it occurs.
fn numbers<'a>(body: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
    memchr::memmem::find_iter(body, name).map(move |at| {
        let digits = body[at + name.len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    })
}

/// Takes all requests of a connection.
fn serve(mut stream: TcpStream, arrived: &Mutex<Arrived>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut chunk) = (Vec::new(), vec![0; 256 * 1024]);
    loop {
        let whole = memchr::memmem::find(&read, b"\r\n\r\n").map(|end| {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |text| text.trim().parse().unwrap());
            (end + 4, end + 4 + length)
        });
        if let Some((begin, end)) = whole.filter(|(_, end)| read.len() >= *end) {
            let (now, body) = (micros(), &read[begin..end]);
            let mut arrived = arrived.lock().unwrap();
            numbers(body, b"\"n\":")
                .zip(numbers(body, b"\"t\":"))
                .for_each(|(n, t)| arrived.event(n, now.saturating_sub(t)));
            drop(arrived);
            read.drain(..end);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
            continue;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            count => read.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Tells its port; then, for each line it reads, how many arrived and how long half, 99 % and all
/// of them took; "reset" also forgets them.
fn receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let arrived = Arc::<Mutex<Arrived>>::default();
    let all = Arc::clone(&arrived);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let all = Arc::clone(&all);
            thread::spawn(move || serve(stream, &all));
        }
    });
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mut all = arrived.lock().unwrap();
        if line == "count" {
            println!("{} 0 0 0", all.distinct);
            continue;
        }
        let mut all = std::mem::take(&mut *all);
        all.took.sort_unstable();
        let at = |q: f64| {
            all.took
                .get(((all.took.len().max(1) - 1) as f64 * q) as usize)
                .copied()
                .unwrap_or(0)
        };
        println!("{} {} {} {}", all.distinct, at(0.5), at(0.99), at(1.0));
    }
}

/// The receiver, as the bench sees it.
struct Receiver {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
}

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env(ROLE, name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Receiver {
    fn start() -> Self {
        let mut child = role("receiver").spawn().unwrap();
        let (ask, mut answers) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        let mut port = String::new();
        answers.read_line(&mut port).unwrap();
        Self {
            child,
            ask,
            answers,
            port: port.trim().parse().unwrap(),
        }
    }

    fn asked(&mut self, question: &str) -> [u64; 4] {
        writeln!(self.ask, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        numbers.try_into().unwrap()
    }

    /// Waits until so many have arrived; says how many did and how long half, 99 % and all of them
    /// took, in microseconds.
    fn wait_for(&mut self, count: u64) -> [u64; 4] {
        let start = Instant::now();
        while self.asked("count")[0] < count && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        self.asked("reset")
    }

    fn webhook(&self, name: &str, batch: Option<usize>) -> Webhook {
        webhook(name, self.port, batch)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn webhook(name: &str, port: u16, batch: Option<usize>) -> Webhook {
    let new = Webhook::new(name, format!("http://127.0.0.1:{port}/"), ["order.*"])
        .allow_http()
        .egress(["loopback"]);
    let signed = new.signing_secret(
        tracing_audit::webhook::SigningSecret::random()
            .unwrap()
            .reveal(),
    );
    match batch {
        Some(max_entries) => signed.batch(Batching {
            max_entries,
            max_wait_ms: 100,
        }),
        None => signed,
    }
}

/// A port that refuses connections, for as long as this is kept.
fn refusing() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn open(dir: &Path) -> (AuditLog, Dispatch) {
    let log = AuditLog::builder(dir).source("bench").open().unwrap();
    (
        log.clone(),
        tracing_subscriber::registry().with(log.layer()).into(),
    )
}

// The parts.

/// The middle of some figures, the least and the greatest.
fn spread(mut all: Vec<f64>) -> String {
    all.sort_unstable_by(f64::total_cmp);
    format!(
        "{:>12.1} {:>12.1} {:>12.1}",
        all[all.len() / 2],
        all[0],
        all[all.len() - 1]
    )
}

fn title(text: &str) {
    println!(
        "\n{text}\n{:44} {:>12} {:>12} {:>12}",
        "", "median", "least", "greatest"
    );
}

/// At 200 events a second, each by itself.
fn latency(receiver: &mut Receiver) {
    const COUNT: u64 = 600;
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let (log, dispatch) = open(dir.path());
        log.webhooks().add(receiver.webhook("live", None)).unwrap();
        let dispatcher = log.webhooks().run().unwrap();
        let emit = |numbers: std::ops::Range<u64>| {
            let mut due = Instant::now();
            for n in numbers {
                due += Duration::from_millis(5);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                record(n);
            }
        };
        dispatcher::with_default(&dispatch, || emit(0..50)); // warm up
        receiver.wait_for(50);
        dispatcher::with_default(&dispatch, || emit(50..50 + COUNT));
        let [_, p50, p99, worst] = receiver.wait_for(COUNT);
        [p50, p99, worst]
            .iter()
            .zip(&mut rows)
            .for_each(|(took, row)| row.push(*took as f64 / 1000.0));
        drop(dispatcher);
        log.close().unwrap();
    }
    title(&format!(
        "Capture to receipt at 200/s, single, ms ({ROUNDS} rounds of {COUNT})"
    ));
    for (name, row) in ["p50", "p99", "worst"].iter().zip(rows) {
        println!("{name:44} {}", spread(row));
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What is recorded already, from the start of delivering until all of it arrived.
fn throughput(receiver: &mut Receiver) {
    title("Events a second until all of a backlog arrived (3 rounds)");
    for (name, count, batch) in [
        ("single", number("WEBHOOK_SINGLE", 10_000), None),
        (
            "batched by 100",
            number("WEBHOOK_BATCHED", 200_000),
            Some(100),
        ),
        (
            "batched by 1000",
            number("WEBHOOK_BATCHED", 200_000),
            Some(1000),
        ),
    ] {
        let mut row = Vec::new();
        for _ in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let (log, dispatch) = open(dir.path());
            log.webhooks().add(receiver.webhook("live", batch)).unwrap();
            dispatcher::with_default(&dispatch, || {
                (0..count).for_each(record);
                audit!("other.thing").wait().unwrap();
            });
            let start = Instant::now();
            let dispatcher = log.webhooks().run().unwrap();
            let [arrived, ..] = receiver.wait_for(count);
            row.push(arrived as f64 / start.elapsed().as_secs_f64());
            if arrived < count {
                println!("{name}: {arrived} of {count} after {:?}", start.elapsed());
            }
            drop(dispatcher);
            log.close().unwrap();
            receiver.asked("reset");
        }
        println!("{:44} {}", format!("{name}, {count} events"), spread(row));
    }
}

/// `audit!` at 5,000 calls a second: without webhooks, with one to a receiver that lives, and
/// with one to a dead one.
fn call(receiver: &mut Receiver) {
    const CALLS: u64 = 10_000;
    let (_port, dead) = refusing();
    let names = [
        "nothing delivered",
        "delivered to a live webhook",
        "delivered to a dead webhook",
    ];
    let mut rows = [const { (Vec::new(), Vec::new()) }; 3];
    for round in 0..ROUNDS {
        // Each is the first in some rounds.
        for which in (0..3).map(|which| (which + round) % 3) {
            let dir = tempfile::tempdir().unwrap();
            let (log, dispatch) = open(dir.path());
            match which {
                1 => log
                    .webhooks()
                    .add(receiver.webhook("live", Some(100)))
                    .unwrap(),
                2 => log
                    .webhooks()
                    .add(
                        webhook("dead", dead, Some(100))
                            .schedule([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
                    )
                    .unwrap(),
                _ => {}
            }
            let dispatcher = (which > 0).then(|| log.webhooks().run().unwrap());
            let mut took = dispatcher::with_default(&dispatch, || paced(CALLS));
            took.sort_unstable();
            rows[which].0.push(took[took.len() / 2] as f64);
            rows[which].1.push(took[took.len() * 99 / 100] as f64);
            drop(dispatcher);
            log.close().unwrap();
            receiver.asked("reset");
        }
    }
    title(&format!(
        "audit! at 5,000/s, ns ({ROUNDS} interleaved rounds of {CALLS})"
    ));
    for (name, (p50, p99)) in names.iter().zip(rows) {
        println!("{:44} {}", format!("{name}, p50"), spread(p50));
        println!("{:44} {}", format!("{name}, p99"), spread(p99));
    }
}

/// How long each call took, in nanoseconds.
fn paced(calls: u64) -> Vec<u64> {
    let mut due = Instant::now();
    let one = |n| {
        due += Duration::from_micros(200);
        // Without a pause instruction: in a virtual machine it may give the processor away.
        while Instant::now() < due {}
        let before = Instant::now();
        record(n);
        before.elapsed().as_nanos() as u64
    };
    (0..calls).map(one).collect()
}

/// Delivers what there is, until its standard input ends.
fn dispatcher() {
    let (log, _) = open(Path::new(&std::env::args_os().nth(1).unwrap()));
    println!("open");
    let mut lines = std::io::stdin().lines();
    lines.next();
    let dispatcher = log.webhooks().run().unwrap();
    lines.for_each(drop);
    drop(dispatcher);
    log.close().unwrap();
}

/// A figure of a process's memory, in MiB.
fn memory(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

/// The memory of a process that does nothing but forward, while many events wait for a webhook
/// that is dead, and while they go to one that lives.
fn backlog(receiver: &mut Receiver) {
    let count = number("WEBHOOK_BACKLOG", 1_000_000);
    let (_port, dead) = refusing();
    let dir = tempfile::tempdir().unwrap();
    let (log, dispatch) = open(dir.path());
    log.webhooks()
        .add(webhook("dead", dead, Some(1000)))
        .unwrap();
    log.webhooks()
        .add(webhook("dead-single", dead, None))
        .unwrap();
    log.webhooks()
        .add(receiver.webhook("live", Some(1000)))
        .unwrap();
    log.webhooks().pause("live").unwrap();
    dispatcher::with_default(&dispatch, || (0..count).for_each(record));
    log.close().unwrap();
    drop((log, dispatch));
    // What is not sealed yet is sealed by this process, as long as it takes: not in the one that is
    // measured.
    let log = AuditLog::builder(dir.path())
        .source("sealer")
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    let start = Instant::now();
    while fs::read_dir(dir.path().join("live")).unwrap().count() > 1 && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }

    let mut child = role("dispatcher").arg(dir.path()).spawn().unwrap();
    let (mut ask, pid) = (child.stdin.take().unwrap(), child.id());
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut String::new())
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    let kinds = ["VmRSS", "RssAnon", "VmHWM"];
    let now = || kinds.map(|kind| memory(pid, kind));
    let before = now();
    writeln!(ask, "go").unwrap();
    thread::sleep(Duration::from_secs(5));
    let while_dead = now();
    log.webhooks().resume("live").unwrap();
    let start = Instant::now();
    let (mut most, mut arrived) = (now(), 0);
    while arrived < count && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
        arrived = receiver.asked("count")[0];
        let now = now();
        most.iter_mut()
            .zip(now)
            .for_each(|(most, now)| *most = most.max(now));
    }
    let took = start.elapsed();
    drop(ask);
    let _ = child.wait();
    receiver.asked("reset");
    log.close().unwrap();

    println!(
        "\nMemory of a process that delivers, MiB; {count} events, of which {arrived} arrived \
         within {took:.1?}"
    );
    println!(
        "{:44} {:>12} {:>12} {:>12}",
        "", kinds[0], kinds[1], kinds[2]
    );
    for (name, row) in [
        ("before it delivers", before),
        ("5 s with two dead webhooks", while_dead),
        ("and a live one, the most", most),
    ] {
        println!(
            "{name:44} {:>12.1} {:>12.1} {:>12.1}",
            row[0], row[1], row[2]
        );
    }
    println!("{:44} {:>12.1}", "more than before", most[2] - before[0]);
}

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("receiver") => return receiver(),
        Ok(_) => return dispatcher(),
        Err(_) => {}
    }
    let only = std::env::var("WEBHOOK_ONLY")
        .unwrap_or_else(|_| "latency,throughput,call,backlog".to_owned());
    let mut receiver = Receiver::start();
    type Part = (&'static str, fn(&mut Receiver));
    let parts: [Part; 4] = [
        ("latency", latency),
        ("throughput", throughput),
        ("call", call),
        ("backlog", backlog),
    ];
    for (_, part) in parts
        .iter()
        .filter(|(name, _)| only.split(',').any(|one| one == *name))
    {
        part(&mut receiver);
    }
}
