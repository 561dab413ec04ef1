//! The trace and span of OpenTelemetry, where `tracing-opentelemetry` is in the stack.

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Dispatch, span::Id};
use tracing_audit_schema::Slot;

use crate::entry::{
    json,
    render::{Inherited, SpanFields},
};

/// Adds the ids of the span's trace context; ids that a span has as fields win.
pub(super) fn gather(dispatch: &Dispatch, span: &Id, into: &mut Inherited) {
    let Some(context) = tracing_opentelemetry::get_otel_context(span, dispatch) else {
        return;
    };
    let span = context.span();
    let ids = span.span_context();
    if !ids.is_valid() {
        return;
    }
    let mut fields = SpanFields::default();
    fields.set_slot(Slot::TraceId, |out| {
        json::write_display(out, ids.trace_id())
    });
    fields.set_slot(Slot::SpanId, |out| json::write_display(out, ids.span_id()));
    into.add(&fields);
}
