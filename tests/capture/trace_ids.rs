//! With tracing-opentelemetry in the stack, events name the trace and the span they belong to.

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::info_span;
use tracing_audit::{AuditContext, AuditLog, audit};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::prelude::*;

#[test]
fn an_event_has_the_ids_of_its_span_unless_it_was_given_others() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("traced")
        .open()
        .unwrap();
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .with(log.layer());
    let (mut told, mut captured) = (Vec::new(), None);
    tracing::dispatcher::with_default(&subscriber.into(), || {
        audit!("a.outside");
        info_span!("request").in_scope(|| {
            audit!("a.outer");
            let inner = info_span!("work");
            let ids = inner.context().span().span_context().clone();
            told = vec![ids.trace_id().to_string(), ids.span_id().to_string()];
            inner.in_scope(|| {
                audit!("a.inner");
                audit!("a.own", trace_id = "mine");
            });
            info_span!("named", trace_id = "of the field").in_scope(|| audit!("a.field"));
            // The innermost wins here too.
            let context = AuditContext::new().trace_id("of the context");
            context.run(|| {
                audit!("a.context");
                info_span!("inner").in_scope(|| audit!("a.inside"));
            });
            captured = Some(AuditContext::current());
        });
        captured.unwrap().run(|| audit!("a.captured"));
    });
    log.close().unwrap();
    let records = crate::support::records(dir.path());
    let ids = |at: usize| {
        ["trace_id", "span_id"].map(|name| {
            records[at]["context"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
    };
    assert_eq!(ids(0), ["", ""]);
    assert_eq!(ids(1)[0], told[0]);
    assert_ne!(ids(1)[1], told[1]);
    assert_eq!(ids(2).as_slice(), told);
    assert_eq!(ids(3)[0], "mine");
    assert_eq!(ids(4)[0], "of the field");
    assert_eq!(ids(5)[0], "of the context");
    assert_eq!(ids(6)[0], told[0]);
    assert_eq!(ids(7), ids(1));
}
