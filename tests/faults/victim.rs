//! The process that `scripts/faults` starves, stops, forks and kills.
//!
//! It opens a log and records events until the end of its standard input, then closes the log. What
//! has happened is told on standard output, each line in one write, so that a kill takes no line
//! that was begun before it:
//!
//! | line | means |
//! |---|---|
//! | `opened STREAM` | the log is open, and writes this stream |
//! | `returned ID` | the `audit!` of this event returned, and the log took it |
//! | `durable ID` | its `wait()` gave `Ok` |
//! | `refused ID TEXT` | its `wait()` gave an error |
//! | `unrecorded ID` | the log did not take this event, although nobody has closed it |
//! | `problem TEXT` | the log reported a problem |
//! | `closed` | `close()` gave `Ok` |
//! | `failed TEXT` | the log could not be opened or closed, or a child process failed |
//!
//! `cargo test` runs this program too, without `--dir`: then it does nothing.

#![allow(
    unsafe_code,
    reason = "a process that forks is what one of the faults needs"
)]

use std::{
    collections::HashMap,
    fmt::Display,
    fs::File,
    io::{self, Read as _, Write as _},
    mem::ManuallyDrop,
    os::fd::FromRawFd as _,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tracing_audit::{AuditLog, Retention, audit, webhook::Webhook};
use tracing_subscriber::prelude::*;

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
}

/// Standard input has ended: no more events.
static STOP: AtomicBool = AtomicBool::new(false);

/// The arguments: `--name number` or `--name text`.
struct Settings(HashMap<String, String>);

impl Settings {
    fn parse(arguments: &[String]) -> Self {
        let pairs = arguments.chunks_exact(2);
        Self(
            pairs
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name)
            .map_or(default, |text| text.parse().expect("a number"))
    }

    fn retention(&self) -> Retention {
        let retention = match self.number("--retention-days", 90) {
            0 => Retention::unlimited(),
            days => Retention::days(days as u32),
        };
        match self.number("--retention-bytes", 0) {
            0 => retention,
            bytes => retention.max_bytes(bytes),
        }
    }

    fn millis(&self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let settings = Settings::parse(&arguments);
    let Some(dir) = settings.text("--dir") else {
        return ExitCode::SUCCESS;
    };
    thread::spawn(stop_at_end_of_input);
    match run(dir, &settings) {
        Ok(()) => {
            say("closed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(format_args!("failed {error}"));
            ExitCode::from(3)
        }
    }
}

fn run(dir: &str, settings: &Settings) -> Result<(), tracing_audit::Error> {
    let log = AuditLog::builder(dir)
        .source(settings.text("--source").unwrap_or("victim"))
        .rotate_bytes(settings.number("--rotate-bytes", 64 * 1024))
        .rotate_every(settings.millis("--rotate-ms", 3_600_000))
        .compression_level(1)
        .live_grace(settings.millis("--grace-ms", 5))
        .sync_every(settings.millis("--sync-ms", 7))
        .journal_bytes(settings.number("--journal-bytes", 1 << 20) as usize)
        .max_record_bytes(settings.number("--record-bytes", 8192) as usize)
        .retention(settings.retention())
        .on_problem(|problem| say(format_args!("problem {problem}")))
        .open()?;
    tracing_subscriber::registry().with(log.layer()).init();
    say(format_args!("opened {}", log.stream()));
    let dispatcher = match settings.text("--webhook") {
        Some(url) => {
            subscribe(&log, url)?;
            Some(log.webhooks().run()?)
        }
        None => None,
    };
    thread::scope(|scope| {
        for thread in 0..settings.number("--threads", 3) {
            scope.spawn(move || record(thread, settings));
        }
        let mut log = log;
        let mut children = settings.number("--forks", 0);
        while !STOP.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
            if children > 0 {
                children -= 1;
                log = fork_child(log, settings.number("--fork-way", children % 4));
            }
        }
        drop(dispatcher);
        // Before the threads have ended: one may stand in `audit!` because the journal is full.
        log.close()
    })
}

/// Records events, and waits for some of them, until it is told to stop.
fn record(thread: u64, settings: &Settings) {
    let pause = Duration::from_micros(settings.number("--pause-us", 200));
    let wait_every = settings.number("--wait-every", 10);
    let filler = settings.number("--filler", 300) as usize;
    let most = settings.number("--events", u64::MAX);
    for n in 0..most {
        if STOP.load(Ordering::Acquire) {
            return;
        }
        let receipt = audit!(
            "fault.event",
            actor.id = thread,
            n,
            filler = "x".repeat((n as usize * 37) % (filler + 1)),
            "Event {n}"
        );
        if receipt.is_recorded() {
            say(format_args!("returned {}", receipt.id()));
            if n % wait_every == thread % wait_every {
                match receipt.wait() {
                    Ok(()) => say(format_args!("durable {}", receipt.id())),
                    Err(error) => say(format_args!("refused {} {error}", receipt.id())),
                }
            }
        } else if !STOP.load(Ordering::Acquire) {
            say(format_args!("unrecorded {}", receipt.id()));
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}

/// Forks a child that gets rid of its log in one of four ways. Only the parent returns.
fn fork_child(log: AuditLog, way: u64) -> AuditLog {
    // SAFETY: the child runs ordinary Rust code with a copy of this thread alone. Whether the log
    // bears that is what is tested; a child that hangs is killed with its parent.
    if unsafe { fork() } != 0 {
        return log;
    }
    match way {
        0 => drop(log),
        1 => drop(log.close()),
        2 => {
            let receipt = audit!("fault.child", "Recorded in a child process");
            if receipt.is_recorded() {
                say(format_args!("returned {}", receipt.id()));
            }
            drop(log);
        }
        // This child outlives its parent, when that is killed.
        _ => thread::sleep(Duration::from_millis(600)),
    }
    // SAFETY: it ends the process at once; the log was dropped or is meant not to be.
    unsafe { _exit(0) }
}

/// Begins the webhook that all victims of a directory share, unless one has begun it already.
fn subscribe(log: &AuditLog, url: &str) -> Result<(), tracing_audit::Error> {
    if log.webhooks().list()?.is_empty() {
        let webhook = Webhook::new("test", url, ["fault.*"])
            .allow_http()
            .egress(["loopback"])
            // The driver's receiver refuses some; nothing may be given up for that, nor wait long.
            .schedule([0].into_iter().chain([1; 40]));
        log.webhooks().add(webhook)?;
    }
    Ok(())
}

fn stop_at_end_of_input() {
    // Nothing is sent: it ends, or stays open as long as the victim shall live.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    STOP.store(true, Ordering::Release);
}

/// Tells the driver, in one write, and without the lock of `io::stdout`: in a forked child, that
/// may be held by a thread that isn't there.
fn say(what: impl Display) {
    // SAFETY: standard output is open as long as the process lives, and is not closed here.
    let mut output = ManuallyDrop::new(unsafe { File::from_raw_fd(1) });
    // A driver that is gone needs no answer.
    let _ = output.write_all(format!("{what}\n").as_bytes());
}
