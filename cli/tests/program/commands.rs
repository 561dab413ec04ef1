//! The `tracing-audit` program, as a shell sees it: what it prints, where, and its exit codes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::cli::{code, err, json_lines, out, program, run};
use serde_json::Value;
use tracing_audit::{Actor, AuditLog, audit, hashed};
use tracing_subscriber::prelude::*;

/// A log of `events` events in at least three sealed files of one stream, closed.
pub(crate) fn log(events: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Rotation is looked at once a batch, so the batches are many.
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .rotate_bytes(1000)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..events {
            let actor =
                Actor::user(format!("user-{}", n % 3)).name(format!("u{}@example.com", n % 3));
            let receipt = if n % 4 == 3 {
                audit!("auth.login.failed", actor = actor, severity = warning, outcome.type = "failure", attempt = n, "Login {n} \u{1b}[31mfailed")
            } else {
                audit!("user.updated", actor = actor, resource.type = "user", resource.id = n, n, mode = "full", "Update {n}")
            };
            receipt.wait().unwrap();
        }
    });
    log.close().unwrap();
    // What is left to do after a close is done by the next process: seal, remove the live twins.
    let recovered = run(dir.path(), &["recover"]);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    assert!(sealed(dir.path()).len() >= 3, "{:?}", sealed(dir.path()));
    dir
}

pub(crate) fn sealed(dir: &Path) -> Vec<PathBuf> {
    crate::support::files(&dir.join("sealed"))
}

#[test]
fn a_wrong_command_line_is_told_by_the_flags_name_and_is_code_2() {
    let dir = log(12);
    for (args, says) in [
        (
            &["query", "--severity", "bad"][..],
            "--severity: \"bad\" must be one of info, warning, error, critical",
        ),
        (
            &["query", "--start-date", "yesterday"],
            "--start-date: \"yesterday\" must be a date like",
        ),
        (
            &[
                "query",
                "--start-date",
                "2026-02-02",
                "--end-date",
                "2026-01-01",
            ],
            "--start-date: the range from it to",
        ),
        (
            &["query", "--details", "mode"],
            "--details: \"mode\" must be a path and a value, like mode=full",
        ),
        (&["query", "--actor", ""], "--actor: it is empty"),
        (&["query", "--event-type", "A b"], "--event-type"),
        (&["query", "--cursor", "x"], "--cursor"),
        (&["query", "--id", "x"], "--id"),
        (&["query", "--limit=many"], "--limit"),
        (&["query", "--order", "up"], "--order"),
        (&["query", "--colour"], "--colour"),
        (&["tail", "--format", "json"], "--format"),
        (
            &["prune"],
            "--retention-days, --max-bytes or --min-free-bytes",
        ),
        (&["prune", "--retention-days", "0"], "--retention-days"),
        (&["export"], "--output"),
        (
            &["token", "create", "--name", "a", "--scope", "root"],
            "--scope",
        ),
        (
            &["token", "create", "--name", "a", "--expires", "soon"],
            "--expires",
        ),
        (
            &["token", "create", "--name", "a", "--expires", "2025-01-01"],
            "--expires: it is past",
        ),
        (&["serve", "--listen", "0.0.0.0:0"], "--listen"),
        (&["serve", "--listen", "localhost"], "like localhost:8080"),
        (&["serve", "--listen", "localhost:99999"], "--listen"),
        (&["demo", "--rate", "0"], "--rate"),
    ] {
        let output = run(dir.path(), args);
        assert_eq!(
            (code(&output), out(&output).as_str()),
            (2, ""),
            "{args:?}: {}",
            err(&output)
        );
        assert!(err(&output).contains(says), "{args:?}: {}", err(&output));
    }
    let nowhere = run(Path::new("/nonexistent/audit"), &["query"]);
    assert_eq!(code(&nowhere), 1);
    assert!(
        err(&nowhere).contains("there is no audit log in /nonexistent/audit"),
        "{}",
        err(&nowhere)
    );
    for command in [
        "verify",
        "recover",
        "token list",
        "prune --max-bytes 1",
        "export --output -",
        "serve",
    ] {
        let nothing = tempfile::tempdir().unwrap();
        let output = run(nothing.path(), &command.split(' ').collect::<Vec<_>>());
        assert_eq!(code(&output), 1, "{command}");
        assert_eq!(
            crate::support::files(nothing.path()),
            [] as [PathBuf; 0],
            "{command} makes no log where there is none"
        );
    }
}

#[test]
fn help_tells_a_new_operator_what_to_do() {
    for command in [
        "",
        "demo",
        "serve",
        "query",
        "tail",
        "stats",
        "export",
        "prune",
        "verify",
        "recover",
        "token",
        "token create",
        "hold",
        "hold place",
        "catalogue",
        "hash",
        "hash-key",
    ] {
        let output = program()
            .args(command.split(' ').filter(|part| !part.is_empty()))
            .arg("--help")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{command}");
        assert!(out(&output).contains("Usage: tracing-audit"), "{command}");
    }
    let version = program().arg("--version").output().unwrap();
    assert_eq!(
        out(&version),
        format!("tracing-audit {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_file_gives_way_to_a_variable_and_that_to_a_flag() {
    let dir = log(12);
    let config = dir.path().join("cli.toml");
    fs::write(
        &config,
        format!(
            "dir = {:?}\nlimit = 1\n[query]\nlimit = 2\nseverity = [\"info\", \"warning\"]\n",
            dir.path()
        ),
    )
    .unwrap();
    let count = |command: &mut Command| json_lines(&command.output().unwrap()).len();
    let with_file = || {
        let mut command = program();
        command.arg("query").arg("--config").arg(&config);
        command
    };
    assert_eq!(
        count(&mut with_file()),
        2,
        "what the file says of a command, over what it says of all"
    );
    assert_eq!(count(with_file().env("TRACING_AUDIT_LIMIT", "3")), 3);
    assert_eq!(
        count(
            with_file()
                .env("TRACING_AUDIT_LIMIT", "3")
                .args(["--limit", "4"])
        ),
        4
    );
    assert_eq!(
        count(program().arg("query").env("TRACING_AUDIT_CONFIG", &config)),
        2
    );
    assert_eq!(
        count(
            program()
                .arg("query")
                .env("TRACING_AUDIT_DIR", dir.path())
                .env("TRACING_AUDIT_EVENT_TYPE", "auth.*")
        ),
        3
    );
    let listed = program()
        .args(["token", "list", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(
        code(&listed),
        0,
        "below a command as well: {}",
        err(&listed)
    );
    for (text, says) in [
        ("limits = 1", "no command has a flag --limits"),
        (
            "[query]\ndays = 1",
            "the command [query] has no flag --days",
        ),
        ("[find]\nlimit = 1", "there is no command [find]"),
        ("limit = [1, 2]", "limit takes one value"),
        ("[query]\norder = \"up\"", "--order"),
        ("limit = ", "cli.toml"),
    ] {
        fs::write(&config, text).unwrap();
        let output = with_file().arg("--dir").arg(dir.path()).output().unwrap();
        assert_eq!(code(&output), 2, "{text}: {}", err(&output));
        assert!(err(&output).contains(says), "{text}: {}", err(&output));
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let dir = log(12);
    // It is gone before the first line.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let query = program()
        .args(["query", "--limit", "0", "--dir"])
        .arg(dir.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn();
    let output = query.unwrap().wait_with_output().unwrap();
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
}

#[test]
fn a_hashed_value_is_found_by_its_plain_one() {
    let log = log(30);
    let dir = log.path();
    assert_eq!(out(&run(dir, &["hash-key", "list"])), "k1\n");
    assert_eq!(code(&run(dir, &["hash-key", "rotate", "k2"])), 0);
    assert_eq!(code(&run(dir, &["hash-key", "rotate", "k2"])), 2);
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("hashing")
        .open()
        .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || {
            for name in ["ann", "bob"] {
                audit!(
                    "user.invited",
                    email = hashed(&format!("{name}@example.com"))
                );
            }
        },
    );
    log.close().unwrap();
    let hashes = out(&run(dir, &["hash", "ann@example.com"]));
    let hash = hashes.lines().next().unwrap();
    assert!(
        hash.starts_with("hmac-sha256:k2:") && hashes.lines().count() == 2,
        "{hashes}"
    );
    assert_eq!(
        json_lines(&run(dir, &["query", "--details", &format!("email={hash}")])).len(),
        1
    );
}

#[test]
fn the_catalogue_lists_what_can_be_recorded_and_tells_what_breaks() {
    let log = log(30);
    let dir = log.path();
    let table = out(&run(dir, &["catalogue"]));
    assert!(
        table.contains("user.invited") && table.contains("program/commands.rs"),
        "{table}"
    );
    let json = out(&run(dir, &["catalogue", "--format", "json"]));
    let file = dir.join("catalogue.json");
    fs::write(&file, &json).unwrap();
    let against = |newer: &Path| {
        run(
            dir,
            &[
                "catalogue",
                "--against",
                file.to_str().unwrap(),
                "--file",
                newer.to_str().unwrap(),
            ],
        )
    };
    assert_eq!(
        (code(&against(&file)), out(&against(&file))),
        (0, String::new())
    );
    let newer = dir.join("newer.json");
    fs::write(&newer, json.replace("user.invited", "user.asked")).unwrap();
    assert_eq!(
        (code(&against(&newer)), out(&against(&newer))),
        (1, "user.invited: the event type is gone\n".to_owned())
    );
    let schema: Value =
        serde_json::from_str(&out(&run(dir, &["catalogue", "--schema", "user.invited"]))).unwrap();
    assert_eq!(
        schema["properties"]["details"]["properties"]["email"]["type"],
        "string"
    );
    assert!(out(&run(dir, &["catalogue", "--format", "markdown"])).starts_with("| event type |"));
    // What the program itself can record is not what this log's applications can.
    assert_eq!(code(&run(dir, &["prune", "--max-bytes", "1"])), 0);
    assert!(!out(&run(dir, &["catalogue"])).contains("vault"));
}

/// Checks that the actor is the user of the system who ran the command.
pub(crate) fn assert_is_by_this_user(entry: &Value) {
    let user = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let user = user.trim();
    let actor = &entry["actor"];
    assert_eq!(actor["type"], "user", "{entry}");
    // Where the user has become another one, the name says so.
    let became = actor["name"].as_str().unwrap_or_default();
    let is_user = actor["id"] == user || became.ends_with(&format!(", as {user}"));
    assert!(is_user, "{user}: {actor}");
}

#[test]
fn a_command_records_what_it_does_and_not_that_it_ran() {
    let dir = log(12);
    let place = ["hold", "place", "--name", "case-7"];
    let range = ["--start-date", "2025-01-01", "--end-date", "2025-01-02"];
    let held = run(dir.path(), &[&place[..], &range].concat());
    assert_eq!(code(&held), 0, "{}", err(&held));
    let own = run(dir.path(), &["query", "--event-type", "audit.*"]);
    let types: Vec<_> = json_lines(&own)
        .iter()
        .map(|entry| entry["event_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, ["audit.hold.placed"]);
    // The demo's event types are in the program, and are none of this log's.
    let catalogue = run(dir.path(), &["catalogue", "--format", "json"]);
    assert!(
        !out(&catalogue).contains("discovery.scan"),
        "{}",
        out(&catalogue)
    );
}
