//! `stats`: counts as tables with bars, and as JSON.

use std::path::Path;

use serde_json::{Value, json};
use tracing_audit::{Actor, AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::{
    cli::{code, err, out, run},
    support::files,
};

/// A log of six entries: three of ann, two of eve that failed, and one of nobody.
fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..3 {
            let ann = Actor::user("ann\u{1b}[2J");
            audit!("sale.made", actor = ann, ip_address = "192.0.2.1", number);
        }
        for number in 0..2 {
            let eve = Actor::user("eve");
            audit!("sale.paid", actor = eve, outcome.type = "failure", severity = error, number);
        }
        audit!("sale.ended");
    });
    log.close().unwrap();
    dir
}

fn json_of(dir: &Path, flags: &[&str]) -> Value {
    let output = run(dir, &[&["stats"], flags].concat());
    assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{flags:?}");
    assert_eq!(out(&output).lines().count(), 1);
    serde_json::from_str(&out(&output)).unwrap()
}

#[test]
fn tables_have_bars_and_nothing_that_a_terminal_obeys() {
    let dir = log();
    let output = run(
        dir.path(),
        &["stats", "--format", "table", "--step", "year", "--top", "2"],
    );
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    let text = out(&output);
    let tables: Vec<Vec<Vec<&str>>> = text
        .split("\n\n")
        .map(|table| {
            table
                .lines()
                .map(|row| row.split_whitespace().collect())
                .collect()
        })
        .collect();
    assert!(
        text.starts_with("6 entries; the log is complete until 2"),
        "{text}"
    );
    let bar = "█".repeat(40);
    assert_eq!(tables[1][0], ["TIME", "(UTC)", "ENTRIES", "FAILURES"]);
    assert_eq!(tables[1][1][1..], ["6", "2", &bar]);
    assert_eq!(
        tables[2],
        [
            vec!["EVENT", "TYPE", "ENTRIES"],
            vec!["sale.made", "3", &bar],
            vec!["sale.paid", "2", &format!("{}▊", "█".repeat(26))],
            vec!["(1", "more)", "1"],
        ]
    );
    assert_eq!(tables[4][1][..2], ["success", "4"]);
    assert_eq!(tables[5][1][..2], ["ann\\u{1b}[2J", "3"]);
    assert_eq!(tables[6][2], ["(none)", "3"]);
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_pipe_gets_one_json_document() {
    let dir = log();
    let all = json_of(dir.path(), &["--step", "year"]);
    assert_eq!((&all["total"], &all["exact"]), (&json!(6), &json!(true)));
    assert_eq!(all["steps"][0]["severity"]["error"], 2);
    assert_eq!(all["top"]["actor"]["distinct"], 3);
    let failed = json_of(dir.path(), &["--outcome", "failure", "--top", "1"]);
    assert_eq!(
        failed["top"]["actor"]["values"],
        json!([{"value": "eve", "count": 2}])
    );
    assert_eq!(failed["step"], "minute");
    let seconds = json_of(dir.path(), &["--step", "30-seconds"]);
    assert_eq!(
        (&seconds["step"], &seconds["total"]),
        (&json!("30-seconds"), &all["total"])
    );
    let chosen = json_of(dir.path(), &["--fields", "severity,actor"]);
    assert_eq!(chosen["top"]["actor"], all["top"]["actor"]);
    assert_eq!(chosen["top"].as_object().unwrap().len(), 2);
    let alone = json_of(dir.path(), &["--top", "0"]);
    assert_eq!(
        (&alone["total"], &alone["top"]),
        (&all["total"], &json!({}))
    );
}

#[test]
fn what_cannot_be_counted_is_said() {
    let dir = log();
    for (flags, said) in [
        (
            &["--step", "week"][..],
            "[possible values: second, 5-seconds, 10-seconds, 30-seconds, minute, 10-minutes,",
        ),
        (&["--top", "few"], "--top"),
        (
            &["--fields", "door"],
            "[possible values: event_type, severity, outcome, actor, ip_address]",
        ),
        (&["--severity", "loud"], "error: --severity: "),
        (
            &["--step", "minute", "--start-date", "2020-01-01"],
            "error: --step: there are more than 1000 steps",
        ),
    ] {
        let output = run(dir.path(), &[&["stats"], flags].concat());
        assert_eq!(code(&output), 2, "{flags:?}");
        assert!(err(&output).contains(said), "{}", err(&output));
    }
    let none = run(
        dir.path(),
        &["stats", "--event-type", "sale.mad", "--format", "table"],
    );
    assert_eq!((code(&none), out(&none).as_str()), (0, ""));
    assert!(
        err(&none).starts_with("no entries match\nhint: no event type"),
        "{}",
        err(&none)
    );
}

#[test]
fn a_part_that_cannot_be_read_is_reported() {
    let dir = log();
    let live = files(&dir.path().join("live"));
    let sealed = files(&dir.path().join("sealed"));
    let path = live.iter().chain(&sealed).next().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len() / 2);
    bytes[..end].fill(b'x');
    std::fs::write(path, bytes).unwrap();
    let output = run(dir.path(), &["stats", "--format", "json"]);
    assert_eq!(code(&output), 1);
    assert!(
        err(&output).contains("warning: entries may be missing"),
        "{}",
        err(&output)
    );
    let stats: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(stats["exact"], false);
}
