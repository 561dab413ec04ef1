//! `prune`, `hold` and `recover`: what keeps a log in order.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::cli::{code, err, json_lines, out, run};
use crate::commands::{assert_is_by_this_user, log, sealed};

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
    // A file that an earlier command left live may be sealed just now.
    assert!(held.iter().all(|file| !file.exists()), "{held:?}");
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
