//! Context without spans: what an event inherits from the code around it, whatever filters do to
//! spans.
//!
//! A context is in force on a thread while a closure runs, or while a future is polled or dropped.
//! The innermost wins over those around it, and all of them win over spans; an event's own fields
//! win over all. An actor is one unit, as in `context`.

use std::{
    cell::RefCell,
    fmt::{self, Display},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    argument::Argument,
    context::{Inherited, Slot, SpanFields},
};
use crate::record::{Actor, Buffer, json};

thread_local! {
    /// The contexts in force, the innermost last.
    static STACK: RefCell<Vec<Arc<SpanFields>>> = const { RefCell::new(Vec::new()) };
}

/// Who and where: what events inherit while a closure or a future runs in this context. Cheap to
/// clone.
///
/// ```
/// use tracing_audit::{AuditContext, audit, audit_context};
///
/// # struct User { id: u64 }
/// # let (user, ip) = (User { id: 7 }, std::net::Ipv4Addr::LOCALHOST);
/// audit_context! { actor.id = user.id, tenant_id = "acme", ip_address = %ip }.run(|| {
///     audit!("report.opened"); // by user 7 of acme, from 127.0.0.1
/// });
/// ```
///
/// Spans do the same, but a global filter can remove them, and this it can't. To take a context to
/// another thread or task, see [`current`](Self::current).
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

    /// What is in force on this thread, as one context: for a thread or task that goes on with the
    /// work. Spans aren't in it; `tracing` has its own means to take those along.
    ///
    /// ```
    /// # use tracing_audit::{AuditContext, audit};
    /// # AuditContext::new().tenant_id("acme").run(|| {
    /// let context = AuditContext::current();
    /// std::thread::spawn(move || context.run(|| audit!("report.made"))).join().unwrap();
    /// # });
    /// ```
    pub fn current() -> Self {
        let mut inherited = Inherited::default();
        gather(&mut inherited);
        let mut fields = SpanFields::default();
        if inherited.has_whole_actor() {
            fields.begin_actor();
        }
        for &slot in Slot::ALL {
            if let Some(value) = inherited.get(slot) {
                fields.set_slot(slot, |out| out.append(value));
            }
        }
        Self {
            fields: Arc::new(fields),
        }
    }

    /// Sets the actor, whole: of one around it nothing is left. Its attributes are not inherited.
    pub fn actor(mut self, actor: &Actor) -> Self {
        let fields = Arc::make_mut(&mut self.fields);
        fields.begin_actor();
        for (place, slot) in [Slot::ActorType, Slot::ActorId, Slot::ActorName]
            .into_iter()
            .enumerate()
        {
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

    /// Sets a field by its place: what `audit_context!` expands to.
    #[doc(hidden)]
    pub fn set(&mut self, slot: usize, value: &dyn Argument) {
        let Some(slot) = Slot::ALL.get(slot).copied() else {
            return;
        };
        let mut out = Buffer::default();
        if value.write(&mut out).is_present() {
            Arc::make_mut(&mut self.fields).set_slot(slot, |to| to.append(&out));
        }
    }

    /// Runs a closure in this context.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _in_force = InForce::enter(self.fields);
        work()
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
        Scoped {
            future: Some(future),
            fields: self.fields,
        }
    }
}

impl fmt::Debug for AuditContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditContext").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future in an [`AuditContext`]. Made by [`AuditContext::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scoped<F> {
        // There until it is dropped.
        #[pin]
        future: Option<F>,
        fields: Arc<SpanFields>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            // What is dropped with the future has something to say too: that it was cancelled.
            let mut this = this.project();
            let _in_force = InForce::enter(this.fields.clone());
            this.future.set(None);
        }
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _in_force = InForce::enter(this.fields.clone());
        this.future
            .as_pin_mut()
            .map_or(Poll::Pending, |future| future.poll(cx))
    }
}

/// Ends a context's time on the stack, however its work ends.
struct InForce;

impl InForce {
    fn enter(fields: Arc<SpanFields>) -> Option<Self> {
        // At the thread's end the stack may be gone; the work is done all the same.
        STACK
            .try_with(|stack| stack.borrow_mut().push(fields))
            .ok()
            .map(|()| Self)
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        // Dropped after the borrow: what a context holds is bytes, but the rule is cheap.
        let _left = STACK.try_with(|stack| stack.borrow_mut().pop());
    }
}

/// Adds what the contexts in force say.
#[inline]
pub(super) fn gather(into: &mut Inherited) {
    let _ = STACK.try_with(|stack| {
        for fields in stack.borrow().iter().rev() {
            into.add(fields);
        }
    });
}

/// The place of a context's field; a name that is none does not compile.
#[doc(hidden)]
pub const fn context_slot(name: &str) -> usize {
    let mut place = 0;
    while place < Slot::NAMES.len() {
        if same(Slot::NAMES[place].as_bytes(), name.as_bytes()) {
            return place;
        }
        place += 1;
    }
    panic!(
        "no field of a context; there are actor.type, actor.id, actor.name, tenant_id, ip_address, user_agent, session_id, request_id, \
         trace_id, span_id, context.environment, context.protocol and context.host"
    )
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
