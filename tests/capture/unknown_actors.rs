//! Who acted is never guessed: where nobody says it, the actor is `unknown`.

use serde_json::{Value, json};
use tracing::info_span;
use tracing_audit::{Actor, AuditContext, AuditLog, audit, audit_context, retention::Hold};
use tracing_subscriber::prelude::*;

fn actors(emit: impl FnOnce(&AuditLog)) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("actors")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::dispatcher::with_default(&subscriber.into(), || emit(&log));
    log.close().unwrap();
    let records = crate::support::records(dir.path());
    let of_test = |record: &&Value| {
        let event_type = record["event_type"].as_str().unwrap();
        event_type.starts_with("actor.") || event_type == "audit.hold.placed"
    };
    let actor = |record: &Value| record["actor"].clone();
    records.iter().filter(of_test).map(actor).collect()
}

#[test]
fn without_anybody_the_actor_is_unknown() {
    let nobody = None::<&str>;
    let actors = actors(|_| {
        audit!("actor.none");
        audit!("actor.none", actor.id = nobody, actor.type = nobody, "With a message");
        audit!("actor.none", ip_address = "192.0.2.50", resource.id = 7);
        info_span!("request", tenant_id = "acme").in_scope(|| audit!("actor.none"));
        audit_context! { tenant_id = "acme", actor.id = nobody }.run(|| audit!("actor.none"));
        tracing::info!(target: "audit", event_type = "actor.none", "by tracing");
    });
    assert_eq!(actors, vec![json!({"type": "unknown"}); 6]);
}

#[test]
fn a_name_alone_makes_nobody_a_user() {
    let nobody = None::<&str>;
    let actors = actors(|_| {
        audit!("actor.named", actor.name = "Ann");
        audit!("actor.named", actor.attributes.role = "admin");
        audit!(
            "actor.named",
            actor.attributes = json!({"role": "admin"}),
            actor.name = nobody
        );
        audit!("actor.named", actor.attributes.role = nobody);
        info_span!("request", actor.name = "Ann").in_scope(|| audit!("actor.named"));
        audit_context! { actor.attributes = json!({"role": "admin"}) }.run(|| {
            audit!("actor.named", actor.name = "Ann");
        });
    });
    assert_eq!(
        actors,
        [
            json!({"type": "unknown", "name": "Ann"}),
            json!({"type": "unknown", "attributes": {"role": "admin"}}),
            json!({"type": "unknown", "attributes": {"role": "admin"}}),
            json!({"type": "unknown"}),
            json!({"type": "unknown", "name": "Ann"}),
            json!({"type": "unknown", "name": "Ann", "attributes": {"role": "admin"}}),
        ]
    );
}

#[test]
fn an_id_without_a_type_is_that_of_a_user() {
    let actors = actors(|_| {
        audit!("actor.identified", actor.id = 7);
        info_span!("request", actor.id = 7).in_scope(|| audit!("actor.identified"));
        audit_context! { actor.id = 7 }.run(|| audit!("actor.identified"));
    });
    assert_eq!(actors, vec![json!({"type": "user", "id": "7"}); 3]);
}

#[test]
fn the_system_is_the_actor_where_that_is_said() {
    let actors = actors(|log| {
        AuditContext::new()
            .actor(&Actor::system("nightly"))
            .run(|| audit!("actor.system"));
        // What the log says of itself.
        let hold = Hold::new("case-7", "2025-01-01", "2025-01-31").unwrap();
        log.holds().place(hold).unwrap();
    });
    assert_eq!(
        actors,
        [
            json!({"type": "system", "id": "nightly"}),
            json!({"type": "system", "id": "actors"}),
        ]
    );
}
