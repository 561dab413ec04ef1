//! The `tracing` layer.

use std::{
    any::Any,
    fmt, ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::WeakDispatch,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Filtered,
    layer::{Context, Filter},
    registry::{LookupSpan, Scope},
};

use super::{
    ending,
    hash::Hashing,
    in_force::{self, Within},
    intake::Intake,
    mirror,
    of_span::OfSpan,
    once, plain,
    site::{MIRRORED, TARGET},
    span_names::Reading,
};
use crate::entry::render::Inherited;

/// The layer that takes audit events to a log. [`AuditLog::layer`](crate::AuditLog::layer) makes
/// it, with its [`AuditFilter`].
///
/// Put it anywhere in the stack, boxed or not; no filter, global or of a layer, keeps an `audit!`
/// event from it. Do not give it another filter with `with_filter`: the layer selects by itself,
/// and a filter would only hide spans from it.
///
/// The layer has no influence on other layers. A line that no layer wants costs no more than
/// without it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use tracing_audit::{AuditLog, audit};
/// use tracing_subscriber::{filter::LevelFilter, prelude::*};
///
/// let log = AuditLog::builder(dir).source("billing").open()?;
/// let subscriber = tracing_subscriber::registry()
///     .with(LevelFilter::ERROR) // for every layer, but for `audit!`
///     .with(tracing_subscriber::fmt::layer())
///     .with(log.layer());
/// # let _default = tracing::subscriber::set_default(subscriber);
/// assert!(audit!("user.created", resource.id = 7).is_recorded());
/// # log.close()?;
/// # Ok(())
/// # }
/// ```
///
/// # Ordinary events
///
/// An ordinary event of `tracing` with the target `audit` is recorded as well. `audit!` needs an
/// event type that is known while compiling; this is a way to record one that is not:
///
/// ```
/// # fn handle(kind: &str, user: u64) {
/// let event_type = format!("import.{kind}");
/// let event_type = event_type.as_str();
/// tracing::info!(target: "audit", event_type, actor.id = user, rows = 7, "Imported");
/// # }
/// ```
///
/// Fields mean the same as in `audit!`: an entry's own fields go to their places, all others become
/// `details`. The rules that `audit!` checks while compiling are checked when such an event comes,
/// and a broken rule never costs the event:
///
/// | what the event says | what is recorded |
/// |---|---|
/// | no `event_type`, a malformed one, or one that begins with `audit.` | the event type `tracing.event`; what was given is in `details.event_type` |
/// | an unknown `severity` | the severity of the event's level; what was given is in `details.severity` |
/// | an unknown `outcome.type` | the outcome `unknown`; what was given is in `details.outcome.type` |
/// | a `description` beside a message | the message; what was given is in `details.description` |
/// | an `actor`, a `resource`, an `outcome`, a `context` or `attributes` as a whole | a detail of that name: the values of such an event are texts, numbers and truths. Their parts are given one by one, as `resource.attributes.size = 7` |
/// | a level below `INFO` | nothing |
///
/// Such an event is subject to all filters of `tracing`, is in no
/// [`catalogue`](fn@crate::catalogue), and has no [`Receipt`](crate::Receipt). Any crate in the
/// program can write one. So its entry shows that the event was an ordinary one, and from which
/// module it came: `"context":{"captured":"tracing","module":"billing::import"}`, see
/// [`RawEntry::captured`](crate::RawEntry::captured). A log can take ordinary events of some
/// modules only, or none: [`plain_events_from`](crate::AuditLogBuilder::plain_events_from).
///
/// The log stays open as long as a layer of it lives.
pub struct AuditLayer {
    intake: Arc<Intake>,
    /// Keeps the log open.
    _open: KeepsOpen,
    /// Gathers what the spans and contexts say; knows the type of the subscriber below.
    gather: fn(&Self, &Dispatch, &mut Inherited),
    /// The current span and those around it, the innermost first; knows that type, too.
    spans: fn(&Self, &Dispatch) -> Vec<Within>,
    /// The subscriber that the layer is in, and the address of its first layer of ours: all of ours
    /// that are in one subscriber agree by it on what a span is called.
    dispatch: OnceLock<WeakDispatch>,
    first: AtomicUsize,
    /// Whether the subscriber knows that this layer has a filter of its own.
    is_seen: Arc<AtomicBool>,
    _living: Living,
}

/// How many layers of logs there are in the process.
static LIVING: AtomicUsize = AtomicUsize::new(0);

/// Counts one of them.
struct Living;

impl Living {
    fn new() -> Self {
        LIVING.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Relaxed);
    }
}

/// A handle of the log, which only has to be held: it keeps the log open.
pub(crate) type KeepsOpen = Arc<dyn Any + Send + Sync>;

impl AuditLayer {
    pub(crate) fn new(intake: Arc<Intake>, open: KeepsOpen) -> Self {
        Self {
            intake,
            _open: open,
            gather: Self::gather_current::<Registry>,
            spans: Self::spans_of::<Registry>,
            dispatch: OnceLock::new(),
            first: AtomicUsize::new(0),
            is_seen: Arc::default(),
            _living: Living::new(),
        }
    }

    /// With the filter by which `tracing` knows what the layer wants, spans down to this level.
    pub(crate) fn filtered<S>(self, spans: LevelFilter) -> Filtered<Self, AuditFilter, S> {
        let filter = AuditFilter {
            spans,
            is_seen: self.is_seen.clone(),
        };
        Filtered::new(self, filter)
    }

    pub(super) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// The log's, by which spans know what they say to it.
    fn log(&self) -> usize {
        Arc::as_ptr(&self.intake).addr()
    }

    /// A span of this layer's subscriber.
    pub(super) fn within(&self, span: &Id) -> Within {
        let first = match self.first.load(Relaxed) {
            0 => self.address(),
            first => first,
        };
        Within::new(first, span)
    }

    /// The current span and those around it, the innermost first.
    pub(super) fn spans(&self, dispatch: &Dispatch) -> Vec<Within> {
        (self.spans)(self, dispatch)
    }

    fn spans_of<S>(&self, dispatch: &Dispatch) -> Vec<Within>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let current = dispatch.current_span();
        let Some(id) = current.id() else {
            return Vec::new();
        };
        let subscriber = dispatch.downcast_ref::<S>();
        match subscriber.and_then(|subscriber| subscriber.span(id)) {
            Some(span) => span.scope().map(|span| self.within(&span.id())).collect(),
            None => vec![self.within(id)],
        }
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
                let inside = contexts.take_inside(self.within(&span.id()));
                if outwards > 0
                    && !inside.is_empty()
                    && let Some(of_trace) = of_trace.take()
                {
                    of_trace(into);
                }
                inside.add_to(into);
                let extensions = span.extensions();
                let of_span = extensions.get::<OfSpan>();
                if let Some(fields) = of_span.and_then(|of_span| of_span.to(self.log())) {
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
            .finish_non_exhaustive()
    }
}

/// The spans and events that an [`AuditLayer`] wants from `tracing`: spans of level `INFO` and
/// above, and events with the target `audit`.
///
/// The filter only decides about lines that no other layer wants, which `tracing` then skips where
/// they are written. A line that another layer gets reaches the audit layer too, which selects by
/// itself.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    spans: LevelFilter,
    is_seen: Arc<AtomicBool>,
}

impl AuditFilter {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return *metadata.level() <= self.spans;
        }
        let is_audit = metadata.target() == TARGET && *metadata.level() <= LevelFilter::INFO;
        is_audit && (metadata.name() != MIRRORED || self.wants_mirrored())
    }

    /// An `audit!` event finds a layer that the dispatcher knows by itself. Only another one learns
    /// of the event by its mirror. When one is added, `tracing` asks all filters anew.
    fn wants_mirrored(&self) -> bool {
        !self.is_seen.load(Relaxed) || LIVING.load(Relaxed) > 1
    }
}

impl<S> Filter<S> for AuditFilter {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            // A layer's filter says this for its own layer: the call site is off only if all other
            // layers agree. From a layer itself, "never" would hold for all of them.
            Interest::never()
        }
    }

    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // Where the question is all there is (`tracing::enabled!`), a "no" would stay behind and
        // hide the next span or event from this layer (tokio-rs/tracing#2519).
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Inside a `reload::Layer`, the hint no longer counts as that of one layer only, and it
        // would hold for all of them.
        let is_seen = self.is_seen.load(Relaxed);
        is_seen.then(|| self.spans.max(LevelFilter::INFO))
    }
}

impl<S> Layer<S> for AuditLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let found = dispatch.downcast_ref::<Self>();
        let is_seen = found.is_some_and(|found| ptr::eq(found, self));
        self.is_seen.store(is_seen, Relaxed);
        self.first.store(found.unwrap_or(self).address(), Relaxed);
        // A layer is in one subscriber only.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_layer(&mut self, _subscriber: &mut S) {
        self.gather = Self::gather_current::<S>;
        self.spans = Self::spans_of::<S>;
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        ending::watch();
        if !attributes
            .metadata()
            .fields()
            .iter()
            .any(|field| self.intake.span_names.slot(field.name()).is_some())
        {
            return;
        }
        let mut reading = Reading::with(&self.intake.span_names);
        self.hashing(|| attributes.record(&mut reading));
        if let Some(span) = context.span(id) {
            // Kept even if empty: the values may come later, by `Span::record`.
            OfSpan::keep(self.log(), reading.fields, &mut span.extensions_mut());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Rendered before the span is locked: a value's own code may record an event, which looks
        // at the span, or panic, which would leave the lock poisoned.
        let mut reading = Reading::with(&self.intake.span_names);
        self.hashing(|| values.record(&mut reading));
        if let Some(span) = context.span(id)
            && let Some(of_span) = span.extensions_mut().get_mut::<OfSpan>()
            && let Some(fields) = of_span.to_mut(self.log())
        {
            fields.add(&reading.fields);
        }
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() == TARGET && metadata.name() != MIRRORED && LIVING.load(Relaxed) > 1 {
            once::asked(event, self.address());
        }
        true
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_audit = metadata.target() == TARGET;
        if is_audit && metadata.name() == MIRRORED {
            // `mirror` learns here that this log has the event, and checks the rest once all layers
            // have had it.
            return mirror::seen_by(&self.intake, |into| {
                match self.dispatch.get().and_then(WeakDispatch::upgrade) {
                    Some(dispatch) => self.gather(&dispatch, into),
                    None => self.gather_scope(context.event_scope(event), into, |_| {}),
                }
            });
        }
        ending::watch();
        if is_audit
            && *metadata.level() <= LevelFilter::INFO
            && self.intake.plain_events.takes(metadata.module_path())
            && once::is_lacked(event, self.address(), self.log())
        {
            self.hashing(|| {
                plain::record(&self.intake, event, |into| {
                    self.gather_scope(context.event_scope(event), into, |_| {});
                })
            });
        }
    }
}
