//! The identity provider's trail says who did what and when, to all who ask and to those who
//! subscribe, and never why or with which secret.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[path = "support/example.rs"]
mod example;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/identity_provider/main.rs"]
mod identity_provider;
mod support;

use std::collections::BTreeSet;

use example::{Written, known, types};
use identity_provider::{SUBSCRIPTIONS, run};
use serde_json::Value;
use tracing_audit::{catalogue, redact::Secret};

/// What the documents say can be observed, and what it is called here.
const EVENTS: [(&str, &str); 16] = [
    ("login: attempted", "login.attempted"),
    ("login: accepted", "login.accepted"),
    ("login: failed", "login.failed"),
    ("consent: created", "consent.created"),
    ("consent: accepted", "consent.accepted"),
    ("consent: rejected", "consent.rejected"),
    ("consent: revoked", "consent.revoked"),
    ("authorization: code issued", "authorization.code.issued"),
    ("authorization: code denied", "authorization.code.denied"),
    ("client: authenticated", "client.authentication.succeeded"),
    ("client: not authenticated", "client.authentication.failed"),
    ("token: issued", "token.issued"),
    ("token: denied", "token.denied"),
    ("token: revoked", "token.revoked"),
    ("client: registered", "client.registered"),
    ("service: discovered by an authorizer", "service.discovered"),
];

/// What a subscription can be for, and the event types to name then.
const NOTIFIED: [(&str, &[&str]); 4] = [
    (
        "consent grants and revocations",
        &["consent.accepted", "consent.revoked"],
    ),
    ("a new client", &["client.registered"]),
    (
        "tokens issued and revoked",
        &["token.issued", "token.revoked"],
    ),
    ("new services", &["service.discovered"]),
];

fn written() -> Written<Vec<Secret<String>>> {
    Written::by(run)
}

#[test]
fn every_event_that_can_be_observed_is_recorded_and_in_the_catalogue() {
    let named: BTreeSet<String> = EVENTS
        .iter()
        .map(|(_, event_type)| (*event_type).to_owned())
        .collect();
    assert_eq!(written().event_types(), named);
    assert_eq!(known(), named);
}

#[test]
fn the_catalogue_tells_what_each_event_carries() {
    let log = written();
    for entry in catalogue().iter() {
        let recorded = log.found(&[("event_type", entry.event_type())]);
        let fields: BTreeSet<&str> = entry.fields().map(|(path, _)| path).collect();
        assert!(
            fields.contains("actor")
                && fields.contains("details.workspace")
                && entry.description().is_some(),
            "{entry:?}"
        );
        for detail in recorded
            .iter()
            .flat_map(|entry| entry["details"].as_object().unwrap().keys())
        {
            assert!(
                fields.contains(&*format!("details.{detail}")),
                "{detail} of {}",
                entry.event_type()
            );
        }
    }
}

#[test]
fn each_entry_says_who_and_when() {
    for entry in written().all() {
        let actor = &entry["actor"];
        assert!(
            actor["type"].is_string() && (actor["id"].is_string() || actor["name"].is_string()),
            "{entry}"
        );
        assert!(
            entry["timestamp"]
                .as_str()
                .unwrap()
                .parse::<tracing_audit::Timestamp>()
                .is_ok(),
            "{entry}"
        );
        assert_eq!(
            (
                &entry["tenant_id"],
                &entry["details"]["workspace"].is_string()
            ),
            (&Value::from("acme"), &true),
            "{entry}"
        );
    }
}

#[test]
fn a_refusal_is_seen_and_its_reason_is_not() {
    let log = written();
    let failed = log.found(&[("outcome", "failure")]);
    let told: BTreeSet<&str> = types(&failed).into_iter().collect();
    assert_eq!(
        told,
        [
            "authorization.code.denied",
            "client.authentication.failed",
            "login.failed",
            "token.denied"
        ]
        .into()
    );
    for entry in &failed {
        assert_eq!(
            entry["outcome"],
            serde_json::json!({"type": "failure"}),
            "{entry}"
        );
    }
    for reason in [
        "wrong password",
        "no such user",
        "no consent is in force",
        "wrong client secret",
        "was used before",
    ] {
        log.has_nowhere(reason);
    }
}

#[test]
fn a_user_is_found_by_name_in_the_order_of_what_was_done() {
    let log = written();
    // Failed attempts are by somebody who only says so.
    let claimed = log.found(&[("actor", "ann@example.com"), ("event_type", "login.*")]);
    assert_eq!(
        types(&claimed),
        [
            "login.attempted",
            "login.failed",
            "login.attempted",
            "login.accepted"
        ]
    );
    let kinds: Vec<_> = claimed
        .iter()
        .map(|entry| entry["actor"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["anonymous", "anonymous", "anonymous", "user"]);
    let consents = log.found(&[("event_type", "consent.*"), ("resource", "consent-2")]);
    assert_eq!(
        types(&consents),
        ["consent.created", "consent.accepted", "consent.revoked"]
    );
    assert_eq!(
        consents[2]["resource"]["prior_attributes"]["status"],
        "accepted"
    );
    assert_eq!(consents[2]["resource"]["attributes"]["status"], "revoked");
    // Who works in this tenant, seen from one address.
    assert!(
        !log.found(&[
            ("ip_address", "192.0.2.50"),
            ("tenant_id", "acme"),
            ("request_id", "r-1")
        ])
        .is_empty()
    );
}

#[test]
fn a_subscription_names_event_types_of_the_catalogue_and_is_told_of_those_only() {
    let log = written();
    let named: BTreeSet<String> = SUBSCRIPTIONS[..3]
        .iter()
        .flat_map(|subscription| subscription.event_types())
        .collect();
    for (what, event_types) in NOTIFIED {
        assert!(
            event_types
                .iter()
                .all(|event_type| named.contains(*event_type)),
            "{what}"
        );
    }
    for subscription in &SUBSCRIPTIONS[..3] {
        let told = log.matching(&subscription.filter().unwrap());
        let told_types: BTreeSet<String> = types(&told).into_iter().map(str::to_owned).collect();
        assert_eq!(
            told_types,
            subscription.event_types().into_iter().collect(),
            "{}",
            subscription.name
        );
        assert!(
            told.iter()
                .all(|entry| entry["details"]["workspace"] == subscription.workspace),
            "{}",
            subscription.name
        );
    }
}

#[test]
fn a_workspace_without_consents_has_nothing_to_tell_of_them() {
    let log = written();
    let silent = &SUBSCRIPTIONS[3];
    assert_eq!(
        silent.event_types(),
        [
            "consent.accepted",
            "consent.created",
            "consent.rejected",
            "consent.revoked"
        ]
    );
    assert_eq!(log.matching(&silent.filter().unwrap()), Vec::<Value>::new());
    assert!(
        !log.found(&[("details.workspace", silent.workspace)])
            .is_empty()
    );
}

#[test]
fn no_secret_is_in_any_file() {
    let log = written();
    assert_eq!(log.given.len(), 8);
    for secret in &log.given {
        log.has_nowhere(secret.expose());
    }
}
