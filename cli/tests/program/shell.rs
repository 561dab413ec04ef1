//! Variables, completions, manual pages, and tables of entries.

use std::{
    io::BufRead as _,
    path::Path,
    process::{Command, Output},
};

use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::cli::{Running, code, err, out, program, run};

fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!(
            "order.placed",
            tenant_id = "acme",
            ip_address = "192.0.2.1",
            "Order placed"
        );
    });
    log.close().unwrap();
    dir
}

/// Runs a command that needs no log.
fn run_without_log(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let dir = log();
    for command in [&["query", "--limit", "5"][..], &["webhook", "list"]] {
        let mut program = program();
        program.args(command).current_dir(dir.path());
        for variable in ["DIR", "LIMIT", "CONFIG", "FORMAT"] {
            program.env(format!("TRACING_AUDIT_{variable}"), "");
        }
        let output = program.output().unwrap();
        let said = err(&output);
        // The default is ./audit, which isn't there.
        assert_eq!(code(&output), 1, "{said}");
        assert!(said.contains("there is no audit log in"), "{said}");
    }
}

#[test]
fn each_command_says_alike_that_there_is_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let wanted = format!("error: there is no audit log in {path}; give the directory of one");
    for command in [
        &["query"][..],
        &["tail"],
        &["export", "--output", "-"],
        &["verify"],
        &["catalogue"],
        &["recover"],
        &["prune", "--retention-days", "90"],
        &["hold", "list"],
        &["token", "list"],
        &["webhook", "list"],
        &["hash-key", "list"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let output = run(dir.path(), command);
        assert_eq!(code(&output), 1, "{command:?}");
        assert!(
            err(&output).starts_with(&wanted),
            "{command:?}: {}",
            err(&output)
        );
    }
}

#[test]
fn completions_and_manual_pages_know_all_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run_without_log(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("include-access"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run_without_log(&["man", "--output", dir.path().to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    for page in [
        "tracing-audit",
        "tracing-audit-query",
        "tracing-audit-webhook-add",
    ] {
        let text = std::fs::read_to_string(dir.path().join(format!("{page}.1"))).unwrap();
        assert!(
            text.contains(&format!(".TH {}", page.to_uppercase())),
            "{text}"
        );
    }
    assert!(out(&run_without_log(&["man"])).contains(".SH SYNOPSIS"));
    assert_eq!(code(&run_without_log(&["help", "webhook", "add"])), 0);
}

#[test]
fn a_completion_is_a_script_of_its_shell() {
    let output = run_without_log(&["completions", "bash"]);
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("completions");
    std::fs::write(&script, &output.stdout).unwrap();
    let checked = Command::new("bash")
        .arg("-n")
        .arg(&script)
        .status()
        .unwrap();
    assert!(checked.success());
}

#[test]
fn a_table_has_the_columns_that_are_asked_for() {
    let dir = log();
    let query = |columns: &[&str]| {
        let flags = ["query", "--format", "table"];
        run(dir.path(), &[&flags, columns].concat())
    };
    let table = |columns: &[&str]| out(&query(columns));
    let all = table(&[]);
    for text in [
        "OUTCOME",
        "success",
        "TENANT",
        "acme",
        "ADDRESS",
        "192.0.2.1",
        "Order placed",
    ] {
        assert!(all.contains(text), "{all}");
    }
    let some = table(&["--columns", "seq,event-type,source"]);
    let lines: Vec<Vec<&str>> = some
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["SEQ", "EVENT", "TYPE", "SOURCE"]);
    assert_eq!(lines[1][..2], ["1", "order.placed"]);
    let wrong = query(&["--columns", "colour"]);
    assert_eq!(code(&wrong), 2);
    assert!(err(&wrong).contains("event-type"), "{}", err(&wrong));
}

/// The output of a command on a terminal of this width.
fn on_terminal(columns: u16, dir: &Path, command: &str) -> String {
    let program = env!("CARGO_BIN_EXE_tracing-audit");
    let dir = dir.display();
    let line = format!("stty cols {columns}; {program} {command} --dir {dir}");
    // `script` gives the command a terminal.
    let args = ["--quiet", "--return", "--command", &line, "/dev/null"];
    let output = Command::new("script")
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    out(&output).replace('\r', "")
}

#[test]
fn a_table_fits_a_narrow_terminal_and_its_words_are_whole() {
    let dir = crate::commands::log(12);
    let table = on_terminal(80, dir.path(), "query");
    for word in [
        "DESCRIPTION",
        "auth.login.failed",
        "u2@example.com",
        "EVENT TYPE",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    for dropped in ["RESOURCE", "OUTCOME"] {
        assert!(!table.contains(dropped), "{table}");
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    assert!(on_terminal(120, log().path(), "query").contains("TENANT"));
}

#[test]
fn tail_has_the_columns_and_rows_of_query() {
    let dir = crate::commands::log(12);
    let rows = |text: &str| -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        text.lines().map(words).collect()
    };
    for columns in [&[][..], &["--columns", "seq,event-type,actor"]] {
        let flags = ["query", "--order", "asc", "--format", "table"];
        let queried = run(dir.path(), &[&flags, columns].concat());
        let mut tail = Running::start(
            program()
                .args(["tail", "-n", "12", "--format", "table", "--dir"])
                .arg(dir.path())
                .args(columns),
        );
        // The heading, and a row for each entry.
        let lines = tail.stdout().lines().take(13);
        let tailed: Vec<_> = lines.map(|line| line.unwrap()).collect();
        assert_eq!(rows(&tailed.join("\n")), rows(&out(&queried)));
        assert_eq!(tail.interrupt(), Some(0));
    }
}

#[test]
fn times_have_one_form_in_all_tables() {
    let dir = log();
    let token = ["token", "create", "--name", "a", "--expires", "2999-01-01"];
    assert_eq!(code(&run(dir.path(), &token)), 0);
    let hold = ["hold", "place", "--name", "a", "--start-date", "2026-01-01"];
    assert_eq!(code(&run(dir.path(), &hold)), 0);
    for (command, time) in [
        ("token", "2999-01-01 00:00:00.000"),
        ("hold", "2026-01-01 00:00:00.000"),
    ] {
        let table = out(&run(dir.path(), &[command, "list", "--format", "table"]));
        assert!(table.contains(time), "{table}");
        assert!(!table.contains("00Z"), "{table}");
    }
    let json = out(&run(dir.path(), &["token", "list"]));
    assert!(json.contains("2999-01-01T00:00:00.000000Z"), "{json}");
}

#[test]
fn a_list_on_a_narrow_terminal_has_whole_headings_and_no_empty_columns() {
    let dir = log();
    let hook = ["webhook", "add", "--name", "siem", "--event-type", "auth.*"];
    let url = ["--url", "https://siem.example.com/"];
    assert_eq!(code(&run(dir.path(), &[&hook[..], &url].concat())), 0);
    let list = on_terminal(80, dir.path(), "webhook list");
    for word in ["STATE", "active", "DELIVERED", "LETTERS"] {
        assert!(list.contains(word), "{word}: {list}");
    }
    assert!(!list.contains("NEXT"), "it has not failed: {list}");
}
