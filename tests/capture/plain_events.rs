//! What an ordinary event of `tracing` with the target `audit` can say, and what not.

use serde_json::{Value, json};
use tracing_audit::{AuditLog, AuditLogBuilder, AuditReader, Error, Filter, audit};
use tracing_subscriber::prelude::*;

fn recorded(act: impl FnOnce()) -> Vec<Value> {
    recorded_by(|log| log, act)
}

fn recorded_by(
    set_up: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder,
    act: impl FnOnce(),
) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = set_up(
        AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("plain"),
    )
    .open()
    .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        act,
    );
    log.close().unwrap();
    crate::support::records(dir.path())
}

#[test]
fn the_logs_own_event_types_are_not_for_others() {
    let records = recorded(|| {
        tracing::info!(target: "audit", event_type = "audit.log.lost", after_seq = 7, count = 2, "forged");
        tracing::info!(target: "audit", event_type = "audits.log.lost");
    });
    assert_eq!(
        (&records[0]["event_type"], &records[0]["category"]),
        (&json!("tracing.event"), &json!("tracing"))
    );
    assert_eq!(
        records[0]["details"],
        json!({"after_seq": 7, "count": 2, "event_type": "audit.log.lost"})
    );
    assert_eq!(records[1]["event_type"], "audits.log.lost");
}

/// Code of three crates, as far as `tracing` can tell.
mod dependency {
    pub(super) mod billing {
        pub(crate) fn act() {
            tracing::info!(target: "audit", event_type = "plain.billing", "From a module");
        }
    }
    pub(super) mod billing_extra {
        pub(crate) fn act() {
            tracing::info!(target: "audit", event_type = "plain.extra");
        }
    }
    pub(super) fn act() {
        tracing::info!(target: "audit", event_type = "plain.root");
        billing::act();
        billing_extra::act();
        tracing_audit::audit!("plain.none");
    }
}

fn types(entries: &[Value]) -> Vec<&str> {
    let types = entries.iter().map(|entry| entry["event_type"].as_str());
    types.map(Option::unwrap).collect()
}

#[test]
fn an_entry_shows_that_it_came_as_an_ordinary_event_and_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        // Nobody can say it of an event that came otherwise, or unsay it.
        audit!(
            "plain.macro",
            captured = "tracing",
            context.environment = "prod"
        );
        let event_type = format!("import.{}", "csv");
        tracing::info!(target: "audit", event_type = event_type.as_str(), captured = "audit!", module = "mine", request_id = "r-1");
    });
    log.close().unwrap();
    let entries = crate::support::records(dir.path());
    assert_eq!(entries[0]["context"], json!({"environment": "prod"}));
    assert_eq!(
        entries[1]["context"],
        json!({"captured": "tracing", "module": module_path!(), "request_id": "r-1"})
    );
    assert_eq!(
        entries[1]["details"],
        json!({"captured": "audit!", "module": "mine"})
    );

    let mut read = Vec::new();
    let reader = AuditReader::open(dir.path()).unwrap();
    let filter = Filter::parse([("event_type", "import.*"), ("event_type", "plain.*")]).unwrap();
    let scanned = reader.each(&filter, tracing_audit::reader::Order::Asc, |entry| {
        let captured = (entry.captured().into_owned(), entry.module().into_owned());
        read.push(captured);
        std::ops::ControlFlow::Continue(())
    });
    scanned.unwrap();
    let plain = ("tracing".to_owned(), module_path!().to_owned());
    assert_eq!(read, [(String::new(), String::new()), plain]);
}

#[test]
fn a_log_takes_those_of_some_modules_or_of_none() {
    let of = |modules: &[&str]| {
        let modules: Vec<String> = modules
            .iter()
            .map(|module| module.replace("self", module_path!()))
            .collect();
        recorded_by(|log| log.plain_events_from(modules), dependency::act)
    };
    let all = ["plain.root", "plain.billing", "plain.extra", "plain.none"];
    assert_eq!(types(&recorded(dependency::act)), all);
    assert_eq!(types(&of(&["self::dependency"])), all);
    assert_eq!(types(&of(&["other", "capture"])), all);
    // By whole segments.
    let billing = ["plain.billing", "plain.none"];
    assert_eq!(types(&of(&["self::dependency::billing"])), billing);
    assert_eq!(
        types(&of(&["self::dependency::bill", "capt", "self::dep"])),
        ["plain.none"]
    );
    let none = recorded_by(AuditLogBuilder::no_plain_events, dependency::act);
    assert_eq!(types(&none), ["plain.none"]);
    assert_eq!(types(&of(&[])), ["plain.none"]);
}

#[test]
fn what_is_no_module_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [
        "",
        "my_app::",
        "::my_app",
        "my app",
        "my_app:billing",
        "my_app.billing",
        "*",
    ] {
        let opened = AuditLog::builder(dir.path())
            .lifecycle(false)
            .plain_events_from([wrong])
            .open();
        let Err(Error::Invalid { parameter, .. }) = opened else {
            panic!("{wrong:?} was taken");
        };
        assert_eq!(parameter, "plain_events_from");
    }
    // A package's name is not always that of its crate.
    let named = AuditLog::builder(dir.path())
        .lifecycle(false)
        .plain_events_from(["my-app"]);
    named.open().unwrap().close().unwrap();
}

#[test]
fn a_plain_event_fills_every_field_that_a_text_can() {
    let records = recorded(|| {
        tracing::info!(
            target: "audit", event_type = "file.stored", tags = "nightly", description = "Stored",
            actor.id = 7, actor.attributes.team = "blue", resource.type = "file", resource.attributes.size = 3,
            resource.attributes.card.number = "4111", resource.prior_attributes.size = 2,
            context.session_id = "s-1", context.environment = "prod", context.host = "web-1",
            context.trace_id = "t-1", outcome.type = "failure", outcome.reason = "validation",
            details.size = 4,
        );
        tracing::info!(target: "audit", event_type = "file.stored", context.session_id = "s-1", session_id = "s-2", outcome.type = "banana", description = "Kept", resource.attributes = "whole", "Message");
    });
    assert_eq!(
        records[0]["actor"],
        json!({"type": "user", "id": "7", "attributes": {"team": "blue"}})
    );
    assert_eq!(
        records[0]["resource"],
        json!({
            "type": "file", "attributes": {"size": 3, "card": {"number": "[redacted]"}},
            "prior_attributes": {"size": 2},
        })
    );
    assert_eq!(
        records[0]["outcome"],
        json!({"type": "failure", "reason": "validation"})
    );
    assert_eq!(records[0]["description"], "Stored");
    assert_eq!(records[0]["details"], json!({"size": 4}));
    assert_eq!(records[0]["tags"], json!(["nightly"]));
    assert_eq!(
        records[0]["context"],
        json!({
            "captured": "tracing", "module": module_path!(), "environment": "prod",
            "session_id": "s-1", "host": "web-1", "trace_id": "t-1",
        })
    );
    assert_eq!(records[1]["description"], "Message");
    assert_eq!(records[1]["outcome"], json!({"type": "unknown"}));
    assert_eq!(records[1]["context"]["session_id"], "s-2");
    assert_eq!(
        records[1]["details"],
        json!({"outcome": {"type": "banana"}, "description": "Kept", "resource": {"attributes": "whole"}})
    );
}
