//! Webhooks do not see each other, and callers see none of them: nine dead ones cost the tenth
//! nothing. Nor does it matter what proxies the environment names.

#![cfg(all(feature = "webhook", feature = "macros"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which then shows what it measured"
)]

#[path = "support/receiver.rs"]
mod receiver;
mod support;

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use receiver::{answering, refusing, request, server, status};
use support::{HANGS, Victim, wait_for};
use tracing_audit::{
    AuditLog, audit,
    webhook::{Webhook, WebhookReport},
};
use tracing_subscriber::prelude::*;

/// One test at a time: they measure.
static ALONE: Mutex<()> = Mutex::new(());

/// A webhook that takes everything, and notes when each number came for the first time.
#[derive(Clone)]
struct Live {
    address: SocketAddr,
    came: Arc<Mutex<HashMap<u64, Instant>>>,
}

impl Live {
    fn new() -> Self {
        let came = Arc::<Mutex<HashMap<u64, Instant>>>::default();
        let seen = Arc::clone(&came);
        let address = server(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            while let Some(request) = request(&mut stream) {
                let now = Instant::now();
                seen.lock()
                    .unwrap()
                    .entry(request.numbers()[0])
                    .or_insert(now);
                let _ = stream.write_all(status("204 No Content", "").as_bytes());
            }
        });
        Self { address, came }
    }

    fn wait_for(&self, count: u64) -> HashMap<u64, Instant> {
        wait_for("the live webhook gets all", || {
            let came = self.came.lock().unwrap();
            if came.len() as u64 >= count {
                Ok(came.clone())
            } else {
                Err(format!("{} of {count}", came.len()))
            }
        })
    }
}

/// Webhooks that never take anything, each in its way. The one that refuses connections is a bound
/// port that nobody listens on.
fn dead(live: SocketAddr) -> (tokio::net::TcpSocket, Vec<(&'static str, String)>) {
    let (refused, socket) = refusing();
    let hole =
        server(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let drip = server(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let http = |address: SocketAddr| format!("http://{address}/");
    let all = vec![
        ("refuses", http(refused)),
        ("never-answers", http(hole)),
        ("never-ends", http(drip)),
        ("no-tls", format!("https://{}/", answering("what is this?"))),
        (
            "fails",
            http(answering(status("500 Internal Server Error", ""))),
        ),
        (
            "redirects",
            http(answering(status(
                "301 Moved Permanently",
                &format!("location: http://{live}/\r\n"),
            ))),
        ),
        (
            "closes",
            http(server(|mut stream| drop(request(&mut stream)))),
        ),
        (
            "overloaded",
            http(answering(status(
                "503 Service Unavailable",
                "retry-after: 1\r\n",
            ))),
        ),
        ("no-http", http(answering("250 ok\r\n"))),
    ];
    (socket, all)
}

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap()
}

fn to(name: &str, url: &str) -> Webhook {
    // Short, and without an end within the test.
    let schedule = [0, 0, 1, 1, 2, 2].into_iter().chain([5; 90]);
    Webhook::new(name, url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .timeout(Duration::from_secs(1))
        .schedule(schedule)
}

/// What a caller and the live webhook see of one event in the middle, and of one in a hundred.
#[derive(Clone, Copy, Debug)]
struct Seen {
    call: (Duration, Duration),
    arrival: (Duration, Duration),
}

/// Records a backlog for the dead, and then, when the live webhook has it, one event every twenty
/// milliseconds: so slowly that a busy machine has time for all of it, and what is late has waited
/// for something.
fn measure(others: &[(&str, String)], live: &Live) -> Seen {
    const BACKLOG: u64 = 1500;
    const COUNT: u64 = 150;
    live.came.lock().unwrap().clear();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to("live", &format!("http://{}/", live.address)))
        .unwrap();
    for (name, url) in others {
        log.webhooks().add(to(name, url)).unwrap();
    }
    let dispatcher = log.webhooks().run().unwrap();
    let (mut calls, mut before) = (Vec::new(), HashMap::new());
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || {
            for n in 0..BACKLOG {
                audit!("order.placed", n);
            }
            live.wait_for(BACKLOG);
            for n in BACKLOG..BACKLOG + COUNT {
                let start = Instant::now();
                audit!("order.placed", n);
                calls.push(start.elapsed());
                before.insert(n, start);
                thread::sleep(Duration::from_millis(20));
            }
        },
    );
    let came = live.wait_for(BACKLOG + COUNT);
    let arrivals = before
        .iter()
        .map(|(n, start)| came[n].saturating_duration_since(*start))
        .collect();
    // Each was tried, and keeps what it can't deliver.
    wait_for("all are as they should be", || {
        let reports = log.webhooks().list().unwrap();
        let is_fine = |WebhookReport {
                           webhook,
                           status,
                           waiting_deliveries: waiting,
                           ..
                       }: &WebhookReport| {
            let is_live = webhook.name() == "live";
            assert!(
                status.dead_lettered == 0 && (is_live || status.delivered == 0),
                "{}: {status:?}",
                webhook.name()
            );
            if is_live {
                status.delivered == BACKLOG + COUNT
            } else {
                status.failed_attempts > 0 && *waiting > 0
            }
        };
        if reports.iter().all(is_fine) {
            Ok(())
        } else {
            Err(reports)
        }
    });
    drop(dispatcher);
    log.close().unwrap();
    Seen {
        call: percentiles(calls),
        arrival: percentiles(arrivals),
    }
}

fn percentiles(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

#[test]
fn nine_dead_webhooks_cost_the_tenth_and_the_caller_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let live = Live::new();
    let (_port, dead) = dead(live.address);
    let _ = measure(&[], &live);
    let (mut alone, mut with): (Option<Seen>, Option<Seen>) = (None, None);
    // Other work on the machine slows one of the two at times: the better of each counts, of as
    // many as it takes.
    for round in 0..6 {
        let one = measure(&[], &live);
        let other = measure(&dead, &live);
        println!("alone {one:?}\nwith  {other:?}");
        let (alone, with) = (
            alone.insert(one.better(alone)),
            with.insert(other.better(with)),
        );
        let holds = nothing(alone, with);
        if holds.is_ok() && round > 0 {
            return;
        }
        assert!(round < 5, "{holds:?}");
    }
}

impl Seen {
    fn better(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let min = |(a, b): (Duration, Duration), (c, d)| (a.min(c), b.min(d));
        Self {
            call: min(self.call, other.call),
            arrival: min(self.arrival, other.arrival),
        }
    }
}

/// What the dead ones cost is no more than chance.
fn nothing(alone: &Seen, with: &Seen) -> Result<(), String> {
    let ms = Duration::from_millis;
    for (what, with, alone) in [
        (
            "half of them arrive",
            with.arrival.0,
            alone.arrival.0 * 2 + ms(10),
        ),
        ("99 % arrive", with.arrival.1, alone.arrival.1 * 3 + ms(100)),
        (
            "half of the calls take",
            with.call.0,
            alone.call.0 * 2 + Duration::from_micros(50),
        ),
        (
            "99 % of the calls take",
            with.call.1,
            alone.call.1 * 3 + ms(5),
        ),
    ] {
        if with > alone {
            return Err(format!(
                "{what} within {with:?}, and {alone:?} is the most that it may be"
            ));
        }
    }
    Ok(())
}

const PROXIED: &str = "PROXIED_SENDER_DIR";

/// A process with proxies in its environment.
#[test]
fn proxied_sender() {
    let Some(dir) = std::env::var_os(PROXIED) else {
        return;
    };
    let log = open(Path::new(&dir));
    let _dispatcher = log.webhooks().run().unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || {
            for n in 0..20_u64 {
                audit!("order.placed", n);
            }
        },
    );
    // Until it is killed.
    thread::sleep(HANGS);
}

#[test]
fn no_proxy_of_the_environment_is_used() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = Arc::clone(&asked);
    let proxy = server(move |_| {
        asking.fetch_add(1, Ordering::Relaxed);
    });
    // A TLS webhook that is never reached would do for the tunnel; what counts is that the proxy
    // isn't asked for one.
    let (live, tunnelled) = (Live::new(), answering("no TLS here"));
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks()
        .add(to("plain", &format!("http://{}/", live.address)))
        .unwrap();
    log.webhooks()
        .add(
            to(
                "by-name",
                &format!("http://localhost:{}/", live.address.port()),
            )
            .egress(["localhost"]),
        )
        .unwrap();
    log.webhooks()
        .add(to("tls", &format!("https://{tunnelled}/")))
        .unwrap();
    log.close().unwrap();
    let url = format!("http://{proxy}");
    let names = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let mut vars = names.map(|name| (name, url.as_str())).to_vec();
    vars.push((PROXIED, dir.path().to_str().unwrap()));
    let sender = Victim::start(
        support::child(module_path!(), "proxied_sender", &vars)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy"),
    );
    let reader = open(dir.path());
    wait_for("all that can arrive does", || {
        let reports = reader.webhooks().list().unwrap();
        let done = |report: &WebhookReport| match report.webhook.name() {
            "tls" => report.status.failed_attempts > 0,
            _ => report.status.delivered == 20,
        };
        if reports.iter().all(done) {
            Ok(())
        } else {
            Err(reports)
        }
    });
    drop(sender);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "connections to the proxy");
    reader.close().unwrap();
}
