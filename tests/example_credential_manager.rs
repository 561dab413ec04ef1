//! The credential manager's trail has every event of its document's tables with every detail, in
//! its document's shape.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/credential_manager/main.rs"]
mod credential_manager;
#[path = "support/example.rs"]
mod example;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use credential_manager::run;
use example::{Written, at, known, types};
use serde_json::{Value, json};
use tracing_audit::{Filter, Query, redact::Secret};

const BY: &str = "/actor/name";

/// An event type, and the details its row names: what the document calls each, and where it is.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

const TABLES: [Row; 23] = [
    (
        "auth.login.success",
        &[
            ("username", "/details/username"),
            ("IP address", "/ip_address"),
            ("user agent", "/user_agent"),
        ],
    ),
    (
        "auth.login.failed",
        &[
            ("username", "/details/username"),
            ("IP", "/ip_address"),
            ("failure reason", "/details/failure_reason"),
        ],
    ),
    ("auth.logout", &[("username", "/details/username")]),
    (
        "auth.account.locked",
        &[
            ("username", "/details/username"),
            ("attempt count", "/details/attempt_count"),
        ],
    ),
    (
        "user.created",
        &[
            ("username", "/resource/name"),
            ("role", "/resource/attributes/role"),
            ("created by", BY),
        ],
    ),
    (
        "user.updated",
        &[
            ("changed fields", "/details/changed_fields/0"),
            ("modified by", BY),
        ],
    ),
    (
        "user.deleted",
        &[("username", "/resource/name"), ("deleted by", BY)],
    ),
    (
        "discovery.scan.started",
        &[
            ("mode", "/details/mode"),
            ("subscriptions", "/details/subscriptions/0"),
            ("initiated by", BY),
        ],
    ),
    (
        "discovery.scan.completed",
        &[
            ("duration", "/details/duration_seconds"),
            ("vaults", "/details/vaults_scanned"),
            ("assets", "/details/secrets_found"),
        ],
    ),
    (
        "discovery.scan.failed",
        &[
            ("error message", "/outcome/error"),
            ("affected vaults", "/details/affected_vaults/0"),
        ],
    ),
    (
        "discovery.vault.error",
        &[
            ("vault name", "/resource/name"),
            ("error details", "/outcome/error"),
        ],
    ),
    (
        "rotation.started",
        &[
            ("app name", "/details/app_name"),
            ("secret name", "/resource/name"),
            ("initiated by", BY),
        ],
    ),
    (
        "rotation.completed",
        &[
            ("new expiry date", "/details/new_expiry_date"),
            ("updated vaults", "/details/updated_vaults/1"),
        ],
    ),
    (
        "rotation.failed",
        &[
            ("error message", "/outcome/error"),
            ("rollback status", "/details/rollback_status"),
        ],
    ),
    (
        "sync.started",
        &[
            ("source", "/details/source"),
            ("target", "/details/target"),
            ("secret count", "/details/secret_count"),
        ],
    ),
    (
        "sync.completed",
        &[
            ("synced count", "/details/synced_count"),
            ("duration", "/details/duration_ms"),
        ],
    ),
    (
        "sync.failed",
        &[
            ("error message", "/outcome/error"),
            ("failed secrets", "/details/failed_secrets/0"),
        ],
    ),
    (
        "settings.updated",
        &[
            ("setting name", "/resource/id"),
            ("old value", "/resource/prior_attributes/value"),
            ("new value", "/resource/attributes/value"),
            ("modified by", BY),
        ],
    ),
    (
        "subscription.added",
        &[("subscription id", "/resource/id"), ("added by", BY)],
    ),
    (
        "subscription.removed",
        &[("subscription id", "/resource/id"), ("removed by", BY)],
    ),
    (
        "alert.rule.created",
        &[
            ("rule: event type", "/resource/attributes/event_type"),
            ("rule: threshold", "/resource/attributes/threshold"),
            ("rule: channel", "/resource/attributes/channel"),
            ("created by", BY),
        ],
    ),
    (
        "alert.rule.updated",
        &[
            ("changed fields", "/details/changed_fields/0"),
            ("modified by", BY),
        ],
    ),
    (
        "alert.rule.deleted",
        &[("rule id", "/resource/id"), ("deleted by", BY)],
    ),
];

/// Events of the system that the document's overview names without a table.
const SYSTEM: [(&str, &str); 2] = [
    ("license validation", "license.validated"),
    ("scheduled tasks", "schedule.task.completed"),
];

fn written() -> Written<Vec<Secret<String>>> {
    Written::by(run)
}

#[test]
fn each_row_of_the_tables_is_recorded_with_each_of_its_details() {
    let log = written();
    let mut missing = Vec::new();
    for (event_type, details) in TABLES {
        let found = log.found(&[("event_type", event_type)]);
        if found.is_empty() {
            missing.push(event_type.to_owned());
        }
        // The system's own work is in no request, so it names no user.
        for entry in found
            .iter()
            .filter(|entry| entry["actor"]["type"] != "system")
        {
            let has = |place| {
                entry
                    .pointer(place)
                    .is_some_and(|value: &Value| !value.is_null() && value != "")
            };
            missing.extend(
                details
                    .iter()
                    .filter(|(_, place)| !has(place))
                    .map(|(what, _)| format!("{event_type}: {what} in {entry}")),
            );
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn there_are_no_event_types_but_those_of_the_document() {
    let documented = TABLES
        .iter()
        .map(|(event_type, _)| *event_type)
        .chain(SYSTEM.iter().map(|(_, event_type)| *event_type));
    let documented: BTreeSet<String> = documented.map(str::to_owned).collect();
    assert_eq!(known(), documented);
    assert_eq!(written().event_types(), documented);
}

#[test]
fn details_say_what_happened() {
    let log = written();
    let only = |event_type| log.found(&[("event_type", event_type)]).remove(0);
    assert_eq!(
        only("auth.account.locked")["details"],
        json!({"username": "bob@company.com", "attempt_count": 3})
    );
    let update = only("user.updated");
    assert_eq!(
        at(
            &update,
            [
                BY,
                "/resource/prior_attributes/role",
                "/resource/attributes/role"
            ]
        ),
        ["admin@company.com", "viewer", "operator"]
    );
    assert_eq!(
        only("rotation.completed")["details"]["updated_vaults"],
        json!(["kv-internal", "kv-shop"])
    );
    let failed = only("rotation.failed");
    assert_eq!(
        failed["outcome"],
        json!({"type": "failure", "reason": "unknown", "error": "vault kv-legacy: 403 Forbidden"})
    );
    assert_eq!(
        at(&failed, ["/details/rollback_status", BY]),
        ["completed", "admin@company.com"]
    );
    assert_eq!(
        only("sync.failed")["details"]["failed_secrets"],
        json!(["db-login", "smtp-key"])
    );
    assert_eq!(
        only("alert.rule.updated")["details"]["changed_fields"],
        json!(["threshold"])
    );
    let reasons: Vec<_> = log
        .found(&[("event_type", "auth.login.failed")])
        .iter()
        .map(|e| e["details"]["failure_reason"].to_string())
        .collect();
    assert_eq!(
        reasons,
        [
            "\"unknown_user\"",
            "\"wrong_password\"",
            "\"wrong_password\"",
            "\"wrong_password\"",
            "\"account_locked\""
        ]
    );
}

/// The document's example of an entry: each place, and of what kind the value there is.
const SHAPE: [(&str, &str); 17] = [
    ("/id", "text"),
    ("/timestamp", "text"),
    ("/event_type", "text"),
    ("/actor/type", "text"),
    ("/actor/id", "text"),
    ("/actor/name", "text"),
    ("/resource/type", "text"),
    ("/resource/id", "text"),
    ("/description", "text"),
    ("/details/mode", "text"),
    ("/details/duration_seconds", "integer"),
    ("/details/vaults_scanned", "integer"),
    ("/details/secrets_found", "integer"),
    ("/severity", "text"),
    ("/ip_address", "text"),
    ("/user_agent", "text"),
    ("/details", "object"),
];

#[test]
fn an_entry_has_the_documents_shape() {
    let log = written();
    let entry = log
        .found(&[
            ("event_type", "discovery.scan.completed"),
            ("details.mode", "full"),
        ])
        .remove(0);
    let kind = |value: &Value| match value {
        Value::String(_) => "text",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Object(_) => "object",
        _ => "another",
    };
    for (place, documented) in SHAPE {
        assert_eq!(
            entry.pointer(place).map(kind),
            Some(documented),
            "{place} in {entry}"
        );
    }
    assert_eq!(
        at(
            &entry,
            [
                "/event_type",
                "/actor/type",
                "/actor/id",
                "/actor/name",
                "/resource/type",
                "/severity",
                "/details/mode"
            ]
        ),
        [
            "discovery.scan.completed",
            "user",
            "user-456",
            "admin@company.com",
            "scan",
            "info",
            "full"
        ]
    );
    // Of the details and the parts there is nothing besides, but the exact duration.
    let keys = |place: &str| -> BTreeSet<&str> {
        let members = entry.pointer(place).unwrap().as_object().unwrap();
        members.keys().map(String::as_str).collect()
    };
    let details = [
        "mode",
        "duration_seconds",
        "vaults_scanned",
        "secrets_found",
        "duration_ms",
    ];
    assert_eq!(keys("/details"), BTreeSet::from(details));
    assert_eq!(keys("/actor"), BTreeSet::from(["type", "id", "name"]));
    assert_eq!(keys("/resource"), BTreeSet::from(["type", "id"]));
}

#[test]
fn the_documents_filters_and_searches_find_entries() {
    let log = written();
    let all = log.matching(&Filter::new());
    let today = &all[0]["timestamp"].as_str().unwrap()[..10];
    let day = [("start_date", today), ("end_date", today)];
    let before = log.found(&[("end_date", "2020-01-31")]);
    assert!(
        before.is_empty() && log.found(&day).len() <= all.len() && !log.found(&day[..1]).is_empty()
    );

    // Event type, actor (a user, or the system), severity.
    assert!(
        types(&log.found(&[("event_type", "auth.login.*")]))
            .iter()
            .all(|event_type| event_type.starts_with("auth.login."))
    );
    let of_system = [
        "audit.log.opened",
        "license.validated",
        "discovery.scan.started",
        "discovery.scan.completed",
        "schedule.task.completed",
        "audit.log.closed",
    ];
    let found = log.found(&[("actor", "system")]);
    assert_eq!(types(&found), of_system);
    let found = log.found(&[("actor", "system"), ("event_type", "!audit.*")]);
    assert_eq!(types(&found), of_system[1..5], "without the log's own");
    let by = |actor| log.found(&[("actor", actor)]).len();
    assert!(by("admin@company.com") > 10 && by("admin@company.com") == by("user-456"));
    let mut severities: BTreeMap<&str, usize> = BTreeMap::new();
    for severity in ["info", "warning", "error"] {
        severities.insert(severity, log.found(&[("severity", severity)]).len());
    }
    assert!(
        severities.values().all(|count| *count > 0),
        "{severities:?}"
    );
    assert_eq!(severities.values().sum::<usize>(), all.len());

    // A text in the event type, the actor's name, the description, the resource's name.
    for (text, expected) in [
        ("account.lock", "auth.account.locked"),
        ("ADMIN@company", "user.created"),
        ("no longer viewer", "user.updated"),
        ("kv-legacy", "discovery.vault.error"),
        ("db-login", "rotation.started"),
    ] {
        assert!(
            types(&log.found(&[("q", text)])).contains(&expected),
            "{text}"
        );
    }
}

#[test]
fn pages_and_single_entries_are_read_as_the_api_gives_them() {
    let log = written();
    let all = log.matching(&Filter::new());
    let mut paged = Vec::new();
    for offset in (0..all.len()).step_by(10) {
        let page = log
            .reader
            .page(
                &Query::parse([
                    ("limit", "10"),
                    ("offset", &*offset.to_string()),
                    ("order", "asc"),
                ])
                .unwrap(),
            )
            .unwrap();
        // The JSON of a page is the export that the document asks for.
        let json: Value = serde_json::to_value(&page.entries).unwrap();
        paged.extend(json.as_array().unwrap().clone());
    }
    assert_eq!(paged, all);
    let one = log
        .reader
        .get(all[3]["id"].as_str().unwrap().parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(one.parse::<Value>().unwrap(), all[3]);
    assert!(Filter::parse([("severity", "fatal")]).is_err());
}

#[test]
fn retention_can_be_set_from_30_to_365_days() {
    let log = written();
    let changes = log.found(&[
        ("event_type", "settings.updated"),
        ("resource", "audit_log_retention"),
    ]);
    let told = |entry: &Value| {
        (
            entry["outcome"]["type"].clone(),
            entry["resource"]["attributes"]["value"].clone(),
        )
    };
    assert_eq!(
        changes.iter().map(told).collect::<Vec<_>>(),
        [(json!("success"), json!(180)), (json!("failure"), json!(7))]
    );
    assert_eq!(changes[1]["outcome"]["reason"], "validation");
    assert_eq!(changes[1]["resource"]["prior_attributes"]["value"], 180);
}

#[test]
fn no_secret_is_in_any_file() {
    let log = written();
    assert_eq!(log.given.len(), 5);
    for secret in &log.given {
        log.has_nowhere(secret.expose());
    }
}
