//! `demo`: its users, and a crash.

use serde_json::Value;

use crate::cli::{code, err, out, program, run};

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
    // The instances of the service have no session in common.
    let in_session = |record: &&Value| record["context"]["session_id"] == *intruder;
    let streams = records.iter().filter(in_session);
    let streams: std::collections::BTreeSet<_> =
        streams.map(|record| record["stream"].as_str()).collect();
    assert_eq!(streams.len(), 1);
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
