//! The rows of the table in the documentation of `AuditContext`: of several that say the same
//! field, which one wins.

use serde_json::{Value, json};
use tracing::{Span, info_span};
use tracing_audit::{Actor, AuditContext, AuditLog, audit, audit_context};
use tracing_subscriber::prelude::*;

use crate::recorded;

/// What the tenants of the events are.
fn tenants(emit: impl FnOnce()) -> Vec<Option<String>> {
    let tenant = |record: &Value| record["tenant_id"].as_str().map(str::to_owned);
    recorded(emit).iter().map(tenant).collect()
}

fn span(tenant: &str) -> Span {
    info_span!("s", tenant_id = tenant)
}

fn context(tenant: &str) -> AuditContext {
    AuditContext::new().tenant_id(tenant)
}

fn some(tenants: &[&str]) -> Vec<Option<String>> {
    tenants
        .iter()
        .map(|tenant| Some((*tenant).into()))
        .collect()
}

#[test]
fn the_event_itself_wins() {
    let told = tenants(|| {
        span("span").in_scope(|| {
            context("context").run(|| {
                audit!("a.b", tenant_id = "event");
                audit!("a.b", tenant_id = None::<&str>);
                tracing::info!(target: "audit", event_type = "a.b", tenant_id = "event");
            })
        })
    });
    assert_eq!(told, some(&["event", "context", "event"]));
}

#[test]
fn the_innermost_wins_whether_it_is_a_span_or_a_context() {
    let told = tenants(|| {
        span("span").in_scope(|| context("context").run(|| audit!("a.b")));
        context("context").run(|| span("span").in_scope(|| audit!("a.b")));
        span("1").in_scope(|| {
            context("2").run(|| {
                span("3").in_scope(|| {
                    context("4").run(|| {
                        audit!("a.b");
                        info_span!("says nothing").in_scope(|| audit!("a.b"));
                        context("5").run(|| audit!("a.b"));
                        span("6").in_scope(|| audit!("a.b"));
                        tracing::info!(target: "audit", event_type = "a.b");
                    });
                    audit!("a.b");
                });
                audit!("a.b");
            });
            audit!("a.b");
        });
    });
    assert_eq!(
        told,
        some(&["context", "span", "4", "4", "5", "6", "4", "3", "2", "1"])
    );
}

#[test]
fn a_span_with_another_parent_is_still_inside() {
    let told = tenants(|| {
        let other = span("other");
        span("outer").in_scope(|| {
            context("context").run(|| {
                info_span!(parent: None, "root", tenant_id = "root").in_scope(|| audit!("a.b"));
                info_span!(parent: &other, "child").in_scope(|| audit!("a.b"));
                info_span!(parent: None, "root").in_scope(|| audit!("a.b"));
            });
            // Around another context, whose span is not around the event.
            context("far").run(|| {
                info_span!(parent: None, "root").in_scope(|| {
                    context("near").run(|| span("inner").in_scope(|| audit!("a.b")));
                    context("near").run(|| audit!("a.b"));
                    audit!("a.b");
                });
            });
        });
    });
    assert_eq!(
        told,
        some(&["root", "other", "context", "inner", "near", "far"])
    );
}

#[test]
fn fields_that_the_inner_one_leaves_open_come_from_further_out() {
    let records = recorded(|| {
        info_span!(
            "outer",
            session_id = "s",
            request_id = "r",
            actor.id = "ann",
            actor.name = "Ann"
        )
        .in_scope(|| {
            audit_context! { tenant_id = "acme", request_id = "r2" }.run(|| {
                info_span!("inner", ip_address = "192.0.2.1", actor.name = "A.")
                    .in_scope(|| audit!("a.b"));
            });
        });
    });
    let record = &records[0];
    assert_eq!(
        (&record["tenant_id"], &record["ip_address"]),
        (&json!("acme"), &json!("192.0.2.1"))
    );
    assert_eq!(
        record["context"],
        json!({"session_id": "s", "request_id": "r2"})
    );
    assert_eq!(
        record["actor"],
        json!({"type": "user", "id": "ann", "name": "A."})
    );
}

#[test]
fn an_actor_is_one_unit_in_spans_and_contexts() {
    let actors: Vec<_> = recorded(|| {
        let ann = Actor::user("ann")
            .name("Ann")
            .attributes(json!({"role": "admin"}));
        AuditContext::new().actor(&ann).run(|| {
            audit!("a.b");
            audit!("a.b", actor.name = "A.");
            audit!("a.b", actor.attributes.role = "guest");
            audit!("a.b", actor.attributes = None::<u8>);
            audit!("a.b", actor.id = "bob");
            audit!("a.b", actor = Actor::anonymous());
            info_span!("as", actor.id = "bob").in_scope(|| audit!("a.b"));
            audit_context! { actor.id = "bob" }.run(|| audit!("a.b"));
            audit_context! { actor = Actor::service("cron") }.run(|| audit!("a.b"));
            AuditContext::current().run(|| audit!("a.b"));
        });
    })
    .iter()
    .map(|record| record["actor"].clone())
    .collect();
    let ann = |name: &str, role: &str| json!({"type": "user", "id": "ann", "name": name, "attributes": {"role": role}});
    let bob = json!({"type": "user", "id": "bob"});
    assert_eq!(
        actors,
        [
            ann("Ann", "admin"),
            ann("A.", "admin"),
            ann("Ann", "guest"),
            ann("Ann", "admin"),
            bob.clone(),
            json!({"type": "anonymous"}),
            bob.clone(),
            bob,
            json!({"type": "service", "id": "cron"}),
            ann("Ann", "admin"),
        ]
    );
}

#[test]
fn an_actor_of_another_type_is_another_actor() {
    let actors: Vec<_> = recorded(|| {
        let ann = || info_span!("request", actor.id = "ann", actor.name = "Ann");
        ann().in_scope(|| {
            audit!("a.b", actor.type = "system");
            audit!("a.b", actor.type = "user");
            audit!("a.b", actor.type = "system", actor.name = "timer");
            info_span!("timer", actor.type = "system").in_scope(|| audit!("a.b"));
            info_span!("person", actor.type = "user").in_scope(|| audit!("a.b"));
            audit_context! { actor.type = "system" }.run(|| audit!("a.b"));
        });
        audit_context! { actor = Actor::service("cron").name("Cron") }.run(|| {
            audit!("a.b", actor.type = "user");
            audit!("a.b", actor.type = "service");
            AuditContext::update(audit_context! { actor.type = "system" });
            audit!("a.b");
        });
    })
    .iter()
    .map(|record| record["actor"].clone())
    .collect();
    let system = json!({"type": "system"});
    let ann = json!({"type": "user", "id": "ann", "name": "Ann"});
    assert_eq!(
        actors,
        [
            system.clone(),
            ann.clone(),
            json!({"type": "system", "name": "timer"}),
            system.clone(),
            ann,
            system.clone(),
            json!({"type": "user"}),
            json!({"type": "service", "id": "cron", "name": "Cron"}),
            system,
        ]
    );
}

#[test]
fn a_captured_context_is_complete() {
    let records = recorded(|| {
        let captured = context("captured").run(AuditContext::current);
        let nothing = AuditContext::current();
        // As on a worker that takes up one job in the middle of another.
        info_span!("another", actor.id = "bob", tenant_id = "another").in_scope(|| {
            audit_context! { request_id = "of bob" }.run(|| {
                captured.run(|| {
                    audit!("a.b");
                    span("inner").in_scope(|| audit!("a.b"));
                    context("inner").run(|| audit!("a.b"));
                });
                nothing.run(|| audit!("a.b"));
                audit!("a.b");
            });
        });
    });
    let told: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r["tenant_id"].as_str(),
                r["actor"]["type"].as_str().unwrap(),
                r.get("context").is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("captured"), "unknown", false),
            (Some("inner"), "unknown", false),
            (Some("inner"), "unknown", false),
            (None, "unknown", false),
            (Some("another"), "user", true),
        ]
    );
}

#[test]
fn what_a_span_learns_later_counts_as_its_own() {
    let told = tenants(|| {
        let outer = info_span!("outer", tenant_id = tracing::field::Empty);
        outer.in_scope(|| {
            context("context").run(|| {
                let inner = info_span!("inner", tenant_id = tracing::field::Empty);
                inner.in_scope(|| {
                    audit!("a.b");
                    outer.record("tenant_id", "outer");
                    audit!("a.b");
                    inner.record("tenant_id", "inner");
                    audit!("a.b");
                });
            });
            audit!("a.b");
        });
    });
    assert_eq!(told, some(&["context", "context", "inner", "outer"]));
}

#[test]
fn the_contexts_of_another_subscriber_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("order")
        .open()
        .unwrap();
    // Each subscriber numbers its spans from the beginning.
    let subscriber = || tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    tracing::dispatcher::with_default(&subscriber(), || {
        let _span = span("1").entered();
        context("2").run(|| {
            tracing::dispatcher::with_default(&subscriber(), || {
                let _span = span("3").entered();
                audit!("a.b");
            });
            audit!("a.b");
        });
    });
    log.close().unwrap();
    let told: Vec<_> = crate::support::records(dir.path())
        .iter()
        .map(|record| record["tenant_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ["3", "2"]);
}
