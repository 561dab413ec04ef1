//! When was the server down? The log's answer, held against the kills.

use std::collections::BTreeMap;

use serde_json::Value;
use tracing_audit::{AuditReader, Timestamp};

use crate::support::{query, text};

/// One life of a server, as its test saw it from outside.
#[derive(Debug)]
pub(crate) struct Life {
    /// Just before the process was started.
    pub(crate) started: Timestamp,
    /// When the server said that it listens.
    pub(crate) ready: Timestamp,
    /// When the process was gone.
    pub(crate) gone: Timestamp,
    /// Whether it was killed; otherwise it was told to stop.
    pub(crate) killed: bool,
}

/// Asks the log when the server was down; gives the number of questions.
///
/// The answer has to be: down from the last sign of life of each killed process, which no kill
/// precedes, until the next process opened the log.
pub(crate) fn ask_when_it_was_down(reader: &AuditReader, lives: &[Life]) -> u64 {
    let opened = parsed(reader, &["audit.log.opened"]);
    assert_eq!(opened.len(), lives.len(), "{opened:#?} {lives:#?}");
    let ended = parsed(
        reader,
        &["audit.log.closed", "audit.log.ended_without_closing"],
    );
    let by_stream: BTreeMap<_, _> = ended.iter().map(|e| (text(e, "/stream"), e)).collect();
    assert_eq!(by_stream.len(), lives.len(), "{ended:#?} {lives:#?}");
    assert_eq!(ended.len(), lives.len(), "{ended:#?}");

    for (opened, life) in opened.iter().zip(lives) {
        let up = time(opened, "/timestamp");
        assert!(life.started <= up && up <= life.ready, "{opened} {life:?}");
        let ended = by_stream[text(opened, "/stream")];
        let down = if life.killed {
            assert_eq!(ended["event_type"], "audit.log.ended_without_closing");
            let last_entry = time(ended, "/details/last_entry");
            let last_sign = time(ended, "/details/last_sign_of_life");
            assert!(up <= last_entry && last_entry <= last_sign, "{ended}");
            last_sign
        } else {
            assert_eq!(ended["event_type"], "audit.log.closed");
            time(ended, "/timestamp")
        };
        assert!(up <= down && down <= life.gone, "{ended} {life:?}");
    }
    2
}

/// The entries of these types, the oldest first.
fn parsed(reader: &AuditReader, event_types: &[&str]) -> Vec<Value> {
    let filters: Vec<_> = event_types.iter().map(|of| ("event_type", *of)).collect();
    let found = query(reader, &filters);
    found.iter().map(|entry| entry.parse().unwrap()).collect()
}

fn time(entry: &Value, pointer: &str) -> Timestamp {
    text(entry, pointer).parse().unwrap()
}
