//! What of an event is only known at run time: its severity, its event type.

use serde_json::Value;
use tracing_audit::{AuditEvent, AuditLog, Severity, audit, audited, catalogue};
use tracing_subscriber::prelude::*;

use crate::{recorded, support::lines};

fn severities(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["severity"].as_str().unwrap())
        .collect()
}

#[derive(AuditEvent)]
#[audit("alarm.raised")]
struct Alarm {
    #[audit(severity)]
    level: Severity,
    code: u32,
}

#[derive(AuditEvent)]
enum Either {
    #[audit("either.first")]
    First { severity: Severity },
    #[audit("either.second")]
    Second {
        #[audit(severity)]
        error: Severity,
    },
}

#[derive(AuditEvent)]
#[audit("transfer.sent", severity = if self.cents > 1_000 { warning } else { info })]
struct Transfer {
    cents: u64,
}

#[audited("job", failed(severity = if *error > 5 { critical } else { error }), skip_started)]
fn job(code: u32) -> Result<(), u32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

#[test]
fn a_severity_can_be_computed() {
    fn of(attempts: u32) -> Severity {
        match attempts {
            0..3 => Severity::Info,
            3..5 => Severity::Error,
            _ => Severity::Critical,
        }
    }
    let records = recorded(|| {
        for attempts in [1, 4, 9] {
            audit!(
                "run_time.if",
                severity = if attempts > 3 { warning } else { info },
                attempts
            );
            audit!(
                "run_time.match",
                severity = match attempts {
                    1 => error,
                    4 => {
                        critical
                    }
                    _ => Severity::Info,
                }
            );
            audit!(
                "run_time.call",
                attempts,
                severity = of(attempts),
                "With {attempts}"
            );
            let severity = of(attempts);
            audit!("run_time.variable", severity);
            audit!("run_time.reference", severity = &severity);
        }
    });
    assert_eq!(
        severities(&records),
        [
            "info", "error", "info", "info", "info", //
            "warning", "critical", "error", "error", "error", //
            "warning", "info", "critical", "critical", "critical",
        ]
    );
    assert_eq!(records[2]["details"]["attempts"], 1);
    assert_eq!(records[2]["description"], "With 1");
}

#[test]
fn types_and_functions_compute_theirs_too() {
    let records = recorded(|| {
        audit!(Alarm {
            level: Severity::Critical,
            code: 7
        });
        audit!(Transfer { cents: 1 });
        audit!(Transfer { cents: 2_000 });
        audit!(Either::First {
            severity: Severity::Error
        });
        audit!(Either::Second {
            error: Severity::Warning
        });
        for code in [0, 1, 9] {
            let _ = job(code);
        }
    });
    assert_eq!(
        severities(&records),
        [
            "critical", "info", "warning", "error", "warning", "info", "error", "critical"
        ]
    );
    assert_eq!(records[0]["details"], serde_json::json!({"code": 7}));
}

#[test]
fn the_catalogue_has_the_severities_that_are_possible() {
    let catalogue = catalogue();
    let of = |event_type: &str| -> Vec<Severity> {
        catalogue.get(event_type).unwrap().severities().collect()
    };
    assert_eq!(of("run_time.if"), [Severity::Info, Severity::Warning]);
    assert_eq!(
        of("run_time.match"),
        [Severity::Info, Severity::Error, Severity::Critical]
    );
    assert_eq!(of("run_time.call").len(), 4);
    assert_eq!(of("transfer.sent"), [Severity::Info, Severity::Warning]);
    assert_eq!(
        of("job.failed"),
        [Severity::Warning, Severity::Error, Severity::Critical]
    );
}

/// The level of an event as other layers see it is that of its severity.
#[test]
fn a_computed_severity_is_the_level_that_others_see() {
    #[derive(Clone, Default)]
    struct Levels(std::sync::Arc<std::sync::Mutex<Vec<tracing::Level>>>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Levels {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
    }
    let levels = Levels::default();
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(levels.clone());
    tracing::subscriber::with_default(subscriber, || {
        for grave in [false, true] {
            audit!(
                "run_time.level",
                severity = if grave { critical } else { info }
            );
        }
    });
    assert_eq!(
        *levels.0.lock().unwrap(),
        [tracing::Level::INFO, tracing::Level::ERROR]
    );
}

#[test]
fn an_event_type_can_come_at_run_time() {
    let records = recorded(|| {
        for plugin in ["calendar", "mail"] {
            audit!(dyn format!("plugin.{plugin}.called"), resource.id = plugin, pages = 3, "Called");
        }
        let kind = String::from("a.b");
        audit!(dyn &kind, severity = if kind.is_empty() { info } else { error }, category = "c");
        audit!(dyn kind.as_str(), action = "d");
    });
    let types: Vec<_> = records.iter().map(|r| r["event_type"].clone()).collect();
    assert_eq!(
        types,
        ["plugin.calendar.called", "plugin.mail.called", "a.b", "a.b"]
    );
    assert_eq!(
        (&records[0]["category"], &records[0]["action"]),
        (&"plugin".into(), &"called".into())
    );
    assert_eq!(records[0]["details"], serde_json::json!({"pages": 3}));
    assert_eq!(records[1]["resource"]["id"], "mail");
    assert_eq!(
        (&records[2]["category"], &records[2]["action"]),
        (&"c".into(), &"b".into())
    );
    assert_eq!(records[2]["severity"], "error");
    assert_eq!(
        (&records[3]["category"], &records[3]["action"]),
        (&"a".into(), &"d".into())
    );

    let dynamic = catalogue();
    let dynamic = dynamic.get("*").unwrap();
    assert!(dynamic.is_dynamic());
    assert!(dynamic.fields().any(|(path, _)| path == "details.pages"));
    assert!(
        dynamic
            .locations()
            .any(|place| place.file.ends_with("run_time.rs"))
    );
}

#[test]
fn the_fields_are_in_their_order_whatever_the_event_type() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("test")
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || audit!(dyn "a.b".to_owned()).ignore());
    log.close().unwrap();
    let line = lines(dir.path()).remove(0);
    let head = r#""schema_version":"1.0","event_type":"a.b","category":"a","action":"b","severity":"info","source":"test""#;
    assert!(line.contains(head), "{line}");
}

/// An event is not lost, and not taken for one of the log's own, because its type is malformed.
#[test]
fn a_malformed_event_type_becomes_the_nearest() {
    let records = recorded(|| {
        for kind in ["User.Created", "login", "audit.log.pruned", "", "a b.c\n"] {
            audit!(dyn kind, was = kind);
        }
    });
    let types: Vec<_> = records.iter().map(|r| r["event_type"].clone()).collect();
    assert_eq!(
        types,
        [
            "user.created",
            "app.login",
            "app.audit.log.pruned",
            "app.event",
            "a_b.c_"
        ]
    );
    assert_eq!(records[2]["category"], "app");
}

#[test]
fn a_call_is_an_expression() {
    fn tail(number: u64) {
        audit!("expression.tail", number).ignore()
    }
    let records = recorded(|| {
        tail(1);
        match Some(2) {
            Some(number) => audit!("expression.arm", number).ignore(),
            None => tracing::info!("nothing"),
        }
        [3, 4]
            .iter()
            .for_each(|number| audit!("expression.closure", number).ignore());
        let receipt = if records_are_needed() {
            audit!("expression.value")
        } else {
            return;
        };
        assert!(receipt.is_recorded());
        receipt.wait().unwrap();
    });
    assert_eq!(records.len(), 5);
}

fn records_are_needed() -> bool {
    true
}
