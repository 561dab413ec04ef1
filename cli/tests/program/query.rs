//! `query`: pages, formats, tables.

use std::process::Command;

use serde_json::Value;

use crate::cli::{code, err, json_lines, out, run};
use crate::commands::log;

#[test]
fn pages_in_the_order_of_arrival_lead_from_one_to_the_next() {
    let dir = log(12);
    let query = |flags: &[&str]| {
        let output = run(
            dir.path(),
            &[&["query", "--order", "arrival", "--limit", "9"], flags].concat(),
        );
        assert_eq!(code(&output), 0, "{}", err(&output));
        let numbers = json_lines(&output);
        let numbers = numbers.iter().map(|line| line["seq"].as_u64().unwrap());
        (numbers.collect::<Vec<_>>(), err(&output))
    };
    let (first, note) = query(&[]);
    assert_eq!(first, (1..=9).collect::<Vec<_>>());
    let (_, rest) = note.split_once("--cursor ").unwrap();
    let cursor = rest.split(',').next().unwrap();
    assert_eq!(query(&["--cursor", cursor]).0, [10, 11, 12]);
}

#[test]
fn query_shows_what_matches_as_lines_a_document_or_a_table() {
    let dir = log(12);
    let all = run(dir.path(), &["query"]);
    assert_eq!((code(&all), err(&all).as_str()), (0, ""));
    let lines = json_lines(&all);
    assert_eq!(lines.len(), 12);
    assert!(
        lines.is_sorted_by(|a, b| a["timestamp"].as_str() >= b["timestamp"].as_str()),
        "the newest first"
    );
    let mut stored = crate::support::lines(dir.path());
    stored.reverse();
    assert_eq!(
        out(&all).lines().collect::<Vec<_>>(),
        stored,
        "a pipe gets the stored bytes"
    );
    assert_eq!(out(&run(dir.path(), &["query", "--limit", "0"])), out(&all));

    let failed = run(
        dir.path(),
        &[
            "query",
            "--event-type",
            "auth.*",
            "--outcome",
            "failure",
            "--order",
            "asc",
            "--limit",
            "2",
        ],
    );
    assert_eq!(
        json_lines(&failed)
            .iter()
            .map(|line| line["details"]["attempt"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [3, 7]
    );
    assert!(
        err(&failed).contains("there may be more"),
        "a part isn't taken for the whole: {}",
        err(&failed)
    );
    let one = run(
        dir.path(),
        &[
            "query",
            "--details",
            "n=4",
            "--details",
            "mode=full",
            "--format",
            "json",
        ],
    );
    let page: Value = serde_json::from_str(&out(&one)).unwrap();
    assert_eq!(page["entries"][0]["resource"]["id"], "4");
    let id = page["entries"][0]["id"].as_str().unwrap();
    assert_eq!(
        json_lines(&run(dir.path(), &["query", "--id", id])),
        [page["entries"][0].clone()]
    );

    let table = run(
        dir.path(),
        &["query", "--format", "table", "--actor", "u0@example.com"],
    );
    let text = out(&table);
    assert!(
        text.contains("EVENT TYPE") && text.contains("u0@example.com") && text.contains("user 0"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}') && text.contains("\\u{1b}[31mfailed"),
        "a record can't color a terminal: {text}"
    );
    let none = run(
        dir.path(),
        &["query", "--format", "table", "--actor", "nobody"],
    );
    assert_eq!(
        (code(&none), out(&none).as_str(), err(&none).as_str()),
        (0, "", "no entries match\n")
    );
    assert_eq!(
        code(&run(
            dir.path(),
            &["query", "--id", "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11"]
        )),
        1
    );
}

#[test]
fn query_gives_the_rows_of_an_export() {
    let dir = log(12);
    let export = ["export", "--format", "csv", "--output", "-"];
    let exported = out(&run(dir.path(), &export));
    let rows: Vec<_> = exported.split_inclusive("\r\n").collect();
    assert_eq!(rows.len(), 13);
    let query = |flags: &[&str]| {
        let args = [&["query", "--order", "asc", "--format", "csv"], flags].concat();
        let output = run(dir.path(), &args);
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output)
    };
    for all in [&["--limit", "0"][..], &[], &["--limit", "20"]] {
        assert_eq!(query(all), exported, "{all:?}");
    }
    assert_eq!(query(&["--limit", "2"]), rows[..3].concat());
    let some = query(&["--offset", "2", "--limit", "0"]);
    assert_eq!(some, format!("{}{}", rows[0], rows[3..].concat()));
    let id = rows[5].split(',').nth(2).unwrap();
    assert_eq!(query(&["--id", id]), format!("{}{}", rows[0], rows[5]));
    for none in [&["--limit", "0"][..], &[]] {
        let nobody = [none, &["--actor", "nobody"]].concat();
        assert_eq!(query(&nobody), rows[0], "{none:?}");
    }
    // A part isn't taken for the whole.
    let part = ["query", "--format", "csv", "--limit", "2"];
    assert!(err(&run(dir.path(), &part)).contains("there may be more"));
}

#[test]
fn a_table_of_values_is_not_for_a_terminal() {
    let dir = log(12);
    let program = env!("CARGO_BIN_EXE_tracing-audit");
    let command = format!(
        "{program} query --format csv --dir {}",
        dir.path().display()
    );
    // `script` gives the command a terminal.
    let args = ["--quiet", "--return", "--command", &command, "/dev/null"];
    let output = Command::new("script").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", out(&output));
    assert!(out(&output).contains("--format: CSV can't be shown on a terminal"));
}
