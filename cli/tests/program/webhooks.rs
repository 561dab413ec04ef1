//! `tracing-audit webhook` and the webhooks of `serve --config`, as a shell sees them.

use std::{fs, io::BufRead as _, path::Path, process::Output};

use crate::cli::{Running, code, err, json_lines, out, program, run};
use crate::commands::assert_is_by_this_user;
use crate::receiver::Receiver;
use crate::support::{until, wait_for};
use serde_json::{Value, json};
use tracing_audit::{AuditLog, audit, webhook::Webhook};
use tracing_subscriber::prelude::*;

pub(crate) fn new_log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 0);
    dir
}

/// Records so many events and closes the log.
fn record(dir: &Path, events: u64) {
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("shop")
        .open()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
        for n in 0..events {
            audit!("order.placed", n);
        }
    });
    log.close().unwrap();
}

pub(crate) fn webhook(dir: &Path, args: &[&str]) -> Output {
    run(dir, &[&["webhook"], args].concat())
}

pub(crate) fn show(dir: &Path, name: &str) -> Value {
    let shown = webhook(dir, &["show", name]);
    assert_eq!(code(&shown), 0, "{}", err(&shown));
    json_lines(&shown).remove(0)
}

/// The entries about changes of webhooks.
fn changes(dir: &Path) -> Vec<Value> {
    let args = ["query", "--event-type", "audit.webhook.*", "--order", "asc"];
    json_lines(&run(dir, &args))
}

pub(crate) fn types(dir: &Path) -> Vec<String> {
    let all = changes(dir);
    all.iter()
        .map(|record| {
            record["event_type"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn webhooks_are_added_changed_listed_and_removed() {
    let log = new_log();
    let dir = log.path();
    let add = |more: &[&str]| {
        webhook(
            dir,
            &[&["add", "--name", "siem", "--event-type", "auth.*"], more].concat(),
        )
    };
    let to = ["--url", "https://siem.example.com/"];
    for (wrong, says) in [
        (
            &["--url", "http://siem.example.com/"][..],
            "--url: plain http is refused: what it says could be read and changed on the way; use \
             https, or set --allow-http for this webhook",
        ),
        (&["--url", "https://10.0.0.1/"], "egress"),
        (
            &["--url", "https://siem.example.com/", "--header", "hunter2"],
            "--header: write it NAME=VALUE",
        ),
        (
            &[
                "--url",
                "https://siem.example.com/",
                "--header",
                "host=hunter2",
            ],
            "--header host: can't be set",
        ),
        (
            &[
                "--url",
                "https://siem.example.com/",
                "--signing-secret",
                "hunter2",
            ],
            "--signing-secret: it begins neither",
        ),
        (
            &[
                "--url",
                "https://siem.example.com/",
                "--schedule-seconds",
                "999999999",
            ],
            "--schedule-seconds: ",
        ),
        (
            &["--url", "https://siem.example.com/", "--batch", "5000"],
            "--batch: 5000 is not between",
        ),
        (
            &[
                "--url",
                "https://siem.example.com/",
                "--format-option",
                "index=a",
            ],
            "--format-option index: the format native",
        ),
    ] {
        let refused = add(wrong);
        assert_eq!(code(&refused), 2, "{wrong:?}: {}", err(&refused));
        assert!(
            err(&refused).contains(says) && !err(&refused).contains("hunter2"),
            "{says}: {}",
            err(&refused)
        );
    }
    let added = add(&[
        &to[..],
        &["--api-key", "hunter2", "--header", "x-team=hunter3"],
    ]
    .concat());
    assert_eq!(code(&added), 0, "{}", err(&added));
    let secret = out(&added).trim().to_owned();
    assert!(
        secret.starts_with("whsec_")
            && out(&added).lines().count() == 1
            && err(&added).contains("only now"),
        "{}",
        err(&added)
    );
    let again = add(&to);
    assert!(
        code(&again) == 1 && err(&again).contains("already"),
        "{}",
        err(&again)
    );

    let shown = show(dir, "siem");
    assert_eq!(
        (&shown["state"], &shown["api_key"], &shown["headers"]),
        (
            &json!("active"),
            &json!({"set": true}),
            &json!({"x-team": {"set": true}})
        )
    );
    let changed = webhook(
        dir,
        &[
            "set",
            "siem",
            "--severity",
            "error",
            "--severity",
            "critical",
            "--batch",
            "50",
            "--strict",
            "--header",
            "x-more=1",
            "--clear",
            "api-key",
        ],
    );
    assert_eq!(code(&changed), 0, "{}", err(&changed));
    let shown = show(dir, "siem");
    assert_eq!(
        (&shown["severity"], &shown["order"]),
        (&json!(["error", "critical"]), &json!("strict"))
    );
    assert_eq!(
        (
            &shown["batch"]["max_entries"],
            shown["headers"].as_object().unwrap().len()
        ),
        (&json!(50), 2)
    );
    assert!(
        shown.get("api_key").is_none() && shown["event_types"] == json!(["auth.*"]),
        "{shown}"
    );
    // A variable that is there for `query` changes no webhook.
    let args = ["webhook", "set", "siem", "--tenant-id", "acme", "--dir"];
    let changed = program()
        .args(args)
        .arg(dir)
        .env("TRACING_AUDIT_SEVERITY", "info")
        .output()
        .unwrap();
    assert_eq!(code(&changed), 0, "{}", err(&changed));
    assert_eq!(
        (
            &show(dir, "siem")["severity"][0],
            &show(dir, "siem")["tenant_id"]
        ),
        (&json!("error"), &json!("acme"))
    );
    for (wrong, says) in [
        (&["set", "siem"][..], "no setting is given"),
        (&["set", "siem", "--clear", "colour"], "colour"),
        (&["set", "siem", "--clear", "url"], "--url: it is missing"),
        (&["set", "siem", "--url", "http://x/"], "--url"),
        (&["replay", "siem"], "--dead-letters"),
        (
            &["replay", "siem", "--dead-letters", "--actor", "a"],
            "--dead-letters",
        ),
        (
            &["replay", "siem", "--start-date", "yesterday"],
            "--start-date",
        ),
        (&["replay", "siem", "--cancel", "--actor", "a"], "--cancel"),
        (&["skip", "siem", "--id", "msg_none"], "--id"),
        (&["resend", "siem", "msg_none"], "the delivery's id"),
        (&["deliveries", "siem", "--id", "msg_none"], "--id"),
        (&["set", "siem", "--concurrency", "65"], "--concurrency"),
    ] {
        let refused = webhook(dir, wrong);
        assert!(
            code(&refused) == 2 && err(&refused).contains(says),
            "{wrong:?}: {}",
            err(&refused)
        );
    }
    for command in [
        "show",
        "set",
        "test",
        "attempts",
        "dead-letters",
        "replay",
        "skip",
        "resend",
        "deliveries",
        "rotate-secret",
        "retire-secrets",
        "pause",
        "resume",
        "take-over",
        "remove",
    ] {
        let more: &[&str] = match command {
            "set" => &["--strict"],
            "replay" => &["--dead-letters"],
            "resend" => &["msg_none"],
            "deliveries" => &["--id", "msg_none"],
            _ => &[],
        };
        let missing = webhook(dir, &[&[command, "nobody"], more].concat());
        assert_eq!(
            (code(&missing), err(&missing).as_str()),
            (
                1,
                "error: there is no webhook \"nobody\"; tracing-audit webhook list shows all\n"
            ),
            "{command}"
        );
    }
    let table = out(&webhook(dir, &["list", "--format", "table"]));
    assert!(
        table.contains("NEXT ATTEMPT") && table.contains("siem") && table.contains("active"),
        "{table}"
    );
    let table = out(&webhook(dir, &["show", "siem", "--format", "table"]));
    assert!(
        table.contains("tenant_id ") && table.contains("acme"),
        "{table}"
    );
    for output in [
        out(&webhook(dir, &["list"])),
        table,
        show(dir, "siem").to_string(),
        crate::support::lines(dir).join("\n"),
    ] {
        assert!(
            !output.contains("hunter") && !output.contains(&secret[6..]),
            "{output}"
        );
    }

    let rotated = webhook(dir, &["rotate-secret", "siem"]);
    assert!(
        out(&rotated).starts_with("whsec_") && out(&rotated).trim() != secret,
        "{}",
        err(&rotated)
    );
    assert_eq!(
        show(dir, "siem")["signing_secrets"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(out(&webhook(dir, &["retire-secrets", "siem"])).starts_with("1 secret "));
    assert_eq!(code(&webhook(dir, &["pause", "siem"])), 0);
    assert_eq!(json_lines(&webhook(dir, &["list"]))[0]["state"], "paused");
    assert_eq!(code(&webhook(dir, &["resume", "siem"])), 0);
    assert_eq!(out(&webhook(dir, &["dead-letters", "siem"])), "");
    assert_eq!(
        (
            code(&webhook(dir, &["remove", "siem"])),
            code(&webhook(dir, &["remove", "siem"]))
        ),
        (0, 1)
    );
    assert_eq!(
        types(dir),
        [
            "added", "changed", "changed", "changed", "changed", "paused", "resumed", "removed"
        ]
    );
    changes(dir).iter().for_each(assert_is_by_this_user);
}

#[test]
fn a_variable_that_only_the_dispatcher_has_hinders_no_change() {
    let log = new_log();
    let args = [
        "webhook",
        "add",
        "--name",
        "siem",
        "--url",
        "https://siem.example.com/",
        "--event-type",
        "*",
        "--unsigned",
        "--dir",
    ];
    let added = program()
        .args(args)
        .arg(log.path())
        .args(["--api-key", "env:SIEM_KEY"])
        .env("SIEM_KEY", "k")
        .output()
        .unwrap();
    assert_eq!(code(&added), 0, "{}", err(&added));
    for args in [
        &["pause", "siem"][..],
        &["set", "siem", "--tenant-id", "acme"],
        &["rotate-secret", "siem"],
    ] {
        let output = webhook(log.path(), args);
        assert_eq!(code(&output), 0, "{}", err(&output));
    }
    assert_eq!(show(log.path(), "siem")["api_key"], "env:SIEM_KEY");
    let refused = webhook(
        log.path(),
        &["set", "siem", "--api-key", "env:NO_SUCH_VARIABLE"],
    );
    assert!(
        code(&refused) == 2 && err(&refused).starts_with("error: --api-key: "),
        "{}",
        err(&refused)
    );
}

#[test]
fn what_arrives_and_what_does_not_is_shown() {
    let (log, receiver) = (new_log(), Receiver::new());
    let dir = log.path();
    let added = webhook(
        dir,
        &[
            "add",
            "--name",
            "siem",
            "--url",
            &receiver.url,
            "--event-type",
            "order.*",
            "--allow-http",
            "--egress",
            "loopback",
            "--schedule-seconds",
            "0",
        ],
    );
    assert_eq!(code(&added), 0, "{}", err(&added));
    let secret = out(&added).trim().to_owned();
    let tested = webhook(dir, &["test", "siem"]);
    assert_eq!(
        (code(&tested), &json_lines(&tested)[0]["delivered"]),
        (0, &json!(true)),
        "{}",
        err(&tested)
    );
    assert!(receiver.look(|came| came[0].request.is_signed_with(&secret)));
    receiver.say(404);
    let tested = webhook(dir, &["test", "siem", "--format", "table"]);
    assert!(
        code(&tested) == 1 && out(&tested).contains("failed") && out(&tested).contains("404"),
        "{}",
        out(&tested)
    );

    let mut serve = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir),
    );
    let mut ready = String::new();
    serve.stdout().read_line(&mut ready).unwrap();
    record(dir, 1);
    wait_for("it is given up", || {
        let status = show(dir, "siem")["status"].take();
        if status["dead_lettered"] == 1 {
            Ok(())
        } else {
            Err(status)
        }
    });
    let line = out(&webhook(dir, &["list", "--format", "table"]));
    for told in [
        "delivers: process ",
        "failing: every attempt has failed since 20",
        "404: what the receiver says",
    ] {
        assert!(line.contains(told), "{told}: {line}");
    }
    let listed = json_lines(&webhook(dir, &["list"])).remove(0);
    assert_eq!(listed["dead_letters"], 1, "{listed}");
    assert_eq!(listed["status"]["failures_in_a_row"], 1, "{listed}");
    assert_eq!(listed["status"]["last_failure"]["status"], 404, "{listed}");
    let letters = json_lines(&webhook(dir, &["dead-letters", "siem"]));
    assert_eq!(
        (letters.len(), &letters[0]["entries"][0]["event_type"]),
        (1, &json!("order.placed"))
    );
    let table = out(&webhook(
        dir,
        &["dead-letters", "siem", "--format", "table"],
    ));
    assert!(
        table.contains("GIVEN UP") && table.contains("404"),
        "{table}"
    );
    let mut lines = table.lines().map(str::split_whitespace);
    let mut columns = lines.next().unwrap();
    let mut row = lines.next().unwrap();
    // The title of the time has three words, and the time two.
    let missing = columns.position(|title| title == "MISSING").unwrap() - 1;
    assert_eq!(row.nth(missing), Some("0"), "{table}");
    receiver.say(200);
    let id = letters[0]["delivery_id"].as_str().unwrap().to_owned();
    assert_eq!(
        code(&webhook(dir, &["replay", "siem", "--dead-letters"])),
        0
    );
    receiver.wait_for("the dead letter", |came| {
        came.iter()
            .any(|came| came.was_taken() && came.request.id() == id)
            .then_some(())
    });
    assert_eq!(
        code(&webhook(
            dir,
            &["replay", "siem", "--event-type", "order.placed"]
        )),
        0
    );
    receiver.wait_for("the range", |came| {
        (came
            .iter()
            .filter(|came| came.was_taken() && came.request.id() == id)
            .count()
            == 2)
            .then_some(())
    });
    until("the attempts are kept", || {
        json_lines(&webhook(dir, &["attempts", "siem"])).len() >= 3
    });
    let shown = out(&webhook(dir, &["show", "siem", "--format", "table"]));
    assert_eq!(shown.matches("RESULT").count(), 1, "{shown}");
    assert!(shown.contains("STATE") && shown.contains(&id), "{shown}");
    assert_eq!(serve.interrupt(), Some(0));
    let listed = json_lines(&webhook(dir, &["list"])).remove(0);
    assert_eq!(listed["dead_letters"], 0, "{listed}");
    assert_eq!(listed["status"]["failures_in_a_row"], 0, "{listed}");
    assert!(listed["status"]["last_delivered"].is_string(), "{listed}");
    let nobody = webhook(dir, &["list"]);
    assert!(err(&nobody).contains("nobody delivers"), "{}", err(&nobody));
}

#[test]
fn deliveries_are_skipped_shown_resent_and_replayed_while_another_process_delivers() {
    let log = new_log();
    let dir = log.path();
    let receiver = Receiver::deciding(|_, request| match request.numbers() == [0] {
        true => 500,
        false => 200,
    });
    let mut add = vec![
        "add",
        "--name",
        "siem",
        "--url",
        &receiver.url,
        "--allow-http",
    ];
    add.extend([
        "--egress",
        "loopback",
        "--event-type",
        "order.*",
        "--unsigned",
        "--strict",
    ]);
    add.extend(["--header", "X-Tenant=secret-27182"]);
    assert_eq!(code(&webhook(dir, &add)), 0);
    let mut serve = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir),
    );
    let mut ready = String::new();
    serve.stdout().read_line(&mut ready).unwrap();
    record(dir, 3);
    until("the first one fails", || {
        show(dir, "siem")["status"]["failed_attempts"] != 0
    });
    let skipped = webhook(dir, &["skip", "siem"]);
    assert_eq!((code(&skipped), err(&skipped).as_str()), (0, ""));
    receiver.wait_for_numbers(2);
    until("the dead letter is there", || {
        show(dir, "siem")["dead_letters"] == 1
    });
    let letter = json_lines(&webhook(dir, &["dead-letters", "siem"])).remove(0);
    let id = letter["delivery_id"].as_str().unwrap();
    assert!(out(&skipped).contains(id), "{}", out(&skipped));

    // An attempt is saved after its outcome.
    let shown = wait_for("its attempts are kept", || {
        let shown = webhook(dir, &["deliveries", "siem", "--id", id]);
        let shown = json_lines(&shown).remove(0);
        match shown["attempts"].as_array().unwrap().is_empty() {
            false => Ok(shown),
            true => Err(shown),
        }
    });
    assert_eq!(shown["state"], "dead_letter", "{shown}");
    let table = webhook(
        dir,
        &["deliveries", "siem", "--id", id, "--format", "table"],
    );
    for told in [
        "is a dead letter",
        "POST http",
        "x-tenant: (secret)",
        "order.placed",
        "500",
    ] {
        assert!(out(&table).contains(told), "{told}: {}", out(&table));
    }
    let before = receiver.count();
    assert_eq!(code(&webhook(dir, &["resend", "siem", id])), 0);
    receiver.wait_for("it fails once more", |came| {
        let mut again = came.iter().skip(before);
        again.any(|one| one.request.id() == id).then_some(())
    });
    until("it waits", || show(dir, "siem")["waiting_deliveries"] == 1);
    assert_eq!(code(&webhook(dir, &["skip", "siem", "--id", id])), 0);
    until("it is given up again", || {
        show(dir, "siem")["waiting_deliveries"] == 0
    });

    let of_type = ["replay", "siem", "--event-type", "order.placed"];
    let dry = out(&webhook(dir, &[&of_type[..], &["--dry-run"]].concat()));
    assert!(
        dry.starts_with("3 entries would be sent again, in 3 deliveries, from 20"),
        "{dry}"
    );
    let letters = webhook(dir, &["replay", "siem", "--dead-letters", "--dry-run"]);
    let letters = out(&letters);
    assert!(
        letters.starts_with("1 entry would be sent again, in 1 delivery"),
        "{letters}"
    );
    receiver.look(|came| {
        let mut later = came.iter().skip(before);
        assert!(later.all(|one| one.request.id() == id), "nothing was sent");
    });
    assert_eq!(code(&webhook(dir, &of_type)), 0);
    until("the replay is under way", || {
        show(dir, "siem")["replay"]["entries"] == 3
    });
    let cancelled = webhook(dir, &["replay", "siem", "--cancel"]);
    assert_eq!(code(&cancelled), 0, "{}", err(&cancelled));
    until("it is cancelled", || {
        show(dir, "siem")["replay"]["state"] == "cancelled"
    });
    let mut waited = vec!["replay", "siem", "--wait", "--event-type", "order.placed"];
    let day = "2001-01-01";
    waited.extend(["--end-date", day]);
    let waited = webhook(dir, &waited);
    assert_eq!(
        out(&waited).lines().last(),
        Some("0 of 0 entries were delivered, 0 given up")
    );
    assert_eq!(serve.interrupt(), Some(0));
    let nobody = webhook(dir, &of_type);
    assert!(
        err(&nobody).contains("Nobody delivers now"),
        "{}",
        err(&nobody)
    );
    let types = types(dir);
    for wanted in ["skipped", "resent", "replay_cancelled"] {
        assert!(types.iter().any(|one| one == wanted), "{wanted}: {types:?}");
    }
}

#[test]
fn webhooks_of_the_configuration_file_are_those_of_the_log() {
    let log = new_log();
    let dir = log.path();
    let file = dir.join("audit.toml");
    let serve = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .arg("--dir")
            .arg(dir)
            .env("SIEM_KEY", "k-1");
        command
    };
    let start = |text: &str| {
        let mut running = Running::start(&mut serve(text));
        let mut ready = String::new();
        running.stdout().read_line(&mut ready).unwrap();
        assert!(ready.starts_with("serving"), "{ready}");
        running
    };
    let siem = "[[webhooks]]\nname = \"siem\"\nurl = \"https://siem.example.com/\"\nevent_types = [\"auth.*\"]\napi_key = \"env:SIEM_KEY\"\n";
    let chat = "[[webhooks]]\nname = \"chat\"\nurl = \"https://chat.example.com/\"\nevent_types = [\"user.*\"]\n";
    let secret = "signing_secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n";
    for (text, says) in [
        (format!("{siem}{chat}url = 5\n"), "line 10, column 1"),
        (
            format!("{siem}{chat}colour = \"red\"\n"),
            "[[webhooks]] number 2: colour: there is no such setting",
        ),
        (
            format!("{siem}{}", chat.replace("https", "http")),
            "[[webhooks]] number 2: url: plain http is refused",
        ),
        (
            format!("{siem}{siem}"),
            "[[webhooks]] number 2: name: \"siem\" is declared twice",
        ),
        (
            format!("{siem}{}", chat.replace("[\"user.*\"]", "5")),
            "[[webhooks]] number 2: event_types: invalid type",
        ),
        (
            siem.replace("SIEM_KEY", "NO_SUCH_VARIABLE"),
            "[[webhooks]] number 1: api_key: the environment variable NO_SUCH_VARIABLE",
        ),
        (
            format!("{chat}{}", secret.replace("[", "").replace("]", "")),
            "[[webhooks]] number 1: signing_secrets: it must be a list",
        ),
        (
            format!("{chat}{}", secret.replace("\"]", "]")),
            "line 5, column",
        ),
        ("webhooks = 5\n".to_owned(), "webhooks is a list of tables"),
    ] {
        let refused = serve(&text).output().unwrap();
        assert_eq!(code(&refused), 2, "{says}: {}", err(&refused));
        assert!(
            err(&refused).contains("audit.toml") && err(&refused).contains(says),
            "{says}: {}",
            err(&refused)
        );
        assert!(!err(&refused).contains("MfKQ9r8"), "{}", err(&refused));
        assert_eq!(out(&webhook(dir, &["list"])), "", "nothing was added");
    }

    assert_eq!(
        start(&format!("dir = \"/nowhere\"\n{siem}{chat}{secret}")).interrupt(),
        Some(0)
    );
    let shown = show(dir, "siem");
    assert_eq!(
        (&shown["declared"], &shown["api_key"]),
        (&json!(true), &json!("env:SIEM_KEY"))
    );
    let place = fs::canonicalize(&file).unwrap().display().to_string();
    assert_eq!(shown["declared_in"], place);
    for args in [
        &["set", "siem", "--strict"][..],
        &["remove", "siem"],
        &["rotate-secret", "siem"],
    ] {
        let refused = webhook(dir, args);
        assert!(
            code(&refused) == 1 && err(&refused).contains(&place),
            "{}",
            err(&refused)
        );
    }
    assert_eq!(code(&webhook(dir, &["pause", "siem"])), 0);
    let added = webhook(
        dir,
        &[
            "add",
            "--name",
            "by-hand",
            "--url",
            "https://hand.example.com/",
            "--event-type",
            "*",
            "--unsigned",
        ],
    );
    assert_eq!(code(&added), 0, "{}", err(&added));

    assert_eq!(
        start(&siem.replace("auth.*", "auth.login.*")).interrupt(),
        Some(0)
    );
    let all = json_lines(&webhook(dir, &["list"]));
    assert_eq!(
        all.iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["siem", "by-hand"]
    );
    assert_eq!(
        (&all[0]["state"], &all[0]["event_types"]),
        (&json!("paused"), &json!(["auth.login.*"]))
    );
    // Without a file nothing is said of them.
    let mut running = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .env("SIEM_KEY", "k-1"),
    );
    running.stdout().read_line(&mut String::new()).unwrap();
    assert_eq!(running.interrupt(), Some(0));
    assert_eq!(json_lines(&webhook(dir, &["list"])).len(), 2);
    // Other commands take their flags from the same file.
    assert_eq!(
        code(&run(dir, &["query", "--config", file.to_str().unwrap()])),
        0
    );
    // Nor with a file that doesn't speak of them.
    assert_eq!(start("").interrupt(), Some(0));
    assert_eq!(json_lines(&webhook(dir, &["list"])).len(), 2);
    assert_eq!(start("webhooks = []\n").interrupt(), Some(0));
    assert_eq!(json_lines(&webhook(dir, &["list"])).len(), 1);
    assert_eq!(
        types(dir),
        [
            "added", "added", "paused", "added", "removed", "changed", "removed"
        ]
    );
}

#[test]
fn the_hundred_and_first_is_refused() {
    let dir = new_log();
    let log = AuditLog::builder(dir.path()).for_maintenance();
    let log = log.source("shop").open().unwrap();
    let url = "https://siem.example.com/hooks";
    let hooks = (0..100).map(|n| Webhook::new(format!("hook-{n}"), url, ["auth.*"]));
    log.webhooks().declare(hooks.collect()).unwrap();
    log.close().unwrap();
    let add = ["add", "--name", "hook-100", "--url", url];
    let added = webhook(
        dir.path(),
        &[&add[..], &["--event-type", "auth.*"]].concat(),
    );
    assert_eq!(code(&added), 1, "{}", err(&added));
    let says = "there are 100 webhooks already";
    assert!(err(&added).contains(says), "{}", err(&added));
}

#[test]
fn a_proxy_for_all_is_kept_with_the_log_and_shown_without_its_password() {
    let log = new_log();
    let dir = log.path();
    let url = ["--url", "https://siem.example.com/"];
    for (name, proxy) in [("siem", &[][..]), ("chat", &["--proxy", "env:CHAT_PROXY"])] {
        let add = [
            "add",
            "--name",
            name,
            "--event-type",
            "auth.*",
            "--unsigned",
        ];
        let added = program()
            .arg("webhook")
            .args([&add[..], &url[..], proxy].concat())
            .arg("--dir")
            .arg(dir)
            .env("CHAT_PROXY", "http://ann:hunter2@10.0.0.1:3128")
            .output()
            .unwrap();
        assert_eq!(code(&added), 0, "{}", err(&added));
    }
    let serve = |more: &[&str]| {
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .args(more);
        command
    };
    let wrong = serve(&["--webhook-proxy", "socks5://ann:hunter2@proxy"]);
    let refused = { wrong }.output().unwrap();
    assert!(
        code(&refused) == 2
            && err(&refused).starts_with("error: --webhook-proxy: it must begin with http://")
            && !err(&refused).contains("hunter2"),
        "{}",
        err(&refused)
    );
    let proxy = "http://ann:hunter2@proxy.corp.example:3128";
    for (more, shown) in [
        (
            &["--webhook-proxy", proxy][..],
            json!("http://***@proxy.corp.example:3128"),
        ),
        (&[], json!("http://***@proxy.corp.example:3128")),
        (&["--webhook-proxy", "none"], Value::Null),
    ] {
        let mut running = Running::start(&mut serve(more));
        running.stdout().read_line(&mut String::new()).unwrap();
        assert_eq!(running.interrupt(), Some(0));
        assert_eq!(show(dir, "siem")["proxy_for_all"], shown, "{more:?}");
        let chat = show(dir, "chat");
        assert_eq!(
            (&chat["proxy"], &chat["proxy_for_all"]),
            (&json!("env:CHAT_PROXY"), &Value::Null)
        );
    }
    assert_eq!(
        types(dir),
        ["added", "added", "proxy_changed", "proxy_changed"]
    );
    let refused = webhook(dir, &["set", "siem", "--proxy", "ftp://hunter2@proxy"]);
    assert!(
        code(&refused) == 2
            && err(&refused).starts_with("error: --proxy: ")
            && !err(&refused).contains("hunter2"),
        "{}",
        err(&refused)
    );
    assert!(!crate::support::lines(dir).join("\n").contains("hunter2"));
}
