//! `#[audit(flatten)]`: the members of a field are details.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tracing_audit::{AuditEvent, AuditLog, audit, mask};
use tracing_subscriber::prelude::*;

use super::redaction::written;

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
}

#[derive(AuditEvent)]
#[audit("api.called", service = "billing", actor.id = 7)]
struct Called<'a> {
    #[audit(flatten)]
    request: Request<'a>,
    status: u16,
    #[audit(flatten)]
    more: Value,
    #[audit(flatten, skip_if_none)]
    last: Option<BTreeMap<String, Value>>,
}

fn called(more: Value, last: Option<Value>) -> Called<'static> {
    Called {
        request: Request {
            method: "GET",
            path: "/pay/7",
            token: "hunter2",
            query: None,
        },
        status: 200,
        more,
        last: last.map(|last| serde_json::from_value(last).unwrap()),
    }
}

fn details(event: &impl AuditEvent) -> Value {
    let mut records = written(
        |builder| builder.deny_fields(["note"]).allow_fields(["pin"]),
        |_| _ = audit!(event),
    );
    records.remove(0)["details"].take()
}

#[test]
fn the_members_of_a_flattened_field_are_details() {
    assert_eq!(
        details(&called(json!({"a": [1, {"b": 2}], "pin": 7}), None)),
        json!({
            "service": "billing", "method": "GET", "path": "/pay/7", "token": "[redacted]", "status": 200,
            "a": [1, {"b": 2}], "pin": 7,
        })
    );
    // Whatever they are called.
    let names =
        json!({"actor": 1, "severity": 2, "details": {"id": 3}, "note": "hunter2", "user.pin": 4});
    let details = details(&called(json!({}), Some(names)));
    for (name, value) in [
        ("actor", json!(1)),
        ("severity", json!(2)),
        ("details", json!({"id": 3})),
        ("note", json!("[redacted]")),
        ("user.pin", json!("[redacted]")),
    ] {
        assert_eq!(details[name], value, "{name} in {details}");
    }
}

#[test]
fn of_members_with_one_name_the_last_stands_in_the_place_of_the_first() {
    // Structs, because whether a `Value` keeps the order of its members is for the program to say.
    #[derive(Serialize)]
    struct First {
        status: &'static str,
        a: Value,
        service: &'static str,
        end: u8,
    }
    #[derive(Serialize)]
    struct Second {
        a: &'static str,
        #[serde(rename = "\"")]
        quote: u8,
        second: Value,
    }
    #[derive(AuditEvent)]
    #[audit("api.called", service = "billing", note = mask("abcdefghi", 3), last = "kept")]
    struct Called {
        #[audit(flatten)]
        first: First,
        status: u16,
        #[audit(flatten)]
        second: Second,
        end: &'static str,
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("flat")
        .open()
        .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || {
            audit!(Called {
                first: First {
                    status: "hidden",
                    a: json!({"a": 1}),
                    service: "other",
                    end: 0,
                },
                status: 200,
                second: Second {
                    a: "a",
                    quote: 1,
                    second: json!({"status": 2}),
                },
                end: "end",
            })
        },
    );
    log.close().unwrap();
    let line = crate::support::lines(dir.path()).remove(0);
    let details = r#""details":{"service":"other","note":"abc…","last":"kept","status":200,"a":"a","end":"end","\"":1,"second":{"status":2}}"#;
    assert!(line.contains(details), "{line}");
}

#[test]
fn what_has_no_members_is_a_detail_of_the_fields_name() {
    #[derive(AuditEvent)]
    #[audit("a.b")]
    struct Flat<'a, T> {
        #[audit(flatten)]
        given: T,
        #[audit(flatten)]
        other: Option<&'a T>,
    }
    fn flat<T: Serialize>(given: T) -> Value {
        details(&Flat { given, other: None })
    }
    assert_eq!(flat(7), json!({"given": 7}));
    assert_eq!(flat([1, 2]), json!({"given": [1, 2]}));
    assert_eq!(flat("{\"a\":1}"), json!({"given": "{\"a\":1}"}));
    assert_eq!(flat(json!({})), Value::Null);
    assert_eq!(flat(None::<u8>), Value::Null);
    assert_eq!(flat(json!(null)), json!({"given": null}));
    assert_eq!(flat(json!({"other": 1})), json!({"other": 1}));
}

#[test]
fn a_denied_name_hides_all_that_it_has() {
    #[derive(AuditEvent)]
    enum Login {
        #[audit("auth.login.failed", tries = *tries)]
        Failed {
            #[audit(skip)]
            tries: u8,
            #[audit(flatten)]
            credentials: Value,
            #[audit(flatten)]
            notes: Value,
            #[audit(flatten)]
            pin: Value,
        },
    }
    assert_eq!(
        details(&Login::Failed {
            tries: 3,
            credentials: json!({"user": "hunter2"}),
            notes: json!({"text": "hunter2"}),
            pin: json!({"length": 4}),
        }),
        json!({"tries": 3, "credentials": "[redacted]", "notes": "[redacted]", "length": 4})
    );
}

#[test]
fn an_entry_that_flattens_is_shortened_like_any_other() {
    let long: BTreeMap<String, String> = (0..40)
        .map(|n| (format!("k{n}"), "x".repeat(4000)))
        .collect();
    let details = details(&called(json!(long), None));
    assert_eq!(details["status"], 200);
    assert!(details["k7"].as_str().unwrap().ends_with('…'));
}
