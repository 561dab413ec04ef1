//! The price of a call: `audit!` beside `tracing-subscriber`'s JSON over `tracing-appender`'s
//! non-blocking writer, in one run, with the same ten fields, each behind a subscriber with an
//! `EnvFilter`: alone, inside a span, and (ours) with redaction.
//!
//! `cargo bench --bench call` prints a table with the ratios. Both write real files below the
//! system's temporary directory (`TMPDIR` chooses another).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_audit::{AuditLog, audit, hashed, mask};
use tracing_subscriber::{EnvFilter, Layer, fmt, prelude::*};

const ROUNDS: usize = 5;
const PACED: usize = 100_000;
/// 50,000 calls a second.
const PACE: Duration = Duration::from_micros(20);
const FLAT_OUT: usize = 1_000_000;

struct Fields {
    user: String,
    email: String,
    scan: String,
    ip: String,
    found: usize,
}

fn ours(f: &Fields) {
    black_box(audit!(
        "discovery.scan.completed",
        actor.id = f.user,
        actor.name = f.email,
        resource.type = "scan",
        resource.id = f.scan,
        tenant_id = "acme",
        ip_address = f.ip,
        mode = "full",
        duration_seconds = 45,
        vaults_scanned = 12,
        secrets_found = f.found,
        "Discovery scan completed successfully"
    ));
}

/// With a masked and a hashed value in the place of two plain ones.
fn ours_redacted(f: &Fields) {
    black_box(audit!(
        "discovery.scan.completed",
        actor.id = f.user,
        actor.name = hashed(&f.email),
        resource.type = "scan",
        resource.id = f.scan,
        tenant_id = "acme",
        ip_address = f.ip,
        token = mask(&f.email, 5),
        duration_seconds = 45,
        vaults_scanned = 12,
        secrets_found = f.found,
        "Discovery scan completed successfully"
    ));
}

fn theirs(f: &Fields) {
    info!(
        target: "audit_peer",
        event_type = "discovery.scan.completed",
        actor.id = f.user,
        actor.name = f.email,
        resource.type = "scan",
        resource.id = f.scan,
        tenant_id = "acme",
        ip_address = f.ip,
        mode = "full",
        duration_seconds = 45,
        vaults_scanned = 12,
        secrets_found = f.found,
        "Discovery scan completed successfully"
    );
}

/// Percentiles of one measured row, in nanoseconds.
#[derive(Clone, Copy)]
struct Row {
    p50: u64,
    p99: u64,
    p999: u64,
    worst: u64,
    per_second: f64,
}

fn measure(calls: usize, pace: Option<Duration>, call: impl Fn(&Fields)) -> Row {
    let mut fields = Fields {
        user: "user-456".into(),
        email: "admin@company.com".into(),
        scan: "scan-789".into(),
        ip: "192.0.2.50".into(),
        found: 0,
    };
    let mut took = Vec::with_capacity(calls);
    let start = Instant::now();
    let mut due = start;
    for n in 0..calls {
        if let Some(pace) = pace {
            due += pace;
            // Without a pause instruction: in a virtual machine it may give the processor away.
            while Instant::now() < due {}
        }
        fields.found = n;
        let before = Instant::now();
        call(&fields);
        took.push(before.elapsed().as_nanos() as u64);
    }
    let per_second = calls as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |q: f64| took[((took.len() - 1) as f64 * q) as usize];
    Row {
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        worst: at(1.0),
        per_second,
    }
}

fn median(mut rows: Vec<Row>) -> Row {
    let mut middle = |by: fn(&Row) -> u64| {
        rows.sort_unstable_by_key(by);
        by(&rows[rows.len() / 2])
    };
    let (p50, p99, p999, worst) = (
        middle(|r| r.p50),
        middle(|r| r.p99),
        middle(|r| r.p999),
        middle(|r| r.worst),
    );
    let per_second = middle(|r| r.per_second as u64) as f64;
    Row {
        p50,
        p99,
        p999,
        worst,
        per_second,
    }
}

fn print(name: &str, row: Row) {
    println!(
        "{name:32} {:>8} {:>9} {:>10} {:>12} {:>12.0}",
        row.p50, row.p99, row.p999, row.worst, row.per_second
    );
}

fn our_dispatch(dir: &Path) -> (AuditLog, Dispatch) {
    let log = AuditLog::builder(dir).source("bench").open().unwrap();
    let quiet = fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(EnvFilter::new("warn"));
    (
        log.clone(),
        tracing_subscriber::registry()
            .with(quiet)
            .with(log.layer())
            .into(),
    )
}

fn their_dispatch(dir: &Path) -> (tracing_appender::non_blocking::WorkerGuard, Dispatch) {
    let (writer, guard) =
        tracing_appender::non_blocking(tracing_appender::rolling::never(dir, "peer.jsonl"));
    let json = fmt::layer()
        .json()
        .with_writer(writer)
        .with_filter(EnvFilter::new("info"));
    (guard, tracing_subscriber::registry().with(json).into())
}

/// The two in turn, each round in fresh files.
fn compare(title: &str, calls: usize, pace: Option<Duration>, in_span: bool, ours: fn(&Fields)) {
    let (mut our_rows, mut their_rows) = (Vec::new(), Vec::new());
    let run = |dispatch: &Dispatch, call: &dyn Fn(&Fields)| {
        dispatcher::with_default(dispatch, || {
            let span = if in_span {
                info_span!(
                    "request",
                    request_id = "r-1",
                    session_id = "s-1",
                    user_agent = "Mozilla/5.0"
                )
            } else {
                tracing::Span::none()
            };
            let _entered = span.enter();
            measure(calls / 10, pace, call); // warm up
            measure(calls, pace, call)
        })
    };
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let (log, dispatch) = our_dispatch(dir.path());
        our_rows.push(run(&dispatch, &ours));
        log.close().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (guard, dispatch) = their_dispatch(dir.path());
        their_rows.push(run(&dispatch, &theirs));
        drop(guard);
    }
    let spread = |rows: &[Row]| {
        (
            rows.iter().map(|r| r.p50).min().unwrap_or(0),
            rows.iter().map(|r| r.p50).max().unwrap_or(0),
        )
    };
    let (our_spread, their_spread) = (spread(&our_rows), spread(&their_rows));
    let (ours, theirs) = (median(our_rows), median(their_rows));
    println!(
        "\n{title}; median of {ROUNDS} rounds, nanoseconds\n{:32} {:>8} {:>9} {:>10} {:>12} {:>12}",
        "", "p50", "p99", "p99.9", "worst", "calls/s"
    );
    print("audit!", ours);
    print("tracing JSON + non_blocking", theirs);
    let ratio = |a: u64, b: u64| b as f64 / a.max(1) as f64;
    println!(
        "{:32} {:>7.1}x {:>8.1}x {:>9.1}x",
        "audit! is faster by",
        ratio(ours.p50, theirs.p50),
        ratio(ours.p99, theirs.p99),
        ratio(ours.p999, theirs.p999)
    );
    println!("spread of p50: {our_spread:?} against {their_spread:?}");
}

fn main() {
    let cost = measure(PACED, None, |_| {});
    println!(
        "an empty call, for scale: p50 {} ns, p99 {} ns",
        cost.p50, cost.p99
    );
    compare("paced at 50,000/s", PACED, Some(PACE), false, ours);
    compare(
        "paced at 50,000/s, inside a span",
        PACED,
        Some(PACE),
        true,
        ours,
    );
    compare(
        "paced at 50,000/s, a masked and a hashed value",
        PACED,
        Some(PACE),
        false,
        ours_redacted,
    );
    compare("flat out, one thread", FLAT_OUT, None, false, ours);
}
