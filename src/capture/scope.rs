//! Context without spans: what an event inherits from the code around it, whatever filters do to
//! spans.

use std::{
    fmt::{self, Display},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tracing_audit_schema::Slot;

use super::{
    current_log,
    in_force::{self, InForce},
    scoped::Scoped,
};
use crate::{
    contain::alarm,
    entry::{
        Actor, Buffer, json,
        render::{Argument, Inherited, SpanFields},
    },
};

/// The actor, the tenant, the address and other facts that events inherit while a closure or a
/// future runs in this context. Cheap to clone.
///
/// ```
/// use tracing_audit::{Actor, AuditContext, audit, audit_context};
///
/// # let (user, ip) = ("user-456", std::net::Ipv4Addr::LOCALHOST);
/// audit_context! { actor = Actor::user(user), tenant_id = "acme", ip_address = %ip }.run(|| {
///     audit!("report.opened"); // by user-456 of acme, from 127.0.0.1
/// });
/// ```
///
/// Spans do the same, but a global filter can remove spans. No filter removes a context. The guide,
/// `tracing_audit::guide::context`, has recipes for HTTP services, background jobs and other
/// threads.
///
/// # What wins
///
/// A field that has several sources is taken from the first of these:
///
/// | | | |
/// |---|---|---|
/// | 1 | the event itself | the fields of the `audit!` call; `None` says nothing |
/// | 2 | the innermost context or span around it | whichever was entered last, whether that is a context or a span |
/// | 3 | the contexts and spans further out | in their order outwards; but a context from [`current`](Self::current) is complete, and what is around the place where it runs says nothing |
/// | 4 | none of them | the field is left out; the actor is `{"type":"unknown"}` |
///
/// - The actor is one unit. The source that gives its `id`, or an [`Actor`] as a whole, gives all
///   of it: nothing of another actor further out is added. An `id` without a type is that of a
///   `user`. A type alone hides an actor of another type: a `system` inside of a user's request
///   doesn't get that user's id.
/// - An [`update`](Self::update) counts as a context that was entered where it was made, and that
///   ends with the context that it updates.
/// - Of a span, what was given when it was made and what was recorded later count the same. The
///   ids of `tracing-opentelemetry` (feature `opentelemetry`) come after the fields of all spans
///   that were entered since the innermost context.
/// - A span stands where `tracing` has it: inside its parent, and entered when its guard or its
///   future says so. A context that was entered while a span was current is inside that span.
#[derive(Clone, Default)]
#[must_use = "a context does nothing until something runs in it"]
pub struct AuditContext {
    fields: Arc<SpanFields>,
}

macro_rules! setters {
    ($($(#[doc = $doc:literal])+ $name:ident: $slot:ident;)*) => {$(
        $(#[doc = $doc])+
        pub fn $name(mut self, value: impl Display) -> Self {
            Arc::make_mut(&mut self.fields).set_slot(Slot::$slot, |out| json::write_display(out, value));
            self
        }
    )*};
}

impl AuditContext {
    /// An empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// Captures everything that an event would inherit here, from contexts and from spans, as one
    /// context: for a thread or a task that goes on with the work, where neither the contexts nor
    /// the spans of this thread are in force.
    ///
    /// ```
    /// # use tracing_audit::{AuditContext, audit};
    /// # AuditContext::new().tenant_id("acme").run(|| {
    /// let context = AuditContext::current();
    /// std::thread::spawn(move || context.run(|| audit!("report.made"))).join().unwrap();
    /// # });
    /// ```
    ///
    /// The captured context is complete: while it is in force, an event inherits nothing from
    /// around it. (A worker of a thread pool, for example, may take up another job while it waits
    /// in the middle of one.) Contexts and spans that are entered inside of it count as usual.
    /// Fields that a span gets after this call are not in it.
    pub fn current() -> Self {
        let mut inherited = Inherited::default();
        current_log::gather(&mut inherited);
        let mut fields = SpanFields::complete();
        for slot in Slot::ALL {
            if let Some(value) = inherited.get(slot) {
                fields.set_slot(slot, |out| out.append(value));
            }
        }
        Self {
            fields: Arc::new(fields),
        }
    }

    /// Updates the innermost context in force, for the rest of its time: the fields of `with`
    /// replace those of that context, and its other fields stay. An update is for facts that become
    /// known in the middle of a request, such as the actor when somebody is authenticated.
    ///
    /// ```
    /// use tracing_audit::{Actor, AuditContext, audit, audit_context};
    ///
    /// # async fn authenticate() -> &'static str { "user-456" }
    /// async fn handle() {
    ///     let user = authenticate().await;
    ///     AuditContext::update(audit_context! { actor = Actor::user(user) });
    ///     audit!("report.opened"); // by user-456, from 192.0.2.50
    /// }
    ///
    /// # async fn serve() {
    /// audit_context! { ip_address = "192.0.2.50" }.scope(handle()).await;
    /// # }
    /// ```
    ///
    /// All that runs in that context sees it, after any `await` and on whatever thread, and so does
    /// [`current`](Self::current); other requests don't, even if their contexts are clones of the
    /// same one. Update in the context of the request: one around the authentication alone ends
    /// with it, and takes the update along; one around `block_on` or a `LocalSet` is in force in
    /// every task that runs there.
    ///
    /// Returns whether there was a context to update. If there is none, nothing changes, which is
    /// reported once, on standard error and as an event of `tracing`.
    pub fn update(with: Self) -> bool {
        static REPORTED: AtomicBool = AtomicBool::new(false);
        let updated = with.try_update();
        if !updated && !REPORTED.swap(true, Relaxed) {
            alarm(
                "AuditContext::update changes nothing here, because no context is in force; run \
                 the request in one, with AuditContext::scope or RequestContextLayer. Further such \
                 updates are not reported",
            );
        }
        updated
    }

    pub(super) fn try_update(&self) -> bool {
        in_force::update(&self.fields, &current_log::current_spans())
    }

    /// Sets the actor as a whole: nothing is left of an actor further out.
    pub fn actor(mut self, actor: &Actor) -> Self {
        let fields = Arc::make_mut(&mut self.fields);
        fields.begin_actor();
        for (place, slot) in Slot::OF_ACTOR.into_iter().enumerate() {
            if let Some(value) = actor.0.field(place) {
                fields.set_slot(slot, |out| out.append(value));
            }
        }
        self
    }

    setters! {
        /// Sets `tenant_id`.
        tenant_id: TenantId;
        /// Sets `ip_address`; an IP address in its canonical form.
        ip_address: IpAddress;
        /// Sets `user_agent`.
        user_agent: UserAgent;
        /// Sets `context.environment`, such as `prod`.
        environment: Environment;
        /// Sets `context.session_id`.
        session_id: SessionId;
        /// Sets `context.request_id`.
        request_id: RequestId;
        /// Sets `context.protocol`, such as `https`.
        protocol: Protocol;
        /// Sets `context.host`.
        host: Host;
        /// Sets `context.trace_id`.
        trace_id: TraceId;
        /// Sets `context.span_id`.
        span_id: SpanId;
    }

    /// Sets a field: what `audit_context!` expands to.
    #[doc(hidden)]
    pub fn set(&mut self, slot: Slot, value: &dyn Argument) {
        let mut out = Buffer::default();
        if value.write(&mut out).is_present() {
            Arc::make_mut(&mut self.fields).set_slot(slot, |to| to.append(&out));
        }
    }

    /// Runs a closure in this context.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut frames = in_force::frames(self.fields.clone());
        let _in_force = InForce::enter(&mut frames, current_log::current_span());
        work()
    }

    /// A closure that runs in this context, wherever it is called.
    ///
    /// ```
    /// # use tracing_audit::{AuditContext, audit};
    /// # AuditContext::new().tenant_id("acme").run(|| {
    /// let job = AuditContext::current().bind(|| audit!("report.made"));
    /// std::thread::spawn(job).join().unwrap();
    /// # });
    /// ```
    ///
    /// For one that is called more than once, or with arguments, [`run`](Self::run) the work inside
    /// of it: `move |item| context.run(|| work(item))`.
    pub fn bind<T, W: FnOnce() -> T>(self, work: W) -> impl FnOnce() -> T + use<T, W> {
        move || self.run(work)
    }

    /// A future that runs in this context: each time it is polled, and when it is dropped, the
    /// context is in force.
    ///
    /// ```
    /// # use tracing_audit::{AuditContext, audit};
    /// # async fn approve() { audit!("payment.approved"); }
    /// # async fn handler() {
    /// AuditContext::new().tenant_id("acme").scope(approve()).await;
    /// # }
    /// ```
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped::new(future, in_force::frames(self.fields))
    }

    /// As [`scope`](Self::scope), of a future whose making is work that belongs to it.
    #[cfg(feature = "tower")]
    pub(super) fn scope_made<F>(self, make: impl FnOnce() -> F) -> Scoped<F> {
        let mut frames = in_force::frames(self.fields);
        let future = {
            let _in_force = InForce::enter(&mut frames, current_log::current_span());
            make()
        };
        Scoped::new(future, frames)
    }
}

impl fmt::Debug for AuditContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditContext").finish_non_exhaustive()
    }
}
