//! A webhook that waits for its disk, its files or its receiver holds up no other webhook.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tracing_audit::{AuditLog, audit, webhook::Webhook};

use crate::shop::{open, within};
use crate::{
    receiver::{Receiver, request, server},
    support::{self, HANGS, Victim, until},
};

fn to(name: &str, url: &str) -> Webhook {
    Webhook::new(name, url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
}

fn record(log: &AuditLog, n: u64) {
    within(log, || audit!("order.placed", n));
}

const DISPATCHES: &str = "DISPATCHES_DIR";

/// A process whose certificates are on a disk that doesn't answer.
#[test]
fn dispatching() {
    let Some(dir) = std::env::var_os(DISPATCHES) else {
        return;
    };
    let log = open(Path::new(&dir));
    let _dispatcher = log.webhooks().run().unwrap();
    record(&log, 1);
    // Until it is killed.
    thread::sleep(HANGS);
}

#[test]
fn one_whose_certificates_cannot_be_read_yet_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let receiver = Receiver::new();
    let urls = [
        ("a-slow", "https://127.0.0.1:9/"),
        ("z-quick", &receiver.url),
    ];
    for (name, url) in urls {
        log.webhooks().add(to(name, url)).unwrap();
    }
    // Opening a pipe that nobody writes takes as long as a disk that doesn't answer.
    let pipe = dir.path().join("certificates");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let pipe = pipe.to_str().unwrap();
    let mut child = support::child(
        module_path!(),
        "dispatching",
        &[
            (DISPATCHES, dir.path().to_str().unwrap()),
            ("SSL_CERT_FILE", pipe),
            ("SSL_CERT_DIR", pipe),
        ],
    );
    let dispatching = Victim::start(&mut child);
    receiver.wait_for_numbers(1);
    // Nor is the look at the webhooks held up.
    let later = Receiver::new();
    log.webhooks().add(to("later", &later.url)).unwrap();
    record(&log, 2);
    later.wait_for_numbers(1);
    drop(dispatching);
    log.close().unwrap();
}

#[test]
fn a_change_is_followed_while_the_receiver_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let hung = server(|mut stream| while request(&mut stream).is_some() {});
    let hook = to("siem", &format!("http://{hung}/")).timeout(Duration::from_secs(600));
    log.webhooks().add(hook.clone()).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    record(&log, 1);
    until("an attempt is under way", || {
        log.webhooks().list().unwrap()[0].waiting_deliveries == 1
    });
    let receiver = Receiver::new();
    let start = Instant::now();
    let changed = to("siem", &receiver.url);
    log.webhooks().set(changed).unwrap();
    receiver.wait_for_numbers(1);
    assert!(start.elapsed() < Duration::from_secs(60));
    drop(dispatcher);
    log.close().unwrap();
}
