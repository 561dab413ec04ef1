//! The `tracing` layer.

use std::{any::Any, fmt, sync::Arc};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::Context,
    registry::{LookupSpan, Scope},
};

use super::{
    context::{Inherited, SpanFields},
    ending,
    hash::Hashing,
    in_force::{self, Within},
    intake::Intake,
    mirror, plain,
    span_names::{Reading, SpanNames},
};

/// The target of audit events in `tracing`.
pub(super) const TARGET: &str = "audit";

/// The layer that takes audit events to a log. Made by [`AuditLog::layer`](crate::AuditLog::layer).
///
/// Put it anywhere in the stack, boxed or not; no filter, global or of a layer, keeps an `audit!`
/// event from it. Do not give it a filter of its own with `with_filter`: it selects by itself, and
/// a filter would only hide spans from it.
///
/// It asks `tracing` for events and spans of level `INFO` and above. Where no layer has a filter,
/// that is also what the other layers get; to let them see more, give them a filter
/// (`.with_filter(LevelFilter::TRACE)`) or raise [`with_max_level`](Self::with_max_level).
///
/// The log stays open as long as a layer of it lives.
pub struct AuditLayer {
    intake: Arc<Intake>,
    /// Keeps the log open.
    _open: KeepsOpen,
    /// Gathers what the spans and contexts say; knows the type of the subscriber below.
    gather: fn(&Self, &Dispatch, &mut Inherited),
    pub(super) span_names: SpanNames,
    max_level: LevelFilter,
}

/// A handle of the log, of which nothing is to be known here but that it is held.
pub(crate) type KeepsOpen = Arc<dyn Any + Send + Sync>;

impl AuditLayer {
    pub(crate) fn new(intake: Arc<Intake>, open: KeepsOpen) -> Self {
        Self {
            intake,
            _open: open,
            gather: Self::gather_current::<Registry>,
            span_names: SpanNames::default(),
            max_level: LevelFilter::INFO,
        }
    }

    /// Down to which level spans are asked for, for the fields they carry. Default: `INFO`.
    #[must_use]
    pub fn with_max_level(mut self, level: LevelFilter) -> Self {
        self.max_level = level;
        self
    }

    pub(super) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Gathers what an event inherits here, from the contexts in force, the current span and those
    /// around it, whatever any layer's filter thinks of them.
    pub(super) fn gather(&self, dispatch: &Dispatch, into: &mut Inherited) {
        (self.gather)(self, dispatch, into);
    }

    fn gather_current<S>(&self, dispatch: &Dispatch, into: &mut Inherited)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let current = dispatch.current_span();
        let subscriber = dispatch.downcast_ref::<S>();
        let span = subscriber
            .zip(current.id())
            .and_then(|(subscriber, id)| subscriber.span(id));
        self.gather_scope(span.map(|span| span.scope()), into, |_into| {
            #[cfg(feature = "opentelemetry")]
            if let Some(id) = current.id() {
                super::otel::gather(dispatch, id, _into);
            }
        });
    }

    /// Walks outwards from the innermost span. `of_trace` adds what is known of that one besides
    /// its fields.
    fn gather_scope<'a, S>(
        &self,
        mut spans: Option<Scope<'a, S>>,
        into: &mut Inherited,
        of_trace: impl Fn(&mut Inherited),
    ) where
        S: Subscriber + LookupSpan<'a>,
    {
        in_force::look(&mut |mut contexts| {
            let mut of_trace = Some(&of_trace);
            for (outwards, span) in spans.take().into_iter().flatten().enumerate() {
                let inside = contexts.take_inside(Within::new(self, &span.id()));
                if outwards > 0
                    && !inside.is_empty()
                    && let Some(of_trace) = of_trace.take()
                {
                    of_trace(into);
                }
                inside.add_to(into);
                if let Some(fields) = span.extensions().get::<SpanFields>() {
                    into.add(fields);
                }
            }
            if let Some(of_trace) = of_trace {
                of_trace(into);
            }
            contexts.add_to(into);
        });
    }

    /// Renders values of spans: they are hashed with the key of this layer's log, which can't be
    /// asked for while it is at work.
    fn hashing(&self, render: impl FnOnce()) {
        let _hashing = Hashing::with(Some(self.intake.hash_key));
        render();
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer")
            .field("intake", &self.intake)
            .field("max_level", &self.max_level)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AuditLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_layer(&mut self, _subscriber: &mut S) {
        self.gather = Self::gather_current::<S>;
    }

    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // "Never" would silence the callsite for every other layer.
        Interest::always()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max_level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        ending::watch();
        if !attributes
            .metadata()
            .fields()
            .iter()
            .any(|field| self.span_names.slot(field.name()).is_some())
        {
            return;
        }
        let mut reading = Reading::with(&self.span_names);
        self.hashing(|| attributes.record(&mut reading));
        if let Some(span) = context.span(id) {
            // Kept even if empty: the values may come later, by `Span::record`.
            span.extensions_mut().replace(reading.fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Rendered before the span is locked: a value's own code may record an event, which looks
        // at the span, or panic, which would leave the lock poisoned.
        let mut reading = Reading::with(&self.span_names);
        self.hashing(|| values.record(&mut reading));
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            fields.add(&reading.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_audit = metadata.target() == TARGET;
        if is_audit && metadata.name() == mirror::NAME {
            // Whoever mirrors it watches, once all layers have had it.
            return mirror::seen_by(&self.intake);
        }
        ending::watch();
        if is_audit && *metadata.level() <= LevelFilter::INFO {
            self.hashing(|| {
                plain::record(&self.intake, event, |into| {
                    self.gather_scope(context.event_scope(event), into, |_| {});
                })
            });
        }
    }
}
