//! A secret need not be on a command line, where others see it; and a webhook whose application is
//! gone can be taken over.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use crate::cli::{code, err, out, program};
use crate::webhooks::{new_log, show, types, webhook};
use serde_json::Value;
use tracing_audit::{AuditLog, webhook::Webhook};

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs `webhook` with this on standard input.
fn webhook_reading(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = program()
        .arg("webhook")
        .args(args)
        .arg("--dir")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that is refused before it reads leaves it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The settings of the log's webhook as they are kept.
fn kept(dir: &Path) -> Value {
    let kept = fs::read(dir.join("state/webhooks.json")).unwrap();
    let mut kept: Value = serde_json::from_slice(&kept).unwrap();
    kept["webhooks"][0].take()
}

#[test]
fn secrets_come_from_files_and_from_standard_input() {
    let log = new_log();
    let dir = log.path();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let key = file("key", "key-1\n");
    let signing = file("signing", SIGNING);
    let header = format!("x-team={}", file("header", "team-1 \n\n"));
    let new = ["add", "--name", "siem", "--event-type", "auth.*"];
    let more = [
        "--url-file",
        "-",
        "--api-key-file",
        &key,
        "--signing-secret-file",
        &signing,
        "--header-file",
        &header,
        "--header",
        "x-more=more-1",
    ];
    let url = "https://siem.example.com/services/token-1";
    let added = webhook_reading(dir, &[&new[..], &more].concat(), &format!("{url}\n"));
    assert_eq!(code(&added), 0, "{}", err(&added));
    let all = kept(dir);
    assert_eq!(
        (&all["url"], &all["api_key"]),
        (&url.into(), &"key-1".into())
    );
    assert_eq!(all["signing_secrets"], serde_json::json!([SIGNING]));
    let headers = serde_json::json!({"x-more": "more-1", "x-team": "team-1"});
    assert_eq!(all["headers"], headers);
    assert_eq!(
        show(dir, "siem")["url"],
        "https://siem.example.com/services/…"
    );
    let listed = out(&webhook(dir, &["list", "--format", "table"]));
    assert!(
        listed.contains("/services/…") && !listed.contains("token-1"),
        "{listed}"
    );

    let set = ["set", "siem", "--proxy-file", "-"];
    let changed = webhook_reading(dir, &set, "http://ann:pw@proxy.corp.example:3128");
    assert_eq!(code(&changed), 0, "{}", err(&changed));
    assert_eq!(kept(dir)["proxy"], "http://ann:pw@proxy.corp.example:3128");
}

#[test]
fn what_is_wrong_with_a_secret_of_a_file_is_said_of_the_flag_that_was_given() {
    let log = new_log();
    let dir = log.path();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (wrong, empty) = (file("wrong", "hunter2\n"), file("empty", " \n"));
    let long = file("long", &"hunter2".repeat(200_000));
    let plain = file("plain", "http://siem.example.com/hunter2");
    let header = format!("host={wrong}");
    let url = ["--url", "https://siem.example.com/"];
    for (given, says) in [
        (
            &["--signing-secret-file", &*wrong][..],
            "--signing-secret-file: it begins neither",
        ),
        (
            &["--header-file", &header],
            "--header-file host: can't be set",
        ),
        (
            &["--header-file", &wrong],
            "--header-file: write it NAME=FILE",
        ),
        (
            &["--api-key-file", "/no/such"],
            "--api-key-file: can't read /no/such: ",
        ),
        (
            &["--api-key-file", &empty],
            "--api-key-file: nothing was read from ",
        ),
        (&["--api-key-file", &long], "it is longer than 1 MiB"),
        (
            &["--api-key-file", "-", "--proxy-file", "-"],
            "--proxy-file: --api-key-file reads standard input already",
        ),
        (
            &["--api-key", "hunter2", "--api-key-file", &wrong],
            "cannot be used with",
        ),
    ] {
        let add = ["add", "--name", "siem", "--event-type", "*"];
        let refused = webhook_reading(dir, &[&add[..], &url, given].concat(), "hunter2");
        assert_eq!(code(&refused), 2, "{given:?}: {}", err(&refused));
        assert!(err(&refused).contains(says), "{says}: {}", err(&refused));
        assert!(!err(&refused).contains("hunter2"), "{}", err(&refused));
    }
    let add = [
        "add",
        "--name",
        "siem",
        "--event-type",
        "*",
        "--url-file",
        &plain,
    ];
    let refused = webhook(dir, &add);
    assert!(
        err(&refused).contains("--url-file: plain http is refused"),
        "{}",
        err(&refused)
    );
    assert_eq!(out(&webhook(dir, &["list"])), "", "nothing was added");
}

#[test]
fn a_webhook_whose_application_is_gone_is_taken_over_and_removed() {
    let log = new_log();
    let dir = log.path();
    let declare = |source: &str| {
        let log = AuditLog::builder(dir)
            .lifecycle(false)
            .source(source)
            .open()
            .unwrap();
        let siem = Webhook::new("siem", "https://siem.example.com/", ["*"]);
        let declared = log.webhooks().declare(vec![siem]);
        log.close().unwrap();
        declared
    };
    declare("shop").unwrap();
    // It has another name now, and would not start.
    let refused = declare("store").unwrap_err().to_string();
    assert!(
        refused.contains("the application shop") && refused.contains("take-over"),
        "{refused}"
    );
    for args in [&["remove", "siem"][..], &["set", "siem", "--strict"]] {
        let refused = webhook(dir, args);
        assert_eq!(code(&refused), 1);
        assert!(
            err(&refused).contains("tracing-audit webhook take-over"),
            "{}",
            err(&refused)
        );
    }
    assert_eq!(code(&webhook(dir, &["take-over", "siem"])), 0);
    let shown = show(dir, "siem");
    assert_eq!(shown["declared"], false, "{shown}");
    // What declares it takes it back.
    declare("store").unwrap();
    assert_eq!(show(dir, "siem")["declared_in"], "the application store");
    for args in [
        ["take-over", "siem"],
        ["take-over", "siem"],
        ["remove", "siem"],
    ] {
        let done = webhook(dir, &args);
        assert_eq!(code(&done), 0, "{args:?}: {}", err(&done));
    }
    assert_eq!(
        types(dir),
        ["added", "taken_over", "changed", "taken_over", "removed"]
    );
}
