//! What becomes known in the middle of a request holds for the rest of it, and for nothing else.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::{Value, json};
use tracing::{Instrument as _, Span, info_span};
use tracing_audit::{Actor, AuditContext, InAuditContext as _, audit, audit_context};

use crate::recorded;

fn actors(records: &[Value]) -> Vec<Option<&str>> {
    records
        .iter()
        .map(|record| record["actor"]["id"].as_str())
        .collect()
}

fn known(user: &str) -> AuditContext {
    AuditContext::new().actor(&Actor::user(user))
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

/// Polls the futures in turn until all are ready.
fn in_turn(futures: &mut [std::pin::Pin<&mut dyn Future<Output = ()>>]) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut left: Vec<_> = futures.iter_mut().collect();
    while !left.is_empty() {
        left.retain_mut(|future| future.as_mut().poll(&mut cx).is_pending());
    }
}

#[test]
fn an_update_holds_for_the_rest_of_the_request() {
    let records = recorded(|| {
        let request = audit_context! { ip_address = "192.0.2.50", tenant_id = "acme" };
        let handle = || async {
            audit!("a.before");
            authenticate().await;
            audit!("a.after");
            pause().await;
            audit!("a.later");
            AuditContext::current().run(|| audit!("a.current"));
        };
        async fn authenticate() {
            pause().await;
            let known = audit_context! { actor = Actor::user("ann").name("Ann"), session_id = "s" };
            assert!(AuditContext::update(known));
        }
        in_turn(&mut [pin!(request.clone().scope(handle()))]);
        // A clone of the same context is another request's.
        request.run(|| audit!("a.other"));
        audit!("a.outside");
    });
    let told: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r["event_type"].as_str().unwrap(),
                r["actor"]["name"].as_str(),
                r["context"]["session_id"].as_str(),
                r["ip_address"].as_str(),
            )
        })
        .collect();
    let (ann, s, ip) = (Some("Ann"), Some("s"), Some("192.0.2.50"));
    assert_eq!(
        told,
        [
            ("a.before", None, None, ip),
            ("a.after", ann, s, ip),
            ("a.later", ann, s, ip),
            ("a.current", ann, s, ip),
            ("a.other", None, None, ip),
            ("a.outside", None, None, None),
        ]
    );
}

#[test]
fn no_update_leaks_into_a_request_beside() {
    let records = recorded(|| {
        let context = AuditContext::new().tenant_id("acme");
        let request = |user: Option<&'static str>| {
            context.clone().scope(async move {
                pause().await;
                if let Some(user) = user {
                    AuditContext::update(known(user));
                }
                pause().await;
                audit!("a.b", who = user.unwrap_or("nobody"));
            })
        };
        in_turn(&mut [
            pin!(request(Some("ann"))),
            pin!(request(None)),
            pin!(request(Some("bob"))),
        ]);
    });
    for record in &records {
        let who = record["details"]["who"].as_str().unwrap();
        assert_eq!(record["actor"]["id"].as_str().unwrap_or("nobody"), who);
    }
    assert_eq!(records.len(), 3);
}

#[test]
fn the_innermost_context_is_updated_and_the_outer_ones_are_not() {
    let records = recorded(|| {
        known("outer").run(|| {
            AuditContext::new().tenant_id("t").run(|| {
                AuditContext::update(known("inner"));
                audit!("a.b");
                let _ = std::panic::catch_unwind(|| {
                    AuditContext::new().run(|| {
                        AuditContext::update(known("lost"));
                        panic!("on purpose")
                    })
                });
                audit!("a.b");
            });
            audit!("a.b");
        });
    });
    assert_eq!(
        actors(&records),
        [Some("inner"), Some("inner"), Some("outer")]
    );
}

#[test]
fn an_update_counts_as_a_context_that_was_entered_where_it_was_made() {
    fn named(user: &str) -> Span {
        info_span!("named", actor.id = user)
    }
    let records = recorded(|| {
        AuditContext::new().run(|| {
            named("of the span").in_scope(|| {
                audit!("a.b");
                AuditContext::update(known("ann"));
                audit!("a.b");
                named("inner").in_scope(|| audit!("a.b"));
                info_span!("quiet").in_scope(|| AuditContext::update(known("bob")));
                audit!("a.b");
            });
            audit!("a.b");
            named("later").in_scope(|| audit!("a.b"));
        });
    });
    assert_eq!(
        actors(&records),
        [
            Some("of the span"),
            Some("ann"),
            Some("inner"),
            Some("bob"),
            Some("bob"),
            Some("later")
        ]
    );
}

#[test]
fn an_update_inside_a_span_keeps_its_place_across_awaits() {
    let records = recorded(|| {
        let work = async {
            audit!("a.b");
            AuditContext::update(known("ann"));
            pause().await;
            audit!("a.b");
        };
        let span = info_span!("request", actor.id = "proxy");
        in_turn(&mut [pin!(AuditContext::new().scope(async {
            work.instrument(span).await;
            pause().await;
            audit!("a.b");
        }))]);
    });
    assert_eq!(actors(&records), [Some("proxy"), Some("ann"), Some("ann")]);
}

#[test]
fn a_connection_may_be_updated_any_number_of_times() {
    let records = recorded(|| {
        AuditContext::new().tenant_id("nobody's").run(|| {
            info_span!("first").in_scope(|| {
                AuditContext::update(audit_context! { actor.name = "lost", session_id = "s" });
            });
            let mut spans = Vec::new();
            for n in 0..100 {
                spans.push(info_span!("command", n).entered());
                AuditContext::update(audit_context! { actor.id = n, tenant_id = "acme" });
                audit!("a.b");
            }
            while spans.pop().is_some() {}
            audit!("a.b");
        });
    });
    for (n, record) in records.iter().enumerate() {
        assert_eq!(record["actor"]["id"], n.min(99).to_string());
        assert_eq!(record["tenant_id"], "acme");
        // What only the first said still holds; of its actor nothing is left.
        assert_eq!(record["context"]["session_id"], "s");
        assert_eq!(record["actor"].get("name"), None);
    }
    assert_eq!(records.len(), 101);
}

#[test]
fn a_task_has_an_update_of_its_own() {
    let records = recorded(|| {
        AuditContext::new().tenant_id("acme").run(|| {
            let task = async {
                AuditContext::update(known("task"));
                audit!("a.b");
            }
            .in_audit_context();
            in_turn(&mut [pin!(task)]);
            audit!("a.b");
        });
    });
    assert_eq!(actors(&records), [Some("task"), None]);
    assert_eq!(
        (&records[0]["tenant_id"], &records[1]["tenant_id"]),
        (&json!("acme"), &json!("acme"))
    );
}

#[test]
fn an_update_of_nothing_says_so() {
    let said = crate::support::child(module_path!(), "updates_nothing", &[("UPDATES", "1")])
        .output()
        .unwrap();
    let errors = String::from_utf8(said.stderr).unwrap();
    let lines = errors
        .lines()
        .filter(|line| line.contains("AuditContext::update changes nothing here"));
    assert_eq!(lines.count(), 1, "{errors}");
}

#[test]
fn updates_nothing() {
    if std::env::var_os("UPDATES").is_none() {
        return;
    }
    assert!(!AuditContext::update(known("ann")));
    assert!(!AuditContext::update(known("ann")));
    AuditContext::new().run(|| assert!(AuditContext::update(known("ann"))));
}

#[test]
fn an_update_made_in_an_inner_span_stays_before_the_spans_around_it() {
    let records = recorded(|| {
        AuditContext::new().run(|| {
            info_span!("request", actor.id = "gateway").in_scope(|| {
                info_span!("authenticate").in_scope(|| {
                    info_span!("ldap").in_scope(|| AuditContext::update(known("ann")));
                });
                audit!("a.here");
                info_span!("job", actor.id = "cron").in_scope(|| audit!("a.inner"));
                audit!("a.here_again");
            });
            audit!("a.behind");
            info_span!("other", actor.id = "gateway").in_scope(|| audit!("a.other"));
        });
        audit!("a.outside");
    });
    let expected = [
        Some("ann"),
        Some("cron"),
        Some("ann"),
        Some("ann"),
        Some("gateway"),
        None,
    ];
    assert_eq!(actors(&records), expected);
}
