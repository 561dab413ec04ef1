//! An event collector that acknowledges later: what it took counts as delivered when it says that
//! it has it, not before; and waiting for that holds up neither other events nor the end of
//! delivering.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::receiver::{Request, json, request, server, status};
use crate::shop::{emit, open};
use crate::support::{until, wait_for};
use serde_json::{Value, json};
use tracing_audit::{
    AuditLog,
    webhook::{Batching, Dispatcher, FormatName, FormatOptions, Webhook},
};

const CHANNEL: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";

#[derive(Default)]
struct Seen {
    /// The numbers in each request, by its `webhook-id`, and how often it came.
    taken: BTreeMap<String, (Vec<u64>, usize)>,
    next_ack: u64,
    asked: BTreeSet<u64>,
    wrong: Vec<String>,
    /// Whether it says that it has what it took.
    indexed: bool,
}

/// Splunk's collector, as far as a sender sees it.
#[derive(Clone)]
struct Collector {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Collector {
    fn new() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let address = server(move |mut stream| {
            while let Some(request) = request(&mut stream) {
                let answer = shared.lock().unwrap().answer(&request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, seen }
    }

    fn webhook(&self) -> Webhook {
        let url = format!("http://{}/services/collector/event", self.address);
        let options = FormatOptions {
            channel: Some(CHANNEL.to_owned()),
            ..FormatOptions::default()
        };
        let new = Webhook::new("splunk", url, ["order.*"]).format(FormatName::SplunkHec, options);
        new.api_key("t-1").allow_http().egress(["loopback"])
    }
}

impl Seen {
    fn answer(&mut self, request: &Request) -> String {
        if request.header("authorization") != "Splunk t-1" {
            self.wrong.push(format!(
                "{}: authorization {:?}",
                request.path,
                request.header("authorization")
            ));
            return status("401 Unauthorized", "");
        }
        if request.path == format!("/services/collector/ack?channel={CHANNEL}") {
            let acks: Vec<u64> = request.json()["acks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|ack| ack.as_u64().unwrap())
                .collect();
            self.asked.extend(&acks);
            let has = |ack: u64| self.indexed && ack < self.next_ack;
            let answer: serde_json::Map<_, _> = acks
                .into_iter()
                .map(|ack| (ack.to_string(), has(ack).into()))
                .collect();
            return json(&json!({ "acks": answer }));
        }
        if request.path != "/services/collector/event"
            || request.header("x-splunk-request-channel") != CHANNEL
        {
            self.wrong.push(format!(
                "{} on {:?}",
                request.path,
                request.header("x-splunk-request-channel")
            ));
            return status("400 Bad Request", "");
        }
        let events = serde_json::Deserializer::from_slice(&request.body).into_iter::<Value>();
        let numbers = events
            .map(|event| event.unwrap()["event"]["details"]["n"].as_u64().unwrap())
            .collect();
        self.taken
            .entry(request.id().to_owned())
            .or_insert((numbers, 0))
            .1 += 1;
        self.next_ack += 1;
        json(&json!({"text": "Success", "code": 0, "ackId": self.next_ack - 1}))
    }
}

/// How many entries count as delivered, and how many requests wait.
fn delivered(log: &AuditLog) -> (u64, usize) {
    let report = log.webhooks().list().unwrap().remove(0);
    let (status, waiting) = (report.status, report.waiting_deliveries);
    assert_eq!(status.dead_lettered, 0, "{status:?}");
    (status.delivered, waiting)
}

/// A collector that took five events and was asked whether it has them, which it doesn't say.
fn taken() -> (Collector, tempfile::TempDir, AuditLog, Dispatcher) {
    let (collector, dir) = (Collector::new(), tempfile::tempdir().unwrap());
    let log = open(dir.path());
    log.webhooks()
        .add(collector.webhook().batch(Batching {
            max_entries: 5,
            max_wait_ms: 60_000,
        }))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..5);
    wait_for("an acknowledgement is asked for", || {
        let seen = collector.seen.lock().unwrap();
        if seen.asked.is_empty() {
            Err(seen.wrong.clone())
        } else {
            Ok(())
        }
    });
    (collector, dir, log, dispatcher)
}

#[test]
fn what_was_taken_is_delivered_once_it_is_acknowledged() {
    let (collector, _dir, log, dispatcher) = taken();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(
            delivered(&log),
            (0, 1),
            "it was taken, and not acknowledged"
        );
        thread::sleep(Duration::from_millis(50));
    }
    collector.seen.lock().unwrap().indexed = true;
    until("it is delivered", || delivered(&log) == (5, 0));
    // It is asked every ten seconds.
    assert!(start.elapsed() < Duration::from_secs(25));
    drop(dispatcher);
    let seen = collector.seen.lock().unwrap();
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    let numbers: Vec<u64> = seen
        .taken
        .values()
        .flat_map(|(numbers, _)| numbers.clone())
        .collect();
    assert_eq!(
        (
            numbers.len(),
            seen.taken.values().all(|(_, times)| *times == 1)
        ),
        (5, true),
        "{:?}",
        seen.taken
    );
    log.close().unwrap();
}

#[test]
fn events_do_not_wait_for_what_others_are_acknowledged() {
    let collector = Collector::new();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(collector.webhook()).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..40);
    // More than go at once: they come before it says that it has any of them.
    wait_for("all come", || {
        match collector.seen.lock().unwrap().taken.len() {
            40 => Ok(()),
            taken => Err(format!("{taken} of 40")),
        }
    });
    assert_eq!(delivered(&log).0, 0, "none was acknowledged yet");
    // Left to its end: this test is not about that.
    collector.seen.lock().unwrap().indexed = true;
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn delivering_ends_although_nothing_is_acknowledged_and_sends_again_when_it_begins_again() {
    let (collector, _dir, log, dispatcher) = taken();
    let (ended, end) = mpsc::channel();
    let dropping = thread::spawn(move || {
        drop(dispatcher);
        let _ = ended.send(());
    });
    let stopped = end.recv_timeout(Duration::from_secs(20));
    // So that the thread ends in any case.
    let answered = stopped.is_ok() || {
        collector.seen.lock().unwrap().indexed = true;
        dropping.join().is_ok()
    };
    assert!(
        stopped.is_ok() && answered,
        "dropping the dispatcher took more than twenty seconds"
    );
    assert_eq!(delivered(&log), (0, 1));

    collector.seen.lock().unwrap().indexed = true;
    let dispatcher = log.webhooks().run().unwrap();
    until("it is delivered", || delivered(&log) == (5, 0));
    drop(dispatcher);
    let seen = collector.seen.lock().unwrap();
    assert_eq!(
        seen.taken.len(),
        1,
        "under the same id: {:?}",
        seen.taken.keys()
    );
    log.close().unwrap();
}
