//! Makes the fixture: four processes on four days, the last of which dies.
//!
//! `libfaketime` sets their clocks, so that the directory has the days it is about; all else is as
//! in an application. The receiver of their webhooks runs here and refuses most requests.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tracing_audit::{
    AuditLog, AuditLogBuilder, Outcome, Receipt, Retention, Severity, Timestamp, audit, hashed,
    http::{NewToken, Scope},
    retention::Hold,
    webhook::{Batching, DeliveryOrder, FormatName, FormatOptions, Replay, Webhook, WebhookReport},
};
use tracing_subscriber::prelude::*;

use crate::{
    fixture::{API_KEY, ATTEMPTED, Contents, EMAIL, PRUNED, SIGNING_SECRET, UNREAD, home},
    receiver::Receiver,
    support::{child, files, say, until, wait_for},
};

const STAGE: &str = "FORMAT_1_STAGE";
const HOUR: u64 = 3600;

/// What each process does, and when.
const STAGES: [(&str, &str); 4] = [
    ("summer", "2025-07-01T09:00:00Z"),
    ("reports", "2025-11-19T10:00:00Z"),
    ("webhooks", "2025-11-20T11:00:00Z"),
    ("killed", "2025-11-21T12:00:00Z"),
];

#[test]
#[ignore = "writes tests/fixtures/format_1 anew; needs libfaketime"]
fn generate() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("log");
    let receiver = Receiver::deciding(|_, request| match request.path.as_str() {
        "/siem" => 500,
        "/crm" => 503,
        _ => 200,
    });
    let mut contents = Contents {
        receiver: receiver.url.clone(),
        ..Contents::default()
    };
    for (stage, when) in STAGES {
        let said = run(stage, when, &dir, &receiver.url);
        for line in said {
            match line.split_once(' ').unwrap() {
                ("id", id) if stage == "summer" => contents.pruned.push(id.to_owned()),
                ("id", id) => contents.recorded.push(id.to_owned()),
                ("token", token) => contents.token = token.to_owned(),
                other => panic!("{other:?}"),
            }
        }
    }
    contents.dead_letters = refused(&receiver, "/siem");
    contents.unfinished = refused(&receiver, "/crm");
    pack(&place);
    let text = serde_json::to_string_pretty(&contents).unwrap();
    fs::write(home().join("contents.json"), text + "\n").unwrap();
}

/// Runs one process at its time; gives what it said.
fn run(stage: &str, when: &str, dir: &Path, receiver: &str) -> Vec<String> {
    let when: Timestamp = when.parse().unwrap();
    let ahead = (when.as_micros() - Timestamp::now().as_micros()) as f64 / 1e6;
    let vars = [
        (STAGE, stage),
        ("FORMAT_1_DIR", dir.to_str().unwrap()),
        ("FORMAT_1_RECEIVER", receiver),
        ("LD_PRELOAD", faketime().to_str().unwrap()),
        ("FAKETIME", &format!("{ahead:+.3}")),
        // Waiting is by the monotonic clock, which nobody sets.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, &**value)).collect();
    let output = child(module_path!(), "stage", &vars).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // One that dies has no exit code.
    let expected = if stage == "killed" { None } else { Some(0) };
    assert_eq!(output.status.code(), expected, "{stage}: {text}{errors}");
    let lines = text.lines();
    let said = lines.filter_map(|line| line.rsplit_once("done "));
    said.map(|(_, said)| said.to_owned()).collect()
}

fn faketime() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap();
    libraries
        .map(|dir| dir.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is installed")
}

/// The deliveries that were refused: their ids, and the numbers in them.
fn refused(receiver: &Receiver, path: &str) -> BTreeMap<String, Vec<u64>> {
    receiver.look(|came| {
        let requests = came.iter().map(|came| &came.request);
        requests
            .filter(|request| request.path == path)
            .map(|request| (request.id().to_owned(), request.numbers()))
            .collect()
    })
}

/// The directory as an archive in which nothing depends on this machine.
fn pack(place: &TempDir) {
    let packed = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mtime=2025-11-21T12:01:00Z", "-I", "gzip -9n", "-cf"])
        .arg(home().join("log.tar.gz"))
        .arg("-C")
        .arg(place.path())
        .arg("log")
        .status()
        .expect("tar is installed");
    assert!(packed.success());
}

/// One of the processes.
#[test]
fn stage() {
    let Ok(stage) = env::var(STAGE) else { return };
    let dir = PathBuf::from(env::var_os("FORMAT_1_DIR").unwrap());
    let receiver = env::var("FORMAT_1_RECEIVER").unwrap();
    match stage.as_str() {
        "summer" => summer(&dir, &receiver),
        "reports" => reports(&dir),
        "webhooks" => webhooks(&dir, &receiver),
        "killed" => killed(&dir),
        other => panic!("{other}"),
    }
}

fn builder(dir: &Path, source: &str) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .source(source)
        .retention(Retention::unlimited())
        .journal_bytes(1 << 16)
        .max_record_bytes(8192)
        .live_grace(Duration::ZERO)
}

fn audited(log: &AuditLog, run: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, run);
}

fn said(receipt: Receipt) {
    assert!(receipt.is_recorded());
    say(format_args!("id {}", receipt.id()));
}

fn orders(log: &AuditLog, numbers: impl IntoIterator<Item = u64>) {
    audited(log, || {
        for n in numbers {
            said(audit!(
                "order.placed",
                actor.id = format!("user-{}", n % 7),
                resource.type = "order",
                resource.id = n,
                tenant_id = if n % 2 == 0 { "acme" } else { "globex" },
                n,
                "Order {n} placed"
            ));
        }
    });
}

fn webhook(name: &str, receiver: &str) -> Webhook {
    let url = receiver.replace("/hook", &format!("/{name}"));
    Webhook::new(name, url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
}

/// A webhook with every setting that needs no file, to which nothing is ever sent.
fn lake() -> Webhook {
    let options = FormatOptions {
        source: Some("/fixture".to_owned()),
        ..FormatOptions::default()
    };
    Webhook::new(
        "lake",
        "https://lake.invalid/audit",
        ["payment.*", "auth.login.success"],
    )
    .excluding(["payment.test.*"])
    .severities([Severity::Info, Severity::Critical])
    .tenant_id("acme")
    .format(FormatName::CloudEventsBatch, options)
    .api_key(API_KEY)
    .api_key_header("x-lake-key")
    .header("x-team", "audit")
    .egress(["private", "10.0.0.0/8", "lake.invalid"])
    .order(DeliveryOrder::Strict)
    .batch(Batching::default())
    .timeout(Duration::from_secs(20))
    .max_requests_per_second(50)
    .schedule([0, 5, 60])
}

fn wait(log: &AuditLog, name: &str, until: impl Fn(&WebhookReport) -> bool) {
    wait_for(name, || {
        let mut reports = log.webhooks().list().unwrap();
        reports.retain(|report| report.webhook.name() == name);
        let report = reports.remove(0);
        if until(&report) {
            Ok(())
        } else {
            Err((Box::new(report.status), report.waiting_deliveries))
        }
    });
}

/// A webhook gives up all that it has; retention will take this day's entries.
fn summer(dir: &Path, receiver: &str) {
    let log = builder(dir, "shop").open().unwrap();
    let batch = Batching {
        max_entries: 3,
        max_wait_ms: 500,
    };
    log.webhooks()
        .add(webhook("siem", receiver).schedule([0]).batch(batch))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    orders(&log, PRUNED);
    wait(&log, "siem", |report| report.status.dead_lettered == 3);
    drop(dispatcher);
    log.close().unwrap();
}

/// A sealed file of two blocks, with entries of several shapes.
fn reports(dir: &Path) {
    let log = builder(dir, "billing").open().unwrap();
    until("the file of the summer is sealed", || {
        files(&dir.join("sealed")).len() == 1
    });
    audited(&log, || {
        said(audit!(
            "auth.login.success",
            actor.id = "ann",
            email = hashed(EMAIL)
        ));
        said(audit!(
            "auth.login.failure",
            severity = warning,
            outcome = Outcome::failure("authentication", "wrong password"),
            ip_address = "192.0.2.7",
            "Login refused"
        ));
        for n in 0..400 {
            said(audit!("report.viewed", n, body = "report ".repeat(100)));
            // The journal is small, and nobody is to wait for long.
            if n % 32 == 0 {
                log.flush().unwrap();
            }
        }
    });
    log.close().unwrap();
}

/// The summer is pruned. Three webhooks: one gives up, one waits for its next attempt, and one has
/// got all and is to get it again.
fn webhooks(dir: &Path, receiver: &str) {
    let log = builder(dir, "shop")
        .retention(Retention::days(90))
        .open()
        .unwrap();
    log.trust_clock().unwrap();
    log.request_pruning();
    until("the summer is pruned", || {
        let sealed = files(&dir.join("sealed"));
        sealed.len() == 1 && !sealed[0].to_string_lossy().contains("2025-07")
    });
    let new = NewToken {
        name: "fixture".to_owned(),
        scope: Scope::Admin,
        tenant: None,
        expires: None,
    };
    let (_, token) = log.tokens().create(new).unwrap();
    say(format_args!("token {token}"));
    let hold = Hold::new("case-7", "2025-11-01", "2025-11-30").unwrap();
    log.holds()
        .place(hold.with_reason("Acme v. Example"))
        .unwrap();
    log.rotate_hash_key("k2").unwrap();
    audited(&log, || {
        said(audit!(
            "auth.login.success",
            actor.id = "ann",
            email = hashed(EMAIL)
        ));
    });

    let batch = Batching {
        max_entries: 4,
        max_wait_ms: 500,
    };
    let crm = webhook("crm", receiver)
        .batch(batch)
        .signing_secret(SIGNING_SECRET)
        .api_key(API_KEY)
        .header("x-team", "audit");
    log.webhooks()
        .add(crm.schedule([0, HOUR, HOUR, HOUR]))
        .unwrap();
    log.webhooks().add(webhook("archive", receiver)).unwrap();
    log.webhooks().declare(vec![lake()]).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    orders(&log, ATTEMPTED);
    wait(&log, "siem", |report| report.status.dead_lettered == 15);
    wait(&log, "crm", |report| {
        report.status.failed_attempts >= 3 && report.waiting_deliveries == 3
    });
    wait(&log, "archive", |report| report.status.delivered == 12);
    drop(dispatcher);
    log.webhooks().pause("archive").unwrap();
    log.webhooks()
        .replay("archive", Replay::entries([("event_type", "order.*")]))
        .unwrap();
    log.close().unwrap();
}

/// Dies with sealed files whose live twins are still there, and with entries in its journal.
fn killed(dir: &Path) {
    let log = builder(dir, "billing")
        .rotate_bytes(4096)
        .live_grace(Duration::from_secs(HOUR))
        .sync_every(Duration::from_secs(HOUR))
        .open()
        .unwrap();
    for number in UNREAD {
        orders(&log, [number]);
        // A file is rotated between two batches, not within one.
        log.flush().unwrap();
    }
    until("files are sealed", || {
        let today = dir.join("sealed/dt=2025-11-21");
        files(&today).len() >= 2
    });
    audited(&log, || {
        for n in 0..40 {
            said(audit!("report.viewed", n, "The last ones"));
        }
    });
    std::process::abort();
}
