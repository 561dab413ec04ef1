//! What an event inherits from the spans around it.

use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher, field::Empty, info_span};
use tracing_audit::{Actor, AuditContext, AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::recorded;

#[test]
fn the_innermost_wins_and_the_event_over_all() {
    let records = recorded(|| {
        let outer = info_span!(
            "outer",
            tenant_id = "acme",
            request_id = 7,
            actor.id = "u-1",
            actor.name = "Ann",
            client.address = "192.0.2.1"
        );
        let _outer = outer.enter();
        let inner = info_span!(
            "inner",
            request_id = "inner",
            user_agent.original = "curl",
            session.id = "s-1"
        );
        let _inner = inner.enter();
        audit!("span.inherits");
        audit!(
            "span.overrides",
            tenant_id = "other",
            request_id = 9,
            ip_address = "192.0.2.2"
        );
    });
    let inherited = &records[0];
    assert_eq!(inherited["tenant_id"], "acme");
    assert_eq!(
        inherited["actor"],
        serde_json::json!({"type": "user", "id": "u-1", "name": "Ann"})
    );
    assert_eq!(
        (&inherited["ip_address"], &inherited["user_agent"]),
        (&"192.0.2.1".into(), &"curl".into())
    );
    assert_eq!(
        inherited["context"],
        serde_json::json!({"session_id": "s-1", "request_id": "inner"})
    );
    let own = &records[1];
    assert_eq!(
        (
            &own["tenant_id"],
            &own["ip_address"],
            &own["context"]["request_id"]
        ),
        (&"other".into(), &"192.0.2.2".into(), &"9".into())
    );
}

#[test]
fn an_actor_is_one_person() {
    let records = recorded(|| {
        let _admin =
            info_span!("admin", actor.type = "user", actor.id = "admin", actor.name = "Ann")
                .entered();
        audit!("actor.own", actor.id = "guest");
        audit!("actor.whole", actor = Actor::service("job"));
        audit!("actor.renamed", actor.name = "Anna");
        audit!("actor.absent", actor.id = None::<&str>);
        let _impersonated = info_span!("as", actor.id = "bob").entered();
        audit!("actor.inner");
    });
    let actors: Vec<_> = records
        .iter()
        .map(|record| crate::support::part(&record["actor"]))
        .collect();
    assert_eq!(actors[0], r#"{"type":"user","id":"guest"}"#);
    assert_eq!(actors[1], r#"{"type":"service","id":"job"}"#);
    assert_eq!(actors[2], r#"{"type":"user","id":"admin","name":"Anna"}"#);
    assert_eq!(actors[3], r#"{"type":"user","id":"admin","name":"Ann"}"#);
    assert_eq!(
        actors[4], r#"{"type":"user","id":"bob"}"#,
        "nobody else's name stands beside bob's id"
    );
}

/// A span around "edit user" names the user who is edited.
#[test]
fn the_victim_is_not_the_actor() {
    let records = recorded(|| {
        let edit = || {
            info_span!(
                "edit user",
                user.id = "victim",
                user.name = "Vic",
                user_id = 7
            )
        };
        edit().in_scope(|| audit!("user.edited"));
        let _admin = info_span!("request", enduser.id = "admin", actor.name = "Ann").entered();
        edit().in_scope(|| audit!("user.edited"));
    });
    assert_eq!(records[0]["actor"], serde_json::json!({"type": "unknown"}));
    assert_eq!(
        records[1]["actor"],
        serde_json::json!({"type": "user", "id": "admin", "name": "Ann"})
    );
}

#[test]
fn an_application_chooses_which_fields_mean_what() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("spans")
        .span_field("user.id", "actor.id")
        .span_field("user.role", "actor.type")
        .span_field("org", "tenant_id")
        .span_field("session.id", "request_id")
        .span_field("stage", "context.environment")
        .ignore_span_field("actor.name")
        .open()
        .unwrap();
    let dispatch: Dispatch = tracing_subscriber::registry().with(log.layer()).into();
    dispatcher::with_default(&dispatch, || {
        let span = info_span!(
            "request",
            user.id = "ann",
            user.role = "admin",
            org = Empty,
            session.id = "r",
            stage = "prod",
            actor.name = "Bob"
        );
        span.record("org", "acme");
        span.in_scope(|| audit!("a.b"));
    });
    log.close().unwrap();
    let record = crate::support::records(dir.path()).remove(0);
    assert_eq!(
        (&record["actor"], &record["tenant_id"], &record["context"]),
        (
            &serde_json::json!({"type": "admin", "id": "ann"}),
            &"acme".into(),
            &serde_json::json!({"environment": "prod", "request_id": "r"})
        )
    );
}

#[test]
fn a_mapping_that_cannot_be_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let described = || {
        AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("spans")
    };
    let refused = |field: &str, slot: &str| {
        let refused = described().span_field(field, slot).open();
        refused.unwrap_err().to_string()
    };
    for slot in [
        "actor",
        "resource.id",
        "actor.attributes",
        "context.tenant_id",
        "",
    ] {
        let error = refused("user.id", slot);
        assert!(
            error.contains(&format!("{slot:?} is not a field that a span can fill"))
                && error.contains("actor.id"),
            "{error}"
        );
    }
    assert!(refused("", "actor.id").contains("empty"));
    let mut many = described();
    for n in 0..32 {
        many = many.span_field(format!("field{n}"), "tenant_id");
    }
    // Choosing a field twice chooses one field.
    many = many.span_field("field7", "actor.id");
    let error = many.span_field("more", "actor.id").open().unwrap_err();
    assert!(error.to_string().contains("takes 32 names"), "{error}");
    assert!(
        !dir.path().join("live").exists(),
        "refused before anything is written"
    );
}

#[test]
fn a_field_may_be_recorded_later() {
    let records = recorded(|| {
        let span = info_span!(
            "request",
            actor.id = Empty,
            request_id = "r",
            tenant_id = "acme",
            user_agent = Empty
        );
        let _entered = span.enter();
        audit!("later.before");
        // One that is there already, before another.
        span.record("request_id", "a longer one");
        span.record("actor.id", "u-9");
        std::thread::scope(|scope| {
            let dispatch = dispatcher::get_default(Dispatch::clone);
            let span = span.clone();
            scope.spawn(move || {
                dispatcher::with_default(&dispatch, || span.in_scope(|| audit!("later.thread")))
            });
        });
        audit!("later.after");
    });
    let of = |name: &str| {
        records
            .iter()
            .find(|record| record["event_type"] == name)
            .unwrap()
    };
    assert_eq!(of("later.before")["actor"]["type"], "unknown");
    assert_eq!(
        (
            &of("later.before")["context"]["request_id"],
            &of("later.before")["tenant_id"]
        ),
        (&"r".into(), &"acme".into())
    );
    assert_eq!(
        (
            &of("later.after")["context"]["request_id"],
            &of("later.after")["tenant_id"]
        ),
        (&"a longer one".into(), &"acme".into())
    );
    assert_eq!(
        (
            &of("later.thread")["actor"]["id"],
            &of("later.after")["actor"]["id"]
        ),
        (&"u-9".into(), &"u-9".into())
    );
}

#[test]
fn nothing_in_a_text_breaks_a_line() {
    let nasty = "a\n\"b\\\u{0}\u{7f}\u{2028}\r\t</script>\u{1b}[31m\u{feff}";
    let records = recorded(|| {
        let _span = info_span!("x", tenant_id = nasty, actor.name = %nasty).entered();
        audit!("text.nasty", resource.id = nasty, details.plain = nasty, debug = ?nasty, display = %nasty, tags = [nasty], "{nasty}");
    });
    let record = &records[0];
    for value in [
        &record["tenant_id"],
        &record["actor"]["name"],
        &record["resource"]["id"],
        &record["description"],
        &record["tags"][0],
    ] {
        assert_eq!(value, nasty);
    }
    assert_eq!(
        (&record["details"]["plain"], &record["details"]["display"]),
        (&nasty.into(), &nasty.into())
    );
}

#[test]
fn a_megabyte_is_cut_and_says_so() {
    let records = recorded(|| {
        let receipt = audit!(
            "text.long",
            mode = "full",
            body = "é".repeat(1 << 19),
            "Uploaded"
        );
        assert!(receipt.is_recorded());
        audit!("text.next");
    });
    assert_eq!(
        (&records[0]["truncated"], &records[0]["details"]["mode"]),
        (&serde_json::json!(["details.body"]), &"full".into())
    );
    assert!(records[0].to_string().len() <= 65_536);
    assert_eq!(records[1]["event_type"], "text.next");
}

/// A value's own code runs while a span takes it: it may record an event, and it may panic.
#[test]
fn a_value_that_a_span_takes_later_may_record_an_event_or_panic() {
    struct Audits;
    impl std::fmt::Debug for Audits {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            audit!("user.looked_up");
            f.write_str("ann")
        }
    }
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("spans")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!(
                "request",
                tenant_id = "acme",
                actor.id = tracing::field::Empty
            );
            let _entered = span.enter();
            span.record("actor.id", tracing::field::debug(Audits));
            let record = || _ = span.record("actor.id", tracing::field::debug(Panics));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(record)).is_err());
            audit!("user.seen");
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(crate::support::HANGS).unwrap();
    log.close().unwrap();
    let records = crate::support::records(dir.path());
    let found: Vec<_> = records
        .iter()
        .map(|record| {
            (
                &record["event_type"],
                &record["tenant_id"],
                &record["actor"]["id"],
            )
        })
        .collect();
    let [type_, tenant, ann] = ["user.seen", "acme", "ann"].map(serde_json::Value::from);
    assert_eq!(found.last(), Some(&(&type_, &tenant, &ann)));
    assert!(records.iter().all(|record| record["tenant_id"] == "acme"));
}

/// Each log has names of its own for what spans say, and takes nothing by those of another.
#[test]
fn two_logs_in_one_subscriber_each_read_the_spans_by_their_own_names() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |dir: &std::path::Path| AuditLog::builder(dir).lifecycle(false).source("spans");
    let first = open(one.path()).span_field("user.id", "actor.id").open();
    let first = first.unwrap();
    let second = open(two.path()).span_field("team", "tenant_id").open();
    let second = second.unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(first.layer())
        .with(second.layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("edit", user.id = "victim", team = "blue", session_id = "s");
        let _entered = span.enter();
        let inner = tracing::info_span!("later", team = tracing::field::Empty);
        let emit = || {
            audit!("user.edited");
            tracing::info!(target: "audit", event_type = "user.seen");
        };
        emit();
        AuditContext::new().session_id("u").run(|| {
            inner.in_scope(|| {
                inner.record("team", "red");
                emit();
            });
        });
    });
    first.close().unwrap();
    second.close().unwrap();
    let told = |dir: &std::path::Path| -> Vec<Value> {
        let records = crate::support::records(dir);
        let told = records.iter().map(|record| {
            json!([
                record["actor"]["id"],
                record["tenant_id"],
                record["context"]["session_id"]
            ])
        });
        told.collect()
    };
    let [outer, inner] = [json!(["victim", null, "s"]), json!(["victim", null, "u"])];
    assert_eq!(
        told(one.path()),
        [&outer, &outer, &inner, &inner].map(Value::clone)
    );
    let [outer, inner] = [json!([null, "blue", "s"]), json!([null, "red", "u"])];
    assert_eq!(
        told(two.path()),
        [&outer, &outer, &inner, &inner].map(Value::clone)
    );
}
