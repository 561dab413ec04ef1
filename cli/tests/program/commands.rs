//! The `tracing-audit` program, as a shell sees it: what it prints, where, and its exit codes.

use std::{
    fs,
    io::{BufRead as _, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::cli::{Running, code, err, json_lines, out, program, run};
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
fn verify_accepts_the_losses_that_the_log_records_and_no_others() {
    let dir = log(12);
    let line = |seq: u64, event_type: &str, details: &str| {
        format!(
            concat!(
                r#"{{"stream":"cash-0a1b2c","seq":{},"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c{:02}","timestamp":"2026-11-21T10:15:00.000000Z","#,
                r#""event_type":"{}","details":{}}}"#,
                "\n"
            ),
            seq, seq, event_type, details
        )
    };
    let live = dir
        .path()
        .join("live/20261121T101500.000000Z-cash-0a1b2c-00000001.jsonl");
    let write = |recorded: &[(&str, &str)]| {
        let mut lines = line(1, "user.updated", "{}") + &line(2, "user.updated", "{}");
        for (seq, (event_type, details)) in (6..).zip(recorded) {
            lines += &line(seq, event_type, details);
        }
        fs::write(&live, lines).unwrap();
        run(dir.path(), &["verify"])
    };
    let (lost, cut) = ("audit.log.lost", "audit.log.live_file_cut");
    for (recorded, missing) in [
        (&[(lost, "{}")][..], "entries 3 to 5 are missing"),
        (
            &[(lost, r#"{"count":2,"after_seq":2}"#)],
            "entry 5 is missing",
        ),
        (
            &[(cut, r#"{"count":3,"after_seq":1}"#)],
            "entry 5 is missing",
        ),
        (
            &[
                (lost, r#"{"count":1,"after_seq":2}"#),
                (cut, r#"{"count":1,"after_seq":4}"#),
            ],
            "entry 4 is missing",
        ),
    ] {
        let found = write(recorded);
        assert_eq!(code(&found), 1, "{recorded:?}: {}", out(&found));
        assert!(
            out(&found).contains(missing),
            "{recorded:?}: {}",
            out(&found)
        );
    }
    let told = |found: &Output| {
        code(found) == 0 && out(found).contains("entries 3 to 5 are lost, and recorded as lost")
    };
    // Two entries may account for parts of a hole, and for the same part.
    for recorded in [
        &[(lost, r#"{"count":3,"after_seq":2}"#)][..],
        &[
            (cut, r#"{"count":2,"after_seq":3}"#),
            (lost, r#"{"count":2,"after_seq":2}"#),
        ],
    ] {
        let found = write(recorded);
        assert!(told(&found), "{recorded:?}: {}", out(&found));
    }

    // The same once it is sealed.
    let recovered = run(dir.path(), &["recover"]);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    assert!(
        sealed(dir.path())
            .iter()
            .any(|path| path.to_string_lossy().contains("cash-0a1b2c"))
    );
    let found = run(dir.path(), &["verify"]);
    assert!(told(&found), "{}", out(&found));
}

#[test]
fn verify_finds_what_is_wrong_and_says_where() {
    let dir = log(30);
    let fine = run(dir.path(), &["verify"]);
    assert_eq!(code(&fine), 0, "{}{}", out(&fine), err(&fine));
    assert!(
        out(&fine).starts_with("ok: 30 entries of 1 stream in "),
        "{}",
        out(&fine)
    );
    let files = sealed(dir.path());
    let [first, middle, last] = [&files[0], &files[1], files.last().unwrap()];
    let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
    let finds = |what: &str, place: &str| {
        let found = run(dir.path(), &["verify"]);
        assert_eq!(code(&found), 1, "{what}: {}", out(&found));
        let text = out(&found);
        let line = text
            .lines()
            .find(|line| line.starts_with("problem") && line.contains(place));
        assert!(line.is_some(), "{what} at {place}: {text}");
        let report: Value =
            serde_json::from_str(&out(&run(dir.path(), &["verify", "--format", "json"]))).unwrap();
        assert_eq!(
            (
                report["ok"].as_bool(),
                report["findings"][0]["level"].as_str()
            ),
            (Some(false), Some("problem")),
            "{report}"
        );
        text
    };

    let whole = fs::read(middle).unwrap();
    let mut flipped = whole.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 0x10;
    fs::write(middle, &flipped).unwrap();
    finds("a flipped bit", &name(middle));
    fs::write(middle, &whole[..whole.len() - 5]).unwrap();
    let text = finds("a truncated file", &name(middle));
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("problem"))
            .count(),
        1,
        "one damage is one finding: {text}"
    );
    fs::write(middle, [&whole[..], b"x"].concat()).unwrap();
    let text = finds("an appended byte", &name(middle));
    assert!(text.contains("data was added behind its end"), "{text}");
    fs::remove_file(middle).unwrap();
    let text = finds("a removed file", "stream shop-");
    assert!(text.contains(" missing, between sealed/"), "{text}");
    fs::write(middle, &whole).unwrap();

    let foreign = middle.with_file_name("notes.txt");
    fs::write(&foreign, "mine").unwrap();
    finds("a foreign file", &name(&foreign));
    fs::remove_file(&foreign).unwrap();
    let ring = dir.path().join("state/journal/shop-0a1b2c.ring.damaged");
    fs::write(&ring, "").unwrap();
    finds(
        "a damaged journal",
        "state/journal/shop-0a1b2c.ring.damaged",
    );
    fs::remove_file(&ring).unwrap();

    // No entry records that retention removed it.
    fs::remove_file(first).unwrap();
    let text = finds("a removed first file", "stream shop-");
    assert!(text.contains("its first, "), "{text}");
    assert!(last.exists());
}

#[test]
fn prune_says_what_goes_and_records_it() {
    let dir = log(30);
    let files = sealed(dir.path());
    let dry = run(dir.path(), &["prune", "--max-bytes", "1000", "--dry-run"]);
    assert_eq!(code(&dry), 0, "{}", err(&dry));
    assert_eq!(sealed(dir.path()), files, "a dry run removes nothing");
    let stem = files[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .trim_end_matches(".jsonl.gz");
    assert!(
        out(&dry).contains(stem) && out(&dry).contains("would be removed"),
        "{}",
        out(&dry)
    );

    let young = run(dir.path(), &["prune", "--retention-days", "1"]);
    assert!(
        code(&young) == 0 && out(&young).starts_with("0 files removed"),
        "{}",
        out(&young)
    );
    let wet = run(dir.path(), &["prune", "--max-bytes", "1000"]);
    assert_eq!(code(&wet), 0, "{}", err(&wet));
    assert!(
        out(&wet).contains(stem) && out(&wet).contains(" removed, "),
        "{}",
        out(&wet)
    );
    assert!(!files[0].exists());
    let record = json_lines(&run(
        dir.path(),
        &["query", "--event-type", "audit.log.pruned"],
    ))
    .remove(0);
    assert_eq!(record["details"]["files"][0]["file"], stem);
    assert_eq!(record["source"], "tracing-audit");
    let verified = run(dir.path(), &["verify"]);
    assert_eq!(code(&verified), 0, "{}", out(&verified));
}

/// A log with one sealed file, all of whose entries are from the year 2020.
fn log_of_2020() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!("user.updated", "Update").wait().unwrap();
    });
    log.close().unwrap();
    let live = crate::support::files(&dir.path().join("live")).remove(0);
    let name = live.file_name().unwrap().to_str().unwrap();
    let old = live.with_file_name(format!("20200131T000000.000000Z{}", &name[23..]));
    let text = fs::read_to_string(&live).unwrap();
    let (before, time) = text.split_once("\"timestamp\":\"").unwrap();
    let after = time.split_once('"').unwrap().1;
    let text = format!("{before}\"timestamp\":\"2020-01-31T00:00:00.000000Z\"{after}");
    fs::write(old, text).unwrap();
    fs::remove_file(live).unwrap();
    let recovered = run(dir.path(), &["recover"]);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    // As an earlier version leaves it.
    let _ = fs::remove_file(dir.path().join("state/clock.json"));
    assert!(dir.path().join("sealed/dt=2020-01-31").is_dir());
    dir
}

#[test]
fn prune_waits_for_a_clock_that_has_not_proved_itself_or_for_who_has_checked_it() {
    let log = log_of_2020();
    let dir = log.path();
    let files = sealed(dir);
    for more in [&["--dry-run"][..], &[]] {
        let waits = run(dir, &[&["prune", "--retention-days", "90"], more].concat());
        assert_eq!(code(&waits), 1, "{}", out(&waits));
        assert!(out(&waits).starts_with("0 files "), "{}", out(&waits));
        assert!(
            err(&waits).starts_with("1 file is past") && err(&waits).contains("--trust-clock"),
            "{}",
            err(&waits)
        );
        assert_eq!(sealed(dir), files);
    }
    let trust = ["prune", "--retention-days", "90", "--trust-clock"];
    let dry = run(dir, &[&trust[..], &["--dry-run"]].concat());
    assert_eq!(code(&dry), 0, "{}", err(&dry));
    assert!(
        out(&dry).contains("1 file would be removed"),
        "{}",
        out(&dry)
    );
    assert_eq!(sealed(dir), files);
    let trusted = run(dir, &trust);
    assert_eq!(code(&trusted), 0, "{}", err(&trusted));
    assert!(
        out(&trusted).contains("1 file removed"),
        "{}",
        out(&trusted)
    );
    assert!(!files[0].exists());
    let types = ["prune_held_back", "clock_trusted", "pruned"];
    for event_type in types.map(|name| format!("audit.log.{name}")) {
        let recorded = run(dir, &["query", "--event-type", &event_type]);
        assert_eq!(json_lines(&recorded).len(), 1, "{event_type}");
    }
    // The clock stays trusted.
    let next = run(dir, &["prune", "--retention-days", "90"]);
    assert_eq!(code(&next), 0, "{}", err(&next));
}

#[test]
fn a_hold_keeps_what_would_go() {
    let log = log(60);
    let dir = log.path();
    let placed = run(
        dir,
        &[
            "hold",
            "place",
            "--name",
            "case-17",
            "--start-date",
            "2020-01-01",
            "--reason",
            "Acme v. Example",
        ],
    );
    assert_eq!(
        (code(&placed), out(&placed).trim()),
        (0, "the hold case-17 is placed")
    );
    assert_eq!(code(&run(dir, &["hold", "place", "--name", "case-17"])), 2);
    for wrong in [["--name", "a/b"], ["--start-date", "yesterday"]] {
        let refused = run(
            dir,
            &[&["hold", "place", "--name", "x"][..], &wrong].concat(),
        );
        assert!(
            code(&refused) == 2 && err(&refused).contains(wrong[0]),
            "{}",
            err(&refused)
        );
    }
    let listed = json_lines(&run(dir, &["hold", "list"])).remove(0);
    assert_eq!(
        (&listed["name"], &listed["start"]),
        (
            &Value::from("case-17"),
            &Value::from("2020-01-01T00:00:00.000000Z")
        )
    );
    let before = sealed(dir).len();
    let kept = run(dir, &["prune", "--max-bytes", "1"]);
    assert!(out(&kept).contains("holds keep"), "{}", out(&kept));
    assert!(sealed(dir).len() >= before);
    assert_eq!(code(&run(dir, &["hold", "release", "case-17"])), 0);
    let changes = run(dir, &["query", "--event-type", "audit.hold.*"]);
    for change in json_lines(&changes) {
        assert_is_by_this_user(&change);
        let placed_by = &change["details"]["hold"]["placed_by"];
        assert_eq!(*placed_by, change["actor"], "{change}");
    }
    assert_eq!(code(&run(dir, &["hold", "release", "case-17"])), 1);
    let types = json_lines(&run(
        dir,
        &["query", "--event-type", "audit.hold.*", "--order", "asc"],
    ));
    let types: Vec<_> = types
        .iter()
        .map(|record| record["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["audit.hold.placed", "audit.hold.released"]);
    let held = sealed(dir);
    assert!(out(&run(dir, &["prune", "--max-bytes", "1"])).contains("removed"));
    // What an earlier command left live may be sealed just now.
    assert!(held.iter().all(|file| !file.exists()), "{held:?}");
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

#[test]
fn recover_completes_what_a_killed_process_left() {
    const CHILD: &str = "CLI_TEST_CHILD_DIR";
    if let Some(dir) = std::env::var_os(CHILD) {
        let log = AuditLog::builder(PathBuf::from(dir))
            .lifecycle(false)
            .source("shop")
            .open()
            .unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
            for n in 0..50 {
                audit!("user.updated", n);
            }
        });
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let vars = [(CHILD, dir.path().to_str().unwrap())];
    let child = crate::support::child(
        module_path!(),
        "recover_completes_what_a_killed_process_left",
        &vars,
    )
    .output()
    .unwrap();
    assert!(!child.status.success());
    let before = run(dir.path(), &["verify"]);
    assert!(
        code(&before) == 0 && out(&before).contains("its process ended without closing its log"),
        "{}",
        out(&before)
    );

    let recovered = run(dir.path(), &["recover"]);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    assert!(
        out(&recovered).ends_with("1 stream completed\n"),
        "{}",
        out(&recovered)
    );
    assert_eq!(
        json_lines(&run(
            dir.path(),
            &["query", "--event-type", "user.*", "--limit", "0"]
        ))
        .len(),
        50
    );
    assert_eq!(
        crate::support::files(&dir.path().join("live")),
        [] as [PathBuf; 0],
        "all of it is sealed"
    );
    crate::support::ids(dir.path());
    crate::support::gzip_test(dir.path());
    assert_eq!(
        out(&run(dir.path(), &["recover"])),
        "nothing was left over\n"
    );
    let after = run(dir.path(), &["verify"]);
    assert!(
        code(&after) == 0 && out(&after).starts_with("ok:") && !out(&after).contains("note"),
        "{}",
        out(&after)
    );
}

#[test]
fn export_writes_a_whole_file_or_none() {
    let dir = log(30);
    let to = tempfile::tempdir().unwrap();
    let stored = crate::support::lines(dir.path());
    let gunzip = |path: &Path| {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let export = |name: &str, more: &[&str]| {
        let path = to.path().join(name);
        let output = run(
            dir.path(),
            &[&["export", "--output", path.to_str().unwrap()], more].concat(),
        );
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        path
    };
    assert_eq!(gunzip(&export("all.jsonl.gz", &[])), stored);
    assert_eq!(
        fs::read_to_string(export("all.jsonl", &[]))
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        stored
    );
    let failed = gunzip(&export("failed.gz", &["--severity", "warning"]));
    assert_eq!(
        failed,
        stored
            .iter()
            .filter(|line| line.contains("warning"))
            .cloned()
            .collect::<Vec<_>>()
    );
    for more in [&[][..], &["--severity", "warning"]] {
        let path = export("all.zip", more);
        let mut zip = zip_entries(&path);
        let manifest = zip.remove("manifest.json").unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let lines: usize = zip.values().map(|text| text.lines().count()).sum();
        assert_eq!(
            lines,
            if more.is_empty() {
                stored.len()
            } else {
                failed.len()
            }
        );
        let counted: u64 = manifest["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["count"].as_u64().unwrap())
            .sum();
        assert_eq!(counted as usize, lines, "{manifest}");
    }
    let piped = run(
        dir.path(),
        &["export", "--output", "-", "--format", "ndjson"],
    );
    assert_eq!(out(&piped).lines().collect::<Vec<_>>(), stored);

    // No place to write: nothing is left, also not what was there before it failed.
    let names = |dir: &Path| crate::support::files(dir);
    let before = names(to.path());
    let missing = run(
        dir.path(),
        &[
            "export",
            "--output",
            to.path().join("no/where.zip").to_str().unwrap(),
        ],
    );
    assert_eq!(code(&missing), 1);
    assert!(err(&missing).contains("no/where.zip"), "{}", err(&missing));
    assert_eq!(
        code(&run(
            dir.path(),
            &["export", "--output", to.path().to_str().unwrap()]
        )),
        2,
        "a directory"
    );
    assert_eq!(names(to.path()), before);
    let full = run(
        dir.path(),
        &["export", "--output", "-", "--format", "ndjson"],
    );
    assert_eq!(code(&full), 0);
    let full = program()
        .args(["export", "--output", "-", "--dir"])
        .arg(dir.path())
        .stdout(fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(code(&full), 1);
    assert!(
        err(&full).contains("cannot write the output"),
        "{}",
        err(&full)
    );
    // A limit on a file's size is as good as a full disk, and needs no root.
    let target = to.path().join("too-big.zip");
    let line = format!(
        "trap '' XFSZ; ulimit -f 1; exec '{}' export --dir '{}' --output '{}'",
        env!("CARGO_BIN_EXE_tracing-audit"),
        dir.path().display(),
        target.display()
    );
    let full = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(code(&full), 1, "{}", err(&full));
    assert!(err(&full).contains("too-big.zip"), "{}", err(&full));
    assert_eq!(names(to.path()), before);
}

fn zip_entries(path: &Path) -> std::collections::BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|n| {
            let mut file = zip.by_index(n).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().into_owned(), text)
        })
        .collect()
}

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

#[test]
fn tokens_are_made_listed_and_revoked() {
    let dir = log(12);
    let made = run(
        dir.path(),
        &[
            "token",
            "create",
            "--name",
            "splunk",
            "--scope",
            "export",
            "--expires",
            "2999-01-01",
        ],
    );
    assert_eq!(code(&made), 0, "{}", err(&made));
    let token = out(&made).trim_end().to_owned();
    let id = token
        .strip_prefix("ta_")
        .unwrap()
        .split_once('_')
        .unwrap()
        .0
        .to_owned();
    let listed = run(dir.path(), &["token", "list"]);
    let secret = token
        .rsplit_once('_')
        .map_or(token.as_str(), |(_, secret)| secret);
    assert!(!out(&listed).contains(secret), "the secret is kept nowhere");
    let info = json_lines(&listed).remove(0);
    assert_eq!(
        (
            info["id"].as_str().unwrap(),
            info["name"].as_str().unwrap(),
            info["scope"].as_str().unwrap()
        ),
        (id.as_str(), "splunk", "export")
    );
    assert!(out(&run(dir.path(), &["token", "list", "--format", "table"])).contains("splunk"));
    assert_eq!(code(&run(dir.path(), &["token", "revoke", &id])), 0);
    assert_eq!(
        code(&run(dir.path(), &["token", "revoke", &id])),
        1,
        "it is gone"
    );
    assert_eq!(out(&run(dir.path(), &["token", "list"])), "");
    let changes = run(dir.path(), &["query", "--event-type", "audit.token.*"]);
    let changes = json_lines(&changes);
    assert_eq!(changes.len(), 2);
    for change in &changes {
        assert_is_by_this_user(change);
    }
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
fn serve_answers_who_has_a_token_until_ctrl_c() {
    let dir = log(12);
    let token = out(&run(dir.path(), &["token", "create", "--name", "t"]))
        .trim_end()
        .to_owned();
    let mut serve = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path()),
    );
    let mut first = String::new();
    serve.stdout().read_line(&mut first).unwrap();
    let address = first
        .trim_end()
        .rsplit_once("http://")
        .unwrap()
        .1
        .strip_suffix("/audit")
        .unwrap()
        .to_owned();
    let get = |path: &str, authorization: &str| {
        let mut socket = std::net::TcpStream::connect(&address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/audit/entries", "").starts_with("HTTP/1.1 401"));
    let answer = get(
        "/audit/entries?event_type=user.*",
        &format!("authorization: Bearer {token}\r\n"),
    );
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"user.updated\""),
        "{answer}"
    );

    let taken = run(dir.path(), &["serve", "--listen", &address]);
    assert_eq!(code(&taken), 1, "the port is taken");
    assert!(err(&taken).contains(&address), "{}", err(&taken));
    assert_eq!(serve.interrupt(), Some(0));
    assert_eq!(code(&run(dir.path(), &["verify"])), 0);
}

#[test]
fn the_demo_records_what_its_users_do_through_a_crash() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let demo = program()
        .args(["demo", "--for", "5", "--rate", "60", "--dir"])
        .arg(&dir)
        .output()
        .unwrap();
    let text = out(&demo);
    assert_eq!(code(&demo), 0, "{text}{}", err(&demo));
    assert!(
        text.contains("Authorization: Bearer ta_") && text.contains("verify: ok: "),
        "{text}"
    );

    let webhook = text
        .lines()
        .find(|line| line.starts_with("webhook siem: "))
        .unwrap();
    let numbers: Vec<u64> = webhook
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [events, requests, verified] = numbers[..] else {
        panic!("{webhook}")
    };
    assert!(
        events > 0 && verified == requests && text.contains("webhook attempts siem"),
        "{text}"
    );

    let verified = run(&dir, &["verify"]);
    assert_eq!(code(&verified), 0, "{}", out(&verified));
    let records = crate::support::records(&dir);
    let of = |event_type: &str| {
        records
            .iter()
            .filter(|record| record["event_type"] == event_type)
            .collect::<Vec<_>>()
    };
    let failed = of("auth.login.failed");
    assert!(
        !failed.is_empty()
            && failed
                .iter()
                .all(|record| record["outcome"]["reason"] == "authentication"),
        "failed logins"
    );
    assert!(!of("auth.account.locked").is_empty(), "a locked account");
    let success = of("auth.login.success");
    // A password is guessed, a secret is taken, turns up elsewhere, and is replaced.
    let intruder = success
        .iter()
        .find(|record| record["ip_address"] == "203.0.113.66");
    let intruder = &intruder.expect("a login of the intruder")["context"]["session_id"];
    let is_taken = |record: &&Value| record["context"]["session_id"] == *intruder;
    let taken: Vec<_> = of("secret.read").into_iter().filter(is_taken).collect();
    assert_eq!(taken.len(), 4);
    assert_eq!(of("secret.leaked")[0]["resource"]["name"], "db-password");
    let rotations = of("rotation.started");
    assert!(
        rotations
            .iter()
            .any(|record| record["details"]["reason"] == "leaked")
    );
    assert_eq!(of("auth.account.unlocked").len(), 1);
    for part in ["request_id", "session_id"] {
        assert!(
            success[0]["context"][part].is_string(),
            "{part} from the span: {}",
            success[0]
        );
    }
    assert!(success.iter().all(|record| {
        let address = record["ip_address"].as_str().unwrap();
        (address.starts_with("192.0.2.") || address == "203.0.113.66")
            && record["user_agent"].is_string()
    }));
    assert!(of("user.created").iter().all(|record| {
        record["actor"]["name"]
            .as_str()
            .unwrap()
            .ends_with("@example.com")
    }));

    let streams = |source: &str| {
        let of_source = records.iter().filter(|record| record["source"] == source);
        let mut streams: Vec<_> = of_source
            .map(|record| record["stream"].as_str().unwrap().to_owned())
            .collect();
        streams.sort();
        streams.dedup();
        streams
    };
    assert_eq!(streams("certify-core").len(), 2, "two instances");
    let workers = streams("certify-worker");
    assert_eq!(workers.len(), 2, "the killed worker and the next");
    for worker in workers {
        let events = records
            .iter()
            .filter(|record| {
                record["stream"] == worker.as_str() && record["category"] == "rotation"
            })
            .count();
        assert_eq!(events, 10, "{worker} lost nothing");
    }
    let all = crate::support::lines(&dir).join("\n");
    assert!(
        !all.contains("correct-horse") && !all.contains("hunter2"),
        "passwords are never recorded"
    );
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
