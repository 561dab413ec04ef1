//! What is sent, read by the libraries that receivers have: signatures by `standardwebhooks` (PyPI
//! and npm), CloudEvents by `cloudevents` (PyPI and npm), OTLP by `opentelemetry-proto` (PyPI);
//! events for Splunk are compared with those that `splunk-handler` and `splunk-hec-handler` (PyPI)
//! send. The events are real ones, and full of characters that mean something somewhere.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tracing_audit::{
    Actor, AuditLog, Outcome, RawEntry, audit, audit_context,
    webhook::{Batch, Encoded, FormatName, FormatOptions, SigningSecret, sign},
};
use tracing_subscriber::prelude::*;

/// Batches of all formats together: one of each entry alone, and all entries in one where the
/// format can.
#[test]
fn receivers_can_read_and_verify_every_format() {
    // Before anything is signed: a signature is good for five minutes, which this may take.
    let target = crate::packages::with_packages();
    let dir = tempfile::tempdir().unwrap();
    let entries = entries(&dir.path().join("log"));
    let requests = dir.path().join("requests");
    fs::create_dir(&requests).unwrap();

    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    for name in FormatName::ALL {
        let format = name.build(&options(name)).unwrap();
        let mut write = |entries: &[RawEntry], batched| {
            let count = written.entry(name.as_str()).or_default();
            *count += 1;
            let id = format!("msg_{name}_{count}");
            let encoded = format
                .encode(&Batch {
                    id: &id,
                    source: "billing",
                    entries,
                    batched,
                })
                .unwrap();
            for entry in entries.iter().filter(|_| name != FormatName::Otlp) {
                assert!(
                    memchr::memmem::find(&encoded.body, entry.line()).is_some(),
                    "{name}: the line as stored"
                );
            }
            write_case(&requests, name, &id, encoded, entries, batched);
        };
        entries.chunks(1).for_each(|entry| write(entry, false));
        if format.takes_several() {
            write(&entries, true);
        }
    }

    let mut verify = Command::new(target.join("python/bin/python"));
    assert_eq!(
        verified(
            verify
                .arg("tests/support/webhook_formats.py")
                .arg(&requests)
        ),
        written
    );
    if target.join("node/installed").exists() {
        let mut verify = Command::new("node");
        verify
            .arg("tests/support/webhook_formats.cjs")
            .arg(&requests)
            .arg(target.join("node"));
        assert_eq!(verified(&mut verify), written);
    }
}

/// All that the event collector's clients set themselves, so that it can be compared.
fn options(name: FormatName) -> FormatOptions {
    match name {
        FormatName::SplunkHec => FormatOptions {
            host: Some("web-1".to_owned()),
            index: Some("audit".to_owned()),
            ..FormatOptions::default()
        },
        _ => FormatOptions::default(),
    }
}

/// How many of each format the program verified.
fn verified(program: &mut Command) -> BTreeMap<&'static str, usize> {
    let output = program.output().unwrap();
    assert!(
        output.status.success(),
        "{program:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let counts: BTreeMap<String, usize> = serde_json::from_slice(&output.stdout).unwrap();
    FormatName::ALL
        .iter()
        .filter_map(|name| Some((name.as_str(), *counts.get(name.as_str())?)))
        .collect()
}

/// Writes a request as it would be sent, signed as while a secret is being replaced, and what a
/// receiver should find in it.
fn write_case(
    dir: &Path,
    format: FormatName,
    id: &str,
    encoded: Encoded,
    entries: &[RawEntry],
    batched: bool,
) {
    let (old, new, pair) = (
        SigningSecret::random().unwrap(),
        SigningSecret::random().unwrap(),
        SigningSecret::random_key_pair().unwrap(),
    );
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    let mut headers: BTreeMap<String, String> = encoded
        .headers
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value))
        .collect();
    headers.insert("content-type".to_owned(), encoded.content_type.into_owned());
    headers.insert("webhook-id".to_owned(), id.to_owned());
    headers.insert("webhook-timestamp".to_owned(), now.to_string());
    headers.insert(
        "webhook-signature".to_owned(),
        sign(
            &[new.clone(), pair.clone(), old.clone()],
            id,
            now,
            &encoded.body,
        ),
    );
    let case = json!({
        "format": format,
        "headers": headers,
        "secrets": [old.reveal(), new.reveal()],
        "public": pair.public(),
        "batched": batched,
        "lines": entries.iter().map(|entry| str::from_utf8(entry.line()).unwrap()).collect::<Vec<_>>(),
    });
    fs::write(dir.join(format!("{id}.json")), case.to_string()).unwrap();
    fs::write(dir.join(format!("{id}.body")), encoded.body).unwrap();
}

/// Events as applications record them, of two streams.
fn entries(dir: &Path) -> Vec<RawEntry> {
    for _ in 0..2 {
        let log = AuditLog::builder(dir)
            .lifecycle(false)
            .source("billing")
            .open()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(log.layer());
        tracing::subscriber::with_default(subscriber, record);
        log.close().unwrap();
    }
    let lines = crate::support::lines(dir);
    let entries: Vec<_> = lines
        .iter()
        .filter_map(|line| RawEntry::from_line(line.as_bytes()))
        .collect();
    assert!(entries.len() >= 8, "{lines:?}");
    entries
}

fn record() {
    audit!(
        "invoice.sent",
        actor.id = "user-1",
        number = 17,
        amount = 12.5,
        paid = false,
        "Sent"
    );
    audit!(
        "user.role.changed",
        actor = Actor::user("ann \"the admin\" müller\r\n%41 \u{1f600}, ;").name("Ann"),
        resource.type = "user",
        resource.id = "böb/7 \\ \"x\"",
        resource.prior_attributes = json!({"roles": ["a", "b"], "deep": {"er": {"est": [[1], [2.5, null]]}}}),
        severity = critical,
        outcome = Outcome::failure("authorization", "role admin required"),
        big = i64::MAX,
        small = i64::MIN,
        text = "line\nfeed\ttab \u{7f} \u{85} \u{2028} </script>",
        "Role not changed"
    );
    audit_context! { trace_id = "4bf92f3577b34da6a3ce929d0e0e4736", span_id = "00f067aa0ba902b7" }
        .run(|| audit!("auth.login.failed", actor.type = "anonymous", actor.id = "nobody", ip_address = "192.0.2.50", "Failed"));
    audit!("key.used", actor.type = "api_key", actor.id = "k1", severity = warning, "");
}
