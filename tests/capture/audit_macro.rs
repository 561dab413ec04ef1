//! What a call of `audit!` says, as the other layers see it.

#![deny(clippy::pedantic)]

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_audit::{Actor, AuditLog, Outcome, Resource, audit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// One event of `tracing`.
#[derive(Debug)]
struct Seen {
    level: Level,
    target: String,
    name: &'static str,
    file: Option<String>,
    line: Option<u32>,
    module: Option<String>,
    declared: String,
    fields: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Fields(BTreeMap<String, String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                self.0.insert(field.name().to_owned(), format!("{value:?}"));
            }
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                self.0.insert(field.name().to_owned(), value.to_owned());
            }
        }
        // That there is no log is told once, to whoever is first.
        if event.metadata().target() != "audit" {
            return;
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let seen = Seen {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            name: metadata.name(),
            file: metadata.file().map(ToOwned::to_owned),
            line: metadata.line(),
            module: metadata.module_path().map(ToOwned::to_owned),
            declared: metadata
                .fields()
                .iter()
                .map(|field| field.name())
                .collect::<Vec<_>>()
                .join(" "),
            fields: fields.0,
        };
        self.0.lock().expect("one thread").push(seen);
    }
}

/// The one event that the call sends.
fn seen<T>(call: impl FnOnce() -> T) -> Seen {
    let capture = Capture::default();
    let _ = tracing::subscriber::with_default(
        tracing_subscriber::registry().with(capture.clone()),
        call,
    );
    let mut all = capture.0.lock().expect("one thread");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn parts_are_written_in_the_order_of_the_record_as_json() {
    let name = "Ann \"A\"";
    let line = line!() + 2;
    let event = seen(|| {
        audit!(
            "user.updated",
            resource.prior_attributes.role = "user",
            resource.attributes.role = Some("admin"),
            resource.attributes.note = None::<u8>,
            resource.type = "user",
            actor.name = name,
            actor.id = 7,
            outcome.error = %std::fmt::Error,
            outcome.type = "failure",
            order.id = 12,
            mode = ?Some(1),
            order.total.net = 2.5,
            ratio = f64::NAN,
            severity = warning,
            "Role of {name} changed"
        );
    });
    assert_eq!(
        (event.level, event.target.as_str(), event.line),
        (Level::WARN, "audit", Some(line))
    );
    let field = |name: &str| event.fields[name].as_str();
    assert_eq!(field("event_type"), "user.updated");
    assert_eq!(field("message"), "Role of Ann \"A\" changed");
    assert_eq!(
        field("actor"),
        r#"{"type":"user","id":"7","name":"Ann \"A\""}"#
    );
    assert_eq!(
        field("resource"),
        r#"{"type":"user","attributes":{"role":"admin"},"prior_attributes":{"role":"user"}}"#
    );
    assert_eq!(
        field("outcome"),
        r#"{"type":"failure","error":"an error occurred when formatting an argument"}"#
    );
    assert_eq!(
        field("details"),
        r#"{"order":{"id":12,"total":{"net":2.5}},"mode":"Some(1)","ratio":null}"#
    );
}

#[test]
fn whole_parts_are_the_types_of_the_record() {
    let event = seen(|| {
        audit!(
            "user.updated",
            actor = Actor::user("user-7"),
            resource = Resource::new("user", "user-8"),
            outcome = Outcome::success(),
            details = [("a", 1)].into_iter().collect::<BTreeMap<_, _>>(),
        );
    });
    assert_eq!(event.fields["actor"], r#"{"type":"user","id":"user-7"}"#);
    assert_eq!(event.fields["resource"], r#"{"type":"user","id":"user-8"}"#);
    assert_eq!(event.fields["outcome"], r#"{"type":"success"}"#);
    assert_eq!(event.fields["details"], r#"{"a":1}"#);
    assert_eq!(event.fields["message"], "user.updated");
}

#[test]
fn without_a_log_the_receipt_says_so_and_the_event_still_reaches_tracing() {
    let mut receipt = None;
    let event = seen(|| receipt = Some(audit!("user.updated")));
    let receipt = receipt.expect("called");
    assert!(!receipt.is_recorded());
    assert_eq!(event.fields["id"], receipt.id().to_string());
}

#[test]
fn a_receipt_is_awaited_in_a_future_that_is_send() {
    fn assert_send(_: &(impl Future<Output = ()> + Send)) {}
    let name = String::from("Ann");
    let future = async move {
        let _ = audit!("user.updated", name, "Hello {}", name.len())
            .durable()
            .await;
    };
    assert_send(&future);
}

#[test]
fn each_call_is_a_call_site_of_tracing_with_the_level_of_its_severity() {
    let levels = [
        seen(|| audit!("a.b")).level,
        seen(|| audit!("a.b", severity = info)).level,
        seen(|| audit!("a.b", severity = warning)).level,
        seen(|| audit!("a.b", severity = error)).level,
        seen(|| audit!("a.b", severity = critical)).level,
    ];
    assert_eq!(
        levels,
        [
            Level::INFO,
            Level::INFO,
            Level::WARN,
            Level::ERROR,
            Level::ERROR
        ]
    );
    let event = seen(|| audit!("a.b", tags = ["x"], "Done: \"it\"\u{8}"));
    assert_eq!(
        (event.file.as_deref(), event.module.as_deref()),
        (Some(file!()), Some(module_path!()))
    );
    assert_eq!(
        (event.name, event.declared.as_str()),
        (
            "audit!",
            "message event_type id actor resource outcome details"
        )
    );
    assert_eq!(event.fields["message"], "Done: \"it\"\u{8}");
    assert_eq!(
        event.fields.keys().collect::<Vec<_>>(),
        ["actor", "event_type", "id", "message"],
        "what the record lacks is not recorded"
    );
}

#[test]
fn a_subscriber_that_does_not_want_the_event_does_not_get_it() {
    struct Deaf(Arc<Mutex<Vec<&'static str>>>);
    impl Subscriber for Deaf {
        fn register_callsite(
            &self,
            _: &'static tracing::Metadata<'static>,
        ) -> tracing::subscriber::Interest {
            tracing::subscriber::Interest::sometimes()
        }
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            self.0.lock().unwrap().push("asked");
            metadata.line() == Some(0)
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.lock().unwrap().push("sent");
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let calls = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(Deaf(calls.clone()), || {
        for _ in 0..2 {
            audit!("a.b");
        }
    });
    assert_eq!(*calls.lock().unwrap(), ["asked", "asked"]);
}

#[test]
fn a_literal_is_written_as_the_same_value_from_a_variable() {
    // As token trees: a literal that a macro has matched as one may arrive in a group, which the
    // runtime renders.
    macro_rules! both {
        ($($value:tt)*) => {$({
            let value = $value;
            let [literal, variable] = [seen(|| audit!("a.b", x = $value)), seen(|| audit!("a.b", x = value))];
            assert_eq!(literal.fields["details"], variable.fields["details"]);
        })*};
    }
    both!("" "plain" "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}ä€𝄞" r#"raw "x""# '\'' '"' '\n' true false 0 7 1_000 0xff 0b11 2_147_483_647 255u8 5_i64);
    both!(9_223_372_036_854_775_807_u64 18_446_744_073_709_551_615_u64 1.5 1e3 b"xy" b'x' 3usize);
    let (small, least) = (-7, -2_147_483_648);
    assert_eq!(
        seen(|| audit!("a.b", small, least)).fields["details"],
        seen(|| audit!("a.b", small = -7, least = -2_147_483_648)).fields["details"]
    );
    let id = "7";
    assert_eq!(
        seen(|| audit!("a.b", actor.id = id)).fields["actor"],
        seen(|| audit!("a.b", actor.id = 7)).fields["actor"]
    );
    let message = "It's \u{8} \"done\"\n";
    assert_eq!(
        seen(|| audit!("a.b", "{message}")).fields["message"],
        seen(|| audit!("a.b", "It's \u{8} \"done\"\n")).fields["message"]
    );
}

#[test]
fn what_a_macro_has_matched_is_as_if_it_were_written_there() {
    macro_rules! event {
        ($type:literal, $category:literal, $severity:ident, $outcome:expr, $name:ident = $value:expr, $message:literal) => {
            audit!($type, category = $category, severity = $severity, outcome.type = $outcome, $name = $value, $message)
        };
    }
    let event = seen(|| {
        event!(
            "user.updated",
            "people",
            warning,
            "success",
            count = 7,
            "Done"
        )
    });
    assert_eq!(
        (event.level, event.fields["details"].as_str()),
        (Level::WARN, r#"{"count":7}"#)
    );
    assert_eq!(
        (
            event.fields["message"].as_str(),
            event.fields["outcome"].as_str()
        ),
        ("Done", r#"{"type":"success"}"#)
    );
}

/// What stands in the log after the source, as it stands there.
fn written(call: impl FnOnce()) -> String {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("raw")
        .open()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), call);
    log.close().unwrap();
    let line = crate::support::lines(dir.path()).remove(0);
    line.split_once(r#""source":"raw","#).unwrap().1.to_owned()
}

#[test]
fn what_is_absent_leaves_the_text_around_it_as_if_it_were_not_named() {
    let (none, some) = (None::<u8>, Some(1_u8));
    let nobody = r#""actor":{"type":"unknown"}"#;
    for (call, expected) in [
        // An object that is known to have something in it, however much of the rest is absent.
        (
            &(|| {
                _ = audit!("a.b", resource.type = "x", resource.id = none, resource.name = some, "m");
            }) as &dyn Fn(),
            r#","resource":{"type":"x","name":"1"},"description":"m"}"#,
        ),
        (
            &|| _ = audit!("a.b", a = 1, b = none, c = 2, d = some, e = none),
            r#","details":{"a":1,"c":2,"d":1}}"#,
        ),
        // One that may be empty, and is, or begins with what comes later.
        (
            &|| _ = audit!("a.b", a = none, b = 1, c = none),
            r#","details":{"b":1}}"#,
        ),
        (
            &|| {
                _ = audit!(
                    "a.b",
                    a = none,
                    resource.id = none,
                    outcome.reason = none,
                    "m"
                );
            },
            r#","description":"m"}"#,
        ),
        (
            &|| _ = audit!("a.b", a.a.a = none, a.b = none, c = some, d.e = none),
            r#","details":{"c":1}}"#,
        ),
        (
            &|| {
                _ = audit!(
                    "a.b",
                    a.b = none,
                    a.c.d = 1,
                    a.c.e = none,
                    f.g = none,
                    f.h = 2
                );
            },
            r#","details":{"a":{"c":{"d":1}},"f":{"h":2}}}"#,
        ),
        (
            &|| {
                _ = audit!(
                    "a.b",
                    resource.attributes.a = none,
                    resource.attributes.b = 1
                );
            },
            r#","resource":{"attributes":{"b":1}}}"#,
        ),
        (
            &|| {
                _ = audit!(
                    "a.b",
                    description = none,
                    tags = none,
                    ip_address = none,
                    user_agent = 1
                );
            },
            r#","user_agent":"1"}"#,
        ),
        // What must be a string is one, known or not.
        (
            &|| _ = audit!("a.b", resource.type = 1, resource.id = true, outcome.reason = some, description = 7),
            r#","resource":{"type":"1","id":"true"},"outcome":{"reason":"1"},"description":"7"}"#,
        ),
        (
            &|| _ = audit!("a.b", details = none, tags = ["t"]),
            r#","tags":["t"]}"#,
        ),
    ] {
        assert_eq!(written(call), format!("{nobody}{expected}"));
    }
    let alone = written(|| {
        _ = audit!(
            "a.b",
            tenant_id = 7,
            actor.attributes.a = none,
            actor.attributes.b = 1,
            x = none
        );
    });
    assert_eq!(
        alone,
        r#""tenant_id":"7","actor":{"type":"unknown","attributes":{"b":1}}}"#
    );
}
