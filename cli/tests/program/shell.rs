//! What a shell knows of the program: variables, completions, manual pages; and the tables.

use std::process::{Command, Output};

use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::cli::{code, err, out, program, run};

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

/// Runs a command line that is about no log.
fn tell(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

#[test]
fn an_empty_variable_is_as_one_that_is_not_set() {
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
        let output = tell(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("include-access"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    let output = tell(&["man", "--output", dir.path().to_str().unwrap()]);
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
    assert!(out(&tell(&["man"])).contains(".SH SYNOPSIS"));
    assert_eq!(code(&tell(&["help", "webhook", "add"])), 0);
}

#[test]
fn a_completion_is_a_script_of_its_shell() {
    let output = tell(&["completions", "bash"]);
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
