//! `tail`: the entries that come.

use std::{io::BufRead as _, time::Duration};

use serde_json::Value;
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::cli::{Running, program};
use crate::commands::log;

#[test]
fn tail_gives_the_last_ones_and_then_all_that_come() {
    let dir = log(12);
    let mut tail = Running::start(
        program()
            .args(["tail", "-n", "2", "--event-type", "user.*", "--dir"])
            .arg(dir.path()),
    );
    let mut lines = tail
        .stdout()
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let numbers = |lines: &mut dyn Iterator<Item = Value>, many| {
        lines
            .take(many)
            .map(|line| line["details"]["n"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&mut lines, 2), [9, 10]);
    // Rotates several times meanwhile.
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(1000)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
        for n in 100..120_u64 {
            audit!("user.updated", n).wait().unwrap();
            audit!("auth.logout").wait().unwrap();
        }
    });
    assert_eq!(numbers(&mut lines, 20), (100..120).collect::<Vec<_>>());
    log.close().unwrap();
    assert_eq!(tail.interrupt(), Some(0), "Ctrl-C is how it ends");
}
