//! Futures in a context.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    current_log,
    in_force::{Frames, InForce},
    scope::AuditContext,
};

/// Futures that take along the context of the place where they are made.
pub trait InAuditContext: Future + Sized {
    /// This future in the [current](AuditContext::current) context: for a task that goes on with
    /// the work.
    ///
    /// ```
    /// use tracing_audit::{AuditContext, InAuditContext as _, audit};
    ///
    /// # async fn make_report() { audit!("report.made"); }
    /// # async fn handler() {
    /// tokio::spawn(make_report().in_audit_context());
    /// # }
    /// ```
    ///
    /// With `tracing`'s `instrument`, call this last,
    /// `make_report().instrument(span).in_audit_context()`: so the span is inside the context and
    /// its fields win.
    fn in_audit_context(self) -> Scoped<Self> {
        AuditContext::current().scope(self)
    }
}

impl<F: Future> InAuditContext for F {}

pin_project! {
    /// A future in an [`AuditContext`]. Made by [`AuditContext::scope`] and
    /// [`InAuditContext::in_audit_context`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scoped<F> {
        // There until it is dropped.
        #[pin]
        future: Option<F>,
        frames: Frames,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            // Values that are dropped with the future may record an event too: that it was
            // cancelled.
            let mut this = this.project();
            let _in_force = InForce::enter(this.frames, current_log::current_span());
            this.future.set(None);
        }
    }
}

impl<F> Scoped<F> {
    pub(super) fn new(future: F, frames: Frames) -> Self {
        Self {
            future: Some(future),
            frames,
        }
    }

    /// A future in no context of its own.
    #[cfg(feature = "tower")]
    pub(super) fn bare(future: F) -> Self {
        Self::new(future, Frames::new())
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
        let _in_force = InForce::enter(this.frames, current_log::current_span());
        this.future
            .as_pin_mut()
            .map_or(Poll::Pending, |future| future.poll(cx))
    }
}
