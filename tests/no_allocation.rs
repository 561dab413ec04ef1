//! After its first call on a thread, a call of `audit!` allocates nothing.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

use std::collections::HashMap;

use tracing::info_span;
use tracing_audit::{
    Actor, AuditContext, AuditEvent, AuditLog, Outcome, audit, audit_context, hashed, mask,
    redact::Secret,
};
use tracing_subscriber::{EnvFilter, Layer, fmt, prelude::*};

#[derive(serde::Serialize)]
struct Pair {
    a: u8,
    b: [u8; 2],
}

#[derive(serde::Serialize)]
struct Note<'a> {
    pin: u8,
    note: &'a str,
    created_at: &'a str,
}

#[derive(AuditEvent)]
#[audit("a.b")]
struct Flat<'a> {
    #[audit(flatten)]
    note: Note<'a>,
    of: &'a str,
}

/// How often `work` allocates, done once more than it takes to warm up.
fn allocations(work: impl Fn()) -> u64 {
    // The first calls find their buffers too small; a second's first call renders that second anew.
    (0..3).for_each(|_| work());
    // Of several, for a new second may begin in one.
    (0..3)
        .map(|_| allocation_counter::measure(|| (0..100).for_each(|_| work())).count_total)
        .min()
        .unwrap()
}

#[test]
fn a_call_allocates_nothing_whatever_it_records() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("frugal")
        .deny_fields(["note", "unused"])
        .allow_fields(["pin"])
        .open()
        .unwrap();
    let quiet = fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::registry().with(quiet).with(log.layer());
    let (user, token, email) = (
        "user-456".to_owned(),
        Secret::new("abcdefghijklmnopqrst"),
        "ann@example.com".to_owned(),
    );
    let (count, none) = (7_u64, None::<&str>);
    let many: HashMap<_, _> = (0..40).map(|n| (n, Pair { a: n, b: [n, n] })).collect();

    let cases: [(&str, &dyn Fn()); 11] = [
        ("nothing but the type", &|| _ = audit!("a.b")),
        (
            "fields",
            &|| _ = audit!("a.b", actor.id = user, resource.type = "scan", n = count, list = [1, 2], none = none, "Number {count}"),
        ),
        (
            "texts that need escapes",
            &|| _ = audit!("a.b", text = "a \"quoted\"\nline", shown = ?email),
        ),
        ("whole parts", &|| {
            let actor = Actor::user(&user).name(&email);
            _ = audit!(
                "a.b",
                actor = actor,
                outcome = Outcome::failure("validation", "no"),
                resource.attributes.size = 1.5
            );
        }),
        ("a mask", &|| {
            _ = audit!("a.b", token = mask(&token, 5), password = mask(&token, 5))
        }),
        ("a keyed hash", &|| {
            _ = audit!("a.b", email = hashed(&email))
        }),
        ("an address", &|| {
            _ = audit!("a.b", ip_address = "2001:DB8:0:0::1", actor.id = user)
        }),
        ("objects", &|| {
            let (one, two) = (Pair { a: 1, b: [1, 2] }, [(&user, &email), (&email, &user)]);
            _ = audit!("a.b", many = many, one = one, resource.attributes = two)
        }),
        ("a denied name", &|| _ = audit!("a.b", password = user)),
        ("names of the log's own", &|| {
            let note = Note {
                pin: 7,
                note: &user,
                created_at: &email,
            };
            let attributes = &note;
            _ = audit!(
                "a.b",
                note = user,
                pin = 7,
                other_note = mask(&user, 2),
                resource.attributes = attributes,
                many = [&note, &note]
            )
        }),
        ("members of a flattened field", &|| {
            let note = Note {
                pin: 7,
                note: &user,
                created_at: &email,
            };
            _ = audit!(Flat { note, of: "x" })
        }),
    ];
    tracing::dispatcher::with_default(&subscriber.into(), || {
        for (what, call) in cases {
            assert_eq!(allocations(call), 0, "{what}");
            let span = info_span!(
                "request",
                request_id = "r-1",
                session_id = "s-1",
                actor.id = user,
                actor.name = email
            );
            assert_eq!(span.in_scope(|| allocations(call)), 0, "{what}, in a span");
            let context = audit_context! { tenant_id = "acme", ip_address = "192.0.2.50" };
            assert_eq!(context.run(|| allocations(call)), 0, "{what}, in a context");
            let both = || span.in_scope(|| context.run(|| allocations(call)));
            assert_eq!(both(), 0, "{what}, in a context in a span");
            let updated = || {
                AuditContext::update(audit_context! { actor = Actor::user("ann") });
                span.in_scope(|| allocations(call))
            };
            assert_eq!(
                context.run(updated),
                0,
                "{what}, in a span in an updated context"
            );
        }
    });
    tracing::dispatcher::with_default(&tracing::Dispatch::none(), || {
        assert_eq!(allocations(|| _ = audit!("a.b", n = count)), 0)
    });
    log.close().unwrap();
}
