//! The no-code platform's log has every element of its document's table, and is written in the very
//! envelope that its readers know.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[path = "support/example.rs"]
mod example;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/no_code_platform/main.rs"]
mod no_code_platform;
mod support;

use std::collections::BTreeSet;

use example::{Written, at, known, types};
use no_code_platform::{PASSWORDS, envelope::Envelope, run, write_envelopes};
use serde_json::{Value, json};
use tracing_audit::{Filter, Query, RawEntry};

/// The elements that every event has: where each is in the envelope, and where in our entry, if it
/// is from there.
const ELEMENTS: [(&str, Option<&str>); 28] = [
    ("/date", None),
    ("/messageType", None),
    ("/schemaVersion", None),
    ("/timestamp", None),
    ("/eventType", None),
    ("/category", Some("/category")),
    ("/action", Some("/action")),
    ("/source", Some("/source")),
    ("/tags", None),
    ("/object", None),
    ("/object/type", Some("/resource/type")),
    ("/object/identifier", None),
    ("/object/identifier/type", None),
    ("/object/identifier/value", None),
    ("/object/attributes", None),
    ("/object/outcome", Some("/outcome")),
    ("/object/outcome/type", Some("/outcome/type")),
    ("/object/actor/type", Some("/actor/type")),
    ("/object/actor/identifier/type", None),
    ("/object/actor/identifier/value", Some("/actor/id")),
    ("/object/actor/attributes", None),
    ("/object/context", None),
    ("/object/context/environment", Some("/context/environment")),
    ("/object/context/sessionId", None),
    ("/object/context/clientIp", Some("/ip_address")),
    ("/object/context/protocol", Some("/context/protocol")),
    ("/object/context/host", Some("/context/host")),
    ("/object/context/userAgent", Some("/user_agent")),
];

/// What the document names as actions: the category, the action, and the event type here.
const ACTIONS: [(&str, &str, &str); 7] = [
    (
        "user-access",
        "designer-user-login",
        "designer.session.opened",
    ),
    (
        "user-access",
        "designer-user-logout",
        "designer.session.closed",
    ),
    (
        "user-management",
        "add-designer-user",
        "designer.user.added",
    ),
    (
        "access-management",
        "modify-designer-role",
        "designer.role.modified",
    ),
    (
        "access-management",
        "delete-designer-role",
        "designer.role.deleted",
    ),
    (
        "module-management",
        "create-module",
        "designer.module.created",
    ),
    ("module-management", "save-module", "designer.module.saved"),
];

fn written() -> Written<()> {
    Written::by(run)
}

fn envelopes(log: &Written<()>, search: &[(&str, &str)]) -> Vec<Value> {
    let (filter, mut out) = (Filter::parse(search.iter().copied()).unwrap(), Vec::new());
    let count = write_envelopes(log.dir.path(), &filter, &mut out).unwrap();
    let read: Vec<Value> = serde_json::Deserializer::from_slice(&out)
        .into_iter()
        .map(|envelope| envelope.unwrap())
        .collect();
    assert_eq!(read.len(), count);
    read
}

#[test]
fn every_element_is_in_every_envelope_and_says_what_the_entry_says() {
    let log = written();
    // With those that the log was opened and closed.
    assert_eq!(envelopes(&log, &[]).len(), 16);
    let mut all = log.reader.page(&Query::default()).unwrap().entries;
    all.retain(|entry| !entry.event_type().starts_with("audit.log."));
    assert_eq!(all.len(), 14);
    for entry in all {
        let envelope = &serde_json::to_value(Envelope::of(&entry).unwrap()).unwrap();
        let entry: Value = entry.parse().unwrap();
        for (element, ours) in ELEMENTS {
            let value = envelope
                .pointer(element)
                .unwrap_or_else(|| panic!("no {element} in {envelope}"));
            if let Some(ours) = ours {
                assert_eq!(Some(value), entry.pointer(ours), "{element} in {envelope}");
            }
        }
        let constant = ["/messageType", "/schemaVersion", "/eventType", "/source"];
        assert_eq!(
            at(envelope, constant),
            ["system-event", "1.0", "designer-action", "designer-api"]
        );
    }
}

#[test]
fn an_envelope_is_the_documents_to_the_byte() {
    let line = concat!(
        r#"{"stream":"designer-api-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2024-02-29T23:59:59.338912Z","#,
        r#""schema_version":"1.0","event_type":"designer.role.deleted","category":"access-management","action":"delete-designer-role","#,
        r#""severity":"info","source":"designer-api","actor":{"type":"user","id":"ann@example.com"},"#,
        r#""resource":{"type":"designer-role","name":"Intern"},"outcome":{"type":"success"},"ip_address":"192.0.2.50","user_agent":"curl/8","#,
        r#""context":{"environment":"staging","session_id":"s-1","protocol":"https","host":"a.example"}}"#,
    );
    let expected = concat!(
        r#"{"date":"2024-02-29T23:59:59.000000Z","messageType":"system-event","schemaVersion":"1.0","timestamp":"2024-02-29T23:59:59.338Z","#,
        r#""eventType":"designer-action","category":"access-management","action":"delete-designer-role","source":"designer-api","tags":{},"#,
        r#""object":{"type":"designer-role","identifier":{"type":"name","value":"Intern"},"attributes":{},"outcome":{"type":"success"},"#,
        r#""actor":{"type":"user","identifier":{"type":"user-id","value":"ann@example.com"},"attributes":{}},"#,
        r#""context":{"environment":"staging","sessionId":"s-1","clientIp":"192.0.2.50","protocol":"https","host":"a.example","userAgent":"curl/8"}}}"#,
    );
    let envelope = Envelope::of(&RawEntry::from_line(line.as_bytes()).unwrap()).unwrap();
    assert_eq!(serde_json::to_string(&envelope).unwrap(), expected);
}

#[test]
fn categories_and_actions_are_found_by_the_documents_words() {
    let log = written();
    for (category, action, event_type) in ACTIONS {
        let found = log.found(&[("category", category), ("action", action)]);
        assert!(
            !found.is_empty() && types(&found).iter().all(|found| *found == event_type),
            "{action}: {found:?}"
        );
    }
    let event_types: BTreeSet<String> = ACTIONS
        .iter()
        .map(|(_, _, event_type)| (*event_type).to_owned())
        .collect();
    assert_eq!(log.event_types(), event_types);
    assert_eq!(known(), event_types);
}

#[test]
fn attributes_and_prior_attributes_are_those_of_the_object() {
    let log = written();
    let changed = envelopes(
        &log,
        &[("action", "modify-designer-role"), ("resource", "Designer")],
    );
    assert_eq!(changed[0]["object"].get("priorAttributes"), None);
    assert_eq!(
        changed[1]["object"]["priorAttributes"],
        json!({"permissions": ["modules.read"]})
    );
    assert_eq!(
        changed[1]["object"]["attributes"],
        json!({"permissions": ["modules.read", "modules.write"]})
    );
    assert_eq!(changed[1]["tags"], json!({"review": "quarterly"}));
    assert_eq!(
        changed[1]["object"]["actor"]["attributes"],
        json!({"role": "Administrator"})
    );
    let saved = &envelopes(&log, &[("action", "save-module")])[0]["object"];
    assert_eq!(
        (
            &saved["priorAttributes"]["version"],
            &saved["attributes"]["version"]
        ),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        saved["identifier"],
        json!({"type": "module-id", "value": "module-1"})
    );
}

#[test]
fn outcomes_are_success_or_a_failure_with_its_kind_and_its_error() {
    let log = written();
    let failed: Vec<_> = envelopes(&log, &[("outcome", "failure")])
        .into_iter()
        .map(|e| [e["action"].clone(), e["object"]["outcome"].clone()])
        .collect();
    let failure =
        |reason: &str, error: &str| json!({"type": "failure", "reason": reason, "error": error});
    assert_eq!(
        failed,
        [
            [
                json!("designer-user-login"),
                failure("authentication", "wrong name or password")
            ],
            [
                json!("save-module"),
                failure("unknown", "version 2 was saved meanwhile")
            ],
            [
                json!("delete-designer-role"),
                failure("authorization", "only an administrator may do this")
            ],
        ]
    );
    // The log's own entries have no outcome, and so count as successes.
    let succeeded = envelopes(&log, &[("outcome", "success"), ("event_type", "!audit.*")]);
    assert_eq!(succeeded.len(), 11);
    assert!(
        succeeded
            .iter()
            .all(|envelope| envelope["object"]["outcome"] == json!({"type": "success"}))
    );
}

#[test]
fn a_range_of_date_and_time_is_what_is_given() {
    let log = written();
    let all = log.all();
    let time = |n: usize| all[n]["timestamp"].as_str().unwrap();
    let range = [("start_date", time(3)), ("end_date", time(7))];
    let within = all
        .iter()
        .filter(|entry| (time(3)..time(7)).contains(&entry["timestamp"].as_str().unwrap()))
        .count();
    assert!(within > 0 && within < all.len());
    let some = envelopes(&log, &range);
    assert_eq!((some.len(), log.found(&range).len()), (within, within));
    assert_eq!(some[0]["timestamp"].as_str().unwrap()[..23], time(3)[..23]);
    assert!(
        envelopes(
            &log,
            &[
                ("start_date", "2000-01-01"),
                ("end_date", "2000-12-31T23:59:59.5Z")
            ]
        )
        .is_empty()
    );
}

#[test]
fn a_session_is_followed_from_login_to_logout() {
    let log = written();
    let session = log.found(&[("session_id", "session-2")]);
    let (first, last) = (session.first().unwrap(), session.last().unwrap());
    assert_eq!(
        at(first, ["/action", "/actor/id"]),
        ["designer-user-login", "bob@example.com"]
    );
    assert_eq!(
        at(last, ["/action", "/actor/id"]),
        ["designer-user-logout", "bob@example.com"]
    );
    assert_eq!(session.len(), 6);
}

#[test]
fn no_password_is_in_any_file() {
    let log = written();
    for password in PASSWORDS {
        log.has_nowhere(password);
    }
}
