//! The filters of `query`, as flags.

use crate::cli::{code, err, json_lines, run};
use tracing_audit::{Actor, AuditLog, audit};
use tracing_subscriber::prelude::*;

fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let ann = Actor::user("user-1").name("ann");
        audit!(
            "order.placed",
            actor = ann,
            ip_address = "192.0.2.1",
            number = 1
        );
        let system = Actor::new("system", "timer");
        audit!("order.expired", actor = system, resource.type = "order", number = 2);
        let robot = Actor::new("robot", "!x");
        audit!("stock.counted", actor = robot, outcome.type = "failure", number = 3);
    });
    log.close().unwrap();
    dir
}

#[test]
fn each_flag_can_be_repeated_and_exclude() {
    let dir = log();
    for (flags, found) in [
        (&["--actor", "system"][..], &[2][..]),
        (&["--actor", "ann", "--actor", "robot"], &[1, 3]),
        (&["--actor", "!system"], &[1, 3]),
        (&["--actor", "\\!x"], &[3]),
        (&["--actor-type", "user", "--actor-type", "system"], &[1, 2]),
        (&["--resource-type", "order"], &[2]),
        (&["--outcome", "success"], &[1, 2]),
        (&["--ip-address", "192.0.2.0/24"], &[1]),
        (&["--source", "shop", "--source", "other"], &[1, 2, 3]),
        (
            &["--event-type", "order.*", "--event-type", "!order.placed"],
            &[2],
        ),
        (
            &["--details", "number=1.0", "--details", "number=3"],
            &[1, 3],
        ),
        (&["--details", "number=!1"], &[2, 3]),
        (&["--q", "ORDER", "--q", "stock"], &[1, 2, 3]),
        (
            &["--start-date", "2026-01-01T00:00", "--severity", "!error"],
            &[1, 2, 3],
        ),
    ] {
        let output = run(dir.path(), &[&["query", "--order", "asc"], flags].concat());
        let numbers = json_lines(&output);
        let numbers = numbers
            .iter()
            .map(|line| line["details"]["number"].as_u64().unwrap());
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            found,
            "{flags:?}: {}",
            err(&output)
        );
        assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{flags:?}");
    }
}

#[test]
fn an_error_names_the_flag() {
    let dir = log();
    for (flag, value, said) in [
        ("--actor", "!!x", "error: --actor: it begins with \"!!\""),
        (
            "--ip-address",
            "localhost",
            "error: --ip-address: \"localhost\" must be an address",
        ),
        (
            "--outcome",
            "!ok",
            "error: --outcome: \"ok\" must be one of",
        ),
        ("--actor-type", "", "error: --actor-type: it is empty"),
        (
            "--end-date",
            "2026-11-21T10:00:00 02:00",
            "error: --end-date: \"2026-11-21T10:00:00 02",
        ),
    ] {
        let output = run(dir.path(), &["query", flag, value]);
        assert_eq!(code(&output), 2, "{flag}");
        assert!(err(&output).starts_with(said), "{}", err(&output));
    }
}

#[test]
fn a_query_without_matches_gives_a_hint() {
    let dir = log();
    let hint =
        "hint: no event type is named order.place; there are order.expired and order.placed\n";
    for limit in ["0", "9"] {
        let output = run(
            dir.path(),
            &["query", "--limit", limit, "--event-type", "order.place"],
        );
        assert_eq!((code(&output), err(&output).as_str()), (0, hint), "{limit}");
    }
}
