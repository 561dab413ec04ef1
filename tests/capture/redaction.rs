//! Secrets stay out of the log: by the type of a value, by the name of a field, at any depth.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tracing_audit::{
    Actor, AuditContext, AuditLog, HashKey, Resource, audit, audit_context, hashed, mask,
    redact::Secret, unredacted,
};
use tracing_subscriber::prelude::*;

/// What `emit` writes into a log of its own.
pub(super) fn written(
    open: impl FnOnce(tracing_audit::AuditLogBuilder) -> tracing_audit::AuditLogBuilder,
    emit: impl FnOnce(&AuditLog),
) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = open(
        AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("redaction"),
    )
    .open()
    .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || emit(&log),
    );
    log.close().unwrap();
    crate::support::records(dir.path())
}

#[derive(Serialize)]
struct Account {
    name: &'static str,
    password: Option<&'static str>,
    headers: BTreeMap<&'static str, &'static str>,
}

#[test]
fn a_denied_name_hides_its_value_wherever_it_is() {
    let password = "hunter2";
    let account = || Account {
        name: "ann",
        password: Some("hunter2"),
        headers: BTreeMap::from([
            ("Authorization", "Bearer hunter2"),
            ("Accept", "text/html"),
            ("Set-Cookie", "s=hunter2"),
        ]),
    };
    let records = written(
        |builder| builder,
        |_| {
            audit!("user.created", password, details.nested.api_key = %password, client_secret = ?password, note = "shown");
            audit!(
                "user.created",
                password = "hunter2",
                passphrase = Some(7),
                resource.attributes = account(),
                account = [account()]
            );
            audit!(
                "user.created",
                details = json!({"deep": [{"access_token": {"value": "hunter2"}}], "Password": "hunter2"})
            );
            tracing::info!(target: "audit", event_type = "user.created", password, "plain");
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let details = |at: usize| &records[at]["details"];
    assert_eq!(
        details(0),
        &json!({"password": "[redacted]", "nested": {"api_key": "[redacted]"}, "client_secret": "[redacted]", "note": "shown"})
    );
    let hidden = json!({
        "name": "ann", "password": "[redacted]",
        "headers": {"Accept": "text/html", "Authorization": "[redacted]", "Set-Cookie": "[redacted]"},
    });
    assert_eq!(
        (
            &records[1]["resource"]["attributes"],
            &details(1)["account"][0]
        ),
        (&hidden, &hidden)
    );
    assert_eq!(details(2)["deep"][0]["access_token"], "[redacted]");
    assert_eq!(details(3)["password"], "[redacted]");
}

#[test]
fn a_denied_name_hides_what_is_under_it_too() {
    #[derive(Serialize)]
    enum Credential {
        Password(&'static str),
        ApiKey { value: &'static str },
        Cookie(u8, &'static str),
        Certificate(&'static str),
    }
    let secret = "hunter2";
    let records = written(
        |builder| builder,
        |_| {
            let given = [
                Credential::Password("hunter2"),
                Credential::ApiKey { value: "hunter2" },
                Credential::Cookie(1, "hunter2"),
            ];
            audit!(
                "user.created",
                given,
                other = Credential::Certificate("shown")
            );
            audit!("user.created", password.value = secret, resource.attributes.authorization.header = "hunter2", cookie.id = %secret);
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let given =
        json!([{"Password": "[redacted]"}, {"ApiKey": "[redacted]"}, {"Cookie": "[redacted]"}]);
    assert_eq!(
        records[0]["details"],
        json!({"given": given, "other": {"Certificate": "shown"}})
    );
    assert_eq!(
        records[1]["details"],
        json!({"password": {"value": "[redacted]"}, "cookie": {"id": "[redacted]"}})
    );
}

#[test]
fn a_value_is_hashed_with_the_key_of_the_log_wherever_it_is_rendered() {
    let records = written(
        |builder| builder,
        |_| {
            audit!("user.invited", email = hashed("ann"));
            audit_context! { session_id = hashed("ann") }.run(|| audit!("user.invited"));
            AuditContext::new()
                .session_id(hashed("ann"))
                .run(|| audit!("user.invited"));
            tracing::info_span!("request", session_id = %hashed("ann"))
                .in_scope(|| audit!("user.invited"));
            let span = tracing::info_span!("request", session_id = tracing::field::Empty);
            span.record("session_id", tracing::field::display(hashed("ann")));
            span.in_scope(|| audit!("user.invited"));
            audit!(
                "user.invited",
                actor = Actor::user(hashed("ann").to_string())
            );
            audit!(
                "user.invited",
                resource = Resource::new("user", "7")
                    .attributes(json!({"email": hashed("ann").to_string()}))
            );
            tracing::info!(target: "audit", event_type = "user.invited", email = %hashed("ann"));
        },
    );
    let hash = &records[0]["details"]["email"];
    assert!(
        hash.as_str().unwrap().starts_with("hmac-sha256:k1:"),
        "{hash}"
    );
    for record in &records[1..5] {
        assert_eq!(&record["context"]["session_id"], hash);
    }
    let others = [
        &records[5]["actor"]["id"],
        &records[6]["resource"]["attributes"]["email"],
        &records[7]["details"]["email"],
    ];
    assert_eq!(others, [hash; 3]);
}

#[test]
fn a_value_that_panics_leaves_no_other_logs_key_behind() {
    struct Panics;
    impl std::fmt::Display for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("a value panics")
        }
    }
    let _ = written(
        |builder| builder.hash_key(HashKey::new("other", &[1; 32]).unwrap()),
        |_| {
            let panicked = std::panic::catch_unwind(|| audit!("user.invited", by = %Panics));
            assert!(panicked.is_err());
        },
    );
    let outside = std::cell::Cell::new(String::new());
    let records = written(
        |builder| builder,
        |_| {
            outside.set(hashed("ann").to_string());
            audit!("user.invited", email = hashed("ann"));
        },
    );
    assert_eq!(records[0]["details"]["email"], outside.take());
}

#[test]
fn who_says_how_shows_so_much_of_it() {
    let (password, token) = (
        Secret::new("correct horse battery"),
        "abcdefghijklmnopqrst".to_owned(),
    );
    let records = written(
        |builder| builder,
        |_| {
            audit!(
                "user.created",
                password = mask(&password, 3),
                api_key = hashed(&token),
                token = mask(&token, 5)
            );
            let nothing: Option<&str> = None;
            audit!(
                "user.created",
                password = nothing.map(|it| mask(it, 3)),
                api_key = Some("abcdefghi").map(|it| mask(it, 3))
            );
            audit!(
                "policy.changed",
                password = unredacted("12 characters"),
                other = Some(mask("abcdefghi", 2))
            );
        },
    );
    let details = &records[0]["details"];
    assert_eq!(
        (&details["password"], &details["token"]),
        (&json!("cor…"), &json!("abcde…"))
    );
    assert!(
        details["api_key"]
            .as_str()
            .unwrap()
            .starts_with("hmac-sha256:k1:")
    );
    assert_eq!(records[1]["details"], json!({"api_key": "abc…"}));
    assert_eq!(
        records[2]["details"],
        json!({"password": "12 characters", "other": "ab…"})
    );
}

#[test]
fn equal_values_hash_alike_and_can_be_searched_for_after_a_rotation() {
    let mut candidates = Vec::new();
    let records = written(
        |builder| builder,
        |log| {
            audit!("user.invited", email = hashed("ann@example.com"));
            audit!("user.invited", email = hashed("bob@example.com"));
            log.rotate_hash_key("k2").unwrap();
            assert!(
                log.rotate_hash_key("k2")
                    .unwrap_err()
                    .to_string()
                    .contains("choose another")
            );
            audit!("user.invited", email = hashed("ann@example.com"));
            candidates = log.hashes_of("ann@example.com").unwrap();
        },
    );
    let emails: Vec<&str> = records
        .iter()
        .filter_map(|record| record["details"]["email"].as_str())
        .collect();
    assert_eq!(candidates.len(), 2);
    assert_eq!((emails[0], emails[2]), (&*candidates[1], &*candidates[0]));
    assert!(
        candidates[0].starts_with("hmac-sha256:k2:")
            && !candidates.iter().any(|hash| hash == emails[1])
    );
    assert!(
        records
            .iter()
            .any(|record| record["event_type"] == "audit.hash_key.rotated")
    );
}

#[test]
fn the_applications_own_key_stays_out_of_the_directory() {
    let key = || HashKey::new("vault-7", b"0123456789abcdef").unwrap();
    let records = written(
        |builder| builder.hash_key(key()),
        |log| {
            audit!("user.invited", email = hashed("ann@example.com"));
            assert!(!log.dir().join("state/hash-keys.json").exists());
            assert!(log.rotate_hash_key("x").is_err());
            let hash = log.hashes_of("ann@example.com").unwrap();
            audit!("user.found", hash);
        },
    );
    assert_eq!(
        records[0]["details"]["email"],
        records[1]["details"]["hash"][0]
    );
}

#[test]
fn without_a_log_there_is_no_key_to_hash_with() {
    assert_eq!(hashed("ann@example.com").to_string(), "[not hashed]");
}

/// The keys' file as it always was, and what is wrong with one that someone has written by hand.
#[test]
fn a_malformed_key_is_an_error_that_says_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("keys")
            .open()
    };
    let log = open().unwrap();
    log.rotate_hash_key("k2").unwrap();
    let hashes = log.hashes_of("ann").unwrap();
    log.close().unwrap();
    drop(log);
    let path = dir.path().join("state/hash-keys.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(
        (&document["version"], &keys[0]["name"], &keys[1]["name"]),
        (&json!(1), &json!("k1"), &json!("k2"))
    );
    let secret = keys[0]["secret"].as_str().unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(keys[0].as_object().unwrap().len(), 2);

    let named = r#""k1""#;
    for (name, secret, wrong) in [
        ("k1", "", named),
        ("k1", "", "0 bytes, not 16 to 64"),
        ("k1", &secret[..30], "15 bytes, not 16 to 64"),
        ("k1", &secret[..63], "hexadecimal"),
        ("k1", &format!("{}zz", &secret[2..]), "hexadecimal"),
        ("k1", &format!("+1{}", &secret[2..]), "hexadecimal"),
        ("k1", &"é".repeat(16), "hexadecimal"),
        ("k1", &"ab".repeat(65), "65 bytes, not 16 to 64"),
        ("", secret, "is not 1 to 32 of"),
        ("a:b", secret, r#""a:b" is not 1 to 32 of"#),
    ] {
        let keys = json!({"version": 1, "keys": [{"name": name, "secret": secret}]});
        std::fs::write(&path, keys.to_string()).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(
            error.contains("hash-keys.json is damaged") && error.contains(wrong),
            "{name} {secret}: {error}"
        );
        assert!(
            secret.len() < 4 || !error.contains(&secret[secret.len() - 4..]),
            "it shows the secret: {error}"
        );
    }
    for text in [
        "{\"version\":1,\"keys\":[{\"name\":\"k1\"}]}",
        "{\"version\":1,\"keys\":[7]}",
    ] {
        std::fs::write(&path, text).unwrap();
        assert!(open().unwrap_err().to_string().contains("is damaged"));
    }
    // Upper case is hexadecimal as well.
    std::fs::write(&path, text.replace(secret, &secret.to_uppercase())).unwrap();
    assert_eq!(open().unwrap().hashes_of("ann").unwrap(), hashes);
}
