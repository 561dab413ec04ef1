//! A receiver in another process that fails in all ways, hangs, drips, and is killed and started
//! again, and a sender that is killed as well: each event arrives at least once and under one id,
//! verified by the library that receivers use, and in order where that was asked for.
//!
//! `HOSTILE_ROUNDS=200` makes it long: the sender is then killed so often, and what overload put
//! off for a minute is awaited too. `HOSTILE_SEED` repeats the choices of a run (but not its
//! timing).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which then shows what it measured"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::shop::within;
use crate::support::{HANGS, Victim, say};
use serde::Deserialize;
use serde_json::json;
use tracing_audit::{
    AuditLog, AuditReader, audit,
    webhook::{Batching, DeliveryOrder, SigningSecret, Webhook, WebhookReport},
};

const SENDER: &str = "HOSTILE_SENDER_DIR";
const FIRST: &str = "HOSTILE_SENDER_FIRST";
/// The numbers of each life of the sender begin at a multiple of this.
const LIFE: u64 = 100_000;
/// From this on, `/gone` wants no more.
const GONE_FROM: u64 = 2 * LIFE;

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(50_000)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap()
}

/// The sender, a process of its own: delivers, records, and says what it recorded.
#[test]
fn sender() {
    let Some(dir) = std::env::var_os(SENDER) else {
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let log = open(Path::new(&dir));
    let _dispatcher = log.webhooks().run().unwrap();
    within(&log, || {
        for n in first.. {
            match n % 40 {
                17 => audit!("order.placed", n, big = true),
                _ => audit!("order.placed", n),
            };
            audit!("order.secret.seen", n);
            audit!("other.thing", n);
            if n % 25 == 3 {
                audit!("gone.thing", n);
            }
            if n % 80 == 5 {
                audit!("rare.thing", n);
            }
            say(n);
            thread::sleep(Duration::from_millis(5));
        }
    });
}

/// A request as the receiver wrote it down.
#[derive(Deserialize)]
struct Request {
    path: String,
    #[serde(default)]
    invalid: Option<String>,
    #[serde(default)]
    id: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    taken: bool,
    #[serde(default)]
    at: f64,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Clone, Deserialize)]
struct Event {
    n: u64,
    big: bool,
    #[serde(rename = "type")]
    event_type: String,
    stream: String,
    seq: u64,
}

/// The receiver, which can be killed and started again on the same port.
struct Receiver {
    python: PathBuf,
    log: PathBuf,
    port: u16,
    secrets: BTreeMap<&'static str, Vec<String>>,
    child: Mutex<Option<Child>>,
    /// Bound, and not listening: nobody else gets the port while the receiver is dead.
    _port: tokio::net::TcpSocket,
}

impl Receiver {
    fn new(dir: &Path) -> Self {
        let target = crate::packages::with_packages();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let log = dir.join("received");
        fs::write(&log, "").unwrap();
        let secrets = ["/batched", "/single", "/strict", "/gone", "/overloaded"].map(|path| {
            let secret = || SigningSecret::random().unwrap().reveal();
            (path, vec![secret(), secret()])
        });
        let port = socket.local_addr().unwrap().port();
        Self {
            python: target.join("python/bin/python"),
            log,
            port,
            secrets: secrets.into(),
            child: Mutex::default(),
            _port: socket,
        }
    }

    fn start(&self, seed: u64, calm: bool) {
        let settings = json!({
            "port": self.port, "log": self.log, "seed": seed, "secrets": self.secrets, "gone_from": GONE_FROM, "calm": calm,
        });
        let mut receiver = Command::new(&self.python);
        receiver
            .arg("tests/support/hostile_receiver.py")
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = receiver.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "listening\n");
        *self.child.lock().unwrap() = Some(child);
    }

    fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn webhook(&self, path: &'static str, event_types: &str) -> Webhook {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let new = Webhook::new(&path[1..], url, [event_types])
            .excluding(["order.secret.*"])
            .allow_http()
            .egress(["loopback"]);
        // A secret that is being replaced, and a key pair that the receiver's library knows nothing
        // of.
        let signed = self.secrets[path]
            .iter()
            .fold(new, |new, secret| new.signing_secret(secret));
        let signed = signed.signing_secret(SigningSecret::random_key_pair().unwrap().reveal());
        // More attempts than fail here in a row, so that nothing is given up.
        signed
            .timeout(Duration::from_secs(10))
            .schedule([0, 0, 0].into_iter().chain([1; 97]))
    }

    fn requests(&self) -> Vec<Request> {
        // What death cut off is no JSON.
        fs::read_to_string(&self.log)
            .unwrap()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A sender's death, and the time until which it had saved that it leaves `/overloaded` alone.
struct Death {
    at: f64,
    alone_until: f64,
}

/// The sender's life: what it said it had recorded before it was killed.
fn live(
    dir: &Path,
    first: u64,
    time: Duration,
    kills: &Mutex<Vec<f64>>,
    deaths: &mut Vec<Death>,
) -> Vec<u64> {
    let vars = [(SENDER, dir.to_str().unwrap()), (FIRST, &first.to_string())];
    let sender = Victim::start(&mut crate::support::child(module_path!(), "sender", &vars));
    thread::sleep(time);
    kills.lock().unwrap().push(now());
    let said = sender.kill();
    let saved = AuditReader::open(dir).unwrap().webhook("overloaded");
    let alone_until = saved.unwrap().unwrap().next_attempt;
    deaths.push(Death {
        at: now(),
        alone_until: alone_until.map_or(0.0, |time| time.as_micros() as f64 / 1e6),
    });
    said
}

#[test]
fn whatever_the_receiver_does_each_event_arrives() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    let (rounds, long) = (
        number("HOSTILE_ROUNDS").unwrap_or(8),
        number("HOSTILE_ROUNDS").is_some(),
    );
    let seed = number("HOSTILE_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("HOSTILE_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let (begin, scratch) = (Instant::now(), tempfile::tempdir().unwrap());
    let dir = scratch.path().join("log");
    let receiver = Receiver::new(scratch.path());
    receiver.start(chance.u64(..), false);

    let log = open(&dir);
    log.webhooks()
        .add(receiver.webhook("/batched", "order.*").batch(Batching {
            max_entries: 10,
            max_wait_ms: 50,
        }))
        .unwrap();
    log.webhooks()
        .add(receiver.webhook("/single", "order.*"))
        .unwrap();
    let strict = receiver
        .webhook("/strict", "order.*")
        .order(DeliveryOrder::Strict);
    log.webhooks()
        .add(strict.batch(Batching {
            max_entries: 6,
            max_wait_ms: 30,
        }))
        .unwrap();
    log.webhooks()
        .add(receiver.webhook("/gone", "gone.*"))
        .unwrap();
    log.webhooks()
        .add(
            receiver
                .webhook("/overloaded", "rare.*")
                .timeout(Duration::from_secs(2)),
        )
        .unwrap();
    log.close().unwrap();

    let (over, kills) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let mut said = Vec::new();
    let mut deaths = Vec::new();
    let mut lives = 0;
    thread::scope(|scope| {
        let mut others = chance.fork();
        let (receiver, over, kills) = (&receiver, &over, &kills);
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(others.u64(200..1500)));
                kills.lock().unwrap().push(now());
                receiver.kill();
                thread::sleep(Duration::from_millis(others.u64(0..400)));
                receiver.start(others.u64(..), false);
            }
        });
        // So many at least, and as many more as a slow machine needs for the events, and longer
        // ones if nothing comes of them.
        let mut longest = 2000;
        while lives < rounds || said.len() <= 100 && begin.elapsed() < HANGS {
            let more = live(
                &dir,
                lives * LIFE,
                Duration::from_millis(chance.u64(400..longest)),
                kills,
                &mut deaths,
            );
            longest += if more.is_empty() { 500 } else { 0 };
            said.extend(more);
            lives += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    receiver.kill();
    let mut kills = kills.into_inner().unwrap();
    assert!(
        kills.len() as u64 > lives && said.len() > 100,
        "{} events, {} kills",
        said.len(),
        kills.len()
    );
    kills.sort_by(f64::total_cmp);
    let before_the_end = receiver.requests().len();

    // What is left goes to a receiver in a better mood.
    receiver.start(chance.u64(..), true);
    let log = open(&dir);
    let status = |path: &str| {
        log.webhooks()
            .list()
            .unwrap()
            .into_iter()
            .find(|one| one.webhook.name() == &path[1..])
            .unwrap()
    };
    let was_gone = status("/gone").status.gone;
    let dispatcher = log.webhooks().run().unwrap();
    crate::support::recovered(&dir);
    let recorded: Vec<Event> = crate::support::records(&dir)
        .into_iter()
        .filter_map(event)
        .collect();
    let expected = |kind: &str, big| -> BTreeSet<u64> {
        recorded
            .iter()
            .filter(|event| event.event_type == kind && event.big == big)
            .map(|event| event.n)
            .collect()
    };
    let (orders, too_big, rare) = (
        expected("order.placed", false),
        expected("order.placed", true),
        expected("rare.thing", false),
    );
    assert!(
        said.iter()
            .all(|n| orders.contains(n) || too_big.contains(n)),
        "what the sender said is in the log"
    );
    let paths = ["/batched", "/single", "/strict"];
    println!("the last begins after {:?}", begin.elapsed());
    let start = Instant::now();
    let limit = HANGS + Duration::from_secs(rounds);
    loop {
        let requests = receiver.requests();
        let invalid = requests.iter().find_map(|request| request.invalid.as_ref());
        assert!(invalid.is_none(), "{invalid:?}");
        let done = |path: &&str| {
            let WebhookReport {
                status,
                waiting_deliveries: waiting,
                ..
            } = status(path);
            let over =
                status.delivered + status.dead_lettered >= (orders.len() + too_big.len()) as u64;
            over && waiting == 0 && arrived(&requests, path).len() >= orders.len()
        };
        if paths.iter().all(done)
            && (!long || arrived(&requests, "/overloaded").len() >= rare.len())
        {
            break;
        }
        let state = paths.map(|path| {
            (
                path,
                arrived(&requests, path).len(),
                status(path).status,
                status(path).waiting_deliveries,
            )
        });
        assert!(
            start.elapsed() < limit,
            "of {} orders arrived: {state:?}",
            orders.len()
        );
        thread::sleep(Duration::from_millis(100));
    }
    drop(dispatcher);

    let requests = receiver.requests();
    for request in &requests {
        assert!(
            request.invalid.is_none(),
            "{}: {:?}",
            request.path,
            request.invalid
        );
        assert_ne!(request.path, "/elsewhere", "a redirect was followed");
        let wanted: &[&str] = match &*request.path {
            "/gone" => &["gone.thing"],
            "/overloaded" => &["rare.thing"],
            _ => &["order.placed"],
        };
        assert!(
            request
                .events
                .iter()
                .all(|event| wanted.contains(&&*event.event_type)),
            "{}",
            request.path
        );
    }
    for path in paths {
        let arrived = arrived(&requests, path);
        assert_eq!(
            arrived.keys().copied().collect::<BTreeSet<_>>(),
            orders,
            "{path}"
        );
        for (n, ids) in &arrived {
            assert_eq!(ids.len(), 1, "{path}: {n} came under {ids:?}");
        }
        let status = status(path).status;
        assert_eq!(
            status.dead_lettered,
            too_big.len() as u64,
            "{path}: what is too big is put aside: {status:?}"
        );
        assert_eq!(status.delivered, orders.len() as u64, "{path}: {status:?}");
    }
    in_order(&requests);
    gone(&requests, &kills, &status("/gone"));
    assert!(
        !was_gone
            || requests[before_the_end..]
                .iter()
                .all(|request| request.path != "/gone"),
        "another sender tried it again"
    );
    let now = status("/overloaded");
    let (overload, waiting) = (now.status, now.waiting_deliveries);
    assert_eq!(overload.dead_lettered, 0, "{overload:?}");
    // What was taken just before a death waits as well.
    assert!(
        arrived(&requests, "/overloaded").len() + waiting >= rare.len(),
        "what is not delivered waits: {overload:?}, {waiting} wait"
    );
    patient(&requests, &kills, &deaths);
    log.close().unwrap();
    let answers: BTreeSet<&str> = requests.iter().map(|request| &*request.answer).collect();
    println!(
        "{} events, {} requests, answered {answers:?}",
        recorded.len(),
        requests.len()
    );
    println!("the rest took {:?}", start.elapsed());
}

fn event(record: serde_json::Value) -> Option<Event> {
    Some(Event {
        n: record["details"]["n"].as_u64()?,
        big: record["details"]["big"] == true,
        event_type: record["event_type"].as_str()?.to_owned(),
        stream: record["stream"].as_str()?.to_owned(),
        seq: record["seq"].as_u64()?,
    })
}

/// The numbers that were taken at a path, with the ids that they came under.
fn arrived(requests: &[Request], path: &str) -> BTreeMap<u64, BTreeSet<String>> {
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for request in requests
        .iter()
        .filter(|request| request.taken && request.path == path)
    {
        for event in &request.events {
            found.entry(event.n).or_default().insert(request.id.clone());
        }
    }
    found
}

/// Where order was asked for, each stream's events came for the first time in it, and nothing was
/// tried before what precedes it was taken.
fn in_order(requests: &[Request]) {
    let mut waiting: Option<&Request> = None;
    let mut tried: BTreeSet<u64> = BTreeSet::new();
    let mut seen: HashMap<&str, BTreeSet<u64>> = HashMap::new();
    for request in requests.iter().filter(|request| request.path == "/strict") {
        // What was tried before a death may be tried again after it, from the first on that it did
        // not write down.
        let again = request.events.iter().all(|event| tried.contains(&event.n));
        tried.extend(request.events.iter().map(|event| event.n));
        if let Some(failed) = waiting.filter(|failed| failed.events[0].n != request.events[0].n) {
            let told = |request: &Request| {
                let numbers: Vec<u64> = request.events.iter().map(|event| event.n).collect();
                format!(
                    "{:.3} {} {} {numbers:?}",
                    request.at, request.id, request.answer
                )
            };
            assert!(again, "{} overtook {}", told(request), told(failed));
        } else {
            // It is tried, or tried again, or its first half is. What is too big alone is put
            // aside, and holds up nothing.
            let settled = request.taken || request.answer == "413" && request.events.len() == 1;
            waiting = (!settled).then_some(request);
        }
        for event in request.events.iter().filter(|_| request.taken) {
            let seen = seen.entry(&event.stream).or_default();
            // What was taken comes again when the answer was lost.
            assert!(
                seen.contains(&event.seq) || seen.last().is_none_or(|last| *last < event.seq),
                "{} came late",
                event.n
            );
            seen.insert(event.seq);
        }
    }
    assert!(seen.len() > 2, "{} streams", seen.len());
}

/// After 410 it is left alone, and what waits for it is kept.
fn gone(
    requests: &[Request],
    kills: &[f64],
    WebhookReport {
        status,
        waiting_deliveries: waiting,
        ..
    }: &WebhookReport,
) {
    assert!(
        status.gone && *waiting > 0 && status.dead_lettered == 0,
        "{status:?}, {waiting} wait"
    );
    // Four may be under way at the same time; and a sender whose receiver died before it answered,
    // or that died before it had written the answer down, knows nothing of it.
    let mut refused: BTreeMap<usize, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.answer == "410") {
        *refused
            .entry(kills.partition_point(|kill| *kill < request.at))
            .or_default() += 1;
    }
    let (times, refused) = (refused.len(), refused.values().sum::<usize>());
    assert!(
        (1..=4 * times).contains(&refused),
        "{refused} requests answered with 410 in {times} times between two deaths"
    );
}

/// A receiver that asked for two seconds got them, unless the sender died before it had the answer,
/// or before it had saved it.
fn patient(requests: &[Request], kills: &[f64], deaths: &[Death]) {
    let mut asked: HashMap<&str, f64> = HashMap::new();
    for request in requests
        .iter()
        .filter(|request| request.path == "/overloaded")
    {
        if let Some(before) = asked.get(&*request.id) {
            let unanswered = kills
                .iter()
                .any(|kill| (before - 0.1..before + 0.5).contains(kill));
            let unsaved = deaths.iter().any(|death| {
                (*before..request.at).contains(&death.at) && death.alone_until < before + 2.0
            });
            assert!(
                unanswered || unsaved || request.at - before >= 2.0,
                "{} was tried again after {} s",
                request.id,
                request.at - before
            );
        }
        if request.answer == "429" {
            asked.insert(&request.id, request.at);
        }
    }
    assert!(!asked.is_empty(), "it was overloaded");
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}
