//! `AuditContext` carries who and where to events, through filters that remove spans, across awaits
//! and threads.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::{Value, json};
use tracing_audit::{Actor, AuditContext, AuditLog, audit, audit_context, audited};
use tracing_subscriber::{EnvFilter, prelude::*};

fn written(emit: impl FnOnce()) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("context")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(EnvFilter::new("off"));
    tracing::dispatcher::with_default(&subscriber.into(), emit);
    log.close().unwrap();
    crate::support::records(dir.path())
}

#[test]
fn the_innermost_context_wins_and_the_event_over_all() {
    let nobody: Option<&str> = None;
    let records = written(|| {
        let outer = audit_context! { actor.id = "ann", actor.name = %"Ann", tenant_id = "acme", request_id = ?1, context.host = "h" };
        outer.run(|| {
            audit!("a.outer");
            audit_context! { actor.id = 7, session_id = nobody, trace_id = "t" }
                .run(|| audit!("a.inner", tenant_id = "own"));
            AuditContext::new()
                .actor(&Actor::service("cron"))
                .run(|| audit!("a.service"));
            audit!("a.outer_again");
        });
        audit!("a.outside");
    });
    assert_eq!(
        records[0]["actor"],
        json!({"type": "user", "id": "ann", "name": "Ann"})
    );
    assert_eq!(
        (&records[0]["tenant_id"], &records[0]["context"]),
        (&json!("acme"), &json!({"request_id": "1", "host": "h"}))
    );
    // An actor is one unit: ann's name is not beside another's id.
    assert_eq!(records[1]["actor"], json!({"type": "user", "id": "7"}));
    assert_eq!(
        (&records[1]["tenant_id"], &records[1]["context"]["trace_id"]),
        (&json!("own"), &json!("t"))
    );
    assert_eq!(
        records[2]["actor"],
        json!({"type": "service", "id": "cron"})
    );
    assert_eq!(records[3]["actor"], records[0]["actor"]);
    assert_eq!(records[4]["actor"], json!({"type": "unknown"}));
}

/// Not ready at the first time.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn futures_keep_theirs_however_they_are_interleaved() {
    let records = written(|| {
        let work = |name: &'static str| {
            AuditContext::new().tenant_id(name).scope(async move {
                audit!("a.before");
                pause().await;
                audit!("a.after");
            })
        };
        let (mut one, mut two) = (pin!(work("one")), pin!(work("two")));
        let mut cx = Context::from_waker(Waker::noop());
        while one.as_mut().poll(&mut cx).is_pending() {
            audit!("a.between");
            let _ = two.as_mut().poll(&mut cx);
        }
    });
    let told: Vec<_> = records
        .iter()
        .map(|r| (r["event_type"].as_str().unwrap(), r["tenant_id"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("a.before", Some("one")),
            ("a.between", None),
            ("a.before", Some("two")),
            ("a.after", Some("one"))
        ]
    );
}

#[test]
fn a_future_that_is_dropped_says_so_in_its_context() {
    #[audited("report", skip_started)]
    async fn report() {
        std::future::pending().await
    }
    let records = written(|| {
        let mut future = Box::pin(
            audit_context! { tenant_id = "acme", actor.id = "ann", request_id = "r" }
                .scope(report()),
        );
        assert!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(future);
        audit!("a.after");
    });
    assert_eq!(
        records[0]["outcome"],
        json!({"type": "failure", "reason": "cancelled"})
    );
    assert_eq!(
        (&records[0]["tenant_id"], &records[0]["actor"]["id"]),
        (&json!("acme"), &json!("ann"))
    );
    assert_eq!(records[0]["context"]["request_id"], "r");
    assert_eq!(records[1].get("tenant_id"), None);
}

#[test]
fn a_variable_alone_names_its_field() {
    let (tenant_id, ip_address, user_agent) = ("acme", std::net::Ipv4Addr::LOCALHOST, Some(7));
    let records = written(|| {
        audit_context! { tenant_id, %ip_address, ?user_agent, session_id = "s" }
            .run(|| audit!("a.b"));
        audit_context! { tenant_id }.run(|| audit!("a.b"));
    });
    let record = &records[0];
    assert_eq!(
        (
            &record["tenant_id"],
            &record["ip_address"],
            &record["user_agent"]
        ),
        (&json!("acme"), &json!("127.0.0.1"), &json!("Some(7)"))
    );
    assert_eq!(
        (&record["context"]["session_id"], &records[1]["tenant_id"]),
        (&json!("s"), &json!("acme"))
    );
}

#[test]
fn every_slot_can_be_set() {
    let records = written(|| {
        let request = audit_context! {
            actor = Actor::api_key("k-1").name("ci").attributes(json!({"scopes": ["read"]})),
            environment = "prod", protocol = %"https", host = Some("h"), session_id = 1,
            context.request_id = "r", trace_id = "t", context.span_id = "s",
            user_agent = "curl", ip_address = "::ffff:192.0.2.1", tenant_id = "acme",
        };
        request.run(|| {
            audit!("a.b");
            audit_context! { actor.attributes = json!({"scopes": []}) }.run(|| audit!("a.b"));
        });
    });
    let record = &records[0];
    assert_eq!(
        record["actor"],
        json!({"type": "api_key", "id": "k-1", "name": "ci", "attributes": {"scopes": ["read"]}})
    );
    assert_eq!(
        record["context"],
        json!({
            "environment": "prod", "session_id": "1", "request_id": "r", "protocol": "https",
            "host": "h", "trace_id": "t", "span_id": "s"
        })
    );
    assert_eq!(
        (
            &record["tenant_id"],
            &record["ip_address"],
            &record["user_agent"]
        ),
        (&json!("acme"), &json!("192.0.2.1"), &json!("curl"))
    );
    assert_eq!(
        records[1]["actor"],
        json!({"type": "api_key", "id": "k-1", "name": "ci", "attributes": {"scopes": []}})
    );
}

/// Nothing of what makes the context is left while the future runs, so that it may be sent.
#[test]
fn a_future_in_a_context_may_be_sent() {
    fn sent<F: Future + Send>(_: F) {}
    sent(async {
        audit_context! { tenant_id = *std::rc::Rc::new(7), actor = Actor::user(&*std::rc::Rc::<str>::from("ann")) }
            .scope(std::future::ready(()))
            .await;
    });
}

#[test]
fn nobody_known_has_nothing_of_the_actor_around() {
    let records = written(|| {
        audit_context! { actor.id = "ann", actor.name = "Ann", tenant_id = "acme" }.run(|| {
            AuditContext::new().actor(&Actor::anonymous()).run(|| {
                audit!("a.b");
                AuditContext::current().run(|| audit!("a.b"));
            });
            audit_context! { actor.name = "Bob" }
                .actor(&Actor::user("bob"))
                .run(|| audit!("a.b"));
        });
    });
    let actors: Vec<_> = records
        .iter()
        .map(|record| record["actor"].clone())
        .collect();
    assert_eq!(
        actors,
        [
            json!({"type": "anonymous"}),
            json!({"type": "anonymous"}),
            json!({"type": "user", "id": "bob"})
        ]
    );
    assert_eq!(records[0]["tenant_id"], "acme");
}

#[test]
fn another_thread_goes_on_with_it_and_a_panic_ends_it() {
    let records = written(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        audit_context! { tenant_id = "acme", actor.id = "ann" }.run(|| {
            audit_context! { request_id = "r" }.run(|| {
                let context = AuditContext::current();
                std::thread::spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        context.run(|| audit!("a.thread"))
                    })
                })
                .join()
                .unwrap();
            });
        });
        let _ = std::panic::catch_unwind(|| {
            AuditContext::new()
                .tenant_id("lost")
                .run(|| panic!("on purpose"))
        });
        audit!("a.after");
    });
    assert_eq!(
        (
            &records[0]["tenant_id"],
            &records[0]["context"]["request_id"]
        ),
        (&json!("acme"), &json!("r"))
    );
    assert_eq!(records[0]["actor"]["id"], "ann");
    assert_eq!(records[1].get("tenant_id"), None);
}
