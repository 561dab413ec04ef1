//! The first processes of two containers, which both have process id 1, open a new directory at once:
//! no name that they make collides.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test; figures are for who runs it"
)]

use std::process::{Command, Stdio};

use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

const ROUNDS: usize = 20;

#[test]
fn opens() {
    let Ok(dir) = std::env::var("CONTAINER_DIR") else {
        return;
    };
    assert_eq!(std::process::id(), 1);
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("one")
        .open()
        .unwrap();
    let registry = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&tracing::Dispatch::new(registry), || {
        audit!("container.started").wait().unwrap();
    });
    log.close().unwrap();
}

#[test]
fn two_first_processes_open_one_directory() {
    if std::env::var_os("CONTAINER_DIR").is_some() {
        return;
    }
    let namespace = ["--map-root-user", "--pid", "--fork"];
    let tried = Command::new("unshare").args(namespace).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: no process namespace can be made here");
        return;
    }
    for round in 0..ROUNDS {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("audit");
        let start = || {
            let mut command = Command::new("unshare");
            command.args(namespace);
            command.arg(std::env::current_exe().unwrap());
            let name = crate::support::full_name(module_path!(), "opens");
            command.args(["--exact", &name, "--nocapture"]);
            command.env("CONTAINER_DIR", &dir);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        for child in [start(), start()] {
            let output = child.wait_with_output().unwrap();
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {why}");
        }
        let records = crate::support::records(&dir);
        let started = |record: &&serde_json::Value| record["event_type"] == "container.started";
        assert_eq!(records.iter().filter(started).count(), 2, "round {round}");
    }
}
