//! A receiver chooses its texts. However long they are, little of them is kept.

use std::{fs, io::Write as _, path::Path};

use crate::receiver::{request, server};
use crate::shop::emit;
use crate::support::{until, wait_for};
use tracing_audit::{AuditLog, webhook::Webhook};

/// The longest run of this byte in any file below a directory.
fn longest_run(dir: &Path, byte: u8) -> usize {
    let of_entry = |path: &Path| match path.is_dir() {
        true => longest_run(path, byte),
        false => {
            let text = fs::read(path).unwrap_or_default();
            let runs = text.split(|other| *other != byte);
            runs.map(<[u8]>::len).max().unwrap_or(0)
        }
    };
    let entries = fs::read_dir(dir).unwrap();
    let runs = entries.map(|entry| of_entry(&entry.unwrap().path()));
    runs.max().unwrap_or(0)
}

#[test]
fn of_a_long_location_no_more_than_a_kibibyte_is_kept() {
    let location = "z".repeat(30_000);
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{location}/\r\ncontent-length: 0\r\n\r\n");
    let address = server(move |mut stream| {
        while request(&mut stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {}
    });
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("shop").open().unwrap();
    let webhook = Webhook::new("test", format!("http://{address}/"), ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .schedule([0, 0, 0]);
    log.webhooks().add(webhook).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 1..2);
    wait_for("it is given up", || {
        let report = log.webhooks().list().unwrap().remove(0);
        match report.status.dead_lettered {
            1 => Ok(()),
            _ => Err(Box::new(report.status)),
        }
    });
    until("the attempts are kept", || {
        log.webhooks().attempts("test").unwrap().len() == 3
    });
    let shown = log.webhooks().list().unwrap().remove(0);
    let answer = shown.status.last_answer.unwrap();
    assert!(answer.len() < 1024, "{} bytes", answer.len());
    drop(dispatcher);
    // While the log is open: an event in its live file is one line.
    log.flush().unwrap();
    log.close().unwrap();
    let longest = longest_run(dir.path(), b'z');
    assert!((100..1024).contains(&longest), "{longest} bytes of it");
}
